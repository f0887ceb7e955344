"""Accounts: register, log in, refresh, log out (S1, S2, section 11)."""

import json
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from http.cookies import Morsel, SimpleCookie
from typing import Any
from uuid import uuid4

import jwt
import pytest
from werkzeug.test import TestResponse

from taskflow import clock
from taskflow.serving import browser, ended_sessions
from tests.support.data.accounts import SignedIn
from tests.support.data.builders import log_of
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api, content
from tests.support.functions.offloading import offloading_by
from tests.support.functions.problems import assert_invalid, assert_refused, without_request
from tests.support.settings import changed_settings

pytestmark = pytest.mark.usefixtures("database")

PASSWORD = "correct horse battery staple"
A_SECOND = timedelta(seconds=1)
OWN_ORIGIN = {"Origin": "http://localhost"}

SetClock = Callable[[datetime], None]


@pytest.fixture
def email() -> str:
    """Return an address that nobody has."""
    return f"{uuid4()}@example.com"


@pytest.fixture
def hashings() -> Generator[list[object]]:
    """Count the hashes that are made or checked, through the hook that a server uses."""
    made: list[object] = []

    def counted(work: Callable[[], object]) -> object:
        made.append(work)
        return work()

    with offloading_by(counted):
        yield made


def _register(email: str, **more: str) -> TestResponse:
    body = {"email": email, "password": PASSWORD, **more}
    answer = Api().post("/api/auth/register", body)
    assert answer.status_code == 201, answer.text
    return answer


def _log_in(email: str, password: str = PASSWORD) -> TestResponse:
    return Api().post("/api/auth/login", {"email": email, "password": password})


def _refresh(token: str) -> TestResponse:
    return Api().post("/api/auth/refresh", {"refresh_token": token})


def _log_out(signed_in: TestResponse, body: object) -> TestResponse:
    token = content(signed_in)["access_token"]
    return Api().post("/api/auth/logout", body, headers={"Authorization": f"Bearer {token}"})


def _token(answer: TestResponse) -> str:
    assert answer.status_code in {200, 201}, answer.text
    return str(content(answer)["refresh_token"])


def _cookie(answer: TestResponse) -> Morsel[str]:
    [header] = answer.headers.getlist("Set-Cookie")
    [cookie] = SimpleCookie(header).values()
    return cookie


def _with_cookie(path: str, token: str, **headers: str) -> TestResponse:
    return Api().post(path, headers={"Cookie": f"taskflow_refresh={token}", **headers})


# Register


def test_registering_signs_the_user_in(email: str) -> None:
    answer = _register(email, timezone="Europe/Berlin")

    body: dict[str, Any] = content(answer)
    user_id = body["user"]["id"]
    assert body == {
        "user": {"id": user_id, "email": email, "timezone": "Europe/Berlin"},
        "access_token": body["access_token"],
        "refresh_token": body["refresh_token"],
        "token_type": "Bearer",
        "expires_in": 900,
    }
    assert answer.headers["Cache-Control"] == "no-store"
    listed = Api(SignedIn(user_id, email, body["access_token"])).get("/api/{user_id}/tasks")
    assert listed.status_code == 200
    [registered] = log_of(user_id)
    assert (registered.event_type, registered.version) == ("user.registered", 1)
    assert (registered.actor, registered.seq) == (user_id, 1)
    assert json.loads(registered.data_json) == body["user"]


def test_the_zone_of_a_new_account_is_utc_unless_given(email: str) -> None:
    answer = _register(email)

    assert content(answer)["user"]["timezone"] == "UTC"


def test_an_access_token_says_its_user_roles_and_lifetime(email: str) -> None:
    body = content(_register(email))

    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims == {
        "sub": body["user"]["id"],
        "iat": claims["iat"],
        "exp": claims["iat"] + 900,
        "roles": ["user"],
        "permissions": ["tasks:read", "tasks:write"],
        "sid": claims["sid"],
    }


