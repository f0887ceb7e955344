"""Pages that are open for longer than their tokens live (S1, L8)."""

import secrets
from collections.abc import Generator
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, expect
from sqlalchemy import select

from taskflow import clock
from taskflow.storage.tables import REFRESH_TOKENS, SESSIONS, USERS
from taskflow.storage.transactions import transaction
from tests.support.dashboard.visitor import AWAY, WITHIN_MS, Tab, Visitor
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.database.connection import database_of
from tests.support.network.remote_api import PASSWORD, RemoteApi, signed_in
from tests.support.polling import eventually
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


@pytest.fixture
def stranger(system: System) -> SignedIn:
    return signed_in(system, "register", f"{secrets.token_hex(8)}@example.com")


def _end_sessions(system: System, email: str) -> None:
    """Have the refresh tokens of a user be as old as they may become."""
    with database_of(system), transaction(A_CAUSE) as tx:
        sessions = select(SESSIONS.c.id).join(USERS, USERS.c.id == SESSIONS.c.user_id)
        tx.connection.execute(
            REFRESH_TOKENS.update()
            .where(REFRESH_TOKENS.c.session_id.in_(sessions.where(USERS.c.email == email)))
            .values(expires_at=clock.now() - timedelta(seconds=1))
        )


def _typed(tab: Tab, line: str) -> Locator:
    tab.page.keyboard.press("q")
    box = tab.page.get_by_label("What is to be done")
    expect(box).to_be_focused()
    box.fill(line)
    return box


def _log_in(tab: Tab, email: str) -> None:
    tab.page.get_by_label("Email").fill(email)
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_role("button", name="Log in").click()


def _go_offline(visitor: Visitor, *tabs: Tab) -> None:
    visitor.context.set_offline(offline=True)
    for tab in tabs:
        expect(tab.connection).to_have_attribute("data-state", "offline")


def _forgive(visitor: Visitor) -> None:
    visitor.wrong = [each for each in visitor.wrong if not AWAY.match(each)]


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
    _forgive(visitor)


def test_a_session_that_ended_overnight_is_gone_on_with_in_all_tabs(
    visitor: Visitor, system: System
) -> None:
    one = visitor.registered("/all?sort=title")
    other = visitor.tab("/all")
    other.wait_until_live()
    _go_offline(visitor, one, other)
    other.add("Written at night")
    typed = [_typed(tab, "Half a thought") for tab in (one, other)]
    _end_sessions(system, visitor.email)
    visitor.context.set_offline(offline=False)
    for tab in (one, other):
        expect(tab.page.get_by_text("Your session has ended")).to_be_visible()
        expect(tab.page.get_by_text("Written at night")).to_have_count(0)
        expect(tab.page.get_by_label("Email")).to_have_value(visitor.email)

    _log_in(one, visitor.email)

    expect(one.page).to_have_url(f"{visitor.url}/all?sort=title")
    expect(other.page).to_have_url(f"{visitor.url}/all")
    for tab, box in zip((one, other), typed, strict=True):
        expect(box).to_have_value("Half a thought")
        expect(tab.row("Written at night")).to_be_visible()
        expect(tab.page.locator(".is-draft")).to_have_count(0)
        tab.wait_until_live()
    one.page.keyboard.press("Enter")
    expect(other.row("Half a thought")).to_be_visible()
    assert sorted(other.titles) == ["Half a thought", "Written at night"]
    _forgive(visitor)


def test_another_user_who_logs_in_then_finds_nothing_of_the_first_who_loses_nothing(
    visitor: Visitor, system: System, stranger: SignedIn
) -> None:
    one = visitor.registered("/tags/secret")
    other = visitor.tab("/all")
    other.wait_until_live()
    _go_offline(visitor, one, other)
    other.add("A secret")
    _typed(one, "A secret to be")
    _end_sessions(system, visitor.email)
    visitor.context.set_offline(offline=False)
    expect(one.page.get_by_text("Your session has ended")).to_be_visible()

    _log_in(one, stranger.email)

    for tab in (one, other):
        expect(tab.page).to_have_url(f"{visitor.url}/")
        tab.wait_until_live()
        assert "secret" not in tab.page.content()
        tab.page.keyboard.press("q")
        expect(tab.page.get_by_label("What is to be done")).to_have_value("")
        tab.page.keyboard.press("Escape")
    with RemoteApi(system, signed_in(system, "login", stranger.email)) as api:
        assert api.request("GET", "tasks").json()["items"] == []
    one.page.get_by_role("button", name="Log out").click()
    _log_in(one, visitor.email)
    with RemoteApi(system, signed_in(system, "login", visitor.email)) as api:

        def check() -> None:
            sent = api.request("GET", "tasks").json()["items"]
            assert [task["title"] for task in sent] == ["A secret"]

        eventually(check, within_s=WITHIN_MS / 1000)
    _forgive(visitor)


def test_what_waits_is_not_sent_as_somebody_else_who_has_the_cookie_now(
    visitor: Visitor, system: System, stranger: SignedIn
) -> None:
    tab = visitor.registered("/all")
    _go_offline(visitor, tab)
    tab.add("A secret")
    expect(tab.page.locator(".is-draft")).to_have_count(1)
    # As by a page that could not tell: of another version, or without a channel.
    credentials = {"email": stranger.email, "password": PASSWORD}
    assert visitor.context.request.post("/api/auth/login", data=credentials).ok

    visitor.context.set_offline(offline=False)

    expect(tab.page).to_have_url(f"{visitor.url}/")
    tab.wait_until_live()
    assert "A secret" not in tab.page.content()
    with RemoteApi(system, signed_in(system, "login", stranger.email)) as api:
        assert api.request("GET", "tasks").json()["items"] == []
    _forgive(visitor)
