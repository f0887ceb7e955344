"""The event log: gap-free in commit order, immutable, chained, read back byte for byte (E1, E2)."""

import json
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from taskflow import clock
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.event_data import EventData
from taskflow.domain.events import Cause, Event, EventType, NewEvent
from taskflow.storage import Transaction, events, run, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import a_stored_task, append, log_of

WRITERS = 20
EACH = 25
OTHER_COLUMNS = (
    "user_id, event_id, event_type, aggregate_id, version, schema_version, timestamp,"
    " correlation_id, traceparent, actor, origin, data, hash"
)


def _an_event(user_id: str, aggregate_id: str = "", **data: Any) -> NewEvent:  # noqa: ANN401 - what JSON may hold
    return NewEvent(
        event_type=EventType.TASK_CREATED,
        user_id=user_id,
        aggregate_id=aggregate_id or str(uuid4()),
        version=1,
        timestamp=clock.now(),
        # The log keeps whatever JSON it is given.
        data=cast("EventData", data),
    )


def _append_many(user_id: str, count: int) -> None:
    append(*(_an_event(user_id, number=number) for number in range(count)))


def _broken_link(user_id: str) -> int | None:
    with transaction(A_CAUSE) as tx:
        return events.broken_link(tx, user_id)


@contextmanager
def _tampered(user: SignedIn, *statements: str) -> Generator[None]:
    """Have a superuser change the log of a user, `:u`, for the length of the block."""
    mine = {"u": user.user_id}
    unguarded = text("SET LOCAL session_replication_role = replica")
    with transaction(A_CAUSE) as tx:
        for table in ("events", "streams"):
            tx.connection.execute(
                text(f"CREATE TABLE was_{table} AS SELECT * FROM {table} WHERE user_id = :u"),  # noqa: S608 - ours
                mine,
            )
        tx.connection.execute(unguarded)
        for statement in statements:
            assert tx.connection.execute(text(statement), mine).rowcount >= 1
    yield
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(unguarded)
        for table in ("events", "streams"):
            tx.connection.execute(text(f"DELETE FROM {table} WHERE user_id = :u"), mine)  # noqa: S608 - ours
            tx.connection.execute(
                text(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM was_{table}")  # noqa: S608 - ours
            )
            tx.connection.execute(text(f"DROP TABLE was_{table}"))


def _seqs(found: Sequence[Event]) -> list[int]:
    return [event.seq for event in found]


# Order and gaps


def test_twenty_writers_of_one_user_leave_no_gap_and_no_broken_link(user: SignedIn) -> None:
    def write(_writer: int) -> list[tuple[str, int]]:
        written: list[tuple[str, int]] = []
        for _ in range(EACH):
            aggregate_id = str(uuid4())
            with transaction(A_CAUSE) as tx:
                events.append(tx, [_an_event(user.user_id, aggregate_id)])
                written.append((aggregate_id, tx.appended[user.user_id]))
        return written

    with ThreadPoolExecutor(WRITERS) as pool:
        written = dict(pair for pairs in pool.map(write, range(WRITERS)) for pair in pairs)

    log = log_of(user.user_id)
    assert _seqs(log) == list(range(1, WRITERS * EACH + 2))
    assert {event.aggregate_id: event.seq for event in log[1:]} == written
    assert _broken_link(user.user_id) is None


def test_a_reader_who_sees_an_event_sees_all_events_before_it(user: SignedIn) -> None:
    # Commit order is seq order: no reader ever finds 5 without 4.
    def write(_writer: int) -> None:
        for _ in range(EACH):
            with transaction(A_CAUSE) as tx:
                events.append(tx, [_an_event(user.user_id), _an_event(user.user_id)])

    snapshots: list[list[int]] = []
    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, writer) for writer in range(4)]
        while not all(writer.done() for writer in writers):
            snapshots.append(_seqs(log_of(user.user_id)))
        for writer in writers:
            writer.result()

    assert len(snapshots) > 1
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in snapshots)
    assert all(len(seqs) % 2 == 1 for seqs in snapshots), "half of a transaction was seen"


