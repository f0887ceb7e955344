"""Publications: how far each user's stream has been published, and who is publishing it.

The events themselves wait in the log. One publisher at a time holds a user, for a while that it
renews, so that two do not publish the same; the users of a killed one are free soon after. (A lock
would be lost, or left behind, where a pooler shares connections between transactions.)
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import BigInteger, Interval, Text, Uuid, bindparam, func, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.storage.tables import PUBLICATIONS, STREAMS
from taskflow.storage.transactions import Transaction

HELD_FOR = timedelta(seconds=10)

# Nobody waits for the disk: what a crash takes back of this is published again.
_GIVEN = """
    WITH given AS (SELECT * FROM unnest(:users, :seqs) AS given (user_id, seq)),
    unflushed AS (SELECT set_config('synchronous_commit', 'off', true))
"""

_ARRAYS = (
    bindparam("users", type_=ARRAY(Text)),
    bindparam("seqs", type_=ARRAY(BigInteger)),
    bindparam("holder", type_=Uuid),
)

# In the order of the users, so that two publishers can't wait for each other. What is held for
# longer than anybody holds is from before the clock was set back; as of this look, for another may
# have taken hold since this transaction began.
_HOLD = text(
    f"""
    {_GIVEN}, held AS (
        INSERT INTO publications AS p (user_id, seq, held_by, held_until)
        SELECT user_id, 0, :holder, now() + :held_for FROM given ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE
        SET held_by = excluded.held_by, held_until = excluded.held_until
        WHERE (
            p.held_until IS NULL
            OR NOT p.held_until BETWEEN now() AND clock_timestamp() + :held_for
        )
            AND p.seq < (SELECT seq FROM given WHERE given.user_id = p.user_id)
        RETURNING p.user_id, p.seq
    )
    SELECT user_id, seq, true AS is_ours FROM held, unflushed
    UNION ALL
    SELECT p.user_id, p.seq, false FROM publications p
    WHERE p.user_id = ANY(:users) AND p.user_id NOT IN (SELECT user_id FROM held)
    """  # noqa: S608 - nothing from outside
).bindparams(*_ARRAYS, bindparam("held_for", HELD_FOR, type_=Interval))
_RELEASE = text(
    f"""
    {_GIVEN}
    INSERT INTO publications AS p (user_id, seq)
    SELECT user_id, seq FROM given, unflushed ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE
    SET seq = greatest(p.seq, excluded.seq),
        held_by = nullif(p.held_by, :holder),
        held_until = CASE WHEN p.held_by = :holder THEN NULL ELSE p.held_until END
    """  # noqa: S608 - as above
).bindparams(*_ARRAYS)

_RENEW = (
    PUBLICATIONS.update()
    .where(PUBLICATIONS.c.held_by == bindparam("holder", type_=Uuid))
    .values(held_until=func.now() + HELD_FOR)
)
_PUBLISHED = func.coalesce(PUBLICATIONS.c.seq, 0, type_=BigInteger)
_BEHIND = (
    select(STREAMS.c.user_id, STREAMS.c.seq)
    .outerjoin(PUBLICATIONS, PUBLICATIONS.c.user_id == STREAMS.c.user_id)
    .where(
        STREAMS.c.seq > _PUBLISHED,
        or_(
            PUBLICATIONS.c.held_until.is_(None),
            ~PUBLICATIONS.c.held_until.between(func.now(), func.clock_timestamp() + HELD_FOR),
        ),
    )
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Publication:
    """How far a user's stream has been published, and whether the caller holds the user now."""

    seq: int
    is_ours: bool


def hold(tx: Transaction, holder: UUID, newest: Mapping[str, int]) -> dict[str, Publication]:
    """Hold, for HELD_FOR, the free users whose streams are not published up to `newest`.

    A user is free whom no publisher holds. Returns the publication of each user.
    """
    users = sorted(newest)
    rows = tx.connection.execute(
        _HOLD, {"users": users, "seqs": [newest[user] for user in users], "holder": holder}
    )
    return {row.user_id: Publication(row.seq, row.is_ours) for row in rows}


def renew(tx: Transaction, holder: UUID) -> None:
    """Hold the users of a holder for HELD_FOR from now."""
    tx.connection.execute(_RENEW, {"holder": holder})


def release(tx: Transaction, holder: UUID, reached: Mapping[str, int]) -> None:
    """Record up to which `seq` each user's events are published, and release those users."""
    users = sorted(reached)
    tx.connection.execute(
        _RELEASE, {"users": users, "seqs": [reached[user] for user in users], "holder": holder}
    )


def published(tx: Transaction, user_ids: Collection[str]) -> dict[str, int]:
    """Return up to which `seq` the streams of these users are published, of those that are."""
    query = select(PUBLICATIONS.c.user_id, PUBLICATIONS.c.seq).where(
        PUBLICATIONS.c.user_id == func.any(bindparam("users", type_=ARRAY(Text)))
    )
    rows = tx.connection.execute(query, {"users": sorted(user_ids)})
    return {row.user_id: row.seq for row in rows}


def behind(tx: Transaction, *, limit: int) -> dict[str, int]:
    """Return free users with unpublished events, and their newest `seq`."""
    rows = tx.connection.execute(_BEHIND, {"most": limit})
    return {row.user_id: row.seq for row in rows}
