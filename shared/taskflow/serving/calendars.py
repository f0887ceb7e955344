"""Calendar feeds (RFC 5545): open tasks as VTODO and VEVENT, with their reminders as VALARM.

A series is shown as a rule from its next occurrence on; those that exist are tasks of their own.
"""

# icalendar leaves the types of values open.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from icalendar import Alarm, Calendar, Event, Timezone, Todo, vRecur, vText
from werkzeug.http import quote_etag

from taskflow.domain.recurrence import (
    Mode,
    Recurrence,
    Series,
    Skip,
    count_from,
    expansion_of,
    occurrences,
    parse_rule,
)
from taskflow.domain.recurrence.rule import Frequency
from taskflow.domain.reminders import Reminder
from taskflow.domain.tasks import Priority, Status, Task
from taskflow.serving import turns
from taskflow.serving.answers import Answer

MEDIA_TYPE: Final = "text/calendar"
PRODUCT: Final = "-//TaskFlow//TaskFlow//EN"

DESCRIPTION_MAX_CHARS = 1_000
"""Of each task: a calendar shows a few lines, and asks for all tasks again and again."""

REFRESH_EVERY = timedelta(hours=1)
"""How often a calendar is asked to look again (RFC 7986, 5.7); many have a pace of their own."""

Kind = Literal["VTODO", "VEVENT"]
KINDS: Sequence[Kind] = ("VTODO", "VEVENT")

_PRIORITIES = {Priority.URGENT: 1, Priority.HIGH: 3, Priority.MEDIUM: 5, Priority.LOW: 9}
_STATUSES = {Status.PENDING: "NEEDS-ACTION", Status.IN_PROGRESS: "IN-PROCESS"}
DATES_MAX = 50
"""How many occurrences are shown of a series that no rule of a calendar can say."""

_SHORTEST_MONTH = 28
_CONTROLS = {code: None for code in (*range(32), 127) if chr(code) not in "\t\n\r"}
_TIMEZONES_FROM = timedelta(days=366)
"""How long before now the rules of a zone are told from."""

_TIMEZONES_KEPT = 600
"""As many as there are, of some kilobytes each: to write one takes some 15 ms."""


class CalendarShown(Answer[bytes]):
    """The calendar (RFC 5545)."""

    HEADERS = ("Content-Disposition", "ETag")
    MEDIA_TYPES = (MEDIA_TYPE,)

    def __init__(self, content: bytes, tag: str) -> None:
        """Write the calendar and its version."""
        super().__init__(content, self.STATUS, content_type=f"{MEDIA_TYPE}; charset=utf-8")
        self.headers["Content-Disposition"] = 'inline; filename="taskflow.ics"'
        self.headers["ETag"] = quote_etag(tag)


class CalendarUnchanged(Answer[None]):
    """The client already holds the calendar as it is (RFC 9110, 15.4.5)."""

    STATUS = HTTPStatus.NOT_MODIFIED
    HEADERS = ("ETag",)

    def __init__(self, tag: str) -> None:
        """Name the version."""
        super().__init__(status=self.STATUS)
        del self.headers["Content-Type"]
        self.headers["ETag"] = quote_etag(tag)


class _Text(vText):
    """Text as RFC 5545, 3.3.11 escapes it; vText takes a backslash before an N for a line break."""

    def to_ical(self) -> bytes:
        """Escape the text."""
        lines = str(self).replace("\r\n", "\n").replace("\r", "\n")
        for char in "\\;,":
            lines = lines.replace(char, f"\\{char}")
        return lines.replace("\n", "\\n").encode()


