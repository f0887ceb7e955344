"""A reminder of which its user is not told outside, for the provider rejects it."""

from taskflow import clock
from taskflow.domain.destinations import TELLS, Channel
from taskflow.domain.events import Event
from taskflow.eventing import CronRun
from taskflow.eventing.outbound import Delivery
from taskflow.outbound.outcomes import Rejected
from taskflow.storage import outbound_store, transaction
from tests.support.data.accounts import A_CAUSE
from tests.support.data.destinations import a_destination
from tests.support.outbound.scripted_provider import ScriptedProvider


def rejected_outside(triggered: Event) -> None:
    """Have an event told of by email, which its user wants, and be rejected."""
    provider = ScriptedProvider(Channel.EMAIL)
    destination = a_destination(triggered.user_id)
    provider.acts[destination.address] = lambda: Rejected("No such mailbox.")
    with transaction(A_CAUSE) as tx:
        outbound_store.enqueue(
            tx,
            triggered.user_id,
            TELLS,
            seq=triggered.seq,
            event_id=triggered.event_id,
            now=clock.now(),
        )
    Delivery(CronRun(0), A_CAUSE, [provider.lane()]).send_all()