def test_an_email_in_any_case_is_registered_once(email: str) -> None:
    first = _register(email.upper())

    for again in (email, email.upper(), email.title()):
        answer = Api().post("/api/auth/register", {"email": again, "password": PASSWORD})
        assert_refused(answer, 409, "email-is-taken")
    assert content(first)["user"]["email"] == email
    assert _log_in(email.title()).status_code == 200


def test_one_of_many_simultaneous_registrations_gets_the_email(email: str) -> None:
    body = {"email": email, "password": PASSWORD}

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(lambda: Api().post("/api/auth/register", body)) for _ in range(4)]

    assert sorted(answer.result().status_code for answer in sent) == [201, 409, 409, 409]


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"email": None}, ["/email"]),
        ({"email": ""}, ["/email"]),
        ({"email": "nobody"}, ["/email"]),
        ({"email": "@example.com"}, ["/email"]),
        ({"email": "a@"}, ["/email"]),
        ({"email": "a@b@c.example"}, ["/email"]),
        ({"email": "a b@example.com"}, ["/email"]),
        ({"email": "a@example..com"}, ["/email"]),
        ({"email": "a@example.com\n"}, ["/email"]),
        ({"email": "a@example.com\0"}, ["/email"]),
        ({"email": "<a@example.com>"}, ["/email"]),
        ({"email": "x" * 250 + "@example.com"}, ["/email"]),
        ({"password": "1234567"}, ["/password"]),
        ({"password": "x" * 257}, ["/password"]),
        ({"password": 12_345_678}, ["/password"]),
        ({"password": "null\0null"}, ["/password"]),
        ({"timezone": "Mars/Olympus"}, ["/timezone"]),
        ({"timezone": "+02:00"}, ["/timezone"]),
        ({"timezone": "../etc/passwd"}, ["/timezone"]),
        ({"timezone": None}, ["/timezone"]),
        ({"roles": ["admin"], "id": "x"}, ["/id", "/roles"]),
        ({"email": "x", "password": "x", "timezone": "x"}, ["/email", "/password", "/timezone"]),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_wrong_registration_names_every_wrong_field(
    email: str, fields: dict[str, object], pointers: list[str]
) -> None:
    body = {"email": email, "password": PASSWORD, **fields}

    answer = Api().post("/api/auth/register", body)

    assert_invalid(answer, *pointers)


# Log in


def test_logging_in_begins_a_session(email: str) -> None:
    registered = content(_register(email))

    answer = _log_in(email)

    body = content(answer)
    assert answer.status_code == 200
    assert set(body) == {"user", "access_token", "refresh_token", "token_type", "expires_in"}
    assert body["user"] == registered["user"]
    assert body["refresh_token"] != registered["refresh_token"]
    assert _refresh(registered["refresh_token"]).status_code == 200, "the other device stays"


@pytest.mark.parametrize("wrong", ["wrong", PASSWORD.upper(), PASSWORD + " ", "", "x" * 256])
def test_a_wrong_password_and_an_unknown_email_are_answered_alike(email: str, wrong: str) -> None:
    _register(email)

    known, unknown = _log_in(email, wrong), _log_in(f"not-{email}", wrong)

    refused = assert_refused(known, 401, "credentials-are-wrong")
    assert without_request(refused) == without_request(assert_refused(unknown, 401))
    assert set(known.headers.keys()) == set(unknown.headers.keys())
    assert "Set-Cookie" not in known.headers


def test_a_password_is_checked_for_an_unknown_email_too(email: str, hashings: list[object]) -> None:
    _register(email)
    hashings.clear()

    _log_in(email, "wrong")
    for_known = len(hashings)
    _log_in(f"not-{email}", "wrong")

    assert for_known == 1
    assert len(hashings) == 2


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_the_right_password_must_wait_after_ten_failures(
    email: str, hashings: list[object], set_clock: SetClock, *, is_known: bool
) -> None:
    if is_known:
        _register(email)
    now = clock.now()
    set_clock(now)
    failures = [_log_in(email, "wrong") for _ in range(10)]
    hashings.clear()

    refused = [_log_in(email), _log_in(email.upper()), _log_in(email, "wrong")]

    assert {answer.status_code for answer in failures} == {401}
    for answer in refused:
        assert_refused(answer, 429, "too-many-attempts")
        assert answer.headers["Retry-After"] == "900"
    assert hashings == [], "no more passwords are tried"

    set_clock(now + timedelta(minutes=15) - A_SECOND)
    last_second = _log_in(email)
    set_clock(now + timedelta(minutes=15))
    after = _log_in(email)

    assert last_second.status_code == 429
    assert last_second.headers["Retry-After"] == "1"
    assert after.status_code == (200 if is_known else 401)


