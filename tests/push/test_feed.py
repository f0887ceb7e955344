"""The feed: committed events reach their sockets, once and in order (L3 to L7)."""

import json
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

import pytest
from simple_websocket import ConnectionClosed

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.tasks import Task
from taskflow.push import feed
from taskflow.push.connection import CloseCode, Connection
from taskflow.push.feed import CHECK_S, LOOK_S, READ_ATTEMPTS, Feed, KafkaEvent
from taskflow.push.websocket import whole_sends
from taskflow.storage import DatabaseUnavailable, Transaction, events, run, transaction
from taskflow.storage.transactions import commit_listeners
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import a_draft, a_stored_task, log_of
from tests.support.database.connection import NOWHERE, database_at, lose_all_connections
from tests.support.network.sockets import Message, close_code, receive, receive_up_to, seqs
from tests.support.network.websocket_pair import WebSocketPair, a_websocket_pair
from tests.support.polling import eventually

WAIT_S = 10
SOON_S = CHECK_S / 2
POLL_S = 0.02

MODULE = sys.modules[Feed.__module__]
"""Its package gives the name to the feed of the process."""


@contextmanager
def _following(feed: Feed, user: SignedIn, *, since: int | None = None) -> Generator[WebSocketPair]:
    """Follow a user by a socket of one's own, the first message of which is read."""
    with _connected(feed, user, since=since) as pair:
        assert receive(pair.client)["type"] == "task.sync"
        yield pair


@contextmanager
def _connected(feed: Feed, user: SignedIn, *, since: int | None = None) -> Generator[WebSocketPair]:
    with a_websocket_pair() as pair:
        connection = Connection(
            pair.server, clock.now() + timedelta(hours=1), lambda _: CloseCode.BAD_TOKEN
        )

        def stream() -> None:
            with suppress(ConnectionClosed):
                feed.stream(user.user_id, since, connection)

        thread = threading.Thread(target=stream)
        thread.start()
        yield pair
        connection.close_soon(CloseCode.SERVICE_RESTART)
        thread.join(WAIT_S)
        assert not thread.is_alive()


def _append_one(tx: Transaction, user: SignedIn) -> Task:
    task, happened = tasks.create(a_draft(), user_id=user.user_id, now=clock.now())
    events.append(tx, happened)
    return task


def _heard_within(pair: WebSocketPair, within_s: float) -> list[Message]:
    found: list[Message] = []
    deadline_s = time.monotonic() + within_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        try:
            found.append(json.loads(pair.client.recv(timeout=left_s)))
        except TimeoutError:
            break
    return found


def test_an_event_with_a_notification_is_heard_at_once(user: SignedIn) -> None:
    feed = Feed(poll_s=0)
    with _following(feed, user) as pair:
        task = a_stored_task(user.user_id)

        feed.notify({user.user_id: 2})

        message = receive(pair.client, within_s=SOON_S)
    assert (message["seq"], message["data"]["id"]) == (2, str(task.id))


def test_an_event_without_a_notification_is_heard_at_the_next_check(user: SignedIn) -> None:
    with _following(Feed(poll_s=0), user) as pair:
        a_stored_task(user.user_id)

        assert receive(pair.client, within_s=3 * CHECK_S)["seq"] == 2


def test_a_polling_feed_hears_all_commits_at_once(user: SignedIn, other: SignedIn) -> None:
    feed = Feed(poll_s=POLL_S)
    with _following(feed, user) as mine, _following(feed, other) as theirs:
        # What is committed before its first poll, the feed hears of by its check.
        a_stored_task(user.user_id)
        receive(mine.client)
        for number in range(20):
            a_stored_task((user if number % 2 else other).user_id)
            began_s = time.monotonic()
            receive((mine if number % 2 else theirs).client)
            assert time.monotonic() - began_s < SOON_S


def test_a_poll_finds_an_event_that_commits_after_a_later_one(
    user: SignedIn, other: SignedIn
) -> None:
    """The older position becomes visible last: what a poll has seen is looked at again."""
    feed = Feed(poll_s=POLL_S)
    with _following(feed, user) as mine, _following(feed, other) as theirs:
        with transaction(A_CAUSE) as slow:
            task = _append_one(slow, user)
            a_stored_task(other.user_id)
            assert receive(theirs.client)["seq"] == 2
        began_s = time.monotonic()

        message = receive(mine.client)

        assert time.monotonic() - began_s < SOON_S
    assert (message["seq"], message["data"]["id"]) == (2, str(task.id))


