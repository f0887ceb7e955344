"""Delivery to consumers: claims, progress, redeliveries, dead letters; and the audit."""

from alembic import op

revision = "0002_delivery"
down_revision = "0001_the_core"

PHASE = "before-deploy"

STATEMENTS = (
    """
    CREATE TABLE claims (
        consumer text NOT NULL,
        event_id uuid NOT NULL,
        claimed_at timestamptz NOT NULL,
        PRIMARY KEY (consumer, event_id)
    )
    """,
    """
    CREATE TABLE deliveries (
        consumer text NOT NULL,
        user_id text NOT NULL,
        seq bigint NOT NULL,
        PRIMARY KEY (consumer, user_id)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE redeliveries (
        consumer text NOT NULL,
        user_id text NOT NULL,
        seq bigint NOT NULL,
        requested_at timestamptz NOT NULL,
        PRIMARY KEY (consumer, user_id, seq)
    )
    """,
    """
    CREATE TABLE dead_letters (
        id uuid PRIMARY KEY,
        consumer text NOT NULL,
        event_id text NOT NULL,
        event_type text NOT NULL,
        user_id text,
        seq bigint,
        attributes json NOT NULL,
        body bytea NOT NULL,
        error_code integer,
        error_text text NOT NULL,
        state text NOT NULL CHECK (state IN ('dead', 'resent', 'discarded')),
        received_at timestamptz NOT NULL,
        deaths integer NOT NULL,
        UNIQUE (consumer, event_id)
    )
    """,
    "CREATE INDEX dead_letters_by_age ON dead_letters (received_at, id)",
    """
    CREATE TABLE audit_entries (
        event_id uuid PRIMARY KEY,
        user_id text NOT NULL,
        seq bigint NOT NULL,
        event_type text NOT NULL,
        aggregate_id text NOT NULL,
        task_id uuid,
        version integer NOT NULL,
        timestamp timestamptz NOT NULL,
        correlation_id text NOT NULL,
        actor text NOT NULL,
        origin text NOT NULL,
        UNIQUE (user_id, seq)
    )
    """,
    "CREATE INDEX audit_entries_by_time ON audit_entries (timestamp, event_id)",
    "CREATE INDEX audit_entries_by_task ON audit_entries (task_id) WHERE task_id IS NOT NULL",
    """
    CREATE TRIGGER audit_entries_are_immutable BEFORE UPDATE OR DELETE ON audit_entries
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER audit_entries_are_kept BEFORE TRUNCATE ON audit_entries
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