class CalendarWriter:
    """Writes a calendar, a task at a time, so that it can end at a size."""

    def __init__(self, kinds: Sequence[Kind], *, zone: str, now: datetime) -> None:
        """Begin a calendar of a user in a zone, of these kinds of components."""
        self._kinds = kinds
        self._now = now
        self._calendar = Calendar()
        self._calendar.add("prodid", PRODUCT)
        self._calendar.add("version", "2.0")
        self._calendar.add("method", "PUBLISH")
        self._calendar.add("x-wr-calname", _Text("TaskFlow"))
        self._calendar.add("x-wr-timezone", _Text(zone))
        self._calendar.add("refresh-interval", REFRESH_EVERY, parameters={"VALUE": "DURATION"})
        self._zones: set[str] = set()
        self._parts: list[bytes] = []
        self.size_bytes = 0

    def add_task(self, task: Task, reminders: Sequence[Reminder]) -> None:
        """Add an open task, with the reminders of it that are to come."""
        for kind in self._kinds:
            if kind == "VEVENT" and task.due_date is None:
                continue
            component = self._component(kind, task, str(task.id))
            if task.due_date is not None:
                component.add("due" if kind == "VTODO" else "dtstart", task.due_date)
            for reminder in reminders:
                related = "END" if kind == "VTODO" else "START"
                component.add_component(_alarm(reminder, task, related=related))
            self._write(component)

    def add_series(self, task: Task, reminders: Sequence[Reminder]) -> None:
        """Add what a series is still to make, with its relative reminders; nothing if nothing."""
        recurrence, next_at = task.recurrence, task.next_occurrence
        if recurrence is None or next_at is None or recurrence.series.mode is not Mode.SCHEDULE:
            return
        start = _wall_time(recurrence, next_at)
        self._zones.add(recurrence.zone)
        rule = rule_from(recurrence, next_at)
        dates = dates_after(recurrence, next_at) if rule is None else ()
        for kind in self._kinds:
            # The task that carries the series has the plain id.
            component = self._component(
                kind, replace(task, status=Status.PENDING), f"{task.id}-next"
            )
            # RFC 5545, 3.8.2.3: a DUE would have to be later.
            component.add("dtstart", start)
            if rule is not None:
                component.add("rrule", rule)
            elif dates:
                component.add("rdate", dates)
            for reminder in reminders:
                if reminder.is_relative:
                    component.add_component(_alarm(reminder, task, related="START"))
            self._write(component)

    def content(self) -> bytes:
        """Return the calendar as text, with the zones that it needs."""
        zones: list[bytes] = []
        for zone in sorted(self._zones - {"UTC"}):
            turns.give_way()
            zones.append(_timezone(zone, (self._now - _TIMEZONES_FROM).date()))
        whole = self._calendar.to_ical()
        end = whole.rindex(b"END:VCALENDAR")
        return b"".join((whole[:end], *zones, *self._parts, whole[end:]))

    def _component(self, kind: Kind, task: Task, uid: str) -> Any:  # noqa: ANN401 - Todo and Event have no more in common
        component: Any = Todo() if kind == "VTODO" else Event()
        component.add("uid", uid if kind == "VTODO" else f"{uid}-event")
        component.add("dtstamp", task.updated_at)
        component.add("created", task.created_at)
        component.add("last-modified", task.updated_at)
        component.add("sequence", task.version)
        component.add("summary", _text(task.title))
        if task.description:
            component.add("description", _text(task.description[:DESCRIPTION_MAX_CHARS]))
        component.add("priority", _PRIORITIES[task.priority])
        if kind == "VTODO":
            component.add("status", _STATUSES[task.status])
        else:
            component.add("transp", "TRANSPARENT")
        return component

    def _write(self, component: Any) -> None:  # noqa: ANN401 - as above
        written = component.to_ical()
        self._parts.append(written)
        self.size_bytes += len(written)


@lru_cache(maxsize=_TIMEZONES_KEPT)
def _timezone(zone: str, first: date) -> bytes:
    return Timezone.from_tzid(zone, first_date=first).to_ical()


def rule_from(recurrence: Recurrence, next_at: datetime) -> vRecur | None:
    """Return the rule of a series as it goes on from its next occurrence (RFC 5545, 3.3.10).

    What the rule takes from its start is said in it, for it starts anew; and what RFC 7529's SKIP
    would say is said by BYSETPOS, for few calendars know SKIP. None where it can't be.
    """
    series = recurrence.series
    moved = _moved_parts(series)
    if moved is None:
        return None
    parts: dict[str, Any] = dict(_parts(series.recurrence_rule))
    count = count_from(series, recurrence.zone, next_at)
    if count is not None:
        parts["COUNT"] = [str(max(1, count))]
    rule = parse_rule(series.recurrence_rule)
    if rule.until is not None:
        parts["UNTIL"] = [f"{_until(rule.until, recurrence.zone):%Y%m%dT%H%M%SZ}"]
    names_days = bool(rule.by_day or rule.by_month_day)
    if rule.frequency is Frequency.YEARLY and not (rule.by_month or names_days):
        parts["BYMONTH"] = [str(series.start.month)]
    if rule.frequency in {Frequency.MONTHLY, Frequency.YEARLY} and not names_days:
        parts["BYMONTHDAY"] = [str(series.start.day)]
    if rule.frequency is Frequency.WEEKLY and not rule.by_day:
        parts["BYDAY"] = [_WEEKDAYS[series.start.weekday()]]
    parts.update(moved)
    written = ";".join(f"{name}={','.join(values)}" for name, values in parts.items())
    return vRecur.from_ical(written)


