"""A client of HTTP that costs little and comes from an address of its own."""

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ANSWERED_WITHIN_S = 120
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request: its status or the name of the error, and its body."""

    status: str
    body: bytes
    took_s: float

    @property
    def json(self) -> Any:  # noqa: ANN401 - what JSON may hold
        """The body, read as JSON."""
        return json.loads(self.body)


class PlainHttp:
    """Sends requests over one connection, which it opens anew where the server has closed it."""

    def __init__(
        self, port: int, headers: Mapping[str, str] | None = None, *, address: str = HOST
    ) -> None:
        """Prepare the client; `address` is the loopback address that the connection comes from."""
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._connection = http.client.HTTPConnection(
            HOST, port, timeout=ANSWERED_WITHIN_S, source_address=(address, 0)
        )

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Send a request, once, and read its answer; `body` is bytes or what JSON may hold."""
        content = body if isinstance(body, bytes) else b"" if body is None else _written(body)
        began_s = time.monotonic()
        try:
            self._connection.request(method, path, content, self._headers)
            answer = self._connection.getresponse()
            status, read = str(answer.status), answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            status, read = type(error).__name__, b""
        return Answer(status, read, time.monotonic() - began_s)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _written(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
