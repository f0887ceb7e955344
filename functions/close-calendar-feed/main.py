"""DELETE /api/{user_id}/calendar-feed: revoke the address of one's calendar feed."""

from taskflow.serving import Caller, NoContent, http_function
from taskflow.storage import Transaction, feed_store


@http_function("DELETE /api/{user_id}/calendar-feed", permission="tasks:write", scale="seldom")
def close_calendar_feed(caller: Caller, tx: Transaction) -> NoContent:
    feed_store.close_feed(tx, caller.user_id)
    return NoContent()
