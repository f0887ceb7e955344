"""Every minute, and beyond: send what is due by email, push and webhooks."""

from taskflow.domain.events import Cause
from taskflow.eventing import CronRun, cron_function
from taskflow.eventing.lanes import lanes
from taskflow.eventing.outbound import Delivery

LASTS_S = 75
"""Longer than its minute: runs overlap, and a lost tick leaves no gap."""


@cron_function(every_min=1, sends=True)
def deliver_notifications(cause: Cause) -> None:
    Delivery(CronRun(LASTS_S), cause, lanes()).send_all()
