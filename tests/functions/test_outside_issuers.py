"""Outside issuers: whose tokens are accepted, and what becomes of who comes with one (S2, S3)."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text

from taskflow import clock, config
from taskflow.serving import ended_sessions, jwks
from taskflow.serving.jwks import FETCH_EVERY_S
from taskflow.storage import account_store, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import log_of
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_refused
from tests.support.functions.tokens import a_token, with_token
from tests.support.network.issuer import (
    ALGORITHMS,
    AUDIENCE,
    Issuer,
    a_key,
    an_issuer,
    trusting,
)
from tests.support.settings import changed_settings

pytestmark = pytest.mark.usefixtures("database")

AN_HOUR = timedelta(hours=1)
A_SECRET = "the secret that a Better Auth server signs with, of more than 64 characters"


@pytest.fixture(scope="module")
def running() -> Generator[Issuer]:
    with an_issuer(*ALGORITHMS) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def stranger() -> Generator[Issuer]:
    """Run another issuer, which nobody trusts."""
    with an_issuer(*ALGORITHMS) as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Generator[Issuer]:
    """Trust an issuer in place of ourselves."""
    with trusting(running):
        yield running


# Which tokens are accepted


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_the_issuer_opens_the_api(issuer: Issuer, algorithm: str) -> None:
    user = issuer.user(by=issuer.key(algorithm))

    created = Api(user).post("/api/{user_id}/tasks", {"title": "Buy milk"})

    assert created.status_code == 201
    assert content(created)["user_id"] == user.user_id
    assert content(Api(user).get("/api/tasks"))["items"] == [content(created)]


def _public_pem(issuer: Issuer) -> bytes:
    public = issuer.key("RS256").private.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _by_hand(issuer: Issuer, header: dict[str, object], secret: bytes | None) -> str:
    """Write a token that no library would: signed with a public key, or not at all."""
    payload = issuer.token("somebody").split(".")[1]
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    signed = f"{encoded}.{payload}"
    if secret is None:
        return f"{signed}."
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _confused(issuer: Issuer) -> dict[str, str]:
    """Tokens that would have the public key, or another, be taken for another algorithm's."""
    of_rsa, of_curve = issuer.key("RS256"), issuer.key("ES256")
    hs256: dict[str, object] = {"alg": "HS256", "kid": of_rsa.key_id}
    jwk = json.dumps(of_rsa.jwk).encode()
    return {
        "the public key as the secret of HS256": _by_hand(issuer, hs256, _public_pem(issuer)),
        "the same without the last line break": _by_hand(
            issuer, hs256, _public_pem(issuer).strip()
        ),
        "the published key as the secret": _by_hand(issuer, hs256, jwk),
        "our own secret": a_token("somebody", iss=issuer.name, aud=AUDIENCE),
        "an empty secret": _by_hand(issuer, hs256, b""),
        "none": _by_hand(issuer, {"alg": "none", "kid": of_rsa.key_id}, None),
        "None": _by_hand(issuer, {"alg": "None", "kid": of_rsa.key_id}, None),
        "no algorithm": _by_hand(issuer, {"kid": of_rsa.key_id}, None),
        "an algorithm that is no text": _by_hand(issuer, {"alg": ["RS256"], "kid": "x"}, b"x"),
        "no signature": issuer.token(by=of_rsa).rpartition(".")[0] + ".",
        "RS384": issuer.token(by=of_rsa, algorithm="RS384"),
        "RS512": issuer.token(by=of_rsa, algorithm="RS512"),
        "PS256": issuer.token(by=of_rsa, algorithm="PS256"),
        "the name of a key for another algorithm": issuer.token(
            by=of_rsa, header={"kid": of_curve.key_id}
        ),
    }


CONFUSED = [
    "the public key as the secret of HS256",
    "the same without the last line break",
    "the published key as the secret",
    "our own secret",
    "an empty secret",
    "none",
    "None",
    "no algorithm",
    "an algorithm that is no text",
    "no signature",
    "RS384",
    "RS512",
    "PS256",
    "the name of a key for another algorithm",
]