def test_a_rolled_back_append_leaves_no_gap(user: SignedIn) -> None:
    def append_and_fail(tx: Transaction) -> None:
        events.append(tx, [_an_event(user.user_id), _an_event(user.user_id)])
        raise LookupError

    for _ in range(3):
        with pytest.raises(LookupError):
            run(append_and_fail, A_CAUSE)
    _append_many(user.user_id, 2)

    assert _seqs(log_of(user.user_id)) == [1, 2, 3]
    assert _broken_link(user.user_id) is None


def test_appends_to_two_streams_do_not_wait_for_each_other(user: SignedIn, other: SignedIn) -> None:
    with transaction(A_CAUSE) as tx:
        events.append(tx, [_an_event(user.user_id)])
        _append_many(other.user_id, 1)

    assert _seqs(log_of(other.user_id)) == [1, 2]
    assert _seqs(log_of(user.user_id)) == [1, 2]


def test_two_events_of_one_version_of_a_task_are_refused(user: SignedIn) -> None:
    task_id = str(uuid4())
    append(_an_event(user.user_id, task_id))

    with pytest.raises(DBAPIError, match="23505"):
        append(_an_event(user.user_id, task_id))

    assert _seqs(log_of(user.user_id)) == [1, 2]


def test_a_user_without_a_stream_has_no_log(database: object) -> None:  # noqa: ARG001 - it must run
    with pytest.raises(AccountNotFound):
        append(_an_event("nobody"))
    with pytest.raises(AccountNotFound):
        run(lambda tx: events.newest_seq(tx, "nobody"), A_CAUSE)


# Several at once


def test_events_of_several_users_appended_together_take_places_in_their_own_streams(
    user: SignedIn, other: SignedIn
) -> None:
    mine, theirs = ([_an_event(one.user_id, n=n) for n in range(3)] for one in (user, other))
    listened: list[dict[str, int]] = []

    for _ in range(2):
        with transaction(A_CAUSE) as tx:
            events.append(tx, [mine[0], theirs[0], theirs[1], mine[1], mine[2], theirs[2]])
            listened.append(dict(tx.appended))
        mine, theirs = ([_an_event(one.user_id, n=n) for n in range(3)] for one in (user, other))

    for one in (user, other):
        log = log_of(one.user_id)
        assert _seqs(log) == list(range(1, 8))
        assert [json.loads(event.data_json) for event in log[1:]] == [
            {"n": n} for n in (0, 1, 2)
        ] * 2
        assert _broken_link(one.user_id) is None
    assert listened == [{user.user_id: seq, other.user_id: seq} for seq in (4, 7)]


def test_events_appended_together_are_in_the_log_in_the_given_order(
    user: SignedIn, other: SignedIn
) -> None:
    given = [_an_event((user, other)[number % 2].user_id) for number in range(50)]

    append(*given)

    with transaction(A_CAUSE) as tx:
        ids = tx.connection.execute(
            text(
                "SELECT aggregate_id FROM events WHERE user_id IN (:u, :o) AND seq > 1"
                " ORDER BY position"
            ),
            {"u": user.user_id, "o": other.user_id},
        ).scalars()
        assert list(ids) == [event.aggregate_id for event in given]


HARD_DATA: list[dict[str, Any]] = [
    {},
    {"z": 1.0, "a": 1e-7, "e": 1e300, "n": -0.0, "i": 10**30, "d": 0.1 + 0.2},
    {"é": 'Zażółć 🐘 \u2028 \\ " \n\t\x7f', "": [None, True, [], {}]},
    {":name": "%s :rows \\: ::json {} $1", "'": "''", "}": "]", ",": '"data":'},
    {"deep": {"b": [1, {"c": {"z": 1, "a": 2}}], "a": None}},
    {"long": "é" * 100_000},
    {"slashes": "\\\\ \\n \\u0041", "html": "</script>&"},
]


