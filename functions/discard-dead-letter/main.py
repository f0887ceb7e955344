"""DELETE /api/admin/dead-letters/{letter_id}: give a dead letter up; it stays to be looked at."""

from uuid import UUID

from flask import Response

from taskflow.domain.errors import DeadLetterIsSettled
from taskflow.serving import http_function, no_content
from taskflow.storage import Transaction, dead_letter_store


@http_function("DELETE /api/admin/dead-letters/{letter_id}", permission="events:replay")
def discard_dead_letter(letter_id: UUID, tx: Transaction) -> Response:
    letter = dead_letter_store.lock(tx, letter_id)
    if letter.state != "dead":
        raise DeadLetterIsSettled
    dead_letter_store.set_state(tx, letter_id, "discarded")
    return no_content()
