"""Which sessions have ended lately is found at once; a ticket knows its session."""

from alembic import op

revision = "0009_ended_sessions"
down_revision = "0008_email_spelling"

PHASE = "before-deploy"


def upgrade() -> None:
    """Make the index and the column."""
    op.execute("CREATE INDEX sessions_ended ON sessions (revoked_at) WHERE revoked_at IS NOT NULL")
    op.execute("ALTER TABLE socket_tickets ADD COLUMN session_id text")
