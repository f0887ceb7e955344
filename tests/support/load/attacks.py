"""Attacks of one user, or of somebody unknown: each bounded in count and time, on loopback only.

They run in a process of their own, so that nobody's measurements wait for their interpreter.
"""

import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice, product
from pathlib import Path
from string import ascii_letters
from urllib.parse import quote
from zoneinfo import ZoneInfo

from taskflow import clock
from taskflow.domain.recurring import PREVIEW_MAX
from taskflow.domain.times import rfc3339
from tests.support.data.accounts import SignedIn
from tests.support.data.costly_rules import COSTLY
from tests.support.network.plain_http import HOST, Answer, PlainHttp

ATTACKER = "127.66.0.1"
"""Where attacks come from: limits of addresses are not to be the second user's."""

OWNER, STRANGER = "127.77.0.1", "127.88.0.1"
"""Where the owner of an account has logged in before, and where nobody has."""

FLOOD_S = 8.0
HELD_MAX_S = 100.0
"""How long what is not read or not sent is kept up, where the server does not give it up."""

LOOK_S = 0.5
LONG_TEXT = "\N{COLLISION SYMBOL}" * 9_990
"""40 KB in UTF-8, of the 10,000 characters that a description may have."""

CHANGES = 210
FIELDS = 116_508
PASSWORD = "a long password"
UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: taskflow.v1",
)
FILTERS = (
    "sort=title",
    "sort=-title",
    "sort=due_date",
    "sort=-priority",
    "sort=updated_at",
    "status=in_progress&sort=priority",
    "completed=true&sort=due_date",
    "priority=urgent&sort=title",
    "tag=rare",
    "tag=common&tag=rare&sort=-due_date",
    "recurring=true&sort=title",
    f"due_after={quote('2030-01-01T00:00:00Z')}&sort=-updated_at",
    f"due_before={quote('1990-01-01T00:00:00Z')}&sort=title",
)
SEARCHES = ("task", "t", "ta com", "a", '"common task"', "task -common", "-task", "1 2 3 4 5 6 t")


@dataclass(frozen=True, slots=True)
class Target:
    """A running system, and an account: the attacker's own, or the one that is attacked."""

    port: int
    account: SignedIn


@dataclass(slots=True)
class Outcome:
    """The measurements of an attack by its attacker; times are of the wall clock."""

    answers: Counter[str] = field(default_factory=Counter[str])
    """By status, or what became of a connection."""
    largest_bytes: int = 0
    slowest_s: float = 0.0
    cpu_s: float = 0.0
    began_s: float = 0.0
    ended_s: float = 0.0
    notes: dict[str, float] = field(default_factory=dict[str, float])

    def count(self, answer: Answer) -> Answer:
        """Count an answer."""
        self.answers[answer.status] += 1
        self.largest_bytes = max(self.largest_bytes, len(answer.body))
        self.slowest_s = max(self.slowest_s, answer.took_s)
        return answer


Attack = Callable[[Target], Outcome]


def measured(attack: Attack, target: Target) -> Outcome:
    """Run an attack, and measure its begin, its end and the CPU time of this process."""
    began_s, cpu_s = clock.now().timestamp(), time.process_time()
    outcome = attack(target)
    outcome.began_s, outcome.ended_s = began_s, clock.now().timestamp()
    outcome.cpu_s = time.process_time() - cpu_s
    return outcome


def repeated(targets: Mapping[str, Target], lasts_s: float, rest_s: float) -> dict[str, Outcome]:
    """Run all attacks at once and repeatedly, with a rest in between, for a given time."""
    deadline_s, cpu_s = time.monotonic() + lasts_s, time.process_time()
    found = {name: Outcome() for name in targets}

    def repeat(name: str) -> None:
        while time.monotonic() < deadline_s:
            outcome, all_of = ATTACKS[name](targets[name]), found[name]
            all_of.answers += outcome.answers
            all_of.largest_bytes = max(all_of.largest_bytes, outcome.largest_bytes)
            all_of.slowest_s = max(all_of.slowest_s, outcome.slowest_s)
            all_of.notes["times"] = all_of.notes.get("times", 0) + 1
            time.sleep(rest_s)

    _at_once([lambda name=name: repeat(name) for name in targets])
    for outcome in found.values():
        # They share the process; what each used can't be told.
        outcome.cpu_s = (time.process_time() - cpu_s) / len(found)
    return found