def test_failures_of_one_account_do_not_lock_another(email: str) -> None:
    other = f"other-{email}"
    _register(other)
    for _ in range(11):
        _log_in(email, "wrong")

    assert _log_in(other).status_code == 200


def test_a_log_in_clears_the_failures_before_it(email: str) -> None:
    _register(email)
    for _ in range(9):
        _log_in(email, "wrong")

    assert _log_in(email).status_code == 200
    assert [_log_in(email, "wrong").status_code for _ in range(10)] == [401] * 10
    assert _log_in(email).status_code == 429


def test_no_more_than_ten_of_many_simultaneous_attempts_are_tried(
    email: str, hashings: list[object]
) -> None:
    _register(email)
    hashings.clear()

    with ThreadPoolExecutor(16) as pool:
        sent = [pool.submit(_log_in, email, "wrong") for _ in range(24)]

    statuses = sorted(answer.result().status_code for answer in sent)
    assert statuses == [401] * 10 + [429] * 14
    assert len(hashings) == 10


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/email", "/password"]),
        ({"email": "nobody@example.com"}, ["/password"]),
        ({"email": "nobody", "password": "x" * 257}, ["/email", "/password"]),
        ({"email": ["a"], "password": {"x": 1}}, ["/email", "/password"]),
        ({"email": "a@example.com", "password": "x", "remember": True}, ["/remember"]),
    ],
    ids=repr,
)
def test_a_wrong_log_in_names_every_wrong_field(
    body: dict[str, object], pointers: list[str]
) -> None:
    assert_invalid(Api().post("/api/auth/login", body), *pointers)


# Refresh


def test_a_refresh_token_is_traded_for_new_tokens(email: str) -> None:
    registered = content(_register(email))

    answer = _refresh(registered["refresh_token"])

    body = content(answer)
    assert answer.status_code == 200
    assert set(body) == set(registered)
    assert body["user"] == registered["user"]
    assert body["refresh_token"] != registered["refresh_token"]
    own = SignedIn(body["user"]["id"], email, body["access_token"])
    assert Api(own).get("/api/{user_id}/tasks").status_code == 200


def test_refresh_tokens_rotate_any_number_of_times(email: str, set_clock: SetClock) -> None:
    now, token = clock.now(), _token(_register(email))

    for day in range(1, 100, 20):
        set_clock(now + timedelta(days=day))
        token = _token(_refresh(token))


def test_a_used_refresh_token_is_accepted_for_thirty_seconds(
    email: str, set_clock: SetClock
) -> None:
    now = clock.now()
    set_clock(now)
    first = _token(_register(email))
    successors = [_token(_refresh(first))]

    for after_s in (0, 1, 30):
        set_clock(now + after_s * A_SECOND)
        successors.append(_token(_refresh(first)))

    assert len(set(successors)) == 4
    for successor in successors:
        assert _refresh(successor).status_code == 200


def test_a_refresh_token_used_again_later_ends_its_whole_session(
    email: str, set_clock: SetClock
) -> None:
    now = clock.now()
    set_clock(now)
    first, other_device = _token(_register(email)), _token(_log_in(email))
    second = _token(_refresh(first))
    third = _token(_refresh(second))

    set_clock(now + timedelta(seconds=30, microseconds=1))
    stolen = _refresh(first)

    assert_refused(stolen, 401, "refresh-token-is-invalid")
    for token in (first, second, third):
        assert_refused(_refresh(token), 401, "refresh-token-is-invalid")
    assert _refresh(other_device).status_code == 200
    assert _log_in(email).status_code == 200


