"""The schedule: occurrences and reminders, each at its time and once (R4-R8, N2, N3, E5)."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from taskflow.domain.events import Event
from taskflow.domain.recurrence import AHEAD_MAX
from taskflow.domain.replay import Replay, differing_fields
from taskflow.eventing import CronRun
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import task_store, transaction
from tests.functions.conftest import Travel
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import log_of
from tests.support.database.tampering import tamper
from tests.support.database.temporary import a_database
from tests.support.delivery.subscribers import assert_taken, deliver, tick
from tests.support.events.explanation import assert_events_explain_the_change, fold, state_of
from tests.support.functions.client import Api, content
from tests.support.functions.tasks import created, data_of, happened_to, items, shown, types_of

A_SECOND, AN_HOUR, A_DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
FIRST = NOW + AN_HOUR
DUE = "2026-03-02T09:00:00.000000Z"
NEXT = FIRST + A_DAY
NEXT_TEXT = "2026-03-03T09:00:00.000000Z"
DAILY = {"recurrence_rule": "FREQ=DAILY"}
AFTER_COMPLETION = {**DAILY, "mode": "after_completion"}
ENDS = [
    pytest.param("DELETE", "/recurrence", None, id="removed"),
    pytest.param("DELETE", "", None, id="deleted"),
    pytest.param("PATCH", "", {"status": "cancelled"}, id="cancelled"),
]
"""What ends a series: a method, what follows the task's path, and a body."""

SPAWNED = ["task.created", "recurring.spawned"]
TRIGGERED = ["reminder.triggered", "notification.created", "reminder.sent"]

Looks = Callable[[int], None]


@pytest.fixture(autouse=True, scope="module")
def own_database(database: EmbeddedPostgres) -> Generator[str]:
    """Use a database in which only these tests have due items."""
    with a_database(database) as url:
        yield url


@pytest.fixture(autouse=True)
def _own_time(own_database: str) -> Generator[None]:
    """End all series and cancel all reminders after a test."""
    del own_database
    yield
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(
            text("UPDATE tasks SET recurrence = NULL, next_occurrence = NULL, spawn_at = NULL")
        )
        tx.connection.execute(text("UPDATE reminders SET status = 'cancelled'"))


@pytest.fixture
def user(own_database: str) -> SignedIn:
    """Open an account."""
    del own_database
    return a_user()


@pytest.fixture
def other(own_database: str) -> SignedIn:
    """Open another account."""
    del own_database
    return a_user()