# Nothing but a busy machine: what of the others' price is the two cores' alone


def nothing_but_cpu(target: Target) -> Outcome:
    """Keep every core busy, without a request to the system."""
    del target
    program = f"import time\nend = time.monotonic() + {FLOOD_S}\nwhile time.monotonic() < end: pass"
    busy = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    for process in busy:
        process.wait()
    return Outcome()


# What a series makes ahead


def long_lead(target: Target) -> Outcome:
    """Create sixty daily series whose reminders come a year before."""
    return _series(target, number=60, description="")


def long_lead_and_text(target: Target) -> Outcome:
    """Create four series with such a lead time and 40 KB of text each."""
    return _series(target, number=4, description=LONG_TEXT)


def _series(target: Target, *, number: int, description: str) -> Outcome:
    task = {
        "title": "Far ahead",
        "description": description,
        "due_date": rfc3339(clock.now() + timedelta(days=1)),
        "recurrence_rule": "FREQ=DAILY",
        "reminders": [{"before_due": "P366D"}],
    }
    outcome = Outcome()
    with _client(target) as client:
        for _ in range(number):
            outcome.count(client.ask("POST", "/api/tasks", task))
    return outcome


# Rules that take long


def worst_rules(target: Target) -> Outcome:
    """Preview the most expensive rules that are known, six at once, ten times over."""
    outcome = Outcome()
    previews = [
        {
            "recurrence_rule": each.rule,
            # In every zone it is the year 1900 by then, the first that is allowed.
            "start": rfc3339((each.start + timedelta(days=2)).replace(tzinfo=ZoneInfo(each.zone))),
            "timezone": each.zone,
            "skip": each.skip,
            "limit": PREVIEW_MAX,
        }
        for each, _ in COSTLY
    ]

    def preview() -> None:
        with _client(target) as client:
            for wanted in previews * 10:
                outcome.count(client.ask("POST", "/api/recurrence/preview", wanted))

    _at_once([preview] * 6)
    return outcome


# Bytes


def big_log(target: Target) -> Outcome:
    """Change a task with a long description many times, and read the log in its largest pages."""
    outcome = Outcome()
    with _client(target) as client:
        newest = client.ask("GET", "/api/events").json["seq"]
        if newest < CHANGES:
            task = client.ask("POST", "/api/tasks", {"title": "Long"}).json
            for number in range(CHANGES):
                change = {"description": f"{number} {LONG_TEXT}"}
                outcome.count(client.ask("PATCH", f"/api/tasks/{task['id']}", change))
        outcome.largest_bytes = 0
        since, pages, items = 0, 0, -1
        while items:
            page = outcome.count(client.ask("GET", f"/api/events?since={since}&limit=200"))
            items, since, pages = len(page.json["items"]), page.json["seq"], pages + 1
        outcome.notes["pages"] = pages
    return outcome


def unread_pages(target: Target) -> Outcome:
    """Ask for ten pages of a big log on each of ten connections, and read none.

    One would not do: the kernel takes it, and for the server it is sent.
    """
    request = f"GET /api/events?since=0&limit=200 HTTP/1.1\r\nHost: {HOST}\r\n"
    return _never_read(target, [_request(request, target) * 10] * 10)


def deaf_sockets(target: Target) -> Outcome:
    """Open five sockets from the beginning of a big log, and read from none."""
    lines = "\r\n".join(["GET /ws?since=0 HTTP/1.1", f"Host: {HOST}", *UPGRADE, ""])
    return _never_read(target, [_request(lines, target)] * 5)


