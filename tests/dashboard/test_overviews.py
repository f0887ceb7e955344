"""Statistics in the dashboard, and the page of administrators (T9, E5, A2)."""

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import requests
from playwright.sync_api import expect

from taskflow import clock
from taskflow.domain.accounts import Role
from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.identifiers import new_id
from taskflow.domain.times import rfc3339
from taskflow.storage import account_store, dead_letter_store, transaction
from taskflow.storage.dead_letter_store import DeadLetter
from tests.support.browser.judging import unreadable
from tests.support.dashboard.visitor import Visitor
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import log_of
from tests.support.database.connection import database_of
from tests.support.database.tampering import tamper
from tests.support.network.remote_api import ANSWERED_WITHIN_S, RemoteApi, a_new_user, signed_in
from tests.support.network.remote_audit import RemoteAudit
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


def test_who_is_no_administrator_finds_nothing_at_their_page(visitor: Visitor) -> None:
    tab = visitor.registered("/administration")

    expect(tab.page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    expect(tab.page.get_by_role("link", name="Administration")).to_have_count(0)
    assert unreadable(tab.page) == []


def _an_administrator(system: System, visitor: Visitor) -> SignedIn:
    """Open an account that is an administrator's, for a visitor to log in to."""
    user = signed_in(system, "register", visitor.email)
    with database_of(system), transaction(A_CAUSE) as tx:
        account_store.grant(tx, visitor.email, (Role.USER, Role.ADMIN))
    return user


def _a_dead_letter(system: System, administrator: SignedIn) -> None:
    """Have an account's first event given up for a consumer, and its effect lost."""
    user, audit = a_new_user(system), RemoteAudit(system, administrator)
    audit.wait_until_complete(user, 1)
    with database_of(system):
        [event] = log_of(user.user_id)
        # Or it would soon be taken for delivered.
        event_id = {"event_id": event.event_id}
        tamper("DELETE FROM claims WHERE event_id = CAST(:event_id AS uuid)", **event_id)
        with transaction(A_CAUSE) as tx:
            dead_letter_store.add(
                tx,
                DeadLetter(
                    id=new_id(clock.now()),
                    consumer="record-audit-entry",
                    event_id=str(event.event_id),
                    event_type=event.event_type,
                    user_id=event.user_id,
                    seq=event.seq,
                    attributes=dict(attributes_of(event)),
                    body=event.record_json().encode(),
                    error_code=400,
                    error_text="<b>not</b> understood",
                    state="dead",
                    received_at=clock.now(),
                    deaths=1,
                ),
            )


def test_an_administrator_sees_dead_letters_as_they_come_and_sends_or_discards_them(
    visitor: Visitor, system: System
) -> None:
    _an_administrator(system, visitor)
    administrator = signed_in(system, "login", visitor.email)
    tab = visitor.logged_in("/administration")
    figures, letters = tab.page.locator(".figures"), tab.page.locator(".entry")
    expect(tab.page.get_by_text("Everything was delivered.")).to_be_visible()

    for _ in range(2):
        _a_dead_letter(system, administrator)

    expect(figures).to_contain_text(re.compile("Dead letters\\s*2"))
    expect(tab.page.get_by_role("row", name="record-audit-entry")).to_contain_text("2")
    expect(letters).to_have_count(2)
    assert unreadable(tab.page) == []
    letters.first.get_by_role("button", name="Send again").click()
    expect(letters).to_have_count(1)
    letters.first.get_by_role("button", name="user.registered").click()
    dialog = tab.page.get_by_role("dialog", name="Dead letter")
    expect(dialog).to_contain_text("<b>not</b> understood")
    expect(dialog.get_by_role("region", name="What was sent")).to_contain_text('"seq": 1')
    dialog.get_by_role("button", name="Discard…").click()
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    tab.page.keyboard.press("Shift+Tab")
    tab.page.keyboard.press("Enter")

    expect(dialog).to_have_count(0)
    expect(tab.page.get_by_text("Everything was delivered.")).to_be_visible()
    tab.page.get_by_label("State").select_option("Discarded")
    expect(letters).to_have_count(1)
    expect(figures).to_contain_text(re.compile("Dead letters\\s*0"))


def test_an_administrator_verifies_the_audit_and_replays_the_log_and_notifies_a_user(
    visitor: Visitor, system: System
) -> None:
    user = _an_administrator(system, visitor)
    tab = visitor.logged_in("/administration?part=audit")
    tab.page.get_by_label("User id").fill(user.user_id)
    tab.page.get_by_role("button", name="Find").click()

    expect(tab.page.locator(".entry")).to_have_text([re.compile("user.registered")])
    tab.page.get_by_role("button", name="Verify").click()
    expect(tab.page.locator(".verdict")).to_contain_text("All is as it was written")
    tab.page.get_by_role("button", name="Replays").click()
    tab.page.get_by_label("User id").fill(user.user_id)
    tab.page.get_by_role("button", name="Start").click()
    expect(tab.page.locator(".entry")).to_have_count(1)
    tab.page.get_by_role("button", name="Notify").click()
    tab.page.get_by_label("User id").fill("nobody")
    tab.page.get_by_label("Message").fill("There is maintenance tonight.")
    tab.page.get_by_role("button", name="Send").click()
    expect(tab.page.get_by_text("There is no user with this id.")).to_be_visible()
    tab.page.get_by_label("User id").fill(user.user_id)
    tab.page.get_by_role("button", name="Send").click()

    expect(tab.page.get_by_text("They are notified.")).to_be_visible()
    with RemoteApi(system, user) as api:
        [notification] = api.request("GET", "notifications").json()["items"]
    assert notification["message"] == "There is maintenance tonight."
