"""Counts of a user's tasks, each from an index that holds nothing else, and of their tags."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import DateTime, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.domain.statistics import TAGGED_MAX, TAGS_MAX, Counts
from taskflow.storage.task_store import PRIORITY
from taskflow.storage.transactions import Transaction

_TIME = DateTime(timezone=True)

# As it is written in the indexes tasks_open and tasks_by_completion.
_COUNT = text("""
    SELECT 'open' AS what, priority AS part, count(*) AS number,
        count(*) FILTER (WHERE due_date < :now) AS overdue
    FROM tasks
    WHERE user_id = :user_id AND deleted_at IS NULL AND status IN ('pending', 'in_progress')
    GROUP BY priority
    UNION ALL
    SELECT 'completed', CAST(day AS int), (
        SELECT count(*) FROM tasks
        WHERE user_id = :user_id AND deleted_at IS NULL
            AND completed_at >= begins_at AND completed_at < ends_at
    ), 0
    FROM unnest(:begin, :end) WITH ORDINALITY AS days (begins_at, ends_at, day)
""").bindparams(
    bindparam("user_id", type_=Text),
    bindparam("now", type_=_TIME),
    bindparam("begin", type_=ARRAY(_TIME)),
    bindparam("end", type_=ARRAY(_TIME)),
)

# In the order of the index tasks_open, so that no more than that is read.
_COUNT_TAGS = text("""
    SELECT tag, count(*) AS number
    FROM (
        SELECT tags FROM tasks
        WHERE user_id = :user_id AND deleted_at IS NULL AND status IN ('pending', 'in_progress')
        ORDER BY priority DESC, due_date DESC
        LIMIT :looked_at
    ) AS open_tasks, unnest(tags) AS tag
    GROUP BY tag
    ORDER BY number DESC, tag
    LIMIT :tags
""").bindparams(bindparam("user_id", type_=Text))

# Of a user whom its statistics do not know yet, PostgreSQL expects a row or two, from any index.
_BY_INDEX = text("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")


def count(tx: Transaction, user_id: str, days: Sequence[datetime], *, now: datetime) -> Counts:
    """Count a user's tasks; `days` are the instants at which each begins and the last one ends."""
    tx.connection.execute(_BY_INDEX)
    values = {"user_id": user_id, "now": now, "begin": list(days[:-1]), "end": list(days[1:])}
    rows = tx.connection.execute(_COUNT, values).all()
    of_open = [row for row in rows if row.what == "open"]
    completed = {row.part: row.number for row in rows if row.what == "completed"}
    return Counts(
        open={PRIORITY[row.part]: row.number for row in of_open},
        overdue=sum(row.overdue for row in of_open),
        completed=[completed[number] for number in range(1, len(days))],
    )


def count_tags(tx: Transaction, user_id: str) -> dict[str, int]:
    """Count a user's open tasks by tag, the most used first: TAGS_MAX tags of TAGGED_MAX tasks."""
    tx.connection.execute(_BY_INDEX)
    values = {"user_id": user_id, "looked_at": TAGGED_MAX, "tags": TAGS_MAX}
    return {row.tag: row.number for row in tx.connection.execute(_COUNT_TAGS, values)}
