"""Series that follow their user: at the user's nine o'clock, wherever that is (R3, T8)."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import reminder_store, task_store, transaction
from tests.functions.conftest import Travel
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.database.temporary import a_database
from tests.support.delivery.subscribers import assert_taken, tick
from tests.support.functions.client import content
from tests.support.functions.tasks import data_of, happened_to

START = datetime(2026, 10, 16, 12, tzinfo=UTC)
"""A Friday two weeks before New York puts its clocks back, on the first of November."""

NINE = (9, 0)

KEPT_IN_SERIES = """
UPDATE tasks SET recurrence =
    regexp_replace(recurrence::text, '"(UTC|Asia/Tokyo)"', '"' || :kept || '"', 'g')::json
"""

pytestmark = pytest.mark.usefixtures("short_runs")


@pytest.fixture(autouse=True)
def _own_database(database: EmbeddedPostgres) -> Generator[None]:
    """Use a database in which only these tests have due items."""
    with a_database(database):
        yield


@pytest.fixture
def pass_until(set_clock: Callable[[datetime], None]) -> Callable[[datetime], None]:
    """Return a function that sets the clock forward, with a tick whenever an item is due."""

    def to(end: datetime) -> None:
        while (at := _next_due()) is not None and at <= end:
            set_clock(max(at, clock.now()))
            assert_taken(tick("run-schedule"))
        set_clock(end)

    return to


def _next_due() -> datetime | None:
    with transaction(A_CAUSE) as tx:
        due = task_store.next_due(tx), reminder_store.next_due(tx)
    return min((at for at in due if at is not None), default=None)


def every_weekday_at_nine(travel: Travel, zone: str, *before_due: str) -> SignedIn:
    """Open an account with the series, which begins on Monday."""
    user = a_user(timezone=zone)
    start = datetime(2026, 10, 19, 9, tzinfo=ZoneInfo(zone))
    answer = travel(user, START).post(
        "/api/tasks",
        {
            "title": "Stand-up",
            "due_date": start.isoformat(),
            "recurrence_rule": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
            "reminders": [{"before_due": each} for each in before_due],
        },
    )
    assert answer.status_code == 201
    return user


def due_in(user: SignedIn, zone: str) -> list[datetime]:
    """Return when the user's tasks are due, on the clocks of a zone."""
    with transaction(A_CAUSE) as tx:
        found = task_store.all_of(tx, user.user_id)
    return sorted(one.due_date.astimezone(ZoneInfo(zone)) for one in found if one.due_date)


def weekdays(first: datetime, days: int) -> list[datetime]:
    """Return the weekdays among so many days."""
    every = [(first + timedelta(days=number)).date() for number in range(days)]
    return [
        datetime(day.year, day.month, day.day, tzinfo=UTC) for day in every if day.weekday() < 5
    ]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_a_series_every_weekday_at_nine_is_at_nine_before_and_after_a_change_of_clocks(
    travel: Travel, pass_until: Callable[[datetime], None], zone: str
) -> None:
    user = every_weekday_at_nine(travel, zone)

    pass_until(datetime(2026, 11, 14, 12, tzinfo=UTC))

    due = due_in(user, zone)
    assert {(at.hour, at.minute) for at in due} == {NINE}
    assert [at.date() for at in due] == [at.date() for at in weekdays(due[0], 26)]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin"])
