"""Every minute: take the replays that are not done some steps further."""

from taskflow.domain.events import Cause
from taskflow.eventing import CronRun, cron_function
from taskflow.eventing.replaying import Worker
from taskflow.kafka import client
from taskflow.kafka.replayed import replay_producer

LASTS_S = 75
"""Longer than its minute, so that the next run takes on what this one leaves."""


@cron_function(every_min=1)
def advance_replays(cause: Cause) -> None:
    publish = replay_producer().publish if client.is_configured() else None
    Worker(CronRun(LASTS_S), cause, publish).advance_all()
