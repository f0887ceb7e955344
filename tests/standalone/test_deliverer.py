"""The deliverer: every event reaches its consumer in order, or the dead letters, and none is lost.

The queue, the post and the database are the real ones; the subscriber at the other end of the
socket is scripted.
"""

import random
import threading
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import EventType
from taskflow.eventing.bindings.knative import RETRIES, backoff
from taskflow.standalone.database_queue import DatabaseQueue
from taskflow.storage import consumer_store, delivery_store, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_stored_task, log_of
from tests.support.delivery.deliverers import (
    ALL_TYPES,
    SINK,
    attempts,
    delivering,
    mark_up_to_date,
    progress_of,
    wait_for_attempts,
)
from tests.support.delivery.scripted_subscriber import (
    NO_CONTENT,
    Delivered,
    HangUp,
    Script,
    ScriptedSubscriber,
    listening,
)
from tests.support.polling import eventually

pytestmark = pytest.mark.usefixtures("own_database", "short_waits")

SOON_S = 30
AGAIN = [404, 408, 409, 429, 500, 502, 503, 504]
NEVER = [301, 400, 401, 403, 405, 410, 413, 415, 422]


@pytest.fixture
def consumer() -> str:
    """Name a consumer to which no event has to be brought yet."""
    name = f"consumer-{uuid4().hex[:8]}"
    mark_up_to_date(name)
    return name


def a_user_with(*titles: str) -> SignedIn:
    """Open an account with these tasks: its stream holds one event more than there are titles."""
    user = a_user()
    for title in titles:
        a_stored_task(user.user_id, title=title)
    return user


def brought(consumer: str, user_id: str, seq: int) -> Callable[[], None]:
    """Return a check that the consumer was brought a user's events up to `seq`."""

    def check() -> None:
        assert progress_of(consumer, user_id) == seq

    return check


def failing(times: int, status: int = 503) -> Script:
    """Make a script that fails each event so many times, and then has the effect."""
    seen: Counter[str] = Counter()

    def script(delivered: Delivered) -> tuple[int, str]:
        seen[delivered.attributes["id"]] += 1
        return (status, "not now") if seen[delivered.attributes["id"]] <= times else NO_CONTENT

    return script


def to_the_consumer(answer: tuple[int, str]) -> Script:
    """Make a script that gives every consumer this answer, and takes every dead letter."""
    return lambda delivered: NO_CONTENT if delivered.subscriber == SINK else answer


# Where it begins


def test_a_consumer_that_starts_now_is_brought_no_older_event(
    served: Path, subscriber: ScriptedSubscriber
) -> None:
    old, name = a_user_with("a", "b"), f"consumer-{uuid4().hex[:8]}"
    with transaction(A_CAUSE) as tx:
        consumer_store.start(tx, name, "now", now=clock.now())
    a_stored_task(old.user_id)
    new = a_user_with("a")

    with delivering(served, name):
        eventually(brought(name, old.user_id, 4), within_s=SOON_S)
        eventually(brought(name, new.user_id, 2), within_s=SOON_S)

    delivered = subscriber.received(name)
    assert sorted((one.user_id, one.seq) for one in delivered) == sorted(
        [(old.user_id, 4), (new.user_id, 1), (new.user_id, 2)]
    )


def test_a_consumer_that_starts_at_the_beginning_is_brought_all_older_events(
    served: Path, subscriber: ScriptedSubscriber
) -> None:
    user, name = a_user_with("a", "b"), f"consumer-{uuid4().hex[:8]}"
    with transaction(A_CAUSE) as tx:
        consumer_store.start(tx, name, "beginning", now=clock.now())

    with delivering(served, name):
        eventually(brought(name, user.user_id, 3), within_s=SOON_S)

    assert subscriber.seqs(name, user.user_id) == [1, 2, 3]


# What gets through


