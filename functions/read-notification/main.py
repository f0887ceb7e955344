"""POST /api/{user_id}/notifications/{notification_id}/read: mark a notification as read."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import notifications
from taskflow.domain.errors import NotificationNotFound
from taskflow.domain.representations import NotificationRepresentation
from taskflow.serving import Caller, Ok, http_function
from taskflow.storage import Transaction, events, notification_store


@http_function(
    "POST /api/{user_id}/notifications/{notification_id}/read",
    permission="tasks:write",
    raises=[NotificationNotFound],
)
def read_notification(
    caller: Caller, notification_id: UUID, tx: Transaction
) -> Ok[NotificationRepresentation]:
    notification = notification_store.lock(tx, caller.user_id, notification_id)
    notification, happened = notifications.read(notification, now=clock.now())
    notification_store.save(tx, notification)
    events.append(tx, happened)
    return Ok(notifications.represent(notification))
