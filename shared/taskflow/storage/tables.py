"""The tables as SQLAlchemy Core sees them; migrations make them."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

METADATA = MetaData()

_TIME = DateTime(timezone=True)

TASKS = Table(
    "tasks",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Text),
    Column("title", Text),
    # What sorts as the title does (`storage/collation.py`).
    Column("title_key", LargeBinary),
    Column("description", Text),
    Column("status", Text),
    # The rank from `low` 1 to `urgent` 4, so that an index can sort by it.
    Column("priority", SmallInteger),
    Column("tags", ARRAY(Text)),
    # json, not jsonb: the client's own numbers and order of keys come back as they were sent.
    Column("metadata", JSON),
    Column("due_date", _TIME),
    Column("completed_at", _TIME),
    Column("created_at", _TIME),
    Column("updated_at", _TIME),
    Column("version", Integer),
    Column("deleted_at", _TIME),
    # None is SQL's NULL: what is no recurring task.
    Column("recurrence", JSON(none_as_null=True)),
    Column("next_occurrence", _TIME),
    # When to create the next occurrence: at its time, or as long before as its reminders need.
    Column("spawn_at", _TIME),
    Column("recurring_task_id", Uuid),
    Column("occurrence_at", _TIME),
    Column("predecessor_id", Uuid),
)

REMINDERS = Table(
    "reminders",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("task_id", Uuid),
    Column("user_id", Text),
    Column("remind_at", _TIME),
    Column("before_due_s", Integer),
    Column("before_due_days", Integer),
    Column("message", Text),
    Column("status", Text),
    Column("created_at", _TIME),
    Column("version", Integer),
    Column("is_snoozed", Boolean),
    Column("is_removed", Boolean),
)

NOTIFICATIONS = Table(
    "notifications",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Text),
    Column("task_id", Uuid),
    Column("reminder_id", Uuid),
    Column("title", Text),
    Column("message", Text),
    Column("created_at", _TIME),
    Column("read_at", _TIME),
    Column("version", Integer),
    Column("late_by_s", Double),
)

USERS = Table(
    "users",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("email", Text),
    # None of those who sign in at an outside issuer.
    Column("password_hash", Text),
    # The outside issuer that knows the user by the id; None is the built-in one.
    Column("issuer", Text),
    Column("timezone", Text),
    Column("roles", ARRAY(Text)),
    Column("notification_channels", ARRAY(Text)),
    Column("quiet_from", Text),
    Column("quiet_until", Text),
    Column("email_digest", Boolean),
    Column("created_at", _TIME),
    Column("version", Integer),
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Text),
    Column("created_at", _TIME),
    Column("last_used_at", _TIME),
    Column("client", Text),
    Column("revoked_at", _TIME),
)

REFRESH_TOKENS = Table(
    "refresh_tokens",
    METADATA,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("session_id", Uuid),
    Column("expires_at", _TIME),
    Column("used_at", _TIME),
)

LOGIN_ATTEMPTS = Table(
    "login_attempts",
    METADATA,
    # Of an account, a network, or both. Once they were all of emails.
    Column("email_hash", LargeBinary, key="key_hash", primary_key=True),
    Column("window_started_at", _TIME),
    Column("failures", Integer),
    # Attempts whose password is being looked at.
    Column("undecided", Integer),
)

# How often something was done in a window of time, of which there may be so many.
QUOTAS = Table(
    "quotas",
    METADATA,
    Column("key_hash", LargeBinary, primary_key=True),
    Column("used", Integer),
    Column("ends_at", _TIME),
)

# Mailboxes whose owners want to be asked to confirm them no more.
REFUSALS = Table(
    "refusals",
    METADATA,
    Column("mailbox_hash", LargeBinary, primary_key=True),
    Column("refused_at", _TIME),
)

LOGIN_PLACES = Table(
    "login_places",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("place_hash", LargeBinary, primary_key=True),
    Column("last_right_at", _TIME),
)

SOCKET_TICKETS = Table(
    "socket_tickets",
    METADATA,
    Column("ticket_hash", LargeBinary, primary_key=True),
    Column("user_id", Text),
    Column("expires_at", _TIME),
    Column("session_expires_at", _TIME),
    Column("session_id", Text),
)

STREAMS = Table(
    "streams",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("seq", BigInteger),
    Column("hash", LargeBinary),
    # Since when nothing is appended any more; None while the account is there.
    Column("closed_at", _TIME),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("event_id", Uuid),
    Column("event_type", Text),
    Column("aggregate_id", Text),
    Column("version", Integer),
    Column("schema_version", SmallInteger),
    Column("timestamp", _TIME),
    Column("correlation_id", Text),
    Column("traceparent", Text),
    Column("actor", Text),
    Column("origin", Text),
    # json keeps the text as it was appended, which is what the hash is over.
    Column("data", JSON),
    # Of `data` as text in UTF-8; None where older code appended the event.
    Column("data_bytes", Integer),
    Column("hash", LargeBinary),
    Column("position", BigInteger),
)

ERASURES = Table(
    "erasures",
    METADATA,
    Column("user_id", Text, primary_key=True),
    # Of the event that tells of the erasure; those before it are erased.
    Column("seq", BigInteger),
    Column("requested_at", _TIME),
    Column("finished_at", _TIME),
)

ERASED_EVENTS = Table(
    "erased_events",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    # Of the event's fields, which its link in the chain is over.
    Column("digest", LargeBinary),
    Column("hash", LargeBinary),
)

CLAIMS = Table(
    "claims",
    METADATA,
    Column("consumer", Text, primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    Column("claimed_at", _TIME),
)

CONSUMERS = Table(
    "consumers",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("started_at", _TIME),
    # Events up to this position of the log are from before it; 0 for none.
    Column("start_position", BigInteger),
    Column("reconciled_position", BigInteger),
    # Since when no function of this name was seen; None as long as there is one.
    Column("absent_since", _TIME),
)

LOG_MARKS = Table(
    "log_marks",
    METADATA,
    Column("position", BigInteger),
    # Later than those of the transactions whose events have positions up to this one.
    Column("transaction_id", BigInteger),
    Column("marked_at", _TIME),
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("consumer", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("seq", BigInteger),
)

REDELIVERIES = Table(
    "redeliveries",
    METADATA,
    Column("consumer", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("requested_at", _TIME),
    Column("published_at", _TIME),
)

PUBLICATIONS = Table(
    "publications",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("seq", BigInteger),
    Column("held_by", Uuid),
    Column("held_until", _TIME),
)

REPLAYS = Table(
    "replays",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("target", Text),
    Column("user_id", Text),
    Column("from_seq", BigInteger),
    Column("events_per_s", Integer),
    Column("requested_by", Text),
    Column("state", Text),
    Column("phase", Text),
    Column("created_at", _TIME),
    Column("advanced_at", _TIME),
    Column("ended_at", _TIME),
    Column("events_total", BigInteger),
    Column("events_done", BigInteger),
    Column("events_newer", BigInteger),
    Column("tasks_same", BigInteger),
    Column("tasks_differing", BigInteger),
    Column("tasks_only_live", BigInteger),
    Column("tasks_only_rebuilt", BigInteger),
    # Behind which event, or in the later phases which task, it goes on.
    Column("after_user", Text),
    Column("after_seq", BigInteger),
    Column("after_task", Uuid),
    Column("held_by", Uuid),
    Column("held_until", _TIME),
)

SHADOW_TASKS = Table(
    "shadow_tasks",
    METADATA,
    Column("replay_id", Uuid, primary_key=True),
    Column("task_id", Uuid, primary_key=True),
    Column("user_id", Text),
    Column("seq", BigInteger),
    Column("version", Integer),
    # json, not jsonb: the text as it was rebuilt.
    Column("fields", JSON),
)

REPLAY_DIFFERENCES = Table(
    "replay_differences",
    METADATA,
    Column("replay_id", Uuid, primary_key=True),
    Column("task_id", Uuid, primary_key=True),
    Column("user_id", Text),
    Column("kind", Text),
    Column("fields", ARRAY(Text)),
)

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("consumer", Text),
    Column("event_id", Text),
    Column("event_type", Text),
    Column("user_id", Text),
    Column("seq", BigInteger),
    Column("attributes", JSON),
    Column("body", LargeBinary),
    Column("error_code", Integer),
    Column("error_text", Text),
    Column("state", Text),
    Column("received_at", _TIME),
    Column("deaths", Integer),
    # When its event is looked for among the claims next, as long as it is dead.
    Column("reconcile_at", _TIME),
    Column("resends", Integer),
)

AUDIT_ENTRIES = Table(
    "audit_entries",
    METADATA,
    Column("event_id", Uuid, primary_key=True),
    Column("user_id", Text),
    Column("seq", BigInteger),
    Column("event_type", Text),
    Column("aggregate_id", Text),
    Column("task_id", Uuid),
    Column("version", Integer),
    Column("timestamp", _TIME),
    Column("correlation_id", Text),
    Column("actor", Text),
    Column("origin", Text),
)

IDEMPOTENCY_KEYS = Table(
    "idempotency_keys",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary),
    Column("created_at", _TIME),
    Column("status", SmallInteger),
    Column("headers", JSON),
    Column("body", LargeBinary),
)

CALENDAR_FEEDS = Table(
    "calendar_feeds",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("token_hash", LargeBinary),
    Column("created_at", _TIME),
)

IMPORTS = Table(
    "imports",
    METADATA,
    Column("user_id", Text, primary_key=True),
    # Whose export it is, and the newest event in it.
    Column("source_user_id", Text),
    Column("source_seq", BigInteger),
    # How many tasks it has added.
    Column("tasks", Integer),
    Column("started_at", _TIME),
    Column("finished_at", _TIME),
)

DESTINATIONS = Table(
    "destinations",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Text),
    Column("channel", Text),
    Column("address", Text),
    Column("details", JSON),
    Column("state", Text),
    Column("created_at", _TIME),
    Column("failing_since", _TIME),
    Column("failing_days", Integer),
    Column("failing_day", _TIME),
    Column("failures", Integer),
    Column("rests_until", _TIME),
    Column("is_quick", Boolean),
    Column("disabled_because", Text),
    # Of a webhook: up to which event of its user's stream it has messages, and whether so many of
    # them are pending that no more are added.
    Column("seq", BigInteger),
    Column("is_full", Boolean),
    # Since when it waits for its turn, or when it does so again; None where no message is pending.
    Column("due_at", _TIME),
    # Counts what its user changes of where, and when, messages are sent.
    Column("revision", Integer),
    # Counts how often it was added anew after its end: a link to confirm it names which one.
    Column("generation", Integer),
    Column("held_by", Uuid),
    Column("held_until", _TIME),
)

OUTBOUND_MESSAGES = Table(
    "outbound_messages",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("destination_id", Uuid),
    Column("user_id", Text),
    # Of the event that it tells of; None where it asks to confirm an address.
    Column("seq", BigInteger),
    Column("event_id", Uuid),
    Column("state", Text),
    Column("created_at", _TIME),
    Column("due_at", _TIME),
    Column("failures", Integer),
    Column("first_failed_at", _TIME),
    # How often its provider did not say whether it has taken it.
    Column("unsure", Integer),
    # Since when it is tried, where that is not since it was made.
    Column("begun_at", _TIME),
    Column("settled_at", _TIME),
    # Why it was cancelled, or not taken the last time.
    Column("reason", Text),
    Column("provider_id", Text),
)
