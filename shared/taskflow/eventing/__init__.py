"""What a consumer and a cron function need: their frames, and the CloudEvents envelope."""

from taskflow.eventing.consumer import event_function
from taskflow.eventing.cron import Shift, cron_function
from taskflow.eventing.dead_letter import dead_letter_function

__all__ = ["Shift", "cron_function", "dead_letter_function", "event_function"]