def test_every_event_is_brought_once_in_order(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    users = [a_user_with("a", "b", "c", "d") for _ in range(5)]

    with delivering(served, consumer):
        for user in users:
            eventually(brought(consumer, user.user_id, 5), within_s=SOON_S)

    for user in users:
        assert subscriber.seqs(consumer, user.user_id) == [1, 2, 3, 4, 5]


def test_an_event_comes_as_a_cloud_event_with_the_record_as_its_body(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    user = a_user_with("Zażółć 🐘")

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 2), within_s=SOON_S)

    event = log_of(user.user_id)[1]
    delivered = subscriber.received(consumer, user.user_id)[1]
    assert delivered.body.decode() == event.record_json()
    # As Kafka would bring it, but without a place there.
    assert delivered.attributes == attributes_of(event)
    assert delivered.attributes["type"] == "task.created"
    assert delivered.attributes["userid"] == user.user_id
    assert delivered.attributes["correlationid"] == A_CAUSE.correlation_id
    assert A_CAUSE.origin.encode() not in delivered.body
    assert A_CAUSE.origin not in delivered.attributes.values()


def test_an_event_of_a_type_that_the_consumer_does_not_take_is_not_sent(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    user = a_user_with("a", "b")

    with delivering(served, consumer, types={EventType.USER_REGISTERED.value}):
        eventually(brought(consumer, user.user_id, 3), within_s=SOON_S)

    assert subscriber.seqs(consumer, user.user_id) == [1]


def test_a_notification_of_a_commit_brings_its_user_events_alone(
    served: Path, subscriber: ScriptedSubscriber, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.standalone.database_queue.CHECK_S", 3600)
    user, other = a_user(), a_user()
    queue = DatabaseQueue(consumer, ALL_TYPES)
    with delivering(served, consumer, queue):
        eventually(brought(consumer, user.user_id, 1), within_s=SOON_S)
        a_stored_task(user.user_id)
        a_stored_task(other.user_id)

        queue.notify({user.user_id: 2})

        eventually(brought(consumer, user.user_id, 2), within_s=SOON_S)

    assert subscriber.seqs(consumer, other.user_id) == [1]


def test_more_users_than_lanes_are_brought_their_events_without_a_pause(
    served: Path, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.standalone.deliverer.LANES_MAX", 8)
    # No second look at everyone: those who are left out of the first must not wait for it.
    monkeypatch.setattr("taskflow.standalone.database_queue.CHECK_S", 3600)
    users = [a_user() for _ in range(40)]

    with delivering(served, consumer):
        for user in users:
            eventually(brought(consumer, user.user_id, 1), within_s=SOON_S)


def test_a_restarted_consumer_goes_on_where_it_was(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    user = a_user_with("a")
    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 2), within_s=SOON_S)
    a_stored_task(user.user_id)

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 3), within_s=SOON_S)

    assert subscriber.seqs(consumer, user.user_id) == [1, 2, 3]


def test_an_event_asked_for_again_is_brought_again_once(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    user = a_user_with("a", "b")
    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 3), within_s=SOON_S)
        with transaction(A_CAUSE) as tx:
            delivery_store.request_redeliveries(tx, consumer, [(user.user_id, 2)], now=clock.now())
        eventually(lambda: _assert_redeliveries(consumer, []), within_s=SOON_S)

    assert subscriber.seqs(consumer, user.user_id) == [1, 2, 3, 2]
    _, first, _, again = subscriber.received(consumer, user.user_id)
    assert (again.attributes, again.body) == (first.attributes, first.body)
    assert progress_of(consumer, user.user_id) == 3


def _assert_redeliveries(consumer: str, expected: Sequence[int]) -> None:
    with transaction(A_CAUSE) as tx:
        found = delivery_store.redeliveries(tx, consumer, limit=10)
    assert [event.seq for event in found] == list(expected)


# What fails


def test_a_delivery_that_succeeds_after_five_failures_is_no_dead_letter(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    subscriber.script = failing(5)
    user = a_user()

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 1), within_s=SOON_S)

    assert subscriber.seqs(consumer, user.user_id) == [1] * 6
    assert subscriber.received(SINK) == []
    assert attempts(consumer, "again") == 5
    assert attempts(consumer, "done") == 1


