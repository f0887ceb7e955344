"""Publishing to Kafka: how far each user's stream has been published, and by whom it is."""

from alembic import op

revision = "0003_publications"
down_revision = "0002_delivery"

PHASE = "before-deploy"

STATEMENTS = (
    """
    CREATE TABLE publications (
        user_id text PRIMARY KEY,
        seq bigint NOT NULL,
        held_by uuid,
        held_until timestamptz
    ) WITH (fillfactor = 50)
    """,
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
