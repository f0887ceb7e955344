"""What a client sends to add a task as a line of text, and what it is shown of it beforehand."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain import reminders, tasks
from taskflow.domain.content import Content, examples
from taskflow.domain.creation import Created
from taskflow.domain.quick_add.reading import Part, PartKind, Understood
from taskflow.domain.representations import Priority
from taskflow.domain.text import NotBlank, Text
from taskflow.domain.times import DurationText, TimeText

TEXT_MAX_CHARS = 1000
"""Room for the longest title, and as many tags and reminders as anybody types."""

_LAST_OF_ONE_UNIT = "\uffff"


class QuickAdd(Content):
    """What a client sends to create a task out of a line of text (docs/quick-add.md)."""

    model_config = examples(
        {"text": "Pay rent tomorrow 9:00 every month #home !high remind 1h before"},
        {"text": "Call the dentist"},
        {"text": "Buy milk", "default_text": "today"},
    )

    text: Annotated[
        NotBlank,
        Field(min_length=1, max_length=TEXT_MAX_CHARS, description="What is to be done, and when."),
    ]
    default_text: Annotated[
        Text,
        Field(
            max_length=TEXT_MAX_CHARS,
            description="Words of the same grammar, without a title: each counts where the text "
            "says nothing of its kind. Date, time and recurrence are of one kind.",
        ),
    ] = ""


class QuickReminderRepresentation(TypedDict):
    """A reminder that a line of text asks for."""

    remind_at: Annotated[TimeText, Field(description="When.")]
    before_due: Annotated[
        DurationText | None,
        Field(description="How long before the due date (RFC 5545, 3.3.6); null at a fixed time."),
    ]
    fires_immediately: Annotated[bool, Field(description="Whether its time is past.")]


class QuickTaskRepresentation(TypedDict):
    """The task that a line of text makes, without what it has only once it is there."""

    title: Annotated[str, Field(description="What was not understood as anything else.")]
    priority: Annotated[Priority, Field(description="How much it matters.")]
    tags: Annotated[list[str], Field(description="Each once, in the order of the text.")]
    due_date: Annotated[TimeText | None, Field(description="When it is due.")]
    recurrence_rule: Annotated[str | None, Field(description="The rule (RFC 5545) of its series.")]
    is_recurring: Annotated[bool, Field(description="Whether it carries a series.")]
    next_occurrence: Annotated[
        TimeText | None, Field(description="The time of the next occurrence of its series.")
    ]
    reminders: Annotated[
        list[QuickReminderRepresentation], Field(description="What it is reminded of, and when.")
    ]


class PartRepresentation(TypedDict):
    """A part of a text that was understood."""

    kind: Annotated[PartKind, Field(description="What it says.")]
    text: Annotated[str, Field(description="The part as it was sent.")]
    start: Annotated[
        int, Field(ge=0, description="Where it begins, in UTF-16 code units of the text as sent.")
    ]
    end: Annotated[int, Field(ge=1, description="Where it ends: the place after its last unit.")]


class QuickAddPreview(TypedDict):
    """What was understood of a text: the task that it makes, and the parts that say so."""

    task: QuickTaskRepresentation
    parts: Annotated[
        list[PartRepresentation], Field(description="In the order of the text; none overlap.")
    ]
    default_kinds: Annotated[
        list[PartKind], Field(description="What the default text said in place of the text.")
    ]


def represent_preview(text: str, understood: Understood, made: Created) -> QuickAddPreview:
    """Return what a text was understood as, and the task `made` of it."""
    task = tasks.represent(made.task)
    shown = [reminders.represent(one) for one in made.reminders]
    return {
        "task": {
            "title": task["title"],
            "priority": task["priority"],
            "tags": task["tags"],
            "due_date": task["due_date"],
            "recurrence_rule": task["recurrence_rule"],
            "is_recurring": task["is_recurring"],
            "next_occurrence": task["next_occurrence"],
            "reminders": [
                {
                    "remind_at": one["remind_at"],
                    "before_due": one["before_due"],
                    "fires_immediately": one["notified"],
                }
                for one in shown
            ],
        },
        "parts": list(_represent(text, understood.parts)),
        "default_kinds": list(understood.default_kinds),
    }


def _represent(text: str, parts: Sequence[Part]) -> Iterator[PartRepresentation]:
    units = (1 if char <= _LAST_OF_ONE_UNIT else 2 for char in text)
    place = list(accumulate(units, initial=0))
    for part in parts:
        yield {
            "kind": part.kind,
            "text": text[part.start : part.end],
            "start": place[part.start],
            "end": place[part.end],
        }
