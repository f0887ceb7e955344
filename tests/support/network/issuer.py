"""An outside issuer: real keys, tokens signed with them, and an HTTP server that publishes them."""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from taskflow import clock
from taskflow.serving import jwks
from tests.support.data.accounts import SignedIn
from tests.support.functions.tokens import A_MINUTE
from tests.support.polling import eventually
from tests.support.settings import changed_settings

AUDIENCE = "taskflow"
ALGORITHMS = ("RS256", "ES256", "EdDSA")


@dataclass(frozen=True)
class SigningKey:
    """A private key of an issuer, with its name and what it signs by."""

    key_id: str
    algorithm: str
    private: Any

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as it is published."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        public: Any = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.key_id, "alg": self.algorithm, "use": "sig"}


def a_key(algorithm: str = "ES256", *, key_id: str | None = None) -> SigningKey:
    """Make a key that is nobody else's."""
    return SigningKey(key_id or str(uuid4()), algorithm, _private(algorithm))


def _private(algorithm: str) -> Any:  # noqa: ANN401 - of one of three kinds
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return _rsa_key()


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    # It takes as long to make as all other keys of a run.
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@dataclass
class Issuer:
    """An issuer that publishes its keys at `url`; a test changes how it answers."""

    port: int
    keys: list[SigningKey]
    asked: int = 0
    """How many requests have come."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    """What is answered in place of the keys."""
    more_keys: list[object] = field(default_factory=list[object])
    """What is published beside the keys."""
    holds: threading.Event = field(default_factory=threading.Event)
    """While it is not set, no request is answered."""

    @property
    def name(self) -> str:
        """What its tokens have as `iss`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where it publishes its keys."""
        return f"{self.name}/jwks"

    def key(self, algorithm: str) -> SigningKey:
        """Return its key for an algorithm."""
        return next(key for key in self.keys if key.algorithm == algorithm)

    def answer(self) -> bytes:
        """Return what it publishes."""
        if self.body is not None:
            return self.body
        return json.dumps({"keys": [*self.more_keys, *(key.jwk for key in self.keys)]}).encode()

    def token(
        self,
        subject: object = None,
        *,
        by: SigningKey | None = None,
        algorithm: str | None = None,
        header: Mapping[str, object] | None = None,
        without: str | None = None,
        **claims: object,
    ) -> str:
        """Write a token for a subject, by default a new one, good for a minute.

        `without` drops a claim, and a member of the header that is None is left out.
        """
        key, now = by or self.keys[0], clock.now()
        payload: dict[str, Any] = {
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": subject or str(uuid4()),
            "iat": now,
            "exp": now + A_MINUTE,
            **claims,
        }
        payload.pop(without or "", None)
        headers = {"kid": key.key_id, **(header or {})}
        given = {member: value for member, value in headers.items() if value is not None}
        return jwt.encode(payload, key.private, algorithm or key.algorithm, given)

    def user(self, subject: str | None = None, **claims: Any) -> SignedIn:  # noqa: ANN401 - as `token` takes
        """Return somebody who has signed in at this issuer."""
        name = subject or str(uuid4())
        return SignedIn(name, f"{name}@example.com", self.token(name, **claims))


class _Server(ThreadingHTTPServer):
    # Requests that are held must not hold up its end.
    daemon_threads = True
    block_on_close = False
    issuer: Issuer

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        issuer = self.server.issuer
        issuer.asked += 1
        issuer.holds.wait(timeout=60)
        content = issuer.answer()
        self.send_response(issuer.status)
        for name, value in issuer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        # Who asked may have given up.
        with suppress(OSError):
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own
        """Say nothing."""


@contextmanager
def an_issuer(*algorithms: str) -> Generator[Issuer]:
    """Run an issuer with a key for each of these algorithms, by default ES256 alone."""
    server = _Server()
    issuer = server.issuer = Issuer(
        server.server_port, [a_key(each) for each in algorithms or ["ES256"]]
    )
    issuer.holds.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.holds.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def trusting(issuer: Issuer, **settings: Any) -> Generator[Issuer]:  # noqa: ANN401 - what a setting may be
    """Run the block with an outside issuer's tokens in place of our own."""
    trusted = {
        "auth": "external",
        "jwks_url": issuer.url,
        "jwt_issuer": issuer.name,
        "jwt_audience": AUDIENCE,
        **settings,
    }
    with changed_settings(**trusted), jwks.issuer_keys.renewed():
        yield issuer


def until_asked(issuer: Issuer, times: int) -> None:
    """Wait until so many requests have come to an issuer."""

    def check() -> None:
        assert issuer.asked >= times, f"asked {issuer.asked} times, not {times}"

    eventually(check)
