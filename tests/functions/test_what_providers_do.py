"""What a provider may do, by each channel: what its user gets, and what the rows say (N3-N6)."""

import logging
import signal
import subprocess
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.domain.destinations import TELLS, UNSURE_PAUSE_S, Channel, Destination
from taskflow.eventing import CronRun
from taskflow.eventing.lanes import lanes, pauses
from taskflow.eventing.outbound import Delivery
from taskflow.outbound import amazon, http, ses, smtp, sns
from taskflow.storage import dead_letter_store, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.destinations import destination_now, let_holds_end, messages_to
from tests.support.delivery.subscribers import assert_taken, deliver
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api
from tests.support.functions.tasks import created, data_of, happened_to, items
from tests.support.network.endpoint import a_server, until_gone
from tests.support.network.ports import a_free_port
from tests.support.outbound.local_providers import PROVIDERS, Asked, Names, Provider
from tests.support.outbound.senders import begin_sender
from tests.support.outbound.what_providers_do import EXPECTED, PAGE, Behaviour, Row, with_table
from tests.support.polling import eventually
from tests.support.settings import changed_settings

pytestmark = pytest.mark.usefixtures("own_messages")

WAITS_S = 0.3
"""For a provider that says nothing, in place of the many seconds of `outbound`."""

SENT_WITHIN_S = 60
CASES = [(by, row) for by, rows in EXPECTED.items() for row in rows]