def test_retries_come_at_growing_intervals(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    subscriber.script = failing(RETRIES)
    user = a_user()

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 1), within_s=SOON_S)

    times_s = [delivered.at_s for delivered in subscriber.received(consumer)]
    waits_s = [later_s - sooner_s for sooner_s, later_s in pairwise(times_s)]
    assert len(waits_s) == RETRIES
    for attempt, wait_s in enumerate(waits_s, start=1):
        assert wait_s >= backoff(attempt).total_seconds()


def test_a_delivery_with_a_passing_failure_is_tried_again(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    users = {a_user().user_id: status for status in AGAIN}
    seen: Counter[str] = Counter()

    def script(delivered: Delivered) -> tuple[int, str]:
        seen[delivered.user_id] += 1
        return (users[delivered.user_id], "") if seen[delivered.user_id] < 3 else NO_CONTENT

    subscriber.script = script

    with delivering(served, consumer):
        for user_id in users:
            eventually(brought(consumer, user_id, 1), within_s=SOON_S)

    for user_id in users:
        assert subscriber.seqs(consumer, user_id) == [1, 1, 1]
    assert subscriber.received(SINK) == []


def test_an_event_that_always_fails_goes_to_the_dead_letters_after_all_retries(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    subscriber.script = to_the_consumer((503, "the mail server is away"))
    user = a_user()

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 1), within_s=SOON_S)

    tried = subscriber.received(consumer)
    [letter] = subscriber.received(SINK)
    assert len(tried) == RETRIES + 1
    assert letter.body == tried[0].body
    assert letter.attributes == {
        **tried[0].attributes,
        "knativeerrordest": f"http://{consumer}.taskflow.svc.cluster.local",
        "knativeerrorcode": "503",
        "knativeerrordata": b64encode(b"the mail server is away").decode(),
    }
    assert attempts(consumer, "dead") == 1


def test_a_refused_event_goes_to_the_dead_letters_at_once(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    users = {a_user().user_id: status for status in NEVER}
    subscriber.script = lambda delivered: (
        NO_CONTENT if delivered.subscriber == SINK else (users[delivered.user_id], "Zażółć\nnever")
    )

    with delivering(served, consumer):
        for user_id in users:
            eventually(brought(consumer, user_id, 1), within_s=SOON_S)

    for user_id, status in users.items():
        [letter] = subscriber.received(SINK, user_id)
        assert subscriber.seqs(consumer, user_id) == [1]
        assert letter.attributes["knativeerrorcode"] == str(status)
        assert b64decode(letter.attributes["knativeerrordata"]).decode() == "Zażółć\nnever"


def test_the_sink_is_brought_as_much_of_a_large_body_as_it_takes(
    served: Path, subscriber: ScriptedSubscriber, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.standalone.deliverer.BODY_MAX_BYTES", 100)
    subscriber.script = to_the_consumer((413, "too large"))
    user = a_user()

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 1), within_s=SOON_S)

    [tried], [letter] = subscriber.received(consumer), subscriber.received(SINK)
    assert letter.body == tried.body[:100]


def test_a_consumer_that_hangs_is_given_up_and_tried_again(
    served: Path, subscriber: ScriptedSubscriber, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.standalone.sender.TIMEOUT", timedelta(seconds=0.2))
    released, hangs = threading.Event(), iter([True, True])

    def script(_: Delivered) -> tuple[int, str]:
        if next(hangs, False):
            released.wait(SOON_S)
        return NO_CONTENT

    subscriber.script = script
    user = a_user()

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 1), within_s=SOON_S)
    released.set()

    assert subscriber.seqs(consumer, user.user_id) == [1, 1, 1]
    assert subscriber.received(SINK) == []
    assert attempts(consumer, "again") == 2


def test_a_consumer_that_hangs_up_is_tried_again(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    hangs_up = iter([True, True])

    def script(_: Delivered) -> tuple[int, str]:
        if next(hangs_up, False):
            raise HangUp
        return NO_CONTENT

    subscriber.script = script
    user = a_user()

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 1), within_s=SOON_S)

    assert subscriber.seqs(consumer, user.user_id) == [1, 1, 1]
    assert subscriber.received(SINK) == []