def test_events_appended_together_are_stored_as_events_appended_one_by_one(
    user: SignedIn, other: SignedIn
) -> None:
    def data_of(user_id: str) -> list[NewEvent]:
        return [_an_event(user_id, **data) for data in HARD_DATA]

    append(*data_of(user.user_id))
    for event in data_of(other.user_id):
        append(event)

    texts = [json.dumps(data, ensure_ascii=False, separators=(",", ":")) for data in HARD_DATA]
    for one in (user, other):
        log = log_of(one.user_id)[1:]
        assert [event.data_json for event in log] == texts
        assert {
            (event.actor, event.origin, event.correlation_id, event.traceparent, event.version)
            for event in log
        } == {(A_CAUSE.actor, A_CAUSE.origin, A_CAUSE.correlation_id, A_CAUSE.traceparent, 1)}
        assert {UUID(str(event.event_id)).version for event in log} == {7}
        assert _broken_link(one.user_id) is None


def test_any_cause_of_several_events_is_kept(user: SignedIn) -> None:
    cause = Cause(
        correlation_id=':id %s "quoted"',
        traceparent="",
        actor="Zażółć 🐘 \\",
        origin="127.0.0.1 it's {a} browser; \u2028",
    )

    with transaction(cause) as tx:
        events.append(tx, [_an_event(user.user_id), _an_event(user.user_id)])

    for event in log_of(user.user_id)[1:]:
        assert (event.correlation_id, event.traceparent) == (cause.correlation_id, "")
        assert (event.actor, event.origin) == (cause.actor, cause.origin)
    assert _broken_link(user.user_id) is None


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(JSONS, min_size=2, max_size=4))
def test_the_text_of_any_data_is_kept_and_chained(user: SignedIn, contents: list[object]) -> None:
    append(*(_an_event(user.user_id, content=content) for content in contents))

    newest = log_of(user.user_id)[-len(contents) :]
    assert [event.data_json for event in newest] == [
        json.dumps({"content": content}, ensure_ascii=False, separators=(",", ":"))
        for content in contents
    ]
    assert _broken_link(user.user_id) is None


def test_events_of_several_users_are_refused_together_when_one_user_has_no_stream(
    user: SignedIn,
) -> None:
    def work(tx: Transaction) -> None:
        with pytest.raises(AccountNotFound):
            events.append(tx, [_an_event(user.user_id), _an_event("nobody")])
        assert tx.appended == {}

    run(work, A_CAUSE)

    assert _seqs(log_of(user.user_id)) == [1]
    assert _broken_link(user.user_id) is None


def test_two_events_of_one_version_appended_together_are_refused(user: SignedIn) -> None:
    task_id = str(uuid4())

    with pytest.raises(DBAPIError, match="23505"):
        append(_an_event(user.user_id), *[_an_event(user.user_id, task_id)] * 2)

    assert _seqs(log_of(user.user_id)) == [1]


def test_two_appends_to_the_same_users_in_opposite_order_never_deadlock(
    user: SignedIn, other: SignedIn
) -> None:
    both = [user.user_id, other.user_id]

    def write(order: list[str]) -> None:
        for _ in range(EACH):
            # Not `run`, which would try again after a deadlock.
            with transaction(A_CAUSE) as tx:
                events.append(tx, [_an_event(user_id) for user_id in order])

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(write, both[:: (-1) ** writer]) for writer in range(6)]:
            done.result(60)

    for user_id in both:
        assert _seqs(log_of(user_id)) == list(range(1, 6 * EACH + 2))
        assert _broken_link(user_id) is None


def test_simultaneous_single_and_multiple_appends_of_one_user_leave_no_gap(user: SignedIn) -> None:
    def write(count: int) -> None:
        for _ in range(EACH):
            append(*(_an_event(user.user_id) for _ in range(count)))

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(write, count) for count in (1, 2, 3, 1, 2, 3)]:
            done.result(60)

    assert _seqs(log_of(user.user_id)) == list(range(1, 12 * EACH + 2))
    assert _broken_link(user.user_id) is None


# What is kept


