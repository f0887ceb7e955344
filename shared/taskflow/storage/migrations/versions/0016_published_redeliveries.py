"""When an event that is to be delivered again was last published to Kafka for that."""

from alembic import op

revision = "0016_published_redeliveries"
down_revision = "0015_expiry_in_order"

PHASE = "before-deploy"


def upgrade() -> None:
    op.execute("ALTER TABLE redeliveries ADD COLUMN published_at timestamptz")