@pytest.mark.parametrize(
    "newest", [[2, 2, 2], [1, 2, 1], [99, 2], [2, 99, 99], [0, -1, 2]], ids=str
)
def test_notifications_that_are_doubled_late_or_wrong_change_nothing(
    user: SignedIn, newest: list[int]
) -> None:
    feed = Feed(poll_s=0)
    with _following(feed, user) as pair:
        a_stored_task(user.user_id)
        for seq in newest:
            feed.notify({user.user_id: seq, "nobody": 7})
        first = _heard_within(pair, SOON_S)
        a_stored_task(user.user_id)
        feed.notify({user.user_id: 3})
        second = _heard_within(pair, SOON_S)

    assert (seqs(first), seqs(second)) == ([2], [3])


def test_all_sockets_of_a_user_hear_its_messages_and_those_of_others_none(
    user: SignedIn, other: SignedIn
) -> None:
    feed = Feed(poll_s=0)
    with (
        _following(feed, user) as one,
        _following(feed, user, since=0) as two,
        _following(feed, other) as theirs,
    ):
        for number in range(5):
            a_stored_task(user.user_id)
            feed.notify({user.user_id: number + 2})
        found = [receive_up_to(one.client, 6), receive_up_to(two.client, 6)]
        nothing = _heard_within(theirs, 2 * CHECK_S)

    assert [seqs(messages) for messages in found] == [[2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]]
    assert found[0] == found[1][1:]
    assert nothing == []


def test_sockets_that_connect_while_events_are_written_miss_and_double_no_message(
    user: SignedIn,
) -> None:
    feed = Feed(poll_s=0)

    def write() -> None:
        for number in range(100):
            a_stored_task(user.user_id)
            feed.notify({user.user_id: number + 2})

    writing = threading.Thread(target=write)
    writing.start()
    found: list[list[int]] = []
    while len(found) < 20:
        with _following(feed, user, since=0) as pair:
            found.append(seqs(receive_up_to(pair.client, min(101, 5 * len(found) + 1))))
    writing.join(WAIT_S)

    assert all(run == list(range(1, len(run) + 1)) for run in found)


def test_sockets_that_read_nothing_hold_up_only_the_resumes_of_their_own_user(
    user: SignedIn, other: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "RESUMING_MAX", 1)
    monkeypatch.setattr(MODULE, "LOOK_S", 0.05)
    feed = Feed(poll_s=0)
    for _ in range(30):
        a_stored_task(user.user_id, description="x" * 10_000)

    with a_websocket_pair(buffer_bytes=4096) as deaf, a_websocket_pair() as second:
        threads = [
            threading.Thread(target=_until_it_closes, args=(feed, pair, user.user_id), daemon=True)
            for pair in (deaf, second)
        ]
        threads[0].start()
        eventually(lambda: _is_blocked(deaf))
        threads[1].start()
        with _following(feed, user), _following(feed, other, since=0) as theirs:
            assert receive(theirs.client)["seq"] == 1
        with pytest.raises(TimeoutError):
            second.client.recv(timeout=SOON_S)

        whole_sends(deaf.server).abort()

        assert receive(second.client)["type"] == "task.sync"
        assert seqs(receive_up_to(second.client, 31)) == list(range(1, 32))
        whole_sends(second.server).abort()
        for thread in threads:
            thread.join(WAIT_S)


def _until_it_closes(feed: Feed, pair: WebSocketPair, user_id: str) -> None:
    connection = Connection(
        pair.server, clock.now() + timedelta(hours=1), lambda _: CloseCode.BAD_TOKEN
    )
    with suppress(ConnectionClosed, OSError):
        feed.stream(user_id, 0, connection)


def _is_blocked(pair: WebSocketPair) -> None:
    since_s = whole_sends(pair.server).sending_since_s
    assert since_s is not None
    assert clock.monotonic_s() - since_s > SOON_S / 2


def test_a_long_poll_is_woken_by_new_messages_alone(user: SignedIn, other: SignedIn) -> None:
    feed = Feed(poll_s=0)
    returned = threading.Event()

    def wait() -> None:
        feed.wait_for_news(user.user_id, 1, WAIT_S)
        returned.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    a_stored_task(other.user_id)
    feed.notify({other.user_id: 2})
    too_early = returned.wait(0.2)
    a_stored_task(user.user_id)
    feed.notify({user.user_id: 2})

    assert not too_early
    assert returned.wait(SOON_S)
    waiting.join(WAIT_S)


def test_a_long_poll_that_is_behind_does_not_wait(user: SignedIn) -> None:
    began_s = time.monotonic()

    Feed(poll_s=0).wait_for_news(user.user_id, 0, WAIT_S)

    assert time.monotonic() - began_s < SOON_S


