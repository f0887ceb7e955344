"""How large each event is, known without unpacking it: reads are bounded in bytes."""

from alembic import op

revision = "0007_event_sizes"
down_revision = "0006_expiry"

PHASE = "before-deploy"


def upgrade() -> None:
    """Add the column, which is null for events from before: they never change."""
    op.execute("ALTER TABLE events ADD COLUMN data_bytes integer")
