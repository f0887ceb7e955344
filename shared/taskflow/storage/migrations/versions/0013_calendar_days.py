"""Reminders know their days of the calendar from their hours."""

from alembic import op

revision = "0013_calendar_days"
down_revision = "0012_login_places"

PHASE = "before-deploy"

STATEMENTS = (
    # `before_due_s` stays the whole of it, with days of 24 hours, which is what older code reads.
    "ALTER TABLE reminders ADD COLUMN before_due_days integer",
    # Those that a new zone may move.
    """
    CREATE INDEX reminders_with_days ON reminders (user_id, id)
        WHERE before_due_s >= 86400 AND NOT is_removed
    """,
    # A day may last three hours longer, and so the occurrence is created as much earlier.
    """
    WITH leads AS (
        SELECT
            task_id,
            max(before_due_s + CASE WHEN before_due_s >= 86400 THEN 10800 ELSE 0 END) AS lead_s
        FROM reminders
        WHERE NOT is_removed
        GROUP BY task_id
    )
    UPDATE tasks SET
        recurrence = jsonb_set(recurrence::jsonb, '{lead_s}', to_jsonb(lead_s))::json,
        spawn_at = spawn_at - make_interval(secs => lead_s - (recurrence ->> 'lead_s')::integer)
    FROM leads
    WHERE task_id = id AND recurrence IS NOT NULL AND lead_s >= 86400
    """,
)


def upgrade() -> None:
    """Make the column and the index, and set the leads of the series."""
    for statement in STATEMENTS:
        op.execute(statement)
