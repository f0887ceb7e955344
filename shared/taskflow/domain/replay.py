"""Replay: the state of the tasks rebuilt from their events, and held against the live one (E7)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from taskflow.domain import tasks
from taskflow.domain.accounts import USER_ID_MAX_CHARS
from taskflow.domain.content import WHOLE, Content, examples
from taskflow.domain.events import EventType, is_of_task
from taskflow.domain.representations import TaskRepresentation
from taskflow.domain.tasks import Task
from taskflow.domain.text import JsonObject, Text, compact_json
from taskflow.domain.times import rfc3339
from taskflow.domain.upcasting import upcast

DELETED_AT = "deleted_at"

EVENTS_PER_S, EVENTS_PER_S_MAX = 100, 10_000
"""To the topic: a source that brings a consumer the events of a partition one after another manages
some 250 in a second, and those who work wait for the same source."""

SEQ_MAX = (1 << 63) - 1

Target = Literal["shadow", "topic"]
"""Where a replay leads: into shadow tables, for comparison, or once more to the topics."""

_FIELDS = TaskRepresentation.__required_keys__


class ReplayRequest(Content):
    """What an administrator sends to have events of the log replayed."""

    model_config = examples({"to": "shadow"})

    to: Annotated[
        Target,
        Field(
            description="`shadow` rebuilds the tasks beside the live ones, and compares them;"
            " `topic` publishes the events once more, each with the attribute `replay`."
        ),
    ]
    user_id: Annotated[
        Text | None,
        Field(
            min_length=1, max_length=USER_ID_MAX_CHARS, description="Of this user; null for all."
        ),
    ] = None
    from_seq: Annotated[
        int,
        Field(ge=1, le=SEQ_MAX, description="From this place in each user's stream on."),
        WHOLE,
    ] = 1
    events_per_s: Annotated[
        int,
        Field(ge=1, le=EVENTS_PER_S_MAX, description="To the topic: how many in a second at most."),
        WHOLE,
    ] = EVENTS_PER_S


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task as its newest event has it; the fields are kept as JSON, for there may be many."""

    version: int
    fields_json: str

    @property
    def fields(self) -> JsonObject:
        """The representation, and when the task was deleted, or null."""
        return json.loads(self.fields_json)


class Replay:
    """The tasks as far as their events have been applied.

    In any order, and as often as they come: of a task, the event of the highest version counts.
    """

    def __init__(self) -> None:
        """Begin with no tasks."""
        self.states: dict[str, TaskState] = {}
        self.applied = 0
        self.doubled = 0
        self._erased: dict[str, int] = {}

    def apply(self, record: Mapping[str, Any]) -> None:
        """Apply an event in the shape of E2; one that is not about a task changes nothing.

        Raises NewerSchemaVersion.
        """
        if record["event_type"] == EventType.USER_DELETED:
            self._forget(record["user_id"], before=record["seq"])
        if self._erased and record["seq"] < self._erased.get(record["user_id"], 0):
            return
        if not is_of_task(record["event_type"]):
            return
        data = upcast(record["event_type"], record["schema_version"], record["data"])
        self.applied += 1
        known = self.states.get(record["aggregate_id"])
        if known is not None and known.version >= record["version"]:
            self.doubled += 1
            return
        fields = {name: value for name, value in data.items() if name in _FIELDS}
        is_deleted = record["event_type"] == EventType.TASK_DELETED
        fields[DELETED_AT] = record["timestamp"] if is_deleted else None
        self.states[record["aggregate_id"]] = TaskState(record["version"], compact_json(fields))

    def _forget(self, user_id: str, *, before: int) -> None:
        """Forget the tasks of a user whose account was deleted, and all that is from before."""
        self._erased[user_id] = max(before, self._erased.get(user_id, 0))
        self.states = {
            task_id: state
            for task_id, state in self.states.items()
            if state.fields["user_id"] != user_id
        }


def differing_fields(rebuilt: TaskState, live: Task) -> list[str]:
    """Return the names of the fields in which a rebuilt task differs from the live one."""
    there: JsonObject = {
        **tasks.represent(live),
        DELETED_AT: None if live.deleted_at is None else rfc3339(live.deleted_at),
    }
    here = rebuilt.fields
    return sorted(
        name
        for name in here.keys() | there.keys()
        if name not in here
        or name not in there
        or compact_json({"": here[name]}) != compact_json({"": there[name]})
    )
