"""POST /api/{user_id}/calendar-feed: give one's calendar feed a new address; the old one ends."""

from typing import Annotated

from flask import Request
from pydantic import Field
from typing_extensions import TypedDict

from taskflow import clock
from taskflow.domain.errors import AccountNotFound
from taskflow.serving import Caller, Issued, http_function, tokens
from taskflow.storage import Transaction, account_store, feed_store


class FeedAddress(TypedDict):
    """Where a calendar finds the tasks; who knows it can read them, without a token."""

    url: Annotated[
        str, Field(description="The address, as the request was sent; it is told this once.")
    ]
    path: Annotated[str, Field(description="Its path, where another host is in front.")]


@http_function(
    "POST /api/{user_id}/calendar-feed",
    permission="tasks:write",
    raises=[AccountNotFound],
    scale="seldom",
)
def open_calendar_feed(request: Request, caller: Caller, tx: Transaction) -> Issued[FeedAddress]:
    account_store.hold(tx, caller.user_id)
    token = tokens.new_secret()
    feed_store.open_feed(tx, caller.user_id, token, now=clock.now())
    path = f"/calendars/{token}"
    return Issued({"url": request.host_url.rstrip("/") + path, "path": path})
