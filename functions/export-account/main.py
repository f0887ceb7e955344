"""GET /api/{user_id}/export: stream all that is one's own, as JSON Lines, as of one moment."""

from collections.abc import Generator, Sequence
from datetime import datetime
from uuid import UUID

from taskflow import clock
from taskflow.domain import exports
from taskflow.domain.destinations import Channel
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.events import Cause
from taskflow.domain.exports import Trailer
from taskflow.serving import Caller, LinesStreamed, http_function
from taskflow.serving.calendars import by_task
from taskflow.storage import (
    Transaction,
    account_store,
    destination_store,
    events,
    notification_store,
    reminder_store,
    run,
    snapshot_read,
    task_store,
)

TASKS_AT_ONCE, NOTIFICATIONS_AT_ONCE, EVENTS_AT_ONCE = 100, 500, 500
"""Of a page; some megabytes at their largest."""

LASTS_S = 85.0
"""How long an export may take, before the gateway cuts it: it holds a connection."""

Page = Sequence[object]


class TookTooLong(Exception):
    """The client took too long to read its export, which is cut off."""


@http_function(
    "GET /api/{user_id}/export",
    permission="tasks:read",
    raises=[AccountNotFound],
    scale="seldom",
)
def export_account(caller: Caller, cause: Cause) -> LinesStreamed:
    # Before anything is sent, while there can be another answer.
    run(lambda tx: account_store.get(tx, caller.user_id), cause)
    return LinesStreamed(caller.user_id, _pages(caller.user_id, cause), file_name="taskflow.jsonl")


def _pages(user_id: str, cause: Cause) -> Generator[Page]:
    over_at_s = clock.monotonic_s() + LASTS_S
    with snapshot_read(cause) as tx:
        for page in _all(tx, user_id):
            if clock.monotonic_s() > over_at_s:
                raise TookTooLong
            yield page


def _all(tx: Transaction, user_id: str) -> Generator[Page]:
    account = account_store.get(tx, user_id)
    seq = events.newest_seq(tx, user_id)
    yield [exports.header(user_id, seq), exports.account_line(account)]
    told_at = destination_store.list_of(tx, user_id)
    yield [exports.destination_line(each) for each in told_at]
    webhooks = sum(each.channel is Channel.WEBHOOK for each in told_at)
    counts: Trailer = {
        "type": "trailer",
        "destinations": len(told_at) - webhooks,
        "webhooks": webhooks,
        "tasks": 0,
        "notifications": 0,
        "events": 0,
    }
    after: int | None = 0
    while after is not None:
        tasks, after = task_store.page_of_user(tx, user_id, after_seq=after, limit=TASKS_AT_ONCE)
        reminders = by_task(reminder_store.of_tasks(tx, [task.id for task in tasks]))
        counts["tasks"] += len(tasks)
        yield [exports.task_line(task, reminders.get(task.id, ())) for task in tasks]
    before: tuple[datetime, UUID] | None = None
    while inbox := notification_store.list_of(
        tx, user_id, unread=False, after=before, limit=NOTIFICATIONS_AT_ONCE
    ):
        before = inbox[-1].created_at, inbox[-1].id
        counts["notifications"] += len(inbox)
        yield [exports.notification_line(one) for one in inbox]
    last_seq = 0
    while happened := events.after(tx, user_id, last_seq, limit=EVENTS_AT_ONCE):
        last_seq = happened[-1].seq
        counts["events"] += len(happened)
        yield [f'{{"type":"event",{event.record_json()[1:]}' for event in happened]
    yield [counts]