def test_the_text_of_the_data_comes_back_byte_for_byte(user: SignedIn) -> None:
    data: dict[str, Any] = {
        "z": 1.0,
        "a": 10**30,
        "é": 'Zażółć 🐘 \u2028 \\ " \n\t',
        "tiny": 1e-300,
        "twice": {"b": [1, [], {}], "a": None},
        "": True,
    }

    append(_an_event(user.user_id, **data))

    [_, event] = log_of(user.user_id)
    assert event.data_json == json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    assert json.loads(event.message_json())["data"] == data
    assert _broken_link(user.user_id) is None


def test_an_event_keeps_who_caused_it_and_shows_it_to_no_socket(user: SignedIn) -> None:
    append(_an_event(user.user_id))

    [_, event] = log_of(user.user_id)
    shown = json.loads(event.message_json())
    assert (event.actor, event.origin) == (A_CAUSE.actor, A_CAUSE.origin)
    assert event.correlation_id == shown["correlation_id"] == A_CAUSE.correlation_id
    assert event.traceparent == A_CAUSE.traceparent
    assert set(shown) == {"type", "data", "timestamp", "correlation_id", "seq", "event_id"}


def test_event_ids_are_uuid7_and_sort_in_the_order_of_the_log(user: SignedIn) -> None:
    for _ in range(5):
        _append_many(user.user_id, 1)

    ids = [event.event_id for event in log_of(user.user_id)]
    assert {UUID(str(event_id)).version for event_id in ids} == {7}
    assert sorted(ids) == ids


# Immutability


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = '{}'",
        "UPDATE events SET origin = origin",
        "DELETE FROM events",
        "TRUNCATE events",
        "TRUNCATE events CASCADE",
        (
            "MERGE INTO events USING streams ON events.user_id = streams.user_id"
            " WHEN MATCHED THEN DELETE"
        ),
        (
            f"INSERT INTO events (seq, {OTHER_COLUMNS}) SELECT seq, {OTHER_COLUMNS} FROM events"  # noqa: S608 - ours
            " ON CONFLICT (user_id, seq) DO UPDATE SET data = '{}'"
        ),
    ],
)
def test_the_database_refuses_to_change_events_even_to_a_superuser(
    user: SignedIn, statement: str
) -> None:
    before = log_of(user.user_id)
    with transaction(A_CAUSE) as tx:
        assert tx.connection.execute(text("SHOW is_superuser")).scalar_one() == "on"

    with (
        pytest.raises(ProgrammingError, match=r"immutable: .* refused"),
        transaction(A_CAUSE) as tx,
    ):
        tx.connection.execute(text(statement))

    assert log_of(user.user_id) == before


def test_the_events_of_a_user_cannot_be_deleted_through_the_account(user: SignedIn) -> None:
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("DELETE FROM users WHERE id = :id"), {"id": user.user_id})

    assert _seqs(log_of(user.user_id)) == [1]


# The chain


@pytest.mark.parametrize(
    ("tamper", "found_at"),
    [
        ("UPDATE events SET data = '{\"number\"\\: 7}' WHERE user_id = :u AND seq = 4", 4),
        # The same JSON, written otherwise.
        ("UPDATE events SET data = '{\"number\"\\: 2}' WHERE user_id = :u AND seq = 4", 4),
        ("UPDATE events SET actor = 'somebody else' WHERE user_id = :u AND seq = 2", 2),
        ("UPDATE events SET origin = 'elsewhere' WHERE user_id = :u AND seq = 2", 2),
        (
            "UPDATE events SET timestamp = timestamp + '1 us' WHERE user_id = :u AND seq = 3",
            3,
        ),
        ("UPDATE events SET event_type = 'task.deleted' WHERE user_id = :u AND seq = 3", 3),
        ("UPDATE events SET version = 2 WHERE user_id = :u AND seq = 3", 3),
        ("UPDATE events SET correlation_id = 'x' WHERE user_id = :u AND seq = 5", 5),
        ("UPDATE events SET hash = sha256('x') WHERE user_id = :u AND seq = 5", 5),
        ("DELETE FROM events WHERE user_id = :u AND seq = 1", 1),
        ("DELETE FROM events WHERE user_id = :u AND seq = 4", 4),
        ("DELETE FROM events WHERE user_id = :u AND seq = 6", 6),
        ("DELETE FROM events WHERE user_id = :u AND seq > 3", 4),
        ("DELETE FROM events WHERE user_id = :u", 1),
        ("UPDATE streams SET seq = seq - 1 WHERE user_id = :u", 7),
        ("UPDATE streams SET seq = seq + 1 WHERE user_id = :u", 7),
        ("UPDATE streams SET hash = sha256('x') WHERE user_id = :u", 7),
    ],
)
def test_tampering_with_the_log_is_found(user: SignedIn, tamper: str, found_at: int) -> None:
    _append_many(user.user_id, 5)
    whole = _broken_link(user.user_id)

    with _tampered(user, tamper):
        broken = _broken_link(user.user_id)

    assert (whole, broken) == (None, found_at)
    assert _broken_link(user.user_id) is None


