"""Sessions as their user sees and ends them, and a changed password (S1)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from taskflow import clock
from taskflow.domain.accounts import LOGIN_ATTEMPTS_MAX, REFRESH_TOKEN_LIFETIME
from taskflow.domain.sessions import CLIENT_MAX_CHARS
from taskflow.domain.times import rfc3339
from taskflow.serving import ended_sessions, passwords
from taskflow.storage import account_store, session_store, transaction
from tests.functions.conftest import Travel
from tests.support.data.accounts import A_CAUSE, SignedIn, delete_account
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tasks import items
from tests.support.functions.tokens import signed_in_at

pytestmark = pytest.mark.usefixtures("database")

PASSWORD, ANOTHER = "correct horse battery staple", "another horse, another battery"
SESSIONS, CHANGE = "/api/{user_id}/sessions", "/api/{user_id}/password"


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each request read which sessions have ended."""
    monkeypatch.setattr(ended_sessions, "LOOK_EVERY_S", 0)


class Device:
    """Where somebody has signed in."""

    def __init__(self, answer: TestResponse) -> None:
        assert answer.status_code in {200, 201}, answer.text
        body = content(answer)
        self.user = SignedIn(body["user"]["id"], body["user"]["email"], body["access_token"])
        self.api = Api(self.user)
        self.refresh_token = body["refresh_token"]

    @property
    def listed(self) -> list[dict[str, Any]]:
        return items(self.api, SESSIONS)

    @property
    def id(self) -> str:
        [own] = [each["id"] for each in self.listed if each["current"]]
        return own

    def refresh(self, **headers: str) -> TestResponse:
        token = {"refresh_token": self.refresh_token}
        return Api().post("/api/auth/refresh", token, headers=headers)

    def assert_signed_in(self) -> None:
        assert self.api.get("/api/settings").status_code == 200
        assert self.refresh().status_code == 200

    def assert_signed_out(self) -> None:
        assert_refused(self.api.get("/api/settings"), 401, "invalid-token")
        assert_refused(self.refresh(), 401, "refresh-token-is-invalid")


def _register(**headers: str) -> Device:
    body = {"email": f"{uuid4()}@example.com", "password": PASSWORD}
    return Device(Api().post("/api/auth/register", body, headers=headers))


def _log_in(device: Device, password: str = PASSWORD, **headers: str) -> TestResponse:
    body = {"email": device.user.email, "password": password}
    return Api().post("/api/auth/login", body, headers=headers)


def _change(device: Device, old: object = PASSWORD, new: object = ANOTHER) -> TestResponse:
    return device.api.post(CHANGE, {"password": old, "new_password": new})


# The list


def test_each_device_is_listed_with_what_it_said_it_is_and_when_it_was_used(
    travel: Travel,
) -> None:
    began = clock.now()
    laptop = _register(**{"User-Agent": "Laptop/1"})
    later = began + timedelta(days=2)
    travel(laptop.user, later)
    phone = Device(_log_in(laptop, **{"User-Agent": "Phone/1"}))

    of_phone, of_laptop = phone.listed

    assert (of_phone["client"], of_phone["current"]) == ("Phone/1", True)
    assert (of_laptop["client"], of_laptop["current"]) == ("Laptop/1", False)
    assert of_laptop["created_at"] == of_laptop["last_used_at"] < of_phone["created_at"]
    assert of_phone["expires_at"] == rfc3339(later + REFRESH_TOKEN_LIFETIME)
    assert laptop.refresh(**{"User-Agent": "Laptop/2"}).status_code == 200
    _, of_laptop = phone.listed
    assert (of_laptop["client"], of_laptop["last_used_at"]) == ("Laptop/2", rfc3339(later))


@pytest.mark.parametrize(
    ("said", "shown"),
    [("", None), (" \t", None), ("x" * 5_000, "x" * CLIENT_MAX_CHARS), ("<b>\x00\x7f", "<b>")],
)
def test_what_a_client_says_it_is_is_short_text(said: str, shown: str | None) -> None:
    [session] = _register(**{"User-Agent": said}).listed

    assert session["client"] == shown


