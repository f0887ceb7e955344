"""Being told in the dashboard: the inbox, reminders, pushes, and the settings of all that."""

import json
import re
from collections.abc import Callable, Generator
from datetime import timedelta
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from taskflow import clock
from taskflow.domain.times import rfc3339
from tests.support.browser.judging import unreadable
from tests.support.dashboard.visitor import AWAY, Tab, Visitor
from tests.support.network.mail_servers import MailServer, a_mail_server
from tests.support.network.remote_api import PASSWORD, RemoteApi, signed_in
from tests.support.polling import eventually
from tests.support.processes.system import System

VAPID = {
    "VAPID_PRIVATE_KEY": "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
    "VAPID_SUBJECT": "mailto:ops@app.example",
}

LONG = 52
"""Notifications, of which a page of the list has 50."""

PUSH_SERVICE = """
globalThis.asked = 0;
const ask = Notification.requestPermission.bind(Notification);
Notification.requestPermission = () => {
  globalThis.asked += 1;
  return ask();
};
const keys = {
  p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
  auth: "BTBZMqHH6r4Tts7J_aSIgg",
};
let subscription = null;
PushManager.prototype.getSubscription = async () => subscription;
PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
  const endpoint = `https://push.example.net/${applicationServerKey.slice(0, 8)}`;
  subscription = {
    endpoint,
    toJSON: () => ({ endpoint, expirationTime: null, keys }),
    unsubscribe: async () => {
      subscription = null;
      return true;
    },
  };
  return subscription;
};
"""
"""In place of the browser's push service, which is not on this machine."""