@pytest.mark.parametrize("with_their_hashes", [True, False])
def test_swapped_events_are_found(user: SignedIn, with_their_hashes: bool) -> None:  # noqa: FBT001 - a parameter of the test
    _append_many(user.user_id, 5)
    swap = [
        "UPDATE events SET seq = -1 WHERE user_id = :u AND seq = 3",
        "UPDATE events SET seq = 3 WHERE user_id = :u AND seq = 4",
        "UPDATE events SET seq = 4 WHERE user_id = :u AND seq = -1",
    ]
    leave_the_hashes = (
        "UPDATE events SET hash = was.hash FROM was_events was"
        " WHERE events.user_id = :u AND was.seq = events.seq"
    )

    with _tampered(user, *swap, *([] if with_their_hashes else [leave_the_hashes])):
        broken = _broken_link(user.user_id)

    assert broken == 3


def test_an_event_pushed_in_at_the_end_is_found(user: SignedIn) -> None:
    _append_many(user.user_id, 2)
    others = OTHER_COLUMNS.replace("event_id", "gen_random_uuid()").replace(" version,", " 9,")

    with _tampered(
        user,
        f"INSERT INTO events (seq, {OTHER_COLUMNS})"  # noqa: S608 - ours
        f" SELECT 4, {others} FROM events WHERE user_id = :u AND seq = 3",
    ):
        broken = _broken_link(user.user_id)

    assert broken == 4


def test_a_log_longer_than_a_read_is_verified_to_its_end(user: SignedIn) -> None:
    _append_many(user.user_id, events.READ_MAX + 1)
    last = events.READ_MAX + 2
    whole = _broken_link(user.user_id)

    with _tampered(user, f"UPDATE events SET actor = 'x' WHERE user_id = :u AND seq = {last}"):  # noqa: S608 - ours
        broken = _broken_link(user.user_id)

    assert (whole, broken) == (None, last)


def test_verifying_all_chains_names_only_the_broken_ones(user: SignedIn, other: SignedIn) -> None:
    _append_many(user.user_id, 3)
    _append_many(other.user_id, 3)

    with (
        _tampered(user, "UPDATE events SET origin = 'x' WHERE user_id = :u AND seq = 2"),
        transaction(A_CAUSE) as tx,
    ):
        broken = events.verify(tx).broken

    assert broken == {user.user_id: 2}


# Reading


def test_reading_after_a_seq_is_ascending_and_bounded(user: SignedIn, other: SignedIn) -> None:
    _append_many(user.user_id, 9)
    _append_many(other.user_id, 3)

    with transaction(A_CAUSE) as tx:
        first = events.after(tx, user.user_id, 0, limit=4)
        second = events.after(tx, user.user_id, first[-1].seq, limit=4)
        rest = events.after(tx, user.user_id, second[-1].seq)
        none = events.after(tx, user.user_id, 10)
        beyond = events.after(tx, user.user_id, (1 << 63) - 1)

    assert [_seqs(found) for found in (first, second, rest)] == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10],
    ]
    assert {event.user_id for event in (*first, *second, *rest)} == {user.user_id}
    assert none == beyond == []


def test_a_read_takes_no_more_than_its_bound(user: SignedIn) -> None:
    _append_many(user.user_id, events.READ_MAX + 5)

    with transaction(A_CAUSE) as tx:
        found = events.after(tx, user.user_id, 0)

    assert _seqs(found) == list(range(1, events.READ_MAX + 1))


