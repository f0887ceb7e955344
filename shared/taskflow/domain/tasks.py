"""Tasks: their fields, and the changes they allow, each with the events that record it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Literal, cast
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError, PydanticKnownError

from taskflow.domain.content import ABSENT, Content, IfSent, examples, sent_fields
from taskflow.domain.errors import FieldError, InvalidContent
from taskflow.domain.event_data import EventData, TaskChanged
from taskflow.domain.events import EventType, NewEvent, changed_fields
from taskflow.domain.identifiers import new_id
from taskflow.domain.merge_patch import merge_patch
from taskflow.domain.recurrence import Recurrence
from taskflow.domain.representations import Priority, Status, TaskRepresentation
from taskflow.domain.text import (
    JsonObject,
    NotBlank,
    Text,
    check_storable,
    compact_json,
    differ_as_json,
    nfc,
)
from taskflow.domain.times import Time, rfc3339

TITLE_MAX_CHARS = 255
DESCRIPTION_MAX_CHARS = 10_000
TAGS_MAX = 50
SENT_TAGS_MAX = 4 * TAGS_MAX
"""Before those that are the same in NFC count as one."""

TAG_MAX_CHARS = 64
METADATA_MAX_BYTES = 16 * 1024


def _without_nulls(sent: JsonObject) -> JsonObject:
    """Return new metadata as a merge into none: null is "no such key" here as in a change."""
    metadata = merge_patch({}, sent)
    check_storable(metadata)
    if len(compact_json(metadata).encode()) > METADATA_MAX_BYTES:
        raise PydanticCustomError(
            "metadata_too_large",
            "must be at most {max_bytes} bytes of JSON",
            {"max_bytes": METADATA_MAX_BYTES},
        )
    return metadata


def _mergeable(sent: JsonObject) -> JsonObject:
    # What a patch puts into no metadata at all it puts into any: where that is too much already,
    # it is told with all else that is wrong.
    _without_nulls(sent)
    return sent


def _in_nfc(tag: str) -> str:
    return nfc(tag, max_chars=TAG_MAX_CHARS)


def _boundedly_many(tags: object) -> object:
    sent = len(cast("list[object]", tags)) if isinstance(tags, list) else 0
    if sent > SENT_TAGS_MAX:
        raise _too_many(sent)
    return cast("object", tags)


def _each_once(tags: list[str]) -> list[str]:
    once = list(dict.fromkeys(tags))
    if len(once) > TAGS_MAX:
        raise _too_many(len(once))
    return once


def _too_many(length: int) -> PydanticKnownError:
    context = {"field_type": "List", "max_length": TAGS_MAX, "actual_length": length}
    return PydanticKnownError("too_long", context)


Title = Annotated[
    NotBlank,
    Field(min_length=1, max_length=TITLE_MAX_CHARS, description="What is to be done."),
]
Description = Annotated[Text, Field(max_length=DESCRIPTION_MAX_CHARS, description="More about it.")]
Tag = Annotated[
    NotBlank,
    Field(min_length=1, json_schema_extra={"maxLength": TAG_MAX_CHARS}),
    AfterValidator(_in_nfc),
]
Tags = Annotated[
    list[Tag],
    BeforeValidator(_boundedly_many),
    AfterValidator(_each_once),
    Field(
        description="Each counts once, however often it is named.",
        json_schema_extra={"maxItems": TAGS_MAX},
    ),
]
Metadata = Annotated[
    JsonObject,
    AfterValidator(_without_nulls),
    Field(
        description=f"The client's own JSON, of at most {METADATA_MAX_BYTES:,} bytes. A member that"
        " is null is none."
    ),
]
MetadataPatch = Annotated[
    JsonObject,
    AfterValidator(_mergeable),
    Field(
        description=f"What to merge into the metadata, at every depth; {METADATA_MAX_BYTES:,} bytes"
        " at most in the end."
    ),
]
StatusField = Annotated[Status, Field(strict=False)]
PriorityField = Annotated[Priority, Field(strict=False)]
Completed = Annotated[bool, Field(description="The same as the status `completed`, or another.")]
DueTime = Annotated[Time, Field(description="When it is due.")]
ReadOnly = Annotated[
    object,
    Field(
        description="Sent back as it was shown, or not at all.",
        json_schema_extra={"readOnly": True},
    ),
]
"""A field that a client may send back as it got it, and not change."""


class TaskDraft(Content):
    """What a client sends to create a task."""

    title: Title
    description: Description | None = None
    status: StatusField | None = None
    completed: Completed | None = None
    priority: PriorityField | None = None
    tags: Tags | None = None
    metadata: Metadata | None = None
    due_date: DueTime | None = None


class TaskChanges(Content):
    """What a client sends to change a task: a merge patch (RFC 7396) of what GET gives.

    A field left out stays as it is; null clears it to its default; `metadata` merges key by key, at
    every depth. Read-only fields may be sent
    back as they are, so that GET, edit, PUT works.
    """

    model_config = examples(
        {"title": "Buy oat milk"}, {"due_date": None, "metadata": {"shop": "x"}}
    )

    title: IfSent[Title] = ABSENT
    description: IfSent[Description | None] = ABSENT
    status: IfSent[StatusField | None] = ABSENT
    completed: IfSent[Completed | None] = ABSENT
    priority: IfSent[PriorityField | None] = ABSENT
    tags: IfSent[Tags | None] = ABSENT
    metadata: IfSent[MetadataPatch | None] = ABSENT
    due_date: IfSent[DueTime | None] = ABSENT

    id: IfSent[ReadOnly] = ABSENT
    user_id: IfSent[ReadOnly] = ABSENT
    recurrence_rule: IfSent[ReadOnly] = ABSENT
    is_recurring: IfSent[ReadOnly] = ABSENT
    next_occurrence: IfSent[ReadOnly] = ABSENT
    completed_at: IfSent[ReadOnly] = ABSENT
    created_at: IfSent[ReadOnly] = ABSENT
    updated_at: IfSent[ReadOnly] = ABSENT
    version: IfSent[ReadOnly] = ABSENT
    recurring_task_id: IfSent[ReadOnly] = ABSENT
    occurrence_at: IfSent[ReadOnly] = ABSENT


READ_ONLY = frozenset(TaskChanges.model_fields) - frozenset(TaskDraft.model_fields)
"""The fields that a change may name only as they are."""


class Completion(Content):
    """What a client may send to complete a task, or to reopen it."""

    model_config = examples({}, {"completed": False})

    completed: Annotated[bool, Field(description="False reopens the task.")] = True


class DueDate(Content):
    """What a client sends to set a task's due date, or to clear it with null."""

    model_config = examples({"due_date": "2026-05-01T09:00:00+02:00"}, {"due_date": None})

    due_date: DueTime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as it stands; `version` counts its events.

    One with a `recurrence` has occurrences, tasks of their own that name it as their
    `recurring_task_id`. One that was made by a completion names what was completed as its
    `predecessor_id`.
    """

    id: UUID
    user_id: str
    title: str
    description: str | None
    status: Status
    priority: Priority
    tags: tuple[str, ...]
    metadata: JsonObject
    due_date: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int
    deleted_at: datetime | None = None
    recurrence: Recurrence | None = None
    next_occurrence: datetime | None = None
    recurring_task_id: UUID | None = None
    occurrence_at: datetime | None = None
    predecessor_id: UUID | None = None

    @property
    def completed(self) -> bool:
        """Say whether the status is `completed`."""
        return self.status is Status.COMPLETED

    @property
    def is_open(self) -> bool:
        """Say whether there is something left to do, and so to be reminded of."""
        return self.deleted_at is None and self.status in {Status.PENDING, Status.IN_PROGRESS}

    @property
    def recurs(self) -> bool:
        """Whether occurrences are to be made; completing the task does not end its series."""
        is_kept = self.deleted_at is None and self.status is not Status.CANCELLED
        return self.recurrence is not None and is_kept


ChangeType = Literal[
    EventType.TASK_UPDATED,
    EventType.TASK_DUE_DATE_CHANGED,
    EventType.TASK_COMPLETED,
    EventType.TASK_UNCOMPLETED,
    EventType.TASK_DELETED,
    EventType.TASK_RESTORED,
    EventType.TASK_CORRECTED,
    EventType.RECURRENCE_REMOVED,
]
"""The types of the events that say nothing but the task after the change, and what changed."""

Changed = tuple[Task, Sequence[NewEvent]]
"""A task after a change, and the events that record it: none where nothing changed."""


def represent(task: Task) -> TaskRepresentation:
    """Return the task as GET and its events show it: flat, ready for JSON."""
    return {
        "id": str(task.id),
        "user_id": task.user_id,
        "title": task.title,
        "description": task.description,
        "status": task.status,
        "completed": task.completed,
        "priority": task.priority,
        "tags": list(task.tags),
        "metadata": task.metadata,
        "due_date": _time(task.due_date),
        "recurrence_rule": task.recurrence and task.recurrence.series.recurrence_rule,
        "is_recurring": task.recurrence is not None,
        "next_occurrence": _time(task.next_occurrence),
        "completed_at": _time(task.completed_at),
        "created_at": rfc3339(task.created_at),
        "updated_at": rfc3339(task.updated_at),
        "version": task.version,
        "recurring_task_id": task.recurring_task_id and str(task.recurring_task_id),
        "occurrence_at": _time(task.occurrence_at),
    }


def create(draft: TaskDraft, *, user_id: str, now: datetime) -> tuple[Task, Sequence[NewEvent]]:
    """Make a new task of a user. Raises InvalidContent where `status` and `completed` disagree."""
    status = draft.status or (Status.COMPLETED if draft.completed else Status.PENDING)
    if draft.completed is not None and draft.completed != (status is Status.COMPLETED):
        raise InvalidContent(_contradiction(status))
    task = Task(
        id=new_id(now),
        user_id=user_id,
        title=draft.title,
        description=draft.description,
        status=status,
        priority=draft.priority or Priority.MEDIUM,
        tags=tuple(draft.tags or ()),
        metadata=draft.metadata or {},
        due_date=draft.due_date,
        completed_at=now if status is Status.COMPLETED else None,
        created_at=now,
        updated_at=now,
        version=1,
    )
    return task, [created(task)]


def created(task: Task) -> NewEvent:
    """Return the event of a new task."""
    return event(EventType.TASK_CREATED, task, represent(task))


def update(task: Task, changes: TaskChanges, *, now: datetime) -> Changed:
    """Merge the fields that `changes` names into the task.

    Raises InvalidContent where a read-only field differs, `status` and `completed` disagree, or the
    merged metadata are too much.
    """
    _refuse(task, changes)
    return _merge(task, changes, now=now)


def correct(task: Task, changes: TaskChanges, *, now: datetime) -> Changed:
    """Merge an administrator's correction into the task, as one event of its own.

    Raises InvalidContent where a read-only field differs, `status` and `completed` disagree, or the
    merged metadata are too much.
    """
    _refuse(task, changes)
    fields = {**_named(task, changes), **_status_fields(_wanted_status(task, changes), now)}
    return _changed(EventType.TASK_CORRECTED, task, fields, now=now)


def set_completed(task: Task, completed: bool, *, now: datetime) -> Changed:  # noqa: FBT001 - the whole request
    """Complete the task, or reopen it; doing so twice changes nothing the second time."""
    if completed == task.completed:
        return task, []
    return _set_status(task, Status.COMPLETED if completed else Status.PENDING, now=now)


def set_due_date(task: Task, due_date: datetime | None, *, now: datetime) -> Changed:
    """Move the task's due date, or clear it."""
    return _changed(EventType.TASK_DUE_DATE_CHANGED, task, {"due_date": due_date}, now=now)


