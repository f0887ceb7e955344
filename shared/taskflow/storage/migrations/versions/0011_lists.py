"""Every order and every filter of the list of tasks has its index; titles have a key to sort by."""

from alembic import op
from sqlalchemy import Connection, text

from taskflow.storage.collation import sort_key
from taskflow.storage.migrations.autocommit import commit

revision = "0011_lists"
down_revision = "0009_ended_sessions"

# A title that older code writes while it still runs has no key, or that of the title before, and is
# out of its place in that order alone, until the task changes again.
PHASE = "before-deploy"

BATCH = 1_000

# Lists are merged from one ordered read for each status, so that the filters by status need no
# index of their own. No due date is last in both directions, which one index can't give.
INDEXES = {
    "tasks_by_status_and_creation": "(user_id, status, created_at, id)",
    "tasks_by_status_and_update": "(user_id, status, updated_at, id)",
    "tasks_by_status_and_priority": "(user_id, status, priority, id)",
    "tasks_by_status_and_title": "(user_id, status, title_key, id)",
    "tasks_by_status_and_due_date": (
        "(user_id, status, coalesce(due_date, 'infinity'::timestamptz), id)"
    ),
    "tasks_by_status_and_due_date_descending": (
        "(user_id, status, coalesce(due_date, '-infinity'::timestamptz), id)"
    ),
}
# The user is one of the elements, for GIN alone has no order of columns to find a user's tags by.
# Without a list of what is to be added: its 4 MB would be read by every search.
TAGS = """
CREATE INDEX IF NOT EXISTS tasks_by_tag ON tasks USING gin (array_prepend(user_id, tags))
    WITH (fastupdate = off) WHERE deleted_at IS NULL AND cardinality(tags) > 0
"""
# In an order of its own, which no other index of a user's tasks has: so it is found.
RECURRING = """
CREATE INDEX IF NOT EXISTS tasks_recurring_by_id ON tasks (user_id, id)
    WHERE recurrence IS NOT NULL
"""

SOME = text("SELECT id, title FROM tasks WHERE id > :after ORDER BY id LIMIT :batch")
GIVE_KEYS = text("""
UPDATE tasks SET title_key = decode(given.key, 'hex')
FROM unnest(CAST(:ids AS uuid[]), CAST(:titles AS text[]), CAST(:keys AS text[]))
    AS given (id, title, key)
WHERE tasks.id = given.id AND tasks.title = given.title AND tasks.id BETWEEN :first AND :last
""")


def upgrade() -> None:
    """Make the column, fill it, make the indexes; each step by itself, for all may take long."""
    op.execute("ALTER TABLE tasks ADD COLUMN IF NOT EXISTS title_key bytea NOT NULL DEFAULT ''")
    commit()
    _give_keys(op.get_bind())
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX IF NOT EXISTS {name} ON tasks {columns} WHERE deleted_at IS NULL")
        commit()
    for last in (TAGS, RECURRING, "DROP INDEX IF EXISTS tasks_recurring"):
        op.execute(last)
        commit()


def _give_keys(connection: Connection) -> None:
    after = "00000000-0000-0000-0000-000000000000"
    while rows := connection.execute(SOME, {"after": after, "batch": BATCH}).all():
        ids, titles = zip(*rows, strict=True)
        keys = [sort_key(title).hex() for title in titles]
        values = {"ids": list(ids), "titles": list(titles), "keys": keys}
        connection.execute(GIVE_KEYS, {**values, "first": ids[0], "last": ids[-1]})
        commit()
        after = ids[-1]
