"""Dead letters in PostgreSQL: events that a consumer refused or never managed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from sqlalchemy import (
    RowMapping,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert

from taskflow.domain.errors import DeadLetterNotFound
from taskflow.domain.text import JsonObject
from taskflow.storage import bulk
from taskflow.storage.tables import CLAIMS, DEAD_LETTERS, EVENTS
from taskflow.storage.transactions import Transaction

KEPT = timedelta(days=90)

UNCHECKED_MAX = 1000
UNCHECKED_MAX_BYTES = 64 * 1024 * 1024
"""How many letters of no event of ours are kept, and of how many bytes; one always. Anybody who
reaches the sink may send such, and the oldest give way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that did not get through: for whom, why, and all that was sent.

    `attributes` are its CloudEvents attributes without prefix. `event_id`, `user_id` and `seq` are
    those of an event of the log; where it was none, `event_id` is the source and the id that were
    named, and the others are None. `state` is `dead`, `resent`, `discarded`, or `delivered` where
    the consumer turned out to have claimed the event.
    """

    id: UUID
    consumer: str
    event_id: str
    event_type: str
    user_id: str | None
    seq: int | None
    attributes: JsonObject
    body: bytes
    error_code: int | None
    error_text: str
    state: str
    received_at: datetime
    deaths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciledLetter:
    """What a dead letter of an event of the log is reconciled by.

    `resends` is how often it was sent again by itself, since it died first or an administrator sent
    it again; `reconcile_at` when it is looked at next, if it is dead then.
    """

    id: UUID
    user_id: str
    seq: int
    error_code: int | None
    state: str
    received_at: datetime
    reconcile_at: datetime
    resends: int
    occurred_at: datetime
    is_claimed: bool

    def delivered(self) -> Self:
        """Return it as one whose event was delivered after all."""
        return replace(self, state="delivered")

    def resent(self) -> Self:
        """Return it as one that was sent again by itself once more."""
        return replace(self, state="resent", resends=self.resends + 1)

    def still_dead(self, reconcile_at: datetime) -> Self:
        """Return it as one that is to be looked at again at this time."""
        return replace(self, reconcile_at=reconcile_at)


_FIELDS = [DEAD_LETTERS.c[field.name] for field in fields(DeadLetter)]

_DUE = (
    select(DEAD_LETTERS)
    .where(
        DEAD_LETTERS.c.consumer == bindparam("name"),
        # As the index has it, whatever else is a parameter.
        DEAD_LETTERS.c.state == literal_column("'dead'"),
        DEAD_LETTERS.c.user_id.is_not(None),
        DEAD_LETTERS.c.reconcile_at <= bindparam("now"),
    )
    .order_by(DEAD_LETTERS.c.reconcile_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .subquery("due")
)
_CLAIMED = select(CLAIMS.c.event_id).where(
    CLAIMS.c.consumer == _DUE.c.consumer, CLAIMS.c.event_id == cast(_DUE.c.event_id, Uuid)
)
_OCCURRED = select(EVENTS.c.timestamp).where(
    EVENTS.c.user_id == _DUE.c.user_id, EVENTS.c.seq == _DUE.c.seq
)
_TO_RECONCILE = select(
    *(
        _DUE.c[name]
        for name in (
            *("id", "user_id", "seq", "error_code", "state"),
            *("received_at", "reconcile_at", "resends"),
        )
    ),
    # Each looked up by itself, which LIMIT forces, whatever PostgreSQL thinks of their number.
    _OCCURRED.limit(1).scalar_subquery().label("occurred_at"),
    _CLAIMED.limit(1).scalar_subquery().is_not(None).label("is_claimed"),
)


def add(tx: Transaction, letter: DeadLetter) -> None:
    """Store a dead letter; one of the same event and consumer takes its place, and counts on.

    What was discarded stays so: the letter may have come twice.
    """
    # To be looked at as soon as may be: its event may have been claimed already.
    values = {**asdict(letter), "reconcile_at": letter.received_at}
    again = {name: value for name, value in values.items() if name not in {"id", "deaths"}}
    is_discarded = DEAD_LETTERS.c.state == "discarded"
    again["state"] = case((is_discarded, DEAD_LETTERS.c.state), else_=letter.state)
    tx.connection.execute(
        insert(DEAD_LETTERS)
        .values({**values, "resends": 0})
        .on_conflict_do_update(
            index_elements=[DEAD_LETTERS.c.consumer, DEAD_LETTERS.c.event_id],
            set_={**again, "deaths": DEAD_LETTERS.c.deaths + 1},
        )
    )
    if letter.user_id is None:
        bulk.delete_batch(tx, DEAD_LETTERS, DEAD_LETTERS.c.id.in_(_surplus()))


def _surplus() -> Select[UUID]:
    """Return a query for the oldest letters of no event of ours, beyond what is kept of them."""
    newest_first = (DEAD_LETTERS.c.received_at.desc(), DEAD_LETTERS.c.id.desc())
    size = func.octet_length(DEAD_LETTERS.c.body) + func.octet_length(
        cast(DEAD_LETTERS.c.attributes, Text)
    )
    number = func.row_number().over(order_by=newest_first)
    through = func.sum(size).over(order_by=newest_first, rows=(None, 0))
    counted = (
        select(DEAD_LETTERS.c.id, number.label("number"), through.label("through"))
        .where(DEAD_LETTERS.c.user_id.is_(None))
        .subquery()
    )
    too_large = and_(counted.c.number > 1, counted.c.through > UNCHECKED_MAX_BYTES)
    return select(counted.c.id).where(or_(counted.c.number > UNCHECKED_MAX, too_large))


def get(tx: Transaction, letter_id: UUID) -> DeadLetter:
    """Return a dead letter. Raises DeadLetterNotFound."""
    return _one(tx, letter_id, lock=False)


def lock(tx: Transaction, letter_id: UUID) -> DeadLetter:
    """Return a dead letter, locked until the transaction ends. Raises DeadLetterNotFound."""
    return _one(tx, letter_id, lock=True)


def set_state(tx: Transaction, letter_id: UUID, state: str) -> None:
    """Record that an administrator has `resent` or `discarded` a dead letter."""
    tx.connection.execute(
        DEAD_LETTERS.update().where(DEAD_LETTERS.c.id == letter_id).values(state=state, resends=0)
    )


def to_reconcile(
    tx: Transaction, consumer: str, *, now: datetime, limit: int
) -> list[ReconciledLetter]:
    """Return at most `limit` dead letters of a consumer that are to be looked at by now.

    They are locked until the transaction ends; those that another has locked are left out.
    """
    values = {"name": consumer, "now": now, "most": limit}
    rows = tx.connection.execute(_TO_RECONCILE, values).mappings()
    return [ReconciledLetter(**row) for row in rows]


def save_reconciled(tx: Transaction, letters: Sequence[ReconciledLetter]) -> None:
    """Record each one's `state`, `resends` and `reconcile_at`."""
    rows = [
        {
            "id": letter.id,
            "state": letter.state,
            "resends": letter.resends,
            "reconcile_at": letter.reconcile_at,
        }
        for letter in letters
    ]
    bulk.update(tx, DEAD_LETTERS, rows)