def _never_read(target: Target, requests: Sequence[bytes]) -> Outcome:
    outcome = Outcome()
    began_s = time.monotonic()
    sockets = [_connected(target, receives=4096) for _ in requests]
    for one, request in zip(sockets, requests, strict=True):
        one.sendall(request)
    ports = {one.getsockname()[1] for one in sockets}
    while (left := _kept_by(target.port) & ports) and time.monotonic() - began_s < HELD_MAX_S:
        time.sleep(LOOK_S)
    outcome.slowest_s = time.monotonic() - began_s
    outcome.answers += Counter({"given up": len(ports - left), "kept": len(left)})
    for one in sockets:
        _reset(one)
    return outcome


def slow_bodies(target: Target) -> Outcome:
    """Announce twenty bodies, and send none."""
    outcome = Outcome()
    head = f"POST /api/tasks HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    request = _request(f"{head}Content-Length: 1000\r\n", target)

    def announce() -> None:
        with _connected(target) as one:
            one.settimeout(HELD_MAX_S)
            began_s = time.monotonic()
            one.sendall(request)
            try:
                answer = one.recv(65_536)
                status = answer.split(b" ")[1].decode() if answer else "closed"
            except TimeoutError:
                status = "kept"
            outcome.count(Answer(status, b"", time.monotonic() - began_s))

    _at_once([announce] * 20)
    return outcome


# The anonymous


def many_fields(target: Target) -> Outcome:
    """Send a body of unknown fields, as many as it takes, where no token is asked for."""
    names = islice(product(ascii_letters, repeat=4), FIELDS)
    fields = ",".join('"' + "".join(name) + '":0' for name in names)
    body = f"{{{fields}}}".encode()
    outcome = Outcome()

    def send() -> None:
        with _client(target, anonymous=True) as client:
            for _ in range(4):
                outcome.count(client.ask("POST", "/api/auth/login", body))

    _at_once([send] * 3)
    return outcome


def flood_of_health(target: Target) -> Outcome:
    """Ask after the system's health without a pause."""
    return _flood(target, "/health")


def flood_of_metrics(target: Target) -> Outcome:
    """Ask for the metrics without a pause."""
    return _flood(target, "/metrics")


def flood_of_bad_tokens(target: Target) -> Outcome:
    """Ask with a token that nobody issued, without a pause."""
    return _flood(target, "/api/tasks", {"Authorization": f"Bearer {target.account.token}x"})


def _flood(target: Target, path: str, headers: Mapping[str, str] | None = None) -> Outcome:
    outcome = Outcome()
    deadline_s = time.monotonic() + FLOOD_S

    def ask() -> None:
        client = PlainHttp(target.port, headers, address=ATTACKER)
        while time.monotonic() < deadline_s:
            outcome.count(client.ask("GET", path))
        client.close()

    _at_once([ask] * 8)
    outcome.notes["a second"] = round(sum(outcome.answers.values()) / FLOOD_S)
    return outcome


def flood_of_bad_tickets(target: Target) -> Outcome:
    """Open sockets with tickets that nobody issued, without a pause."""
    outcome = Outcome()
    deadline_s = time.monotonic() + FLOOD_S

    def open_sockets() -> None:
        while time.monotonic() < deadline_s:
            ticket = random.randbytes(32).hex()
            lines = [f"GET /ws?ticket={ticket} HTTP/1.1", f"Host: {HOST}", *UPGRADE, "", ""]
            began_s = time.monotonic()
            with _connected(target) as one:
                one.settimeout(HELD_MAX_S)
                one.sendall("\r\n".join(lines).encode())
                outcome.count(Answer(_close_code(one), b"", time.monotonic() - began_s))

    _at_once([open_sockets] * 8)
    outcome.notes["a second"] = round(sum(outcome.answers.values()) / FLOOD_S)
    return outcome


