"""The HTTP client for addresses that users name: it sends a POST, once, to the public internet.

A name is looked up once, and the connection goes to an address out of that answer that was checked;
so a name that leads elsewhere a moment later leads nowhere here. No redirect is followed, no proxy
is used, and no connection is kept.

It is the standard library's client, in which connecting is one method to replace. urllib3 is the
same one beneath pools, retries and redirects, each to be switched off; neither it nor httpcore
bounds the time that an answer takes byte by byte, nor its size.
"""

import io
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address, ip_address
from typing import Any, cast

from taskflow import clock
from taskflow.outbound.urls import NOT_PUBLIC, Address, Url, may_be_asked, parsed
from taskflow.process import resource

CONNECT_TIMEOUT_S = 5.0
"""How long the look-up of a name may take, and then a connection to each of its addresses."""

TIMEOUT_S = 15.0
"""How long all of it may take, however the other side spends it; the least that the Standard
Webhooks specification recommends."""

REST_TIMEOUT_S = 1.0
"""How long the rest of an answer is waited for, once its status is known."""

ANSWER_MAX_BYTES = 64 * 1024
ADDRESSES_MAX = 4
"""How many addresses of a name are tried."""

RETRY_AFTER_MAX_S = 3600.0
"""Who asks to be left alone for longer is asked again after that."""


class NoAnswer(Exception):
    """There was no answer; the message says why, and may be stored."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered. Of its body nothing is kept: users would read by our eyes."""

    status: int
    retry_after_s: float | None
    """How long to be left alone it asks (RFC 9110, 10.2.3), up to RETRY_AFTER_MAX_S."""


