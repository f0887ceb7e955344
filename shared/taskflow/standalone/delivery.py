"""The process that delivers: a deliverer for each consumer, and the timer."""

import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from taskflow import config, logs
from taskflow.eventing.consumer import Consumer
from taskflow.eventing.cron import CronFunction
from taskflow.eventing.dead_letter import DeadLetterSink
from taskflow.standalone.database_queue import DatabaseQueue
from taskflow.standalone.deliverer import Deliverer
from taskflow.standalone.discovery import discover
from taskflow.standalone.post import Poster
from taskflow.standalone.processes import (
    CONSUMERS_SOCKET,
    SIGNALS_FOLDER,
    end_with_parent,
    wait_for_go,
)
from taskflow.standalone.signals import Signals
from taskflow.standalone.timer import Timer


def main() -> None:
    """Deliver until SIGTERM."""
    end_with_parent(signal.SIGTERM)
    logs.configure(config.settings().log_level)
    folder = Path(sys.argv[1])
    endpoints = [function.endpoint for function in discover(config.settings().functions_dir)]
    consumers = [endpoint for endpoint in endpoints if isinstance(endpoint, Consumer)]
    [sink] = [endpoint for endpoint in endpoints if isinstance(endpoint, DeadLetterSink)]
    crons = [endpoint for endpoint in endpoints if isinstance(endpoint, CronFunction)]
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopping.set())
    wait_for_go()
    post = Poster(folder / CONSUMERS_SOCKET)
    queues = {consumer.name: DatabaseQueue(consumer.name, consumer.types) for consumer in consumers}
    deliverers = [Deliverer(name, sink.name, queue, post) for name, queue in queues.items()]
    timer = Timer(crons, post)

    def heard(newest: Mapping[str, int]) -> None:
        for queue in queues.values():
            queue.hint(newest)

    Signals(folder / SIGNALS_FOLDER, heard)
    threads = [threading.Thread(target=work.run) for work in (*deliverers, timer)]
    for thread in threads:
        thread.start()
    while not stopping.wait(timeout=1):
        pass
    for work in (*deliverers, timer):
        work.stop()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
