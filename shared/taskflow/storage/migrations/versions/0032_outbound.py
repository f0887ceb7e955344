"""Messages to users who are not looking: where they go, and what became of each."""

from alembic import op

revision = "0032_outbound"
down_revision = "0029_personal_data"

PHASE = "before-deploy"

STATEMENTS = (
    """
    CREATE TABLE destinations (
        id uuid PRIMARY KEY,
        user_id text NOT NULL,
        channel text NOT NULL,
        address text NOT NULL,
        details json NOT NULL,
        state text NOT NULL,
        created_at timestamptz NOT NULL,
        failing_since timestamptz,
        disabled_because text,
        seq bigint,
        due_at timestamptz,
        held_by uuid,
        held_until timestamptz,
        UNIQUE (user_id, channel, address)
    )
    """,
    "CREATE INDEX destinations_due ON destinations (channel, due_at) WHERE due_at IS NOT NULL",
    """
    CREATE INDEX destinations_that_follow ON destinations (user_id)
        WHERE channel = 'webhook' AND state = 'active'
    """,
    """
    CREATE TABLE outbound_messages (
        id uuid PRIMARY KEY,
        destination_id uuid NOT NULL REFERENCES destinations ON DELETE CASCADE,
        user_id text NOT NULL,
        seq bigint,
        event_id uuid,
        state text NOT NULL,
        created_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        failures integer NOT NULL,
        first_failed_at timestamptz,
        settled_at timestamptz,
        reason text,
        provider_id text,
        UNIQUE (destination_id, event_id)
    )
    """,
    """
    CREATE INDEX outbound_messages_pending ON outbound_messages (destination_id, due_at, seq)
        WHERE state = 'pending'
    """,
    "CREATE INDEX outbound_messages_by_event ON outbound_messages (destination_id, seq)",
    """
    CREATE INDEX outbound_messages_settled ON outbound_messages (settled_at)
        WHERE settled_at IS NOT NULL
    """,
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
