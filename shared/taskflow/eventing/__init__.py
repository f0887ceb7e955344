"""What a consumer and a cron function need: their frames, and the CloudEvents envelope."""

from taskflow.eventing import subscriptions
from taskflow.eventing.consumer import Consumer, event_function
from taskflow.eventing.cron import CronRun, cron_function
from taskflow.eventing.dead_letter import dead_letter_function
from taskflow.eventing.due_queue import DueQueue

__all__ = [
    "Consumer",
    "CronRun",
    "DueQueue",
    "cron_function",
    "dead_letter_function",
    "event_function",
    "subscriptions",
]
