"""A signed-in session: tokens that are refreshed in time, and requests that carry them."""

import threading
import time
from typing import Any

import requests

REFRESH_BEFORE_S = 60
"""How long before its end an access token is replaced; half its life, where that is shorter."""

TIMEOUT_S = 30
NOT_ALLOWED = 401
NOT_NOW = frozenset({429, *range(500, 600)})


class LogInFailed(Exception):
    """The server does not let us in; the message is its own."""


class Session:
    """One account at one server; may be used by several threads."""

    def __init__(self, url: str) -> None:
        """Take the server's address, such as `http://127.0.0.1:8080`; nothing is sent yet."""
        self.url = url.rstrip("/")
        self.user_id = ""
        self._lock = threading.Lock()
        self._access_token = ""
        self._refresh_token = ""
        self._refresh_at_s = 0.0

    def register(self, email: str, password: str, **account: str) -> None:
        """Open an account and sign in. Raises LogInFailed, requests.RequestException."""
        self._sign_in("register", {"email": email, "password": password, **account})

    def log_in(self, email: str, password: str) -> None:
        """Sign in. Raises LogInFailed, requests.RequestException."""
        self._sign_in("login", {"email": email, "password": password})

    def log_out(self) -> None:
        """End the session at the server. Raises LogInFailed, requests.RequestException."""
        body = {"refresh_token": self._refresh_token}
        self.request("POST", "/api/auth/logout", json=body)

    def token(self) -> str:
        """Return an access token that lasts a while. Raises LogInFailed, RequestException."""
        with self._lock:
            if time.monotonic() >= self._refresh_at_s:
                self._sign_in("refresh", {"refresh_token": self._refresh_token})
            return self._access_token

    def expire(self) -> None:
        """Have the next call fetch a new token: the server took ours for expired."""
        self._refresh_at_s = 0.0

    def request(self, method: str, path: str, **options: Any) -> requests.Response:  # noqa: ANN401 - requests' own
        """Send a request to `/api/…`; an access token that has expired is replaced once.

        Raises LogInFailed, requests.RequestException.
        """
        options.setdefault("timeout", TIMEOUT_S)
        headers = options.pop("headers", {})
        for is_last in (False, True):
            signed = {**headers, "Authorization": f"Bearer {self.token()}"}
            answer = requests.request(method, self.url + path, headers=signed, **options)  # noqa: S113 - set above
            if answer.status_code != NOT_ALLOWED or is_last:
                return answer
            self.expire()
        raise AssertionError  # pragma: no cover - the last attempt returns

    def _sign_in(self, how: str, body: dict[str, str]) -> None:
        answer = requests.post(f"{self.url}/api/auth/{how}", json=body, timeout=TIMEOUT_S)
        if how == "refresh" and answer.status_code in NOT_NOW:
            # Nothing is wrong with our token: whoever follows a stream tries again.
            answer.raise_for_status()
        if not answer.ok:
            raise LogInFailed(_detail(answer))
        given = answer.json()
        self.user_id = given["user"]["id"]
        self._access_token = given["access_token"]
        self._refresh_token = given["refresh_token"]
        lifetime_s = given["expires_in"]
        self._refresh_at_s = time.monotonic() + lifetime_s - min(REFRESH_BEFORE_S, lifetime_s / 2)


def _detail(answer: requests.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError):
        return f"the server answered {answer.status_code}"
