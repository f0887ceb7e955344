"""Messages to the outside: no more of them is read than is shown."""

from collections.abc import Generator

import pytest
from sqlalchemy import text

from taskflow.domain.destinations import Channel, Destination
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import outbound_store, transaction
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE
from tests.support.data.destinations import a_destination
from tests.support.database.plans import counted_reads
from tests.support.database.temporary import a_database

MANY = 20_000
LIMIT = 51
FILL = """
INSERT INTO outbound_messages (
    id, destination_id, user_id, seq, event_id, state, created_at, due_at, failures, settled_at
) SELECT
    gen_random_uuid(), :id, 'somebody', n, gen_random_uuid(),
    CASE WHEN n <= 20 THEN 'failed' WHEN n <= 40 THEN 'sent' WHEN mod(n, 500) = 0 THEN 'pending'
        ELSE 'cancelled' END,
    now(), now(), 0, now()
FROM generate_series(1, CAST(:many AS int)) AS n
"""


@pytest.fixture(scope="module")
def webhook(database: EmbeddedPostgres) -> Generator[Destination]:
    """Have a webhook that was dead for long: what it took, and refused, was at the beginning."""
    with a_database(database):
        webhook = a_destination("somebody", Channel.WEBHOOK, "https://hook.example/", seq=0)
        with transaction(A_CAUSE) as tx:
            tx.connection.execute(text(FILL), {"id": webhook.id, "many": MANY})
            tx.connection.execute(text("ANALYZE outbound_messages"))
        yield webhook


@pytest.mark.parametrize("before", [None, MANY // 2, 0])
@pytest.mark.parametrize("state", [None, "sent", "failed", "cancelled", "pending"])
def test_a_list_of_messages_reads_no_more_than_it_shows(
    webhook: Destination, state: str | None, before: int | None
) -> None:
    with counted_reads(engine()) as reads, transaction(A_CAUSE) as tx:
        found = outbound_store.list_of(tx, webhook.id, state=state, before=before, limit=LIMIT)

    assert "Seq Scan of outbound_messages" not in reads.scans
    # One more is at hand to be merged with its event.
    assert reads.rows <= len(found) + 1
