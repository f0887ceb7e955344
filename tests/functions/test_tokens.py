"""Access tokens: which are accepted, and what they allow (A4, S2, S3)."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from taskflow import clock
from tests.support.data.accounts import SignedIn, an_administrator
from tests.support.data.builders import a_stored_task
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_refused
from tests.support.functions.tokens import a_token, with_token
from tests.support.settings import changed_settings

pytestmark = pytest.mark.usefixtures("database")

A_SECOND = timedelta(seconds=1)
AN_HOUR = timedelta(hours=1)


def _unsigned(user_id: str, algorithm: str) -> str:
    claims = jwt.decode(a_token(user_id), options={"verify_signature": False})
    parts = [{"alg": algorithm, "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts]
    return ".".join(part.decode().rstrip("=") for part in encoded) + "."


def _signed_by_rsa(user_id: str) -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return a_token(user_id, key=pem.decode(), algorithm="RS256")


def _altered(user_id: str) -> str:
    header, _, signature = a_token("another").split(".")
    return ".".join([header, a_token(user_id).split(".")[1], signature])


FORGED: dict[str, Callable[[str], str]] = {
    "algorithm none": lambda user_id: _unsigned(user_id, "none"),
    "algorithm None": lambda user_id: _unsigned(user_id, "None"),
    "no signature": lambda user_id: _unsigned(user_id, "HS256"),
    "no signature part": lambda user_id: a_token(user_id).rpartition(".")[0],
    "signature of other claims": _altered,
    "another key": lambda user_id: a_token(user_id, key="another key of at least 32 characters"),
    "RS256": _signed_by_rsa,
    "HS512": lambda user_id: a_token(user_id, algorithm="HS512", key="x" * 64),
    "expired": lambda user_id: a_token(user_id, exp=clock.now() - AN_HOUR),
    "just expired": lambda user_id: a_token(user_id, exp=clock.now() - 31 * A_SECOND),
    "not yet valid": lambda user_id: a_token(user_id, nbf=clock.now() + AN_HOUR),
    "issued in the future": lambda user_id: a_token(user_id, iat=clock.now() + AN_HOUR),
    "no sub": lambda user_id: a_token(user_id, without="sub"),
    "no exp": lambda user_id: a_token(user_id, without="exp"),
    "no iat": lambda user_id: a_token(user_id, without="iat"),
    "empty sub": lambda _: a_token(""),
    "long sub": lambda _: a_token("x" * 256),
    "very long sub": lambda _: a_token("x" * 300),
    "null in sub": lambda _: a_token("a\0b"),
    "line break in sub": lambda _: a_token("a\nb"),
    "surrogate in sub": lambda _: a_token("a\ud800b"),
    "exp of text": lambda user_id: a_token(user_id, exp="tomorrow"),
    "exp beyond time": lambda user_id: a_token(user_id, exp=1e300),
    "exp not a number": lambda user_id: a_token(user_id, exp=float("nan")),
    "exp null": lambda user_id: a_token(user_id, exp=None),
    "nbf null": lambda user_id: a_token(user_id, nbf=None),
    "garbage": lambda _: "garbage",
    "dots": lambda _: "..",
    "binary": lambda _: "\xff\xfe.\xff.\xff",
    "long garbage": lambda _: "x" * 50_000,
    "nothing": lambda _: "",
    "two tokens": lambda user_id: f"{a_token(user_id)} {a_token(user_id)}",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_refused(user: SignedIn, forge: Callable[[str], str]) -> None:
    forged = with_token(user, forge(user.user_id))

    for path in ("/api/tasks", "/api/{user_id}/tasks"):
        assert_refused(Api(forged).get(path), 401)


@pytest.mark.parametrize("sub", [None, 7, ["somebody"], {"id": "somebody"}, True])
def test_a_token_whose_sub_is_no_text_is_refused(user: SignedIn, sub: object) -> None:
    key = "a secret for tests, and for nothing else at all"
    claims = jwt.decode(user.token, options={"verify_signature": False})
    # PyJWT would not write it; another library may.
    header = {"alg": "HS256", "typ": "JWT"}
    token = jwt.api_jws.encode(json.dumps({**claims, "sub": sub}).encode(), key, headers=header)

    answer = Api(with_token(user, token)).get("/api/tasks")

    assert_refused(answer, 401)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer    ",
        "Basic {token}",
        "{token}",
        "Token {token}",
        "Bearer\t{token}",
        "Bearer={token}",
        "BearerX {token}",
    ],
)
def test_an_authorization_header_without_bearer_and_token_is_refused(
    user: SignedIn, header: str
) -> None:
    given = {"Authorization": header.format(token=user.token)}

    answer = Api().get("/api/tasks", headers=given)

    problem = assert_refused(answer, 401, "no-token")
    assert user.token not in json.dumps(problem)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_bearer_is_read_in_any_case(user: SignedIn, scheme: str) -> None:
    answer = Api().get("/api/tasks", headers={"Authorization": f"{scheme} {user.token}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("place", ["?token={token}", "?access_token={token}", "?jwt={token}"])
def test_a_token_in_the_query_is_ignored(user: SignedIn, place: str) -> None:
    answer = Api().get("/api/tasks" + place.format(token=user.token))

    assert_refused(answer, 401, "no-token")


def test_a_refused_token_is_challenged_as_invalid(user: SignedIn) -> None:
    answer = Api(with_token(user, "garbage")).get("/api/tasks")

    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="taskflow", error="invalid_token"'


@pytest.mark.parametrize("claims", [{"exp": -5}, {"nbf": 5}, {"iat": 5}])
def test_a_token_is_accepted_within_some_seconds_of_clock_difference(
    user: SignedIn, claims: dict[str, int]
) -> None:
    now = clock.now()
    near: dict[str, Any] = {name: now + offset * A_SECOND for name, offset in claims.items()}

    answer = Api(with_token(user, a_token(user.user_id, **near))).get("/api/tasks")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"aud": "taskflow"}, 200),
        ({"aud": ["other", "taskflow"]}, 200),
        ({"aud": "other"}, 401),
        ({"aud": ["other"]}, 401),
        ({"aud": []}, 401),
        ({}, 401),
    ],
)
def test_the_audience_of_a_token_counts_where_one_is_configured(
    user: SignedIn, claims: dict[str, Any], status: int
) -> None:
    with changed_settings(jwt_audience="taskflow"):
        answer = Api(with_token(user, a_token(user.user_id, **claims))).get("/api/tasks")

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"iss": "https://issuer.example"}, 200),
        ({"iss": "https://other.example"}, 401),
        ({}, 401),
    ],
)
def test_the_issuer_of_a_token_counts_where_one_is_configured(
    user: SignedIn, claims: dict[str, Any], status: int
) -> None:
    with changed_settings(jwt_issuer="https://issuer.example"):
        answer = Api(with_token(user, a_token(user.user_id, **claims))).get("/api/tasks")

    assert answer.status_code == status


def test_our_own_tokens_carry_the_issuer_and_audience_that_are_configured() -> None:
    credentials = {"email": "issuer@example.com", "password": "a long password"}

    with changed_settings(jwt_issuer="https://issuer.example", jwt_audience="taskflow"):
        registered = content(Api().post("/api/auth/register", credentials))
        token = registered["access_token"]
        answer = Api().get("/api/tasks", headers={"Authorization": f"Bearer {token}"})

    claims = jwt.decode(token, options={"verify_signature": False})
    assert answer.status_code == 200
    assert claims == {
        "sub": registered["user"]["id"],
        "iat": claims["iat"],
        "exp": claims["iat"] + registered["expires_in"],
        "iss": "https://issuer.example",
        "aud": "taskflow",
        "roles": ["user"],
        "permissions": ["tasks:read", "tasks:write"],
        "sid": claims["sid"],
    }


@pytest.mark.parametrize("without", ["roles", "permissions"])
def test_a_token_without_roles_has_the_role_user(user: SignedIn, without: str) -> None:
    task = a_stored_task(user.user_id)
    plain = Api(with_token(user, a_token(user.user_id, without=without)))

    assert plain.get("/api/tasks").status_code == 200
    assert plain.post("/api/tasks", {"title": "Buy milk"}).status_code == 201
    assert_refused(
        plain.post(f"/api/admin/tasks/{task.id}/correct", {"title": "x"}), 403, "missing-role"
    )


def test_an_unknown_role_allows_nothing(user: SignedIn) -> None:
    answer = Api(with_token(user, a_token(user.user_id, roles=["root", "superuser"]))).get(
        "/api/tasks"
    )

    assert_refused(answer, 403, "missing-permission")


@pytest.mark.parametrize(
    ("permissions", "reads", "writes"),
    [
        (["tasks:read"], 200, 403),
        (["tasks:write"], 403, 201),
        (["tasks:read", "tasks:write"], 200, 201),
        (["audit:read"], 403, 403),
        (["tasks:*"], 403, 403),
        ([], 403, 403),
        ("tasks:read", 403, 403),
        (None, 403, 403),
    ],
)
def test_the_permissions_of_a_token_restrict_it(
    user: SignedIn, permissions: object, reads: int, writes: int
) -> None:
    api = Api(with_token(user, a_token(user.user_id, permissions=permissions)))

    assert api.get("/api/tasks").status_code == reads
    assert api.post("/api/tasks", {"title": "Buy milk"}).status_code == writes


def test_an_administrator_without_the_permission_cannot_correct_a_task(user: SignedIn) -> None:
    task, administrator = a_stored_task(user.user_id), an_administrator()
    reader = a_token(administrator.user_id, roles=["user", "admin"], permissions=["tasks:read"])

    answer = Api(with_token(administrator, reader)).post(
        f"/api/admin/tasks/{task.id}/correct", {"title": "x"}
    )

    assert_refused(answer, 403, "missing-permission")


def test_the_token_of_an_unknown_account_is_refused(user: SignedIn) -> None:
    gone = Api(with_token(user, a_token("gone")))

    assert_refused(gone.post("/api/tasks", {"title": "Buy milk"}), 401, "account-not-found")
    assert_refused(gone.get("/api/settings"), 401, "account-not-found")
    assert_refused(gone.get("/api/events"), 401, "account-not-found")


def test_any_audience_is_accepted_where_none_is_configured(user: SignedIn) -> None:
    token = a_token(user.user_id, aud="somebody")

    answer = Api(with_token(user, token)).get("/api/tasks")

    assert answer.status_code == 200
