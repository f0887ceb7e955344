"""Exports and imports: all that is a user's as JSON Lines, and back into an empty account (T11)."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.domain.destinations import Channel
from taskflow.domain.times import rfc3339
from taskflow.serving import json_lines
from taskflow.serving.json_lines import streams
from taskflow.storage import events, transaction
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import log_of
from tests.support.data.destinations import A_SUBSCRIPTION, a_destination, a_webhook
from tests.support.data.user_resources import stored_resources
from tests.support.events.explanation import assert_events_explain_the_change, state_of
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tasks import items

LINES = {"Content-Type": json_lines.MEDIA_TYPE}
Line = dict[str, Any]

END_WHAT_IS_IDLE = text(
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE state = 'idle in transaction' AND datname = current_database()"
)
"""As PostgreSQL does after IDLE_IN_TRANSACTION_TIMEOUT_MS."""

OWN = {"id", "user_id", "version", "updated_at", "task_id", "recurring_task_id", "start"}
"""What an import makes anew."""


def _export(user: SignedIn) -> list[Line]:
    answer = Api(user).get("/api/{user_id}/export")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def _import(user: SignedIn, lines: Sequence[Line], **headers: str) -> Any:  # noqa: ANN401 - werkzeug's
    body = "".join(f"{json.dumps(line)}\n" for line in lines)
    return Api(user).post("/api/{user_id}/import", data=body.encode(), headers={**LINES, **headers})


def _imported(user: SignedIn, lines: Sequence[Line]) -> Line:
    answer = _import(user, lines)
    assert answer.status_code == 200, answer.text
    return content(answer)


def _of_type(lines: Sequence[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["type"] == kind]


@pytest.fixture
def exported(user: SignedIn) -> list[Line]:
    """Fill an account with something of every kind, and export it."""
    api = Api(user)
    quiet = {"start": "22:00", "end": "07:30"}
    changes = {"notification_channels": ["email"], "quiet_hours": quiet, "email_digest": False}
    api.put("/api/settings", changes)
    stored_resources(user.user_id, title="Water the plants")
    done = content(api.post("/api/tasks", {"title": "Ünïcode ✓", "tags": ["a", "ü"]}))
    api.patch(f"/api/tasks/{done['id']}/complete")
    trashed = content(api.post("/api/tasks", {"title": "Trash", "metadata": {"a": 1.10}}))
    api.delete(f"/api/tasks/{trashed['id']}")
    return _export(user)


def test_an_export_begins_with_a_header_and_ends_with_the_counts(
    user: SignedIn, exported: list[Line]
) -> None:
    newest = len(log_of(user.user_id))

    assert exported[0] == {
        "type": "header",
        "format": "taskflow-export",
        "version": 1,
        "user_id": user.user_id,
        "seq": newest,
    }
    counts = {"destinations": 1, "webhooks": 1, "tasks": 3, "notifications": 1, "events": newest}
    assert exported[-1] == {"type": "trailer", **counts}
    kinds = [line["type"] for line in exported]
    assert {f"{kind}s": kinds.count(kind) for kind in dict.fromkeys(kinds[2:-1])} == counts
    assert kinds[:2] == ["header", "account"]


def test_an_export_holds_everything_as_it_stands(user: SignedIn, exported: list[Line]) -> None:
    state = state_of(user.user_id)

    shown = {line["id"]: line for line in exported if line["type"] in {"task", "notification"}}
    reminders = [one for line in _of_type(exported, "task") for one in line["reminders"]]
    shown |= {one["id"]: one for one in reminders}

    assert shown.keys() == state.keys() - {user.user_id}
    for of, fields in state.items():
        if of in shown:
            assert {name: shown[of][name] for name in fields if name != "is_deleted"} == {
                name: value for name, value in fields.items() if name != "is_deleted"
            }
    assert [bool(line["deleted_at"]) for line in _of_type(exported, "task")] == [
        False,
        False,
        True,
    ]
    happened = [json.loads(event.record_json()) for event in log_of(user.user_id)]
    assert _of_type(exported, "event") == [{"type": "event", **event} for event in happened]


def test_an_export_holds_no_secret(user: SignedIn) -> None:
    feed = content(Api(user).post("/api/calendar-feed"))

    text = Api(user).get("/api/{user_id}/export").text

    assert feed["path"].rpartition("/")[2] not in text
    assert user.token not in text
    assert "password" not in text
    assert "hash" not in text


def test_an_export_says_where_its_user_is_told_without_what_sends_there(user: SignedIn) -> None:
    mailbox = a_destination(user.user_id)
    endpoint = A_SUBSCRIPTION["endpoint"]
    a_destination(user.user_id, Channel.WEB_PUSH, endpoint, **A_SUBSCRIPTION)
    webhook = a_webhook(user.user_id)
    api = Api(user)

    answer = api.get("/api/{user_id}/export")

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert _of_type(lines, "destination") == [
        {"type": "destination", **each} for each in items(api, "/api/destinations")
    ]
    assert _of_type(lines, "webhook") == [
        {"type": "webhook", **each} for each in items(api, "/api/webhooks")
    ]
    assert mailbox.address in answer.text
    assert webhook.address in answer.text
    [secret] = webhook.details["secrets"]
    for hidden in (endpoint, *A_SUBSCRIPTION["keys"].values(), secret["secret"]):
        assert hidden not in answer.text


@pytest.mark.parametrize("wants_digest", [True, False])
def test_an_export_from_before_digests_leaves_that_setting_as_it_is(
    other: SignedIn, exported: list[Line], *, wants_digest: bool
) -> None:
    Api(other).put("/api/{user_id}/settings", {"email_digest": wants_digest})
    [account] = _of_type(exported, "account")
    del account["email_digest"], exported[-1]["destinations"], exported[-1]["webhooks"]

    assert _imported(other, exported)["is_complete"]

    settings = content(Api(other).get("/api/{user_id}/settings"))
    assert settings["email_digest"] is wants_digest
    assert settings["notification_channels"] == ["email"]


def test_an_export_shows_one_moment_whatever_happens_meanwhile(user: SignedIn) -> None:
    api = Api(user)
    for number in range(250):
        api.post("/api/tasks", {"title": f"before {number}"})
    answer = api.get("/api/{user_id}/export", buffered=False)
    lines = answer.iter_encoded()
    first = next(lines)

    api.post("/api/tasks", {"title": "meanwhile"})
    rest = b"".join(lines)
    answer.close()

    assert b"header" in first
    assert b"before 249" in rest
    assert b"meanwhile" not in first + rest
    assert json.loads(rest.splitlines()[-1])["tasks"] == 250


def test_a_user_has_one_export_at_a_time(user: SignedIn, other: SignedIn) -> None:
    end = streams().take(user.user_id)

    refused = Api(user).get("/api/{user_id}/export")
    of_another = Api(other).get("/api/{user_id}/export")
    end()
    again = Api(user).get("/api/{user_id}/export")

    assert_refused(refused, 503, "unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (of_another.status_code, again.status_code) == (200, 200)


def test_an_export_that_nobody_reads_to_its_end_is_given_up(user: SignedIn) -> None:
    answer = Api(user).get("/api/{user_id}/export", buffered=False)
    next(answer.iter_encoded())

    answer.close()

    assert Api(user).get("/api/{user_id}/export").status_code == 200


def test_an_export_that_postgresql_has_ended_leaves_room_for_the_next(user: SignedIn) -> None:
    answer = Api(user).get("/api/{user_id}/export", buffered=False)
    next(answer.iter_encoded())
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(END_WHAT_IS_IDLE)

    answer.close()

    assert Api(user).get("/api/{user_id}/export").status_code == 200
    assert engine().pool.status().endswith("Checked out connections: 0")


def test_an_export_comes_back_in_another_account(
    user: SignedIn, other: SignedIn, exported: list[Line]
) -> None:
    with assert_events_explain_the_change(other.user_id) as happened:
        progress = _imported(other, exported)

    assert progress == {
        "added": 3,
        "present": 0,
        # And a notification, a destination and a webhook.
        "passed_over": len(_of_type(exported, "event")) + 3,
        "tasks": 3,
        "is_complete": True,
    }
    assert items(Api(other), "/api/destinations") == items(Api(other), "/api/webhooks") == []
    again = _export(other)
    for before, after in zip(_of_type(exported, "task"), _of_type(again, "task"), strict=True):
        assert _comparable(before) == _comparable(after)
    assert _settings(exported) == _settings(again)
    assert {event.actor for event in happened} == {other.user_id}
    assert {event.user_id for event in happened} == {other.user_id}
    with transaction(A_CAUSE) as tx:
        assert events.broken_link(tx, other.user_id) is None
        assert events.broken_link(tx, user.user_id) is None


def _comparable(line: Line) -> Line:
    """Return what of a task an import keeps; a reminder that came stays as one that does not."""
    kept = {
        name: value
        for name, value in line.items()
        if name not in OWN | {"reminders", "series", "deleted_at"}
    }
    kept["is_deleted"] = line["deleted_at"] is not None
    kept["series"] = line["series"]
    kept["reminders"] = [
        {
            **{name: value for name, value in one.items() if name not in OWN | {"notified"}},
            "status": "scheduled" if one["status"] == "scheduled" else "cancelled",
        }
        for one in sorted(line["reminders"], key=lambda one: one["remind_at"])
    ]
    return kept


def _settings(lines: Sequence[Line]) -> Line:
    [account] = _of_type(lines, "account")
    names = ("timezone", "notification_channels", "quiet_hours", "email_digest")
    return {name: account[name] for name in names}


def test_a_second_round_trip_changes_nothing_any_more(
    other: SignedIn, exported: list[Line]
) -> None:
    third = a_user()
    _imported(other, exported)
    once = _export(other)

    _imported(third, once)

    twice = _export(third)
    assert [_comparable(line) for line in _of_type(once, "task")] == [
        _comparable(line) for line in _of_type(twice, "task")
    ]


def test_an_imported_series_goes_on_with_its_occurrences(
    other: SignedIn, user: SignedIn, set_clock: Callable[[datetime], None]
) -> None:
    api = Api(user)
    draft = {
        "title": "Stand-up",
        "due_date": rfc3339(clock.now() + timedelta(hours=1)),
        "recurrence_rule": "FREQ=DAILY",
    }
    api.post("/api/tasks", draft)
    exported = _export(user)

    set_clock(clock.now() + timedelta(minutes=10))
    _imported(other, exported)

    [before] = _of_type(exported, "task")
    [after] = _of_type(_export(other), "task")
    assert after["next_occurrence"] == before["next_occurrence"]
    assert after["recurrence_rule"] == "FREQ=DAILY"


def test_a_part_that_comes_again_adds_nothing(other: SignedIn, exported: list[Line]) -> None:
    header, tasks, trailer = exported[0], _of_type(exported, "task"), exported[-1]

    first = _imported(other, [header, tasks[0]])
    again = _imported(other, [header, tasks[0], tasks[1]])
    events_before = len(log_of(other.user_id))
    last = _imported(other, [header, tasks[2], trailer])
    repeated = _imported(other, [header, *tasks, trailer])

    assert (first["added"], first["is_complete"]) == (1, False)
    assert (again["added"], again["present"], again["tasks"]) == (1, 1, 2)
    assert (last["added"], last["is_complete"]) == (1, True)
    assert (repeated["added"], repeated["present"], repeated["tasks"]) == (0, 3, 3)
    assert len(log_of(other.user_id)) == events_before + 2


def test_an_import_is_repeated_under_its_key_without_an_effect(
    other: SignedIn, exported: list[Line]
) -> None:
    key = {"Idempotency-Key": "an import"}

    answers = [_import(other, exported, **key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].data == answers[1].data
    assert content(answers[1])["added"] == 3


@pytest.mark.parametrize("is_deleted", [False, True])
def test_an_account_that_has_had_a_task_takes_no_import(
    other: SignedIn,
    exported: list[Line],
    is_deleted: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    task = content(Api(other).post("/api/tasks", {"title": "Mine"}))
    if is_deleted:
        Api(other).delete(f"/api/tasks/{task['id']}")

    answer = _import(other, exported)

    assert_refused(answer, 409, "account-is-not-empty")
    assert len(_of_type(_export(other), "task")) == 1


def test_an_account_takes_one_export_alone(other: SignedIn, exported: list[Line]) -> None:
    _imported(other, exported[:1])

    answer = _import(other, [{**exported[0], "seq": 1}])

    assert_refused(answer, 409, "account-is-not-empty")


def test_a_file_that_was_cut_off_is_never_complete(other: SignedIn, exported: list[Line]) -> None:
    header, first, *_, trailer = exported[0], *_of_type(exported, "task"), exported[-1]

    without_end = _imported(other, [header, first])
    answer = _import(other, [header, trailer])

    assert not without_end["is_complete"]
    assert_invalid(answer, "/1/tasks")


def _task(**fields: Any) -> Line:  # noqa: ANN401 - what JSON may hold
    return {
        "type": "task",
        "id": str(uuid4()),
        "title": "Buy milk",
        "description": None,
        "status": "pending",
        "priority": "medium",
        "tags": [],
        "metadata": {},
        "due_date": None,
        "completed_at": None,
        "created_at": "2026-01-01T00:00:00Z",
        "deleted_at": None,
        "recurring_task_id": None,
        "occurrence_at": None,
        "series": None,
        "reminders": [],
        **fields,
    }


def _series(**fields: Any) -> Line:  # noqa: ANN401 - as above
    return {
        "recurrence_rule": "FREQ=DAILY",
        "local_start": "2026-01-01T09:00:00",
        "timezone": None,
        "mode": "schedule",
        "missed": "all",
        "skip": "backward",
        "made": 0,
        **fields,
    }


def _reminder(**fields: Any) -> Line:  # noqa: ANN401 - as above
    return {
        "id": str(uuid4()),
        "remind_at": "2126-01-01T00:00:00Z",
        "before_due": None,
        "message": None,
        "status": "scheduled",
        "created_at": "2026-01-01T00:00:00Z",
        "is_snoozed": False,
        "is_removed": False,
        **fields,
    }


HEADER = {"type": "header", "format": "taskflow-export", "version": 1, "user_id": "x", "seq": 1}
AN_ID = str(uuid4())
A_TIME = "2026-05-01T00:00:00Z"

HOSTILE = [
    pytest.param([], "", id="no lines"),
    pytest.param([_task()], "/0", id="no header"),
    pytest.param([HEADER, HEADER], "/1", id="two headers"),
    pytest.param([{**HEADER, "version": 2}], "/0/version", id="a later version"),
    pytest.param([{**HEADER, "version": "1"}], "/0/version", id="a version of another type"),
    pytest.param([{**HEADER, "format": "else"}], "/0/format", id="another format"),
    pytest.param([{**HEADER, "seq": 1 << 63}], "/0/seq", id="a seq out of range"),
    pytest.param([{**HEADER, "surprise": 1}], "/0/surprise", id="an unknown field"),
    pytest.param([HEADER, {"type": "user"}], "/1/type", id="an unknown type"),
    pytest.param([HEADER, {"type": ["task"]}], "/1/type", id="a type that is no text"),
    pytest.param([HEADER, {}], "/1/type", id="no type"),
    pytest.param([HEADER, _task(title=" ")], "/1/title", id="a blank title"),
    pytest.param([HEADER, _task(title="a\0b")], "/1/title", id="a null character"),
    pytest.param([HEADER, _task(title=1)], "/1/title", id="a wrong type"),
    pytest.param([HEADER, _task(id="1")], "/1/id", id="no id"),
    pytest.param([HEADER, _task(status="open")], "/1/status", id="an unknown status"),
    pytest.param([HEADER, _task(due_date="2026-01-01")], "/1/due_date", id="a naive time"),
    pytest.param([HEADER, _task(metadata={"a": "x" * 20_000})], "/1/metadata", id="large metadata"),
    pytest.param([HEADER, _task(password_hash="x")], "/1/password_hash", id="mass assignment"),
    pytest.param([HEADER, _task(id=AN_ID), _task(id=AN_ID)], "/2/id", id="one id twice"),
    pytest.param(
        [HEADER, _task(recurring_task_id=AN_ID)], "/1/occurrence_at", id="half an occurrence"
    ),
    pytest.param(
        [HEADER, _task(recurring_task_id=AN_ID, occurrence_at=A_TIME)],
        "/1/recurring_task_id",
        id="a dangling reference",
    ),
    pytest.param(
        [HEADER, _task(id=AN_ID, recurring_task_id=AN_ID, occurrence_at=A_TIME)],
        "/1/recurring_task_id",
        id="a cycle of one",
    ),
    pytest.param(
        [
            HEADER,
            _task(id=AN_ID, series=_series()),
            _task(recurring_task_id=AN_ID, occurrence_at=A_TIME),
            _task(recurring_task_id=AN_ID, occurrence_at=A_TIME),
        ],
        "/3/occurrence_at",
        id="one occurrence twice",
    ),
    pytest.param(
        [HEADER, _task(series=_series(recurrence_rule="FREQ=SECONDLY"))],
        "/1/series/recurrence_rule",
        id="a rule that is not supported",
    ),
    pytest.param(
        [HEADER, _task(series=_series(local_start="0001-01-01T00:00:00"))],
        "/1/series/local_start",
        id="a start out of range",
    ),
    pytest.param(
        [HEADER, _task(series=_series(local_start="2026-01-01T00:00:00Z"))],
        "/1/series/local_start",
        id="a start with an offset",
    ),
    pytest.param([HEADER, _task(series=_series(made=-1))], "/1/series/made", id="made too few"),
    pytest.param(
        [HEADER, _task(reminders=[_reminder(message="")])],
        "/1/reminders/0/message",
        id="a blank message",
    ),
    pytest.param(
        [HEADER, _task(reminders=[_reminder(id=AN_ID), _reminder(id=AN_ID)])],
        "/1/reminders",
        id="one reminder twice",
    ),
    pytest.param(
        [HEADER, _task(reminders=[_reminder() for _ in range(51)])],
        "/1/reminders",
        id="too many reminders to come",
    ),
    pytest.param(
        [HEADER, *(_task(series=_series()) for _ in range(201))], "", id="too many series"
    ),
    pytest.param([HEADER, *({"type": "event"} for _ in range(5_001))], "", id="too many lines"),
    pytest.param([HEADER, {"type": "trailer", "tasks": 0}, _task()], "/2", id="more after the end"),
    pytest.param([HEADER, {"type": "trailer", "tasks": 7}], "/1/tasks", id="a wrong count"),
]


@pytest.mark.parametrize(("lines", "pointer"), HOSTILE)
def test_lines_that_are_wrong_are_named_and_nothing_is_imported(
    user: SignedIn, lines: list[Line], pointer: str
) -> None:
    before, events_before = state_of(user.user_id), log_of(user.user_id)

    answer = _import(user, [*lines[:1], *lines[1:2], *lines[2:]])

    assert_invalid(answer, pointer)
    assert state_of(user.user_id) == before
    assert log_of(user.user_id) == events_before
    assert _imported(user, [HEADER, _task()])["added"] == 1


@pytest.mark.parametrize(
    ("raw", "status", "slug"),
    [
        (b'{"type":', 400, "not-json"),
        (b"[" * 100_000, 400, "not-json"),
        (b'{"a": NaN}', 400, "not-json"),
        (b"\xff\xfe", 400, "not-json"),
        (b'{"a": ' + b"9" * 5_000 + b"}", 400, "not-json"),
        (b"[1]", 422, "invalid-content"),
        (b" " * (1024 * 1024 + 1), 413, "body-too-large"),
        (b"x" * (1024 * 1024), 400, "not-json"),
    ],
    ids=["cut off", "too deep", "nan", "not utf-8", "a long number", "a list", "large", "one line"],
)
def test_a_body_that_is_no_json_lines_is_refused(
    user: SignedIn, raw: bytes, status: int, slug: str
) -> None:
    answer = Api(user).post("/api/{user_id}/import", data=raw, headers=LINES)

    assert_refused(answer, status, slug)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "text/plain"},
        {**LINES, "Content-Encoding": "gzip"},
    ],
)
def test_an_import_of_another_media_type_is_refused(
    user: SignedIn, headers: dict[str, str]
) -> None:
    answer = Api(user).post("/api/{user_id}/import", data=b"{}", headers=headers)

    assert_refused(answer, 415, "other-media-type")
    assert json_lines.MEDIA_TYPE in answer.headers["Accept"]


def test_an_import_can_forge_no_event_and_touch_nothing_of_another(
    user: SignedIn, other: SignedIn
) -> None:
    theirs = stored_resources(other.user_id)
    state, log = state_of(other.user_id), log_of(other.user_id)
    forged: Line = {
        "type": "event",
        "event_type": "task.completed",
        "user_id": other.user_id,
        "aggregate_id": str(theirs.task.id),
        "seq": 1,
        "version": 99,
        "data": {},
    }
    stolen = _task(
        id=str(theirs.task.id),
        user_id=other.user_id,
        reminders=[_reminder(id=str(theirs.reminder_id), user_id=other.user_id)],
    )

    with assert_events_explain_the_change(user.user_id) as happened:
        progress = _imported(user, [{**HEADER, "user_id": other.user_id}, forged, stolen])

    assert (progress["added"], progress["passed_over"]) == (1, 1)
    assert [event.event_type for event in happened] == ["task.created", "reminder.scheduled"]
    assert {event.user_id for event in happened} == {user.user_id}
    assert state_of(other.user_id) == state
    assert log_of(other.user_id) == log
    [mine] = content(Api(user).get("/api/tasks"))["items"]
    assert mine["id"] != str(theirs.task.id)
    assert mine["user_id"] == user.user_id


def test_times_from_the_future_are_cut_to_now(user: SignedIn) -> None:
    later = rfc3339(clock.now() + timedelta(days=400))
    lines = [HEADER, _task(status="completed", created_at=later, completed_at=later)]

    _imported(user, lines)

    [task] = content(Api(user).get("/api/tasks"))["items"]
    assert task["completed_at"] < rfc3339(clock.now())
    assert task["created_at"] < rfc3339(clock.now())


def test_a_completed_task_without_its_time_is_completed_now(user: SignedIn) -> None:
    _imported(user, [HEADER, _task(status="completed"), _task(completed_at=A_TIME)])

    found = {task["status"]: task for task in content(Api(user).get("/api/tasks"))["items"]}
    assert found["completed"]["completed_at"] is not None
    assert found["pending"]["completed_at"] is None


def test_a_reminder_whose_time_is_past_never_comes_again(user: SignedIn) -> None:
    past = _reminder(remind_at="2020-01-01T00:00:00Z")

    _imported(user, [HEADER, _task(reminders=[past, _reminder(), _reminder(before_due="P1D")])])

    pending = content(Api(user).get("/api/reminders/pending"))["items"]
    assert [one["remind_at"] for one in pending] == ["2126-01-01T00:00:00.000000Z"]
    assert content(Api(user).get("/api/notifications"))["items"] == []
