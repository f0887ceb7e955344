"""Words to be found by for tasks that have none, or those of an earlier version."""

from collections.abc import Callable

from sqlalchemy import Connection, text

from taskflow.storage.search_words import search_words

BATCH = 1_000

_SOME = text("""
    SELECT id, user_id, title, description, tags, version FROM tasks
    WHERE id > :after AND words_version IS DISTINCT FROM version ORDER BY id LIMIT :batch
""")
# One that has changed since it was read has words, or is found when this is next done.
_GIVE = text("""
    UPDATE tasks SET
        heading = CAST(given.heading AS tsvector),
        body = CAST(given.body AS tsvector),
        words_version = given.version
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:versions AS int[]),
        CAST(:headings AS text[]), CAST(:bodies AS text[])
    ) AS given (id, version, heading, body)
    WHERE tasks.id = given.id AND tasks.version = given.version
""")


_HAS_INDEX = text("SELECT to_regclass('tasks_without_words') IS NOT NULL")


def complete_words(connection: Connection) -> None:
    """Give words to the tasks that older code has written since there are words."""
    if connection.execute(_HAS_INDEX).scalar_one():
        give_words(connection, connection.commit)


def give_words(connection: Connection, commit: Callable[[], object]) -> None:
    """Give words to the tasks that lack them, and commit after each BATCH."""
    after = "00000000-0000-0000-0000-000000000000"
    while rows := connection.execute(_SOME, {"after": after, "batch": BATCH}).all():
        words = [search_words(row.user_id, row.title, row.description, row.tags) for row in rows]
        connection.execute(
            _GIVE,
            {
                "ids": [row.id for row in rows],
                "versions": [row.version for row in rows],
                "headings": [each.heading for each in words],
                "bodies": [each.body for each in words],
            },
        )
        commit()
        after = rows[-1].id