def test_a_delivery_without_a_listener_is_tried_again_until_there_is_one(
    subscriber: ScriptedSubscriber, socket_path: Path, consumer: str
) -> None:
    user = a_user_with("a")

    with delivering(socket_path, consumer):
        wait_for_attempts(consumer, "again", 3)
        with listening(subscriber, socket_path):
            eventually(brought(consumer, user.user_id, 2), within_s=SOON_S)

    assert subscriber.seqs(consumer, user.user_id) == [1, 2]
    assert subscriber.received(SINK) == []


def test_an_answer_longer_than_is_read_disturbs_no_later_delivery(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    subscriber.script = to_the_consumer((400, "x" * 200_000))
    user = a_user_with("a", "b")

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 3), within_s=SOON_S)

    assert subscriber.seqs(consumer, user.user_id) == [1, 2, 3]
    assert subscriber.seqs(SINK, user.user_id) == [1, 2, 3]
    assert attempts(consumer, "again") == 0


# The dead letter sink fails too


def test_a_dead_letter_that_the_sink_does_not_take_is_never_lost(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    takes = threading.Event()

    def script(delivered: Delivered) -> tuple[int, str]:
        if delivered.subscriber == SINK:
            return NO_CONTENT if takes.is_set() else (503, "full")
        return 400, "never"

    subscriber.script = script
    user = a_user_with("a")

    with delivering(served, consumer):
        eventually(lambda: _tried(subscriber, SINK, 6), within_s=SOON_S)
        assert progress_of(consumer, user.user_id) == 0
        takes.set()
        eventually(brought(consumer, user.user_id, 2), within_s=SOON_S)

    letters = subscriber.seqs(SINK, user.user_id)
    assert letters == [1] * (len(letters) - 1) + [2]
    assert subscriber.seqs(consumer, user.user_id) == [1, 2]


def test_a_dead_letter_that_was_not_taken_before_a_stop_is_sent_after_it(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    subscriber.script = lambda _: (400, "never")
    user = a_user()
    with delivering(served, consumer):
        eventually(lambda: _tried(subscriber, SINK, 2), within_s=SOON_S)
    subscriber.script = to_the_consumer((400, "never"))

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 1), within_s=SOON_S)

    assert subscriber.received(SINK)[-1].seq == 1


