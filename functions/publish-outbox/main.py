"""Every minute: publish what was committed, and is being published by nobody."""

from taskflow.domain.events import Cause
from taskflow.eventing import CronRun, cron_function
from taskflow.kafka import client
from taskflow.kafka.publisher import publisher

LASTS_S = 75
"""Longer than its minute, so that a lost tick leaves no gap."""


@cron_function(every_min=1)
def publish_outbox(cause: Cause) -> None:
    del cause
    if client.is_configured():
        publisher().sweep(CronRun(LASTS_S).is_over)