def _close_code(connected: socket.socket) -> str:
    """Read to the close frame of RFC 6455 that refuses, or to another answer."""
    read = b""
    try:
        while b"\r\n\r\n" not in read or read.split(b"\r\n\r\n", 1)[1][:1] == b"":
            part = connected.recv(4096)
            if not part:
                break
            read += part
    except OSError as error:
        return type(error).__name__
    head, _, frame = read.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        return head[9:12].decode() or "closed"
    return str(struct.unpack("!H", frame[2:4])[0]) if len(frame) >= 4 else "closed"


# What a server reads before it knows whose it is


def chunks_of_a_byte(target: Target) -> Outcome:
    """Send bodies in chunks of a byte, where no token is asked for."""
    head = f"POST /health/liveness HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return _sent_raw(target, head.encode() + b"1\r\n \r\n" * 200_000 + b"0\r\n\r\n")


def large_heads(target: Target) -> Outcome:
    """Ask after the health with as many and as long headers as gunicorn takes."""
    headers = "".join(f"X{number}: {'x' * 8_000}\r\n" for number in range(98))
    return _sent_raw(target, f"GET /health HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n".encode())


def _sent_raw(target: Target, request: bytes) -> Outcome:
    outcome = Outcome()
    deadline_s = time.monotonic() + FLOOD_S

    def send() -> None:
        while time.monotonic() < deadline_s:
            began_s = time.monotonic()
            with _connected(target) as one:
                one.settimeout(HELD_MAX_S)
                try:
                    one.sendall(request)
                    answer = one.recv(65_536)
                except OSError as error:
                    answer = b""
                    status = type(error).__name__
                else:
                    status = answer[9:12].decode() or "closed"
            outcome.count(Answer(status, answer, time.monotonic() - began_s))

    _at_once([send] * 4)
    return outcome


def empty_lists(target: Target) -> Outcome:
    """Create tasks whose metadata is a MiB of empty lists."""
    body = b'{"title":"x","metadata":{"a":[' + b",".join([b"[[[]]]"] * 140_000) + b"]}}"
    outcome = Outcome()
    deadline_s = time.monotonic() + FLOOD_S

    def send() -> None:
        with _client(target) as client:
            while time.monotonic() < deadline_s:
                outcome.count(client.ask("POST", "/api/tasks", body))

    _at_once([send] * 4)
    return outcome


def flood_of_pings(target: Target) -> Outcome:
    """Open sockets without a token, and send pings on them for as long as they are open."""
    outcome = Outcome()
    deadline_s = time.monotonic() + FLOOD_S
    request = "\r\n".join(["GET /ws HTTP/1.1", f"Host: {HOST}", *UPGRADE, "", ""]).encode()
    pings = b"\x89\x80\0\0\0\0" * 1_000

    def send() -> None:
        while time.monotonic() < deadline_s:
            with _connected(target) as one:
                one.settimeout(0.5)
                one.sendall(request)
                sent = 0
                try:
                    while time.monotonic() < deadline_s:
                        one.sendall(pings)
                        sent += 1
                        # Else the server would give it up as one that does not read.
                        one.recv(65_536)
                except OSError:
                    outcome.answers["closed"] += 1
                outcome.notes["thousand pings"] = outcome.notes.get("thousand pings", 0) + sent

    _at_once([send] * 8)
    return outcome


# Connections to the database


def one_task_at_once(target: Target) -> Outcome:
    """Change one task three hundred times at once."""
    outcome = Outcome()
    with _client(target) as client:
        task = client.ask("POST", "/api/tasks", {"title": "Wanted"}).json

    def change(number: int) -> None:
        with _client(target) as client:
            path = f"/api/tasks/{task['id']}"
            outcome.count(client.ask("PATCH", path, {"title": f"Wanted {number}"}))

    _at_once([lambda number=number: change(number) for number in range(300)])
    return outcome


