"""Devices that write at once: what each has by resuming, the tables and the log agree (E7, L3)."""

from taskflow.standalone.postgres import EmbeddedPostgres
from tests.support.database.temporary import a_database
from tests.support.load.devices import assert_devices_tables_and_log_agree

SEQUENCES = 50


def test_what_devices_have_by_resuming_is_what_the_tables_hold_and_the_log_gives(
    database: EmbeddedPostgres,
) -> None:
    with a_database(database):
        assert_devices_tables_and_log_agree(SEQUENCES)
