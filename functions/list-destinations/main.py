"""GET /api/{user_id}/destinations: list where one is told of reminders, beside the inbox."""

from taskflow.domain import destinations
from taskflow.domain.destinations import TELLS, DestinationRepresentation
from taskflow.serving import Caller, ItemList, Ok, http_function
from taskflow.storage import Transaction, destination_store


@http_function("GET /api/{user_id}/destinations", permission="tasks:read", scale="seldom")
def list_destinations(caller: Caller, tx: Transaction) -> Ok[ItemList[DestinationRepresentation]]:
    found = destination_store.list_of(tx, caller.user_id, TELLS)
    return Ok({"items": [destinations.represent(each) for each in found], "next_cursor": None})
