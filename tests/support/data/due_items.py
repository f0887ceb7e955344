"""Tens of thousands of reminders or series that are due within a minute, put into a database."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select

from taskflow import clock
from taskflow.domain import creation
from taskflow.domain.creation import Created, NewTask
from taskflow.domain.times import rfc3339
from taskflow.storage import task_changes, transaction
from taskflow.storage.tables import AUDIT_ENTRIES, EVENTS, REMINDERS, TASKS
from tests.support.data.accounts import A_CAUSE, SignedIn

TOGETHER = 500


def add_reminders(users: Sequence[SignedIn], number: int, begin: datetime, span_s: float) -> None:
    """Store tasks with a reminder each, spread evenly over `span_s` from `begin` on."""
    _add(
        users,
        [
            {"title": f"Task {place}", "reminders": [{"remind_at": rfc3339(at)}]}
            for place, at in enumerate(_spread(number, begin, span_s))
        ],
    )


def add_series(users: Sequence[SignedIn], number: int, begin: datetime, span_s: float) -> None:
    """Store daily tasks whose next occurrences are spread evenly over `span_s` from `begin` on."""
    day = timedelta(days=1)
    _add(
        users,
        [
            {
                "title": f"Task {place}",
                "due_date": rfc3339(at - day),
                "recurrence_rule": "FREQ=DAILY",
            }
            for place, at in enumerate(_spread(number, begin, span_s))
        ],
    )


def _spread(number: int, begin: datetime, span_s: float) -> list[datetime]:
    return [begin + timedelta(seconds=span_s * place / number) for place in range(number)]


def _add(users: Sequence[SignedIn], drafts: Sequence[dict[str, object]]) -> None:
    for start in range(0, len(drafts), TOGETHER):
        made = [
            creation.create(
                NewTask.model_validate(draft),
                user_id=users[(start + place) % len(users)].user_id,
                user_zone="UTC",
                now=clock.now(),
            )
            for place, draft in enumerate(drafts[start : start + TOGETHER])
        ]
        _store(made)


def _store(made: Sequence[Created]) -> None:
    with transaction(A_CAUSE) as tx:
        task_changes.save_all(
            tx,
            new_tasks=[one.task for one in made],
            new_reminders=[reminder for one in made for reminder in one.reminders],
            notifications=[each for one in made for each in one.notifications],
            events=[event for one in made for event in one.happened],
        )


def check_all_is_audited() -> None:
    """Check that every event has an audit entry."""
    with transaction(A_CAUSE) as tx:
        missing = tx.connection.execute(
            select(
                select(func.count()).select_from(EVENTS).scalar_subquery()
                - select(func.count()).select_from(AUDIT_ENTRIES).scalar_subquery()
            )
        ).scalar_one()
    assert missing == 0


def check_all_are_carried_out(kind: str, number: int) -> None:
    """Check that all reminders were sent, or all occurrences created."""
    query = {
        "reminders": select(func.count()).where(REMINDERS.c.status == "sent"),
        "series": select(func.count()).where(TASKS.c.recurring_task_id.is_not(None)),
    }[kind]
    with transaction(A_CAUSE) as tx:
        assert tx.connection.execute(query).scalar_one() >= number


def lateness_s(kind: str) -> list[float]:
    """Return the lateness of each due item in seconds, by the log, the shortest first."""
    at = EVENTS.c.data[("remind_at" if kind == "reminders" else "occurrence_at")].as_string()
    wanted = (
        EVENTS.c.event_type == "reminder.triggered"
        if kind == "reminders"
        else (EVENTS.c.event_type == "task.created") & at.is_not(None)
    )
    with transaction(A_CAUSE) as tx:
        rows = tx.connection.execute(select(EVENTS.c.timestamp, at).where(wanted)).all()
    return sorted((row[0] - datetime.fromisoformat(row[1])).total_seconds() for row in rows)