def test_two_tabs_that_refresh_at_once_both_go_on(email: str) -> None:
    token = _token(_register(email))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(_refresh, [token] * 8))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({_token(answer) for answer in answers}) == 8


def test_a_refresh_token_ends_after_thirty_days(email: str, set_clock: SetClock) -> None:
    now = clock.now()
    set_clock(now)
    first = _token(_register(email))
    unused = _token(_log_in(email))

    set_clock(now + timedelta(days=30) - A_SECOND)
    in_time = _refresh(first)
    set_clock(now + timedelta(days=30))
    late = _refresh(unused)

    assert in_time.status_code == 200
    assert_refused(late, 401, "refresh-token-is-invalid")


@pytest.mark.parametrize("token", ["", "unknown", "x" * 200, "ü", "' OR 1=1 --"])
def test_an_unknown_refresh_token_is_refused(token: str) -> None:
    answer = _refresh(token)

    assert_refused(answer, 401, "refresh-token-is-invalid")
    assert "Set-Cookie" not in answer.headers


def test_an_access_token_cannot_refresh_a_session(email: str) -> None:
    access_token = content(_register(email))["access_token"]

    answer = _refresh(access_token[:200])

    assert_refused(answer, 401, "refresh-token-is-invalid")


@pytest.mark.parametrize("token", [7, ["x"], "x" * 201, {"refresh_token": "x"}])
def test_a_malformed_refresh_token_is_invalid_content(token: object) -> None:
    answer = Api().post("/api/auth/refresh", {"refresh_token": token})

    assert_invalid(answer, "/refresh_token")


# The cookie


@pytest.mark.parametrize("environment", ["test", "production"])
def test_the_refresh_cookie_is_for_our_own_pages_alone(email: str, environment: str) -> None:
    with changed_settings(environment=environment):
        registered = _register(email)
        answers = [registered, _log_in(email), _refresh(_token(registered))]

    for answer in answers:
        cookie = _cookie(answer)
        assert cookie.key == "taskflow_refresh"
        assert cookie.value == _token(answer)
        assert cookie["httponly"] is True
        assert cookie["samesite"] == "Strict"
        assert cookie["path"] == "/api/auth"
        assert cookie["domain"] == ""
        assert int(cookie["max-age"]) == 30 * 24 * 3600
        assert bool(cookie["secure"]) == (environment == "production")


def test_a_page_of_our_origin_refreshes_with_its_cookie(email: str) -> None:
    token = _token(_register(email))

    answer = _with_cookie("/api/auth/refresh", token, **OWN_ORIGIN)

    assert answer.status_code == 200
    assert _cookie(answer).value == _token(answer) != token


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "localhost",
        "http://evil.example",
        "http://localhost.evil.example",
        "http://evil.localhost",
        "http://localhost:8080",
        "http://localhost@evil.example",
        "http://x@localhost",
        "file://",
    ],
)
def test_the_refresh_cookie_counts_for_no_other_origin(email: str, origin: str | None) -> None:
    token = _token(_register(email))
    headers = {} if origin is None else {"Origin": origin}

    with changed_settings(cors_origins=("http://evil.example",)):
        refreshed = _with_cookie("/api/auth/refresh", token, **headers)

    assert_refused(refreshed, 401, "refresh-token-is-invalid")
    assert _refresh(token).status_code == 200, "the session goes on"


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("tasks.example", 200),
        ("evil.example, tasks.example", 200),
        ("tasks.example, evil.example", 401),
        ("", 401),
    ],
)
def test_the_refresh_cookie_counts_at_the_address_that_a_gateway_was_asked_by(
    email: str, forwarded: str, status: int
) -> None:
    token = _token(_register(email))
    headers = {"Origin": "https://tasks.example", "X-Forwarded-Host": forwarded}

    refreshed = _with_cookie("/api/auth/refresh", token, **headers)

    assert refreshed.status_code == status


