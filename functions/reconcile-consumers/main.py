"""Every 5 minutes: have events that a consumer never claimed brought to it again."""

from datetime import timedelta

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.eventing import Consumer, CronRun, cron_function, subscriptions
from taskflow.storage import (
    Transaction,
    claims,
    consumer_store,
    delivery_store,
    events,
    log_marks,
    run,
)

OVERDUE_AFTER = timedelta(minutes=4, seconds=50)
"""Longer than a delivery takes whose consumer and sink hang at every try, less than from one run to
the next, so that each looks at the log up to its end at the run before."""

LASTS_S = 60
"""What is left then is for the next run."""

LOOKED_AT_MAX = 5_000
"""Events in one transaction; some 50 ms."""

ASKED_MAX = 10_000
"""While so many wait to be brought to a consumer again, no more are looked for."""


@cron_function(every_min=5)
def reconcile_consumers(cause: Cause) -> None:
    cron_run = CronRun(LASTS_S)
    consumers = subscriptions.declared()
    run(lambda tx: log_marks.mark(tx, now=clock.now()), cause)
    run(lambda tx: consumer_store.note_absent(tx, consumers, now=clock.now()), cause)
    subscriptions.start_all(cause)
    end = run(_overdue_position, cause)
    behind = list(consumers.values())
    while behind:
        # In turns, so that one with much to look at does not take the others' time.
        behind = [one for one in behind if run(lambda tx, one=one: _go_on(tx, one, end), cause)]
        if cron_run.is_over():
            return


def _overdue_position(tx: Transaction) -> int:
    now = clock.now()
    return log_marks.settled_position(tx, before=now - OVERDUE_AFTER, now=now)


def _go_on(tx: Transaction, consumer: Consumer, end: int) -> bool:
    """Reconcile some more of the log with a consumer's claims; say whether that is not the end."""
    now = clock.now()
    begin = consumer_store.lock_reconciled_position(tx, consumer.name)
    if begin >= end or delivery_store.has_many_redeliveries(tx, consumer.name, most=ASKED_MAX):
        return False
    reached = events.position_behind(tx, begin, to=end, limit=LOOKED_AT_MAX)
    overdue = claims.unclaimed(tx, consumer.name, consumer.types, after=begin, to=reached, now=now)
    delivery_store.request_redeliveries(tx, consumer.name, overdue, now=now)
    consumer_store.set_reconciled_position(tx, consumer.name, reached)
    return reached < end
