"""DELETE /api/{user_id}/sessions: sign all of one's devices out, but the one that asks."""

from taskflow import clock
from taskflow.serving import Caller, NoContent, http_function
from taskflow.storage import Transaction, session_store


@http_function("DELETE /api/{user_id}/sessions", permission="tasks:write", scale="seldom")
def end_other_sessions(caller: Caller, tx: Transaction) -> NoContent:
    session_store.end_all(tx, caller.user_id, but=caller.session_id, now=clock.now())
    return NoContent()
