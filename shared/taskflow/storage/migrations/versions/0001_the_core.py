"""Accounts, tasks, the event log and idempotency keys."""

from alembic import op

revision = "0001_the_core"
down_revision = None

PHASE = "before-deploy"

STATEMENTS = (
    """
    CREATE TABLE users (
        id text PRIMARY KEY,
        email text NOT NULL UNIQUE,
        password_hash text NOT NULL,
        timezone text NOT NULL,
        roles text[] NOT NULL,
        notification_channels text[] NOT NULL,
        quiet_from text,
        quiet_until text,
        created_at timestamptz NOT NULL,
        version integer NOT NULL
    )
    """,
    """
    CREATE TABLE sessions (
        id uuid PRIMARY KEY,
        user_id text NOT NULL REFERENCES users ON DELETE CASCADE,
        created_at timestamptz NOT NULL,
        revoked_at timestamptz
    )
    """,
    "CREATE INDEX sessions_by_user ON sessions (user_id)",
    """
    CREATE TABLE refresh_tokens (
        token_hash bytea PRIMARY KEY,
        session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
        expires_at timestamptz NOT NULL,
        used_at timestamptz
    )
    """,
    "CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id)",
    """
    CREATE TABLE login_attempts (
        email_hash bytea PRIMARY KEY,
        window_started_at timestamptz NOT NULL,
        failures integer NOT NULL
    )
    """,
    "CREATE INDEX login_attempts_by_age ON login_attempts (window_started_at)",
    """
    CREATE TABLE socket_tickets (
        ticket_hash bytea PRIMARY KEY,
        user_id text NOT NULL,
        expires_at timestamptz NOT NULL,
        session_expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX socket_tickets_by_expiry ON socket_tickets (expires_at)",
    # A task belongs to the user of a token, and with an outside issuer we hold no row of theirs
    # before their first use: so no foreign key to users.
    """
    CREATE TABLE tasks (
        id uuid PRIMARY KEY,
        user_id text NOT NULL,
        title text NOT NULL,
        description text,
        status text NOT NULL
            CHECK (status IN ('pending', 'in_progress', 'completed', 'cancelled')),
        priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 4),
        tags text[] NOT NULL,
        metadata json NOT NULL,
        due_date timestamptz,
        completed_at timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version integer NOT NULL,
        deleted_at timestamptz,
        CHECK ((status = 'completed') = (completed_at IS NOT NULL))
    )
    """,
    # The default order of the list; the other orders sort one user's tasks, which are few.
    "CREATE INDEX tasks_by_creation ON tasks (user_id, created_at, id) WHERE deleted_at IS NULL",
    """
    CREATE TABLE streams (
        user_id text PRIMARY KEY,
        seq bigint NOT NULL,
        hash bytea NOT NULL
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE events (
        user_id text NOT NULL,
        seq bigint NOT NULL,
        event_id uuid NOT NULL UNIQUE,
        event_type text NOT NULL,
        aggregate_id text NOT NULL,
        version integer NOT NULL,
        schema_version smallint NOT NULL,
        timestamp timestamptz NOT NULL,
        correlation_id text NOT NULL,
        traceparent text NOT NULL,
        actor text NOT NULL,
        origin text NOT NULL,
        data json NOT NULL,
        hash bytea NOT NULL,
        position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
        PRIMARY KEY (user_id, seq),
        UNIQUE (aggregate_id, version)
    )
    """,
    # Positions come out of order and with gaps: good enough to see quickly who has news, which is
    # all they are for.
    "CREATE INDEX events_by_position ON events (position)",
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is immutable: % refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER events_are_immutable BEFORE UPDATE OR DELETE ON events
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER events_are_kept BEFORE TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TABLE idempotency_keys (
        user_id text NOT NULL,
        key text NOT NULL,
        fingerprint bytea NOT NULL,
        created_at timestamptz NOT NULL,
        status smallint,
        headers json,
        body bytea,
        PRIMARY KEY (user_id, key)
    )
    """,
    "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (user_id, created_at)",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
