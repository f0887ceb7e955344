"""A newer version of the dashboard, while pages of the one before are open."""

import re

import requests
from playwright.sync_api import Page, expect

from tests.support.dashboard.visitor import Visitor
from tests.support.network.proxy import Proxy
from tests.support.processes.system import System

ANSWERED_WITHIN_S = 20
OFFERED = "There is a new version of TaskFlow."
KEPT = ("Content-Type", "Content-Security-Policy", "Cache-Control")

_VERSIONS = """[...new Set(performance.getEntriesByType("resource")
    .flatMap(({ name }) => name.match(/(?<=\\/assets\\/)[^/]+/) ?? []))]"""


class Newer:
    """Answers for the dashboard's files, as a server of a newer version does."""

    def __init__(self, url: str, before: str) -> None:
        self.version = before[::-1]
        self._before = before
        self._url = url

    def __call__(self, head: bytes) -> bytes | None:
        """Let requests to the API through."""
        asked = re.match(rb"GET (/(?!api/|ws\b)\S*) ", head)
        if asked is None:
            return None
        path = asked[1].decode()
        if self._before in path:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        there = f"{self._url}{path.replace(self.version, self._before)}"
        found = requests.get(there, timeout=ANSWERED_WITHIN_S)
        body = found.content.replace(self._before.encode(), self.version.encode())
        lines = [f"{name}: {found.headers[name]}" for name in KEPT if name in found.headers]
        lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        return "\r\n".join(["HTTP/1.1 200 OK", *lines]).encode() + body


def _versions(page: Page) -> list[str]:
    """Return of which versions a page has loaded something."""
    return page.evaluate(_VERSIONS)


def test_a_newer_version_is_offered_and_taken_by_all_tabs_without_loss(
    behind: Visitor, proxy: Proxy, system: System
) -> None:
    one = behind.registered("/all")
    one.wait_until_kept()
    typing, idle = behind.tab("/all"), behind.tab("/upcoming")
    typing.wait_until_live()
    [before] = _versions(one.page)
    behind.context.route("**/api/tasks/quick", lambda route: route.abort())
    one.add("Still to be sent")
    typing.page.keyboard.press("q")
    typing.page.get_by_label("What is to be done").fill("Half a thought")

    proxy.intercept = newer = Newer(system.url, before)
    proxy.cut()

    expect(one.page.get_by_text(OFFERED)).to_be_visible()
    assert _versions(one.page) == [before]
    with one.page.expect_navigation(), idle.page.expect_navigation():
        one.page.get_by_role("button", name="Reload").click()
    behind.context.unroute("**/api/tasks/quick")
    for tab in (one, idle):
        tab.wait_until_live()
        assert _versions(tab.page) == [newer.version]
    expect(idle.page.get_by_role("heading", name="Upcoming")).to_be_visible()
    expect(one.row("Still to be sent")).to_be_visible()
    expect(one.page.locator(".is-draft")).to_have_count(0)

    box = typing.page.get_by_label("What is to be done")
    expect(box).to_have_value("Half a thought")
    assert _versions(typing.page) == [before]
    typing.page.keyboard.press("Escape")
    with typing.page.expect_navigation():
        typing.page.get_by_role("button", name="Reload").click()
    typing.wait_until_live()
    typing.page.keyboard.press("q")
    expect(box).to_have_value("Half a thought")
    assert _versions(typing.page) == [newer.version]
