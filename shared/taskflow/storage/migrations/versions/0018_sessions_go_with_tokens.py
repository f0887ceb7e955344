"""A session goes with its last refresh token; those that were left without one go now."""

from alembic import op

from taskflow.storage.migrations.autocommit import autocommit

revision = "0018_sessions_go_with_tokens"
down_revision = "0016_published_redeliveries"

# The code before deletes in the same run what it leaves, and reads all sessions for it anyway.
PHASE = "before-deploy"


def upgrade() -> None:
    """Delete the sessions that nobody can go on with, and the index by which they were found."""
    with autocommit():
        op.execute("""
            DELETE FROM sessions
            WHERE NOT EXISTS (SELECT FROM refresh_tokens WHERE session_id = sessions.id)
        """)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sessions_by_age")