def list_of(
    tx: Transaction,
    *,
    state: str | None,
    consumer: str | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[DeadLetter]:
    """Return dead letters, newest first, after the one of this time and id."""
    query = select(*_FIELDS)
    if state is not None:
        query = query.where(DEAD_LETTERS.c.state == state)
    if consumer is not None:
        query = query.where(DEAD_LETTERS.c.consumer == consumer)
    if after is not None:
        here = tuple_(DEAD_LETTERS.c.received_at, DEAD_LETTERS.c.id)
        query = query.where(here < tuple_(*after))
    query = query.order_by(DEAD_LETTERS.c.received_at.desc(), DEAD_LETTERS.c.id.desc())
    return [_letter(row) for row in tx.connection.execute(query.limit(limit)).mappings()]


def forget_old(tx: Transaction, *, now: datetime) -> int:
    """Delete a batch of dead letters that are kept as long as promised; return how many."""
    return bulk.delete_batch(
        tx, DEAD_LETTERS, DEAD_LETTERS.c.received_at <= now - KEPT, by=DEAD_LETTERS.c.received_at
    )


def _one(tx: Transaction, letter_id: UUID, *, lock: bool) -> DeadLetter:
    query = select(*_FIELDS).where(DEAD_LETTERS.c.id == letter_id)
    if lock:
        query = query.with_for_update()
    row = tx.connection.execute(query).mappings().one_or_none()
    if row is None:
        raise DeadLetterNotFound
    return _letter(row)


def _letter(row: RowMapping) -> DeadLetter:
    return DeadLetter(**row)
