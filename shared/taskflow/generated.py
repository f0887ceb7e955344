"""Files that are written from the declarations, or checked: what both commands for that share."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def main(
    module: str,
    about: str | None,
    texts: Callable[[Path], Mapping[Path, str]],
    *,
    target: str | None = None,
) -> None:
    """Write the files in the folder that is named, or check them.

    `module` is what is run, and `target` what it is called in the Makefile if otherwise. `texts`
    returns the text of every file, by its path below a folder. With `--check` nothing is
    written, and the process ends with a sentence where a file is not as it would be.
    """
    parser = argparse.ArgumentParser(prog=f"taskflow.{module}", description=about)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    differ = {
        path: text
        for path, text in texts(given.folder).items()
        if not (given.folder / path).is_file() or (given.folder / path).read_text("utf-8") != text
    }
    if given.check and differ:
        names = ", ".join(map(str, differ))
        sys.exit(
            f"Not what the declarations say; `make {target or module}` writes it anew: {names}"
        )
    for path, text in differ.items():
        (given.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (given.folder / path).write_text(text, encoding="utf-8")
