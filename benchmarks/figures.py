"""Figures as they are printed: percentiles, and columns that line up."""

from collections.abc import Iterable, Sequence

Row = Sequence[str | float]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest of the values that `percent` of them do not exceed."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def show(title: str, rows: Iterable[Row]) -> None:
    """Print rows below a title: the first column to the left, the others to the right."""
    lines = [[cell if isinstance(cell, str) else f"{cell:.2f}" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(title)
    for first, *others in lines:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print("  " + "  ".join([first.ljust(widths[0]), *cells]), flush=True)
