"""When a dead letter is reconciled with the claims, and how often it was sent again by itself."""

from alembic import op

from taskflow.storage.migrations.autocommit import autocommit, commit, create_index_concurrently

revision = "0024_letters_sent_again"
down_revision = "0019_search"

# The code before stores letters without a time, which are reconciled at once.
PHASE = "before-deploy"

COLUMNS = """
ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS reconcile_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS resends integer NOT NULL DEFAULT 0,
    DROP CONSTRAINT IF EXISTS dead_letters_state_check,
    ADD CONSTRAINT dead_letters_state_check
        CHECK (state IN ('dead', 'resent', 'discarded', 'delivered'))
"""

# Of what nobody has decided yet, and of events of the log alone.
INDEX = "dead_letters (consumer, reconcile_at) WHERE state = 'dead' AND user_id IS NOT NULL"


def upgrade() -> None:
    """Make the columns, allow the further state, and make the index."""
    op.execute(COLUMNS)
    commit()
    with autocommit():
        create_index_concurrently("dead_letters_to_reconcile", INDEX)
