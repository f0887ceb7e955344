"""What has expired is found in the order of its time, however much is kept."""

from alembic import op

from taskflow.storage.migrations.autocommit import autocommit, create_index_concurrently

revision = "0015_expiry_in_order"
down_revision = "0014_consumers"

PHASE = "before-deploy"

# In place of BRIN, which holds the times of some pages together: once rows have been deleted, new
# ones fill the pages of the oldest, and from then on every page may hold something old.
INDEXES = {
    "claims_by_age": ("claims (claimed_at)", "claims_claimed_at"),
    "idempotency_keys_by_time": ("idempotency_keys (created_at)", "idempotency_keys_created_at"),
    "sessions_by_age": ("sessions (created_at)", "sessions_created_at"),
    "refresh_tokens_by_expiry": ("refresh_tokens (expires_at)", "refresh_tokens_expires_at"),
}


def upgrade() -> None:
    """Make the indexes while their tables are written to."""
    with autocommit():
        for name, (on, replaced) in INDEXES.items():
            create_index_concurrently(name, on)
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {replaced}")
