"""POST /api/{user_id}/ws-ticket: a ticket that opens one socket without a header."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from taskflow import clock
from taskflow.domain.accounts import TICKET_LIFETIME
from taskflow.domain.errors import AccountNotFound
from taskflow.serving import Caller, Issued, http_function, tokens
from taskflow.storage import Transaction, account_store, session_store
from taskflow.storage.session_store import Ticket


class TicketRepresentation(TypedDict):
    """A ticket for one socket, which must be opened within `expires_in` seconds."""

    ticket: Annotated[str, Field(description="Opens one socket, once.")]
    expires_in: Annotated[int, Field(description="Within so many seconds.")]


@http_function("POST /api/{user_id}/ws-ticket", permission="tasks:read", raises=[AccountNotFound])
def issue_socket_ticket(caller: Caller, tx: Transaction) -> Issued[TicketRepresentation]:
    account_store.hold(tx, caller.user_id)
    now = clock.now()
    ticket = tokens.new_secret()
    session_store.add_ticket(
        tx,
        ticket,
        Ticket(caller.user_id, caller.expires_at, caller.session_id),
        expires_at=now + TICKET_LIFETIME,
        now=now,
    )
    return Issued({"ticket": ticket, "expires_in": TICKET_LIFETIME.seconds})
