"""What has expired is found without reading what has not."""

from alembic import op

revision = "0006_expiry"
down_revision = "0005_lateness"

PHASE = "before-deploy"

# BRIN, for rows come in the order of these times: some pages in all, and next to nothing to write.
EXPIRING = (
    ("idempotency_keys", "created_at"),
    ("claims", "claimed_at"),
    ("sessions", "created_at"),
    ("refresh_tokens", "expires_at"),
)


def upgrade() -> None:
    """Make the indexes."""
    for table, column in EXPIRING:
        op.execute(f"CREATE INDEX {table}_{column} ON {table} USING brin ({column})")
