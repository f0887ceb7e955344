"""Notifications in PostgreSQL: the inbox."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, select, tuple_

from taskflow.domain.errors import NotificationNotFound
from taskflow.domain.notifications import Notification
from taskflow.storage import bulk
from taskflow.storage.tables import NOTIFICATIONS
from taskflow.storage.transactions import Transaction

_COLUMNS = [column.name for column in fields(Notification)]


def add_all(tx: Transaction, added: Sequence[Notification]) -> None:
    """Store new notifications."""
    bulk.insert(tx, NOTIFICATIONS, [_row_of(notification) for notification in added])


def save(tx: Transaction, notification: Notification) -> None:
    """Store a notification over the one that this transaction locked."""
    bulk.update(tx, NOTIFICATIONS, [_row_of(notification)])


def lock(tx: Transaction, user_id: str, notification_id: UUID) -> Notification:
    """Return a user's notification, locked. Raises NotificationNotFound."""
    query = select(NOTIFICATIONS).where(
        NOTIFICATIONS.c.id == notification_id, NOTIFICATIONS.c.user_id == user_id
    )
    row = tx.connection.execute(query.with_for_update()).mappings().one_or_none()
    if row is None:
        raise NotificationNotFound
    return _notification(row)


def list_of(
    tx: Transaction,
    user_id: str,
    *,
    unread: bool,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Notification]:
    """Return a user's notifications, newest first, from a position on."""
    query = select(NOTIFICATIONS).where(NOTIFICATIONS.c.user_id == user_id)
    if unread:
        query = query.where(NOTIFICATIONS.c.read_at.is_(None))
    place = tuple_(NOTIFICATIONS.c.created_at, NOTIFICATIONS.c.id)
    if after is not None:
        query = query.where(place < tuple_(*after))
    query = query.order_by(NOTIFICATIONS.c.created_at.desc(), NOTIFICATIONS.c.id.desc())
    return [_notification(row) for row in tx.connection.execute(query.limit(limit)).mappings()]


def _row_of(notification: Notification) -> dict[str, object]:
    # `asdict` copies every value, which takes longer than all else that is done here.
    return {name: getattr(notification, name) for name in _COLUMNS}


def _notification(row: RowMapping) -> Notification:
    return Notification(**row)
