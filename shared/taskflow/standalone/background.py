"""The process that delivers: deliverers for each consumer, the timer, and the publisher."""

import signal

from taskflow.standalone.processes import end_with_parent

if __name__ == "__main__":
    # The other imports take seconds on a busy machine, and the parent may end meanwhile.
    end_with_parent(signal.SIGTERM)

import logging
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from taskflow import config, logs, process
from taskflow.domain.events import Cause
from taskflow.eventing import subscriptions
from taskflow.eventing.bindings.knative import TICK_TIMEOUT
from taskflow.eventing.consumer import Consumer
from taskflow.eventing.cron import CronFunction
from taskflow.eventing.dead_letter import DeadLetterSink
from taskflow.kafka import client
from taskflow.kafka.publisher import Publisher
from taskflow.server.loading import discover
from taskflow.standalone.commit_broadcast import CommitBroadcast
from taskflow.standalone.database_queue import DatabaseQueue, Redeliveries
from taskflow.standalone.deliverer import OUTAGE_PAUSE_S, Deliverer, Source
from taskflow.standalone.kafka_source import KafkaSource
from taskflow.standalone.processes import (
    COMMITS_FOLDER,
    CONSUMERS_SOCKET,
    CRONS_SOCKET,
    give_way,
    wait_for_go,
)
from taskflow.standalone.sender import Sender
from taskflow.standalone.timer import Timer
from taskflow.storage import DatabaseUnavailable, LockTimeout
from taskflow.storage.consumer_store import Start

SWEEP_S = 2.0
"""How often the publisher looks for users of whose commit it was not notified."""

_CAUSE = Cause(correlation_id="delivery", traceparent="", actor="", origin="")

_log = logging.getLogger(__name__)


def main() -> None:
    """Deliver until SIGTERM."""
    give_way()
    logs.configure(config.settings().log_level)
    folder = Path(sys.argv[1])
    endpoints = [function.endpoint for function in discover(config.settings().functions_dir)]
    consumers = [endpoint for endpoint in endpoints if isinstance(endpoint, Consumer)]
    [sink] = [endpoint for endpoint in endpoints if isinstance(endpoint, DeadLetterSink)]
    crons = [endpoint for endpoint in endpoints if isinstance(endpoint, CronFunction)]
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopping.set())
    wait_for_go()
    starts = _start(stopping)
    send = Sender(folder / CONSUMERS_SOCKET)
    tick = Sender(folder / CRONS_SOCKET, TICK_TIMEOUT)
    sources: list[tuple[Consumer, Source]] = [
        (consumer, Redeliveries(consumer.name)) for consumer in consumers
    ]
    publishers: list[Publisher] = []
    if client.is_configured():
        # The same after a restart, and of this system alone.
        member = f"{socket.gethostname()}-{folder.name}"
        sources += [
            (consumer, KafkaSource(consumer, member, starts[consumer.name]))
            for consumer in consumers
        ]
        publisher = Publisher(sweep_every_s=SWEEP_S)
        publishers.append(publisher)
        notify = publisher.notify
    else:
        queues = {consumer: DatabaseQueue(consumer.name, consumer.types) for consumer in consumers}
        sources += queues.items()

        def notify(newest: Mapping[str, int]) -> None:
            for queue in queues.values():
                queue.notify(newest)

    # They are stopped in this order, and only to stop a publisher takes time.
    work: list[Deliverer | Timer | Publisher] = [
        Timer(crons, tick),
        *(Deliverer(consumer.name, sink.name, source, send) for consumer, source in sources),
        *publishers,
    ]
    CommitBroadcast(folder / COMMITS_FOLDER, notify)
    threads = [threading.Thread(target=each.run) for each in work]
    for thread in threads:
        thread.start()
    while not stopping.wait(timeout=1):
        pass
    for each in work:
        each.stop()
    for thread in threads:
        thread.join()
    process.end()


def _start(stopping: threading.Event) -> Mapping[str, Start]:
    """Have the consumers begin, before anything is brought to them."""
    while True:
        try:
            return subscriptions.start_all(_CAUSE)
        except (DatabaseUnavailable, LockTimeout):
            _log.warning("The consumers can't begin; trying again")
            if stopping.wait(OUTAGE_PAUSE_S):
                sys.exit()


if __name__ == "__main__":
    main()
