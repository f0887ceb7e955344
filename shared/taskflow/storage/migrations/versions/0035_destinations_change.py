"""What destinations were before they changed, and who is to be asked about none any more.

Messages are found by their state, too.
"""

from alembic import op

from taskflow.storage.migrations.autocommit import autocommit, create_index_concurrently

revision = "0035_destinations_change"
down_revision = "0034_fair_places"

PHASE = "before-deploy"

# Each may be there, where the indexes could not be made at once.
STATEMENTS = (
    """
    ALTER TABLE destinations
        ADD COLUMN IF NOT EXISTS revision integer NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS generation integer NOT NULL DEFAULT 0
    """,
    """
    CREATE TABLE IF NOT EXISTS refusals (
        mailbox_hash bytea PRIMARY KEY,
        refused_at timestamptz NOT NULL
    )
    """,
)
INDEXES = {
    # By a hash, for the addresses of browsers are longer than what fits into a page's tree.
    "destinations_by_address": "destinations USING hash (address)",
    "outbound_messages_by_state": "outbound_messages (destination_id, state, seq)",
}


def upgrade() -> None:
    """Add the columns and the table, and make the indexes while their tables are written to."""
    for statement in STATEMENTS:
        op.execute(statement)
    with autocommit():
        for name, on in INDEXES.items():
            create_index_concurrently(name, on)