def test_a_read_takes_no_more_bytes_than_its_bound_but_one_event_always(
    user: SignedIn, other: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for writer in (user, other):
        for _ in range(3):
            a_stored_task(writer.user_id, description="🦉" * 1000)
    task = a_stored_task(user.user_id, description="🦉" * 1000)
    size = len(log_of(user.user_id)[1].data_json.encode())

    def read(bytes_max: int) -> tuple[list[int], list[int], bool, int]:
        monkeypatch.setattr(events, "READ_MAX_BYTES", bytes_max)
        with transaction(A_CAUSE) as tx:
            mine = events.after(tx, user.user_id, 1)
            both = events.after_each(tx, {user.user_id: 1, other.user_id: 1})
            last = events.history(tx, user.user_id, str(task.id), after_seq=0, limit=9)
        return _seqs(mine), _seqs(both), events.may_have_more(both), len(last)

    assert size > 4000
    assert read(1) == ([2], [2], True, 1)
    assert read(size) == ([2], [2], True, 1)
    assert read(2 * size) == ([2, 3], [2, 3], True, 1)
    everything = ([2, 3, 4, 5], [2, 3, 4, 5, 2, 3, 4], False, 1)
    in_order = sorted([user.user_id, other.user_id]) == [user.user_id, other.user_id]
    if not in_order:
        everything = ([2, 3, 4, 5], [2, 3, 4, 2, 3, 4, 5], False, 1)
    assert read(100 * size) == everything


def test_an_event_of_older_code_without_a_stored_size_counts_with_its_size(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        a_stored_task(user.user_id, description="🦉" * 1000)
    monkeypatch.setattr(events, "READ_MAX_BYTES", 5000)

    with (
        _tampered(user, "UPDATE events SET data_bytes = NULL WHERE user_id = :u"),
        transaction(A_CAUSE) as tx,
    ):
        found = events.after(tx, user.user_id, 1)

    assert _seqs(found) == [2, 3]


def test_reading_for_several_users_takes_the_new_events_of_each(
    user: SignedIn, other: SignedIn
) -> None:
    _append_many(user.user_id, 5)
    _append_many(other.user_id, 3)
    positions = {user.user_id: 4, other.user_id: 0, "nobody": 0}

    with transaction(A_CAUSE) as tx:
        found = events.after_each(tx, positions)
        newest = events.newest_seqs(tx, list(positions))
        nothing = events.after_each(tx, {})

    assert [event.seq for event in found if event.user_id == user.user_id] == [5, 6]
    assert [event.seq for event in found if event.user_id == other.user_id] == [1, 2, 3, 4]
    assert len(found) == 6
    assert newest == {user.user_id: 6, other.user_id: 4}
    assert nothing == []


def test_reading_for_several_users_in_parts_gives_all_their_events(
    user: SignedIn, other: SignedIn
) -> None:
    _append_many(user.user_id, 7)
    _append_many(other.user_id, 4)
    positions = {user.user_id: 0, other.user_id: 0}
    read: dict[str, list[int]] = {user.user_id: [], other.user_id: []}

    for _ in range(5):
        with transaction(A_CAUSE) as tx:
            for event in events.after_each(tx, positions, limit=3):
                read[event.user_id].append(event.seq)
                positions[event.user_id] = event.seq

    assert read == {user.user_id: list(range(1, 9)), other.user_id: list(range(1, 6))}


def test_the_history_of_a_task_is_its_own_events_in_pages(user: SignedIn, other: SignedIn) -> None:
    task = a_stored_task(user.user_id)
    _append_many(user.user_id, 2)

    with transaction(A_CAUSE) as tx:
        mine = events.history(tx, user.user_id, str(task.id), after_seq=0, limit=10)
        later = events.history(tx, user.user_id, str(task.id), after_seq=2, limit=10)
        theirs = events.history(tx, other.user_id, str(task.id), after_seq=0, limit=10)

    assert _seqs(mine) == [2]
    assert later == theirs == []
