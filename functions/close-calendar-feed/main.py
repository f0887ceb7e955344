"""DELETE /api/{user_id}/calendar-feed: revoke the address of one's calendar feed."""

from taskflow.domain.errors import AccountNotFound
from taskflow.serving import Caller, NoContent, http_function
from taskflow.storage import Transaction, account_store, feed_store


@http_function(
    "DELETE /api/{user_id}/calendar-feed",
    permission="tasks:write",
    raises=[AccountNotFound],
    scale="seldom",
)
def close_calendar_feed(caller: Caller, tx: Transaction) -> NoContent:
    account_store.hold(tx, caller.user_id)
    feed_store.close_feed(tx, caller.user_id)
    return NoContent()
