"""Every minute, and beyond: create the occurrences and send the reminders that are due."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from taskflow import clock, metrics
from taskflow.domain import recurring, reminders
from taskflow.domain.events import Cause
from taskflow.domain.reminders import Reminder
from taskflow.domain.tasks import Task
from taskflow.eventing import CronRun, DueQueue, cron_function
from taskflow.storage import (
    DatabaseUnavailable,
    DueItem,
    DueQuery,
    LockTimeout,
    Transaction,
    reminder_store,
    run,
    task_changes,
    task_store,
)

LASTS_S = 75
"""Longer than its minute: runs overlap, and a lost tick leaves no gap."""

PAUSE_MIN_S, PAUSE_MAX_S = 0.5, 5.0
"""The shortest and the longest pause while nothing is due. An item that is committed meanwhile may
be as late; where this process is notified of every commit, only as late as the shortest."""

BUSY_S = 0.01
"""How soon to try again, at first, items that another transaction has locked."""

SERIES_BATCH_MAX, REMINDERS_BATCH_MAX = 50, 100

SPAWN_EVENTS_MAX, SPAWN_BYTES_MAX = 500, 2 * 1024 * 1024
"""Of one transaction: a tenth of a second, and a few times these bytes of memory."""


@cron_function(every_min=1, scale="seldom")
def run_schedule(cause: Cause) -> None:
    cron_run = CronRun(LASTS_S)
    series_queue = DueQueue(_lock_series, _spawn, batch_size=SERIES_BATCH_MAX)
    reminder_queue = DueQueue(_lock_reminders, _remind, batch_size=REMINDERS_BATCH_MAX)
    has_read = False
    pause_s = BUSY_S
    while True:
        try:
            to_spawn, to_remind = run(_next_due, cause)
            has_read = True
            now = clock.now()
            processed = 0
            if to_remind is not None and to_remind <= now:
                processed += reminder_queue.process_batch(cause)
            if to_spawn is not None and to_spawn <= now:
                processed += series_queue.process_batch(cause)
        except (DatabaseUnavailable, LockTimeout):
            if not has_read:
                raise
            processed, until_next_s = 0, PAUSE_MIN_S
        else:
            until_next_s = _until_next_s(to_spawn, to_remind, now=now)
            # What is due and was not processed is locked by another, or has failed.
            pause_s = BUSY_S if processed or until_next_s else min(2 * pause_s, PAUSE_MIN_S)
        if cron_run.is_over():
            return
        if until_next_s and not processed:
            cron_run.rest_until_commit(PAUSE_MIN_S, until_next_s)
        else:
            cron_run.rest(0.0 if processed else pause_s)


def _until_next_s(*due: datetime | None, now: datetime) -> float:
    """Return how long nothing is due, at most PAUSE_MAX_S; 0 where something is."""
    waits_s = [(at - now).total_seconds() for at in due if at is not None]
    return max(0.0, min([PAUSE_MAX_S, *waits_s]))


def _next_due(tx: Transaction) -> tuple[datetime | None, datetime | None]:
    return task_store.next_due(tx), reminder_store.next_due(tx)


def _lock_series(tx: Transaction, query: DueQuery) -> Sequence[DueItem]:
    return task_store.lock_due(tx, query, now=clock.now())


def _spawn(tx: Transaction, ids: Sequence[UUID]) -> None:
    now = clock.now()
    by_id = {task.id: task for task in task_store.with_ids(tx, ids)}
    # In the order in which they were locked.
    series = [by_id[task_id] for task_id in ids]
    templates: dict[UUID, list[Reminder]] = defaultdict(list)
    for reminder in reminder_store.of_tasks(tx, ids):
        templates[reminder.task_id].append(reminder)
    series, limits = _within_bounds(series, templates, now=now)
    due = {task.id: recurring.due_times(task, now=now, limit=limits[task.id]) for task in series}
    existing = task_store.occurrences_at(tx, due)
    spawned = [
        recurring.spawn_due(
            task,
            due[task.id],
            templates[task.id],
            existing={at for task_id, at in existing if task_id == task.id},
            now=now,
            limit=limits[task.id],
        )
        for task in series
    ]
    task_changes.save_all(
        tx,
        tasks=[(task, each.task) for task, each in zip(series, spawned, strict=True)],
        new_tasks=[one for each in spawned for one in each.occurrences],
        new_reminders=[one for each in spawned for one in each.reminders],
        events=[event for each in spawned for event in each.happened],
    )
    for task in series:
        if task.recurrence is not None and task.next_occurrence is not None:
            late = now - task.recurrence.made_at(task.next_occurrence)
            metrics.LATE_SECONDS.labels("occurrence").observe(late.total_seconds())


def _within_bounds(
    series: Sequence[Task], templates: Mapping[UUID, Sequence[Reminder]], *, now: datetime
) -> tuple[list[Task], dict[UUID, int]]:
    """Return the first of the series that fit a transaction, and how many each may make.

    One occurrence always fits; what is left is due still.
    """
    taken: list[Task] = []
    limits: dict[UUID, int] = {}
    events_left, bytes_left = SPAWN_EVENTS_MAX, SPAWN_BYTES_MAX
    for task in series:
        its_events = 2 + sum(one.is_relative for one in templates[task.id])
        its_bytes = recurring.occurrence_size_bytes(task, templates[task.id])
        fitting = min(events_left // its_events, bytes_left // its_bytes, recurring.SPAWNED_MAX)
        limit = fitting if taken else max(1, fitting)
        if limit <= 0:
            break
        count = len(recurring.due_times(task, now=now, limit=limit))
        taken.append(task)
        limits[task.id] = limit
        events_left -= count * its_events
        bytes_left -= count * its_bytes
    return taken, limits


def _lock_reminders(tx: Transaction, query: DueQuery) -> Sequence[DueItem]:
    return reminder_store.lock_due(tx, query, now=clock.now())


def _remind(tx: Transaction, ids: Sequence[UUID]) -> None:
    now = clock.now()
    due = reminder_store.due(tx, ids, now=now)
    triggered = [reminders.trigger(reminder, task, now=now) for reminder, task in due]
    task_changes.save_all(
        tx,
        reminders=[each.reminder for each in triggered],
        notifications=[each.notification for each in triggered],
        events=[event for each in triggered for event in each.happened],
    )
    for reminder, _ in due:
        metrics.LATE_SECONDS.labels("reminder").observe((now - reminder.remind_at).total_seconds())
