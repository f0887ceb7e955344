"""One function in a process of its own, as a pod runs it (D3, D7, L6, L7)."""

import signal
import socket
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path

import pytest
import requests
from websockets.sync.client import ClientConnection

from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import Event
from taskflow.eventing.bindings.knative import headers_of
from tests.support.data.accounts import SignedIn
from tests.support.data.builders import a_stored_task, log_of
from tests.support.database.connection import NOWHERE
from tests.support.network.sockets import close_code, following, receive_up_to
from tests.support.processes.pod import ENDED_WITHIN_S, STARTED_WITHIN_S, Pod

ENDED_AT_ONCE_S = 6
"""An end by itself takes 2 s; the server's patience with requests that it has begun is 10 s."""

A_REQUEST = b"GET /health/liveness HTTP/1.1\r\nHost: localhost\r\n\r\n"
SOCKETS = 100
"""Far more than functions-framework's server has threads for."""
RunPod = Callable[..., Pod]


@pytest.fixture
def pod(database: object, tmp_path: Path) -> Generator[RunPod]:  # noqa: ARG001 - it must run
    """Return what runs a function until the test ends."""
    running: list[Pod] = []

    def run(function: str, **variables: str) -> Pod:
        made = Pod(function, tmp_path / f"{function}.log", **variables)
        running.append(made)
        made.wait()
        return made

    yield run
    for each in running:
        each.process.kill()
        each.process.wait()


