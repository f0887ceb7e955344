"""Tabs of one user and of another: what one changes the others see, and changes offline (L8)."""

import json
import re
import time
from collections.abc import Callable, Generator

import pytest
from playwright.sync_api import Browser, Route, WebSocketRoute, expect

from taskflow.domain.tasks import TAG_MAX_CHARS
from tests.support.dashboard.visitor import AWAY, Visitor
from tests.support.network.remote_api import RemoteApi, signed_in
from tests.support.polling import eventually
from tests.support.processes.system import System

WITHIN_MS = 500
FIRST_TASKS, LONG = 50, 120
"""How many tasks a list begins with, and more than that."""

_TO_THE_END = "scrollTo(0, document.documentElement.scrollHeight)"
LATER_PAGES = re.compile(r"/api/tasks\?.*cursor=")


@pytest.fixture
def own_visitor(browser: Browser, own_system: System) -> Generator[Visitor]:
    """Bring somebody to a server of the test's own."""
    own_system.start()
    visitor = Visitor(browser, own_system.url)
    yield visitor
    visitor.close()
    assert [each for each in visitor.wrong if not AWAY.match(each)] == []


def test_a_change_in_one_tab_is_in_the_other_at_once_and_never_at_another_users(
    a_visitor: Callable[..., Visitor], record_property: Callable[[str, object], None]
) -> None:
    visitor, stranger = a_visitor(), a_visitor()
    one = visitor.registered("/all")
    another = visitor.tab("/all")
    elsewhere = stranger.registered("/all")
    another.wait_until_live()

    one.add("Seen by both")
    started_s = time.perf_counter()
    expect(another.row("Seen by both")).to_be_visible()
    took_ms = (time.perf_counter() - started_s) * 1000
    another.complete("Seen by both")
    expect(one.row("Seen by both")).to_have_count(0)

    record_property("other_tab_ms", round(took_ms))
    assert took_ms <= WITHIN_MS
    elsewhere.add("Of somebody else")
    expect(elsewhere.row("Of somebody else")).to_be_visible()
    assert elsewhere.titles == ["Of somebody else"]
    assert one.row("Of somebody else").count() == another.row("Of somebody else").count() == 0


def test_the_tabs_go_on_as_the_one_that_follows_is_closed(visitor: Visitor) -> None:
    first = visitor.registered("/all")
    second, third = visitor.tab("/all"), visitor.tab("/all")
    second.wait_until_live()
    third.wait_until_live()

    first.page.close()
    second.add("After the first tab")

    expect(third.row("After the first tab")).to_be_visible()
    second.wait_until_live()


