"""DELETE /api/admin/replay/{replay_id}: cancel a replay; it stays to be looked at."""

from uuid import UUID

from taskflow import clock
from taskflow.domain.errors import ReplayIsOver, ReplayNotFound
from taskflow.serving import NoContent, http_function
from taskflow.storage import Transaction, replay_store


@http_function(
    "DELETE /api/admin/replay/{replay_id}",
    permission="events:replay",
    raises=[ReplayNotFound, ReplayIsOver],
    scale="seldom",
)
def cancel_replay(replay_id: UUID, tx: Transaction) -> NoContent:
    replay_store.cancel(tx, replay_id, now=clock.now())
    return NoContent()
