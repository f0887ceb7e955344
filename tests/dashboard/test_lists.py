"""Lists in the dashboard: by day, by tag, filtered, completed, recurring and found (T2, T3, T6)."""

import re
from datetime import timedelta
from typing import Any

from playwright.sync_api import Locator, Route, expect

from taskflow import clock
from taskflow.domain.times import rfc3339
from tests.support.browser.judging import unreadable, wider_than_the_window
from tests.support.dashboard.visitor import Tab, Visitor
from tests.support.network.remote_api import RemoteApi, signed_in
from tests.support.processes.system import System

NOW = clock.now()
A_DAY = timedelta(days=1)


def _store(system: System, visitor: Visitor, *tasks: dict[str, Any]) -> None:
    """Have tasks made elsewhere."""
    api = RemoteApi(system, signed_in(system, "login", visitor.email))
    for task in tasks:
        assert api.request("POST", "tasks", task).ok


def _section(tab: Tab, title: str) -> Locator:
    heading = tab.page.get_by_role("heading", name=title)
    return tab.page.locator(".block", has=heading)


def test_what_is_to_come_is_shown_by_day_and_moved_by_keys_and_by_hand(
    visitor: Visitor, system: System
) -> None:
    tab = visitor.registered("/upcoming")
    _store(system, visitor, {"title": "Late", "due_date": rfc3339(NOW - 3 * A_DAY)})
    for line in ("Buy milk today", "Call Anna tomorrow 10:00", "Send it in 30 days"):
        tab.add(line)
    expect(tab.page.locator("[data-task] .task-title")).to_have_text(
        ["Late", "Buy milk", "Call Anna", "Send it"]
    )
    expect(_section(tab, "Overdue")).to_contain_text("Late")
    expect(_section(tab, "Tomorrow")).to_contain_text("10:00")

    tab.row("Buy milk").locator(".task-link").focus()
    tab.page.keyboard.press(">")
    expect(_section(tab, "Tomorrow")).to_contain_text("Buy milk")
    expect(tab.row("Buy milk").locator(".task-link")).to_be_focused()
    tab.page.keyboard.press("d")
    tab.page.get_by_role("dialog").get_by_role("button", name="Today").click()
    expect(_section(tab, "Today")).to_contain_text("Buy milk")
    tab.row("Call Anna").drag_to(_section(tab, "Today"))
    expect(_section(tab, "Today")).to_contain_text("Call Anna")

    expect(tab.row("Call Anna")).to_contain_text("10:00")
    expect(tab.connection).not_to_contain_text("to send")
    tab.page.reload()
    expect(_section(tab, "Today").locator(".task-title")).to_have_text(["Call Anna", "Buy milk"])
    assert unreadable(tab.page) == []
    assert wider_than_the_window(tab.page) == []


def test_a_task_is_moved_again_before_the_first_move_is_answered(visitor: Visitor) -> None:
    tab = visitor.registered("/upcoming")
    tab.add("Buy milk today")
    expect(tab.row("Buy milk")).to_be_visible()
    expect(tab.page.locator(".is-draft")).to_have_count(0)
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    tab.page.route("**/tasks/*", hold_the_first)
    tab.row("Buy milk").locator(".task-link").focus()
    tab.page.keyboard.press(">")
    expect(_section(tab, "Tomorrow")).to_contain_text("Buy milk")
    tab.page.keyboard.press("d")
    tab.page.get_by_role("dialog").get_by_role("button", name="Today").click()
    expect(_section(tab, "Today")).to_contain_text("Buy milk")
    while not held:
        tab.page.wait_for_timeout(50)

    held[0].continue_()

    expect(tab.connection).not_to_contain_text("to send")
    expect(tab.page.get_by_text("changed elsewhere")).to_have_count(0)
    tab.page.reload()
    expect(_section(tab, "Today")).to_contain_text("Buy milk")


