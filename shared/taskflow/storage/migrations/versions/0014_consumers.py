"""Where each consumer begins in the log, and how far the log was reconciled with its claims."""

from alembic import op

revision = "0014_consumers"
down_revision = "0013_calendar_days"

PHASE = "before-deploy"

STATEMENTS = (
    """
    CREATE TABLE consumers (
        name text PRIMARY KEY,
        started_at timestamptz NOT NULL,
        start_position bigint NOT NULL,
        reconciled_position bigint NOT NULL,
        absent_since timestamptz
    )
    """,
    """
    CREATE TABLE log_marks (
        position bigint NOT NULL,
        transaction_id bigint NOT NULL,
        marked_at timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
