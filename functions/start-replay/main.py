"""POST /api/admin/replay: replay events, to compare what they give or to publish them."""

from taskflow import clock
from taskflow.domain.errors import (
    AccountNotFound,
    FieldError,
    InvalidContent,
    NoKafka,
    TooManyReplays,
)
from taskflow.domain.replay import ReplayRequest
from taskflow.kafka import client
from taskflow.serving import http_function
from taskflow.serving.replays import ReplayAccepted
from taskflow.storage import Transaction, replay_store


@http_function(
    "POST /api/admin/replay",
    permission="events:replay",
    raises=[NoKafka, TooManyReplays],
    scale="seldom",
)
def start_replay(wanted: ReplayRequest, tx: Transaction) -> ReplayAccepted:
    if wanted.to == "topic" and not client.is_configured():
        raise NoKafka
    now = clock.now()
    try:
        replay = replay_store.add(tx, wanted, requested_by=tx.cause.actor, now=now)
    except AccountNotFound:
        raise InvalidContent(FieldError("/user_id", "is no user's id")) from None
    return ReplayAccepted(replay, now=now)
