"""Text that identifies is one however it is spelled: emails, passwords and tags (S7)."""

import unicodedata
from collections.abc import Sequence
from uuid import uuid4

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from taskflow import command_line, config
from taskflow.config import Settings
from taskflow.domain.accounts import PASSWORD_MAX_CHARS
from taskflow.domain.tasks import SENT_TAGS_MAX, TAG_MAX_CHARS, TAGS_MAX
from taskflow.serving import passwords
from taskflow.standalone import supervisor
from taskflow.storage import transaction
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import a_stored_task
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused

pytestmark = pytest.mark.usefixtures("database")

NFC, NFD = "é", "e\u0301"
PASSWORD = f"{NFC}t{NFC} 1789"
SPELLINGS = [
    "{mark}@b\u00fccher.example",
    "{mark}@bu\u0308cher.example",
    "{mark}@B\u00dcCHER.Example",
    "{mark}@xn--bcher-kva.example",
    "{mark}@XN--BCHER-KVA.EXAMPLE",
    "{mark}@b\u00fccher\u3002example",
    "{mark}@b\u00fccher.example.",
]


def _register(email: str, password: str = PASSWORD) -> TestResponse:
    return Api().post("/api/auth/register", {"email": email, "password": password})


def _log_in(email: str, password: str = PASSWORD) -> TestResponse:
    return Api().post("/api/auth/login", {"email": email, "password": password})


def _set(user_id: str, column: str, value: str) -> None:
    with transaction(A_CAUSE) as tx:
        statement = text(f"UPDATE users SET {column} = :value WHERE id = :id")  # noqa: S608 - ours
        tx.connection.execute(statement, {"value": value, "id": user_id})


@pytest.mark.parametrize("registered", SPELLINGS)
def test_an_email_is_one_account_in_all_its_spellings(registered: str) -> None:
    local = f"{NFC}{uuid4()}"
    mark = unicodedata.normalize("NFD", local)
    body = content(_register(registered.format(mark=mark)))

    for spelling in SPELLINGS:
        for name in (local, mark, local.upper()):
            again = spelling.format(mark=name)
            assert_refused(_register(again), 409, "email-is-taken")
            assert content(_log_in(again))["user"]["id"] == body["user"]["id"]
    assert body["user"]["email"] == f"{local}@b\u00fccher.example"


def test_failures_count_for_all_spellings_of_an_email_together() -> None:
    mark = str(uuid4())
    emails = [spelling.format(mark=mark) for spelling in SPELLINGS]

    statuses = [_log_in(emails[number % len(emails)], "x").status_code for number in range(11)]

    assert statuses == [401] * 10 + [429]


def test_an_account_stored_with_an_old_spelling_is_found_by_that_spelling() -> None:
    mark = str(uuid4())
    first = content(_register(f"{mark}@other.example"))["user"]["id"]
    second = content(_register(f"{mark}@b\u00fccher.example"))["user"]["id"]
    _set(first, "email", f"{mark}@xn--bcher-kva.example")

    assert content(_log_in(f"{mark}@xn--bcher-kva.example"))["user"]["id"] == first
    assert content(_log_in(f"{mark}@b\u00fccher.example"))["user"]["id"] == second


@pytest.mark.parametrize(
    "email", ["a@xn--.example", "a@b\uff20c.example", "a@", "@a.example.", "."]
)
def test_an_odd_email_is_registered_or_refused_as_invalid(email: str) -> None:
    assert _register(email).status_code in {201, 422}
    if "xn--" not in email:
        assert_invalid(_log_in(email), "/email")


@pytest.mark.parametrize(
    "domain", ["example.com*", "-a.example", "a-.example", "a_b.example", f"{'a' * 64}.example"]
)
def test_an_email_that_no_mail_reaches_opens_no_account_and_may_have_an_old_one(
    domain: str,
) -> None:
    email = f"{uuid4()}@{domain}"

    assert_invalid(_register(email), "/email")
    assert_refused(_log_in(email), 401, "credentials-are-wrong")


def _the_tests_own(_read: Settings) -> Settings:
    return config.settings()


