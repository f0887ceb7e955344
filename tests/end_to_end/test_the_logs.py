"""All logs of a run in which every part fails: each failure is told, no sent value is (S6)."""

import json
import re
import socket
from collections import Counter
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from sqlalchemy import make_url, select, text
from sqlalchemy.pool import NullPool
from websockets import Subprotocol

from taskflow.domain.events import EventType
from taskflow.push.connection import CloseCode
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.standalone.processes import CONSUMERS_SOCKET
from taskflow.standalone.sender import Sender
from taskflow.storage import driver, transaction
from taskflow.storage.tables import REFRESH_TOKENS, USERS
from tests.support.data.accounts import A_CAUSE
from tests.support.database.connection import database_at
from tests.support.network.sockets import close_code, opened
from tests.support.paths import ROOT
from tests.support.polling import eventually
from tests.support.processes import roles
from tests.support.processes.system import System

ANSWERED_WITHIN_S = 20
AN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=pid:)\d+")
MARK = "planted"

A_FUNCTION_THAT_FAILS = '''
"""POST /api/{user_id}/unforeseen: fail as nobody foresaw."""

from taskflow.domain.tasks import TaskDraft
from taskflow.serving import Caller, NoContent, http_function


@http_function("POST /api/{user_id}/unforeseen", permission="tasks:write")
def fail_unforeseen(caller: Caller, draft: TaskDraft) -> NoContent:
    raise ValueError(f"{draft} of {caller}")
'''

A_CONSUMER_THAT_FAILS = '''
"""On task.created: refuse some events, and fail on others."""

from taskflow.domain.errors import TaskNotFound
from taskflow.domain.events import EventType
from taskflow.eventing import event_function
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.storage import Transaction


@event_function(EventType.TASK_CREATED, starts="beginning", ordering="unordered")
def refuse_events(event: DeliveredEvent, tx: Transaction):
    title = event.data["title"]
    if "refused-event" in title:
        raise TaskNotFound(f"There is no {title}.")
    if "unforeseen-event" in title:
        raise LookupError(title)
'''

SABOTAGE = f"""
ALTER TABLE tasks ADD CHECK (title NOT LIKE '{MARK}-constraint%');
ALTER TABLE users ADD CHECK (email NOT LIKE '{MARK}-constraint%');
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(60);
    RETURN NEW;
END $$;
CREATE TRIGGER dawdle BEFORE INSERT ON tasks
    FOR EACH ROW WHEN (NEW.title LIKE '{MARK}-slow%') EXECUTE FUNCTION dawdle();
"""


LOGGED = {
    "serving.frame: POST /api/auth/login 401": 2,
    "serving.frame: POST /api/auth/login 503": 2,
    "serving.frame: POST /api/auth/refresh 401": 1,
    "serving.frame: POST /api/auth/register 409": 1,
    "serving.frame: POST /api/auth/register 500": 1,
    "serving.frame: POST /api/{user_id}/tasks 400": 1,
    "serving.frame: POST /api/{user_id}/tasks 415": 1,
    "serving.frame: POST /api/{user_id}/tasks 422": 2,
    "serving.frame: POST /api/{user_id}/tasks 500": 1,
    "serving.frame: POST /api/{user_id}/tasks 503": 3,
    "serving.frame: POST /api/{user_id}/unforeseen 500": 1,
    "serving.frame: DELETE /api/{user_id}/account 401": 1,
    "serving.frame: POST /api/{user_id}/import 400": 1,
    "serving.frame: POST /api/{user_id}/import 422": 1,
    "serving.frame: GET /calendars/{feed_token} 200": 1,
    "serving.frame: GET /calendars/{feed_token} 422": 1,
    "serving.frame: GET /api/{user_id}/tasks 401": 1,
    "serving.frame: GET /api/{user_id}/tasks 422": 3,
    "serving.frame: GET /api/{user_id}/tasks/{task_id} 422": 1,
    "serving.frame: GET - 404": 1,
    "serving.frame: internal-error": 3,
    "serving.frame: unavailable: DatabaseUnavailable": 5,
    "eventing.frame: refuse-events refused #: TaskNotFound": 1,
    "eventing.frame: refuse-events failed on #": 1,
    "eventing.frame: record-audit-entry refused #: MalformedEvent": 3,
    "standalone.deliverer: refuse-events: # goes to the dead letters after 1 attempts: 400": 1,
    "server.worker: malformed-request from 127.0.0.1": 5,
    "server.worker: unknown-coding from 127.0.0.1": 1,
    "server.worker: unknown-expectation from 127.0.0.1": 1,
    "server.worker: uri-too-long from 127.0.0.1": 1,
    "gunicorn.error: Worker (pid:#) was sent SIGKILL! Perhaps out of memory?": 1,
    "SQLSTATE 23514": 2,
}
"""What at least must have been logged, and how often; ids are written as #."""

