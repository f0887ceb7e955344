"""When a session was last used, and by what client: what its user knows it by."""

from alembic import op

revision = "0037_sessions_seen"
down_revision = "0036_unsure_messages"

PHASE = "before-deploy"

# The code before adds sessions without: they are used as they begin, by a client that is not known.
STATEMENTS = (
    """
    ALTER TABLE sessions
        ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN client text
    """,
    # A token lives for 30 days from when it was given.
    """
    UPDATE sessions SET last_used_at = given.at
    FROM (
        SELECT session_id, max(expires_at) - interval '30 days' AS at
        FROM refresh_tokens GROUP BY session_id
    ) given
    WHERE given.session_id = sessions.id
    """,
)


def upgrade() -> None:
    """Add the columns, and read off the tokens when each session was last used."""
    for statement in STATEMENTS:
        op.execute(statement)