@pytest.mark.parametrize("case", CONFUSED)
def test_a_token_by_another_algorithm_than_its_keys_is_refused(issuer: Issuer, case: str) -> None:
    forged = SignedIn("somebody", "", _confused(issuer)[case])

    assert_refused(Api(forged).get("/api/tasks"), 401, "invalid-token")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_that_another_issuer_signed_is_refused(
    issuer: Issuer, stranger: Issuer, algorithm: str
) -> None:
    theirs, ours = stranger.key(algorithm), issuer.key(algorithm)
    # RSA keys take long to make, and in the tests all issuers have one.
    theirs = a_key("ES256") if algorithm == "RS256" else theirs
    forged = [
        issuer.token(by=theirs),
        issuer.token(by=theirs, header={"kid": ours.key_id}),
        issuer.token(by=theirs, header={"kid": None}),
        issuer.token(by=ours, iss=stranger.name),
        issuer.token(by=ours, iss=f"{issuer.name}/"),
        issuer.token(by=ours, without="iss"),
    ]

    for token in forged:
        assert_refused(Api(SignedIn("x", "", token)).get("/api/tasks"), 401, "invalid-token")


@pytest.mark.parametrize(
    "kid",
    [
        "",
        "unknown",
        "../../../dev/null",
        "/dev/null",
        "' OR 1=1 --",
        "http://127.0.0.1:1/key",
        "x\r\nHost: evil.example",
        "\0",
        "x" * 8000,
        7,
        None,
        ["a"],
        {"a": 1},
        True,
    ],
    ids=lambda kid: repr(kid)[:30],
)
def test_the_name_of_a_key_is_only_ever_looked_up(issuer: Issuer, kid: object) -> None:
    Api(issuer.user()).get("/api/tasks")
    header: dict[str, object] = {"alg": "ES256", "kid": kid}

    answer = Api(SignedIn("x", "", _by_hand(issuer, header, b"x"))).get("/api/tasks")

    assert_refused(answer, 401, "invalid-token")


@pytest.mark.parametrize("member", ["jku", "x5u", "jwk", "x5c"])
def test_a_key_that_a_token_brings_or_leads_to_is_no_key(
    issuer: Issuer, stranger: Issuer, member: str
) -> None:
    own = a_key()
    stranger.keys.append(own)
    brought = {"jku": stranger.url, "x5u": stranger.url, "jwk": own.jwk, "x5c": ["x"]}[member]
    asked = stranger.asked
    forged = [
        issuer.token(by=own, header={member: brought}),
        issuer.token(by=own, header={member: brought, "kid": issuer.key("ES256").key_id}),
    ]

    for token in forged:
        assert_refused(Api(SignedIn("x", "", token)).get("/api/tasks"), 401, "invalid-token")
    assert stranger.asked == asked


WRONG: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.token(exp=clock.now() - AN_HOUR),
    "just expired": lambda issuer: issuer.token(exp=clock.now() - timedelta(seconds=31)),
    "not yet valid": lambda issuer: issuer.token(nbf=clock.now() + AN_HOUR),
    "issued in the future": lambda issuer: issuer.token(iat=clock.now() + AN_HOUR),
    "issued in the future and valid already": lambda issuer: issuer.token(
        iat=clock.now() + AN_HOUR, nbf=clock.now() - AN_HOUR
    ),
    "no exp": lambda issuer: issuer.token(without="exp"),
    "no iat": lambda issuer: issuer.token(without="iat"),
    "no sub": lambda issuer: issuer.token(without="sub"),
    "no aud": lambda issuer: issuer.token(without="aud"),
    "another aud": lambda issuer: issuer.token(aud="another"),
    "an empty aud": lambda issuer: issuer.token(aud=[]),
    "an aud in another case": lambda issuer: issuer.token(aud=AUDIENCE.upper()),
    "a long sub": lambda issuer: issuer.token("x" * 256),
    "a null in the sub": lambda issuer: issuer.token("a\0b"),
    "an extension that must be understood": lambda issuer: issuer.token(
        header={"crit": ["exp"], "exp": 0}
    ),
}


@pytest.mark.parametrize("write", WRONG.values(), ids=WRONG)
def test_a_token_of_the_issuer_with_wrong_claims_is_refused(
    issuer: Issuer, write: Callable[[Issuer], str]
) -> None:
    answer = Api(SignedIn("x", "", write(issuer))).get("/api/tasks")

    assert_refused(answer, 401, "invalid-token")


def test_a_token_of_our_own_is_refused_while_an_outside_issuer_is_trusted(
    user: SignedIn, issuer: Issuer
) -> None:
    assert_refused(Api(user).get("/api/tasks"), 401, "invalid-token")
    assert Api(issuer.user()).get("/api/tasks").status_code == 200