def delete(task: Task, *, now: datetime) -> Changed:
    """Mark a task as deleted; it can be restored."""
    return recorded(EventType.TASK_DELETED, task, {"deleted_at": now}, now=now)


def restore(task: Task, *, now: datetime) -> Changed:
    """Bring a deleted task back; one that is not deleted stays as it is."""
    if task.deleted_at is None:
        return task, []
    return recorded(EventType.TASK_RESTORED, task, {"deleted_at": None}, now=now)


def _merge(task: Task, changes: TaskChanges, *, now: datetime) -> Changed:
    status = _wanted_status(task, changes)
    fields = _named(task, changes)
    due_date = {"due_date": fields.pop("due_date")} if "due_date" in fields else {}
    completes = Status.COMPLETED in (status, task.status)
    if not completes:
        fields["status"] = status
    task, updated = _changed(EventType.TASK_UPDATED, task, fields, now=now)
    task, moved = _changed(EventType.TASK_DUE_DATE_CHANGED, task, due_date, now=now)
    if not completes:
        return task, [*updated, *moved]
    task, set_ = _set_status(task, status, now=now)
    return task, [*updated, *moved, *set_]


def _set_status(task: Task, status: Status, *, now: datetime) -> Changed:
    completes = status is Status.COMPLETED
    event_type = EventType.TASK_COMPLETED if completes else EventType.TASK_UNCOMPLETED
    return _changed(event_type, task, _status_fields(status, now), now=now)


