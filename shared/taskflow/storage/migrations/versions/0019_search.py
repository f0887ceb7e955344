"""Tasks have the words that they are found by, and indexes to count them by."""

from alembic import op

from taskflow.storage.migrations.autocommit import autocommit, commit, create_index_concurrently
from taskflow.storage.migrations.search_words import give_words

revision = "0019_search"
down_revision = "0018_sessions_go_with_tokens"

# What older code writes meanwhile is given its words when the migrations are next applied.
PHASE = "before-deploy"

# `words_version` is the version of the task that has these words.
COLUMNS = """
ALTER TABLE tasks
    ADD COLUMN IF NOT EXISTS heading tsvector,
    ADD COLUMN IF NOT EXISTS body tsvector,
    ADD COLUMN IF NOT EXISTS words_version integer
"""
# To unpack the words of 10,000 characters takes five times as long as to read them as they are.
NOT_COMPRESSED = "ALTER TABLE tasks ALTER COLUMN body SET STORAGE EXTERNAL"
INDEXES = {
    # Without a list of what is to be added: its 4 MB would be read by every search.
    "tasks_by_word": (
        "tasks USING gin (heading, body) WITH (fastupdate = off) WHERE deleted_at IS NULL"
    ),
    "tasks_without_words": "tasks (id) WHERE words_version IS DISTINCT FROM version",
    "tasks_open": (
        "tasks (user_id, priority, due_date)"
        " WHERE deleted_at IS NULL AND status IN ('pending', 'in_progress')"
    ),
    "tasks_by_completion": (
        "tasks (user_id, completed_at) WHERE deleted_at IS NULL AND completed_at IS NOT NULL"
    ),
}


def upgrade() -> None:
    """Make the columns, fill them, make the indexes while the table is written to."""
    for statement in (COLUMNS, NOT_COMPRESSED):
        op.execute(statement)
    commit()
    give_words(op.get_bind(), commit)
    with autocommit():
        for name, on in INDEXES.items():
            create_index_concurrently(name, on)
