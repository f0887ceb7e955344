"""When: the due date, the series and the reminders that the phrases of a line add up to."""

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from dateutil.relativedelta import relativedelta

from taskflow.domain.errors import FieldError, InvalidContent
from taskflow.domain.quick_add.clock_times import ClockTime
from taskflow.domain.quick_add.dates import Day
from taskflow.domain.quick_add.reminder_phrases import ReminderPhrase
from taskflow.domain.quick_add.repetitions import Repetition, RepetitionEnd
from taskflow.domain.quick_add.vocabulary import Moment
from taskflow.domain.recurrence import Recurrence, Skip, first_selected
from taskflow.domain.recurrence.rule import Frequency
from taskflow.domain.recurring import START_YEARS, Mode, RecurrenceDraft
from taskflow.domain.reminders import ReminderDraft
from taskflow.domain.times import Duration

DAY_BEGINS = time(9)
"""When something happens on a day for which no time is said."""

DAY_ENDS = time(23, 59)
"""Until when what is due on a day can be done, where no time is said."""

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a line says about time."""

    day: Day | None = None
    clock: ClockTime | None = None
    repetition: Repetition | None = None
    end: RepetitionEnd | None = None
    is_reminded_before: bool = False


class LocalRecurrence(RecurrenceDraft):
    """A recurrence that begins at a local time, which a change of clocks may leave out.

    No instant says so: where that time moves to, the time of day is another.
    """

    local_start: datetime

    def series(self, user_zone: str, *, start: datetime) -> Recurrence:
        """Make the series, which begins at the local time."""
        made = super().series(user_zone, start=start)
        return replace(made, series=replace(made.series, start=self.local_start))


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a task is due, if it is, and how it recurs, if it does."""

    due: datetime | None = None
    recurrence: LocalRecurrence | None = None


def schedule(said: Said, moment: Moment) -> Schedule:
    """Return when the task is due and how it recurs.

    Raises InvalidContent for a series that would begin later than one may.
    """
    if said.repetition is not None:
        return _series(said, said.repetition, moment)
    if said.day is not None:
        return Schedule(_due_on(said, said.day, moment))
    if said.clock is not None:
        return Schedule(_next(said.clock.at, moment))
    return Schedule()


def reminder(phrase: ReminderPhrase, wanted: Schedule, moment: Moment) -> ReminderDraft | None:
    """Return a reminder, or None where the phrase makes none of this task.

    One at a time alone is on the day the task is due; of a series, which has each occurrence
    reminded of so long before it, if it comes before.
    """
    if phrase.before_due is not None:
        return wanted.due and ReminderDraft(before_due=phrase.before_due)
    if phrase.day is not None:
        at = _remind_at(phrase, phrase.day, moment)
        return at and ReminderDraft(remind_at=at)
    assert phrase.clock is not None  # noqa: S101 - a phrase has one of the three
    if wanted.due is None:
        return ReminderDraft(remind_at=_next(phrase.clock.at, moment))
    on = wanted.due.astimezone(moment.zone).date()
    at = moment.at(on, phrase.clock.at)
    if wanted.recurrence is None or at > wanted.due:
        return ReminderDraft(remind_at=at)
    return ReminderDraft(before_due=Duration(seconds=int((wanted.due - at).total_seconds())))


def _remind_at(phrase: ReminderPhrase, day: Day, moment: Moment) -> datetime | None:
    if day.at is not None:
        return day.at
    at = _at(_local(day, phrase.clock, DAY_BEGINS, moment), moment)
    # "Today" alone says no time, and the usual one is past.
    is_left_open = phrase.clock is None and day.clock is None
    return None if is_left_open and at <= moment.now else at


def _due_on(said: Said, day: Day, moment: Moment) -> datetime:
    if day.at is not None:
        return day.at
    usual = DAY_BEGINS if said.is_reminded_before else DAY_ENDS
    due = _at(_local(day, said.clock, usual, moment), moment)
    is_left_open = said.clock is None and day.clock is None
    if is_left_open and due <= moment.now and day.on == moment.today:
        return moment.at(day.on, DAY_ENDS)
    return due


def _next(clock: time, moment: Moment) -> datetime:
    """Return the next time that the user's clock shows a time."""
    today = moment.at(moment.today, clock)
    return today if today > moment.now else moment.at(moment.today + _ONE_DAY, clock)


def _local(day: Day, clock: ClockTime | None, usual: time, moment: Moment) -> datetime:
    """Return the local time of a day at a time, or where none is said at the usual one."""
    if clock is None:
        part = day.part and day.part.value
        return datetime.combine(day.on, day.clock or part or usual)
    days, at_time = clock.in_part(day.part)
    if clock.is_midnight and day.on == moment.today:
        # Today's was this morning; what is meant is the one to come.
        days = 1
    return datetime.combine(day.on + days * _ONE_DAY, at_time)


def _at(local: datetime, moment: Moment) -> datetime:
    return moment.at(local.date(), local.time())


def _series(said: Said, repetition: Repetition, moment: Moment) -> Schedule:
    day = said.day or Day(moment.today)
    if day.at is not None:
        local = day.at.astimezone(moment.zone)
        day = Day(local.date(), clock=local.time())
    day = replace(day, part=day.part or repetition.part)
    clock = _local(day, said.clock, DAY_BEGINS, moment).time()
    if repetition.selection:
        first = _first_selected(repetition, day.on, said.day, clock, moment)
    elif said.day is not None or moment.at(day.on, clock) > moment.now:
        first = day.on
    else:
        repetition, first = _one_interval_on(repetition, day.on)
    if first is None or first.year not in START_YEARS:
        raise InvalidContent(FieldError("/text", "says how often, beginning too late"))
    ends = [] if said.end is None else [said.end.rule_part]
    mode = Mode.AFTER_COMPLETION if repetition.is_after_completion else Mode.SCHEDULE
    recurrence = LocalRecurrence(
        recurrence_rule=repetition.rule(*ends),
        mode=mode,
        local_start=datetime.combine(first, clock),
    )
    return Schedule(moment.at(first, clock), recurrence)


def _first_selected(
    repetition: Repetition, since: date, said: Day | None, clock: time, moment: Moment
) -> date | None:
    """Return the first day that the rule selects: from the day that was said, else from now on."""
    rule = repetition.rule(interval=1)
    first = first_selected(rule, since, Skip.BACKWARD)
    if said is None and first is not None and moment.at(first, clock) <= moment.now:
        return first_selected(rule, since + _ONE_DAY, Skip.BACKWARD)
    return first


def _one_interval_on(repetition: Repetition, day: date) -> tuple[Repetition, date]:
    """Return the day one interval later; where its month has no such day, the rule names it."""
    interval = repetition.interval
    match repetition.frequency:
        case Frequency.DAILY:
            step = relativedelta(days=interval)
        case Frequency.WEEKLY:
            step = relativedelta(weeks=interval)
        case Frequency.MONTHLY:
            step = relativedelta(months=interval)
        case Frequency.YEARLY:
            step = relativedelta(years=interval)
    first = day + step
    if step.days or first.day == day.day:
        return repetition, first
    month = f"BYMONTH={day.month};" if repetition.frequency is Frequency.YEARLY else ""
    return replace(repetition, selection=f"{month}BYMONTHDAY={day.day}"), first
