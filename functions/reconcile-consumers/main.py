"""Every 5 minutes: have events that a consumer never claimed brought to it again."""

from datetime import timedelta

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.eventing import cron_function
from taskflow.eventing.subscriptions import SUBSCRIPTIONS
from taskflow.storage import claims, delivery_store, transaction

OVERDUE_AFTER = timedelta(minutes=5)
"""Longer than a delivery with all its retries takes."""

BATCH = 1000


@cron_function(every_min=5)
def reconcile_consumers(cause: Cause) -> None:
    now = clock.now()
    for consumer, types in SUBSCRIPTIONS.items():
        found = BATCH
        while found == BATCH:
            with transaction(cause) as tx:
                overdue = claims.unclaimed(
                    tx,
                    consumer,
                    sorted(types),
                    since=now - claims.KEPT,
                    before=now - OVERDUE_AFTER,
                    limit=BATCH,
                )
                wanted = [(event.user_id, event.seq) for event in overdue]
                delivery_store.ask_again(tx, consumer, wanted, now=now)
            found = len(overdue)
