"""Pages that are open for longer than their tokens live (S1, L8)."""

from collections.abc import Generator

import pytest
from playwright.sync_api import expect
from sqlalchemy import text

from taskflow.storage import transaction
from tests.support.dashboard.visitor import AWAY, Visitor
from tests.support.data.accounts import A_CAUSE
from tests.support.database.connection import database_of
from tests.support.network.remote_api import PASSWORD
from tests.support.processes.system import System

LIFETIME_S = 6
"""Of an access token, in place of 15 minutes; a page gets another after half of it."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[System]:
    """Run a system whose access tokens live for seconds."""
    running = System(
        tmp_path_factory.mktemp("system") / "data", ACCESS_TOKEN_LIFETIME_S=str(LIFETIME_S)
    )
    running.start()
    yield running
    running.stop()


def test_open_pages_get_newer_tokens_and_keep_their_socket(visitor: Visitor) -> None:
    one = visitor.registered("/all")
    other = visitor.tab("/all")
    other.wait_until_live()
    sockets: list[str] = []
    for tab in (one, other):
        tab.page.on("websocket", lambda socket: sockets.append(socket.url))

    for _ in range(2):
        for tab in (one, other):
            with tab.page.expect_response("**/api/auth/refresh") as refreshed:
                pass
            assert refreshed.value.ok

    one.add("After three lifetimes")
    expect(other.row("After three lifetimes")).to_be_visible()
    expect(one.page.locator(".is-draft")).to_have_count(0)
    assert sockets == []


def test_a_session_that_expires_overnight_is_taken_up_where_it_was_left(
    visitor: Visitor, system: System
) -> None:
    tab = visitor.registered("/all")
    other = visitor.tab("/tags")
    other.wait_until_live()
    visitor.context.set_offline(offline=True)
    expect(tab.connection).to_have_attribute("data-state", "offline")
    tab.add("Written in the evening")
    tab.page.keyboard.press("q")
    tab.page.get_by_label("What is to be done").fill("Half a sentence")
    with database_of(system), transaction(A_CAUSE) as tx:
        tx.connection.execute(
            text(
                "UPDATE refresh_tokens SET expires_at = now() - interval '1 hour' WHERE session_id"
                " IN (SELECT sessions.id FROM sessions JOIN users ON users.id = user_id"
                " WHERE email = :email)"
            ),
            {"email": visitor.email},
        )

    visitor.context.set_offline(offline=False)

    for each in (tab, other):
        expect(each.page.get_by_text("Your session has ended")).to_be_visible()
    expect(tab.page.get_by_label("Email")).to_have_value(visitor.email)
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.keyboard.press("Enter")
    expect(tab.row("Written in the evening")).to_be_visible()
    expect(tab.page.locator(".is-draft")).to_have_count(0)
    tab.wait_until_live()
    assert tab.titles == ["Written in the evening"]
    tab.page.keyboard.press("q")
    expect(tab.page.get_by_label("What is to be done")).to_have_value("Half a sentence")
    expect(other.page.get_by_role("heading", name="Tags")).to_be_visible()
    other.wait_until_live()
    visitor.wrong = [each for each in visitor.wrong if not AWAY.match(each)]


def test_a_refresh_that_no_network_carries_ends_no_session(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    visitor.context.set_offline(offline=True)
    expect(tab.connection).to_have_attribute("data-state", "offline")
    with tab.page.expect_request("**/api/auth/refresh"):
        pass
    tab.add("Without a network")
    expect(tab.page.locator(".is-draft")).to_have_count(1)

    visitor.context.set_offline(offline=False)

    expect(tab.page.locator(".is-draft")).to_have_count(0)
    tab.wait_until_live()
    visitor.wrong = [each for each in visitor.wrong if not AWAY.match(each)]
