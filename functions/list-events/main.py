"""GET /api/{user_id}/events: the messages after `since`, as the socket sends them."""

from typing import Annotated

from flask import Response
from pydantic import Field

from taskflow.domain.resume import resume
from taskflow.serving import Caller, Query, http_function
from taskflow.storage import Transaction, events

LIMIT_MAX = 200


class EventQuery(Query):
    """Where to go on from; without `since`, from now."""

    since: Annotated[int, Field(ge=0)] | None = None
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = LIMIT_MAX


@http_function("GET /api/{user_id}/events", permission="tasks:read")
def list_events(caller: Caller, query: EventQuery, tx: Transaction) -> Response:
    newest = events.newest_seq(tx, caller.user_id)
    start = resume(query.since, newest=newest)
    found = events.after(tx, caller.user_id, start.seq, limit=query.limit)
    # More may have been committed since the newest was looked up.
    newest = max(newest, found[-1].seq) if found else newest
    items = ",".join(event.message_json() for event in found)
    resync = "true" if start.resync else "false"
    return Response(
        f'{{"items":[{items}],"seq":{newest},"resync":{resync}}}',
        content_type="application/json",
    )