def _status_fields(status: Status, now: datetime) -> JsonObject:
    return {"status": status, "completed_at": now if status is Status.COMPLETED else None}


def _wanted_status(task: Task, changes: TaskChanges) -> Status:
    """Return the status that `status` and `completed` ask for, if they do not contradict."""
    status = task.status if changes.status is ABSENT else changes.status or Status.PENDING
    completed = _wants_completed(task, changes)
    if completed == task.completed or status is not task.status:
        return status
    return Status.COMPLETED if completed else Status.PENDING


def _wants_completed(task: Task, changes: TaskChanges) -> bool:
    return task.completed if changes.completed is ABSENT else bool(changes.completed)


def _contradiction(status: Status) -> FieldError:
    return FieldError("/completed", f"contradicts the status {status.value!r} beside it")


def _named(task: Task, changes: TaskChanges) -> JsonObject:
    defaults: JsonObject = {"priority": Priority.MEDIUM, "tags": (), "metadata": {}}
    fields: JsonObject = {}
    sent = sent_fields(changes)
    for name in sent.keys() - READ_ONLY - {"status", "completed"}:
        value = sent[name]
        if value is None:
            value = defaults.get(name)
        elif name == "metadata":
            value = merge_patch(task.metadata, value)
        fields[name] = tuple(cast("list[str]", value)) if name == "tags" else value
    return fields


