"""A user's calendar feed, and the import of what they had elsewhere."""

from alembic import op

revision = "0029_personal_data"
down_revision = "0028_erasure"

PHASE = "before-deploy"

STATEMENTS = (
    # The secret of a feed's address is kept as its hash alone.
    """
    CREATE TABLE calendar_feeds (
        user_id text PRIMARY KEY,
        token_hash bytea NOT NULL UNIQUE,
        created_at timestamptz NOT NULL
    )
    """,
    # Which export an account is made of, by its user there and the newest event in it.
    """
    CREATE TABLE imports (
        user_id text PRIMARY KEY,
        source_user_id text NOT NULL,
        source_seq bigint NOT NULL,
        tasks integer NOT NULL,
        started_at timestamptz NOT NULL,
        finished_at timestamptz
    )
    """,
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
