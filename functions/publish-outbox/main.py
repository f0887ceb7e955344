"""Every minute: publish committed events that nobody publishes, and redeliveries once more."""

from taskflow.domain.events import Cause
from taskflow.eventing import CronRun, cron_function, subscriptions
from taskflow.kafka import client
from taskflow.kafka.publisher import publisher, publishes_after_commit
from taskflow.kafka.redelivery import publish_redeliveries

LASTS_S = 75
"""Longer than its minute, so that a lost tick leaves no gap."""

OUTBOX_FIRST_S = 50
"""So long what is unpublished comes first, however much it is; its publisher goes on after that."""


@cron_function(every_min=1)
def publish_outbox(cause: Cause) -> None:
    del cause
    cron_run, outbox_run = CronRun(LASTS_S), CronRun(OUTBOX_FIRST_S)
    if client.is_configured():
        publisher().sweep(outbox_run.is_over)
    if publishes_after_commit():
        taken = {name: one.types for name, one in subscriptions.declared().items()}
        publish_redeliveries(taken, cron_run.is_over)
