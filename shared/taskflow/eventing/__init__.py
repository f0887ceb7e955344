"""What a consumer and a cron function need: their frames, and the CloudEvents envelope."""

from taskflow.eventing.consumer import event_function
from taskflow.eventing.cron import Shift, cron_function
from taskflow.eventing.dead_letter import dead_letter_function
from taskflow.eventing.due import Due

__all__ = ["Due", "Shift", "cron_function", "dead_letter_function", "event_function"]
