"""Very many tasks, put into the record at once, without events."""

from collections.abc import Sequence

from sqlalchemy import text

from taskflow.storage import transaction
from taskflow.storage.search_words import key_of
from tests.support.data.accounts import A_CAUSE

TOGETHER = 10_000


def add_tasks(user_id: str, number: int) -> None:
    """Add tasks a minute apart: a third are completed, half are due, one in 1,000 is `rare`.

    Their titles are `Task` and 32 hexadecimal digits of their own.
    """
    for first in range(1, number + 1, TOGETHER):
        _add([user_id], first, min(number, first + TOGETHER - 1))
    _analyse()


def add_tasks_of_each(user_ids: Sequence[str], number: int) -> None:
    """Add some such tasks of each user."""
    some = max(1, TOGETHER // (4 * number))
    for first in range(0, len(user_ids), some):
        _add(user_ids[first : first + some], 1, number)
    _analyse()


def _add(user_ids: Sequence[str], first: int, last: int) -> None:
    values = {
        "user_ids": list(user_ids),
        "keys": [key_of(user_id) for user_id in user_ids],
        "first": first,
        "last": last,
    }
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(_ADD, values)


def _analyse() -> None:
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("ANALYZE tasks"))


_ADD = text("""
INSERT INTO tasks (id, user_id, title, title_key, status, priority, tags, metadata, due_date,
    completed_at, created_at, updated_at, version, heading, words_version)
SELECT gen_random_uuid(), user_id, 'Task ' || own, decode(own, 'hex'),
    CASE WHEN mod(n, 3) = 0 THEN 'completed' ELSE 'pending' END, 1 + mod(n, 4),
    CASE WHEN mod(n, 1000) = 0 THEN '{common,rare}'::text[] ELSE '{common}' END, '{}',
    CASE WHEN mod(n, 2) = 0 THEN at + interval '30 days' END,
    CASE WHEN mod(n, 3) = 0 THEN at END, at, at, 1,
    CAST(format(
        '''%1$stask''\\:1A ''%1$s%2$s''\\:2A ''%1$scommon''\\:5B '
            || CASE WHEN mod(n, 1000) = 0 THEN '''%1$srare''\\:8B' ELSE '' END,
        key, own
    ) AS tsvector), 1
FROM unnest(CAST(:user_ids AS text[]), CAST(:keys AS text[])) AS users (user_id, key),
    generate_series(CAST(:first AS int), CAST(:last AS int)) AS n,
    LATERAL (SELECT now() - n * interval '1 minute' AS at, md5(user_id || n) AS own)
""")
