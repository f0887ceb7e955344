"""Accounts can be erased: of their events the links of the chain are left, and nothing else."""

from alembic import op

revision = "0028_erasure"
down_revision = "0027_outside_issuers"

# The code before erases nobody. It appends to a closed stream, as newer code does not.
PHASE = "before-deploy"

STATEMENTS = (
    # Nothing is appended to a closed stream.
    "ALTER TABLE streams ADD COLUMN IF NOT EXISTS closed_at timestamptz",
    # `seq` is the place of the event that tells of the erasure; those before it are erased.
    """
    CREATE TABLE erasures (
        user_id text PRIMARY KEY,
        seq bigint NOT NULL,
        requested_at timestamptz NOT NULL,
        finished_at timestamptz
    )
    """,
    "CREATE INDEX erasures_by_time ON erasures (requested_at)",
    """
    CREATE INDEX erasures_unfinished ON erasures (requested_at) WHERE finished_at IS NULL
    """,
    """
    CREATE TABLE erased_events (
        user_id text NOT NULL,
        seq bigint NOT NULL,
        digest bytea NOT NULL,
        hash bytea NOT NULL,
        PRIMARY KEY (user_id, seq)
    )
    """,
    """
    CREATE TRIGGER erased_events_are_immutable BEFORE UPDATE OR DELETE ON erased_events
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER erased_events_are_kept BEFORE TRUNCATE ON erased_events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    # An event goes once its link is kept, and the audit entry with it. By the name of the function,
    # the triggers of these tables do as it says from now on.
    """
    CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND TG_TABLE_NAME IN ('events', 'audit_entries') THEN
            IF EXISTS (
                SELECT FROM erased_events JOIN erasures USING (user_id)
                WHERE erased_events.user_id = OLD.user_id AND erased_events.seq = OLD.seq
                    AND erased_events.seq < erasures.seq
            ) THEN
                RETURN OLD;
            END IF;
        END IF;
        RAISE EXCEPTION '% is immutable: % refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation';
    END $$
    """,
    # To delete a task or a reminder would mean to read all notifications. Nothing deletes one but
    # the erasure of its user, whose notifications go too.
    """
    ALTER TABLE notifications
        DROP CONSTRAINT IF EXISTS notifications_task_id_fkey,
        DROP CONSTRAINT IF EXISTS notifications_reminder_id_fkey
    """,
)


def upgrade() -> None:
    """Make the tables, and let erased events go."""
    for statement in STATEMENTS:
        op.execute(statement)