def test_a_pod_serves_its_endpoint_and_ends_with_status_0(
    pod: RunPod, user: SignedIn, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    creating = pod("create-task", HOME=str(home), XDG_RUNTIME_DIR=str(home))

    answer = requests.post(
        f"{creating.url}/api/tasks", json={"title": "Buy milk"}, headers=user.headers, timeout=10
    )
    elsewhere = requests.get(f"{creating.url}/api/reminders/pending", timeout=10)

    assert (answer.status_code, elsewhere.status_code) == (201, 404)
    assert [event.event_type for event in log_of(user.user_id)][-1] == "task.created"
    # All servers of a user would share what is left there.
    assert list(home.iterdir()) == []
    assert creating.end() == 0
    assert "Traceback" not in creating.log.read_text()


def test_a_pod_has_the_effect_of_a_delivered_event(pod: RunPod, user: SignedIn) -> None:
    a_stored_task(user.user_id)
    event: Event = log_of(user.user_id)[-1]
    recording = pod("record-audit-entry")

    answers = [
        requests.post(
            recording.url,
            data=event.record_json().encode(),
            headers=headers_of(attributes_of(event)),
            timeout=10,
        ).status_code
        for _ in range(2)
    ]

    assert answers == [204, 204]
    assert recording.end() == 0


def test_a_pod_without_its_database_is_ready_and_answers_503_at_once(
    pod: RunPod, user: SignedIn
) -> None:
    listing = pod("list-tasks", DATABASE_URL=NOWHERE)

    answer = requests.get(f"{listing.url}/api/tasks", headers=user.headers, timeout=5)
    health = requests.get(f"{listing.url}/health", timeout=5)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert health.status_code == 503
    assert requests.get(f"{listing.url}/health/readiness", timeout=5).status_code == 200


def test_a_pod_with_an_invalid_setting_ends_with_a_sentence(tmp_path: Path) -> None:
    refused = Pod("create-task", tmp_path / "log", JWT_SECRET="short")

    assert refused.process.wait(STARTED_WITHIN_S) == 1
    assert refused.log.read_text().startswith("JWT_SECRET: ")
    assert "Traceback" not in refused.log.read_text()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SMTP_HOST": "mail.example"}, "SMTP_FROM is needed for SMTP_HOST"),
        (
            {
                "SMTP_HOST": "mail.example",
                "SMTP_FROM": "tasks@app.example",
                "SMTP_USERNAME": "me",
                # As where a secret has nothing in it.
                "SMTP_PASSWORD": "",
            },
            "SMTP_PASSWORD is needed for SMTP_USERNAME",
        ),
        ({"VAPID_SUBJECT": "mailto:ops@app.example"}, "VAPID_PRIVATE_KEY is needed"),
        (
            {
                "ENVIRONMENT": "production",
                "SES_FROM": "tasks@app.example",
                "PUBLIC_URL": "https://app.example",
                "LINK_SECRET": "",
            },
            "LINK_SECRET is needed outside the local mode",
        ),
    ],
)
def test_a_pod_that_sends_ends_with_a_sentence_where_something_that_it_takes_is_missing(
    given: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    refused = Pod("deliver-notifications", tmp_path / "log", **given)

    assert refused.process.wait(STARTED_WITHIN_S) == 1
    assert refused.log.read_text().startswith(sentence)
    assert "Traceback" not in refused.log.read_text()


@pytest.mark.parametrize(
    "name", ["confirm-email", "refuse-email", "show-email-link", "unsubscribe-email"]
)
def test_a_pod_that_takes_links_ends_with_a_sentence_where_nothing_signs_them(
    name: str, tmp_path: Path
) -> None:
    given = {"SES_FROM": "tasks@app.example", "AWS_REGION": "eu-central-1", "LINK_SECRET": ""}
    refused = Pod(name, tmp_path / "log", ENVIRONMENT="production", **given)

    assert refused.process.wait(STARTED_WITHIN_S) == 1
    assert refused.log.read_text().startswith("LINK_SECRET is needed outside the local mode")
    assert "Traceback" not in refused.log.read_text()


def test_a_pod_that_sends_nothing_starts_without_the_secrets_of_those_that_do(pod: RunPod) -> None:
    told = {
        "SMTP_HOST": "mail.example",
        "SMTP_FROM": "tasks@app.example",
        "SMTP_USERNAME": "me",
        "VAPID_SUBJECT": "mailto:ops@app.example",
    }

    assert pod("get-task", **told).end() == 0


def _connect(pod: Pod) -> socket.socket:
    return socket.create_connection(("127.0.0.1", pod.port), timeout=ENDED_WITHIN_S)


def test_a_pod_that_checks_tokens_says_what_it_does_not_check(pod: RunPod) -> None:
    outside = {"AUTH": "external", "JWKS_URL": "http://127.0.0.1:1/jwks"}

    checking, consuming = (pod(name, **outside) for name in ("get-task", "record-audit-entry"))

    for name in ("JWT_ISSUER", "JWT_AUDIENCE"):
        assert checking.log.read_text().count(f"{name} is not set") == 1
    assert "is not set" not in consuming.log.read_text()


def _status(connection: socket.socket) -> int:
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


def test_clients_that_send_no_request_or_half_of_one_do_not_delay_the_end_of_a_pod(
    pod: RunPod,
) -> None:
    listing = pod("list-tasks")
    with _connect(listing), _connect(listing) as half, _connect(listing) as last:
        half.sendall(A_REQUEST[:40])
        # It was accepted after the others.
        last.sendall(A_REQUEST)
        assert _status(last) == 200

        began_s = time.monotonic()
        ended = listing.end()
        ended_s = time.monotonic() - began_s

    assert ended == 0
    assert ended_s < ENDED_AT_ONCE_S


def test_a_request_that_is_on_its_way_as_a_pod_is_told_to_end_is_answered(pod: RunPod) -> None:
    listing = pod("list-tasks")
    with _connect(listing) as opened, _connect(listing) as kept:
        kept.sendall(A_REQUEST)
        assert _status(kept) == 200

        listing.process.send_signal(signal.SIGTERM)
        hung_up = kept.recv(1)
        opened.sendall(A_REQUEST)
        answered = _status(opened)

    assert (hung_up, answered) == (b"", 200)
    assert listing.process.wait(ENDED_WITHIN_S) == 0


def test_a_pod_that_is_told_to_end_while_it_loads_its_function_ends_at_once(
    tmp_path: Path,
) -> None:
    """Process 1 of a container is not even told, if it has no handler."""
    source = tmp_path / "main.py"
    source.write_text("import signal\nsignal.raise_signal(signal.SIGTERM)\nsignal.pause()\n")

    loading = Pod("create-task", tmp_path / "log", FUNCTION_SOURCE=str(source))

    assert loading.process.wait(STARTED_WITHIN_S) == 0
    assert loading.log.read_text() == ""


def test_many_sockets_in_a_pod_keep_no_probe_waiting_and_are_sent_away_at_its_end(
    pod: RunPod, user: SignedIn
) -> None:
    syncing = pod("sync-tasks")
    with ExitStack() as stack:
        sockets: list[ClientConnection] = [
            stack.enter_context(following(syncing, user)) for _ in range(SOCKETS)
        ]
        probe = requests.get(f"{syncing.url}/health/liveness", timeout=2)
        a_stored_task(user.user_id)
        heard = [receive_up_to(socket, 2)[-1]["type"] for socket in sockets]
        syncing.process.send_signal(signal.SIGTERM)
        codes = [close_code(socket) for socket in sockets]

    assert probe.status_code == 200
    assert heard == ["task.created"] * SOCKETS
    assert codes == [1012] * SOCKETS
    assert syncing.process.wait(ENDED_WITHIN_S) == 0
