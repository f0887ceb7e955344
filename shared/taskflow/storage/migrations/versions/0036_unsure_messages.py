"""Messages of which nobody knows whether they were taken, and since when one is tried."""

from alembic import op

from taskflow.storage.migrations.autocommit import autocommit, create_index_concurrently

revision = "0036_unsure_messages"
down_revision = "0035_destinations_change"

PHASE = "before-deploy"

COLUMNS = """
    ALTER TABLE outbound_messages
        ADD COLUMN IF NOT EXISTS unsure integer NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS begun_at timestamptz
"""
# One that is full and has nothing pending was let go by who knows nothing of being full.
FOLLOWING = """destinations (user_id)
    WHERE channel = 'webhook' AND state = 'active' AND (NOT is_full OR due_at IS NULL)
"""


def upgrade() -> None:
    """Add the columns, and make the index while its table is written to."""
    op.execute(COLUMNS)
    with autocommit():
        create_index_concurrently("destinations_that_follow_on", FOLLOWING)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS destinations_that_follow")
