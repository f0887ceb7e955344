"""Tabs of one user and of another: what one changes the others see, and changes offline (L8)."""

import time
from collections.abc import Callable, Generator
from functools import partial

import pytest
import requests
from playwright.sync_api import Browser, expect

from tests.support.dashboard.visitor import AWAY, Visitor
from tests.support.network.proxy import Proxy, a_proxy_to, no_sockets, no_waiting, nothing
from tests.support.network.remote_api import RemoteApi, signed_in
from tests.support.polling import eventually
from tests.support.processes.system import System

WITHIN_MS = 500
POLLS_BEFORE_A_SOCKET = 20
LOOKED_FOR_EVERY_S = 30


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


def test_a_server_that_is_killed_and_started_again_is_found_again(
    own_visitor: Visitor, own_system: System
) -> None:
    one = own_visitor.registered("/all")
    another = own_visitor.tab("/all")
    another.wait_until_live()
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


@pytest.fixture
def proxy(system: System) -> Generator[Proxy]:
    """Put a proxy in front of the server."""
    with a_proxy_to(system.port) as opened:
        yield opened


@pytest.fixture
def behind(browser: Browser, proxy: Proxy) -> Generator[Visitor]:
    """Bring somebody who comes by the proxy."""
    visitor = Visitor(browser, proxy.url)
    yield visitor
    visitor.close()
    assert [each for each in visitor.wrong if not AWAY.match(each)] == []


def test_where_sockets_are_refused_long_polls_bring_changes_until_one_opens(
    behind: Visitor, proxy: Proxy, system: System
) -> None:
    tab = behind.registered("/all")
    api = RemoteApi(system, signed_in(system, "login", behind.email))
    proxy.intercept = no_sockets
    proxy.cut()
    expect(tab.connection).to_have_attribute("data-state", "polling")

    for number in range(3):
        assert api.request("POST", "tasks", {"title": f"By a long-poll {number}"}).ok
        expect(tab.row(f"By a long-poll {number}")).to_be_visible()

    proxy.intercept = nothing
    # Each that answers is one less until a socket is tried.
    for number in range(POLLS_BEFORE_A_SOCKET):
        assert api.request("POST", "tasks", {"title": f"Another {number}"}).ok
        expect(tab.row(f"Another {number}")).to_be_visible()
    tab.wait_until_live()
    assert api.request("POST", "tasks", {"title": "By a socket"}).ok
    expect(tab.row("By a socket")).to_be_visible()
    assert len(tab.titles) == len(set(tab.titles)) == POLLS_BEFORE_A_SOCKET + 4


def test_where_no_answer_may_take_its_time_changes_are_looked_for_every_30_s(
    behind: Visitor, proxy: Proxy, system: System
) -> None:
    behind.context.clock.install()
    tab = behind.registered("/all")
    api = RemoteApi(system, signed_in(system, "login", behind.email))
    proxy.intercept = no_waiting
    proxy.cut()
    expect(tab.connection).to_have_attribute("data-state", "polling")

    for number in range(3):
        assert api.request("POST", "tasks", {"title": f"Looked for {number}"}).ok

        def look(title: str) -> None:
            behind.context.clock.fast_forward(LOOKED_FOR_EVERY_S * 1_000)
            expect(tab.row(title)).to_be_visible(timeout=1_000)
            expect(tab.connection).to_have_attribute("data-state", "polling")

        eventually(partial(look, f"Looked for {number}"), within_s=20)

    proxy.intercept = nothing
    tab.page.evaluate("dispatchEvent(new Event('online'))")
    tab.wait_until_live()


def test_a_newer_version_is_offered_and_taken_by_all_tabs_with_what_waits(
    behind: Visitor, proxy: Proxy
) -> None:
    one = behind.registered("/all")
    one.page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    other = behind.tab("/all")
    worker = requests.get(f"{proxy.url}/service-worker.js", timeout=10)
    [version] = one.page.evaluate("caches.keys()")
    newer = worker.text.replace(f'VERSION = "{version}"', f'VERSION = "{version[::-1]}"')
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {worker.headers['Content-Type']}\r\n"
    answer = f"{head}Content-Length: {len(newer.encode())}\r\nConnection: close\r\n\r\n{newer}"
    proxy.intercept = lambda asked: (
        answer.encode() if asked.startswith(b"GET /service-worker.js") else nothing(asked)
    )

    one.page.evaluate(
        "navigator.serviceWorker.getRegistration().then((found) => found.update())"
        ".then(() => undefined)"
    )

    for tab in (one, other):
        expect(tab.page.get_by_text("There is a new version")).to_be_visible()
    behind.context.set_offline(offline=True)
    one.add("Written before")
    expect(one.page.locator(".is-draft")).to_have_count(1)
    behind.context.set_offline(offline=False)
    one.page.get_by_role("button", name="Reload").click()
    for tab in (one, other):
        expect(tab.row("Written before")).to_be_visible()
        expect(tab.page.get_by_text("There is a new version")).to_have_count(0)
        tab.wait_until_live()
        expect(tab.page.locator(".is-draft")).to_have_count(0)
        assert len(tab.titles) == 1
    assert one.page.evaluate("caches.keys()") == [version[::-1]]
