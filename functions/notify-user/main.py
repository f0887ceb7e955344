"""POST /api/admin/notifications: send a user a message, as a service or an operator."""

from taskflow import clock
from taskflow.domain import notifications
from taskflow.domain.errors import AccountNotFound, FieldError, InvalidContent
from taskflow.domain.notifications import NotificationDraft
from taskflow.domain.representations import NotificationRepresentation
from taskflow.serving import Accepted, http_function
from taskflow.storage import Transaction, account_store, events, notification_store


@http_function(
    "POST /api/admin/notifications",
    permission="notifications:send",
    scale="seldom",
)
def notify_user(draft: NotificationDraft, tx: Transaction) -> Accepted[NotificationRepresentation]:
    try:
        # It stays until the notification is stored.
        account_store.zone_of(tx, draft.user_id)
    except AccountNotFound:
        raise InvalidContent(FieldError("/user_id", "is no user's id")) from None
    notification, happened = notifications.send(draft, now=clock.now())
    notification_store.add_all(tx, [notification])
    events.append(tx, [happened])
    return Accepted(notifications.represent(notification))