@pytest.fixture
def user(own_messages: None) -> SignedIn:
    """Open the account of somebody who wants to be told by all channels."""
    del own_messages
    somebody = a_user()
    wanted = {"notification_channels": sorted(channel.value for channel in TELLS)}
    assert Api(somebody).put("/api/{user_id}/settings", wanted).status_code == 200
    return somebody


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made up")


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{by.title}: {row.does} {row.says}".strip() for by, row in CASES]
)
def test_what_a_provider_does_decides_what_its_user_gets_and_what_the_rows_say(
    user: SignedIn,
    case: tuple[Provider, Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    by, row = case
    port = a_free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with changed_settings(**by.settings(port)):
        destination = by.destination(user.user_id, port)
        _reminded(user)

        before = clock.now()
        with (
            assert_events_explain_the_change(user.user_id),
            caplog.at_level(logging.WARNING),
            monkeypatch.context() as shortened,
        ):
            names = _send_while_it_does(by, row, port, shortened, tmp_path / "sender.log")
        _assert_rows(row, destination)
        if row.message in {"pending", "unsure"}:
            [message] = messages_to(destination)
            exactly = UNSURE_PAUSE_S if row.message == "unsure" else row.asks_for_s
            shortest, longest = (exactly,) * 2 if exactly else (15, 30)
            assert message.due_at >= before + timedelta(seconds=shortest)
            assert message.due_at <= clock.now() + timedelta(seconds=longest)
        all_waits = f"nothing goes out by {by.channel.value}"
        assert any(all_waits in each for each in caplog.messages) == row.all_wait
        _assert_its_user_is_told(by, row, user)

        _let_all_be_due()
        with by.serving(port) as well:
            _send()
        if row.message == "held":
            assert well.times == 0
            let_holds_end(destination.id)
            with by.serving(port) as well:
                _send()

    names = [*names, *well.names]
    assert len(names) == row.got
    assert len(set(names)) <= 1
    [after] = messages_to(destination)
    assert after.state == ("failed" if row.message == "failed" else "sent")
    if row.message != "failed":
        assert destination_now(destination).failing_since is None


def _reminded(user: SignedIn) -> None:
    """Have a reminder come, and the consumer told of it."""
    api = Api(user)
    task = created(api)
    api.post(f"/api/tasks/{task['id']}/reminders", {"remind_at": "2026-01-01T00:00:00Z"})
    [event] = happened_to(user.user_id, "reminder.triggered")
    assert_taken(deliver("send-notification", event))


def _send_while_it_does(
    by: Provider, row: Row, port: int, shortened: pytest.MonkeyPatch, log: Path
) -> Names:
    """Send once while a provider does it; return the names of what it has taken."""
    if row.does in {"hangs", "has it, and hangs"}:
        shortened.setattr(http, "TIMEOUT_S", WAITS_S)
        shortened.setattr(amazon, "READ_TIMEOUT_S", WAITS_S)
        waits = "timeout_s" if row.does == "hangs" else "taken_within_s"
        shortened.setattr(smtp, "Connection", partial(smtp.Connection, **{waits: WAITS_S}))
    match row.does:
        case "is away":
            _send()
            return []
        case "hangs":
            with a_server(until_gone, port=port):
                _send()
            return []
        case "has it, and hangs":
            goes_on = threading.Event()
            with by.serving(port, row.says, goes_on.wait) as asked:
                _send()
                names = eventually(lambda: _some(asked))
                goes_on.set()
            return names
        case "accepts, and we are killed":
            return _send_until_killed(by, row, port, log)
        case _:
            with by.serving(port, row.says) as asked:
                _send()
            assert asked.times == 1
            return asked.names


def _some(asked: Asked) -> Names:
    assert asked.names
    return asked.names


def _send() -> None:
    # As if the provider had been left alone for long enough.
    with pauses.renewed(), ses.client.renewed(), sns.client.renewed():
        Delivery(CronRun(0), A_CAUSE, lanes()).send_all()


def _send_until_killed(by: Provider, row: Row, port: int, log: Path) -> Names:
    """Have a process send that is killed once the provider has the message."""
    sender: subprocess.Popen[bytes]

    def kill() -> None:
        sender.kill()

    with by.serving(port, row.says, kill) as asked:
        sender = begin_sender(log)
        ended = sender.wait(SENT_WITHIN_S)
    assert ended == -signal.SIGKILL, log.read_text()
    return asked.names


def _assert_rows(row: Row, destination: Destination) -> None:
    [message] = messages_to(destination)
    assert (message.state, message.failures) == {
        "sent": ("sent", 0),
        "failed": ("failed", 0),
        "pending": ("pending", 1),
        "unsure": ("pending", 1),
        "held": ("pending", 0),
    }[row.message]
    assert message.reason == row.reason
    after = destination_now(destination)
    assert after.state.value == ("disabled" if row.address == "disabled" else "active")
    assert (after.failing_since is None) == (row.address == "active")
    assert after.disabled_because == (row.reason if row.address == "disabled" else None)


def _assert_its_user_is_told(by: Provider, row: Row, user: SignedIn) -> None:
    """Check what is told of a failure: by an event, by a dead letter, and in the inbox."""
    failed = [data_of(event) for event in happened_to(user.user_id, "reminder.failed")]
    with transaction(A_CAUSE) as tx:
        letters = dead_letter_store.list_of(
            tx, state="dead", consumer="deliver-notifications", after=None, limit=100
        )
    of_user = [letter for letter in letters if letter.user_id == user.user_id]
    is_told = row.message == "failed" and by.channel in TELLS
    assert [(data["channel"], data["reason"]) for data in failed] == (
        [(by.channel.value, row.reason)] if is_told else []
    )
    assert [letter.error_text for letter in of_user] == ([row.reason] if is_told else [])
    inbox = items(Api(user), "/api/{user_id}/notifications")
    is_of_its_own = by.channel in {Channel.EMAIL, Channel.WEBHOOK}
    words = [each["message"] for each in inbox if each["task_id"] is None]
    assert len(words) == (row.address == "disabled" and is_of_its_own)
    assert all(word.endswith(f": {row.reason}") for word in words)


def _let_all_be_due() -> None:
    with transaction(A_CAUSE) as tx:
        pending = "UPDATE outbound_messages SET due_at = created_at WHERE state = 'pending'"
        tx.connection.execute(text(pending))
        waiting = "UPDATE destinations SET due_at = created_at WHERE due_at IS NOT NULL"
        tx.connection.execute(text(waiting))


def test_each_provider_is_seen_to_do_everything() -> None:
    seen = {(by, row.does) for by, row in CASES}

    assert seen == {(by, does) for by in PROVIDERS for does in get_args(Behaviour)}


def test_the_page_shows_these_rows() -> None:
    assert PAGE.read_text() == with_table(PAGE.read_text())
