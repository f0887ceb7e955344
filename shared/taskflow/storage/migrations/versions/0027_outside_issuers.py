"""Accounts of outside issuers: without a password, perhaps without an email address."""

from alembic import op

revision = "0027_outside_issuers"
down_revision = "0026_replays"

# The code before makes no such account, and leaves the issuer out.
PHASE = "before-deploy"

COLUMNS = """
ALTER TABLE users
    ADD COLUMN IF NOT EXISTS issuer text,
    ALTER COLUMN email DROP NOT NULL,
    ALTER COLUMN password_hash DROP NOT NULL
"""


def upgrade() -> None:
    """Add the issuer, and let go of what only the built-in one needs."""
    op.execute(COLUMNS)
