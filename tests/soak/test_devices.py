"""10,000 sequences of writes by several devices, against the tables and the log (E7, L3)."""

import pytest

from taskflow.standalone.postgres import EmbeddedPostgres
from tests.support.database.temporary import a_database
from tests.support.load.devices import assert_devices_tables_and_log_agree

pytestmark = pytest.mark.soak

SEQUENCES = 10_000


def test_what_devices_have_by_resuming_is_what_the_tables_hold_and_the_log_gives(
    database: EmbeddedPostgres,
) -> None:
    with a_database(database):
        assert_devices_tables_and_log_agree(SEQUENCES)