def test_a_long_poll_waits_no_longer_than_the_given_time(user: SignedIn) -> None:
    began_s = time.monotonic()

    Feed(poll_s=0).wait_for_news(user.user_id, 1, 0.2)

    assert 0.2 <= time.monotonic() - began_s < WAIT_S


def test_a_draining_feed_sends_away_all_sockets_and_those_who_come_later(user: SignedIn) -> None:
    feed = Feed(poll_s=0)
    with _following(feed, user) as pair:
        feed.drain()

        assert close_code(pair.client) == CloseCode.SERVICE_RESTART
        with _following(feed, user) as late:
            assert close_code(late.client) == CloseCode.SERVICE_RESTART


def test_a_feed_outlives_the_loss_of_its_connections(user: SignedIn) -> None:
    feed = Feed(poll_s=POLL_S)
    with _following(feed, user) as pair:
        for seq in (2, 3):
            lose_all_connections()
            run(lambda tx: _append_one(tx, user), A_CAUSE)

            assert receive(pair.client)["seq"] == seq


def test_sockets_that_come_while_the_log_cannot_be_read_stay_open_and_miss_nothing(
    user: SignedIn,
) -> None:
    feed = Feed(poll_s=POLL_S)
    with ExitStack() as stack:
        with database_at(NOWHERE):
            new = stack.enter_context(_connected(feed, user))
            resumed = stack.enter_context(_connected(feed, user, since=0))
            assert _heard_within(new, 2 * LOOK_S) == _heard_within(resumed, LOOK_S / 10) == []
        a_stored_task(user.user_id)

        first, second = receive(new.client), receive(resumed.client)
        assert (first["type"], second["type"]) == ("task.sync", "task.sync")
        assert [message["seq"] for message in receive_up_to(resumed.client, 2)] == [1, 2]
        if first["seq"] < 2:
            assert receive(new.client)["seq"] == 2


def test_a_socket_that_waits_for_the_log_is_closed_as_any_other(user: SignedIn) -> None:
    feed = Feed(poll_s=0)
    with database_at(NOWHERE), _connected(feed, user, since=0) as pair:
        assert _heard_within(pair, 2 * LOOK_S) == []

        feed.drain()

        assert close_code(pair.client) == CloseCode.SERVICE_RESTART


