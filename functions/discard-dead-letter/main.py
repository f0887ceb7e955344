"""DELETE /api/admin/dead-letters/{letter_id}: give a dead letter up; it stays to be looked at."""

from uuid import UUID

from taskflow.domain.errors import DeadLetterIsSettled, DeadLetterNotFound
from taskflow.serving import NoContent, http_function
from taskflow.storage import Transaction, dead_letter_store


@http_function(
    "DELETE /api/admin/dead-letters/{letter_id}",
    permission="events:replay",
    raises=[DeadLetterNotFound, DeadLetterIsSettled],
    scale="seldom",
)
def discard_dead_letter(letter_id: UUID, tx: Transaction) -> NoContent:
    letter = dead_letter_store.lock(tx, letter_id)
    if letter.state != "dead":
        raise DeadLetterIsSettled
    dead_letter_store.set_state(tx, letter_id, "discarded")
    return NoContent()
