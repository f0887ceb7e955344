"""GET /api/admin/replay/{replay_id}: how far a replay has come, and what differs."""

from uuid import UUID

from taskflow import clock
from taskflow.domain.errors import ReplayNotFound
from taskflow.serving import Ok, http_function
from taskflow.serving.replays import ReplayRepresentation, represent
from taskflow.storage import Transaction, replay_store


@http_function(
    "GET /api/admin/replay/{replay_id}",
    permission="events:replay",
    raises=[ReplayNotFound],
    scale="seldom",
)
def get_replay(replay_id: UUID, tx: Transaction) -> Ok[ReplayRepresentation]:
    replay = replay_store.get(tx, replay_id)
    differences = replay_store.differences_of(tx, replay_id)
    return Ok(represent(replay, differences, now=clock.now()))
