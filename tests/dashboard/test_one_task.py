"""The detail of a task: all of it edited where it stands, and nothing that is typed is lost."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.support.browser.judging import unreadable
from tests.support.dashboard.visitor import AWAY, Tab, Visitor
from tests.support.network.remote_api import PASSWORD


def _opened(tab: Tab, title: str) -> Locator:
    tab.row(title).get_by_role("link").click()
    return _panel(tab.page, title)


def _panel(page: Page, title: str) -> Locator:
    panel = page.get_by_role("dialog", name=f"Task: {title}", exact=True)
    expect(panel).to_be_visible()
    return panel


def _added(tab: Tab, line: str, title: str) -> Locator:
    tab.add(line)
    expect(tab.row(title)).to_be_visible()
    expect(tab.page.locator(".is-draft")).to_have_count(0)
    return _opened(tab, title)


def _log_in(tab: Tab, email: str) -> None:
    tab.page.get_by_label("Email").fill(email)
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_role("button", name="Log in").click()


def _wrong(page: Page) -> list[str]:
    # What fades in is no text to be read yet.
    page.evaluate("Promise.allSettled(document.getAnimations().map((each) => each.finished))")
    return unreadable(page)


def test_a_task_is_edited_where_it_stands_by_keyboard_and_another_tab_sees_it(
    visitor: Visitor,
) -> None:
    tab = visitor.registered("/all")
    _added(tab, "Buy milk #shop", "Buy milk")
    page = tab.page
    other = visitor.tab(page.url.removeprefix(visitor.url))
    seen = _panel(other.page, "Buy milk")

    page.get_by_label("Title", exact=True).fill("Buy <b>oat</b> milk")
    page.keyboard.press("Enter")
    panel = _panel(page, "Buy <b>oat</b> milk")
    expect(panel).to_be_focused()
    page.get_by_label("Description", exact=True).fill("Two bottles")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("d")
    expect(panel.get_by_label("In your words")).to_be_focused()
    page.keyboard.type("tomorrow 17:30")
    expect(panel.locator("#due-read")).to_contain_text("Enter Tomorrow")
    page.keyboard.press("Enter")
    panel.get_by_role("radio", name="High").check(force=True)
    panel.get_by_label("Add a tag").fill("cold")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")

    expect(panel.locator(".due-button")).to_contain_text("Tomorrow 5:30")
    expect(other.page.get_by_label("Title", exact=True)).to_have_value("Buy <b>oat</b> milk")
    expect(other.page.get_by_label("Description", exact=True)).to_have_value("Two bottles")
    expect(other.page.get_by_role("radio", name="High")).to_be_checked()
    expect(other.page.locator(".tags .chip")).to_have_text(["shop", "cold"])
    expect(other.page.locator(".due-button")).to_contain_text("Tomorrow 5:30")
    panel.get_by_text("History").click()
    expect(panel.locator(".history")).to_contain_text("Priority changed from medium to high")
    expect(panel.locator(".history")).to_contain_text("Tag cold added")
    assert seen.count() == 0
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(tab.row("Buy <b>oat</b> milk").get_by_role("link")).to_be_focused()


def test_what_is_typed_stays_while_another_tab_changes_it_and_the_user_chooses(
    visitor: Visitor,
) -> None:
    tab = visitor.registered("/all")
    panel = _added(tab, "Write the report", "Write the report")
    other = visitor.tab(tab.page.url.removeprefix(visitor.url))
    their_panel = _panel(other.page, "Write the report")
    mine = panel.get_by_label("Description", exact=True)
    theirs = their_panel.get_by_label("Description", exact=True)

    mine.press_sequentially("Mine")
    their_panel.get_by_role("radio", name="Urgent").check(force=True)
    expect(panel.get_by_role("radio", name="Urgent")).to_be_checked()
    expect(mine).to_have_value("Mine")
    mine.press("Control+Enter")
    expect(theirs).to_have_value("Mine")
    mine.press_sequentially(" and more")
    theirs.fill("Theirs")
    theirs.press("Control+Enter")
    expect(panel.get_by_text("Changed elsewhere meanwhile")).to_be_visible()
    expect(mine).to_have_value("Mine and more")
    mine.press("Control+Enter")

    choice = panel.get_by_role("group", name="Two versions: description")
    expect(choice).to_contain_text("Theirs")
    expect(choice).to_contain_text("Mine and more")
    assert _wrong(tab.page) == []
    tab.page.reload()
    expect(mine).to_have_value("Mine and more")
    choice.get_by_role("button", name="Keep mine").click()
    expect(choice).to_have_count(0)
    expect(theirs).to_have_value("Mine and more")


def test_what_was_typed_offline_is_chosen_about_where_it_clashes(
    a_visitor: Callable[..., Visitor],
) -> None:
    visitor = a_visitor()
    tab = visitor.registered("/all")
    panel = _added(tab, "Plan the trip", "Plan the trip")
    path = tab.page.url.removeprefix(visitor.url)
    device = a_visitor().tab(path)
    _log_in(device, visitor.email)
    _panel(device.page, "Plan the trip")

    visitor.context.set_offline(offline=True)
    expect(tab.connection).to_have_attribute("data-state", "offline")
    panel.get_by_label("Title", exact=True).fill("Plan the trip to Rome")
    tab.page.keyboard.press("Enter")
    expect(panel.get_by_text("Kept here, to be sent")).to_have_count(0)
    expect(_panel(tab.page, "Plan the trip to Rome").get_by_text("Kept here")).to_be_visible()
    tab.page.keyboard.press("Escape")
    device.page.get_by_label("Title", exact=True).fill("Plan the trip to Oslo")
    device.page.keyboard.press("Enter")
    _panel(device.page, "Plan the trip to Oslo")
    expect(device.page.locator(".panel-state")).to_have_text("")
    visitor.context.set_offline(offline=False)

    tab.page.get_by_role("button", name="Choose").click()
    choice = tab.page.get_by_role("group", name="Two versions: title")
    expect(choice).to_contain_text("Plan the trip to Rome")
    choice.get_by_role("button", name="Take the newer one").click()
    expect(tab.page.get_by_label("Title", exact=True)).to_have_value("Plan the trip to Oslo")
    visitor.wrong = [each for each in visitor.wrong if not AWAY.match(each)]


def test_what_is_being_typed_as_the_page_goes_is_saved_also_by_a_session_that_has_ended(
    visitor: Visitor,
) -> None:
    tab = visitor.registered("/all")
    panel = _added(tab, "Write a letter", "Write a letter")
    description = panel.get_by_label("Description", exact=True)
    description.press_sequentially("Dear Bob")

    visitor.context.clear_cookies()
    tab.page.reload()
    expect(tab.page.get_by_text("Your session has ended")).to_be_visible()
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_role("button", name="Log in").click()

    expect(description).to_have_value("Dear Bob")
    expect(tab.page.locator(".panel-state")).to_have_text("")
    tab.page.reload()
    expect(description).to_have_value("Dear Bob")


def test_a_repetition_is_built_previewed_and_written_as_a_rule(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    panel = _added(tab, "Send the invoice 2027-03-26 9:00", "Send the invoice")
    page = tab.page

    page.keyboard.press("r")
    panel.get_by_label("Days, weeks, months or years").select_option("MONTHLY")
    panel.get_by_label("On a day or a weekday").select_option("weekday")
    panel.get_by_label("Which one").select_option("-1")
    panel.get_by_label("Ends", exact=True).select_option("count")
    panel.get_by_label("How many times").fill("3")
    panel.get_by_label("How many times").press("Tab")
    preview = panel.locator(".preview")
    expect(preview).to_contain_text("Every month on the last Friday, 3 times")
    expect(preview.locator("li")).to_have_count(3)
    expect(preview.locator("li").nth(1)).to_contain_text("Apr 30")
    assert _wrong(page) == []
    panel.get_by_text("As a rule").click()
    rule = panel.get_by_label("Rule", exact=True)
    expect(rule).to_have_value("FREQ=MONTHLY;BYDAY=-1FR;COUNT=3")
    rule.fill("FREQ=HOURLY")
    expect(panel.locator("#rule-error")).to_contain_text("FREQ")
    rule.fill("FREQ=MONTHLY;BYDAY=-1FR;COUNT=3")
    expect(panel.locator("#rule-error")).to_have_text("")
    panel.get_by_role("button", name="Save").click()

    button = panel.locator(".recurrence-button")
    expect(button).to_contain_text("Every month on the last Friday, 3 times")
    expect(panel.get_by_text("Next on")).to_be_visible()
    button.click()
    panel.get_by_role("button", name="Stop repeating").click()
    expect(button).to_contain_text("Does not repeat")
    tab.undo()
    expect(button).to_contain_text("Every month on the last Friday, 3 times")


def test_reminders_are_added_put_off_and_removed(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    panel = _added(tab, "Catch the train 2027-05-05 12:00", "Catch the train")
    reminders = panel.locator(".reminder")

    panel.get_by_role("button", name="Add a reminder").click()
    panel.get_by_label("When").select_option("PT30M")
    panel.get_by_label("Say").fill("Take the tickets")
    panel.get_by_role("button", name="Remind me").click()
    expect(reminders).to_have_count(1)
    expect(reminders).to_contain_text("30 minutes before")
    expect(reminders).to_contain_text("Take the tickets")
    expect(reminders).to_contain_text("11:30")
    panel.get_by_role("button", name="Remind later").click()
    panel.get_by_role("button", name="10 minutes later").click()
    expect(reminders).to_contain_text("11:40")
    panel.get_by_role("button", name="Remove the reminder").click()
    expect(reminders).to_have_count(0)
    tab.undo()
    expect(reminders).to_contain_text("30 minutes before")


def test_the_link_of_a_mail_leads_to_its_task_after_logging_in_also_to_one_that_is_deleted(
    a_visitor: Callable[..., Visitor],
) -> None:
    visitor = a_visitor()
    tab = visitor.registered("/all")
    panel = _added(tab, "From a mail", "From a mail")
    path = tab.page.url.removeprefix(visitor.url)
    panel.get_by_role("button", name="Delete", exact=True).click()
    expect(tab.row("From a mail")).to_have_count(0)

    phone = a_visitor(viewport={"width": 390, "height": 844}, has_touch=True, color_scheme="dark")
    device = phone.tab(path)
    _log_in(device, visitor.email)
    page = device.page
    expect(page.get_by_text("was deleted")).to_be_visible()
    page.get_by_role("button", name="Bring it back").click()
    panel = _panel(page, "From a mail")
    expect(tab.row("From a mail")).to_be_visible()
    panel.locator(".due-button").click()
    expect(panel.locator(".due-editor")).to_be_visible()
    assert _wrong(page) == []
    panel.get_by_role("button", name="Close").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()

    page.goto("/tasks/00000000-0000-7000-8000-000000000000")
    expect(page.get_by_text("There is no such task.")).to_be_visible()