def test_tags_are_in_the_navigation_with_their_open_tasks_and_lead_to_them(
    visitor: Visitor, system: System
) -> None:
    tab = visitor.registered("/all")
    _store(
        system,
        visitor,
        {"title": "Paint", "tags": ["home"]},
        {"title": "Sweep", "tags": ["home", "<b>a/b</b>"]},
        {"title": "Report"},
    )
    tags = tab.page.get_by_role("list", name="Tags")
    expect(tags.get_by_role("link", name="home 2 open")).to_be_visible()

    tags.get_by_role("link", name="home").click()
    expect(tab.page).to_have_url(f"{visitor.url}/tags/home")
    expect(tab.page.locator("[data-task] .task-title")).to_have_text(["Sweep", "Paint"])
    tab.add("Mow")
    expect(tags.get_by_role("link", name="home 3 open")).to_be_visible()
    tab.complete("Paint")
    expect(tags.get_by_role("link", name="home 2 open")).to_be_visible()
    tags.get_by_role("link", name="<b>a/b</b>").click()
    expect(tab.page.locator("[data-task] .task-title")).to_have_text(["Sweep"])
    tab.page.reload()
    expect(tab.page.locator("[data-task] .task-title")).to_have_text(["Sweep"])
    expect(tab.page.get_by_role("heading", name="<b>a/b</b>")).to_be_visible()
    tab.page.goto("/tags")
    expect(tab.page.locator("main a")).to_have_text(["home 2", "<b>a/b</b> 1"])
    assert unreadable(tab.page) == []


def test_filters_and_the_order_are_in_the_address_and_stay_by_reload_and_back(
    visitor: Visitor, system: System
) -> None:
    tab = visitor.registered("/all")
    tab.page.set_viewport_size({"width": 390, "height": 844})
    soon, later = rfc3339(NOW + A_DAY), rfc3339(NOW + 20 * A_DAY)
    _store(
        system,
        visitor,
        {"title": "Bake", "priority": "high", "due_date": soon},
        {"title": "Apply", "priority": "high", "due_date": soon},
        {"title": "Wait", "priority": "high", "due_date": later},
        {"title": "Chat", "due_date": soon},
    )
    shown = tab.page.locator("[data-task] .task-title")
    expect(shown).to_have_count(4)

    tab.page.get_by_role("button", name="Filter").click()
    dialog = tab.page.get_by_role("dialog", name="Filter")
    dialog.get_by_role("checkbox", name="High").check()
    dialog.get_by_role("radio", name="Next 7 days").check()
    assert unreadable(tab.page) == []
    assert tab.page.evaluate("document.documentElement.scrollWidth") == 390
    tab.page.keyboard.press("Escape")
    tab.page.get_by_label("Order").select_option("title")
    expect(shown).to_have_text(["Apply", "Bake"])
    address = f"{visitor.url}/all?priority=high&due=week&sort=title"
    expect(tab.page).to_have_url(address)
    tab.page.reload()
    expect(shown).to_have_text(["Apply", "Bake"])
    tab.page.get_by_role("link", name="Today").last.click()
    expect(tab.page).to_have_title("Today · TaskFlow")
    tab.page.go_back()
    expect(shown).to_have_text(["Apply", "Bake"])
    tab.page.get_by_role("button", name="Remove the filter Due: Next 7 days").click()
    expect(shown).to_have_text(["Apply", "Bake", "Wait"])
    tab.page.get_by_role("button", name="Remove the filter High").click()

    expect(shown).to_have_text(["Apply", "Bake", "Chat", "Wait"])
    expect(tab.page).to_have_url(f"{visitor.url}/all?sort=title")


def test_what_is_completed_lies_by_day_and_what_recurs_says_how(visitor: Visitor) -> None:
    tab = visitor.registered("/recurring")
    expect(tab.page.get_by_text("Nothing recurs yet.")).to_be_visible()
    assert unreadable(tab.page) == []
    tab.add("Retro every 2 weeks on thursday 15:00")
    tab.add("Pay rent every month until 2030-01-01")
    expect(tab.row("Retro")).to_contain_text("Every 2 weeks on Thursday")
    expect(tab.row("Pay rent")).to_contain_text("Every month, until Jan 1, 2030")
    expect(tab.row("Retro")).to_contain_text("Next: ")

    tab.page.goto("/completed")
    expect(tab.page.get_by_text("Nothing is completed yet.")).to_be_visible()
    tab.add("Tidy up")
    tab.page.goto("/all")
    tab.complete("Tidy up")
    expect(tab.row("Tidy up")).to_have_count(0)
    tab.page.get_by_role("link", name="Completed").click()

    expect(_section(tab, "Today")).to_contain_text("1 task")
    expect(_section(tab, "Today").get_by_role("checkbox")).to_be_checked()
    # What fades away lies over the rows for a moment.
    expect(tab.page.locator(".is-leaving")).to_have_count(0)
    assert unreadable(tab.page) == []
    tab.complete("Tidy up")
    expect(tab.row("Tidy up")).to_have_count(0)