@pytest.fixture(scope="module")
def mail_server() -> Generator[MailServer]:
    with a_mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, mail_server: MailServer) -> Generator[System]:
    """Run a system that mails and pushes."""
    running = System(
        tmp_path_factory.mktemp("system") / "data",
        SMTP_HOST=mail_server.host,
        SMTP_PORT=str(mail_server.port),
        SMTP_SECURITY="none",
        SMTP_FROM="TaskFlow <tasks@app.example>",
        **VAPID,
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
def api(visitor: Visitor, system: System) -> Generator[Callable[[], RemoteApi]]:
    """Return what speaks to the API as the visitor, once they have an account."""
    opened: list[RemoteApi] = []

    def speak() -> RemoteApi:
        opened.append(RemoteApi(system, signed_in(system, "login", visitor.email)))
        return opened[-1]

    yield speak
    for each in opened:
        each.close()


def _remind(api: RemoteApi, title: str, message: str | None = None) -> str:
    """Have the user reminded at once; return the task's id."""
    task_id = api.create(title)["id"]
    at = rfc3339(clock.now() - timedelta(seconds=5))
    wanted = {"remind_at": at, "message": message}
    assert api.request("POST", f"tasks/{task_id}/reminders", wanted).ok
    return task_id


def _card(tab: Tab, title: str) -> Locator:
    return tab.page.get_by_role("article", name=f"Reminder: {title}")


def test_a_reminder_is_shown_in_every_tab_and_counted_until_it_is_dismissed(
    visitor: Visitor, api: Callable[[], RemoteApi]
) -> None:
    one = visitor.registered("/all")
    other = visitor.tab("/inbox")
    other.wait_until_live()

    _remind(api(), "<b>Call</b> home", "As you have promised")

    for tab in (one, other):
        expect(_card(tab, "<b>Call</b> home")).to_contain_text("As you have promised")
    expect(one.page).to_have_title("(1) All tasks · TaskFlow")
    expect(one.page.get_by_role("link", name="Inbox 1 unread").first).to_be_attached()
    expect(other.page.locator(".notification.is-unread")).to_contain_text("<b>Call</b> home")
    assert unreadable(other.page) == []
    other.page.get_by_role("button", name="Dismiss: <b>Call</b> home").click()
    expect(_card(one, "<b>Call</b> home")).to_have_count(0)
    expect(one.page).to_have_title("All tasks · TaskFlow")
    expect(other.page.locator(".notification")).to_have_count(1)
    expect(other.page.locator(".notification.is-unread")).to_have_count(0)
    other.page.reload()
    expect(other.page.locator(".notification")).to_have_count(1)
    expect(other.page).to_have_title("Inbox · TaskFlow")


def test_what_is_reminded_of_is_snoozed_or_completed_by_keyboard(
    visitor: Visitor, api: Callable[[], RemoteApi]
) -> None:
    tab = visitor.registered("/all")
    speaking = api()
    snoozed = _remind(speaking, "Write the report")
    expect(_card(tab, "Write the report")).to_be_visible()

    tab.page.keyboard.press("r")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    _card(tab, "Write the report").get_by_role("button", name="1 hour").press("Enter")

    expect(_card(tab, "Write the report")).to_have_count(0)
    expect(tab.page.get_by_text("Snoozed: 1 hour")).to_be_visible()
    completed = _remind(speaking, "Feed the cat")
    expect(_card(tab, "Feed the cat")).to_be_visible()
    tab.page.keyboard.press("r")
    tab.page.keyboard.press("Enter")
    expect(tab.row("Feed the cat")).to_have_count(0)
    expect(tab.page).to_have_title("All tasks · TaskFlow")

    def is_done() -> None:
        [reminder] = speaking.request("GET", "reminders/pending").json()["items"]
        assert reminder["task_id"] == snoozed
        assert reminder["remind_at"] > rfc3339(clock.now() + timedelta(minutes=50))
        assert speaking.request("GET", f"tasks/{completed}").json()["completed"]

    eventually(is_done, within_s=10)


def test_a_long_inbox_is_read_to_its_end_and_marked_as_read_at_once(
    visitor: Visitor, api: Callable[[], RemoteApi]
) -> None:
    tab = visitor.registered("/all")
    speaking = api()
    task_id = speaking.create("Every second of it")["id"]
    for ago_s in range(LONG):
        at = rfc3339(clock.now() - timedelta(seconds=60 + ago_s))
        assert speaking.request("POST", f"tasks/{task_id}/reminders", {"remind_at": at}).ok
    expect(tab.page).to_have_title(f"({LONG}) All tasks · TaskFlow", timeout=30_000)
    expect(tab.page.locator(".reminder-card")).to_have_count(3)
    tab.page.goto("/inbox")
    expect(tab.page.locator(".notification").first).to_be_visible()

    def scroll() -> None:
        tab.page.mouse.wheel(0, 5_000)
        assert tab.page.locator(".notification").count() == LONG

    tab.page.mouse.move(600, 400)
    eventually(scroll, within_s=20)
    tab.page.get_by_role("button", name="Mark all as read").click()

    expect(tab.page).to_have_title("Inbox · TaskFlow")
    assert speaking.request("GET", "notifications?unread=true").json()["items"] == []


def test_what_is_pushed_is_shown_and_leads_to_its_task(a_visitor: Callable[..., Visitor]) -> None:
    visitor = a_visitor(permissions=["notifications"])
    tab = visitor.registered("/all")
    registration = _registration_id(tab.page)
    pushed = {
        "id": "019ad3f0-8c00-7000-8000-000000000001",
        "title": "Water the plants",
        "message": "Those on the balcony too",
        "task_id": "019ad3f0-8c00-7000-8000-000000000002",
        "remind_at": "2026-11-30T09:00:00.000000Z",
        "due_date": None,
        "created_at": "2026-11-30T09:00:01.000000Z",
    }

    for _ in range(2):
        _push(tab.page, visitor.url, registration, pushed)

    def is_shown() -> None:
        assert _notifications(tab.page) == [
            {
                "title": "Water the plants",
                "body": "Those on the balcony too",
                "data": {"path": f"/tasks/{pushed['task_id']}"},
            }
        ]

    eventually(is_shown, within_s=10)
    _click_notification(visitor)
    expect(tab.page).to_have_url(f"{visitor.url}/tasks/{pushed['task_id']}")
    assert _notifications(tab.page) == []


def _click_notification(visitor: Visitor) -> None:
    """Have the service worker hear of a click, as no window shows what could be clicked."""
    visitor.context.service_workers[0].evaluate(
        """async () => {
            const [notification] = await self.registration.getNotifications();
            self.dispatchEvent(new NotificationEvent("notificationclick", { notification }));
        }"""
    )


def _registration_id(page: Page) -> str:
    """Return what the service worker is known by, once it is at work."""
    found: list[str] = []
    session: Any = page.context.new_cdp_session(page)

    def hear(event: dict[str, Any]) -> None:
        found.extend(each["registrationId"] for each in event["registrations"])

    session.on("ServiceWorker.workerRegistrationUpdated", hear)
    page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    session.send("ServiceWorker.enable")

    def is_found() -> None:
        page.evaluate("undefined")
        assert found

    eventually(is_found, within_s=10)
    return found[-1]


def _push(page: Page, origin: str, registration: str, pushed: dict[str, str | None]) -> None:
    session: Any = page.context.new_cdp_session(page)
    session.send("ServiceWorker.enable")
    session.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": origin, "registrationId": registration, "data": json.dumps(pushed)},
    )


def _notifications(page: Page) -> list[dict[str, object]]:
    return page.evaluate(
        """() => navigator.serviceWorker.ready
            .then((registration) => registration.getNotifications())
            .then((found) => found.map(({ title, body, data }) => ({ title, body, data })))"""
    )