RELOAD = "SELECT pg_reload_conf()"
CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


class PlantedSecrets(list[str]):
    """All secrets that are sent or issued, and must not be found in any log."""

    def __call__(self, kind: str) -> str:
        """Return a new secret, which names its kind."""
        self.append(f"{MARK}-{kind}-{uuid4().hex}")
        return self[-1]


class FailingSystem:
    """A system on a database of the test's own, with functions of which two fail on purpose."""

    def __init__(self, folder: Path, planted: PlantedSecrets) -> None:
        self.folder, self.planted = folder, planted
        self.postgres = EmbeddedPostgres(folder / "database", options={"fsync": "off"})
        url = make_url(self.postgres.url).set(password=planted("database-password"))
        self.url = url.render_as_string(hide_password=False)
        self.system = System(
            folder / "system",
            DATABASE_URL=self.url,
            JWT_SECRET=planted("jwt-secret"),
            FUNCTIONS_DIR=str(_functions(folder / "functions")),
            LOG_LEVEL="debug",
            WEB_CONCURRENCY="1",
        )
        self.email = f"{planted('email')}@example.com"
        self.password = planted("password")
        self.headers: dict[str, str] = {}

    def start(self) -> None:
        """Start both, have the database fail where it is told to, and open an account."""
        self.postgres.start()
        self.system.start()
        with database_at(self.url), transaction(A_CAUSE) as tx:
            tx.connection.execute(text(SABOTAGE))
        signed_in = self.ask("POST", "auth/register", self.credentials(self.password), 201)
        self.keep_tokens(signed_in)
        self.headers = {"Authorization": f"Bearer {signed_in['access_token']}"}

    def stop(self) -> None:
        """Stop both."""
        self.system.kill()
        self.postgres.stop()

    def credentials(self, password: str) -> dict[str, str]:
        """Return the body with which the owner of the account logs in."""
        return {"email": self.email, "password": password}

    def keep_tokens(self, signed_in: Mapping[str, str]) -> None:
        """Keep issued tokens among the secrets that must not be found."""
        _, claims, signature = signed_in["access_token"].split(".")
        self.planted += [signed_in["refresh_token"], claims, signature]

    def ask(
        self,
        method: str,
        path: str,
        json: Any,  # noqa: ANN401 - what JSON may hold
        status: int,
        headers: Mapping[str, str] | None = None,
        **options: Any,  # noqa: ANN401 - as those of requests
    ) -> dict[str, Any]:
        """Send a request, check the status of the answer and return the answer."""
        answer = requests.request(
            method,
            f"{self.system.url}/api/{path}",
            json=json,
            headers={**self.headers, **(headers or {})},
            timeout=ANSWERED_WITHIN_S,
            **options,
        )
        assert answer.status_code == status, (path, answer.text)
        return answer.json() if answer.content else {}

    def create(self, kind: str, status: int, **headers: str) -> dict[str, Any]:
        """Create a task all of whose text is secret."""
        words = [self.planted(f"{kind}-{name}") for name in ("title", "description", "tag", "word")]
        title, description, tag, word = words
        task = {"title": title, "description": description, "tags": [tag], "metadata": {word: word}}
        return self.ask("POST", "tasks", task, status, headers)

    def ask_raw(self, *lines: str) -> bytes:
        """Send lines as they are; return what comes until the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.system.port), timeout=10) as connected:
            connected.sendall("\r\n".join([*lines, "", ""]).encode())
            connected.shutdown(socket.SHUT_WR)
            answered = b""
            with suppress(ConnectionResetError):
                while part := connected.recv(65_536):
                    answered += part
            return answered

    def administer(self, *statements: str) -> None:
        """Run statements as the superuser, outside a transaction."""
        admin = driver.engine(self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with admin.connect() as connection:
            for statement in statements:
                assert connection.execute(text(statement)).rowcount

    def lines(self) -> list[str]:
        """Return every line of every log."""
        logs = list(self.folder.rglob("*.log"))
        assert {log.name for log in logs} == {"system.log", "postgres.log"}
        return [line for log in logs for line in log.read_text().splitlines()]

    def logged(self) -> Counter[str]:
        """Count what our processes logged, by who did and the message."""
        found: Counter[str] = Counter()
        for line in self.lines():
            if line.startswith("{"):
                record = json.loads(line)
                message = AN_ID.sub("#", record["message"])
                found[f"{record['logger'].removeprefix('taskflow.')}: {message}"] += 1
                found["SQLSTATE 23514"] += "23514" in record.get("exception", "")
        return found


def _functions(folder: Path) -> Path:
    for name in (ROOT / "functions").iterdir():
        (folder / name.name).parent.mkdir(exist_ok=True)
        (folder / name.name).symlink_to(name)
    for name, source in (
        ("fail-unforeseen", A_FUNCTION_THAT_FAILS),
        ("refuse-events", A_CONSUMER_THAT_FAILS),
    ):
        (folder / name).mkdir()
        (folder / name / "main.py").write_text(source.strip())
    return folder


@pytest.fixture
def failing_system(tmp_path: Path) -> Generator[FailingSystem]:
    planted = PlantedSecrets()
    prepared = FailingSystem(tmp_path, planted)
    prepared.start()
    yield prepared
    prepared.stop()


def _send_what_is_wrong(failing_system: FailingSystem) -> None:
    """Send requests that the frame and the server refuse."""
    plant = failing_system.planted
    failing_system.ask(
        "POST", "auth/login", failing_system.credentials(plant("wrong-password")), 401
    )
    unknown = {"email": f"{plant('unknown')}@example.com", "password": plant("its-password")}
    failing_system.ask("POST", "auth/login", unknown, 401)
    failing_system.ask(
        "POST", "auth/register", failing_system.credentials(plant("second-password")), 409
    )
    failing_system.ask("POST", "auth/refresh", {"refresh_token": plant("refresh-token")}, 401)
    failing_system.ask("POST", "tasks", {plant("field"): plant("value"), "title": ""}, 422)
    not_json = f'{{"title": "{plant("not-json")}'.encode()
    json_headers = {"Content-Type": "application/json"}
    failing_system.ask("POST", "tasks", None, 400, json_headers, data=not_json)
    failing_system.ask(
        "POST", "tasks", None, 415, {"Content-Type": plant("media-type")}, data=not_json
    )
    bad_token = {"Authorization": f"Bearer {plant('token-head')}.{plant('token')}.{plant('tail')}"}
    failing_system.ask("GET", "tasks", None, 401, bad_token)
    failing_system.ask("GET", f"tasks?{plant('parameter')}={plant('parameter-value')}", None, 422)
    failing_system.ask("GET", f"tasks?cursor={plant('cursor')}", None, 422)
    failing_system.ask("GET", f"tasks/{plant('id')}?token={plant('query')}", None, 422)
    failing_system.ask("GET", f"{plant('path')}/{plant('part')}", None, 404)
    strange = {
        "X-Correlation-ID": f"{plant('correlation')} {plant('with-a-space')}",
        "traceparent": plant("traceparent"),
        "User-Agent": plant("agent"),
        "X-Forwarded-For": plant("address"),
        "Cookie": f"refresh_token={plant('cookie')}; {plant('other-cookie')}=1",
        "If-Match": f'"{plant("etag")}"',
        plant("header"): plant("header-value"),
    }
    failing_system.ask("GET", f"tasks?limit={plant('limit')}", None, 422, strange)
    key = {"Idempotency-Key": plant("key")}
    failing_system.ask("POST", "tasks", {"title": plant("first")}, 201, key)
    failing_system.ask("POST", "tasks", {"title": plant("another")}, 422, key)


def _send_what_is_of_a_users_own_data(failing_system: FailingSystem) -> None:
    """Send what the functions for a user's own data refuse, and read a calendar by its address."""
    plant = failing_system.planted
    failing_system.ask("DELETE", "account", {"password": plant("deletion")}, 401)
    jsonl = {"Content-Type": "application/jsonl"}
    for line in (f'{{"type": "{plant("line")}"}}', plant("no-line")):
        lines = f"{line}\n".encode()
        status = 422 if line.startswith("{") else 400
        failing_system.ask("POST", "import", None, status, jsonl, data=lines)
    path = failing_system.ask("POST", "calendar-feed", None, 201)["path"]
    plant.append(path.rpartition("/")[2])
    for target in (path, f"{path}?{plant('component')}=1", f"{path}/{plant('below')}"):
        failing_system.ask_raw(f"GET {target} HTTP/1.1", "Host: x", "Connection: close")
        failing_system.ask_raw(f"GET {target} HTTP/1.1", "no header")


