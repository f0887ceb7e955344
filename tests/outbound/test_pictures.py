"""Mails as a browser shows them: they fit, can be read in both schemes, and ask nobody (N6)."""

from collections.abc import Generator

import pytest
from playwright.sync_api import Browser

from tests.support.browser.chromium import a_chromium
from tests.support.browser.judging import unreadable, wider_than_the_window
from tests.support.outbound.pictures import HEIGHT, SCHEMES, WIDTHS, html_of, mails, sending_mail

with sending_mail():
    MAILS = mails()


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Run a browser for all mails."""
    with a_chromium() as running:
        yield running


@pytest.mark.parametrize("name", MAILS)
def test_a_mail_fits_can_be_read_in_both_schemes_and_asks_nobody(
    browser: Browser, name: str
) -> None:
    asked: list[str] = []
    with browser.new_page() as page:
        page.on("request", lambda request: asked.append(request.url))
        page.set_content(html_of(MAILS[name]))

        for width in WIDTHS.values():
            page.set_viewport_size({"width": width, "height": HEIGHT})
            assert wider_than_the_window(page) == []
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert unreadable(page) == []

    assert asked == []


def test_the_judges_see_what_is_wrong(browser: Browser) -> None:
    with browser.new_page(viewport={"width": 320, "height": HEIGHT}) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.set_content(
            '<p style="color: #999; background: #fff; white-space: nowrap">'
            f'{"wide " * 40}<img src="http://elsewhere.example/" alt="">'
        )

        assert any(found.startswith("color-contrast") for found in unreadable(page))
        assert wider_than_the_window(page)
        assert asked == ["http://elsewhere.example/"]
