"""POST /email/unsubscribe/{link_token}: have nothing more sent to an address (RFC 8058)."""

from uuid import UUID

from taskflow import clock
from taskflow.domain.destinations import UNSUBSCRIBED
from taskflow.domain.errors import DestinationNotFound, LinkIsInvalid
from taskflow.domain.events import Cause
from taskflow.serving import Form, Network, PageShown, http_function
from taskflow.serving.email_links import unsubscribed_by
from taskflow.storage import Transaction, destination_store, outbound_store, run


@http_function(
    "POST /email/unsubscribe/{link_token}", public=True, raises=[LinkIsInvalid], scale="seldom"
)
def unsubscribe_email(
    link_token: str,
    form: Form,  # noqa: ARG001 - what it may be, though it says nothing
    network: Network,
    cause: Cause,
) -> PageShown:
    destination_id = unsubscribed_by(link_token, network)
    run(lambda tx: _unsubscribe(tx, destination_id), cause)
    return PageShown("You are unsubscribed", "Nothing more is sent from TaskFlow to your address.")


def _unsubscribe(tx: Transaction, destination_id: UUID) -> None:
    try:
        destination = destination_store.lock(tx, destination_id)
    except DestinationNotFound:
        # Removed meanwhile: nothing is sent there either.
        return
    destination_store.save(tx, destination.disabled(UNSUBSCRIBED))
    outbound_store.cancel_all(tx, destination.id, UNSUBSCRIBED, now=clock.now())