def _send_what_is_no_http(failing_system: FailingSystem) -> None:
    plant = failing_system.planted
    host = f"Host: 127.0.0.1:{failing_system.system.port}"
    chunked = ("Content-Type: application/json", "Transfer-Encoding: chunked", "")
    token = f"Authorization: {failing_system.headers['Authorization']}"
    for lines in (
        (f"GET /{plant('request-target')}?{plant('its-query')} HTTP/{plant('version')}", host),
        (f"{plant('method')}\x01 / HTTP/1.1", host),
        (plant("no-request"),),
        ("GET / HTTP/1.1", host, f"{plant('bad')} {plant('header-name')}: 1"),
        ("GET / HTTP/1.1", host, f"{plant('no-colon')}"),
        (f"GET /{'x' * 10_000}{plant('too-long')} HTTP/1.1", host),
        ("POST /api/tasks HTTP/1.1", host, token, *chunked, plant("chunk"), plant("its-body")),
        (f"GET /{plant('name')} HTTP/1.1", host, f"Transfer-Encoding: {plant('coding')}"),
        (f"GET /api/tasks?{plant('mount')} HTTP/1.1", host, f"SCRIPT_NAME: /{plant('script')}"),
        (f"GET /api/tasks?{plant('upgrade')} HTTP/1.1", host, f"Expect: {plant('expectation')}"),
        (f"GET /ws?ticket={plant('half-upgrade')} HTTP/1.1", host, "Upgrade: websocket"),
    ):
        failing_system.ask_raw(*lines)


