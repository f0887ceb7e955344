"""The whole system for users of an outside issuer: requests, sockets and tickets (S2, L1)."""

import json
import secrets
from collections.abc import Generator
from pathlib import Path

import pytest
import requests

from taskflow import clock
from taskflow.push.connection import CloseCode
from tests.support.functions.tokens import A_MINUTE
from tests.support.network.issuer import AUDIENCE, Issuer, a_key, an_issuer
from tests.support.network.remote_api import RemoteApi
from tests.support.network.sockets import close_code, opened, receive
from tests.support.polling import eventually
from tests.support.processes.command_line import taskflow
from tests.support.processes.system import System


@pytest.fixture(scope="module")
def issuer() -> Generator[Issuer]:
    with an_issuer("EdDSA") as running:
        yield running


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Generator[System]:
    running = System(
        tmp_path_factory.mktemp("system") / "data",
        AUTH="external",
        JWKS_URL=issuer.url,
        JWT_ISSUER=issuer.name,
        JWT_AUDIENCE=AUDIENCE,
        WEB_CONCURRENCY="2",
    )
    running.start()
    yield running
    running.stop()


def test_who_comes_with_a_socket_first_has_an_account_and_hears_what_happens(
    system: System, issuer: Issuer
) -> None:
    user = issuer.user()

    with opened(system, headers=user.headers, since=0) as listening:
        first = [receive(listening)["type"] for _ in range(2)]
        with RemoteApi(system, user) as remote:
            task = remote.create()
            ticket = remote.request("POST", "ws-ticket").json()["ticket"]
        heard = receive(listening)
    with opened(system, ticket=ticket, since=1) as by_ticket:
        heard_by_ticket = [receive(by_ticket) for _ in range(2)]

    assert first == ["task.sync", "user.registered"]
    assert (heard["type"], heard["data"]) == ("task.created", task)
    assert heard_by_ticket[1] == heard
    assert not (system.data_dir / "jwt-secret").exists()


def test_a_socket_stays_with_a_newer_token_of_its_user_and_goes_with_any_other(
    system: System, issuer: Issuer
) -> None:
    user, other = issuer.user(), issuer.user()
    stranger = issuer.token(user.user_id, by=a_key("EdDSA"), header={"kid": issuer.keys[0].key_id})

    with opened(system, headers=user.headers) as listening:
        receive(listening)
        listening.send(_auth(issuer.token(user.user_id, exp=clock.now() + 2 * A_MINUTE)))
        with RemoteApi(system, user) as remote:
            remote.create()
        assert receive(listening)["type"] == "task.created"
        listening.send(_auth(other.token))
        assert close_code(listening) == CloseCode.BAD_TOKEN
    with opened(system, headers=user.headers) as listening:
        receive(listening)
        listening.send(_auth(stranger))
        assert close_code(listening) == CloseCode.BAD_TOKEN


def _auth(token: str) -> str:
    return json.dumps({"type": "auth", "token": token})


def test_a_socket_with_a_token_of_an_unknown_key_is_refused(system: System, issuer: Issuer) -> None:
    forged = issuer.token("somebody", by=a_key("EdDSA"))

    with opened(system, subprotocols=["taskflow.v1", f"bearer.{forged}"]) as listening:
        assert close_code(listening) == CloseCode.BAD_TOKEN


def test_the_started_system_shows_how_to_sign_in_at_an_issuer(system: System) -> None:
    def said() -> str:
        text = system.log.read_text()
        assert "Ctrl-C stops it" in text
        return text

    text = eventually(said)

    assert "an access token of your issuer" in text
    assert "register" not in text
    assert "is not set" not in text


def test_what_tokens_are_not_checked_for_is_logged_at_the_start(
    tmp_path: Path, issuer: Issuer
) -> None:
    open_to_all = System(tmp_path / "data", AUTH="external", JWKS_URL=issuer.url)
    open_to_all.start()
    open_to_all.stop()

    said = open_to_all.log.read_text()
    for name in ("JWT_ISSUER", "JWT_AUDIENCE"):
        assert said.count(f"{name} is not set") == 1


def test_accounts_and_administrators_are_the_issuers(system: System) -> None:
    registered = requests.post(
        f"{system.url}/api/auth/register",
        json={"email": "a@example.com", "password": secrets.token_urlsafe()},
        timeout=10,
    )
    granted = taskflow(
        "admin", "grant", "a@example.com", AUTH="external", JWKS_URL="http://127.0.0.1:1/jwks"
    )

    assert registered.status_code == 404
    assert granted.returncode == 2
    assert "the issuer's roles count" in granted.stderr
