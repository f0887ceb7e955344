"""Destinations as their users have them, and messages as they stand."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from taskflow import clock
from taskflow.domain import webhooks
from taskflow.domain.destinations import Channel, Destination, State
from taskflow.domain.identifiers import new_id
from taskflow.domain.text import JsonObject
from taskflow.outbound.webhooks import new_secret
from taskflow.storage import destination_store, events, outbound_store, transaction
from taskflow.storage.outbound_store import OutboundMessage
from tests.support.data.accounts import A_CAUSE

A_SUBSCRIPTION: JsonObject = {
    "endpoint": "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZ"
        "GH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}
"""Of a browser, with the keys of RFC 8291, appendix A."""


def a_destination(
    user_id: str,
    channel: Channel = Channel.EMAIL,
    address: str = "me@example.com",
    *,
    state: State = State.ACTIVE,
    seq: int | None = None,
    **details: Any,  # noqa: ANN401 - what JSON may hold
) -> Destination:
    """Give a user a destination."""
    now = clock.now()
    destination = Destination(
        id=new_id(now),
        user_id=user_id,
        channel=channel,
        address=address,
        details=details,
        state=state,
        created_at=now,
    )
    with transaction(A_CAUSE) as tx:
        assert destination_store.add(tx, destination, seq=seq)
    return destination


def a_webhook(user_id: str, url: str = "https://example.com/hook") -> Destination:
    """Give a user a webhook that is sent what happens from now on."""
    webhook = webhooks.new(
        user_id, url, secret=new_secret(), event_types=None, description=None, now=clock.now()
    )
    with transaction(A_CAUSE) as tx:
        assert destination_store.add(tx, webhook, seq=events.newest_seq(tx, user_id))
    return webhook


def a_message(destination: Destination, *, state: str = "sent") -> UUID:
    """Have told a destination of its user's first event; return the message's id."""
    now = clock.now()
    with transaction(A_CAUSE) as tx:
        [event, *_] = events.after(tx, destination.user_id, 0, limit=1)
        message_id = new_id(now)
        values = {
            "id": message_id,
            "destination": destination.id,
            "user": destination.user_id,
            "seq": event.seq,
            "event": event.event_id,
            "state": state,
            "now": now,
        }
        tx.connection.execute(
            text(
                "INSERT INTO outbound_messages (id, destination_id, user_id, seq, event_id, state,"
                " created_at, due_at, failures, settled_at)"
                " VALUES (:id, :destination, :user, :seq, :event, :state, :now, :now, 0, :now)"
            ),
            values,
        )
    return message_id


def destination_now(destination: Destination) -> Destination:
    """Return a destination as it is now."""
    with transaction(A_CAUSE) as tx:
        return destination_store.lock(tx, destination.id)


def messages_to(destination: Destination) -> list[OutboundMessage]:
    """Return the messages to a destination, oldest first."""
    with transaction(A_CAUSE) as tx:
        found = outbound_store.list_of(tx, destination.id, state=None, before=None, limit=10_000)
    return found[::-1]


def states_of(destination: Destination) -> list[str]:
    """Return the state of each message to a destination, oldest first."""
    return [message.state for message in messages_to(destination)]


def due_at(destination: Destination) -> datetime | None:
    """Return when a destination is due."""
    with transaction(A_CAUSE) as tx:
        query = text("SELECT due_at FROM destinations WHERE id = :id")
        return tx.connection.execute(query, {"id": destination.id}).scalar_one()


def let_holds_end(*destination_ids: UUID) -> None:
    """Have the time be over for which somebody who ended without a word holds destinations."""
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(
            text("UPDATE destinations SET held_until = now() WHERE id = ANY(:ids)"),
            {"ids": list(destination_ids)},
        )