def _open_sockets(failing_system: FailingSystem) -> None:
    """Open sockets that are refused."""
    plant, system = failing_system.planted, failing_system.system
    with opened(system, ticket=plant("ticket")) as refused:
        assert close_code(refused) == CloseCode.BAD_TOKEN
    with opened(system, subprotocols=("taskflow.v1", f"bearer.{plant('protocol')}")) as refused:
        assert close_code(refused) == CloseCode.BAD_TOKEN
    with opened(system, f"/{plant('somebody')}", headers=failing_system.headers) as refused:
        assert close_code(refused) == CloseCode.NOT_YOUR_ACCOUNT
    with opened(system, headers=failing_system.headers, since=plant("since")) as refused:
        assert close_code(refused) == CloseCode.BAD_SINCE
    for first in (f'{{"type": "auth", "token": "{plant("first-message")}"}}', plant("no-message")):
        with opened(system) as refused:
            refused.send(first)
            assert close_code(refused) == CloseCode.BAD_TOKEN
    issued = failing_system.ask("POST", "ws-ticket", None, 201)
    failing_system.planted.append(issued["ticket"])
    for times in range(2):
        with opened(
            system, subprotocols=[Subprotocol("taskflow.v1")], ticket=issued["ticket"]
        ) as ws:
            if times:
                assert close_code(ws) == CloseCode.BAD_TOKEN


