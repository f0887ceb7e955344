"""GET /api/admin/dead-letters/{letter_id}: inspect a dead letter, with all that was sent."""

from uuid import UUID

from flask import Response

from taskflow.serving import as_json, http_function
from taskflow.serving.dead_letters import summary
from taskflow.storage import Transaction, dead_letter_store


@http_function("GET /api/admin/dead-letters/{letter_id}", permission="events:replay")
def get_dead_letter(letter_id: UUID, tx: Transaction) -> Response:
    letter = dead_letter_store.get(tx, letter_id)
    body = letter.body.decode("utf-8", "replace")
    return as_json({**summary(letter), "attributes": letter.attributes, "body": body})
