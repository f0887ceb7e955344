"""Every 5 minutes: have events that a consumer never claimed brought to it again."""

from collections.abc import Callable
from datetime import datetime, timedelta

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.eventing import Consumer, CronRun, cron_function, subscriptions
from taskflow.eventing.bindings.selection import binding
from taskflow.storage import (
    Transaction,
    claims,
    consumer_store,
    dead_letter_store,
    delivery_store,
    events,
    log_marks,
    run,
)
from taskflow.storage.dead_letter_store import ReconciledLetter

OVERDUE_AFTER = timedelta(minutes=4, seconds=50)
"""Longer than a delivery takes whose consumer and sink hang at every try, less than from one run to
the next, so that each looks at the log up to its end at the run before."""

LASTS_S = 60
"""What is left then is for the next run."""

LOOKED_AT_MAX = 5_000
"""Events in one transaction; some 50 ms."""

LETTERS_MAX = 1_000
"""Dead letters in one transaction."""

ASKED_MAX = 10_000
"""While so many wait to be brought to a consumer again, no more are looked for."""

RESENT_AFTER = (
    timedelta(0),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)
"""How long after each of its deaths an event is sent again whose failure may pass: the first time
at the next run, for what failed is back as a rule, or this could not run either. What a consumer
can't manage in 31 hours is left to a person."""

LOOK_AGAIN_AFTER = timedelta(minutes=5)
"""How long after its death a letter is looked at once more, whose event may be claimed meanwhile;
then after twice as long, and so on: some fifteen times until it is forgotten."""


@cron_function(every_min=5)
def reconcile_consumers(cause: Cause) -> None:
    cron_run = CronRun(LASTS_S)
    consumers = subscriptions.declared()
    run(lambda tx: log_marks.mark(tx, now=clock.now()), cause)
    run(lambda tx: consumer_store.note_absent(tx, consumers, now=clock.now()), cause)
    subscriptions.start_all(cause)
    end = run(_overdue_position, cause)
    behind: list[Callable[[Transaction], bool]] = [
        *(lambda tx, one=one: _reconcile_letters(tx, one.name) for one in consumers.values()),
        *(lambda tx, one=one: _reconcile_log(tx, one, end) for one in consumers.values()),
    ]
    while behind:
        # In turns, so that one with much to look at does not take the others' time.
        behind = [go_on for go_on in behind if run(go_on, cause)]
        if cron_run.is_over():
            return


def _overdue_position(tx: Transaction) -> int:
    now = clock.now()
    return log_marks.settled_position(tx, before=now - OVERDUE_AFTER, now=now)


def _reconcile_log(tx: Transaction, consumer: Consumer, end: int) -> bool:
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


def _reconcile_letters(tx: Transaction, consumer: str) -> bool:
    """Reconcile some of a consumer's dead letters with its claims; say whether there may be more.

    What was claimed was delivered; of the rest, what may go well now is sent again.
    """
    now = clock.now()
    if delivery_store.has_many_redeliveries(tx, consumer, most=ASKED_MAX):
        return False
    due = dead_letter_store.to_reconcile(tx, consumer, now=now, limit=LETTERS_MAX)
    reconciled = [_reconciled(letter, now) for letter in due]
    resent = [(one.user_id, one.seq) for one in reconciled if one.state == "resent"]
    delivery_store.request_redeliveries(tx, consumer, resent, now=now)
    dead_letter_store.save_reconciled(tx, reconciled)
    return len(due) == LETTERS_MAX


def _reconciled(letter: ReconciledLetter, now: datetime) -> ReconciledLetter:
    if letter.is_claimed:
        return letter.delivered()
    look_again_at = now + max(LOOK_AGAIN_AFTER, now - letter.received_at)
    # The claim of an older event may have been forgotten, and it would have its effect twice.
    is_claim_kept = letter.occurred_at >= now - claims.KEPT
    is_resent = letter.resends < len(RESENT_AFTER) and is_claim_kept
    if not (is_resent and binding().is_passing(letter.error_code)):
        return letter.still_dead(look_again_at)
    resend_at = letter.received_at + RESENT_AFTER[letter.resends]
    if now < resend_at:
        return letter.still_dead(min(look_again_at, resend_at))
    return letter.resent()
