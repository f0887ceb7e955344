"""Mail to users: how often they have addresses confirmed, and whether they get digests."""

from alembic import op

revision = "0033_mail_of_users"
down_revision = "0032_outbound"

PHASE = "before-deploy"

STATEMENTS = (
    """
    CREATE TABLE quotas (
        key_hash bytea PRIMARY KEY,
        used integer NOT NULL,
        ends_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX quotas_ends_at ON quotas (ends_at)",
    "ALTER TABLE users ADD COLUMN email_digest boolean NOT NULL DEFAULT true",
)


def upgrade() -> None:
    """Make the table, and the column."""
    for statement in STATEMENTS:
        op.execute(statement)