def dates_after(recurrence: Recurrence, next_at: datetime) -> Sequence[datetime]:
    """Return the occurrences of a series that follow its next one, DATES_MAX with it."""
    found = occurrences(recurrence.series, recurrence.zone, after=next_at, limit=DATES_MAX - 1)
    return [_wall_time(recurrence, at) for at in found]


def _moved_parts(series: Series) -> Mapping[str, Sequence[str]] | None:
    """Return the parts that say where days go that a month lacks; None where no parts do.

    The last day of a month from the 28th to the 31st is the 31st, or the last before it.
    """
    rule = parse_rule(series.recurrence_rule)
    expansion = expansion_of(series.recurrence_rule, series.start.date(), series.skip)
    if series.skip is Skip.OMIT or not expansion.may_lack:
        return {}
    days = rule.by_month_day or (series.start.day,)
    is_monthly = rule.frequency is Frequency.MONTHLY
    # BYSETPOS chooses one day in each period, which has to be a month.
    has_one_month = (
        is_monthly or len(rule.by_month) == 1 or not (rule.by_month or rule.by_month_day)
    )
    is_one_day = len(days) == 1 and days[0] > 0 and not (rule.by_day or rule.by_set_pos)
    if series.skip is not Skip.BACKWARD or not is_one_day:
        return None
    if not has_one_month and rule.interval > 1:
        return None
    moved = {
        "BYMONTHDAY": [str(each) for each in range(_SHORTEST_MONTH, days[0] + 1)],
        "BYSETPOS": ["-1"],
    }
    return moved if has_one_month else {"FREQ": ["MONTHLY"], **moved}


_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def _until(until: date | datetime, zone: str) -> datetime:
    """Return the end of a rule in UTC, as it must be beside a start in a zone."""
    if not isinstance(until, datetime):
        until = datetime.combine(until, time.max)
    local = until if until.tzinfo is not None else until.replace(tzinfo=ZoneInfo(zone))
    return local.astimezone(UTC)


def _parts(rule: str) -> Iterator[tuple[str, list[str]]]:
    for part in rule.upper().split(";"):
        name, _, value = part.partition("=")
        yield name, value.split(",")


def _wall_time(recurrence: Recurrence, at: datetime) -> datetime:
    """Return the time of an occurrence as its series has it, also on a day that lacks it.

    A time that does not exist is read with the offset before it (RFC 5545, 3.3.5), as it is here.
    """
    if recurrence.zone == "UTC":
        return at.astimezone(UTC)
    zone = ZoneInfo(recurrence.zone)
    local = at.astimezone(zone).replace(tzinfo=None)
    wanted = datetime.combine(local, recurrence.series.start.time())
    if wanted > local:
        # Nuuk leaves out the last hour of a day.
        wanted -= timedelta(days=1)
    return wanted.replace(tzinfo=zone)


def _alarm(reminder: Reminder, task: Task, *, related: str) -> Alarm:
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", _text(reminder.message or task.title))
    before = reminder.before_due
    if before is not None and not reminder.is_snoozed:
        # In whole days or in exact time, as the reminder itself (RFC 5545, 3.3.6).
        length = timedelta(days=before.days, seconds=before.seconds)
        alarm.add("trigger", -length, parameters={"RELATED": related})
    else:
        alarm.add("trigger", reminder.remind_at, parameters={"VALUE": "DATE-TIME"})
    return alarm


def _text(text: str) -> _Text:
    return _Text(text.translate(_CONTROLS))


def by_task(reminders: Sequence[Reminder]) -> Mapping[UUID, Sequence[Reminder]]:
    """Return reminders by the ids of their tasks."""
    found: dict[UUID, list[Reminder]] = {}
    for reminder in reminders:
        found.setdefault(reminder.task_id, []).append(reminder)
    return found
