"""POST /api/admin/dead-letters/{letter_id}/resend: have a dead letter's event delivered again."""

from uuid import UUID

from taskflow import clock
from taskflow.domain.errors import (
    DeadLetterIsSettled,
    DeadLetterNotFound,
    NotAnEventOfOurs,
    OutboundMessageNotFound,
)
from taskflow.serving import Accepted, http_function
from taskflow.serving.dead_letters import DeadLetterSummary, summary
from taskflow.storage import Transaction, dead_letter_store, delivery_store, events, outbound_store


@http_function(
    "POST /api/admin/dead-letters/{letter_id}/resend",
    permission="events:replay",
    raises=[
        DeadLetterNotFound,
        DeadLetterIsSettled,
        NotAnEventOfOurs,
        OutboundMessageNotFound,
    ],
    scale="seldom",
)
def resend_dead_letter(letter_id: UUID, tx: Transaction) -> Accepted[DeadLetterSummary]:
    letter = dead_letter_store.lock(tx, letter_id)
    if letter.state != "dead":
        raise DeadLetterIsSettled
    if letter.user_id is None or letter.seq is None:
        raise NotAnEventOfOurs
    message_id = outbound_store.message_in(letter)
    if message_id is not None:
        outbound_store.retry(tx, message_id, now=clock.now())
    else:
        event = events.get(tx, letter.user_id, letter.seq, event_id=UUID(letter.event_id))
        wanted = [(event.user_id, event.seq)]
        delivery_store.request_redeliveries(tx, letter.consumer, wanted, now=clock.now())
    dead_letter_store.set_state(tx, letter_id, "resent")
    return Accepted(summary(dead_letter_store.get(tx, letter_id)))
