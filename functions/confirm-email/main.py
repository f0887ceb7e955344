"""POST /email/confirm/{link_token}: confirm an address, as who reads its mail."""

from uuid import UUID

from taskflow.domain.destinations import State
from taskflow.domain.errors import DestinationNotFound, LinkIsInvalid
from taskflow.domain.events import Cause
from taskflow.serving import Form, Network, PageShown, http_function
from taskflow.serving.email_links import confirmed_by
from taskflow.storage import Transaction, destination_store, run


@http_function(
    "POST /email/confirm/{link_token}", public=True, raises=[LinkIsInvalid], scale="seldom"
)
def confirm_email(
    link_token: str,
    form: Form,  # noqa: ARG001 - what it may be, though it says nothing
    network: Network,
    cause: Cause,
) -> PageShown:
    destination_id, generation = confirmed_by(link_token, network)
    run(lambda tx: _confirm(tx, destination_id, generation), cause)
    return PageShown("The address is confirmed", "Reminders from TaskFlow are sent to it now.")


def _confirm(tx: Transaction, destination_id: UUID, generation: int) -> None:
    try:
        destination = destination_store.lock(tx, destination_id)
    except DestinationNotFound:
        raise LinkIsInvalid from None
    # By a link from before nobody is subscribed again, also where the address was added anew.
    if destination.state is State.DISABLED or destination.generation != generation:
        raise LinkIsInvalid
    destination_store.save(tx, destination.confirmed())