def test_what_a_client_says_it_is_is_listed_as_the_gateway_gives_it_on() -> None:
    device = _register(**{"User-Agent": "", "X-Original-User-Agent": "Laptop/1"})

    assert [each["client"] for each in device.listed] == ["Laptop/1"]


def test_sessions_come_in_pages_the_newest_first() -> None:
    device = _register()
    devices = [device, *(Device(_log_in(device)) for _ in range(4))]

    first = content(device.api.get(f"{SESSIONS}?limit=3"))
    then = content(device.api.get(f"{SESSIONS}?limit=3&cursor={first['next_cursor']}"))

    assert [each["id"] for each in first["items"] + then["items"]] == [
        each.id for each in reversed(devices)
    ]
    assert then["next_cursor"] is None


def test_sessions_that_have_ended_or_expired_are_not_listed(travel: Travel) -> None:
    device = _register()
    other = Device(_log_in(device))
    token = {"refresh_token": other.refresh_token}
    assert other.api.post("/api/auth/logout", token).status_code == 204

    [session] = device.listed

    assert session["current"]
    later = travel(device.user, clock.now() + REFRESH_TOKEN_LIFETIME)
    assert items(later, SESSIONS) == []


def test_a_user_of_an_outside_issuer_or_a_service_has_no_current_session(user: SignedIn) -> None:
    assert items(Api(user), SESSIONS) == []


# Ending


def test_a_device_is_signed_out_and_the_others_go_on() -> None:
    device = _register()
    lost, third = Device(_log_in(device)), Device(_log_in(device))

    answer = device.api.delete(f"{SESSIONS}/{lost.id}")

    assert answer.status_code == 204
    lost.assert_signed_out()
    device.assert_signed_in()
    third.assert_signed_in()


def test_a_device_signs_itself_out() -> None:
    device = _register()

    assert device.api.delete(f"{SESSIONS}/{device.id}").status_code == 204

    device.assert_signed_out()


def test_a_session_of_another_user_is_not_found_and_goes_on() -> None:
    device, stranger = _register(), _register()

    answer = stranger.api.delete(f"{SESSIONS}/{device.id}")

    assert_refused(answer, 404, "session-not-found")
    device.assert_signed_in()


def test_a_session_that_has_ended_or_never_was_is_not_found() -> None:
    device = _register()
    lost = Device(_log_in(device))
    path = f"{SESSIONS}/{lost.id}"

    assert device.api.delete(path).status_code == 204

    assert_refused(device.api.delete(path), 404, "session-not-found")
    assert_refused(device.api.delete(f"{SESSIONS}/{uuid4()}"), 404, "session-not-found")
    assert device.api.delete(f"{SESSIONS}/mine").status_code == 404


def test_all_other_devices_of_the_user_are_signed_out() -> None:
    device, stranger = _register(), _register()
    others = [Device(_log_in(device)) for _ in range(3)]

    assert device.api.delete(SESSIONS).status_code == 204

    for other in others:
        other.assert_signed_out()
    device.assert_signed_in()
    stranger.assert_signed_in()


def test_two_devices_that_sign_a_third_one_out_at_once_find_it_once() -> None:
    device = _register()
    other, lost = Device(_log_in(device)), Device(_log_in(device))
    path = f"{SESSIONS}/{lost.id}"

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(one.api.delete, path) for one in (device, other, device, other)]

    statuses = sorted(answer.result().status_code for answer in sent)
    assert statuses == [204, 404, 404, 404]
    lost.assert_signed_out()
    device.assert_signed_in()


def test_who_has_no_session_of_their_own_signs_all_devices_out() -> None:
    device = _register()
    other = Device(_log_in(device))
    service = Api(signed_in_at(device.user, clock.now()))

    assert service.delete(SESSIONS).status_code == 204

    device.assert_signed_out()
    other.assert_signed_out()
    assert service.get("/api/settings").status_code == 200


