"""Calendar feeds: open tasks as iCalendar, at an address that is a secret (T11)."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from icalendar import Calendar
from sqlalchemy import text
from werkzeug.test import TestResponse

from taskflow import clock
from taskflow.domain.recurrence import Recurrence, Series, Skip, occurrences
from taskflow.domain.times import rfc3339
from taskflow.serving.calendars import CalendarWriter
from taskflow.serving.frame import EXTENSION
from taskflow.storage import transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_task
from tests.support.functions.client import Api, all_functions, content
from tests.support.functions.problems import assert_refused
from tests.support.paths import ROOT
from tests.support.settings import changed_settings

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)

WITHOUT_A_DAY = {"Pacific/Apia", "Pacific/Kiritimati"}
"""Where a day was left out once: a calendar shows twice what was due on it."""

VECTORS = json.loads((ROOT / "tests" / "domain" / "recurrence_vectors.json").read_text())["cases"]


def _address(user: SignedIn) -> str:
    answer = Api(user).post("/api/{user_id}/calendar-feed")
    assert answer.status_code == 201, answer.text
    return content(answer)["path"]


def _show(path: str, **headers: str) -> TestResponse:
    return Api().get(path, headers=headers)


def _calendar(user: SignedIn, query: str = "") -> Any:  # noqa: ANN401 - icalendar's
    answer = _show(_address(user) + query)
    assert answer.status_code == 200, answer.text
    return Calendar.from_ical(answer.data)


def _components(user: SignedIn, kind: str) -> list[Any]:
    return list(_calendar(user).walk(kind))


def test_an_open_task_is_shown_as_something_to_do_and_in_the_calendar(user: SignedIn) -> None:
    due = clock.now().replace(microsecond=0) + timedelta(days=1)
    draft = {
        "title": "Pay rent",
        "description": "To the landlord",
        "priority": "high",
        "due_date": rfc3339(due),
        "reminders": [{"before_due": "P1DT2H"}, {"remind_at": "2126-01-01T00:00:00Z"}],
    }
    task = content(Api(user).post("/api/tasks", draft))

    calendar = _calendar(user)

    [todo], [event] = calendar.walk("VTODO"), calendar.walk("VEVENT")
    assert (todo["uid"], event["uid"]) == (task["id"], f"{task['id']}-event")
    assert todo["summary"] == event["summary"] == "Pay rent"
    assert todo["description"] == "To the landlord"
    assert (todo["priority"], todo["status"]) == (3, "NEEDS-ACTION")
    assert todo["due"].dt == event["dtstart"].dt == due
    triggers = [alarm["trigger"] for alarm in todo.walk("VALARM")]
    assert {trigger.dt for trigger in triggers} == {datetime(2126, 1, 1, tzinfo=UTC)} or {
        trigger.dt for trigger in triggers
    } >= {datetime(2126, 1, 1, tzinfo=UTC)}
    assert calendar["version"] == "2.0"
    assert calendar["prodid"]


def test_a_relative_reminder_is_an_alarm_before_the_due_time(user: SignedIn) -> None:
    due = clock.now() + timedelta(days=10)
    draft = {"title": "x", "due_date": rfc3339(due), "reminders": [{"before_due": "P1DT2H"}]}
    Api(user).post("/api/tasks", draft)

    calendar = _calendar(user)

    [of_todo] = calendar.walk("VTODO")[0].walk("VALARM")
    [of_event] = calendar.walk("VEVENT")[0].walk("VALARM")
    assert of_todo["trigger"].dt == of_event["trigger"].dt == -timedelta(days=1, hours=2)
    assert of_todo["trigger"].params["RELATED"] == "END"
    assert of_event["trigger"].params["RELATED"] == "START"
    assert of_todo["action"] == "DISPLAY"


def test_completed_and_deleted_tasks_are_not_shown_and_undated_ones_are_to_do(
    user: SignedIn,
) -> None:
    api = Api(user)
    for title in ("Completed", "Deleted", "Undated"):
        task = content(api.post("/api/tasks", {"title": title}))
        if title == "Completed":
            api.patch(f"/api/tasks/{task['id']}/complete")
        if title == "Deleted":
            api.delete(f"/api/tasks/{task['id']}")

    calendar = _calendar(user)

    assert [todo["summary"] for todo in calendar.walk("VTODO")] == ["Undated"]
    assert calendar.walk("VEVENT") == []


@pytest.mark.parametrize("component", ["VTODO", "VEVENT"])
def test_one_kind_of_component_can_be_asked_for(user: SignedIn, component: str) -> None:
    Api(user).post("/api/tasks", {"title": "x", "due_date": rfc3339(clock.now())})

    calendar = _calendar(user, f"?component={component}")

    assert [len(calendar.walk(kind)) for kind in ("VTODO", "VEVENT")] == [
        int(component == "VTODO"),
        int(component == "VEVENT"),
    ]


HOSTILE_TITLES = [
    "a\r\nEND:VCALENDAR\r\nBEGIN:VCALENDAR",
    "a\nATTACH:file:///etc/passwd",
    "a\rX-EVIL:1",
    "a\u2028b\u0085c",
    "a;b,c:d\\e\\n\\N",
    "C:\\New",
    "🦉" * 200,
    "\u202eevil",
    "\x0b\x0c\x1b[31m\x7f",
    '"quoted"',
]


@pytest.mark.parametrize("title", HOSTILE_TITLES, ids=ascii)
def test_no_title_breaks_out_of_its_line(user: SignedIn, title: str) -> None:
    draft = {"title": title, "description": title, "due_date": rfc3339(clock.now())}
    Api(user).post("/api/tasks", draft)

    answer = _show(_address(user))

    lines = answer.data.split(b"\r\n")
    assert all(len(line) <= 75 for line in lines)
    assert b"\n" not in b"".join(lines)
    assert b"\r" not in b"".join(lines)
    unfolded = answer.data.replace(b"\r\n ", b"").decode().split("\r\n")
    names = {line.partition(":")[0].partition(";")[0] for line in unfolded if line}
    assert not names & {"ATTACH", "X-EVIL"}
    assert unfolded.count("END:VCALENDAR") == 1
    calendar: Any = Calendar.from_ical(answer.data)
    [todo] = calendar.walk("VTODO")
    plain = "".join(
        char for char in title if char in "\t\n\r" or not (ord(char) < 32 or char == "\x7f")
    )
    expected = plain.replace("\r\n", "\n").replace("\r", "\n")
    # What the parser makes of a backslash before an N is its own; the text of the line is ours.
    if "\\" not in title:
        assert todo["summary"] == expected


def test_a_series_is_a_rule_from_its_next_occurrence_on_in_its_zone(
    user: SignedIn,
) -> None:
    due = datetime(2126, 3, 4, 8, tzinfo=UTC)
    draft = {
        "title": "Stand-up",
        "due_date": rfc3339(due),
        "recurrence": {"recurrence_rule": "FREQ=WEEKLY;COUNT=5", "timezone": "Europe/Berlin"},
    }
    task = content(Api(user).post("/api/tasks", draft))

    calendar = _calendar(user)

    [series] = [each for each in calendar.walk("VTODO") if "rrule" in each]
    assert series["uid"] == f"{task['id']}-next"
    assert series["dtstart"].dt == due + timedelta(days=7)
    assert series["dtstart"].params["TZID"] == "Europe/Berlin"
    assert series["rrule"]["COUNT"] == [4]
    assert [zone["tzid"] for zone in calendar.walk("VTIMEZONE")] == ["Europe/Berlin"]


RULES = [
    ("FREQ=DAILY", "2026-01-01T09:00", Skip.BACKWARD),
    ("FREQ=DAILY;INTERVAL=3;COUNT=30", "2026-01-01T09:00", Skip.BACKWARD),
    ("FREQ=WEEKLY", "2026-01-06T09:00", Skip.BACKWARD),
    ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH", "2026-01-05T09:00", Skip.BACKWARD),
    ("FREQ=MONTHLY", "2026-01-31T09:00", Skip.BACKWARD),
    ("FREQ=MONTHLY", "2026-01-30T09:00", Skip.BACKWARD),
    ("FREQ=MONTHLY", "2026-01-31T09:00", Skip.OMIT),
    ("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-30T09:00", Skip.BACKWARD),
    ("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-31T09:00", Skip.BACKWARD),
    ("FREQ=YEARLY", "2024-02-29T09:00", Skip.BACKWARD),
    ("FREQ=YEARLY", "2024-02-29T09:00", Skip.OMIT),
    ("FREQ=YEARLY;BYMONTH=3;BYDAY=1SU", "2026-03-01T09:00", Skip.BACKWARD),
    ("FREQ=MONTHLY;UNTIL=20270101", "2026-01-15T09:00", Skip.BACKWARD),
    ("FREQ=DAILY;UNTIL=20260420T090000", "2026-01-15T09:00", Skip.BACKWARD),
    ("FREQ=DAILY;UNTIL=20260420T070000Z", "2026-01-15T09:00", Skip.BACKWARD),
    ("FREQ=MONTHLY;BYMONTHDAY=31", "2026-01-31T09:00", Skip.BACKWARD),
    ("FREQ=MONTHLY;BYMONTHDAY=31;COUNT=20", "2026-01-31T09:00", Skip.FORWARD),
    ("FREQ=MONTHLY;BYMONTHDAY=15,31", "2026-01-31T09:00", Skip.BACKWARD),
    ("FREQ=MONTHLY;BYMONTHDAY=-31", "2026-01-01T09:00", Skip.BACKWARD),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2024-02-29T09:00", Skip.BACKWARD),
    ("FREQ=YEARLY;BYMONTHDAY=31", "2026-01-31T09:00", Skip.BACKWARD),
    ("FREQ=YEARLY;BYMONTH=2,6", "2026-01-30T09:00", Skip.BACKWARD),
    ("FREQ=YEARLY;INTERVAL=2;BYMONTH=2,6", "2026-01-30T09:00", Skip.BACKWARD),
    ("FREQ=DAILY", "2026-03-01T02:30", Skip.BACKWARD),
]


@pytest.mark.parametrize(("rule", "start", "skip"), RULES)
def test_the_rule_of_a_feed_gives_the_occurrences_that_the_series_will_have(
    rule: str, start: str, skip: Skip
) -> None:
    zone = "Europe/Berlin"
    series = Series(recurrence_rule=rule, start=datetime.fromisoformat(start), skip=skip)
    expected = list(occurrences(series, zone, after=NOW, limit=10))

    assert _shown(Recurrence(series=series, zone=zone), expected[0], limit=10) == expected


def test_a_series_whose_next_time_does_not_exist_is_shown_at_its_own_time_after_it() -> None:
    series = Series(recurrence_rule="FREQ=DAILY", start=datetime(2026, 3, 1, 2, 30))  # noqa: DTZ001 - local time
    recurrence = Recurrence(series=series, zone="Europe/Berlin")
    missing = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)

    shown = _shown(recurrence, missing, limit=2)

    assert shown == [missing, datetime(2026, 3, 30, 0, 30, tzinfo=UTC)]


def test_the_series_of_all_vectors_are_shown_as_they_recur() -> None:
    # dateutil is no better than rrule at those by hand, and counts BYSETPOS in the week from
    # where it starts.
    vectors = [
        vector
        for vector in VECTORS
        if len(vector["utc"]) > 1
        and vector["source"] == "oracle"
        and vector["zone"] not in WITHOUT_A_DAY
        and not ("WEEKLY" in vector["rule"] and "BYSETPOS" in vector["rule"])
    ]
    assert len(vectors) >= 300

    for vector in vectors:
        series = Series(
            recurrence_rule=vector["rule"],
            start=datetime.fromisoformat(vector["start"]),
            skip=Skip(vector["skip"]),
        )
        expected = [datetime.fromisoformat(at) for at in vector["utc"][1:]]
        recurrence = Recurrence(series=series, zone=vector["zone"])

        shown = _shown(recurrence, expected[0], limit=len(expected))

        assert shown == expected, vector["name"]


def _shown(recurrence: Recurrence, next_at: datetime, *, limit: int) -> list[datetime]:
    """Return the first times of a series that another program reads in a calendar."""
    task = replace(a_task(), recurrence=recurrence, next_occurrence=next_at)
    writer = CalendarWriter(["VEVENT"], zone=recurrence.zone, now=NOW)
    writer.add_series(task, ())
    calendar: Any = Calendar.from_ical(writer.content())
    [event] = calendar.walk("VEVENT")
    first = event["dtstart"].dt
    if "rrule" in event:
        times = rrulestr(event["rrule"].to_ical().decode(), dtstart=first)
    else:
        times = [first, *(each.dt for each in event["rdate"].dts)] if "rdate" in event else [first]
    return [at.astimezone(UTC) for _, at in zip(range(limit), times, strict=False)]


def test_what_recurs_has_a_start_and_no_end_that_would_have_to_be_later(user: SignedIn) -> None:
    draft = {
        "title": "Stand-up",
        "due_date": "2126-03-04T08:00:00Z",
        "recurrence_rule": "FREQ=DAILY",
        "reminders": [{"before_due": "PT15M"}],
    }
    Api(user).post("/api/tasks", draft)

    calendar = _calendar(user)

    [series] = [each for each in calendar.walk("VTODO") if "rrule" in each]
    assert "due" not in series
    [alarm] = series.walk("VALARM")
    assert alarm["trigger"].params["RELATED"] == "START"


def test_an_unchanged_feed_is_not_sent_again(user: SignedIn) -> None:
    Api(user).post("/api/tasks", {"title": "first"})
    path = _address(user)
    tag = _show(path).headers["ETag"]

    unchanged = _show(path, **{"If-None-Match": tag})
    Api(user).post("/api/tasks", {"title": "second"})
    changed = _show(path, **{"If-None-Match": tag})

    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert unchanged.headers["ETag"] == tag
    assert "private" in unchanged.headers["Cache-Control"]
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    assert changed.headers["Cache-Control"].startswith("private")


def test_a_new_address_ends_the_old_one(user: SignedIn) -> None:
    old = _address(user)
    new = _address(user)

    assert_refused(_show(old), 404, "feed-not-found")
    assert _show(new).status_code == 200


def test_a_revoked_address_shows_nothing_any_more(user: SignedIn) -> None:
    path = _address(user)

    first = Api(user).delete("/api/{user_id}/calendar-feed")
    second = Api(user).delete("/api/{user_id}/calendar-feed")

    assert (first.status_code, second.status_code) == (204, 204)
    assert_refused(_show(path), 404, "feed-not-found")


def test_an_address_shows_the_tasks_of_its_own_user_alone(user: SignedIn, other: SignedIn) -> None:
    Api(user).post("/api/tasks", {"title": "Mine"})
    Api(other).post("/api/tasks", {"title": "Theirs"})

    assert [todo["summary"] for todo in _components(user, "VTODO")] == ["Mine"]
    assert [todo["summary"] for todo in _components(other, "VTODO")] == ["Theirs"]


def test_the_secret_of_an_address_is_kept_nowhere(user: SignedIn) -> None:
    token = _address(user).rpartition("/")[2]

    with transaction(A_CAUSE) as tx:
        rows = tx.connection.execute(text("SELECT row::text FROM calendar_feeds AS row")).scalars()

        assert token not in "\n".join(rows)
    assert len(token) >= 43


def test_no_log_holds_the_secret_of_an_address(
    user: SignedIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    path = _address(user)

    _show(path)
    _show(path + "?surprise=1")
    _show(path[:-1])

    assert caplog.records
    logged = caplog.text + repr([record.__dict__ for record in caplog.records])
    assert path.rpartition("/")[2][:-1] not in logged


def test_a_network_that_guesses_addresses_is_told_to_wait(user: SignedIn) -> None:
    path = _address(user)

    with changed_settings(rate_limit_auth_per_min=3):
        guesses = [_show(f"/calendars/guess-{number}").status_code for number in range(4)]
        right = _show(path)
        elsewhere = Api().get(path, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})

    assert guesses == [404, 404, 404, 429]
    assert_refused(right, 429, "too-many-requests")
    assert elsewhere.status_code == 200


def test_a_feed_that_is_asked_for_too_often_waits_and_its_user_does_not(user: SignedIn) -> None:
    path = _address(user)

    with changed_settings(rate_limit_user_per_s=0.001, rate_limit_user_burst=1):
        answers = [_show(path).status_code for _ in range(2)]
        of_its_user = Api(user).get("/api/tasks")

    assert answers == [200, 429]
    assert of_its_user.status_code == 200


def test_a_feed_shows_so_many_tasks_and_those_due_first(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    [function] = [each for each in all_functions() if each.name == "show-calendar"]
    constants = function.app.extensions[EXTENSION].handler.__globals__
    monkeypatch.setitem(constants, "PAGE_MAX", 2)
    monkeypatch.setitem(constants, "TASKS_MAX", 4)
    api, now = Api(user), clock.now()
    api.post("/api/tasks", {"title": "undated"})
    for days in (5, 1, 3, 2, 4, -400):
        api.post(
            "/api/tasks", {"title": str(days), "due_date": rfc3339(now + timedelta(days=days))}
        )

    shown = [todo["summary"] for todo in _components(user, "VTODO")]

    assert shown == ["1", "2", "3", "4"]


def test_a_time_zone_without_a_name_of_its_own_is_utc(
    set_clock: Callable[[datetime], None],
) -> None:
    del set_clock
    user = a_user(timezone="UTC")
    draft = {
        "title": "x",
        "due_date": "2126-03-04T08:00:00Z",
        "recurrence_rule": "FREQ=DAILY",
    }
    Api(user).post("/api/tasks", draft)

    calendar = _calendar(user)

    [series] = [each for each in calendar.walk("VTODO") if "rrule" in each]
    assert series["dtstart"].to_ical() == b"21260305T080000Z"
    assert calendar.walk("VTIMEZONE") == []
