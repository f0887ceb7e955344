"""Reading a line: which of its phrases are meant, what task they make, and what is its title."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from taskflow.domain.creation import NewTask
from taskflow.domain.errors import FieldError, InvalidContent
from taskflow.domain.quick_add.clock_times import ClockTime, find_clock_time
from taskflow.domain.quick_add.dates import Day, find_day
from taskflow.domain.quick_add.reminder_phrases import ReminderPhrase, find_reminder
from taskflow.domain.quick_add.repetitions import (
    Repetition,
    RepetitionEnd,
    find_end,
    find_repetition,
)
from taskflow.domain.quick_add.scheduling import Said, reminder, schedule
from taskflow.domain.quick_add.signs import Tag, find_priority, find_tag
from taskflow.domain.quick_add.tokens import PUNCTUATION, TokenKind, Tokens
from taskflow.domain.quick_add.vocabulary import Match, Moment
from taskflow.domain.representations import Priority

V = TypeVar("V")


class PartKind(StrEnum):
    """What a part of a line says; `escape` is a backslash that keeps a phrase in the title."""

    DATE = "date"
    TIME = "time"
    RECURRENCE = "recurrence"
    PRIORITY = "priority"
    TAG = "tag"
    REMINDER = "reminder"
    ESCAPE = "escape"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text that was understood, from `start` on and before `end`, in code points."""

    kind: PartKind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Understood:
    """The task that a text asks for, and the parts of it that do, in their order."""

    draft: NewTask
    parts: Sequence[Part]
    default_kinds: Sequence[PartKind] = ()
    """What the default text said, for the text did not."""


class _Escape:
    """What a backslash means."""


_Phrase = tuple[object, Part]
"""What was found, and where."""

_SAID_TOGETHER: Sequence[frozenset[PartKind]] = (
    frozenset({PartKind.DATE, PartKind.TIME, PartKind.RECURRENCE}),
    frozenset({PartKind.TAG}),
    frozenset({PartKind.PRIORITY}),
    frozenset({PartKind.REMINDER}),
)
"""A text that says one of these needs no default for the others."""


def read(text: str, *, default_text: str = "", user_zone: str, now: datetime) -> Understood:
    """Read a line as a task; where it says nothing of a kind, what `default_text` says counts.

    Raises InvalidContent where it makes none, or the default text is for the title too.
    """
    moment = Moment(now, ZoneInfo(user_zone))
    own = list(_phrases(Tokens(text), moment))
    defaults = list(_defaults(default_text, own, moment))
    phrases = own + defaults
    # Of several, the last is meant: what is said of a task is said at its end.
    days = _all(phrases, Day)[-1:]
    has_time = any(day.has_time for day, _ in days)
    clocks = [] if has_time else _all(phrases, ClockTime)[-1:]
    repetitions = _all(phrases, Repetition)[-1:]
    ends = _all(phrases, RepetitionEnd)[-1:] if repetitions else []
    priorities = _all(phrases, Priority)[-1:]
    tags = _all(phrases, Tag)
    remindings = _all(phrases, ReminderPhrase)
    said = Said(
        day=_value(days),
        clock=_value(clocks),
        repetition=_value(repetitions),
        end=_value(ends),
        is_reminded_before=any(phrase.before_due for phrase, _ in remindings),
    )
    wanted = schedule(said, moment)
    found = [(reminder(phrase, wanted, moment), part) for phrase, part in remindings]
    reminders = [(draft, part) for draft, part in found if draft is not None]
    meant = (days, clocks, repetitions, ends, priorities, tags, reminders, _all(phrases, _Escape))
    is_own = {id(part) for _, part in own}
    parts = sorted(
        (part for each in meant for _, part in each if id(part) in is_own),
        key=lambda part: part.start,
    )
    draft = _draft(
        title=_title(text, parts),
        priority=_value(priorities),
        tags=[tag.name for tag, _ in tags],
        due_date=wanted.due,
        recurrence=wanted.recurrence,
        reminders=[draft for draft, _ in reminders],
    )
    return Understood(draft, parts, sorted({part.kind for _, part in defaults}))