def test_a_reminder_days_before_each_weekday_at_nine_comes_at_nine_in_time(
    travel: Travel, pass_until: Callable[[datetime], None], zone: str
) -> None:
    user = every_weekday_at_nine(travel, zone, "P1D", "P2DT1H", "PT24H")

    pass_until(datetime(2026, 11, 7, 12, tzinfo=UTC))

    triggered = [data_of(event) for event in happened_to(user.user_id, "reminder.triggered")]
    assert {one["late_by_s"] for one in triggered} == {0}
    times: dict[str, list[datetime]] = {"P1D": [], "P2DT1H": [], "PT24H": []}
    for one in triggered:
        at = datetime.fromisoformat(one["remind_at"])
        times[one["before_due"]].append(at)
    due = due_in(user, zone)
    for before_due, length in (("P1D", timedelta(days=1)), ("P2DT1H", timedelta(days=2))):
        # An aware time less a timedelta is a time by the clock.
        days = [at - length for at in due]
        exact = timedelta(hours=before_due.endswith("1H"))
        expected = [at.astimezone(UTC) - exact for at in days]
        assert times[before_due] == [at for at in expected if at <= times[before_due][-1]]
        assert len(times[before_due]) >= 14
    hours = [at.astimezone(UTC) - timedelta(hours=24) for at in due]
    assert times["PT24H"] == [at for at in hours if at <= times["PT24H"][-1]]


@pytest.mark.parametrize("kept", ["localtime", "US/Pacific-New"])
def test_a_user_whose_zone_is_not_accepted_any_more_goes_on_in_utc(
    travel: Travel, pass_until: Callable[[datetime], None], kept: str
) -> None:
    user = every_weekday_at_nine(travel, "UTC", "P1D")
    own = travel(user, START).post(
        "/api/tasks",
        {
            "title": "Call home",
            "recurrence": {"recurrence_rule": "FREQ=WEEKLY", "timezone": "Asia/Tokyo"},
            "due_date": "2026-10-19T09:00:00Z",
        },
    )
    path = f"/api/tasks/{content(own)['id']}/recurrence"
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("UPDATE users SET timezone = :kept"), {"kept": kept})
        tx.connection.execute(text(KEPT_IN_SERIES), {"kept": kept})

    pass_until(datetime(2026, 10, 24, 12, tzinfo=UTC))
    api = travel(user, datetime(2026, 10, 24, 12, tzinfo=UTC))
    settings = content(api.get("/api/settings"))
    series = content(api.get(path))
    shown = content(api.post("/api/recurrence/preview", {"recurrence_rule": "FREQ=DAILY"}))
    moved = api.put("/api/settings", {"timezone": "Asia/Kolkata"})
    pass_until(datetime(2026, 10, 31, 12, tzinfo=UTC))

    assert settings["timezone"] == "UTC"
    assert (series["timezone"], series["local_start"]) == ("UTC", "2026-10-19T18:00:00")
    assert shown["items"][0]["local"] == "2026-10-24T12:00:00"
    assert moved.status_code == 200
    due = [at for at in due_in(user, "UTC") if at.hour != 18]
    assert {at.hour for at in due if at.day < 26} == {9}
    assert {(at.hour, at.minute) for at in due if at.day >= 26} == {(3, 30)}


@pytest.mark.parametrize(
    ("old", "new"), [("Asia/Kolkata", "America/New_York"), ("America/New_York", "Asia/Kolkata")]
)
def test_the_series_of_a_user_who_moves_is_at_nine_there_and_doubles_no_day(
    travel: Travel, pass_until: Callable[[datetime], None], old: str, new: str
) -> None:
    user = every_weekday_at_nine(travel, old)
    # In either zone it is Wednesday, and in Kolkata the occurrence of the day is there already.
    moves_at = datetime(2026, 10, 28, 12, tzinfo=UTC)

    pass_until(moves_at)
    before = due_in(user, old)
    answer = travel(user, moves_at).put("/api/settings", {"timezone": new})
    pass_until(moves_at + timedelta(days=16, hours=3))

    after = [at for at in due_in(user, new) if at > before[-1]]
    assert answer.status_code == 200
    assert {(at.hour, at.minute) for at in before} == {NINE}
    assert {(at.hour, at.minute) for at in after} == {NINE}
    days = [at.date() for at in [*before, *after]]
    # Moving never makes up for what lies behind: in Kolkata, Wednesday's nine has passed.
    passed = [moves_at.date()] if old == "America/New_York" else []
    assert set(days) == {at.date() for at in weekdays(before[0], 26)} - set(passed)
    assert len(days) == len(set(days))
