"""GET /api/admin/dead-letters/{letter_id}: inspect a dead letter, with all that was sent."""

from uuid import UUID

from taskflow.domain.errors import DeadLetterNotFound
from taskflow.serving import Ok, http_function
from taskflow.serving.dead_letters import DeadLetterRepresentation, represent
from taskflow.storage import Transaction, dead_letter_store


@http_function(
    "GET /api/admin/dead-letters/{letter_id}",
    permission="events:replay",
    raises=[DeadLetterNotFound],
    scale="seldom",
)
def get_dead_letter(letter_id: UUID, tx: Transaction) -> Ok[DeadLetterRepresentation]:
    return Ok(represent(dead_letter_store.get(tx, letter_id)))
