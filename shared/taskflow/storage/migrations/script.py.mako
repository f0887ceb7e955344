"""${message}."""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}

PHASE = "before-deploy"
"""`before-deploy` where the code that still runs can live with it, else `after-deploy`."""


def upgrade() -> None:
    """${message}."""
    op.execute("")
