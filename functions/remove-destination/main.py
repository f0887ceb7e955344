"""DELETE /api/{user_id}/destinations/{destination_id}: be told there no more."""

from uuid import UUID

from taskflow.domain.destinations import TELLS
from taskflow.domain.errors import DestinationNotFound
from taskflow.serving import Caller, NoContent, http_function
from taskflow.storage import Transaction, destination_store


@http_function(
    "DELETE /api/{user_id}/destinations/{destination_id}",
    permission="tasks:write",
    raises=[DestinationNotFound],
    scale="seldom",
)
def remove_destination(caller: Caller, destination_id: UUID, tx: Transaction) -> NoContent:
    destination = destination_store.lock(tx, destination_id, user_id=caller.user_id, channels=TELLS)
    destination_store.remove(tx, destination)
    return NoContent()