def test_a_browser_is_asked_for_permission_after_a_click_alone_and_then_pushed_to(
    visitor: Visitor, api: Callable[[], RemoteApi]
) -> None:
    visitor.context.add_init_script(PUSH_SERVICE)
    tab = visitor.registered()
    speaking = api()
    tab.page.goto("/settings#notifications")
    section = tab.page.get_by_role("region", name="Notifications here")
    expect(section).to_contain_text("Off.")
    expect(section.get_by_role("heading")).to_be_focused()
    assert tab.page.evaluate("asked") == 0
    visitor.context.grant_permissions(["notifications"])

    section.get_by_role("button", name="Turn on").click()

    expect(section).to_contain_text("also while TaskFlow is closed")
    assert tab.page.evaluate("asked") == 1
    expect(tab.page.get_by_text("push.example.net")).to_contain_text("This browser")
    [destination] = speaking.request("GET", "destinations").json()["items"]
    assert (destination["channel"], destination["state"]) == ("web_push", "active")
    assert speaking.request("GET", "settings").json()["notification_channels"] == ["web_push"]
    section.get_by_role("button", name="Turn off").click()
    expect(section).to_contain_text("Off.")
    assert speaking.request("GET", "destinations").json()["items"] == []


def test_settings_are_kept_and_what_is_refused_is_said_at_its_field(
    visitor: Visitor, api: Callable[[], RemoteApi]
) -> None:
    tab = visitor.registered("/settings")
    page = tab.page
    zone = page.get_by_role("combobox", name="Time zone")

    zone.click()
    page.keyboard.type("new york")
    expect(page.get_by_role("option")).to_have_text([re.compile("America/New York")])
    page.keyboard.press("Enter")
    expect(zone).to_have_value("America/New York")
    page.get_by_label("Keep quiet for a part of the day").check()
    page.get_by_label("From").fill("21:30")
    page.get_by_label("From").press("Tab")
    page.get_by_label("Gather mails").uncheck()
    page.get_by_label("Tell me on devices").check()

    def is_kept() -> None:
        settings = api().request("GET", "settings").json()
        assert settings == {
            "timezone": "America/New_York",
            "notification_channels": ["push"],
            "quiet_hours": {"start": "21:30", "end": "07:00"},
            "email_digest": False,
        }

    eventually(is_kept, within_s=10)
    page.reload()
    expect(page.get_by_label("From")).to_have_value("21:30")
    page.get_by_role("button", name="Add a webhook").click()
    page.get_by_label("Address", exact=True).fill("ftp://hooks.example.com/")
    page.get_by_role("button", name="Add", exact=True).last.click()
    url = page.get_by_label("Address", exact=True)
    expect(url).to_have_attribute("aria-invalid", "true")
    described = url.get_attribute("aria-describedby") or ""
    assert page.locator(f"#{described.split()[-1]}").inner_text() != ""
    page.keyboard.press("Escape")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert unreadable(page) == []


def test_an_address_is_told_at_once_its_owner_has_confirmed_it(
    visitor: Visitor, mail_server: MailServer, system: System
) -> None:
    page = visitor.registered("/settings#email").page
    address = f"mail-{visitor.email}"
    page.get_by_label("Add an address").fill(address)

    page.get_by_role("button", name="Add", exact=True).click()

    listed = page.get_by_role("listitem").filter(has_text=address)
    expect(listed).to_contain_text("Not confirmed yet")
    expect(page.get_by_label("Tell me by email")).to_be_checked()
    expect(page.get_by_label("Add an address")).to_have_value("")
    listed.get_by_role("button", name="Send the link again").click()
    expect(page.get_by_text(f"on its way to {address}").last).to_be_visible()
    assert requests.post(_link_in_mail(mail_server, address, system.url), timeout=10).ok
    page.reload()
    expect(listed).to_contain_text("Confirmed.")
    listed.get_by_role("button", name=f"Remove {address}").click()
    expect(listed).to_have_count(0)


def _link_in_mail(server: MailServer, address: str, url: str) -> str:
    def found() -> str:
        for envelope in server.mails:
            if address in envelope.rcpt_tos:
                assert isinstance(envelope.content, bytes)
                mail = message_from_bytes(envelope.content, policy=SMTP)
                text = str(mail.get_body(("plain",)).get_content())  # type: ignore[union-attr]
                match = re.search(r"/email/confirm/\S+", text)
                assert match is not None
                return url + match[0]
        message = "there is no mail yet"
        raise AssertionError(message)

    return eventually(found, within_s=20)


