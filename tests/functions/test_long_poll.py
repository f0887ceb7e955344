"""The long-poll: waits for the first message, wakes at once, and holds nothing meanwhile (L4)."""

import time
import uuid
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.push import feed
from taskflow.push.feed import LONG_POLLS_MAX
from taskflow.serving import ended_sessions
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import transaction
from taskflow.storage.transactions import commit_listeners
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_stored_task
from tests.support.database.connection import database_at
from tests.support.database.temporary import a_database
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tokens import a_token, with_token
from tests.support.polling import eventually

LONG_S = 50
SOON_S = 20
"""Much less than LONG_S: whoever answers in this time was woken."""

Poll = Callable[[SignedIn, str], "Future[dict[str, Any]]"]


@pytest.fixture(autouse=True, scope="module")
def own_database(database: EmbeddedPostgres) -> Generator[str]:
    with a_database(database) as url:
        yield url


@pytest.fixture
def user(own_database: str) -> SignedIn:  # noqa: ARG001 - it must be there
    return a_user()


@pytest.fixture
def other(own_database: str) -> SignedIn:  # noqa: ARG001 - it must be there
    return a_user()


@pytest.fixture
def poll() -> Generator[Poll]:
    """Return a function that begins a long-poll in the background."""
    with ThreadPoolExecutor(40) as pool:
        yield lambda user, query: pool.submit(polled, user, query)


