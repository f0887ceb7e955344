"""Whether a page can be read by everybody, and fits its window."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""Of WCAG 2.2, levels A and AA: a contrast of 4.5 at least is one of them (1.4.3)."""

_WIDER = """
() => [...document.querySelectorAll("body, body *")]
    .filter((each) => each.scrollWidth > document.documentElement.clientWidth
        || each.getBoundingClientRect().right > document.documentElement.clientWidth
        || each.getBoundingClientRect().left < 0)
    .map((each) => each.outerHTML.slice(0, 200))
"""

_AT_REST = """
() => Promise.allSettled(document.getAnimations()
    .filter((each) => each.effect.getComputedTiming().endTime < Infinity)
    .map((each) => each.finished))
"""
"""Until then a colour is between that of before and its own."""


def unreadable(page: Page) -> list[str]:
    """Return what axe finds wrong, or can't judge: the rule, and the elements."""
    page.evaluate(_AT_REST)
    engine: Any = Axe()
    found = engine.run(page, options={"runOnly": {"type": "tag", "values": RULES}}).response
    return [
        f"{rule['id']}: {node['html']}: {node['failureSummary']}"
        for rule in (*found["violations"], *found["incomplete"])
        for node in rule["nodes"]
    ]


def wider_than_the_window(page: Page) -> list[str]:
    """Return the elements that reach beyond an edge of the window, or scroll there."""
    return page.evaluate(_WIDER)