def test_no_page_of_another_site_can_say_what_a_gateway_was_asked_by(email: str) -> None:
    token = _token(_register(email))
    headers = {"Origin": "http://evil.example", "X-Forwarded-Host": "localhost"}

    refreshed = _with_cookie("/api/auth/refresh", token, **headers)

    assert refreshed.status_code == 401
    assert "forwarded" not in browser.ALLOWED_HEADERS.lower()


def test_the_refresh_token_in_the_body_counts_before_the_cookie(email: str) -> None:
    token = _token(_register(email))

    answer = Api().post(
        "/api/auth/refresh",
        {"refresh_token": "unknown"},
        headers={"Cookie": f"taskflow_refresh={token}", **OWN_ORIGIN},
    )

    assert_refused(answer, 401, "refresh-token-is-invalid")


def test_the_refresh_cookie_is_no_access_token(email: str) -> None:
    token = _token(_register(email))

    answer = Api().get("/api/tasks", headers={"Cookie": f"taskflow_refresh={token}", **OWN_ORIGIN})

    assert_refused(answer, 401, "no-token")


# Log out


def test_logging_out_ends_the_session_and_removes_the_cookie(email: str) -> None:
    registered = _register(email)
    first = _token(registered)
    second, other_device = _token(_refresh(first)), _token(_log_in(email))

    answer = _log_out(registered, {"refresh_token": second})

    assert (answer.status_code, answer.data) == (204, b"")
    cookie = _cookie(answer)
    assert (cookie.key, cookie.value, cookie["path"]) == ("taskflow_refresh", "", "/api/auth")
    assert cookie["max-age"] == "0"
    for token in (first, second):
        assert_refused(_refresh(token), 401, "refresh-token-is-invalid")
    assert _refresh(other_device).status_code == 200


@pytest.mark.parametrize("body", [None, {}, {"refresh_token": None}, {"refresh_token": "unknown"}])
def test_logging_out_without_a_valid_refresh_token_ends_the_session_of_the_access_token(
    email: str, body: object
) -> None:
    registered = _register(email)
    other_device = _token(_log_in(email))

    answer = _log_out(registered, body)

    assert answer.status_code == 204
    assert_refused(_refresh(_token(registered)), 401)
    assert _refresh(other_device).status_code == 200


def test_an_access_token_of_an_ended_session_is_refused(
    email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended_sessions, "LOOK_EVERY_S", 0)
    first, second = _register(email), _log_in(email)
    before = _settings_by(first).status_code

    _log_out(first, {"refresh_token": _token(first)})

    assert before == 200
    assert_refused(_settings_by(first), 401, "invalid-token")
    assert _settings_by(second).status_code == 200


def _settings_by(signed_in: TestResponse) -> TestResponse:
    token = content(signed_in)["access_token"]
    return Api().get("/api/settings", headers={"Authorization": f"Bearer {token}"})


def test_logging_out_of_an_unknown_session_succeeds(email: str) -> None:
    registered = _register(email)
    _log_out(registered, None)

    answer = _log_out(registered, {"refresh_token": "unknown"})

    assert answer.status_code == 204


def test_a_user_cannot_log_out_another_user(email: str) -> None:
    token = _token(_register(email))
    somebody_else = _register(f"else-{email}")

    answer = _log_out(somebody_else, {"refresh_token": token})

    assert answer.status_code == 204
    assert _refresh(token).status_code == 200


def test_a_stranger_cannot_log_out_a_user(email: str) -> None:
    token = _token(_register(email))

    answer = Api().post("/api/auth/logout", {"refresh_token": token})

    assert_refused(answer, 401)
    assert _refresh(token).status_code == 200


def test_logging_in_refreshing_and_logging_out_append_no_event(email: str) -> None:
    registered = _register(email)
    user_id = content(registered)["user"]["id"]

    with assert_events_explain_the_change(user_id) as happened:
        logged_in = _log_in(email)
        _log_out(logged_in, {"refresh_token": _token(_refresh(_token(logged_in)))})

    assert happened == []
