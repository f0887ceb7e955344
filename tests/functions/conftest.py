"""Fixtures of the tests that go through the functions: a client of a user, and a clock to set."""

from collections.abc import Callable
from datetime import datetime

import pytest

from tests.support.data.accounts import SignedIn
from tests.support.functions.client import Api
from tests.support.functions.tokens import signed_in_at

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