def post(url: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
    """Send a POST and return its answer, whatever the status. Raises WrongUrl, NoAnswer."""
    # Again, as the settings may have changed since it was named.
    target = parsed(url)
    give_up_at_s = clock.monotonic_s() + TIMEOUT_S
    try:
        with _connected(target, give_up_at_s) as connected:
            line = _Line(connected, give_up_at_s)
            return _asked(_Connection(target.host, line), line, target, headers, body)
    except ssl.SSLCertVerificationError:
        raise NoAnswer("the certificate is not one of the host") from None
    except TimeoutError:
        raise NoAnswer("there was no answer in time") from None
    except ssl.SSLError:
        raise NoAnswer("no connection with TLS could be made") from None
    except OSError:
        raise NoAnswer("the connection was closed") from None
    except HTTPException:
        raise NoAnswer("what was answered is not HTTP") from None


def _asked(
    connection: "_Connection", line: "_Line", target: Url, headers: Mapping[str, str], body: bytes
) -> Answer:
    own = {"Host": target.authority, "User-Agent": "TaskFlow", "Connection": "close"}
    connection.request("POST", target.path, body, {**own, **headers})
    answer = connection.getresponse()
    line.give_up_at_s = min(line.give_up_at_s, clock.monotonic_s() + REST_TIMEOUT_S)
    # Some give up what they do when the connection is closed while they answer.
    with suppress(OSError, HTTPException, ValueError):
        while answer.read(ANSWER_MAX_BYTES):
            pass
    return Answer(answer.status, _retry_after_s(answer.getheader("Retry-After"), clock.now()))


def _retry_after_s(text: str | None, now: datetime) -> float | None:
    if text is None:
        return None
    try:
        # No int: Python reads none with thousands of digits.
        asked_s = float(text) if text.isascii() and text.isdigit() else _seconds_to(text, now)
    except ValueError:
        return None
    return min(max(asked_s, 0.0), RETRY_AFTER_MAX_S)


def _seconds_to(date: str, now: datetime) -> float:
    """Return how long it is to an HTTP-date, in seconds. Raises ValueError."""
    at = parsedate_to_datetime(date)
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()


def _connected(target: Url, give_up_at_s: float) -> socket.socket:
    """Connect to the first address that answers, of those that may be asked.

    Raises NoAnswer and OSError.
    """
    found = [target.address] if target.address else _addresses_of(target)
    allowed = [address for address in found if may_be_asked(address)]
    if not allowed:
        # Only of a name, which may lead elsewhere tomorrow.
        raise NoAnswer(f"the name of the host {NOT_PUBLIC}")
    for address in allowed[:ADDRESSES_MAX]:
        try:
            connected = _line_to(address, target.port, give_up_at_s)
        except OSError:
            continue
        return _secured(connected, target, give_up_at_s)
    raise NoAnswer("no connection could be made")


def _line_to(address: Address, port: int, give_up_at_s: float) -> socket.socket:
    """Connect to an address, without anything that looks names up. Raises OSError."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    connected = socket.socket(family, socket.SOCK_STREAM)
    try:
        connected.settimeout(min(CONNECT_TIMEOUT_S, _left_s(give_up_at_s)))
        connected.connect((str(address), port))
    except BaseException:
        connected.close()
        raise
    return connected


def _secured(connected: socket.socket, target: Url, give_up_at_s: float) -> socket.socket:
    if target.scheme == "http":
        return connected
    try:
        connected.settimeout(_left_s(give_up_at_s))
        # The name is checked that was asked for, not the address that it led to.
        return tls().wrap_socket(connected, server_hostname=target.host)
    except BaseException:
        connected.close()
        raise


@resource()
def tls() -> ssl.SSLContext:
    """Return how TLS is spoken: with the certificates that the system trusts."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _addresses_of(target: Url) -> Sequence[Address]:
    """Look up the addresses of a name, each once. Raises NoAnswer."""
    looked_up: list[Sequence[Address] | OSError] = []
    is_done = threading.Event()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            # An address of IPv6 may come with a zone.
            addresses = [ip_address(str(each[4][0]).partition("%")[0]) for each in found]
            looked_up.append(list(dict.fromkeys(addresses)))
        except (OSError, UnicodeError) as error:
            looked_up.append(OSError(type(error).__name__))
        finally:
            is_done.set()

    # The system's resolver takes no limit, and who is named may run the name server that is slow.
    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    if not is_done.wait(CONNECT_TIMEOUT_S):
        raise NoAnswer("the name of the host was not found in time")
    [found] = looked_up
    if isinstance(found, OSError):
        raise NoAnswer("the name of the host is not known")
    return found


def _left_s(give_up_at_s: float) -> float:
    """Return how many seconds are left. Raises TimeoutError where none are."""
    left_s = give_up_at_s - clock.monotonic_s()
    if left_s <= 0:
        raise TimeoutError
    return left_s


class _Connection(HTTPConnection):
    """A connection of HTTP over a socket that is connected."""

    def __init__(self, host: str, line: "_Line") -> None:
        super().__init__(host)
        self._line = line

    def connect(self) -> None:
        """Take the socket that there is."""
        # Of a socket, http.client uses the three methods that it has.
        self.sock = cast("socket.socket", self._line)


class _Line:
    """A socket as http.client uses one, which ends at a time and after ANSWER_MAX_BYTES."""

    def __init__(self, connected: socket.socket, give_up_at_s: float) -> None:
        self._connected = connected
        self.give_up_at_s = give_up_at_s
        self._bytes_left = ANSWER_MAX_BYTES

    def sendall(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""
        unsent = memoryview(data)
        while unsent:
            self._connected.settimeout(_left_s(self.give_up_at_s))
            unsent = unsent[self._connected.send(unsent) :]

    def recv_into(self, buffer: memoryview) -> int:
        """Receive what comes next, and return how many bytes. Raises OSError."""
        part = buffer[: self._bytes_left]
        if not part:
            return 0
        self._connected.settimeout(_left_s(self.give_up_at_s))
        received = self._connected.recv_into(part)
        self._bytes_left -= received
        return received

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what the socket receives, as a file."""
        del mode
        return io.BufferedReader(_Received(self))

    def close(self) -> None:
        """Leave the socket to who has connected it: the answer is read after this."""


class _Received(io.RawIOBase):
    """What a line receives, as a file."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - as io has it
        """Read what comes next."""
        return self._line.recv_into(memoryview(buffer))
