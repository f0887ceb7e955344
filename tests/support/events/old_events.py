"""Events as earlier versions wrote them, one file for each shape that their data have had.

A file holds the events of one user in order, as the history shows them, and the tasks as they were
then shown, with their `deleted_at`: none, where the user has deleted their account. A file is never
changed; `python -m tests.support.events.old_events 2027-01-31` writes others of that day, of the
present shape, and `2027-01-31b` those of a second one of that day.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from taskflow.domain import tasks
from taskflow.domain.events import SCHEMA_VERSION, Event, NewEvent
from taskflow.domain.identifiers import new_id
from taskflow.domain.recurrence import Recurrence, Series
from taskflow.domain.replay import DELETED_AT, Replay, differing_fields
from taskflow.domain.tasks import Priority, Status, Task
from taskflow.domain.text import compact_json
from taskflow.domain.times import parse_rfc3339, rfc3339
from tests.support.events.full_history import (
    UserHistory,
    a_full_history,
    a_history_to_its_end,
)
from tests.support.paths import ROOT

FOLDER = ROOT / "tests" / "domain" / "old_events"


@dataclass(frozen=True)
class OldEvents:
    """The events and tasks of one file; `written_on` is its name, which begins with its day."""

    written_on: str
    events: Sequence[Mapping[str, Any]]
    tasks: Sequence[Mapping[str, Any]]

    def differences(self) -> dict[str, Sequence[str]]:
        """Replay the events; return the fields that differ from the task, by task id."""
        replay = Replay()
        for event in self.events:
            replay.apply(event)
        found = {
            task["id"]: differing_fields(replay.states[task["id"]], _as_it_is_read(task))
            for task in self.tasks
        }
        assert found.keys() == replay.states.keys()
        return {task_id: fields for task_id, fields in found.items() if fields}


def old_events() -> Sequence[OldEvents]:
    """Return the events of all files, the oldest first."""
    return [
        OldEvents(path.stem, **json.loads(path.read_text())) for path in sorted(FOLDER.iterdir())
    ]


def write(name: str) -> None:
    """Write files of the present shape: of a user, and of one who deletes their account."""
    day = name[: len("2027-01-31")]
    now = datetime.fromisoformat(f"{day}T09:00").replace(tzinfo=UTC)
    _write(name, a_full_history(now=now), day)
    ended = a_history_to_its_end(now=now)
    ended.tasks.clear()
    _write(f"{name}-ended", ended, day)


def _write(name: str, history: UserHistory, day: str) -> None:
    events = [
        _event(new, seq, correlation_id=f"as-of-{day}")
        for seq, new in enumerate(history.happened, 1)
    ]
    shown_tasks = [
        {**tasks.represent(task), DELETED_AT: task.deleted_at and rfc3339(task.deleted_at)}
        for task in history.tasks.values()
    ]
    records = ",\n".join(event.record_json() for event in events)
    shown = ",\n".join(compact_json(task) for task in shown_tasks)
    (FOLDER / f"{name}.json").write_text(f'{{"events":[\n{records}\n],\n"tasks":[\n{shown}\n]}}\n')


def _event(new: NewEvent, seq: int, *, correlation_id: str) -> Event:
    return Event(
        event_id=new_id(new.timestamp),
        event_type=new.event_type.value,
        user_id=new.user_id,
        aggregate_id=new.aggregate_id,
        seq=seq,
        version=new.version,
        schema_version=SCHEMA_VERSION,
        timestamp=new.timestamp,
        correlation_id=correlation_id,
        traceparent="",
        actor=new.user_id,
        origin="",
        data_json=compact_json(new.data),
    )


def _as_it_is_read(shown: Mapping[str, Any]) -> Task:
    """Return a task of that time as its row is read now: columns added since have their default."""
    rule = shown["recurrence_rule"]
    series = rule and Series(recurrence_rule=rule, start=datetime(2026, 1, 1))  # noqa: DTZ001 - local time
    occurrence_of = shown["recurring_task_id"]
    return Task(
        id=UUID(shown["id"]),
        user_id=shown["user_id"],
        title=shown["title"],
        description=shown["description"],
        status=Status(shown["status"]),
        priority=Priority(shown["priority"]),
        tags=tuple(shown["tags"]),
        metadata=shown["metadata"],
        due_date=_time(shown["due_date"]),
        completed_at=_time(shown["completed_at"]),
        created_at=parse_rfc3339(shown["created_at"]),
        updated_at=parse_rfc3339(shown["updated_at"]),
        version=shown["version"],
        deleted_at=_time(shown[DELETED_AT]),
        recurrence=series and Recurrence(series=series, zone="UTC"),
        next_occurrence=_time(shown["next_occurrence"]),
        recurring_task_id=occurrence_of and UUID(occurrence_of),
        occurrence_at=_time(shown["occurrence_at"]),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_rfc3339(text)


if __name__ == "__main__":
    write(sys.argv[1])