def _fail_in_functions(failing_system: FailingSystem) -> None:
    """Have handlers, statements and consumers fail on secrets that were sent."""
    plant = failing_system.planted
    unforeseen = {"title": plant("unforeseen-title"), "description": plant("unforeseen")}
    failing_system.ask("POST", "unforeseen", unforeseen, 500)
    key = {"Idempotency-Key": plant("constraint-key")}
    failing_system.create("constraint", 500, **key)
    email = f"{plant('constraint-email')}@example.com"
    failing_system.ask("POST", "auth/register", {"email": email, "password": plant("hashed")}, 500)
    failing_system.create("refused-event", 201)
    failing_system.create("unforeseen-event", 201)
    poster = Sender(_consumers_socket(failing_system.system))
    malformed = {"specversion": "1.0", "id": str(uuid4()), "source": plant("source")}
    for attributes, body in (
        ({**malformed, "type": EventType.TASK_CREATED.value}, f'{{"data": "{plant("body")}"}}'),
        ({**malformed, "type": plant("type")}, plant("no-event")),
        ({**malformed, "type": plant("type"), "specversion": plant("specversion")}, "{}"),
    ):
        assert poster("record-audit-entry", attributes, body.encode()).status == 400
    eventually(lambda: _assert_refused(failing_system))


def _assert_refused(failing_system: FailingSystem) -> None:
    logged = failing_system.logged()
    assert all(logged[message] for message in LOGGED if "refuse-events" in message)


def _consumers_socket(system: System) -> Path:
    worker, *_ = roles.wait_for(roles.consumers_workers, system)
    return Path(worker.cmdline()[-1]) / CONSUMERS_SOCKET


def _fail_in_the_database(failing_system: FailingSystem) -> None:
    """Have the database cancel a statement, refuse writes, and be killed."""
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(failing_system.create, "slow", 503)
        eventually(lambda: failing_system.administer(CANCEL))
        slow.result()
    failing_system.administer("ALTER SYSTEM SET default_transaction_read_only = on", RELOAD)
    eventually(lambda: failing_system.create("read-only", 503))
    failing_system.ask(
        "POST", "auth/login", failing_system.credentials(failing_system.password), 503
    )
    failing_system.administer("ALTER SYSTEM RESET default_transaction_read_only", RELOAD)
    eventually(lambda: failing_system.create("writable", 201))
    failing_system.postgres.process.kill()
    failing_system.postgres.process.wait()
    failing_system.create("away", 503, **{"Idempotency-Key": failing_system.planted("away-key")})
    failing_system.ask(
        "POST", "auth/login", failing_system.credentials(failing_system.password), 503
    )
    with opened(
        failing_system.system, ticket=failing_system.planted("ticket-while-away")
    ) as refused:
        assert close_code(refused) == CloseCode.SERVICE_RESTART
    failing_system.postgres.start()
    eventually(lambda: failing_system.create("back", 201))


def _kill_a_worker(failing_system: FailingSystem) -> None:
    [worker] = roles.api_workers(failing_system.system)
    worker.kill()

    def is_logged() -> None:
        assert any(message.startswith("gunicorn") for message in failing_system.logged())

    eventually(is_logged)


def test_the_logs_tell_each_failure_and_nothing_that_clients_sent(
    failing_system: FailingSystem,
) -> None:
    _send_what_is_wrong(failing_system)
    _send_what_is_of_a_users_own_data(failing_system)
    _send_what_is_no_http(failing_system)
    _open_sockets(failing_system)
    _fail_in_functions(failing_system)
    _fail_in_the_database(failing_system)
    _kill_a_worker(failing_system)
    with database_at(failing_system.url), transaction(A_CAUSE) as tx:
        hashes = tx.connection.execute(select(USERS.c.password_hash)).scalars().all()
        tokens = tx.connection.execute(select(REFRESH_TOKENS.c.token_hash)).scalars().all()
    assert failing_system.system.stop() == 0

    logged = failing_system.logged()
    assert {what: logged[what] for what in LOGGED if logged[what] < LOGGED[what]} == {}
    everything = "\n".join(failing_system.lines())
    secrets = [*failing_system.planted, *hashes, *(token.hex() for token in tokens)]
    assert [secret for secret in secrets if secret in everything] == []
