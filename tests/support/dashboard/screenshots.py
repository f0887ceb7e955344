"""Pictures of the dashboard: `python -m tests.support.dashboard.screenshots FOLDER` takes them.

Each main state, light and dark, on a desktop and on a phone, of a server of its own.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, expect

from taskflow import clock
from taskflow.domain.accounts import Role
from taskflow.domain.times import rfc3339
from taskflow.storage import account_store, transaction
from tests.support.browser.chromium import a_chromium
from tests.support.dashboard.visitor import Tab, Visitor
from tests.support.data.accounts import A_CAUSE
from tests.support.database.connection import database_of
from tests.support.network.remote_api import RemoteApi, signed_in
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


def _at_once(path: str) -> Callable[[Tab], None]:
    """Return how a place is come to, where there is nothing to be read."""

    def get_to(tab: Tab) -> None:
        tab.page.goto(path)

    return get_to


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


def _at(path: str, shown: str) -> Callable[[Tab], None]:
    """Return how a place is come to, and what is there once it has been read."""

    def get_to(tab: Tab) -> None:
        tab.page.goto(path)
        tab.wait_until_live()
        expect(tab.page.locator(shown).first).to_be_visible()

    return get_to


def _menu(tab: Tab) -> None:
    _today(tab)
    if tab.page.get_by_role("button", name="Menu").is_visible():
        tab.page.get_by_role("button", name="Menu").click()
    expect(tab.page.get_by_role("navigation", name="TaskFlow")).to_be_visible()


def _task(title: str) -> Callable[[Tab], None]:
    """Return how the detail of a task is come to."""

    def get_to(tab: Tab) -> None:
        _all(tab)
        tab.row(title).get_by_role("link").click()
        expect(tab.page.get_by_role("dialog").get_by_label("Title", exact=True)).to_be_visible()

    return get_to


def _recurrence(tab: Tab) -> None:
    _task("Stand-up")(tab)
    tab.page.locator(".recurrence-button").click()
    expect(tab.page.locator(".preview li").first).to_be_visible()


def _history(tab: Tab) -> None:
    _task("Call the dentist")(tab)
    tab.page.get_by_text("History").click()
    tab.page.locator(".history li").last.scroll_into_view_if_needed()


def _conflict(tab: Tab) -> None:
    _task("Pay rent")(tab)
    other = tab.page.context.new_page()
    other.goto(tab.page.url)
    theirs = other.get_by_role("dialog").get_by_label("Description", exact=True)
    mine = tab.page.get_by_role("dialog").get_by_label("Description", exact=True)
    mine.press_sequentially("Transfer it to the new account")
    # Before it came to this state, others did.
    theirs.fill("Call the bank" if "receipt" in theirs.input_value() else "Ask for a receipt")
    theirs.press("Control+Enter")
    expect(tab.page.get_by_text("Changed elsewhere meanwhile")).to_be_visible()
    other.close()
    mine.press("Control+Enter")
    choice = tab.page.get_by_role("group", name="Two versions: description")
    choice.scroll_into_view_if_needed()


def _search(tab: Tab) -> None:
    tab.page.goto("/search?q=re")
    expect(tab.page.locator("mark").first).to_be_visible()


def _inbox(tab: Tab) -> None:
    tab.page.goto("/inbox")
    tab.wait_until_live()
    expect(tab.page.locator(".notification").first).to_be_visible()


def _filters(tab: Tab) -> None:
    _all(tab)
    tab.page.get_by_role("button", name="Filter").click()


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


SIGNED_OUT: Mapping[str, Callable[[Tab], None]] = {
    "log-in": _at_once("/log-in"),
    "register": _at_once("/register"),
}
EMPTY: Mapping[str, Callable[[Tab], None]] = {"nothing-yet": _nothing_yet}
STATES: Mapping[str, Callable[[Tab], None]] = {
    "today": _today,
    "upcoming": _at("/upcoming", "[data-task]"),
    "all": _all,
    "filters": _filters,
    "tags": _at("/tags", "main li"),
    "tag": _at("/tags/home", "[data-task]"),
    "recurring": _at("/recurring", "[data-task]"),
    "search": _search,
    "menu": _menu,
    "quick-add": _quick_add,
    "keys": _keys,
    "task": _task("Book train tickets to Hamburg"),
    "task-rtl": _task("اتصل بالمكتب غداً"),
    "recurrence": _recurrence,
    "history": _history,
    "conflict": _conflict,
    "completed": _completed,
    "completed-list": _at("/completed", "[data-task]"),
    "inbox": _inbox,
    "statistics": _statistics,
    "settings": _at("/settings", "#sessions li"),
    "sessions": _at("/settings#sessions", "#sessions li"),
    "administration": _at("/administration", ".numbers tbody tr"),
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
    api = RemoteApi(system, signed_in(system, "login", owner.email))
    for minutes, title in ((1, "Take the cake out of the oven"), (2, "Call Grandma")):
        reminder = {"remind_at": rfc3339(clock.now() - timedelta(minutes=minutes))}
        assert api.request("POST", "tasks", {"title": title, "reminders": [reminder]}).ok
    with database_of(system), transaction(A_CAUSE) as tx:
        account_store.grant(tx, owner.email, (Role.USER, Role.ADMIN))
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
