"""How late a reminder was, in the inbox."""

from alembic import op

revision = "0005_lateness"
down_revision = "0004_time"

PHASE = "before-deploy"


def upgrade() -> None:
    """Add the column, which is null for what was sent before, and by older code."""
    op.execute("ALTER TABLE notifications ADD COLUMN late_by_s double precision")
