"""When a session was last used, and by what client: what its user knows it by."""

from uuid import UUID

from alembic import op
from sqlalchemy import Connection, text

from taskflow.storage.migrations.autocommit import commit

revision = "0037_sessions_seen"
down_revision = "0036_unsure_messages"

PHASE = "before-deploy"

BATCH = 500
"""Sessions, each of which may have some thousand tokens; a refresh waits for one batch."""

# The code before adds sessions without: they are used as they begin, by a client that is not known.
COLUMNS = """
    ALTER TABLE sessions
        ADD COLUMN IF NOT EXISTS last_used_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN IF NOT EXISTS client text
"""
SOME = text("SELECT id FROM sessions WHERE id > :after ORDER BY id LIMIT :batch")
# A token lives for 30 days from when it was given.
SEEN = text("""
    UPDATE sessions SET last_used_at = given.at
    FROM (
        SELECT session_id, max(expires_at) - interval '30 days' AS at
        FROM refresh_tokens WHERE session_id = ANY(CAST(:ids AS uuid[])) GROUP BY session_id
    ) given
    WHERE given.session_id = sessions.id
""")


def upgrade() -> None:
    """Add the columns, and read off the tokens when each session was last used.

    Step by step: who signs in, and each process that looks which sessions have ended, would wait.
    """
    op.execute(COLUMNS)
    commit()
    _read_off(op.get_bind())


def _read_off(connection: Connection) -> None:
    after = UUID(int=0)
    while ids := connection.execute(SOME, {"after": after, "batch": BATCH}).scalars().all():
        connection.execute(SEEN, {"ids": list(ids)})
        commit()
        after = ids[-1]