def test_a_token_of_an_outside_issuer_is_refused_while_we_issue_tokens(running: Issuer) -> None:
    assert_refused(Api(running.user()).get("/api/tasks"), 401, "invalid-token")


def test_without_the_keys_of_the_issuer_a_request_is_asked_to_come_back(
    running: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "status", 500)
    with trusting(running):
        answer = Api(running.user()).get("/api/tasks")

    assert_refused(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == f"{FETCH_EVERY_S:.0f}"


# A shared secret: Better Auth


@pytest.fixture
def better_auth(running: Issuer) -> Generator[Issuer]:
    with trusting(running, jwks_url=None, better_auth_secret=A_SECRET):
        yield running


def test_a_token_signed_with_the_shared_secret_opens_the_api(better_auth: Issuer) -> None:
    name = str(uuid4())
    token = a_token(name, key=A_SECRET, iss=better_auth.name, aud=AUDIENCE)

    created = Api(SignedIn(name, "", token)).post("/api/{user_id}/tasks", {"title": "Buy milk"})

    assert created.status_code == 201


def test_a_token_signed_with_another_secret_or_key_is_refused(better_auth: Issuer) -> None:
    claims: dict[str, Any] = {"iss": better_auth.name, "aud": AUDIENCE}
    forged = [
        a_token("x", **claims),
        a_token("x", key=f"{A_SECRET} ", **claims),
        a_token("x", key=A_SECRET, algorithm="HS512", **claims),
        better_auth.token("x"),
        better_auth.token("x", by=better_auth.key("RS256")),
        _by_hand(better_auth, {"alg": "none"}, None),
    ]

    for token in forged:
        assert_refused(Api(SignedIn("x", "", token)).get("/api/tasks"), 401, "invalid-token")


# The account


def test_an_account_is_made_on_first_use_with_its_event(issuer: Issuer) -> None:
    user = issuer.user(zoneinfo="Europe/Berlin")

    first = Api(user).get("/api/settings")
    again = Api(user).get("/api/settings")

    assert content(first)["timezone"] == content(again)["timezone"] == "Europe/Berlin"
    [registered] = log_of(user.user_id)
    assert (registered.event_type, registered.actor) == ("user.registered", user.user_id)
    assert json.loads(registered.data_json) == {
        "id": user.user_id,
        "email": None,
        "timezone": "Europe/Berlin",
    }


def test_a_change_on_first_use_is_explained_by_its_events(issuer: Issuer) -> None:
    user = issuer.user()
    Api(user).get("/api/tasks")

    with assert_events_explain_the_change(user.user_id) as happened:
        Api(user).post("/api/tasks", {"title": "Buy milk"})

    assert [event.event_type for event in happened] == ["task.created"]


def test_requests_at_once_make_one_account(issuer: Issuer) -> None:
    user = issuer.user()

    with ThreadPoolExecutor(12) as pool:
        sent = [pool.submit(Api(user).post, "/api/tasks", {"title": "Buy"}) for _ in range(12)]
        statuses = [each.result().status_code for each in sent]

    assert statuses == [201] * 12
    types = [event.event_type for event in log_of(user.user_id)]
    assert types == ["user.registered", *["task.created"] * 12]


@pytest.mark.parametrize(
    ("claims", "is_kept"),
    [
        ({"email_verified": True}, True),
        ({"emailVerified": True}, True),
        ({"email_verified": False}, False),
        ({"email_verified": False, "emailVerified": True}, False),
        ({"email_verified": "true"}, False),
        ({"email_verified": 1}, False),
        ({}, False),
    ],
    ids=repr,
)
def test_only_an_address_that_the_issuer_has_verified_is_kept(
    issuer: Issuer, claims: dict[str, Any], *, is_kept: bool
) -> None:
    email = f"{uuid4()}@example.com"
    user = issuer.user(email=email.upper(), **claims)

    Api(user).get("/api/tasks")

    assert _email_of(user) == (email if is_kept else None)


@pytest.mark.parametrize("email", ["no address", "", "a@b\0c.example", 7, None, "x" * 300 + "@x"])
def test_what_is_no_address_is_not_kept(issuer: Issuer, email: object) -> None:
    user = issuer.user(email=email, email_verified=True)

    assert Api(user).get("/api/tasks").status_code == 200
    assert _email_of(user) is None


def test_an_address_that_has_an_account_leads_nobody_to_it(user: SignedIn, issuer: Issuer) -> None:
    comer = issuer.user(email=user.email, email_verified=True)

    created = Api(comer).post("/api/tasks", {"title": "Buy milk"})

    assert content(created)["user_id"] == comer.user_id
    assert (_email_of(user), _email_of(comer)) == (user.email, None)
    assert_refused(Api(comer).get(f"/api/{user.user_id}/tasks"), 403, "not-your-account")
    assert [event.event_type for event in log_of(user.user_id)] == ["user.registered"]


def test_of_two_who_come_with_one_address_at_once_each_gets_an_account(issuer: Issuer) -> None:
    email = f"{uuid4()}@example.com"
    comers = [issuer.user(email=email, email_verified=True) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(Api(comer).get, "/api/settings") for comer in comers]
        statuses = [each.result().status_code for each in sent]

    assert statuses == [200] * 8
    assert sorted(map(str, map(_email_of, comers))) == sorted(["None"] * 7 + [email])


def _email_of(user: SignedIn) -> str | None:
    with transaction(A_CAUSE) as tx:
        return account_store.get(tx, user.user_id).email


def test_an_account_of_our_own_is_nobodys_at_an_outside_issuer(
    user: SignedIn, issuer: Issuer
) -> None:
    impostor = issuer.user(user.user_id)

    for answer in (Api(impostor).get("/api/tasks"), Api(impostor).get("/api/{user_id}/settings")):
        assert_refused(answer, 401, "invalid-token")
    assert [event.event_type for event in log_of(user.user_id)] == ["user.registered"]


def test_the_same_name_at_another_issuer_is_somebody_else(
    running: Issuer, stranger: Issuer
) -> None:
    with trusting(running):
        user = running.user()
        Api(user).post("/api/tasks", {"title": "Buy milk"})
    namesake = stranger.user(user.user_id)

    with trusting(stranger):
        refused = Api(namesake).get("/api/tasks")
    # Where no issuer is set, whoever the keys are of may have several.
    with trusting(running, jwt_issuer=None):
        by_another_name = with_token(user, running.token(user.user_id, iss=stranger.name))
        refused_too = Api(by_another_name).get("/api/tasks")
        theirs = Api(with_token(user, running.token(user.user_id))).get("/api/tasks")

    assert_refused(refused, 401, "invalid-token")
    assert_refused(refused_too, 401, "invalid-token")
    assert len(content(theirs)["items"]) == 1


def test_an_account_that_was_erased_is_not_made_again(issuer: Issuer) -> None:
    user = a_user()
    with transaction(A_CAUSE) as tx:
        # What erasing leaves are the events.
        tx.connection.execute(text("DELETE FROM users WHERE id = :id"), {"id": user.user_id})

    answer = Api(issuer.user(user.user_id)).get("/api/tasks")

    problem = assert_refused(answer, 401, "invalid-token")
    assert "erased" in problem["detail"]


def _knows_of_none(*_: object, **__: object) -> bool:
    return False


def test_who_signs_in_elsewhere_deletes_their_account_by_their_token_and_for_good(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = issuer.user()
    api = Api(user)
    api.post("/api/tasks", {"title": "Mine"})

    assert api.delete("/api/{user_id}/account", json={}).status_code == 204

    assert_refused(api.get("/api/tasks"), 401, "invalid-token")
    # The issuer's token lives longer than one of ours, and than it is known here which have ended.
    for name in ("look", "has_ended"):
        monkeypatch.setattr(ended_sessions.EndedSessions, name, _knows_of_none)
    later_s = clock.monotonic_s() + 10 * config.settings().access_token_lifetime_s
    monkeypatch.setattr(clock, "monotonic_s", lambda: later_s)
    problem = assert_refused(api.get("/api/tasks"), 401, "invalid-token")
    assert "erased" in problem["detail"]
    assert_refused(api.post("/api/tasks", {"title": "Back"}), 401, "invalid-token")
    with transaction(A_CAUSE) as tx:
        query = text("SELECT count(*) FROM tasks WHERE user_id = :id")
        assert tx.connection.execute(query, {"id": user.user_id}).scalar_one() == 0


@pytest.mark.parametrize(
    "subject", ["auth0|5f7c8ec7c33c6c004bbafe82", "a b", "ü@x", "tasks", "a/b"]
)
def test_whoever_has_a_name_of_the_issuer_own_is_a_user(issuer: Issuer, subject: str) -> None:
    user = issuer.user(f"{subject}{uuid4()}")

    created = Api(user).post("/api/tasks", {"title": "Buy milk"})

    assert created.status_code == 201
    assert content(created)["user_id"] == user.user_id


# Roles


@pytest.mark.parametrize(
    ("claims", "settings", "is_administrator"),
    [
        ({"roles": ["admin"]}, {}, False),
        ({"roles": ["staff"]}, {"jwt_admin_roles": ("staff",)}, True),
        ({"roles": "staff"}, {"jwt_admin_roles": ("staff", "ops")}, True),
        ({"roles": ["Staff", "staffing"]}, {"jwt_admin_roles": ("staff",)}, False),
        ({"roles": {"staff": True}}, {"jwt_admin_roles": ("staff",)}, False),
        ({"roles": ["user", "admin"]}, {"jwt_admin_roles": ("staff",)}, False),
        ({"permissions": ["audit:read"]}, {"jwt_admin_roles": ("staff",)}, False),
        ({"groups": ["staff"]}, {"jwt_admin_roles": ("staff",)}, False),
        (
            {"groups": ["staff"]},
            {"jwt_admin_roles": ("staff",), "jwt_roles_claim": "groups"},
            True,
        ),
        (
            {"realm_access": {"roles": ["staff"]}},
            {"jwt_admin_roles": ("staff",), "jwt_roles_claim": "realm_access.roles"},
            True,
        ),
        (
            {"realm_access": "roles"},
            {"jwt_admin_roles": ("staff",), "jwt_roles_claim": "realm_access.roles"},
            False,
        ),
        (
            {"https://x.example/roles": ["staff"]},
            {"jwt_admin_roles": ("staff",), "jwt_roles_claim": "https://x.example/roles"},
            True,
        ),
    ],
    ids=repr,
)
def test_a_role_of_the_issuer_counts_by_the_mapping_alone(
    running: Issuer, claims: dict[str, Any], settings: dict[str, Any], *, is_administrator: bool
) -> None:
    with trusting(running, **settings):
        api = Api(running.user(**claims))

        audit = api.get("/api/admin/audit")
        created = api.post("/api/tasks", {"title": "Buy milk"})

    assert audit.status_code == (200 if is_administrator else 403)
    assert created.status_code == 201


# Signing in and out


@pytest.mark.parametrize("path", ["register", "login", "refresh", "logout"])
def test_who_signs_in_elsewhere_finds_no_account_endpoint(issuer: Issuer, path: str) -> None:
    body = {"email": f"{uuid4()}@example.com", "password": "a long password"}

    for api in (Api(), Api(issuer.user())):
        assert_refused(api.post(f"/api/auth/{path}", body), 404, "no-such-path")


def test_a_session_of_our_own_ends_where_an_outside_issuer_takes_over(running: Issuer) -> None:
    credentials = {"email": f"{uuid4()}@example.com", "password": "a long password"}
    registered = content(Api().post("/api/auth/register", credentials))
    own = SignedIn(registered["user"]["id"], "", registered["access_token"])
    body = {"refresh_token": registered["refresh_token"]}

    with trusting(running):
        refused = [Api(own).get("/api/tasks"), Api().post("/api/auth/refresh", body)]

    assert [answer.status_code for answer in refused] == [401, 404]
    assert Api().post("/api/auth/refresh", body).status_code == 200


def test_a_ticket_of_an_outside_user_is_issued_for_as_long_as_their_token(issuer: Issuer) -> None:
    user = issuer.user()

    answer = Api(user).post("/api/{user_id}/ws-ticket")

    assert answer.status_code == 201
    with transaction(A_CAUSE) as tx:
        [expires_at] = tx.connection.execute(
            text("SELECT session_expires_at FROM socket_tickets WHERE user_id = :id"),
            {"id": user.user_id},
        ).scalars()
    assert timedelta(0) < expires_at - clock.now() <= timedelta(minutes=1)


def test_tokens_of_the_built_in_issuer_ask_no_outside_issuer(
    user: SignedIn, running: Issuer
) -> None:
    asked = running.asked
    with changed_settings(auth="builtin"), jwks.issuer_keys.renewed():
        assert Api(user).get("/api/tasks").status_code == 200
        assert jwks.issuer_keys.if_made() is None
    assert (running.asked, config.settings().jwks_url) == (asked, None)
