"""A database for the tests of one module, in which nobody but they has anything sent."""

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import text

from taskflow import clock
from taskflow.eventing import Consumer
from taskflow.eventing.lanes import pauses
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import consumer_store, transaction
from tests.support.data.accounts import A_CAUSE
from tests.support.database.temporary import a_database
from tests.support.delivery.subscribers import SUBSCRIBERS

CONSUMER = "send-notification"


@contextmanager
def a_database_of_messages(postgres: EmbeddedPostgres) -> Generator[str]:
    """Use a database in which the consumer that has users told has begun."""
    with a_database(postgres) as url, having_users_told():
        yield url


@contextmanager
def having_users_told() -> Generator[None]:
    """Begin, in the database of this process, to have users told of what happens."""
    with transaction(A_CAUSE) as tx:
        consumer_store.start(tx, CONSUMER, "now", now=clock.now())
    _forget_start()
    try:
        yield
    finally:
        _forget_start()


def _forget_start() -> None:
    """Have the consumer of this process read where it begins, which differs between databases."""
    consumer = SUBSCRIBERS[CONSUMER]
    assert isinstance(consumer, Consumer)
    # A process has one database, but for tests.
    consumer._start = None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def forget_destinations() -> None:
    """Delete all destinations, and their messages with them; all providers do well again."""
    pauses.close()
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("DELETE FROM destinations"))
