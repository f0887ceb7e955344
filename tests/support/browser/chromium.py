"""Debian's Chromium without a window, which reaches nothing but this machine."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.support.processes.debian_packages import CannotProvide, install

PROGRAM = "chromium"
NEEDED = "The tests open pages in Chromium: install it (on Debian: apt-get install chromium)"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def provide() -> str:
    """Return the path of the program; root on Debian gets it installed. Raises CannotProvide."""
    if found := shutil.which(PROGRAM):
        return found
    install([PROGRAM], purpose="the pages of the tests", needed=NEEDED)
    if found := shutil.which(PROGRAM):
        return found
    raise CannotProvide(NEEDED)


@contextmanager
def a_chromium() -> Generator[Browser]:
    """Run a browser, for the contexts and pages of one thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=provide(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    try:
        provide()
    except CannotProvide as error:
        raise SystemExit(str(error)) from None
