"""Networks that let no socket through, or no answer that takes its time (L8)."""

from collections.abc import Callable, Generator

import pytest
from playwright.sync_api import expect

from tests.support.dashboard.visitor import WITHIN_MS, Tab, Visitor
from tests.support.network.proxy import (
    Intercept,
    Proxy,
    Silence,
    dropped_sockets,
    no_sockets,
    no_waiting,
    nothing,
)
from tests.support.network.remote_api import RemoteApi, signed_in
from tests.support.polling import eventually
from tests.support.processes.system import System

OPEN_TIMEOUT_MS = 10_000
SOCKET_AGAIN_MS = 300_000
SLOW_POLL_MS = 30_000
"""As live.js has them."""

AT_ONCE_MS = 1_000

_NOTE_STATES = """() => {
    globalThis.states = [];
    const shown = document.querySelector(".side .connection");
    const note = () => states.push(shown.dataset.state);
    new MutationObserver(note).observe(shown, { attributes: true });
}"""


@pytest.fixture
def behind(behind: Visitor) -> Visitor:
    """Bring somebody whose requests go through the proxy, with a clock to set."""
    behind.context.clock.install()
    return behind


@pytest.fixture
def elsewhere(system: System) -> Generator[Callable[[Visitor], RemoteApi]]:
    """Return what signs a visitor in elsewhere, past the proxy."""
    opened: list[RemoteApi] = []

    def sign_in(visitor: Visitor) -> RemoteApi:
        opened.append(RemoteApi(system, signed_in(system, "login", visitor.email)))
        return opened[-1]

    yield sign_in
    for each in opened:
        each.close()


def _expect_state(tab: Tab, state: str) -> None:
    expect(tab.connection).to_have_attribute("data-state", state)


@pytest.mark.parametrize("refusal", [no_sockets, dropped_sockets])
def test_where_sockets_are_refused_changes_come_by_long_polls_and_a_socket_is_tried_again(
    behind: Visitor,
    proxy: Proxy,
    elsewhere: Callable[[Visitor], RemoteApi],
    refusal: Intercept,
) -> None:
    tab = behind.registered("/all")
    follower = behind.tab("/all")
    api = elsewhere(behind)
    tab.page.evaluate(_NOTE_STATES)

    proxy.intercept = refusal
    proxy.cut()
    api.create("As the socket was cut")
    _expect_state(tab, "polling")
    api.create("While it polls")
    for each in (tab, follower):
        expect(each.row("As the socket was cut")).to_be_visible()
        expect(each.row("While it polls")).to_be_visible()
        _expect_state(each, "polling")
    assert "offline" not in tab.page.evaluate("states")

    proxy.intercept = nothing
    tab.page.clock.fast_forward(SOCKET_AGAIN_MS)
    # What ends the poll that waits.
    api.create("As a socket is tried again")
    tab.wait_until_live()
    follower.wait_until_live()
    api.create("By the socket")
    for each in (tab, follower):
        expect(each.row("By the socket")).to_be_visible()
        assert len(each.titles) == 4


def test_where_sockets_hang_changes_come_by_long_polls_after_the_first(
    behind: Visitor, proxy: Proxy, elsewhere: Callable[[Visitor], RemoteApi]
) -> None:
    tab = behind.registered("/all")
    api = elsewhere(behind)
    silence = Silence()

    proxy.intercept = silence
    proxy.cut()
    _expect_state(tab, "connecting")
    api.create("While nothing is answered")
    assert silence.began.wait(WITHIN_MS / 1000)
    tab.page.clock.fast_forward(OPEN_TIMEOUT_MS)

    _expect_state(tab, "polling")
    expect(tab.row("While nothing is answered")).to_be_visible()
    silence.end()


def test_where_no_answer_may_take_its_time_changes_are_looked_for_every_30_s(
    behind: Visitor,
    proxy: Proxy,
    elsewhere: Callable[[Visitor], RemoteApi],
) -> None:
    tab = behind.registered("/all")
    api = elsewhere(behind)

    proxy.intercept = no_waiting
    proxy.cut()
    _expect_state(tab, "looking")
    api.create("Between two looks")

    def is_seen_at_a_look() -> None:
        tab.page.clock.fast_forward(SLOW_POLL_MS)
        expect(tab.row("Between two looks")).to_be_visible(timeout=AT_ONCE_MS)

    eventually(is_seen_at_a_look)
    _expect_state(tab, "looking")

    proxy.intercept = no_sockets

    def is_heard_of_at_once() -> None:
        tab.page.clock.fast_forward(SLOW_POLL_MS)
        api.create("By a long-poll")
        expect(tab.connection).to_have_attribute("data-state", "polling", timeout=AT_ONCE_MS)

    eventually(is_heard_of_at_once)


def test_a_network_that_comes_back_is_taken_for_another_one_where_sockets_may_get_through(
    behind: Visitor, proxy: Proxy
) -> None:
    tab = behind.registered("/all")
    proxy.intercept = no_sockets
    proxy.cut()
    _expect_state(tab, "polling")

    proxy.intercept = nothing
    tab.page.evaluate("dispatchEvent(new Event('offline'))")
    _expect_state(tab, "offline")
    tab.page.evaluate("dispatchEvent(new Event('online'))")
    # Whatever ends the poll that waits.
    tab.add("Back")

    tab.wait_until_live()
    tab.page.evaluate("dispatchEvent(new Event('offline'))")
    _expect_state(tab, "offline")
    tab.page.evaluate("dispatchEvent(new Event('online'))")
    tab.wait_until_live()
