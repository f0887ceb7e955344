"""A client of a running system, which speaks HTTP as any other."""

from typing import Any, Protocol, Self
from uuid import uuid4

import requests

from tests.support.data.accounts import SignedIn

PASSWORD = "a long password"
ANSWERED_WITHIN_S = 30


class HttpServer(Protocol):
    """A server with the API."""

    @property
    def url(self) -> str:
        """The URL of the API."""
        ...


def a_new_user(system: HttpServer) -> SignedIn:
    """Open an account through REST."""
    return signed_in(system, "register", f"{uuid4()}@example.com")


def signed_in(system: HttpServer, how: str, email: str) -> SignedIn:
    """Register or log in with an email; `how` is the last word of the path."""
    answer = requests.post(
        f"{system.url}/api/auth/{how}",
        json={"email": email, "password": PASSWORD},
        timeout=ANSWERED_WITHIN_S,
    )
    assert answer.ok, answer.text
    body = answer.json()
    return SignedIn(body["user"]["id"], email, body["access_token"])


class RemoteApi:
    """Sends requests to a running system as one user, over a connection of its own."""

    def __init__(self, system: HttpServer, user: SignedIn) -> None:
        self.user = user
        self._system = system
        self._session = requests.Session()
        self._session.headers.update(user.headers)

    def request(
        self,
        method: str,
        path: str,
        json: Any = None,  # noqa: ANN401 - what JSON may hold
        *,
        key: str | None = None,
        timeout_s: float = ANSWERED_WITHIN_S,
    ) -> requests.Response:
        """Send one request, once; `path` begins after the user id."""
        return self._session.request(
            method,
            f"{self._system.url}/api/{self.user.user_id}/{path}",
            json=json,
            headers={} if key is None else {"Idempotency-Key": key},
            timeout=timeout_s,
        )

    def create(self, title: str = "Buy milk", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - what JSON may hold
        """Create a task and return it."""
        answer = self.request("POST", "tasks", {"title": title, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def change(self, task_id: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
        """Change a task and return it."""
        answer = self.request("PATCH", f"tasks/{task_id}", fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