def polled(user: SignedIn, query: str) -> dict[str, Any]:
    answer = Api(user).get(f"/api/{{user_id}}/events?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json or {}


def seqs(answer: dict[str, Any]) -> Sequence[int]:
    return [message["seq"] for message in answer["items"]]


def wait_for_waiting(count: int) -> None:
    """Wait until so many have begun to wait."""

    def check() -> None:
        channels = feed()._channels.values()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - nothing else tells
        assert sum(len(channel.listeners) for channel in channels) >= count

    eventually(check, within_s=SOON_S)


def test_a_long_poll_is_answered_at_once_with_existing_messages(user: SignedIn) -> None:
    a_stored_task(user.user_id)
    began_s = time.monotonic()

    answer = polled(user, f"since=0&wait={LONG_S}")

    assert (seqs(answer), answer["seq"], answer["resync"]) == ([1, 2], 2, False)
    assert time.monotonic() - began_s < SOON_S


def test_a_long_poll_waits_for_the_first_message_and_is_woken_by_it(
    user: SignedIn, poll: Poll
) -> None:
    began_s = time.monotonic()
    waiting = poll(user, f"since=1&wait={LONG_S}")
    wait_for_waiting(1)
    assert not waiting.done()

    task = a_stored_task(user.user_id)

    answer = waiting.result(SOON_S)
    assert (seqs(answer), answer["seq"], answer["resync"]) == ([2], 2, False)
    assert answer["items"][0]["data"]["id"] == str(task.id)
    assert time.monotonic() - began_s < LONG_S


def test_a_long_poll_without_since_waits_for_the_next_message(user: SignedIn, poll: Poll) -> None:
    waiting = poll(user, f"wait={LONG_S}")
    wait_for_waiting(1)

    a_stored_task(user.user_id)

    assert seqs(waiting.result(SOON_S)) == [2]


def test_a_long_poll_whose_session_ends_meanwhile_gets_no_message(
    own_database: str,  # noqa: ARG001 - it must be there
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ended_sessions, "LOOK_EVERY_S", 0)
    account = {"email": f"{uuid.uuid4()}@example.com", "password": "a long password"}
    signed_in = content(Api().post("/api/auth/register", account))
    bearer = {"Authorization": f"Bearer {signed_in['access_token']}"}
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(Api().get, f"/api/events?since=1&wait={LONG_S}", headers=bearer)
        wait_for_waiting(1)

        assert Api().post("/api/auth/logout", None, headers=bearer).status_code == 204
        a_stored_task(signed_in["user"]["id"])

        assert_refused(waiting.result(SOON_S), 401, "invalid-token")


def test_a_long_poll_whose_token_expires_meanwhile_gets_no_message(
    user: SignedIn, set_clock: Callable[[datetime], None]
) -> None:
    brief = Api(with_token(user, a_token(user.user_id)))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(brief.get, f"/api/events?since=1&wait={LONG_S}")
        wait_for_waiting(1)

        set_clock(clock.now() + timedelta(minutes=2))
        a_stored_task(user.user_id)

        assert_refused(waiting.result(SOON_S), 401, "invalid-token")


def test_a_commit_without_a_notification_wakes_a_long_poll(user: SignedIn, poll: Poll) -> None:
    waiting = poll(user, f"since=1&wait={LONG_S}")
    wait_for_waiting(1)
    # As another replica would: this process announces nothing.
    with commit_listeners.replaced_by([]):
        a_stored_task(user.user_id)

    assert seqs(waiting.result(SOON_S)) == [2]


def test_a_long_poll_without_messages_is_answered_empty_and_not_early(
    user: SignedIn, other: SignedIn, poll: Poll
) -> None:
    began_s = time.monotonic()
    waiting = poll(user, "since=1&wait=1.2")
    wait_for_waiting(1)

    a_stored_task(other.user_id)

    assert waiting.result(SOON_S) == {"items": [], "seq": 1, "resync": False}
    assert time.monotonic() - began_s >= 1.2


def test_a_long_poll_with_a_since_beyond_the_newest_does_not_wait(user: SignedIn) -> None:
    began_s = time.monotonic()

    answer = polled(user, f"since=7&wait={LONG_S}")

    assert answer == {"items": [], "seq": 1, "resync": True}
    assert time.monotonic() - began_s < SOON_S


def test_all_long_polls_of_a_user_are_woken_and_no_others(
    user: SignedIn, other: SignedIn, poll: Poll
) -> None:
    waiting = [poll(user, f"since=1&wait={LONG_S}") for _ in range(10)]
    elsewhere = poll(other, "since=1&wait=3")
    wait_for_waiting(11)

    a_stored_task(user.user_id)

    assert [seqs(future.result(SOON_S)) for future in waiting] == [[2]] * 10
    assert elsewhere.result(SOON_S)["items"] == []


def test_of_too_many_long_polls_of_a_user_the_oldest_is_answered(
    user: SignedIn, other: SignedIn, poll: Poll
) -> None:
    elsewhere = poll(other, f"since=1&wait={LONG_S}")
    oldest = poll(user, f"since=1&wait={LONG_S}")
    wait_for_waiting(2)
    waiting = [poll(user, f"since=1&wait={LONG_S}") for _ in range(LONG_POLLS_MAX - 1)]
    wait_for_waiting(1 + LONG_POLLS_MAX)
    assert not oldest.done()

    waiting.append(poll(user, f"since=1&wait={LONG_S}"))
    assert oldest.result(SOON_S) == {"items": [], "seq": 1, "resync": False}
    assert not any(future.done() for future in [elsewhere, *waiting])

    for each in (user, other):
        a_stored_task(each.user_id)
    assert [seqs(future.result(SOON_S)) for future in [elsewhere, *waiting]] == [[2]] * (
        1 + LONG_POLLS_MAX
    )


def test_repeated_long_polls_miss_and_double_no_message(user: SignedIn) -> None:
    def follow() -> list[int]:
        seen = [1]
        while seen[-1] < 101:
            seen += seqs(polled(user, f"since={seen[-1]}&wait={LONG_S}"))
        return seen

    with ThreadPoolExecutor(3) as pool:
        followers = [pool.submit(follow) for _ in range(3)]
        for _ in range(100):
            a_stored_task(user.user_id)
        found = [follower.result(LONG_S) for follower in followers]

    assert found == [list(range(1, 102))] * 3


def test_waiting_long_polls_hold_no_connection_to_the_database(
    own_database: str, user: SignedIn, poll: Poll
) -> None:
    users = [user, a_user(), a_user()]
    with database_at(own_database, pool_size=2):
        waiting = [poll(each, f"since=1&wait={LONG_S}") for each in users for _ in range(10)]
        wait_for_waiting(30)

        for _ in range(10):
            assert Api(user).get("/api/settings").status_code == 200
        for each in users:
            a_stored_task(each.user_id)

        assert [seqs(future.result(SOON_S)) for future in waiting] == [[2]] * 30


def test_a_feed_goes_on_after_an_unforeseen_failure(
    user: SignedIn, poll: Poll, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = poll(user, f"since=1&wait={LONG_S}")
    wait_for_waiting(1)
    _run("ALTER TABLE events RENAME TO elsewhere")
    eventually(lambda: _logged(caplog, "the feed failed"), within_s=SOON_S)
    _run("ALTER TABLE elsewhere RENAME TO events")

    a_stored_task(user.user_id)

    assert seqs(waiting.result(SOON_S)) == [2]


def _run(statement: str) -> None:
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(statement))


def _logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    assert [record for record in caplog.records if words in record.getMessage()]


@pytest.mark.parametrize("wait", ["-1", "55.1", "x", "", "inf", "nan", "1e3"])
def test_an_invalid_wait_is_refused(user: SignedIn, wait: str) -> None:
    assert_invalid(Api(user).get(f"/api/{{user_id}}/events?wait={wait}"), "/wait")