def test_a_search_finds_as_one_types_marks_what_matches_and_is_in_the_address(
    visitor: Visitor, system: System
) -> None:
    tab = visitor.registered()
    _store(
        system,
        visitor,
        {"title": "Rent <img src=x> a van"},
        {"title": "Landlord", "description": "About the <b>rent</b> & more"},
        {"title": "Something else"},
    )
    tab.page.keyboard.press("/")
    field = tab.page.get_by_role("searchbox", name="Search")
    expect(field).to_be_focused()
    assert unreadable(tab.page) == []

    tab.page.keyboard.type("ren")

    expect(tab.page.locator("mark")).to_have_text(["Rent", "rent"])
    expect(tab.row("Rent <img src=x> a van")).to_be_visible()
    expect(tab.row("Landlord")).to_contain_text("About the <b>rent</b> & more")
    expect(tab.page).to_have_url(f"{visitor.url}/search?q=ren")
    assert tab.page.locator("main img, main b").count() == 0
    assert unreadable(tab.page) == []
    tab.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert unreadable(tab.page) == []
    tab.page.reload()
    expect(tab.page.locator("mark")).to_have_text(["Rent", "rent"])
    field.fill("nothing has this")
    expect(tab.page.get_by_text("Nothing found for")).to_be_visible()


def test_what_is_typed_on_takes_the_place_of_what_was_asked_before(
    visitor: Visitor, system: System
) -> None:
    tab = visitor.registered("/search")
    _store(system, visitor, {"title": "Apples"}, {"title": "Apricots"})
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    tab.page.route("**/api/search?q=ap&*", hold)
    field = tab.page.get_by_role("searchbox", name="Search")

    with tab.page.expect_request("**/api/search?q=ap&*"):
        field.fill("ap")
    with tab.page.expect_event("requestfailed", lambda request: "q=ap&" in request.url):
        field.fill("apr")

    expect(tab.page.locator("[data-task] .task-title")).to_have_text(["Apricots"])
    assert len(held) == 1


def test_a_list_that_cannot_be_read_says_so_and_is_read_again(visitor: Visitor) -> None:
    tab = visitor.registered("/settings")
    refused = re.compile(r"/api/(tasks|search)\b")
    for path in ("/upcoming", "/all", "/completed", "/recurring", "/search?q=a"):
        tab.page.route(refused, lambda route: route.fulfill(status=403, json={"detail": "Broken"}))
        tab.page.goto(path)
        tab.wait_until_live()
        expect(tab.page.get_by_role("alert")).to_contain_text("Broken")

        tab.page.unroute_all()
        tab.page.get_by_role("button", name="Try again").click()

        expect(tab.page.get_by_role("alert")).to_have_count(0)


def test_the_focus_stays_in_a_row_that_is_put_elsewhere(visitor: Visitor, system: System) -> None:
    tab = visitor.registered("/all?sort=title")
    _store(system, visitor, {"title": "Apples"}, {"title": "Pears"}, {"title": "Quinces"})
    expect(tab.page.locator("[data-task]")).to_have_count(3)
    tab.row("Quinces").locator(".task-link").focus()
    api = RemoteApi(system, signed_in(system, "login", visitor.email))
    found = api.request("GET", "tasks?sort=-title").json()["items"][0]

    assert api.request("PATCH", f"tasks/{found['id']}", {"title": "A quince"}).ok

    expect(tab.row("A quince").locator(".task-link")).to_be_focused()
    expect(tab.page.locator("[data-task] .task-title")).to_have_text(
        ["A quince", "Apples", "Pears"]
    )