def test_a_socket_whose_log_alone_cannot_be_read_is_refused_after_some_attempts(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, attempts = Feed(poll_s=POLL_S), list[str]()

    def newest_seq(_tx: Transaction, user_id: str) -> int:
        attempts.append(user_id)
        raise DatabaseUnavailable

    monkeypatch.setattr(MODULE, "LOOK_S", POLL_S)
    monkeypatch.setattr(MODULE.events, "newest_seq", newest_seq)
    with a_websocket_pair() as pair:
        connection = Connection(
            pair.server, clock.now() + timedelta(hours=1), lambda _: CloseCode.BAD_TOKEN
        )
        with pytest.raises(DatabaseUnavailable):
            feed.stream(user.user_id, 0, connection)

    assert attempts == [user.user_id] * READ_ATTEMPTS


def test_a_feed_without_sockets_sends_no_query(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(poll_s=POLL_S)
    with _following(feed, user) as pair:
        a_stored_task(user.user_id)
        receive(pair.client)
    asked: list[object] = []

    def refuse(*asking: object) -> None:
        asked.append(asking)
        raise DatabaseUnavailable

    monkeypatch.setattr(sys.modules["taskflow.push.feed"], "run", refuse)

    def rests() -> None:
        asked.clear()
        threading.Event().wait(10 * POLL_S)
        assert asked == []

    eventually(rests)


def test_a_feed_without_commits_compares_no_user_with_the_log(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "CHECK_S", POLL_S)
    monkeypatch.setattr(MODULE, "QUIET_AFTER_S", POLL_S)
    compared: list[object] = []
    newest_seqs = events.newest_seqs

    def counted(tx: Transaction, user_ids: Sequence[str]) -> dict[str, int]:
        compared.append(user_ids)
        return newest_seqs(tx, user_ids)

    monkeypatch.setattr(events, "newest_seqs", counted)

    def rests() -> None:
        compared.clear()
        threading.Event().wait(10 * POLL_S)
        assert compared == []

    with _following(Feed(poll_s=0), user) as pair:
        for seq in (2, 3):
            eventually(rests)
            a_stored_task(user.user_id)

            assert receive(pair.client)["seq"] == seq


def _from_kafka(user: SignedIn, *seqs: int) -> list[KafkaEvent]:
    """Return the user's events as Kafka would bring them."""
    by_seq = {event.seq: event for event in log_of(user.user_id)}
    return [KafkaEvent(user.user_id, seq, by_seq[seq].message_json()) for seq in seqs]


def test_a_message_from_kafka_is_heard_without_reading_the_log(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(poll_s=0)
    with _following(feed, user) as pair:
        a_stored_task(user.user_id)
        a_stored_task(user.user_id)
        brought = _from_kafka(user, 2, 3)
        with monkeypatch.context() as patch:
            patch.setattr(events, "after_each", _no_log)

            feed.receive(brought)

            assert seqs([receive(pair.client), receive(pair.client)]) == [2, 3]


def _no_log(*_: object, **__: object) -> None:
    message = "the log was asked"
    raise AssertionError(message)


@pytest.mark.parametrize(
    "order", [[2, 3, 4, 5], [5, 4, 3, 2], [3, 2, 2, 5, 4, 3], [2, 2, 2, 5], [5], [4, 2]], ids=str
)
def test_messages_that_kafka_doubles_or_leaves_out_are_heard_once_and_in_order(
    user: SignedIn, order: list[int]
) -> None:
    feed = Feed(poll_s=0)
    with _following(feed, user) as pair:
        for _ in range(4):
            a_stored_task(user.user_id)

        for brought in _from_kafka(user, *order):
            feed.receive([brought])

        # The last may come by the check alone: nothing says that it is missing.
        found = receive_up_to(pair.client, 5)
        nothing = _heard_within(pair, SOON_S)
    assert (seqs(found), nothing) == ([2, 3, 4, 5], [])


def test_messages_of_two_topics_that_arrive_out_of_order_need_no_read_of_the_log(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["taskflow.push.feed"], "GRACE_S", CHECK_S)
    feed = Feed(poll_s=0)
    with _following(feed, user) as pair:
        for _ in range(3):
            a_stored_task(user.user_id)
        began_s = time.monotonic()

        feed.receive(_from_kafka(user, 3, 4))
        feed.receive(_from_kafka(user, 2))

        assert seqs(receive_up_to(pair.client, 4)) == [2, 3, 4]
        assert time.monotonic() - began_s < SOON_S


def test_early_messages_that_are_too_large_to_keep_are_read_from_the_log(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "EARLY_MAX_BYTES", 1)
    feed = Feed(poll_s=0)
    with _following(feed, user) as pair:
        for _ in range(3):
            a_stored_task(user.user_id)
        texts = {event.seq: event.message_json() for event in log_of(user.user_id)}

        feed.receive([KafkaEvent(user.user_id, seq, texts[seq]) for seq in (4, 3, 2)])

        assert seqs(receive_up_to(pair.client, 4, within_s=SOON_S)) == [2, 3, 4]


def test_an_event_whose_record_in_kafka_is_not_ours_is_read_from_the_log(user: SignedIn) -> None:
    feed = Feed(poll_s=0)
    with _following(feed, user) as pair:
        task = a_stored_task(user.user_id)

        feed.receive([KafkaEvent(user.user_id, 2, None), KafkaEvent("nobody", 7, "{}")])

        message = receive(pair.client, within_s=SOON_S)
    assert message["data"]["id"] == str(task.id)


def test_a_polling_feed_reads_the_log_only_while_kafka_brings_nothing(
    user: SignedIn,
) -> None:
    feed = Feed(poll_s=POLL_S)
    with _following(feed, user) as pair:
        a_stored_task(user.user_id)
        receive(pair.client)
        a_stored_task(user.user_id)
        feed.receive(_from_kafka(user, 3))
        receive(pair.client)

        # Now Kafka is silent: the check finds the first, and then the log is followed again.
        a_stored_task(user.user_id)
        receive(pair.client, within_s=3 * CHECK_S)
        eventually(lambda: _follows_the_log(feed), within_s=3 * CHECK_S)
        a_stored_task(user.user_id)
        began_s = time.monotonic()
        receive(pair.client)
        assert time.monotonic() - began_s < SOON_S

        feed.receive(_from_kafka(user, 3, 4, 5))
        assert _heard_within(pair, SOON_S) == []


def _follows_the_log(feed: Feed) -> None:
    assert not feed.reads_kafka


def test_a_closed_feed_of_a_process_reads_no_more_and_is_notified_of_no_commit(
    user: SignedIn,
) -> None:
    before = set(threading.enumerate())
    with feed.renewed():
        made = feed()
        with _following(made, user) as pair:
            a_stored_task(user.user_id)
            assert receive(pair.client)["type"] == "task.created"
        assert made.notify in commit_listeners()

    def check() -> None:
        assert not set(threading.enumerate()) - before

    eventually(check)
    assert made.notify not in commit_listeners()
