"""Recurring tasks, reminders and notifications."""

from alembic import op

revision = "0004_time"
down_revision = "0003_publications"

PHASE = "before-deploy"

STATEMENTS = (
    # The series as one value: it is read and written with its task, and nothing looks inside.
    """
    ALTER TABLE tasks
        ADD COLUMN recurrence json,
        ADD COLUMN next_occurrence timestamptz,
        ADD COLUMN spawn_at timestamptz,
        ADD COLUMN recurring_task_id uuid REFERENCES tasks,
        ADD COLUMN occurrence_at timestamptz,
        ADD COLUMN predecessor_id uuid REFERENCES tasks,
        ADD CHECK ((next_occurrence IS NULL) = (spawn_at IS NULL)),
        ADD CHECK ((recurring_task_id IS NULL) = (occurrence_at IS NULL))
    """,
    "CREATE INDEX tasks_to_spawn ON tasks (spawn_at) WHERE spawn_at IS NOT NULL",
    "CREATE INDEX tasks_recurring ON tasks (user_id) WHERE recurrence IS NOT NULL",
    # Each occurrence once, and one for each completed predecessor, whoever makes them.
    """
    CREATE UNIQUE INDEX tasks_of_series ON tasks (recurring_task_id, occurrence_at)
        WHERE recurring_task_id IS NOT NULL
    """,
    """
    CREATE UNIQUE INDEX tasks_after_predecessor ON tasks (predecessor_id)
        WHERE predecessor_id IS NOT NULL
    """,
    """
    CREATE TABLE reminders (
        id uuid PRIMARY KEY,
        task_id uuid NOT NULL REFERENCES tasks,
        user_id text NOT NULL,
        remind_at timestamptz NOT NULL,
        before_due_s integer,
        message text,
        status text NOT NULL CHECK (status IN ('scheduled', 'triggered', 'sent', 'cancelled')),
        created_at timestamptz NOT NULL,
        version integer NOT NULL,
        is_snoozed boolean NOT NULL,
        is_removed boolean NOT NULL
    )
    """,
    "CREATE INDEX reminders_of_task ON reminders (task_id)",
    "CREATE INDEX reminders_due ON reminders (remind_at) WHERE status = 'scheduled'",
    """
    CREATE INDEX reminders_pending ON reminders (user_id, remind_at, id)
        WHERE status = 'scheduled'
    """,
    """
    CREATE TABLE notifications (
        id uuid PRIMARY KEY,
        user_id text NOT NULL,
        task_id uuid NOT NULL REFERENCES tasks,
        reminder_id uuid NOT NULL REFERENCES reminders,
        title text NOT NULL,
        message text,
        created_at timestamptz NOT NULL,
        read_at timestamptz,
        version integer NOT NULL
    )
    """,
    "CREATE INDEX notifications_of_user ON notifications (user_id, created_at, id)",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
