"""Destinations wait for a place: how one did the last time decides for which, and since when."""

from alembic import op

revision = "0034_fair_places"
down_revision = "0033_mail_of_users"

PHASE = "before-deploy"

STATEMENTS = (
    """
    ALTER TABLE destinations
        ADD COLUMN failing_days integer NOT NULL DEFAULT 0,
        ADD COLUMN failing_day timestamptz,
        ADD COLUMN failures integer NOT NULL DEFAULT 0,
        ADD COLUMN rests_until timestamptz,
        ADD COLUMN is_quick boolean,
        ADD COLUMN is_full boolean NOT NULL DEFAULT false
    """,
    """
    CREATE INDEX destinations_by_pace ON destinations (channel, is_quick, due_at)
        WHERE due_at IS NOT NULL
    """,
    "DROP INDEX destinations_that_follow",
    """
    CREATE INDEX destinations_that_follow ON destinations (user_id)
        WHERE channel = 'webhook' AND state = 'active' AND NOT is_full
    """,
)


def upgrade() -> None:
    """Add the columns, and the indexes by them."""
    for statement in STATEMENTS:
        op.execute(statement)
