"""Statistics in the dashboard (T9)."""

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import requests
from playwright.sync_api import expect

from taskflow import clock
from taskflow.domain.times import rfc3339
from tests.support.browser.judging import unreadable
from tests.support.dashboard.visitor import Visitor
from tests.support.network.remote_api import ANSWERED_WITHIN_S, signed_in
from tests.support.processes.system import System

HEADER = {"type": "header", "format": "taskflow-export", "version": 1, "user_id": "a", "seq": 2}
NOTHING = ("description", "due_date", "deleted_at", "recurring_task_id", "occurrence_at", "series")


def _a_completed_task(at: datetime) -> dict[str, Any]:
    """Return the line of an export."""
    nothing: dict[str, Any] = dict.fromkeys(NOTHING)
    return nothing | {
        "type": "task",
        "id": str(uuid4()),
        "title": "Done",
        "status": "completed",
        "priority": "medium",
        "tags": [],
        "metadata": {},
        "reminders": [],
        "created_at": "2020-01-01T00:00:00Z",
        "completed_at": rfc3339(at),
    }


def _imported(system: System, email: str, *, completed_days_ago: Sequence[int]) -> None:
    """Open an account, and import tasks that were completed at noon of these days."""
    user = signed_in(system, "register", email)
    noon = clock.now().replace(hour=12)
    tasks = [_a_completed_task(noon - timedelta(days=days)) for days in completed_days_ago]
    lines = [HEADER, *tasks, {"type": "trailer", "tasks": len(tasks)}]
    answer = requests.post(
        f"{system.url}/api/import",
        data="\n".join(map(json.dumps, lines)),
        headers={**user.headers, "Content-Type": "application/jsonl"},
        timeout=ANSWERED_WITHIN_S,
    )
    assert answer.ok, answer.text


def test_statistics_count_what_was_completed_and_follow_what_is(
    visitor: Visitor, system: System
) -> None:
    _imported(system, visitor.email, completed_days_ago=[1, 2, 2, 3, 40])
    tab = visitor.logged_in("/statistics")
    figures = tab.page.locator(".figures")
    per_day = tab.page.get_by_role("figure").filter(has_text="Completed per day")

    expect(figures).to_contain_text(re.compile("Streak\\s*3 days"))
    expect(per_day).to_contain_text("4 in 30 days")
    tab.add("Water the plants !urgent")
    expect(tab.page.get_by_role("link", name=re.compile("Urgent\\s*1"))).to_be_visible()
    tab.page.keyboard.press("g")
    tab.page.keyboard.press("a")
    tab.complete("Water the plants")
    tab.page.get_by_role("link", name="Statistics").click()

    expect(figures).to_contain_text(re.compile("Completed today\\s*1"))
    expect(figures).to_contain_text(re.compile("Streak\\s*4 days"))
    tab.page.get_by_role("button", name="90 days").click()
    expect(tab.page).to_have_url(f"{visitor.url}/statistics?days=90")
    expect(per_day).to_contain_text("6 in 90 days")
    assert unreadable(tab.page) == []


def test_a_chart_tells_its_values_by_keyboard_by_mouse_and_as_a_table(
    visitor: Visitor, system: System
) -> None:
    _imported(system, visitor.email, completed_days_ago=[1, 1, 1])
    tab = visitor.logged_in("/statistics")
    chart = tab.page.get_by_role("figure").filter(has_text="Completed per day")
    expect(chart).to_contain_text("3 in 30 days")
    slider = chart.get_by_role("slider")
    value = chart.locator(".chart-value")

    slider.focus()
    slider.press("End")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(": 0$"))
    slider.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(": 3$"))
    slider.blur()
    expect(value).to_have_text(re.compile("3 in 30 days"))
    box = slider.locator("svg").bounding_box()
    assert box is not None
    slider.locator("svg").hover(position={"x": box["width"] * 28.5 / 30, "y": 20})

    expect(value).to_have_text(re.compile(": 3$"))
    rows = chart.get_by_role("row")
    expect(rows).to_have_count(31)
    expect(rows.nth(29)).to_contain_text(re.compile("3$"))


def test_nothing_moves_while_statistics_are_loaded(visitor: Visitor) -> None:
    visitor.registered()
    tab = visitor.tab()
    tab.page.add_init_script(
        """
        window.moved = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) window.moved += entry.value;
        }).observe({ type: "layout-shift", buffered: true });
        """
    )
    tab.page.goto("/statistics")

    expect(tab.page.locator("main.statistics:not(.is-unknown)")).to_be_visible()
    assert tab.page.evaluate("window.moved") == 0
    assert unreadable(tab.page) == []
