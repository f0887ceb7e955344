"""POST /email/refuse/{link_token}: have nobody ask to confirm an address again, as who reads it."""

from uuid import UUID

from taskflow import clock
from taskflow.domain.destinations import REFUSED
from taskflow.domain.errors import DestinationNotFound, LinkIsInvalid
from taskflow.domain.events import Cause
from taskflow.serving import Form, Network, PageShown, http_function
from taskflow.serving.email_links import refused_by
from taskflow.storage import Transaction, destination_store, outbound_store, refusal_store, run


@http_function(
    "POST /email/refuse/{link_token}", public=True, raises=[LinkIsInvalid], scale="seldom"
)
def refuse_email(
    link_token: str,
    form: Form,  # noqa: ARG001 - what it may be, though it says nothing
    network: Network,
    cause: Cause,
) -> PageShown:
    destination_id, mailbox_hash = refused_by(link_token, network)
    run(lambda tx: _refuse(tx, destination_id, mailbox_hash), cause)
    return PageShown("You are asked no more", "Nobody can have TaskFlow ask this address again.")


def _refuse(tx: Transaction, destination_id: UUID, mailbox_hash: bytes) -> None:
    now = clock.now()
    refusal_store.add(tx, mailbox_hash, now=now)
    try:
        destination = destination_store.lock(tx, destination_id)
    except DestinationNotFound:
        # Whoever asked has removed it: they can't ask again.
        return
    destination_store.save(tx, destination.disabled(REFUSED))
    outbound_store.cancel_all(tx, destination.id, REFUSED, now=now)
