"""Every hour: forget what has been kept as long as promised, and finish erasures, bit by bit."""

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.eventing import CronRun, cron_function
from taskflow.storage import (
    attempt_store,
    claims,
    dead_letter_store,
    erasure_store,
    idempotency_store,
    outbound_store,
    quota_store,
    replay_store,
    run,
    session_store,
)

LASTS_S = 60
"""What is left then is for the next hour."""

EXPIRED = (
    erasure_store.erase_some,
    dead_letter_store.forget_old,
    claims.forget_old,
    idempotency_store.forget_old,
    session_store.forget_tokens,
    session_store.forget_tickets,
    attempt_store.forget_attempts,
    attempt_store.forget_places,
    replay_store.forget_old,
    outbound_store.forget_old,
    quota_store.forget_over,
)


@cron_function(every_min=60)
def purge_expired(cause: Cause) -> None:
    cron_run = CronRun(LASTS_S)
    behind, failures = list(EXPIRED), list[Exception]()
    while behind:
        # In turns, so that a kind with much to forget does not take the others' time.
        for forget_some in tuple(behind):
            try:
                forgotten = run(lambda tx, forget=forget_some: forget(tx, now=clock.now()), cause)
            except Exception as error:  # noqa: BLE001 - raised after the others' turns
                failures.append(error)
                forgotten = 0
            if not forgotten:
                behind.remove(forget_some)
        if cron_run.is_over():
            break
    if failures:
        message = "some of what has expired could not be forgotten"
        raise ExceptionGroup(message, failures)