def filtered_lists(target: Target) -> Outcome:
    """Ask for 120 lists at once, filtered and sorted in every way, of 150,000 tasks."""
    outcome = Outcome()

    def ask(number: int) -> None:
        with _client(target) as client:
            outcome.count(client.ask("GET", f"/api/tasks?{FILTERS[number % len(FILTERS)]}"))

    _at_once([lambda number=number: ask(number) for number in range(120)])
    return outcome


def common_searches(target: Target) -> Outcome:
    """Ask for 120 searches at once, for what most of 150,000 tasks have, and some have not."""
    outcome = Outcome()

    def ask(number: int) -> None:
        with _client(target) as client:
            query = quote(SEARCHES[number % len(SEARCHES)])
            outcome.count(client.ask("GET", f"/api/search?q={query}"))

    _at_once([lambda number=number: ask(number) for number in range(120)])
    return outcome


# Passwords


def wrong_passwords(target: Target) -> Outcome:
    """Guess another's password ten times; then its owner logs in, from two places."""
    outcome = Outcome()

    def log_in(address: str, password: str) -> Answer:
        client = PlainHttp(target.port, address=address)
        credentials = {"email": target.account.email, "password": password}
        answer = client.ask("POST", "/api/auth/login", credentials)
        client.close()
        return answer

    log_in(OWNER, PASSWORD)
    for number in range(10):
        outcome.count(log_in(ATTACKER, f"{PASSWORD} {number}"))
    for address, who in ((OWNER, "the owner"), (STRANGER, "the owner elsewhere")):
        answer = log_in(address, PASSWORD)
        outcome.answers[f"{answer.status} for {who}"] += 1
    return outcome


ATTACKS: Mapping[str, Attack] = {
    "nothing but CPU": nothing_but_cpu,
    "60 series, a year's lead": long_lead,
    "4 series with 40 KB, a year's lead": long_lead_and_text,
    "360 previews of the worst rules": worst_rules,
    "210 changes of 40 KB, read": big_log,
    "100 pages unread": unread_pages,
    "5 sockets unread": deaf_sockets,
    "20 bodies not sent": slow_bodies,
    "116,508 unknown fields": many_fields,
    "flood of /health": flood_of_health,
    "flood of /metrics": flood_of_metrics,
    "flood of bad tokens": flood_of_bad_tokens,
    "flood of bad tickets": flood_of_bad_tickets,
    "bodies in chunks of a byte": chunks_of_a_byte,
    "heads of 800 KB": large_heads,
    "a MiB of empty lists": empty_lists,
    "flood of pings": flood_of_pings,
    "300 changes of one task": one_task_at_once,
    "120 lists of 150,000 tasks": filtered_lists,
    "120 searches of 150,000 tasks": common_searches,
    "10 wrong passwords": wrong_passwords,
}


def _at_once(works: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def _client(target: Target, *, anonymous: bool = False) -> Generator[PlainHttp]:
    headers = {} if anonymous else target.account.headers
    client = PlainHttp(target.port, headers, address=ATTACKER)
    yield client
    client.close()


def _request(head: str, target: Target) -> bytes:
    return f"{head}Authorization: {target.account.headers['Authorization']}\r\n\r\n".encode()


def _connected(target: Target, *, receives: int | None = None) -> socket.socket:
    """Connect as the attacker; with `receives`, to a buffer of so many bytes."""
    made = socket.socket()
    if receives is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    made.bind((ATTACKER, 0))
    made.connect((HOST, target.port))
    return made


def _reset(connected: socket.socket) -> None:
    """Hang up without reading what has come."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connected.close()


def _kept_by(port: int) -> set[int]:
    """Return the client's port of each connection that the server at `port` holds open."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established, listening = "01", f":{port:04X}"
    return {
        int(client.partition(":")[2], 16)
        for _, server, client, state, *_ in lines
        if server.endswith(listening) and state == established
    }