@pytest.fixture
def api(user: SignedIn, travel: Travel) -> Api:
    """Sign in before anything is due."""
    return travel(user, NOW)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Return a function that sets how many times a run looks for due items."""

    def set_to(number: int) -> None:
        left = iter(range(number - 1, 0, -1))

        def is_over(_: CronRun) -> bool:
            return not next(left, 0)

        monkeypatch.setattr(CronRun, "is_over", is_over)

    return set_to


def _run_schedule() -> None:
    assert_taken(tick("run-schedule"))


def _occurrences(api: Api, series: dict[str, Any]) -> list[dict[str, Any]]:
    found = items(api, "/api/tasks?sort=due_date&limit=200")
    return [task for task in found if task["recurring_task_id"] == series["id"]]


def _times(api: Api, series: dict[str, Any]) -> list[str]:
    return [task["occurrence_at"] for task in _occurrences(api, series)]


def _pending(api: Api) -> list[dict[str, Any]]:
    return items(api, "/api/reminders/pending")


# Occurrences by the schedule


def test_an_occurrence_is_created_at_its_time_and_not_before(
    user: SignedIn, travel: Travel
) -> None:
    series = created(
        travel(user, NOW),
        due_date=DUE,
        description="All of them",
        priority="high",
        tags=["home"],
        metadata={"room": 1},
        **DAILY,
    )

    with assert_events_explain_the_change(user.user_id) as before:
        travel(user, NEXT - A_SECOND)
        _run_schedule()
    with assert_events_explain_the_change(user.user_id) as after:
        api = travel(user, NEXT)
        _run_schedule()

    assert before == []
    assert types_of(after) == SPAWNED
    [occurrence] = _occurrences(api, series)
    assert occurrence == {
        **series,
        "id": occurrence["id"],
        "metadata": {},
        "due_date": NEXT_TEXT,
        "recurrence_rule": None,
        "is_recurring": False,
        "next_occurrence": None,
        "created_at": NEXT_TEXT,
        "updated_at": NEXT_TEXT,
        "version": 1,
        "recurring_task_id": series["id"],
        "occurrence_at": NEXT_TEXT,
    }
    assert shown(api, occurrence["id"]) == occurrence
    spawned = data_of(after[1])
    assert after[1].aggregate_id == series["id"]
    assert spawned["occurrence"] == {"id": occurrence["id"], "occurrence_at": NEXT_TEXT}
    assert spawned["changes"] == {
        "next_occurrence": {"old": NEXT_TEXT, "new": "2026-03-04T09:00:00.000000Z"}
    }
    assert shown(api, series["id"])["next_occurrence"] == "2026-03-04T09:00:00.000000Z"


def test_an_occurrence_has_the_schedule_as_its_actor(user: SignedIn, travel: Travel) -> None:
    created(travel(user, NOW), due_date=DUE, **DAILY)
    travel(user, NEXT)

    _run_schedule()

    [spawned] = happened_to(user.user_id, "recurring.spawned")
    assert (spawned.actor, spawned.origin) == ("run-schedule", "cron")


def test_further_ticks_change_nothing(user: SignedIn, travel: Travel, looks: Looks) -> None:
    created(travel(user, NOW), due_date=DUE, reminders=[{"before_due": "PT1H"}], **DAILY)
    travel(user, NEXT)
    looks(2)
    _run_schedule()

    with assert_events_explain_the_change(user.user_id) as happened:
        _run_schedule()
        _run_schedule()

    assert happened == []


def test_simultaneous_ticks_make_each_occurrence_and_reminder_once(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    all_series = [
        created(api, due_date=DUE, reminders=[{"before_due": "PT10M"}], **DAILY) for _ in range(6)
    ]

    with assert_events_explain_the_change(user.user_id) as happened:
        api = travel(user, NEXT + 2 * A_DAY)
        with ThreadPoolExecutor(4) as pool:
            for answer in pool.map(tick, ["run-schedule"] * 8):
                assert_taken(answer)
        _run_schedule()

    for series in all_series:
        assert len(_times(api, series)) == 3
    assert types_of(happened).count("recurring.spawned") == 18
    # Each task's own reminder, and that of each of its occurrences.
    assert types_of(happened).count("reminder.triggered") == 24
    assert len(items(api, "/api/notifications")) == 24


def test_an_occurrence_has_the_relative_reminders_of_its_task(
    user: SignedIn, travel: Travel, looks: Looks
) -> None:
    api = travel(user, NOW)
    wanted = [{"before_due": "PT10M", "message": "Soon"}, {"before_due": "PT0S"}]
    series = created(api, due_date=DUE, **DAILY, reminders=[*wanted, {"remind_at": DUE}])
    removed = content(api.post(f"/api/tasks/{series['id']}/reminders", {"before_due": "P2D"}))
    api.delete(f"/api/reminders/{removed['id']}")
    travel(user, FIRST)
    _run_schedule()

    with assert_events_explain_the_change(user.user_id) as happened:
        api = travel(user, NEXT - timedelta(minutes=10) - A_SECOND)
        _run_schedule()
        assert _times(api, series) == []
        api = travel(user, NEXT - timedelta(minutes=10))
        looks(2)
        _run_schedule()

    [occurrence] = _occurrences(api, series)
    assert occurrence["due_date"] == NEXT_TEXT
    assert types_of(happened) == [
        *("task.created", "reminder.scheduled", "reminder.scheduled", "recurring.spawned"),
        *TRIGGERED,
    ]
    scheduled = [data_of(event) for event in happened[1:3]]
    soon, at_its_time = sorted(scheduled, key=lambda one: one["remind_at"])
    assert (soon["remind_at"], soon["message"]) == ("2026-03-03T08:50:00.000000Z", "Soon")
    assert soon["task_id"] == at_its_time["task_id"] == occurrence["id"]
    [pending] = _pending(api)
    assert (pending["remind_at"], pending["before_due"]) == (NEXT_TEXT, "PT0S")


def test_an_occurrence_comes_early_by_the_longest_reminder_of_that_time(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    series = created(api, due_date=DUE, **DAILY, reminders=[{"before_due": "PT10M"}])
    reminders = f"/api/tasks/{series['id']}/reminders"
    longest = content(api.post(reminders, {"before_due": "PT3H"}))
    travel(user, FIRST)
    _run_schedule()

    travel(user, NEXT - 3 * AN_HOUR - A_SECOND)
    _run_schedule()
    none_yet = _times(travel(user, NEXT - 3 * AN_HOUR), series)
    _run_schedule()
    api = travel(user, NEXT - 2 * AN_HOUR)
    early = _times(api, series)
    api.delete(f"/api/reminders/{longest['id']}")
    travel(user, NEXT + A_DAY - 3 * AN_HOUR)
    _run_schedule()
    without = _times(travel(user, NEXT + A_DAY - timedelta(minutes=10)), series)
    _run_schedule()
    api = travel(user, NEXT + A_DAY)

    assert (none_yet, early, without) == ([], [NEXT_TEXT], [NEXT_TEXT])
    assert len(_times(api, series)) == 2


@pytest.mark.parametrize(
    ("missed", "made"),
    [
        ("all", ["2026-03-03", "2026-03-04", "2026-03-05"]),
        ("latest", ["2026-03-05"]),
        ("skip", []),
    ],
)
def test_occurrences_missed_in_three_days_are_made_up_for_as_the_series_says(
    user: SignedIn, travel: Travel, missed: str, made: list[str]
) -> None:
    series = created(travel(user, NOW), due_date=DUE, recurrence={**DAILY, "missed": missed})

    with assert_events_explain_the_change(user.user_id) as happened:
        api = travel(user, NEXT + 2 * A_DAY + AN_HOUR)
        _run_schedule()
        _run_schedule()

    assert _times(api, series) == [f"{day}T09:00:00.000000Z" for day in made]
    assert types_of(happened) == SPAWNED * len(made) or types_of(happened) == ["recurrence.set"]
    assert shown(api, series["id"])["next_occurrence"] == "2026-03-06T09:00:00.000000Z"


@pytest.mark.parametrize("missed", ["all", "latest", "skip"])
def test_an_occurrence_a_few_minutes_late_is_not_missed(
    user: SignedIn, travel: Travel, missed: str
) -> None:
    series = created(travel(user, NOW), due_date=DUE, recurrence={**DAILY, "missed": missed})
    api = travel(user, NEXT + timedelta(minutes=5))

    _run_schedule()

    assert _times(api, series) == [NEXT_TEXT]


def test_many_missed_occurrences_come_in_more_than_one_turn(
    user: SignedIn, travel: Travel, looks: Looks
) -> None:
    series = created(travel(user, NOW), due_date=DUE, **DAILY)

    with assert_events_explain_the_change(user.user_id):
        looks(3)
        api = travel(user, FIRST + 150 * A_DAY)
        _run_schedule()

    times = _times(api, series)
    assert len(times) == len(set(times)) == 150
    assert shown(api, series["id"])["next_occurrence"] == "2026-07-31T09:00:00.000000Z"


def test_the_count_of_a_series_includes_its_own_task(user: SignedIn, travel: Travel) -> None:
    series = created(travel(user, NOW), due_date=DUE, recurrence_rule="FREQ=DAILY;COUNT=3")

    with assert_events_explain_the_change(user.user_id):
        api = travel(user, FIRST + 9 * A_DAY)
        _run_schedule()
        _run_schedule()

    assert _times(api, series) == [NEXT_TEXT, "2026-03-04T09:00:00.000000Z"]
    assert shown(api, series["id"])["next_occurrence"] is None


def test_occurrences_come_whatever_happened_to_the_earlier_ones(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    series = created(api, due_date=DUE, **DAILY)
    api.post(f"/api/tasks/{series['id']}/complete")
    api = travel(user, NEXT)
    _run_schedule()
    [occurrence] = _occurrences(api, series)
    api.delete(f"/api/tasks/{occurrence['id']}")
    api = travel(user, NEXT + A_DAY)

    _run_schedule()

    assert _times(api, series) == ["2026-03-04T09:00:00.000000Z"]


@pytest.mark.parametrize(("method", "suffix", "body"), ENDS)
def test_an_ended_series_makes_no_occurrence_and_leaves_those_it_made(
    user: SignedIn, travel: Travel, method: str, suffix: str, body: object
) -> None:
    series = created(travel(user, NOW), due_date=DUE, **DAILY)
    api = travel(user, NEXT)
    _run_schedule()
    made = _occurrences(api, series)
    options: dict[str, Any] = {} if body is None else {"json": body}
    api.request(method, f"/api/tasks/{series['id']}{suffix}", **options)

    with assert_events_explain_the_change(user.user_id) as happened:
        api = travel(user, NEXT + 5 * A_DAY)
        _run_schedule()

    assert happened == []
    assert len(made) == 1
    assert _occurrences(api, series) == made


def test_occurrences_missed_while_a_task_was_deleted_stay_missed(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    series = created(api, due_date=DUE, **DAILY)
    api.delete(f"/api/tasks/{series['id']}")
    api = travel(user, NEXT + 2 * A_DAY + A_SECOND)

    with assert_events_explain_the_change(user.user_id) as happened:
        api.post(f"/api/tasks/{series['id']}/restore")
        _run_schedule()

    assert types_of(happened) == ["task.restored"]
    assert shown(api, series["id"])["next_occurrence"] == "2026-03-06T09:00:00.000000Z"


def test_a_changed_rule_does_not_make_an_existing_occurrence_again(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    series = created(api, due_date=DUE, **DAILY, reminders=[{"before_due": "PT30M"}])
    api = travel(user, NEXT - timedelta(minutes=30))
    _run_schedule()
    _run_schedule()
    recurrence = f"/api/tasks/{series['id']}/recurrence"
    api.post(recurrence, {"recurrence_rule": "FREQ=DAILY;INTERVAL=1"})

    with assert_events_explain_the_change(user.user_id) as happened:
        _run_schedule()

    assert _times(api, series) == [NEXT_TEXT]
    assert types_of(happened) == ["recurrence.set"]
    assert data_of(happened[0])["next_occurrence"] == "2026-03-04T09:00:00.000000Z"


def test_a_user_who_moves_west_gets_the_occurrence_of_the_morning_once(
    user: SignedIn, travel: Travel
) -> None:
    series = created(travel(user, NOW), due_date=DUE, **DAILY)
    api = travel(user, NEXT)
    _run_schedule()

    with assert_events_explain_the_change(user.user_id):
        api.put("/api/settings", {"timezone": "America/New_York"})
        api = travel(user, NEXT + 12 * AN_HOUR)
        _run_schedule()
        early = _times(api, series)
        # Nine o'clock in New York.
        api = travel(user, NEXT + A_DAY + 5 * AN_HOUR)
        _run_schedule()

    assert early == [NEXT_TEXT]
    assert _times(api, series) == [NEXT_TEXT, "2026-03-04T14:00:00.000000Z"]


# Reminders


def test_a_reminder_comes_at_its_time_and_not_before(user: SignedIn, travel: Travel) -> None:
    task = created(travel(user, NOW), reminders=[{"remind_at": DUE, "message": "Now"}])

    with assert_events_explain_the_change(user.user_id) as before:
        travel(user, FIRST - timedelta(microseconds=1))
        _run_schedule()
    with assert_events_explain_the_change(user.user_id) as after:
        api = travel(user, FIRST)
        _run_schedule()
        _run_schedule()

    assert before == []
    assert types_of(after) == TRIGGERED
    triggered = data_of(after[0])
    assert (triggered["task_id"], triggered["task_title"]) == (task["id"], "Water the plants")
    assert (triggered["reminder_message"], triggered["late_by_s"]) == ("Now", 0)
    assert _pending(api) == []
    [notification] = items(api, "/api/notifications")
    assert (notification["message"], notification["created_at"]) == ("Now", DUE)


def test_a_reminder_that_comes_late_says_by_how_much(user: SignedIn, travel: Travel) -> None:
    created(travel(user, NOW), reminders=[{"remind_at": DUE}])

    with assert_events_explain_the_change(user.user_id) as happened:
        travel(user, FIRST + timedelta(hours=5, milliseconds=1500))
        _run_schedule()
        travel(user, FIRST + A_DAY)
        _run_schedule()

    assert types_of(happened) == TRIGGERED
    assert data_of(happened[0])["late_by_s"] == 18001.5
    assert data_of(happened[0])["remind_at"] == DUE


def test_a_reminder_tells_the_title_that_its_task_has_at_that_time(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    task = created(api, reminders=[{"remind_at": DUE}])
    api.patch(f"/api/tasks/{task['id']}", {"title": "Water all the plants"})
    api = travel(user, FIRST)

    _run_schedule()

    newest = content(api.get("/api/{user_id}/events"))["seq"]
    messages = content(api.get(f"/api/{{user_id}}/events?since={newest - 3}"))["items"]
    assert [message["type"] for message in messages] == [
        *("reminder", "notification.created", "reminder.sent"),
    ]
    assert messages[0]["data"]["task_title"] == "Water all the plants"
    assert messages[0]["data"]["reminder_message"] is None
    assert messages[0]["data"]["remind_at"] == DUE
    assert messages[0]["data"]["task_id"] == task["id"]


def test_a_snoozed_reminder_comes_at_the_end_of_its_snooze(user: SignedIn, travel: Travel) -> None:
    created(travel(user, NOW), reminders=[{"remind_at": DUE}])
    api = travel(user, FIRST)
    _run_schedule()
    [sent] = happened_to(user.user_id, "reminder.sent")
    snooze = f"/api/reminders/{sent.aggregate_id}/snooze"
    api.post(snooze, {"until": "2026-03-02T10:00:00Z"})

    with assert_events_explain_the_change(user.user_id) as happened:
        travel(user, FIRST + AN_HOUR - A_SECOND)
        _run_schedule()
        assert log_of(user.user_id)[-1].event_type == "reminder.rescheduled"
        api = travel(user, FIRST + AN_HOUR)
        _run_schedule()

    assert types_of(happened) == TRIGGERED
    assert data_of(happened[0])["late_by_s"] == 0
    assert len(items(api, "/api/notifications")) == 2


@pytest.mark.parametrize(
    ("method", "suffix"), [("POST", "/complete"), ("DELETE", "")], ids=["completed", "deleted"]
)
def test_a_reminder_of_a_closed_task_does_not_come(
    user: SignedIn, travel: Travel, method: str, suffix: str
) -> None:
    api = travel(user, NOW)
    task = created(api, reminders=[{"remind_at": DUE}])
    api.request(method, f"/api/tasks/{task['id']}{suffix}")

    with assert_events_explain_the_change(user.user_id) as happened:
        travel(user, FIRST + A_DAY)
        _run_schedule()

    assert happened == []


def test_the_reminders_of_an_occurrence_are_its_own(user: SignedIn, travel: Travel) -> None:
    series = created(travel(user, NOW), due_date=DUE, **DAILY, reminders=[{"before_due": "PT30M"}])
    api = travel(user, NEXT - timedelta(minutes=30))
    _run_schedule()
    [occurrence] = _occurrences(api, series)
    path = f"/api/tasks/{occurrence['id']}"

    with assert_events_explain_the_change(user.user_id) as happened:
        api.put(f"{path}/due-date", {"due_date": "2026-03-03T18:00:00Z"})
        api.post(f"{path}/complete")

    assert types_of(happened) == [
        *("task.due_date_changed", "reminder.rescheduled"),
        *("task.completed", "reminder.cancelled"),
    ]
    assert shown(api, series["id"])["next_occurrence"] == "2026-03-04T09:00:00.000000Z"


# What a series may make


def test_a_long_lead_time_makes_a_bounded_number_of_occurrences_and_no_past_reminder(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    series = created(api, due_date=DUE, **DAILY, reminders=[{"before_due": "P366D"}])

    with assert_events_explain_the_change(user.user_id) as happened:
        _run_schedule()
        _run_schedule()
        travel(user, NEXT)
        _run_schedule()

    ahead = _occurrences(travel(user, NEXT), series)
    assert types_of(happened) == SPAWNED * len(ahead)
    assert len(ahead) in (AHEAD_MAX + 1, AHEAD_MAX + 2)
    assert sum(one["due_date"] > NEXT_TEXT for one in ahead) == AHEAD_MAX


def test_occurrences_made_in_one_transaction_are_bounded_in_bytes(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    big = "🐘" * 10_000
    for _ in range(30):
        created(api, due_date=DUE, **DAILY, description=big)

    api = travel(user, NEXT)
    with assert_events_explain_the_change(user.user_id) as first:
        _run_schedule()
    with assert_events_explain_the_change(user.user_id) as second:
        _run_schedule()

    assert [len(first), len(second)] == [2 * 17, 2 * 13]
    assert sum(len(event.data_json.encode()) for event in first) < 2 * 1024 * 1024


# What is bad, and others


@pytest.mark.parametrize(
    "broken",
    ['{"recurrence_rule": "FREQ=NEVER"}', '{"mode": 7}', '{"start": "never"}'],
)
def test_a_failing_series_holds_up_no_other(
    user: SignedIn, other: SignedIn, travel: Travel, looks: Looks, broken: str
) -> None:
    bad = created(travel(user, NOW), due_date=DUE, **DAILY, reminders=[{"remind_at": DUE}])
    good = [
        created(travel(other, NOW), due_date=DUE, **DAILY, reminders=[{"before_due": "PT0S"}])
        for _ in range(3)
    ]
    tamper(
        "UPDATE tasks SET recurrence = (recurrence::jsonb || CAST(:broken AS jsonb))::json"
        " WHERE id = :id",
        broken=broken,
        id=UUID(bad["id"]),
    )

    api = travel(other, NEXT)
    looks(10)
    _run_schedule()

    for series in good:
        assert _times(api, series) == [NEXT_TEXT]
    assert len(items(api, "/api/notifications")) == 6
    assert happened_to(user.user_id, "recurring.spawned") == []


def test_each_user_gets_their_own_occurrences_and_reminders(
    user: SignedIn, other: SignedIn, travel: Travel
) -> None:
    series = created(travel(user, NOW), due_date=DUE, **DAILY, reminders=[{"before_due": "PT0S"}])
    created(travel(other, NOW), due_date=DUE, **DAILY)

    with (
        assert_events_explain_the_change(user.user_id) as mine,
        assert_events_explain_the_change(other.user_id) as theirs,
    ):
        api = travel(user, NEXT)
        _run_schedule()
        _run_schedule()

    assert sorted(types_of(mine)) == sorted([*SPAWNED, "reminder.scheduled", *TRIGGERED * 2])
    assert types_of(theirs) == SPAWNED
    assert _times(api, series) == [NEXT_TEXT]


# Occurrences after completion


def _completed(api: Api, task: dict[str, Any]) -> Event:
    """Complete a task, and return the event of it."""
    answer = api.post(f"/api/tasks/{task['id']}/complete")
    assert answer.status_code == 200, answer.text
    return [
        event
        for event in log_of(task["user_id"])
        if (event.event_type, event.aggregate_id) == ("task.completed", task["id"])
    ][-1]


def _spawn(event: Event) -> None:
    assert_taken(deliver("spawn-next-occurrence", event))


def test_completing_a_task_makes_the_next_occurrence_of_its_series(
    user: SignedIn, travel: Travel
) -> None:
    reminders = [{"before_due": "PT10M", "message": "Soon"}, {"remind_at": NEXT_TEXT}]
    api = travel(user, NOW)
    series = created(api, due_date=DUE, recurrence=AFTER_COMPLETION, reminders=reminders)
    api = travel(user, NOW + 3 * A_DAY)
    completed = _completed(api, series)

    with assert_events_explain_the_change(user.user_id) as happened:
        _spawn(completed)

    assert types_of(happened) == ["task.created", "reminder.scheduled", "recurring.spawned"]
    [occurrence] = _occurrences(api, series)
    assert occurrence["due_date"] == occurrence["occurrence_at"] == "2026-03-06T09:00:00.000000Z"
    assert (occurrence["status"], occurrence["is_recurring"]) == ("pending", False)
    assert data_of(happened[1])["remind_at"] == "2026-03-06T08:50:00.000000Z"
    assert data_of(happened[2])["occurrence"]["id"] == occurrence["id"]
    assert happened[2].correlation_id == completed.correlation_id
    assert happened[2].actor == "spawn-next-occurrence"


def test_each_completed_occurrence_makes_the_next_one(user: SignedIn, travel: Travel) -> None:
    series = created(travel(user, NOW), due_date=DUE, recurrence=AFTER_COMPLETION)
    task = series

    with assert_events_explain_the_change(user.user_id):
        for day in range(4):
            api = travel(user, FIRST + 2 * day * A_DAY)
            _spawn(_completed(api, task))
            task = _occurrences(api, series)[-1]

    assert _times(travel(user, FIRST + 9 * A_DAY), series) == [
        f"2026-03-{day:02}T09:00:00.000000Z" for day in (3, 5, 7, 9)
    ]


def test_a_second_delivery_makes_no_second_occurrence(user: SignedIn, travel: Travel) -> None:
    api = travel(user, NOW)
    series = created(api, due_date=DUE, recurrence=AFTER_COMPLETION)
    completed = _completed(api, series)
    _spawn(completed)

    with assert_events_explain_the_change(user.user_id) as happened:
        with ThreadPoolExecutor(4) as pool:
            for answer in pool.map(deliver, ["spawn-next-occurrence"] * 8, [completed] * 8):
                assert_taken(answer)
        # As after the claims were forgotten.
        tamper("DELETE FROM claims WHERE event_id = :id", id=completed.event_id)
        _spawn(completed)

    assert happened == []
    assert len(_times(api, series)) == 1


def test_a_task_reopened_and_completed_again_makes_no_second_occurrence(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    series = created(api, due_date=DUE, recurrence=AFTER_COMPLETION)
    _spawn(_completed(api, series))
    [occurrence] = _occurrences(api, series)
    api.delete(f"/api/tasks/{occurrence['id']}")
    api = travel(user, NOW + 5 * A_DAY)
    api.post(f"/api/tasks/{series['id']}/complete", {"completed": False})
    again = _completed(api, series)

    with assert_events_explain_the_change(user.user_id) as happened:
        _spawn(again)

    assert happened == []
    assert _times(api, series) == []


def test_a_task_reopened_before_the_delivery_makes_no_occurrence_until_completed_again(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    series = created(api, due_date=DUE, recurrence=AFTER_COMPLETION)
    first = _completed(api, series)
    api.post(f"/api/tasks/{series['id']}/complete", {"completed": False})

    with assert_events_explain_the_change(user.user_id) as happened:
        _spawn(first)
    api = travel(user, NOW + 5 * A_DAY)
    _spawn(_completed(api, series))

    assert happened == []
    assert _times(api, series) == ["2026-03-08T09:00:00.000000Z"]


@pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [*ENDS, pytest.param("POST", "/recurrence", DAILY, id="by schedule")],
)
def test_a_delivery_after_the_end_of_the_series_makes_no_occurrence(
    user: SignedIn, travel: Travel, method: str, suffix: str, body: object
) -> None:
    api = travel(user, NOW)
    series = created(api, due_date=DUE, recurrence=AFTER_COMPLETION)
    _spawn(_completed(api, series))
    [occurrence] = _occurrences(api, series)
    completed = _completed(api, occurrence)
    options: dict[str, Any] = {} if body is None else {"json": body}
    api.request(method, f"/api/tasks/{series['id']}{suffix}", **options)

    with assert_events_explain_the_change(user.user_id) as happened:
        _spawn(completed)

    assert happened == []


def test_a_delivery_after_the_deletion_of_the_completed_occurrence_makes_no_next_one(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    series = created(api, due_date=DUE, recurrence=AFTER_COMPLETION)
    _spawn(_completed(api, series))
    [occurrence] = _occurrences(api, series)
    completed = _completed(api, occurrence)
    api.delete(f"/api/tasks/{occurrence['id']}")

    with assert_events_explain_the_change(user.user_id) as happened:
        _spawn(completed)

    assert happened == []


def test_the_count_of_a_series_that_follows_completions_includes_its_own_task(
    user: SignedIn, travel: Travel
) -> None:
    recurrence = {"recurrence_rule": "FREQ=DAILY;COUNT=3", "mode": "after_completion"}
    series = created(travel(user, NOW), due_date=DUE, recurrence=recurrence)
    task = series

    with assert_events_explain_the_change(user.user_id):
        for day in range(3):
            api = travel(user, FIRST + day * A_DAY)
            _spawn(_completed(api, task))
            task = _occurrences(api, series)[-1]

    api = travel(user, FIRST + 9 * A_DAY)
    assert _times(api, series) == [NEXT_TEXT, "2026-03-04T09:00:00.000000Z"]
    assert [one["completed"] for one in _occurrences(api, series)] == [True, True]


def test_an_occurrence_completed_early_makes_the_one_after_its_own_time(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    series = created(api, due_date="2026-03-20T09:00:00Z", recurrence=AFTER_COMPLETION)

    _spawn(_completed(api, series))

    assert _times(api, series) == ["2026-03-21T09:00:00.000000Z"]


def test_completing_a_task_without_a_series_by_completion_makes_no_occurrence(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    scheduled, single = created(api, due_date=DUE, **DAILY), created(api, due_date=DUE)
    api = travel(user, NEXT)
    _run_schedule()
    [occurrence] = _occurrences(api, scheduled)
    completions = [_completed(api, task) for task in (scheduled, single, occurrence)]

    with assert_events_explain_the_change(user.user_id) as happened:
        for completed in completions:
            _spawn(completed)

    assert happened == []


def test_an_occurrence_may_have_a_series_of_its_own(user: SignedIn, travel: Travel) -> None:
    series = created(travel(user, NOW), due_date=DUE, **DAILY)
    api = travel(user, NEXT)
    _run_schedule()
    [occurrence] = _occurrences(api, series)
    api.post(f"/api/tasks/{occurrence['id']}/recurrence", AFTER_COMPLETION)

    _spawn(_completed(api, occurrence))

    assert len(_times(api, occurrence)) == 1


# What the log holds of it


def test_the_events_of_tasks_with_series_and_reminders_rebuild_them(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    daily = created(api, due_date=DUE, **DAILY, reminders=[{"before_due": "PT30M"}])
    chain = created(api, due_date=DUE, recurrence=AFTER_COMPLETION, tags=["home"])
    ended = created(api, due_date=DUE, **DAILY)
    for day in range(4):
        api = travel(user, FIRST + day * A_DAY)
        _run_schedule()
        _spawn(_completed(api, (_occurrences(api, chain) or [chain])[-1]))
    api.delete(f"/api/tasks/{_occurrences(api, daily)[0]['id']}")
    api.put("/api/settings", {"timezone": "Pacific/Auckland"})
    api.delete(f"/api/tasks/{ended['id']}/recurrence")
    api.delete(f"/api/tasks/{chain['id']}")
    [pending, *_] = _pending(api)
    api.post(f"/api/reminders/{pending['id']}/snooze", {"until": "2026-03-09T08:00:00Z"})
    api.post(f"/api/notifications/{items(api, '/api/notifications')[0]['id']}/read")

    happened = log_of(user.user_id)
    replay = Replay()
    for event in happened:
        replay.apply(
            {
                "event_type": event.event_type,
                "aggregate_id": event.aggregate_id,
                "version": event.version,
                "schema_version": event.schema_version,
                "timestamp": event.timestamp.isoformat().replace("+00:00", ".000000Z"),
                "data": data_of(event),
            }
        )

    with transaction(A_CAUSE) as tx:
        live = {str(task.id): task for task in task_store.all_of(tx, user.user_id)}
    assert len(live) > 10
    assert set(replay.states) == set(live)
    assert {
        task_id: differing
        for task_id, task in live.items()
        if (differing := differing_fields(replay.states[task_id], task))
    } == {}
    assert fold({}, happened) == state_of(user.user_id)


def test_the_histories_of_a_series_and_its_occurrence_tell_the_scheduled_changes(
    user: SignedIn, travel: Travel
) -> None:
    series = created(travel(user, NOW), due_date=DUE, **DAILY)
    api = travel(user, NEXT)
    _run_schedule()
    [occurrence] = _occurrences(api, series)

    of_series = items(api, f"/api/tasks/{series['id']}/history")
    of_occurrence = items(api, f"/api/tasks/{occurrence['id']}/history")

    assert [event["event_type"] for event in of_series] == [
        *("task.created", "recurrence.set", "recurring.spawned"),
    ]
    assert of_series[-1]["data"]["occurrence"]["id"] == occurrence["id"]
    assert [event["event_type"] for event in of_occurrence] == ["task.created"]
    assert of_occurrence[0]["data"] == occurrence


def test_a_stream_locked_by_a_hanging_process_holds_up_its_user_alone(
    user: SignedIn, other: SignedIn, travel: Travel, looks: Looks
) -> None:
    for one in (user, other):
        created(travel(one, NOW), reminders=[{"remind_at": DUE}])
        created(travel(one, NOW), due_date=DUE, **DAILY)
    travel(other, NEXT)
    looks(8)

    with transaction(A_CAUSE) as tx:
        lock = text("SELECT FROM streams WHERE user_id = :user FOR UPDATE")
        tx.connection.execute(lock, {"user": user.user_id})
        _run_schedule()
        while_locked = [_sent_and_spawned(one) for one in (user, other)]
    _run_schedule()

    assert while_locked == [(0, 0), (1, 1)]
    assert [_sent_and_spawned(one) for one in (user, other)] == [(1, 1), (1, 1)]


def _sent_and_spawned(user: SignedIn) -> tuple[int, int]:
    sent, spawned = (
        happened_to(user.user_id, name) for name in ("reminder.sent", "recurring.spawned")
    )
    return len(sent), len(spawned)
