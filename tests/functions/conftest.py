"""Fixtures of the tests that go through the functions: a client of a user, and a clock to set."""

from collections.abc import Callable, Generator
from datetime import datetime

import pytest

from taskflow.standalone.postgres import EmbeddedPostgres
from tests.support.data.accounts import SignedIn
from tests.support.functions.client import Api
from tests.support.functions.tokens import signed_in_at
from tests.support.outbound.own_database import a_database_of_messages, forget_destinations
from tests.support.settings import changed_settings

VAPID_KEY = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
"""The example of RFC 8291, appendix A."""

Travel = Callable[[SignedIn, datetime], Api]
"""Sets the time, and returns a user's client whose token holds then."""


@pytest.fixture(autouse=True)
def _short_runs(short_runs: None) -> None:
    """Have each run of a cron function end at once."""


@pytest.fixture
def api(user: SignedIn) -> Api:
    """Sign in."""
    return Api(user)


@pytest.fixture
def travel(set_clock: Callable[[datetime], None]) -> Travel:
    """Return a function that sets the time and signs a user in."""

    def to(user: SignedIn, at: datetime) -> Api:
        set_clock(at)
        return Api(signed_in_at(user, at))

    return to


@pytest.fixture(scope="module")
def database_of_messages(database: EmbeddedPostgres) -> Generator[str]:
    """Use a database in which only the tests of this module have anything sent outside."""
    with a_database_of_messages(database) as url:
        yield url


@pytest.fixture
def own_messages(database_of_messages: str) -> Generator[None]:
    """Have all destinations deleted at the end, with their messages."""
    del database_of_messages
    yield
    forget_destinations()


@pytest.fixture
def all_channels(database: object) -> Generator[None]:
    """Have mail and pushes to browsers set up, without sending any."""
    del database
    with changed_settings(
        ses_from="TaskFlow <tasks@app.example>",
        public_url="https://app.example",
        link_secret="a secret for the links in the mails of tests",
        vapid_private_key=VAPID_KEY,
        vapid_subject="mailto:ops@app.example",
    ):
        yield
