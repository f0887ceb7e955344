"""Somebody who uses the dashboard: a browser of their own, with one tab or several."""

import re
import secrets
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from tests.support.network.remote_api import PASSWORD

WITHIN_MS = 20_000
"""How long something may take to be there, on a machine that others use too."""

expect.set_options(timeout=WITHIN_MS)

REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
"""What a browser says of an answer that a page may well be refused with."""

AWAY = re.compile(
    r"Failed to load resource: (net::|the server responded with a status of 50[234])"
    r"|WebSocket connection to .* failed|An unknown error occurred when fetching the script"
)
"""What a browser says while there is no network, or no server."""

_REMEMBER = "(user) => localStorage.setItem('taskflow.user', JSON.stringify(user))"
"""As the page does itself of who has signed in; the cookie is the browser's."""

_UNTIL_FILES_ARE_KEPT = """() => new Promise((resolve) => {
    const { serviceWorker } = navigator;
    serviceWorker.addEventListener("controllerchange", () => resolve());
    serviceWorker.controller && resolve();
})"""


class Visitor:
    """A browser with cookies and a storage of its own; what is wrong in its tabs is gathered."""

    def __init__(self, browser: Browser, url: str, **options: object) -> None:
        """Come to a server; `options` are those of a context, such as `viewport`."""
        self.url = url
        self._browser = browser
        self._zone = str(options.get("timezone_id", "UTC"))
        self.email = f"{secrets.token_hex(8)}@example.com"
        self.context: BrowserContext = browser.new_context(**{"base_url": url, **options})  # type: ignore[arg-type]
        self.context.set_default_timeout(WITHIN_MS)
        self.wrong: list[str] = []
        self.context.on("console", self._hear)
        self.context.on("weberror", lambda error: self.wrong.append(str(error.error)))
        self.context.on("request", lambda request: self._look_at(request.url))

    def tab(self, path: str = "/") -> "Tab":
        """Open another tab."""
        page = self.context.new_page()
        page.goto(path)
        return Tab(page)

    def registered(self, path: str = "/") -> "Tab":
        """Have an account, signed in to, and wait for what a tab then shows."""
        answer = self.context.request.post(
            "/api/auth/register",
            data={"email": self.email, "password": PASSWORD, "timezone": self._zone},
        )
        assert answer.ok, answer.text()
        page = self.context.new_page()
        # Of the same origin, and nothing but a file.
        page.goto("/manifest.webmanifest")
        page.evaluate(_REMEMBER, answer.json()["user"])
        page.goto(path)
        tab = Tab(page)
        tab.wait_until_live()
        return tab

    def registers(self, path: str = "/") -> "Tab":
        """Open an account by the page, in a new tab, and wait for what it then shows."""
        tab = self.tab(f"/register?next={path}")
        tab.page.get_by_label("Email").fill(self.email)
        tab.page.get_by_label("Password").fill(PASSWORD)
        tab.page.get_by_role("button", name="Create account").click()
        tab.wait_until_live()
        return tab

    def logged_in(self, path: str = "/") -> "Tab":
        """Log in to the account that there is, in a new tab, and wait for what it then shows."""
        tab = self.tab(f"/log-in?next={path}")
        tab.page.get_by_label("Email").fill(self.email)
        tab.page.get_by_label("Password").fill(PASSWORD)
        tab.page.get_by_role("button", name="Log in").click()
        tab.wait_until_live()
        return tab

    def elsewhere(self, **options: object) -> "Visitor":
        """Come with another browser, and sign in there."""
        visitor = Visitor(self._browser, self.url, **options)
        visitor.email = self.email
        visitor.logged_in().page.close()
        return visitor

    def close(self) -> None:
        """Close all tabs."""
        self.context.close()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not REFUSED.match(message.text):
            self.wrong.append(message.text)

    def _look_at(self, url: str) -> None:
        if urlsplit(url).netloc not in {urlsplit(self.url).netloc, ""}:
            self.wrong.append(f"asked another host: {url}")


class Tab:
    """One tab, and what can be done in it."""

    def __init__(self, page: Page) -> None:
        """Sit in front of a page."""
        self.page = page

    def wait_until_live(self) -> None:
        """Wait until changes come at once."""
        expect(self.connection).to_have_attribute("data-state", "live")

    def wait_until_kept(self) -> None:
        """Wait until it would open without a network too."""
        self.page.evaluate(_UNTIL_FILES_ARE_KEPT)

    @property
    def connection(self) -> Locator:
        """What says how the connection is."""
        return self.page.locator(".side .connection")

    def row(self, title: str) -> Locator:
        """Return the row of a task."""
        return self.page.locator("[data-task]", has=self.page.get_by_text(title, exact=True))

    @property
    def titles(self) -> list[str]:
        """The titles that are shown, in their order."""
        return self.page.locator("[data-task] .task-title").all_inner_texts()

    def add(self, line: str) -> None:
        """Add a task, by keyboard."""
        self.page.keyboard.press("q")
        box = self.page.get_by_label("What is to be done")
        expect(box).to_be_focused()
        box.fill(line)
        self.page.keyboard.press("Enter")
        expect(box).to_be_hidden()

    def complete(self, title: str) -> None:
        """Complete a task."""
        self.row(title).get_by_role("checkbox").click()

    def undo(self) -> None:
        """Undo what the last toast says."""
        self.page.get_by_role("button", name="Undo").last.click()
