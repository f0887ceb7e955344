"""The supervisor: what it counts before it starts a process."""

import pytest

from taskflow.config import Settings
from taskflow.standalone.supervisor import PROCESSES_MAX, connections_of

STOCK_POSTGRESQL = 100 - 3
"""PostgreSQL's default `max_connections`, less `superuser_reserved_connections`."""


@pytest.mark.parametrize("workers", range(1, PROCESSES_MAX + 1))
def test_the_default_settings_fit_a_postgresql_as_it_is_installed(workers: int) -> None:
    settings = Settings(environment="test", web_concurrency=workers)

    assert connections_of(settings) <= STOCK_POSTGRESQL


def test_a_small_pool_is_that_of_every_process() -> None:
    settings = Settings(environment="test", web_concurrency=2, database_pool_size=1)

    assert connections_of(settings) == 2 + 2 + 1 + 1 + 1