def test_what_is_changed_offline_is_shown_kept_and_sent_once_in_order(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    tab.add("There before")
    expect(tab.row("There before")).to_be_visible()
    expect(tab.page.locator(".is-draft")).to_have_count(0)
    tab.wait_until_kept()

    visitor.context.set_offline(offline=True)
    expect(tab.connection).to_have_attribute("data-state", "offline")
    tab.add("Written on the train #later")
    tab.complete("There before")
    expect(tab.connection).to_contain_text("2 changes to send")
    expect(tab.page.locator(".is-draft")).to_have_count(1)
    tab.page.reload()
    expect(tab.page.locator(".is-draft")).to_have_count(1)
    expect(tab.row("There before")).to_have_count(0)
    visitor.context.set_offline(offline=False)

    expect(tab.row("Written on the train")).to_be_visible()
    expect(tab.page.locator(".is-draft")).to_have_count(0)
    tab.wait_until_live()
    tab.page.reload()
    expect(tab.page.locator("[data-task] .task-title")).to_have_text(["Written on the train"])
    visitor.wrong = [each for each in visitor.wrong if not AWAY.match(each)]


def test_a_line_that_is_refused_after_a_reload_is_given_back(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    tab.wait_until_kept()
    visitor.context.set_offline(offline=True)
    refused = f"Paint the fence #{'t' * (TAG_MAX_CHARS + 1)}"
    tab.add(refused)
    titles = [f"Painted {number}" for number in range(6)]
    for title in titles:
        tab.add(title)
    tab.page.reload()
    tab.complete(titles[0])
    expect(tab.row(titles[0])).to_have_count(0)
    expect(tab.page.locator(".is-draft .task-title")).to_have_text([*reversed(titles[1:]), refused])
    expect(tab.page.get_by_text("There may be more")).to_be_visible()

    visitor.context.set_offline(offline=False)

    box = tab.page.get_by_label("What is to be done")
    expect(box).to_have_value(refused)
    expect(tab.page.get_by_role("alert")).to_contain_text("a tag of more than 64 characters")
    expect(tab.page.locator(".is-draft")).to_have_count(0)
    expect(tab.page.locator("[data-task] .task-title")).to_have_text([*reversed(titles[1:])])
    visitor.wrong = [each for each in visitor.wrong if not AWAY.match(each)]


def test_what_is_added_to_today_offline_is_there_and_due_today_once_sent(
    visitor: Visitor,
) -> None:
    tab = visitor.registered()
    visitor.context.set_offline(offline=True)
    expect(tab.connection).to_have_attribute("data-state", "offline")

    tab.add("Write a postcard")
    expect(tab.row("Write a postcard")).to_contain_text("to be sent")
    visitor.context.set_offline(offline=False)

    expect(tab.page.locator(".is-draft")).to_have_count(0)
    expect(tab.row("Write a postcard")).to_be_visible()
    visitor.wrong = [each for each in visitor.wrong if not AWAY.match(each)]


def test_a_long_list_is_whole_and_stays_where_one_is_after_too_much_was_missed(
    visitor: Visitor, system: System
) -> None:
    sockets: list[WebSocketRoute] = []
    held: list[Route] = []

    def pass_on(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    def hold(route: Route) -> None:
        held.append(route)

    visitor.context.route_web_socket("**/ws?*", pass_on)
    tab = visitor.registered("/inbox")
    with RemoteApi(system, signed_in(system, "login", visitor.email)) as api:
        made = [api.create(f"Task {number:03}") for number in range(LONG)]
        visitor.context.route(LATER_PAGES, hold)
        tab.page.goto("/all?sort=title")
        tab.wait_until_live()
        expect(tab.row("Task 000")).to_be_visible()
        with tab.page.expect_request(LATER_PAGES):
            tab.page.evaluate(_TO_THE_END)
        # The last of those that were loaded, and then one that is seen.
        api.change(made[FIRST_TASKS - 1]["id"], priority="high")
        api.create(f"Task {FIRST_TASKS - 3:03} and more")
    expect(tab.row(f"Task {FIRST_TASKS - 3:03} and more")).to_be_visible()
    expect(tab.row(f"Task {FIRST_TASKS - 1:03}")).to_be_visible()
    held.pop().continue_()
    last = tab.row(f"Task {LONG - 1:03}")

    def scroll_to_the_end() -> None:
        tab.page.evaluate(_TO_THE_END)
        expect(last).to_be_in_viewport(timeout=WITHIN_MS)

    eventually(scroll_to_the_end)
    at = tab.page.evaluate("scrollY")
    missed = {"type": "task.sync", "seq": LONG + 3, "data": {"since": 1, "resync": True}}
    with tab.page.expect_request(LATER_PAGES):
        sockets[-1].send(json.dumps(missed))
    expect(last).to_be_in_viewport()
    with tab.page.expect_response(LATER_PAGES):
        held.pop().continue_()

    expect(last).to_be_in_viewport()
    assert tab.page.evaluate("scrollY") == at


def test_a_server_that_is_killed_and_started_again_is_found_again(
    own_visitor: Visitor, own_system: System
) -> None:
    one = own_visitor.registered("/all")
    another = own_visitor.tab("/all")
    another.wait_until_live()
    another.wait_until_kept()
    one.add("Before")
    expect(another.row("Before")).to_be_visible()

    own_system.kill(with_postgresql=True)
    expect(one.connection).to_have_attribute("data-state", "offline")
    one.add("While it was away")
    own_system.start()

    expect(another.row("While it was away")).to_be_visible()
    one.wait_until_live()
    another.wait_until_live()
    expect(one.page.locator(".is-draft")).to_have_count(0)
    one.page.reload()
    expect(one.page.locator("[data-task] .task-title")).to_have_text(
        ["While it was away", "Before"]
    )
