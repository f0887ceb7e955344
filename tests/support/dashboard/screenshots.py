"""Pictures of the dashboard: `python -m tests.support.dashboard.screenshots FOLDER` takes them.

Each main state, light and dark, on a desktop and on a phone, of a server of its own.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.support.browser.chromium import a_chromium
from tests.support.dashboard.visitor import Tab, Visitor
from tests.support.processes.system import System

SIZES: Mapping[str, Mapping[str, object]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    },
}
SCHEMES = ("light", "dark")

LINES = (
    "Water the plants every 3 days #home",
    "Book train tickets to Hamburg friday #travel !high",
    "Call the dentist tomorrow 10:00 remind 1h before",
    (
        "Read the draft of the annual report and write down what is missing in the part about"
        " energy, and what the auditors asked for in spring #work"
    ),
    "اتصل بالمكتب غداً #عمل",
    "Pay rent today !urgent #home",
    "Stand-up every weekday 9:30 #work",
    "Buy oat milk and bread today #shopping",
    "Prepare slides for Monday's review today 23:30 #work !high",
    "Return the library books 2026-11-27",
)


def _log_in(tab: Tab) -> None:
    tab.page.goto("/log-in")


def _nothing_yet(tab: Tab) -> None:
    tab.page.goto("/")
    expect(tab.page.locator(".empty")).to_be_visible()


def _today(tab: Tab) -> None:
    tab.page.goto("/")
    tab.wait_until_live()
    expect(tab.page.locator("[data-task]").first).to_be_visible()


def _all(tab: Tab) -> None:
    tab.page.goto("/all")
    expect(tab.page.locator("[data-task]").first).to_be_visible()


def _quick_add(tab: Tab) -> None:
    _today(tab)
    tab.page.keyboard.press("q")
    box = tab.page.get_by_label("What is to be done")
    expect(box).to_be_focused()
    box.fill("Pay rent tomorrow 9:00 every month #home !high remind 1h before")
    expect(tab.page.locator(".quick-understood .chip")).to_have_count(5)


def _keys(tab: Tab) -> None:
    _today(tab)
    tab.page.keyboard.press("?")
    expect(tab.page.get_by_role("dialog")).to_be_visible()


def _completed(tab: Tab) -> None:
    _all(tab)
    tab.page.get_by_role("checkbox").first.click()
    expect(tab.page.get_by_role("button", name="Undo")).to_be_visible()


def _statistics(tab: Tab) -> None:
    tab.page.goto("/statistics")
    expect(tab.page.locator(".statistics:not(.is-unknown)")).to_be_visible()


def _offline(tab: Tab) -> None:
    _today(tab)
    tab.page.context.set_offline(offline=True)
    tab.add("Written on the train")
    expect(tab.connection).to_have_attribute("data-state", "offline")


SIGNED_OUT: Mapping[str, Callable[[Tab], None]] = {"log-in": _log_in}
EMPTY: Mapping[str, Callable[[Tab], None]] = {"nothing-yet": _nothing_yet}
STATES: Mapping[str, Callable[[Tab], None]] = {
    "today": _today,
    "all": _all,
    "quick-add": _quick_add,
    "keys": _keys,
    "completed": _completed,
    "statistics": _statistics,
    "offline": _offline,
}
"""How each state is come to; another view has another line here."""


def take(folder: Path, browser: Browser, system: System) -> None:
    """Take the pictures of all states into a folder."""
    owner = Visitor(browser, system.url)
    tab = owner.registered("/all")

    def stranger(**options: object) -> Visitor:
        return Visitor(browser, system.url, **options)

    _take_each(folder, stranger, SIGNED_OUT)
    _take_each(folder, owner.elsewhere, EMPTY)
    for line in LINES:
        tab.add(line)
        expect(tab.page.locator(".is-draft")).to_have_count(0)
    owner.close()
    _take_each(folder, owner.elsewhere, STATES)


def _take_each(
    folder: Path, come: Callable[..., Visitor], states: Mapping[str, Callable[[Tab], None]]
) -> None:
    for (size, options), scheme in product(SIZES.items(), SCHEMES):
        visitor = come(color_scheme=scheme, reduced_motion="reduce", **options)
        for name, get_to in states.items():
            tab = visitor.tab()
            get_to(tab)
            tab.page.screenshot(path=folder / f"{name}-{size}-{scheme}.png")
            tab.page.close()
        visitor.close()


def main(folder: Path) -> None:
    """Start a server and a browser, and take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="taskflow-screenshots-") as data:
        system = System(Path(data) / "data")
        system.start()
        try:
            with a_chromium() as browser:
                take(folder, browser, system)
        finally:
            system.stop()
    print(f"The pictures are in {folder}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
