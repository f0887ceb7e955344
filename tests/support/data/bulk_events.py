"""Very many events, with the claims of them, put into the record at once and without a chain."""

from datetime import timedelta

from sqlalchemy import text

from taskflow.storage import transaction
from tests.support.data.accounts import A_CAUSE

TOGETHER = 100_000


def add_events(number: int, *, users: int = 100, over: timedelta, claimed_by: str) -> None:
    """Add events of some users, spread evenly `over` the time until now, all claimed.

    Each is 300 bytes of data; one in ten is `task.completed`, the others `task.created`.
    """
    step = over / number
    for first in range(1, number + 1, TOGETHER):
        values = {
            "number": number,
            "first": first,
            "last": min(number, first + TOGETHER - 1),
            "users": users,
            "step": step,
            "consumer": claimed_by,
        }
        with transaction(A_CAUSE) as tx:
            tx.connection.execute(_NO_TIMEOUT)
            for statement in (_EVENTS, _CLAIMS):
                tx.connection.execute(statement, values)
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(_NO_TIMEOUT)
        tx.connection.execute(_STREAMS, {"users": users})
        tx.connection.execute(text("ANALYZE events, claims, streams"))


_NO_TIMEOUT = text("SET LOCAL statement_timeout = 0")
_MADE = """
SELECT n, 'made-' || mod(n, :users) AS user_id, (n - 1) / :users + 1 AS seq,
    CAST(md5(n::text) AS uuid) AS event_id,
    CASE WHEN mod(n / :users, 10) = 0 THEN 'task.completed' ELSE 'task.created' END AS event_type,
    now() - (:number - n) * CAST(:step AS interval) AS at
FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
"""
_EVENTS = text(f"""
INSERT INTO events (
    user_id, seq, event_id, event_type, aggregate_id, version, schema_version, timestamp,
    correlation_id, traceparent, actor, origin, data, data_bytes, hash
)
SELECT user_id, seq, event_id, event_type, md5(n::text), 1, 1, at, md5(n::text), '', user_id,
    '192.0.2.1', json_build_object('title', repeat(md5(n::text), 9)), 300, sha256('')
FROM ({_MADE}) AS made ORDER BY n
""")  # noqa: S608 - nothing from outside
_CLAIMS = text(f"""
INSERT INTO claims (consumer, event_id, claimed_at)
SELECT :consumer, event_id, at FROM ({_MADE}) AS made ORDER BY n
""")  # noqa: S608 - as above
_STREAMS = text("""
INSERT INTO streams (user_id, seq, hash)
SELECT user_id, max(seq), sha256('') FROM events
WHERE user_id IN (SELECT 'made-' || n FROM generate_series(0, CAST(:users AS int) - 1) AS n)
GROUP BY user_id
ON CONFLICT DO NOTHING
""")