def test_an_event_that_fails_while_all_is_down_has_its_effect_when_all_is_up_again(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    """Consumers and the sink share a process and a database, so both fail together."""
    is_up = threading.Event()
    subscriber.script = lambda delivered: (
        NO_CONTENT if is_up.is_set() and delivered.subscriber == consumer else (503, "not now")
    )
    user = a_user_with("a")

    with delivering(served, consumer):
        eventually(lambda: _tried(subscriber, SINK, 2), within_s=SOON_S)
        is_up.set()
        eventually(brought(consumer, user.user_id, 2), within_s=SOON_S)

    assert attempts(consumer, "done") == 2
    assert attempts(consumer, "dead") == 0


def _tried(subscriber: ScriptedSubscriber, name: str, count: int) -> None:
    assert len(subscriber.received(name)) >= count


# Order, and who waits for whom


def test_the_order_of_a_users_events_is_kept_through_failures_of_all_kinds(
    served: Path, subscriber: ScriptedSubscriber, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.standalone.sender.TIMEOUT", timedelta(seconds=0.2))
    rng, released = random.Random(20261123), threading.Event()
    effects: dict[str, list[int]] = {}

    def script(delivered: Delivered) -> tuple[int, str]:
        how = rng.random()
        if how < 0.05:
            released.wait(SOON_S)
        if how < 0.15:
            raise HangUp
        if how < 0.45:
            return rng.choice(AGAIN), "not now"
        effects.setdefault(delivered.user_id, []).append(delivered.seq)
        return (400, "never") if how < 0.6 and delivered.subscriber != SINK else NO_CONTENT

    subscriber.script = script
    users = [a_user_with(*"abcdefghi") for _ in range(6)]

    with delivering(served, consumer):
        for user in users:
            eventually(brought(consumer, user.user_id, 10), within_s=SOON_S)
    released.set()

    for user in users:
        assert list(dict.fromkeys(effects[user.user_id])) == list(range(1, 11))
        tried = subscriber.seqs(consumer, user.user_id)
        assert tried == sorted(tried), "one was tried before the one before it was settled"


def test_a_user_whose_event_fails_holds_up_no_other_user(
    served: Path, subscriber: ScriptedSubscriber, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.eventing.bindings.knative.BACKOFF_DELAY", timedelta(hours=1))
    unlucky, lucky = [a_user() for _ in range(20)], [a_user_with("a", "b") for _ in range(20)]
    failing_ids = {user.user_id for user in unlucky}
    subscriber.script = lambda delivered: (
        (503, "not now") if delivered.user_id in failing_ids else NO_CONTENT
    )

    with delivering(served, consumer):
        for user in lucky:
            eventually(brought(consumer, user.user_id, 3), within_s=SOON_S)

    for user in unlucky:
        assert subscriber.seqs(consumer, user.user_id) == [1]
        assert progress_of(consumer, user.user_id) == 0


def test_a_consumer_that_hangs_holds_up_no_other_consumer(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    mark_up_to_date("hanging")
    released = threading.Event()

    def script(delivered: Delivered) -> tuple[int, str]:
        if delivered.subscriber == "hanging":
            released.wait(SOON_S)
        return NO_CONTENT

    subscriber.script = script
    users = [a_user_with("a", "b") for _ in range(20)]

    with delivering(served, "hanging"), delivering(served, consumer):
        for user in users:
            eventually(brought(consumer, user.user_id, 3), within_s=SOON_S)
        assert [progress_of("hanging", user.user_id) for user in users] == [0] * 20
        released.set()


# Stops and failures of our own


def test_events_left_by_a_stop_are_brought_after_it_and_none_twice(
    served: Path, subscriber: ScriptedSubscriber, consumer: str
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def script(_: Delivered) -> tuple[int, str]:
        begun.set()
        go_on.wait(SOON_S)
        return NO_CONTENT

    subscriber.script = script
    user = a_user_with("a", "b", "c")
    with delivering(served, consumer) as running:
        assert begun.wait(SOON_S)
        for deliverer in running.deliverers:
            deliverer.stop()
        go_on.set()
    assert progress_of(consumer, user.user_id) == 1

    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 4), within_s=SOON_S)

    assert subscriber.seqs(consumer, user.user_id) == [1, 2, 3, 4]


def test_a_stop_does_not_wait_for_retries(
    served: Path, subscriber: ScriptedSubscriber, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.eventing.bindings.knative.BACKOFF_DELAY", timedelta(hours=1))
    subscriber.script = lambda _: (503, "not now")
    a_user()

    with delivering(served, consumer) as running:
        wait_for_attempts(consumer, "again", 1)
        running.stop()

    assert not any(thread.is_alive() for thread in running.threads)


def test_a_source_with_an_unforeseen_failure_is_asked_again(
    served: Path, subscriber: ScriptedSubscriber, consumer: str, caplog: pytest.LogCaptureFixture
) -> None:
    user = a_user()
    with delivering(served, consumer):
        eventually(brought(consumer, user.user_id, 1), within_s=SOON_S)
        _run("ALTER TABLE deliveries RENAME TO elsewhere")
        eventually(lambda: _logged(caplog, consumer), within_s=SOON_S)
        _run("ALTER TABLE elsewhere RENAME TO deliveries")
        a_stored_task(user.user_id)

        eventually(brought(consumer, user.user_id, 2), within_s=SOON_S)

    assert subscriber.seqs(consumer, user.user_id) == [1, 2]


def _run(statement: str) -> None:
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(statement))


def _logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    assert [record for record in caplog.records if words in record.getMessage()]
