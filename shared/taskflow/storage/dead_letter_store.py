"""Dead letters in PostgreSQL: events that a consumer refused or never managed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, Text, and_, cast, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from taskflow.domain.errors import DeadLetterNotFound
from taskflow.domain.text import JsonObject
from taskflow.storage import bulk
from taskflow.storage.tables import DEAD_LETTERS
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
    named, and the others are None. `state` is `dead`, `resent` or `discarded`.
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


def add(tx: Transaction, letter: DeadLetter) -> None:
    """Store a dead letter; one of the same event and consumer takes its place, and counts on."""
    values = _row(letter)
    again = {name: value for name, value in values.items() if name not in {"id", "deaths"}}
    tx.connection.execute(
        insert(DEAD_LETTERS)
        .values(values)
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
    """Record that a dead letter was `resent` or `discarded`."""
    tx.connection.execute(
        DEAD_LETTERS.update().where(DEAD_LETTERS.c.id == letter_id).values(state=state)
    )


def list_of(
    tx: Transaction,
    *,
    state: str | None,
    consumer: str | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[DeadLetter]:
    """Return dead letters, newest first, after the one of this time and id."""
    query = select(DEAD_LETTERS)
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
    query = select(DEAD_LETTERS).where(DEAD_LETTERS.c.id == letter_id)
    if lock:
        query = query.with_for_update()
    row = tx.connection.execute(query).mappings().one_or_none()
    if row is None:
        raise DeadLetterNotFound
    return _letter(row)


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {column.name: getattr(letter, column.name) for column in DEAD_LETTERS.columns}


def _letter(row: RowMapping) -> DeadLetter:
    return DeadLetter(**row)