def _refuse(task: Task, changes: TaskChanges) -> None:
    current = dict(represent(task))
    sent = sent_fields(changes)
    errors = [
        FieldError(f"/{name}", "is read-only and differs from its present value")
        for name in sorted(sent.keys() & READ_ONLY)
        # As JSON: to Python, true is 1.
        if compact_json(sent[name]) != compact_json(current[name])
    ]
    wanted = _wanted_status(task, changes)
    if _wants_completed(task, changes) not in (task.completed, wanted is Status.COMPLETED):
        errors.append(_contradiction(wanted))
    if changes.metadata is not ABSENT and changes.metadata is not None:
        try:
            _without_nulls(merge_patch(task.metadata, changes.metadata))
        except PydanticCustomError as error:
            errors.append(FieldError("/metadata", f"{error.message()} once merged"))
    if errors:
        raise InvalidContent(*errors)


def _changed(event_type: ChangeType, task: Task, fields: JsonObject, *, now: datetime) -> Changed:
    differing = {
        name: value for name, value in fields.items() if differ_as_json(getattr(task, name), value)
    }
    if "status" not in differing:
        # Completing what is completed must not move the time at which it was.
        differing.pop("completed_at", None)
    return recorded(event_type, task, differing, now=now) if differing else (task, [])


def recorded(event_type: ChangeType, task: Task, fields: JsonObject, *, now: datetime) -> Changed:
    """Return a task with new values of fields, and the event that records them.

    Where that makes its series begin or end, the next occurrence follows.
    """
    after, data = changed(task, fields, now=now)
    return after, [event(event_type, after, data)]


def changed(task: Task, fields: JsonObject, *, now: datetime) -> tuple[Task, TaskChanged]:
    """Return a task with new values of fields, as `recorded` does, and the data of its event."""
    after = replace(task, **fields, updated_at=now, version=task.version + 1)
    if after.recurs != task.recurs and "next_occurrence" not in fields:
        # A series that goes on does so from now: nothing is made up for.
        goes_on = after.recurrence if after.recurs else None
        after = replace(after, next_occurrence=goes_on and goes_on.first_after(now))
    new = represent(after)
    changes = changed_fields(represent(task), new, unmentioned=frozenset({"version", "updated_at"}))
    return after, {**new, "changes": changes}


def event(event_type: EventType, task: Task, data: EventData) -> NewEvent:
    """Return the event of a task as it now stands."""
    return NewEvent(
        event_type=event_type,
        user_id=task.user_id,
        aggregate_id=str(task.id),
        version=task.version,
        timestamp=task.updated_at,
        data=data,
    )


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
