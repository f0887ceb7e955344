"""Replays of the log, with the tasks they rebuild; and notifications that no reminder came from."""

from alembic import op

revision = "0026_replays"
down_revision = "0024_letters_sent_again"

# Code from before shows a notification without a task as one of the task `None`, for as long as it
# still runs.
PHASE = "before-deploy"

STATEMENTS = (
    """
    ALTER TABLE notifications
        ALTER COLUMN task_id DROP NOT NULL,
        ALTER COLUMN reminder_id DROP NOT NULL,
        ALTER COLUMN title DROP NOT NULL
    """,
    """
    CREATE TABLE replays (
        id uuid PRIMARY KEY,
        target text NOT NULL CHECK (target IN ('shadow', 'topic')),
        user_id text,
        from_seq bigint NOT NULL,
        events_per_s integer NOT NULL,
        requested_by text NOT NULL,
        state text NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
        phase text NOT NULL CHECK (phase IN ('events', 'rebuilt-tasks', 'live-tasks')),
        created_at timestamptz NOT NULL,
        advanced_at timestamptz,
        ended_at timestamptz,
        events_total bigint NOT NULL,
        events_done bigint NOT NULL,
        events_newer bigint NOT NULL,
        tasks_same bigint NOT NULL,
        tasks_differing bigint NOT NULL,
        tasks_only_live bigint NOT NULL,
        tasks_only_rebuilt bigint NOT NULL,
        after_user text NOT NULL,
        after_seq bigint NOT NULL,
        after_task uuid NOT NULL,
        held_by uuid,
        held_until timestamptz
    )
    """,
    "CREATE INDEX replays_by_creation ON replays (created_at, id)",
    "CREATE INDEX replays_running ON replays (created_at, id) WHERE state = 'running'",
    """
    CREATE TABLE shadow_tasks (
        replay_id uuid NOT NULL,
        task_id uuid NOT NULL,
        user_id text NOT NULL,
        seq bigint NOT NULL,
        version integer NOT NULL,
        fields json NOT NULL,
        PRIMARY KEY (replay_id, task_id)
    )
    """,
    """
    CREATE TABLE replay_differences (
        replay_id uuid NOT NULL,
        task_id uuid NOT NULL,
        user_id text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('differs', 'only-live', 'only-rebuilt')),
        fields text[] NOT NULL,
        PRIMARY KEY (replay_id, task_id)
    )
    """,
)


def upgrade() -> None:
    """Make the tables, and let a notification be of no task."""
    for statement in STATEMENTS:
        op.execute(statement)
