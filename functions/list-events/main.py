"""GET /api/{user_id}/events: the messages after `since`; with `wait`, waits for the first."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.errors import AccountNotFound
from taskflow.domain.events import Cause, Event, MessageRepresentation
from taskflow.domain.resume import Start, resume
from taskflow.push import feed
from taskflow.serving import Caller, Ok, Query, http_function, set_aside
from taskflow.storage import Transaction, events, run

LIMIT_MAX = 200
WAIT_MAX_S = 55
"""Less than the minute after which many a proxy gives up on an answer."""


class EventQuery(Query):
    """Where to go on from, by default from now; and how many seconds to wait for the first."""

    since: Annotated[int, Field(ge=0, description="The `seq` to go on after.")] | None = None
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX, description="How many messages at most.")] = (
        LIMIT_MAX
    )
    wait: Annotated[float, Field(ge=0, le=WAIT_MAX_S, description="How many seconds to wait.")] = 0


class MessageList(TypedDict):
    """The messages after `since`, and the `seq` to go on from.

    With `resync`, more was missed than is sent, and the client reads the lists instead.
    """

    items: Annotated[list[MessageRepresentation], Field(description="The messages, in order.")]
    seq: Annotated[int, Field(description="Where to go on: the next `since`.")]
    resync: Annotated[bool, Field(description="Whether to read the lists instead.")]


@http_function(
    "GET /api/{user_id}/events", permission="tasks:read", raises=[AccountNotFound], scale="often"
)
def list_events(caller: Caller, query: EventQuery, cause: Cause) -> Ok[MessageList]:
    start, newest, found = _read(caller.user_id, query.since, query.limit, cause)
    if query.wait and not found and not start.resync:
        # No transaction is open meanwhile.
        with set_aside():
            feed().wait_for_news(caller.user_id, start.seq, query.wait)
        caller.must_be_signed_in_still()
        start, newest, found = _read(caller.user_id, start.seq, query.limit, cause)
    items = ",".join(event.message_json() for event in found)
    resync = "true" if start.resync else "false"
    return Ok.written(f'{{"items":[{items}],"seq":{newest},"resync":{resync}}}')


def _read(
    user_id: str, since: int | None, limit: int, cause: Cause
) -> tuple[Start, int, list[Event]]:
    def read(tx: Transaction) -> tuple[Start, int, list[Event]]:
        newest = events.newest_seq(tx, user_id)
        start = resume(since, newest=newest)
        return start, newest, events.after(tx, user_id, start.seq, limit=limit)

    start, newest, found = run(read, cause)
    if found:
        # Where the client goes on: there may be more, or it was committed after the look-up.
        newest = found[-1].seq
    return start, newest, found
