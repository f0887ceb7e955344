"""The backlog: how many events come, and how many are still to be published or consumed.

All of it is looked up in indexes, and no more than COUNTED_MAX of anything is looked at: what waits
is among the newest events, for older ones that a consumer has not had are soon asked for again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from sqlalchemy import DateTime, Integer, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.storage import claims, events
from taskflow.storage.transactions import Transaction

COUNTED_MAX = 1_000

# For the end of each minute, the last position before it: by halves, for an index has the positions
# and none the times, which are in their order but for moments. All up to `low` is before that end,
# and nothing from `high` on.
_POSITIONS = text("""
    WITH RECURSIVE halved (minute, at, low, high) AS (
        SELECT minute, :now - minute * interval '1 minute', CAST(0 AS bigint),
            (SELECT coalesce(max(position), 0) + 1 FROM events)
        FROM generate_series(0, :minutes) AS minutes (minute)
        UNION ALL
        SELECT minute, at,
            CASE WHEN is_before THEN middle ELSE low END,
            CASE WHEN is_before THEN high ELSE middle END
        FROM halved
            CROSS JOIN LATERAL (SELECT (low + high) / 2 AS middle) AS halfway
            CROSS JOIN LATERAL (
                SELECT timestamp < at AS is_before FROM events
                WHERE position >= middle ORDER BY position LIMIT 1
            ) AS there
        WHERE high - low > 1
    )
    SELECT low FROM halved WHERE high - low = 1 ORDER BY minute DESC
""").bindparams(
    bindparam("now", type_=DateTime(timezone=True)), bindparam("minutes", type_=Integer)
)

_FLOOR = text("""
    SELECT coalesce(min(position), 1) - 1
    FROM (SELECT position FROM events ORDER BY position DESC LIMIT :most) AS newest
""")

_UNPUBLISHED = text("""
    SELECT count(*)
    FROM (SELECT user_id, seq FROM events ORDER BY position DESC LIMIT :most) AS newest
    WHERE seq > coalesce(
        (SELECT p.seq FROM publications p WHERE p.user_id = newest.user_id LIMIT 1), 0
    )
""")

# As the index of what is to be reconciled has them.
_DEAD = text("""
    SELECT count(*) FROM (
        SELECT FROM dead_letters WHERE state = 'dead' AND user_id IS NOT NULL LIMIT :most
    ) AS dead
""")

_CONSUMERS = text("""
    SELECT name, reconciled_position,
        (SELECT count(*) FROM (
            SELECT FROM redeliveries WHERE consumer = name LIMIT :most
        ) AS asked_for) AS redeliveries,
        (SELECT count(*) FROM (
            SELECT FROM dead_letters
            WHERE consumer = name AND state = 'dead' AND user_id IS NOT NULL LIMIT :most
        ) AS dead) AS dead_letters
    FROM consumers WHERE name = ANY(:names) ORDER BY name
""").bindparams(bindparam("names", type_=ARRAY(Text)))

# PostgreSQL may know nothing of these tables yet, and read all of them.
_BY_INDEX = text("SET LOCAL enable_seqscan = off")


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events wait for a consumer, are to be brought to it again, and were given up."""

    waiting: int
    redeliveries: int
    dead_letters: int


def per_minute(tx: Transaction, *, minutes: int, now: datetime) -> list[int]:
    """Return about how many events each of the last minutes had, the newest last.

    What was rolled back counts too, and what was erased since.
    """
    tx.connection.execute(_BY_INDEX)
    found = tx.connection.execute(_POSITIONS, {"now": now, "minutes": minutes}).scalars().all()
    return [end - begin for begin, end in pairwise(found)]


def unpublished(tx: Transaction) -> int:
    """Return how many of the newest events Kafka has not confirmed."""
    tx.connection.execute(_BY_INDEX)
    return tx.connection.execute(_UNPUBLISHED, {"most": COUNTED_MAX}).scalar_one()


def dead_letters(tx: Transaction) -> int:
    """Return how many events of ours were given up, and wait for somebody to decide."""
    tx.connection.execute(_BY_INDEX)
    return tx.connection.execute(_DEAD, {"most": COUNTED_MAX}).scalar_one()


def of_consumers(
    tx: Transaction, taken: Mapping[str, Collection[str]], *, now: datetime
) -> dict[str, Backlog]:
    """Return what waits for each of these consumers, which take events of these types."""
    tx.connection.execute(_BY_INDEX)
    floor = tx.connection.execute(_FLOOR, {"most": COUNTED_MAX}).scalar_one()
    newest = events.newest_position(tx)
    rows = tx.connection.execute(_CONSUMERS, {"most": COUNTED_MAX, "names": sorted(taken)}).all()
    return {
        row.name: Backlog(
            waiting=len(
                claims.unclaimed(
                    tx,
                    row.name,
                    taken[row.name],
                    after=max(floor, row.reconciled_position),
                    to=newest,
                    now=now,
                )
            ),
            redeliveries=row.redeliveries,
            dead_letters=row.dead_letters,
        )
        for row in rows
    }