def _defaults(text: str, own: Sequence[_Phrase], moment: Moment) -> Iterator[_Phrase]:
    """Give the phrases of a default text whose kinds the text itself says nothing of."""
    phrases = list(_phrases(Tokens(text), moment))
    if _title(text, [part for _, part in phrases]):
        detail = "says more than when, how often, tags, a priority and reminders"
        raise InvalidContent(FieldError("/default_text", detail))
    said = {part.kind for _, part in own}
    for phrase in phrases:
        kind = phrase[1].kind
        if any(kind in kinds and not said & kinds for kinds in _SAID_TOGETHER):
            yield phrase


def _all(phrases: Sequence[_Phrase], kind: type[V]) -> list[tuple[V, Part]]:
    return [(value, part) for value, part in phrases if isinstance(value, kind)]


def _value(phrases: Sequence[tuple[V, Part]]) -> V | None:
    return phrases[0][0] if phrases else None


_Find = Callable[[Tokens, int, Moment], Match[object] | None]

_FINDERS: Sequence[tuple[PartKind, _Find]] = (
    (PartKind.TAG, lambda tokens, index, _: find_tag(tokens, index)),
    (PartKind.PRIORITY, lambda tokens, index, _: find_priority(tokens, index)),
    (PartKind.REMINDER, find_reminder),
    (PartKind.RECURRENCE, lambda tokens, index, _: find_repetition(tokens, index)),
    (PartKind.RECURRENCE, find_end),
    (PartKind.DATE, find_day),
    (PartKind.TIME, lambda tokens, index, _: find_clock_time(tokens, index)),
)


def _phrases(tokens: Tokens, moment: Moment) -> Iterator[_Phrase]:
    """Give the phrases of a text, none within another, in their order."""
    index = 0
    while index < len(tokens):
        is_kept_out = tokens[index].kind is TokenKind.BACKSLASH
        first = index + is_kept_out
        found = _phrase_at(tokens, first, moment)
        if found is None:
            index = first + 1
            continue
        kind, match = found
        if is_kept_out:
            yield _Escape(), Part(PartKind.ESCAPE, tokens[index].start, tokens[index].end)
        else:
            yield match.value, Part(kind, tokens[first].start, tokens[match.end - 1].end)
        index = match.end


def _phrase_at(tokens: Tokens, index: int, moment: Moment) -> tuple[PartKind, Match[object]] | None:
    for kind, find in _FINDERS:
        if (match := find(tokens, index, moment)) is not None:
            return kind, match
    return None


_PUNCTUATION = re.compile(rf"[{PUNCTUATION}]+")


def _title(text: str, parts: Sequence[Part]) -> str:
    """Return what is left of a text without its parts, and without what separated them from it."""
    kept, at = "", 0
    for part in parts:
        kept, at = kept + text[at : part.start], part.end
        after = _PUNCTUATION.match(text, at)
        if after is None or part.kind is PartKind.ESCAPE:
            continue
        at = after.end()
        if kept.strip() and {"!", "?"} & set(after[0]):
            # It is of the sentence, which now ends before the part.
            kept = kept.rstrip() + after[0]
    return " ".join((kept + text[at:]).split())


_FIELDS = {"title": "a title", "tags": "tags", "reminders": "reminders"}
_TOO_LONG = {"too_long", "string_too_long"}


def _detail(error: ErrorDetails) -> str:
    name, is_item = str(error["loc"][0]), len(error["loc"]) > 1
    if error["type"] not in _TOO_LONG:
        return f"makes {_FIELDS[name]} that can't be: {error['msg']}"
    most = error.get("ctx", {})["max_length"]
    if is_item or name == "title":
        return f"makes a {name.removesuffix('s')} of more than {most} characters"
    return f"makes more than {most} {name}"


def _draft(**fields: object) -> NewTask:
    if not fields["title"]:
        detail = "leaves no title: all of it says when, how often or of what kind"
        raise InvalidContent(FieldError("/text", detail))
    try:
        return NewTask.model_validate(fields)
    except ValidationError as refused:
        errors = [
            FieldError("/text", _detail(error)) for error in refused.errors(include_url=False)
        ]
    raise InvalidContent(*errors)
