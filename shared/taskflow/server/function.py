"""One function in a pod: `python -m taskflow.server.function`.

FUNCTION_TARGET and FUNCTION_SOURCE name it, and functions-framework loads it; PORT is where it
listens. What serves it is what serves all functions in `make up`: a thousand sockets need no thread
each, and what one client does hurts no other.
"""

# ruff: noqa: E402 - the start comes first, and the patch before what must not miss it

import gc
import os
import signal

# The first process of a container ignores the signals that it has no handler for. Until it serves,
# there is nothing to put in order.
signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))

# What is imported stays; looking through it for garbage is a tenth of the start.
gc.disable()

from taskflow.server.patching import patch_all

patch_all()

from taskflow import config, logs
from taskflow.eventing.frame import Subscriber
from taskflow.server.application import Server, allow_many_sockets, share_by_workers
from taskflow.server.loading import load_target

ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - a pod has its own


def main() -> None:
    """Load the function and serve it until SIGTERM; end with a sentence if a setting is invalid."""
    config.check()
    allow_many_sockets()
    logs.configure(config.settings().log_level)
    function = load_target()
    if not isinstance(function.endpoint, Subscriber):
        share_by_workers()
        if function.endpoint.checks_tokens:
            config.warn_of_what_is_left_open()
    gc.freeze()
    gc.enable()
    Server(function.serve, f"{ALL_ADDRESSES}:{config.settings().port}").run()


if __name__ == "__main__":
    main()
