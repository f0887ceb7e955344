"""POST /api/{user_id}/ws-ticket: a ticket that opens one socket without a header."""

from flask import Response

from taskflow import clock
from taskflow.domain.accounts import TICKET_LIFETIME
from taskflow.serving import Caller, as_json, http_function, tokens
from taskflow.storage import Transaction, session_store
from taskflow.storage.session_store import Ticket


@http_function("POST /api/{user_id}/ws-ticket", permission="tasks:read", answers_token=True)
def issue_socket_ticket(caller: Caller, tx: Transaction) -> Response:
    now = clock.now()
    ticket = tokens.new_secret()
    session_store.add_ticket(
        tx,
        ticket,
        Ticket(caller.user_id, caller.expires_at, caller.session_id),
        expires_at=now + TICKET_LIFETIME,
        now=now,
    )
    response = as_json({"ticket": ticket, "expires_in": TICKET_LIFETIME.seconds}, 201)
    response.headers["Cache-Control"] = "no-store"
    return response
