"""What was held or asked before a destination has changed does not count for it afterwards."""

from alembic import op

revision = "0035_destinations_change"
down_revision = "0034_fair_places"

PHASE = "before-deploy"

STATEMENTS = (
    """
    ALTER TABLE destinations
        ADD COLUMN revision integer NOT NULL DEFAULT 0,
        ADD COLUMN generation integer NOT NULL DEFAULT 0
    """,
)


def upgrade() -> None:
    """Add the columns."""
    for statement in STATEMENTS:
        op.execute(statement)