def test_a_webhook_tells_its_secret_once_and_is_switched_off_and_removed(
    visitor: Visitor, api: Callable[[], RemoteApi]
) -> None:
    page = visitor.registered("/settings#webhooks").page
    page.get_by_role("button", name="Add a webhook").click()
    page.get_by_label("Address", exact=True).fill("https://hooks.example.com/taskflow")
    page.get_by_label("What you know it by").fill("The lamp")
    page.get_by_label("Only some").check()
    page.get_by_label("task.completed").check()

    page.get_by_role("button", name="Add", exact=True).last.click()

    dialog = page.get_by_role("dialog", name="The secret")
    expect(dialog.get_by_label("Secret")).to_have_value(re.compile("^whsec_"))
    dialog.get_by_role("button", name="I have it").click()
    listed = page.get_by_role("listitem").filter(has_text="The lamp")
    expect(listed).to_contain_text("task.completed")
    expect(page.get_by_text("whsec_")).to_have_count(0)
    listed.get_by_role("switch").uncheck()
    expect(listed).to_contain_text("Switched off")
    assert [each["enabled"] for each in api().request("GET", "webhooks").json()["items"]] == [False]
    listed.get_by_role("button", name="Messages").click()
    expect(page.get_by_role("dialog", name="Messages")).to_contain_text("There are none.")
    page.keyboard.press("Escape")
    listed.get_by_role("button", name="New secret").click()
    page.get_by_role("button", name="Make a new one").click()
    expect(page.get_by_role("dialog").get_by_label("Secret")).to_have_value(re.compile("^whsec_"))
    page.keyboard.press("Escape")
    listed.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(listed).to_have_count(0)


def test_what_is_exported_is_imported_into_another_account_and_the_first_deleted(
    a_visitor: Callable[..., Visitor], tmp_path: Path
) -> None:
    tab = a_visitor().registered("/settings#data")
    tab.add("Taken along #home")
    expect(tab.page.get_by_text("Added “Taken along”")).to_be_visible()
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Download").click()
    file = tmp_path / "taskflow.jsonl"
    download.value.save_as(file)

    other = a_visitor().registered("/settings#data")
    broken = tmp_path / "broken.jsonl"
    broken.write_text(file.read_text().replace('"title":"Taken along"', '"title":""', 1))
    chooser = other.page.get_by_label("Choose a file")
    chooser.set_input_files(broken)
    expect(other.page.get_by_text(re.compile(r"Line \d+, title: "))).to_be_visible()
    expect(chooser).to_be_enabled()
    chooser.set_input_files(file)

    expect(other.page.get_by_text("All tasks of the file are here.")).to_be_visible()
    other.page.get_by_role("link", name="All tasks").first.click()
    expect(other.row("Taken along")).to_be_visible()
    _delete(tab, "not the password")
    expect(tab.page.get_by_text("The password is wrong.")).to_be_visible()
    tab.page.keyboard.press("Escape")
    _delete(tab, PASSWORD)
    expect(tab.page).to_have_title("Log in · TaskFlow")


def _delete(tab: Tab, password: str) -> None:
    tab.page.get_by_role("button", name="Delete…").click()
    tab.page.get_by_label("Your password, once more").fill(password)
    tab.page.get_by_label("I want all of it deleted").check()
    tab.page.get_by_role("button", name="Delete for good").click()


def test_it_is_installed_and_opens_offline_with_what_was_there_last(
    visitor: Visitor, api: Callable[[], RemoteApi]
) -> None:
    tab = visitor.registered("/all")
    _remind(api(), "Seen before the tunnel")
    expect(tab.page).to_have_title("(1) All tasks · TaskFlow")
    tab.page.goto("/inbox")
    expect(tab.page.locator(".notification")).to_have_count(1)
    tab.page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    assert _installability_errors(tab.page) == ["in-incognito"]
    tab.page.goto("/all")
    expect(tab.row("Seen before the tunnel")).to_be_visible()
    visitor.context.set_offline(offline=True)

    for path, shown in (("/all", "[data-task]"), ("/inbox", ".notification"), ("/settings", "h2")):
        tab.page.goto(path)
        expect(tab.page.locator(f"main {shown}").first).to_be_visible()

    expect(tab.connection).to_have_attribute("data-state", "offline")
    expect(tab.page).to_have_title("(1) Settings · TaskFlow")
    visitor.context.set_offline(offline=False)
    tab.wait_until_live()
    visitor.wrong = [each for each in visitor.wrong if not AWAY.match(each)]


def _installability_errors(page: Page) -> list[str]:
    """Return why a browser would not install it: the one of a test is a private window."""
    session: Any = page.context.new_cdp_session(page)
    found = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    return [each["errorId"] for each in found]
