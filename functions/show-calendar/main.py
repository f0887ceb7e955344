"""GET /calendars/{feed_token}: show a user's open tasks to who knows the address of their feed."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field

from taskflow import clock
from taskflow.domain.errors import FeedNotFound
from taskflow.domain.events import Cause
from taskflow.domain.tasks import Status
from taskflow.domain.times import rfc3339
from taskflow.serving import Conditions, Network, Query, give_way, http_function
from taskflow.serving.calendars import (
    KINDS,
    CalendarShown,
    CalendarUnchanged,
    CalendarWriter,
    Kind,
    by_task,
)
from taskflow.serving.frame import address_limit, limited, user_limit
from taskflow.storage import Transaction, feed_store, reminder_store, run, task_lists
from taskflow.storage.feed_store import Feed
from taskflow.storage.task_lists import Position, TaskFilter

TASKS_MAX = 1_000
SIZE_MAX_BYTES = 1024 * 1024
"""What of a calendar is shown: those due first, and then those without a due date."""

PAGE_MAX = 100
SERIES_MAX = 100
REMINDERS_MAX = 1_000

SHOWN_BACK = timedelta(days=365)
"""How long what is overdue is shown."""


class CalendarQuery(Query):
    """Which components the calendar has."""

    component: Annotated[
        Kind | None, Field(description="Only `VTODO` or only `VEVENT`; by default both.")
    ] = None


@http_function("GET /calendars/{feed_token}", public=True, raises=[FeedNotFound], scale="sometimes")
def show_calendar(
    feed_token: str, query: CalendarQuery, conditions: Conditions, network: Network, cause: Cause
) -> CalendarShown | CalendarUnchanged:
    # Beside what the network may log in: neither uses the other's up.
    guesser = f"calendar {network}"
    limited(address_limit(), guesser, count=False)
    feed = run(lambda tx: feed_store.find(tx, feed_token), cause)
    if feed is None:
        address_limit().wait_s(guesser)
        raise FeedNotFound
    # Beside what its user may ask: who knows the address uses nothing of that up.
    limited(user_limit(), f"calendar of {feed.user_id}")
    now = clock.now()
    tag = _tag_of(feed, query, now)
    if conditions.client_has_tag(tag):
        return CalendarUnchanged(tag)
    kinds = KINDS if query.component is None else (query.component,)
    writer = CalendarWriter(kinds, zone=feed.zone, now=now)
    run(lambda tx: _write(tx, feed.user_id, writer, now), cause)
    return CalendarShown(writer.content(), tag)


def _tag_of(feed: Feed, query: CalendarQuery, now: datetime) -> str:
    """Return the version of what is shown: the stream's, and the day from which it is shown."""
    day = (now - SHOWN_BACK).date()
    return f"{feed.seq}-{query.component or 'both'}-{day:%Y%m%d}-{feed.zone}"


def _write(tx: Transaction, user_id: str, writer: CalendarWriter, now: datetime) -> None:
    reminders = by_task(reminder_store.pending(tx, user_id, after=None, limit=REMINDERS_MAX))
    recurring = TaskFilter(recurring=True)
    found = task_lists.list_of(
        tx, user_id, recurring, sort="created_at", after=None, limit=SERIES_MAX
    )
    series = [task for task, _ in found.tasks]
    templates = by_task(
        reminder_store.relative_of_tasks(tx, [task.id for task in series], limit=REMINDERS_MAX)
    )
    for task in series:
        give_way()
        writer.add_series(task, templates.get(task.id, ()))
    are_open, shown = TaskFilter(status=(Status.PENDING, Status.IN_PROGRESS)), 0
    after = Position(rfc3339(now - SHOWN_BACK), UUID(int=0))
    while shown < TASKS_MAX and writer.size_bytes < SIZE_MAX_BYTES:
        give_way()
        page = task_lists.list_of(
            tx, user_id, are_open, sort="due_date", after=after, limit=PAGE_MAX
        ).tasks
        for task, after in page:  # noqa: B007 - the last one's position is where the next begins
            writer.add_task(task, reminders.get(task.id, ()))
        shown += len(page)
        if len(page) < PAGE_MAX:
            return
