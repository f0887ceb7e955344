"""This process's feed, and its sources: the process's own commits, and Kafka where there is one."""

from taskflow import config
from taskflow.kafka import client
from taskflow.process import resource
from taskflow.push.feed import Feed
from taskflow.push.kafka_reader import start_reading
from taskflow.storage import on_commit
from taskflow.storage.transactions import commit_listeners


def _close(feed: Feed) -> None:
    if feed.notify in commit_listeners():
        commit_listeners().remove(feed.notify)
    feed.close()


@resource(drain=Feed.drain, close=_close)
def feed() -> Feed:
    """Return this process's feed."""
    made = Feed(poll_s=config.settings().feed_poll_ms / 1000)
    if client.is_configured():
        start_reading(made)
    on_commit(made.notify)
    return made
