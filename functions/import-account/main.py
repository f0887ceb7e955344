"""POST /api/{user_id}/import: take the tasks of an export, part by part, into an empty account."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from taskflow import clock
from taskflow.domain import accounts, exports
from taskflow.domain.errors import AccountIsNotEmpty, AccountNotFound, FieldError
from taskflow.domain.exports import Imported, ImportedTask, Progress
from taskflow.domain.identifiers import id_for
from taskflow.serving import Caller, Ok, give_way, http_function, invalid_lines
from taskflow.serving.import_lines import ExportLines, Part, read_part
from taskflow.storage import (
    Transaction,
    account_store,
    events,
    import_store,
    outbound_store,
    task_changes,
    task_store,
)
from taskflow.storage.import_store import Source

SERIES_MAX = 200
"""Of a part: to find where one goes on may take 20 ms."""

MADE_AT_ONCE = 10
"""Tasks, between two of which others are answered."""


@http_function(
    "POST /api/{user_id}/import",
    permission="tasks:write",
    raises=[AccountIsNotEmpty, AccountNotFound],
    scale="seldom",
)
def import_account(caller: Caller, lines: ExportLines, tx: Transaction) -> Ok[Progress]:
    part = read_part(lines)
    now, user_id = clock.now(), caller.user_id
    account = account_store.lock(tx, user_id)
    source = Source(part.header.user_id, part.header.seq)
    before = import_store.begin(tx, user_id, source, now=now)
    if part.account is not None and not before:
        changed, happened = accounts.change_settings(account, part.account.changes(), now=now)
        account_store.save(tx, changed)
        outbound_store.end_quiet_hours(tx, account, changed, now=now)
        account = changed
        events.append(tx, happened)
    referred = {each.recurring_task_id for each in part.tasks} - {None}
    ids = {id_for(user_id, each.id) for each in part.tasks}
    present = import_store.present(
        tx, user_id, [*ids, *(id_for(user_id, each) for each in referred if each)]
    )
    new = [each for each in part.tasks if id_for(user_id, each.id) not in present]
    _check(tx, part, new, present, user_id)
    made = list(_made(new, user_id=user_id, user_zone=account.timezone, now=now))
    task_changes.save_all(
        tx,
        new_tasks=[task for each in made for task in each.tasks],
        new_reminders=[one for each in made for one in each.reminders],
        events=[event for each in made for event in each.happened],
    )
    added = before + len(new)
    if part.trailer is not None and part.trailer[1].tasks != added:
        number, trailer = part.trailer
        detail = f"counts {trailer.tasks} tasks, and {added} have come"
        raise invalid_lines([FieldError(f"/{number}/tasks", detail)])
    is_complete = part.trailer is not None
    import_store.save(tx, user_id, tasks=added, finished_at=now if is_complete else None)
    return Ok(
        {
            "added": len(new),
            "present": len(part.tasks) - len(new),
            "passed_over": part.passed_over,
            "tasks": added,
            "is_complete": is_complete,
        }
    )


def _check(
    tx: Transaction, part: Part, new: Sequence[ImportedTask], present: set[UUID], user_id: str
) -> None:
    """Check what the lines say of each other. Raises Problem, naming each that is wrong."""
    missing = exports.missing_references(part.tasks, present, user_id=user_id)
    errors = [
        FieldError(f"/{part.lines[number]}{each.pointer}", each.detail)
        for number, each in missing.items()
    ]
    is_new = {id(each) for each in new}
    wanted: dict[UUID, list[datetime]] = defaultdict(list)
    for each in new:
        if each.recurring_task_id is not None and each.occurrence_at is not None:
            wanted[id_for(user_id, each.recurring_task_id)].append(each.occurrence_at)
    taken: set[object] = set(task_store.occurrences_at(tx, wanted))
    ids: set[UUID] = set()
    series = 0
    for number, each in zip(part.lines, part.tasks, strict=True):
        if each.id in ids:
            errors.append(FieldError(f"/{number}/id", "is that of another line"))
        ids.add(each.id)
        series += each.series is not None
        if each.recurring_task_id is not None and id(each) in is_new:
            occurrence = id_for(user_id, each.recurring_task_id), each.occurrence_at
            if occurrence in taken:
                detail = "is that of another occurrence"
                errors.append(FieldError(f"/{number}/occurrence_at", detail))
            taken.add(occurrence)
    if series > SERIES_MAX:
        errors.append(FieldError("", f"a part has at most {SERIES_MAX} series; send it in more"))
    if errors:
        raise invalid_lines(errors)


def _made(
    new: Sequence[ImportedTask], *, user_id: str, user_zone: str, now: datetime
) -> Iterator[Imported]:
    """Make the tasks, some at a time: others are answered in between."""
    for first in range(0, len(new), MADE_AT_ONCE):
        some = new[first : first + MADE_AT_ONCE]
        yield exports.import_tasks(some, user_id=user_id, user_zone=user_zone, now=now)
        give_way()