def test_a_ticket_of_a_device_that_was_signed_out_opens_no_socket() -> None:
    device = _register()
    lost = Device(_log_in(device))
    ticket = content(lost.api.post("/api/ws-ticket"))["ticket"]

    device.api.delete(f"{SESSIONS}/{lost.id}")

    with transaction(A_CAUSE) as tx:
        of = session_store.take_ticket(tx, ticket, now=clock.now())
    assert of is not None
    looked = ended_sessions.ended_sessions()
    looked.look()
    assert looked.has_ended(of.session_id, of=of.user_id)


# The password


def test_a_changed_password_signs_all_others_out_and_is_the_one_that_counts() -> None:
    device = _register()
    other = Device(_log_in(device))

    assert _change(device).status_code == 204

    device.assert_signed_in()
    other.assert_signed_out()
    assert_refused(_log_in(device), 401, "credentials-are-wrong")
    Device(_log_in(device, ANOTHER)).assert_signed_in()


def test_a_wrong_password_changes_nothing_and_counts_as_an_attempt() -> None:
    device = _register()
    other = Device(_log_in(device))

    for _ in range(LOGIN_ATTEMPTS_MAX):
        assert_refused(_change(device, "a wrong one"), 401, "credentials-are-wrong")

    assert_refused(_change(device, "a wrong one"), 429, "too-many-attempts")
    other.assert_signed_in()


@pytest.mark.parametrize("new", [None, 1, "", "short", "x" * 257, "with a null \0"])
def test_a_new_password_that_is_none_is_refused(new: object) -> None:
    device = _register()

    assert_invalid(_change(device, new=new), "/new_password")
    Device(_log_in(device)).assert_signed_in()


def test_the_password_of_an_account_without_one_is_always_wrong(user: SignedIn) -> None:
    answer = Api(user).post(CHANGE, {"password": "no password", "new_password": ANOTHER})

    assert_refused(answer, 401, "credentials-are-wrong")


def test_who_logs_in_with_the_old_password_while_it_changes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = _register()
    is_right = passwords.is_right

    def and_then_changed(password_hash: str | None, password: str) -> bool:
        found = is_right(password_hash, password)
        monkeypatch.setattr(passwords, "is_right", is_right)
        assert _change(device).status_code == 204
        return found

    monkeypatch.setattr(passwords, "is_right", and_then_changed)

    answer = _log_in(device)

    assert_refused(answer, 401, "credentials-are-wrong")
    assert [each["current"] for each in device.listed] == [True]


def test_a_log_in_that_ends_as_the_password_changes_is_signed_out_with_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = _register()
    set_password = account_store.set_password
    with ThreadPoolExecutor() as pool:

        def while_somebody_logs_in(*arguments: Any) -> None:  # noqa: ANN401 - handed on
            logged_in.append(pool.submit(_log_in, device))
            set_password(*arguments)

        logged_in: list[Any] = []
        monkeypatch.setattr(account_store, "set_password", while_somebody_logs_in)
        assert _change(device).status_code == 204
        [answer] = (each.result() for each in logged_in)

    assert_refused(answer, 401, "credentials-are-wrong")
    assert len(device.listed) == 1


def test_of_two_changes_of_a_password_at_once_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    device = _register()
    other = Device(_log_in(device))
    hash_password: Callable[[str], str] = passwords.hash_password

    def and_then_changed(password: str) -> str:
        monkeypatch.setattr(passwords, "hash_password", hash_password)
        assert _change(device, new="that of the first").status_code == 204
        return hash_password(password)

    monkeypatch.setattr(passwords, "hash_password", and_then_changed)

    answer = _change(other, new="that of the second")

    assert_refused(answer, 401, "credentials-are-wrong")
    Device(_log_in(device, "that of the first")).assert_signed_in()


def test_the_password_of_an_account_that_is_deleted_meanwhile_is_not_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = _register()
    hash_password: Callable[[str], str] = passwords.hash_password

    def and_then_deleted(password: str) -> str:
        delete_account(device.user)
        return hash_password(password)

    monkeypatch.setattr(passwords, "hash_password", and_then_deleted)

    assert_refused(_change(device), 401, "account-not-found")
