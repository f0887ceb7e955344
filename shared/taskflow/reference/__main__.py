"""Write the reference pages into a folder: `python -m taskflow.reference docs`."""

import sys
from pathlib import Path

from taskflow.reference import events

PAGES = {"events.md": events.page}
"""By file name, what gives the text of each page."""


def write(folder: Path) -> None:
    """Write all pages, over those that are there."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
