"""What is counted, and how it is shown to Prometheus.

With PROMETHEUS_MULTIPROC_DIR set, as `make up` does, each process shows the counts of all.
"""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import (
    MultiProcessCollector,
    mark_process_dead,  # pyright: ignore[reportUnknownVariableType]
)

from taskflow import config

REQUESTS = Counter("taskflow_http_requests", "Requests answered.", ["function", "method", "status"])
REQUEST_SECONDS = Histogram(
    "taskflow_http_request_seconds",
    "Time from the first look at a request to its answer.",
    ["function"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
CONSUMED = Counter(
    "taskflow_consumed_events",
    "Deliveries a consumer answered: done, duplicate, not-taken, refused, later or failed.",
    ["consumer", "outcome"],
)
DELIVERIES = Counter(
    "taskflow_deliveries",
    "Attempts of the deliverer: done, again, never, or dead for what went to the dead letters.",
    ["consumer", "outcome"],
)
PUBLISHED = Counter(
    "taskflow_published_events",
    "Events sent to Kafka: confirmed, failed, repeated or replayed.",
    ["outcome"],
)
SOCKETS = Gauge("taskflow_sockets", "Open sockets.", multiprocess_mode="livesum")
SOCKET_MESSAGES = Counter("taskflow_socket_messages", "Events sent through sockets.")
SOCKET_CLOSES = Counter("taskflow_socket_closes", "Sockets the server closed.", ["code"])
PUSH_SECONDS = Histogram(
    "taskflow_push_seconds",
    "Time from the moment an event bears to its being queued for the sockets here.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
OUTBOUND = Counter(
    "taskflow_outbound_messages",
    "Messages given to a provider outside: accepted, rejected or deferred.",
    ["channel", "outcome"],
)
LATE_SECONDS = Histogram(
    "taskflow_late_seconds",
    "How long after it was due an occurrence was created, a reminder sent, or a message taken"
    " outside.",
    ["kind"],
    buckets=(0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 300),
)
KEY_FETCHES = Counter(
    "taskflow_issuer_key_fetches",
    "Fetches of the keys of an outside issuer: done or failed.",
    ["outcome"],
)
RATE_LIMITED = Counter("taskflow_rate_limited", "Requests refused by a rate limit.", ["limit"])

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition() -> bytes:
    """Return all counts in Prometheus's text format."""
    if not config.shares_metrics():
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)


def forget_process(pid: int) -> None:
    """Take the gauges of a process that has ended out of the sums; its counts stay."""
    if config.shares_metrics():
        mark_process_dead(pid)
