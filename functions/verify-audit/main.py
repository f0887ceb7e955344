"""GET /api/admin/audit/verify: check the hash chains, and that no event lacks its audit entry."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from taskflow import clock
from taskflow.domain.text import Text
from taskflow.serving import Ok, Query, http_function
from taskflow.storage import Transaction, audit_store, events

ON_ITS_WAY = timedelta(minutes=5)
"""An event younger than this may not have reached the audit yet."""

PROBLEMS_MAX = 1000


class VerifyQuery(Query):
    """Whose log to verify, by default everyone's; and whether to wait for no straggler."""

    user_id: Annotated[Text | None, Field(description="Only this user's log.")] = None
    settled: Annotated[bool, Field(description="Also the events of the last minutes.")] = False


class EventPosition(TypedDict):
    """A place in a user's log."""

    user_id: Annotated[str, Field(description="Whose log.")]
    seq: Annotated[int, Field(description="Which event of it.")]


class Verification(TypedDict):
    """What was compared, and where a chain breaks or an event's entry is not as the event."""

    ok: Annotated[bool, Field(description="Whether all is as it should be.")]
    events: Annotated[int, Field(description="How many events there are.")]
    entries: Annotated[int, Field(description="How many of them have an audit entry.")]
    erased_events: Annotated[
        int,
        Field(description="How many links of the chains are of events that were erased."),
    ]
    erased_users: Annotated[
        int, Field(description="How many users had their accounts deleted, and events erased.")
    ]
    broken_chains: Annotated[
        list[EventPosition], Field(description="Where a chain of hashes breaks.")
    ]
    differing_entries: Annotated[
        list[EventPosition], Field(description="Where an entry is missing, or not as its event.")
    ]


@http_function("GET /api/admin/audit/verify", permission="audit:read", scale="seldom")
def verify_audit(query: VerifyQuery, tx: Transaction) -> Ok[Verification]:
    verified = events.verify(tx, query.user_id)
    before = clock.now() if query.settled else clock.now() - ON_ITS_WAY
    differing = audit_store.differing(tx, user_id=query.user_id, before=before, limit=PROBLEMS_MAX)
    events_checked, entries = audit_store.counts(tx, user_id=query.user_id)
    return Ok(
        {
            "ok": not verified.broken and not differing,
            "events": events_checked,
            "entries": entries,
            "erased_events": verified.erased_events,
            "erased_users": verified.erased_users,
            "broken_chains": [
                {"user_id": user_id, "seq": seq} for user_id, seq in sorted(verified.broken.items())
            ],
            "differing_entries": [{"user_id": user_id, "seq": seq} for user_id, seq in differing],
        }
    )
