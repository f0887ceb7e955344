"""POST /api/{user_id}/notifications/{notification_id}/read: mark a notification as read."""

from uuid import UUID

from flask import Response

from taskflow import clock
from taskflow.domain import notifications
from taskflow.serving import Caller, as_json, http_function
from taskflow.storage import Transaction, events, notification_store


@http_function("POST /api/{user_id}/notifications/{notification_id}/read", permission="tasks:write")
def read_notification(caller: Caller, notification_id: UUID, tx: Transaction) -> Response:
    notification = notification_store.lock(tx, caller.user_id, notification_id)
    notification, happened = notifications.read(notification, now=clock.now())
    notification_store.save(tx, notification)
    events.append(tx, happened)
    return as_json(notifications.represent(notification))
