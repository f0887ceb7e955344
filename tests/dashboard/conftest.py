"""A browser for the tests of a module, and those who use it."""

from collections.abc import Callable, Generator

import pytest
from playwright.sync_api import Browser

from tests.support.browser.chromium import a_chromium
from tests.support.dashboard.visitor import AWAY, Visitor
from tests.support.network.proxy import Proxy, a_proxy_to
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


@pytest.fixture
def proxy(system: System) -> Generator[Proxy]:
    """Put a proxy in front of the server."""
    with a_proxy_to(system.port) as opened:
        yield opened


@pytest.fixture
def behind(browser: Browser, proxy: Proxy) -> Generator[Visitor]:
    """Bring somebody who comes by the proxy, which may keep them from the server."""
    visitor = Visitor(browser, proxy.url)
    yield visitor
    visitor.close()
    assert [each for each in visitor.wrong if not AWAY.match(each)] == []
