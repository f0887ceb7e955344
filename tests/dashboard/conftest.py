"""A browser for the tests of a module, and those who use it."""

from collections.abc import Callable, Generator

import pytest
from playwright.sync_api import Browser

from tests.support.browser.chromium import a_chromium
from tests.support.dashboard.visitor import Visitor
from tests.support.processes.system import System


# Not for the run: its event loop would be in the way of other tests.
@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with a_chromium() as started:
        yield started


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[System]:
    """Run one system for all of them: each visitor has an account of their own."""
    running = System(tmp_path_factory.mktemp("system") / "data")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def a_visitor(browser: Browser, system: System) -> Generator[Callable[..., Visitor]]:
    """Return what brings somebody new; in the end nothing may have been wrong in their tabs."""
    visitors: list[Visitor] = []

    def come(**options: object) -> Visitor:
        visitors.append(Visitor(browser, system.url, **options))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.close()
        assert visitor.wrong == []


@pytest.fixture
def visitor(a_visitor: Callable[..., Visitor]) -> Visitor:
    return a_visitor()
