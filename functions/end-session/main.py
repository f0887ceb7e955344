"""DELETE /api/{user_id}/sessions/{session_id}: sign one of one's devices out."""

from uuid import UUID

from taskflow import clock
from taskflow.domain.errors import SessionNotFound
from taskflow.serving import Caller, NoContent, http_function
from taskflow.storage import Transaction, session_store


@http_function(
    "DELETE /api/{user_id}/sessions/{session_id}",
    permission="tasks:write",
    raises=[SessionNotFound],
    scale="seldom",
)
def end_session(caller: Caller, session_id: UUID, tx: Transaction) -> NoContent:
    session_store.end(tx, caller.user_id, session_id, now=clock.now())
    return NoContent()
