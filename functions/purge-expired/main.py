"""Every hour: forget claims and dead letters that have been kept as long as promised."""

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.eventing import cron_function
from taskflow.storage import claims, dead_letter_store, transaction


@cron_function(every_min=60)
def purge_expired(cause: Cause) -> None:
    with transaction(cause) as tx:
        dead_letter_store.forget_old(tx, now=clock.now())
        claims.forget_old(tx, now=clock.now())
