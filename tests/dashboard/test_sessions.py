"""Signing in and out in the dashboard, and sessions that have ended meanwhile (S1)."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.support.browser.judging import unreadable
from tests.support.dashboard.visitor import Visitor
from tests.support.network.remote_api import PASSWORD


def test_who_has_not_signed_in_is_asked_to_and_comes_to_where_they_wanted(
    visitor: Visitor,
) -> None:
    visitor.registered().page.get_by_role("button", name="Log out").click()
    tab = visitor.tab("/all?sort=title")

    expect(tab.page).to_have_title("Log in · TaskFlow")
    tab.page.get_by_label("Email").fill(visitor.email)
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.keyboard.press("Enter")

    expect(tab.page).to_have_url(f"{visitor.url}/all?sort=title")
    expect(tab.page.get_by_role("heading", name="All tasks")).to_be_visible()


def test_a_wrong_password_is_said_and_what_was_typed_stays(visitor: Visitor) -> None:
    tab = visitor.tab("/log-in")
    tab.page.get_by_label("Email").fill(visitor.email)
    tab.page.get_by_label("Password").fill("not the password")

    tab.page.get_by_role("button", name="Log in").click()

    expect(tab.page.get_by_role("alert")).to_be_visible()
    expect(tab.page.get_by_label("Email")).to_have_value(visitor.email)


def test_the_access_token_is_in_no_storage_and_a_reload_gets_another(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    kept = tab.page.evaluate("JSON.stringify({ ...localStorage, ...sessionStorage })")
    tab.page.reload()
    tab.add("After a reload")

    expect(tab.row("After a reload")).to_be_visible()
    assert "eyJ" not in kept
    assert "token" not in kept.lower()
    assert tab.page.evaluate("document.cookie") == ""


def test_signing_out_signs_out_every_tab_and_leaves_nothing(visitor: Visitor) -> None:
    one = visitor.registered("/all")
    one.add("A secret")
    other = visitor.tab("/all")
    expect(other.row("A secret")).to_be_visible()

    one.page.get_by_role("button", name="Log out").click()

    for tab in (one, other):
        expect(tab.page).to_have_title("Log in · TaskFlow")
        expect(tab.page.get_by_text("A secret")).to_have_count(0)
    assert one.page.evaluate("localStorage.length") == 0
    assert one.page.evaluate("indexedDB.databases().then((found) => found.length)") == 0


def test_a_session_that_ended_overnight_is_taken_up_again_without_loss(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    tab.add("From yesterday")
    expect(tab.page.locator(".is-draft")).to_have_count(0)
    visitor.context.clear_cookies()
    tab.page.reload()

    expect(tab.page.get_by_text("Your session has ended")).to_be_visible()
    expect(tab.page.get_by_label("Email")).to_have_value(visitor.email)
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_role("button", name="Log in").click()

    expect(tab.row("From yesterday")).to_be_visible()
    tab.wait_until_live()


@pytest.mark.parametrize("next_path", ["https://example.com/", "//example.com/", "javascript:1"])
def test_signing_in_leads_to_no_other_site(visitor: Visitor, next_path: str) -> None:
    tab = visitor.registers(next_path)

    assert tab.page.url.startswith(f"{visitor.url}/")
    expect(tab.page).to_have_title("Today · TaskFlow")


def test_devices_are_listed_and_logged_out_and_their_tabs_say_so(visitor: Visitor) -> None:
    tab = visitor.registered("/settings#sessions")
    first, second = (visitor.elsewhere() for _ in range(2))
    lost, other = first.tab("/all"), second.tab("/all")
    lost.wait_until_live()
    other.wait_until_live()
    tab.page.reload()
    sessions = tab.page.locator("#sessions li")
    expect(sessions).to_have_count(3)
    expect(sessions.filter(has_text="This browser")).to_have_count(1)
    expect(sessions.first).to_contain_text("Chrome on Linux This browser")

    # The one that was used last.
    sessions.nth(1).get_by_role("button", name="Log out Chrome on Linux, used just now").focus()
    tab.page.keyboard.press("Enter")

    expect(sessions).to_have_count(2)
    expect(tab.page.get_by_role("heading", name="Sessions")).to_be_focused()
    assert unreadable(tab.page) == []
    expect(other.page.get_by_text("Your session has ended")).to_be_visible()
    lost.wait_until_live()
    tab.page.get_by_role("button", name="Log out everywhere else").click()
    expect(sessions).to_have_count(1)
    expect(lost.page.get_by_text("Your session has ended")).to_be_visible()
    expect(tab.page.get_by_role("button", name="Log out everywhere else")).to_have_count(0)
    first.close()
    second.close()


def test_a_password_is_changed_and_what_is_wrong_is_said_at_its_field(visitor: Visitor) -> None:
    tab = visitor.registered("/settings#account")
    tab.page.get_by_role("button", name="Change…").click()
    old = tab.page.get_by_label("The password until now")
    new = tab.page.get_by_label("The new one")
    old.fill("not the password")
    new.fill("a password of mine")
    tab.page.keyboard.press("Enter")
    expect(old).to_have_attribute("aria-invalid", "true")
    old.fill(PASSWORD)
    new.fill("short")
    tab.page.keyboard.press("Enter")
    expect(new).to_have_attribute("aria-invalid", "true")
    assert unreadable(tab.page) == []

    new.fill("a password of mine")
    tab.page.keyboard.press("Enter")

    expect(tab.page.get_by_role("status").last).to_contain_text("The password is changed")
    tab.page.get_by_role("button", name="Log out", exact=True).last.click()
    expect(tab.page).to_have_title("Log in · TaskFlow")
    tab.page.get_by_label("Email").fill(visitor.email)
    tab.page.get_by_label("Password").fill("a password of mine")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("heading", name="Settings")).to_be_visible()


def test_who_logs_in_where_anothers_session_has_ended_sees_nothing_of_theirs(
    a_visitor: Callable[..., Visitor],
) -> None:
    visitor, other = a_visitor(), a_visitor()
    other.registered("/all").add("Of the second")
    tab = visitor.registered("/all")
    tab.add("Of the first")
    expect(tab.page.locator(".is-draft")).to_have_count(0)
    tab.page.keyboard.press("q")
    tab.page.get_by_label("What is to be done").fill("Typed, and not sent")
    visitor.context.clear_cookies()
    tab.page.reload()
    expect(tab.page.get_by_text("Your session has ended")).to_be_visible()

    tab.page.get_by_label("Email").fill(other.email)
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_role("button", name="Log in").click()

    # Where the first was is theirs too.
    expect(tab.page).to_have_url(f"{visitor.url}/")
    tab.page.goto("/all")
    expect(tab.row("Of the second")).to_be_visible()
    expect(tab.row("Of the first")).to_have_count(0)
    tab.page.keyboard.press("q")
    expect(tab.page.get_by_label("What is to be done")).to_have_value("")
