"""Very many tasks of one user, put into the record at once, without events."""

from sqlalchemy import text

from taskflow.storage import transaction
from tests.support.data.accounts import A_CAUSE

TOGETHER = 10_000


def add_tasks(user_id: str, number: int) -> None:
    """Add tasks a minute apart: a third are completed, half are due, one in 1,000 is `rare`."""
    for first in range(1, number + 1, TOGETHER):
        with transaction(A_CAUSE) as tx:
            last = min(number, first + TOGETHER - 1)
            tx.connection.execute(_ADD, {"user_id": user_id, "first": first, "last": last})
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("ANALYZE tasks"))


_ADD = text("""
INSERT INTO tasks (id, user_id, title, title_key, status, priority, tags, metadata, due_date,
    completed_at, created_at, updated_at, version)
SELECT gen_random_uuid(), :user_id, 'Task ' || md5(n::text), decode(md5(n::text), 'hex'),
    CASE WHEN mod(n, 3) = 0 THEN 'completed' ELSE 'pending' END, 1 + mod(n, 4),
    CASE WHEN mod(n, 1000) = 0 THEN '{common,rare}'::text[] ELSE '{common}' END, '{}',
    CASE WHEN mod(n, 2) = 0 THEN at + interval '30 days' END,
    CASE WHEN mod(n, 3) = 0 THEN at END, at, at, 1
FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n,
    LATERAL (SELECT now() - n * interval '1 minute' AS at)
""")