def test_an_administrator_is_named_by_any_spelling(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = str(uuid4())
    assert _register(f"{mark}@b\u00fccher.example").status_code == 201
    monkeypatch.setattr(supervisor, "reach", _the_tests_own)

    status = command_line.main(["admin", "grant", f"{mark}@XN--bcher-kva.example"])
    wrong = command_line.main(["admin", "grant", "nobody"])

    assert (status, wrong) == (0, 2)
    assert "'nobody' is not an email address" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("chosen", "typed"),
    [
        (PASSWORD, unicodedata.normalize("NFD", PASSWORD)),
        (unicodedata.normalize("NFD", PASSWORD), PASSWORD),
        (PASSWORD, PASSWORD.replace(" ", "\u00a0")),
        ("\u212bngstr\u00f6m 1", "\u00c5ngstro\u0308m 1"),
    ],
)
def test_a_password_is_right_in_either_unicode_form(chosen: str, typed: str) -> None:
    email = f"{uuid4()}@example.com"
    assert _register(email, chosen).status_code == 201

    assert _log_in(email, typed).status_code == 200
    assert _log_in(email, typed.upper()).status_code == 401


def test_the_length_of_a_password_is_measured_in_nfc() -> None:
    for password, status in [
        (NFD * 7, 422),
        (NFD * 8, 201),
        (NFD * PASSWORD_MAX_CHARS, 201),
        (NFD * (PASSWORD_MAX_CHARS + 1), 422),
        ("\u0301\u0323" * 5_000, 422),
    ]:
        assert _register(f"{uuid4()}@example.com", password).status_code == status


def test_a_password_hashed_before_nfc_is_right_and_is_hashed_anew() -> None:
    email, typed = f"{uuid4()}@example.com", unicodedata.normalize("NFD", PASSWORD)
    user_id = content(_register(email))["user"]["id"]
    _set(user_id, "password_hash", passwords.hash_password(typed))

    assert _log_in(email, PASSWORD).status_code == 401
    assert _log_in(email, typed).status_code == 200
    assert _log_in(email, PASSWORD).status_code == 200


@pytest.fixture
def api(user: SignedIn) -> Api:
    """Return a client of a new user."""
    return Api(user)


def _tags(api: Api, tags: Sequence[str]) -> TestResponse:
    return api.post("/api/tasks", {"title": "x", "tags": list(tags)})


def test_a_tag_is_one_in_all_its_unicode_forms(api: Api) -> None:
    task = content(_tags(api, [NFD, NFC, "a"]))

    assert task["tags"] == [NFC, "a"]
    for form in (NFC, NFD):
        found = content(api.get("/api/tasks", query_string={"tag": [form, "a"]}))["items"]
        assert [each["id"] for each in found] == [task["id"]]
    unchanged = content(api.patch(f"/api/tasks/{task['id']}", {"tags": [NFD, "a"]}))
    assert unchanged["version"] == 1


def test_tags_are_counted_and_measured_in_nfc(api: Api) -> None:
    letters = [chr(0x1E00 + 2 * number) for number in range(TAGS_MAX + 1)]
    twice = letters[:TAGS_MAX] + [unicodedata.normalize("NFD", each) for each in letters[:TAGS_MAX]]

    assert len(content(_tags(api, twice))["tags"]) == TAGS_MAX
    assert_invalid(_tags(api, letters), "/tags")
    assert_invalid(_tags(api, ["a"] * (SENT_TAGS_MAX + 1)), "/tags")
    assert _tags(api, [NFD * TAG_MAX_CHARS]).status_code == 201
    assert_invalid(_tags(api, [NFD * (TAG_MAX_CHARS + 1)]), "/tags/0")


def test_a_tag_stored_before_nfc_is_found_by_either_form(user: SignedIn, api: Api) -> None:
    task = a_stored_task(user.user_id, tags=["x"])
    with transaction(A_CAUSE) as tx:
        statement = text("UPDATE tasks SET tags = :tags WHERE id = :id")
        tx.connection.execute(statement, {"tags": [NFD], "id": task.id})

    for form in (NFC, NFD):
        found = content(api.get("/api/tasks", query_string={"tag": form}))["items"]
        assert [each["id"] for each in found] == [str(task.id)]
