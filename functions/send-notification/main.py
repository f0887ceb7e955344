"""On a reminder or a message to a user: have it sent to where they want to be told of it."""

from taskflow import clock
from taskflow.domain.destinations import TELLS
from taskflow.domain.notices import TOLD_OF, is_told_of
from taskflow.eventing import event_function
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.storage import Transaction, outbound_store


# Whether it is sent, and what it says then, is decided when it is sent.
@event_function(*TOLD_OF, starts="now", ordering="unordered")
def send_notification(event: DeliveredEvent, tx: Transaction) -> None:
    if is_told_of(event.event_type, event.data):
        outbound_store.enqueue(
            tx, event.user_id, TELLS, seq=event.seq, event_id=event.event_id, now=clock.now()
        )
