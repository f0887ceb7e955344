"""Messages to the outside while senders are killed, and PostgreSQL and providers fail (N3).

A message comes twice where its sender was killed after the provider had taken it and before that
was recorded; then under the same name. No other comes twice, and none is lost.
"""

import logging
import random
import signal
import threading
from base64 import urlsafe_b64encode
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import randbits
from uuid import UUID

import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.domain.destinations import Channel
from taskflow.outbound import webhooks
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import DatabaseUnavailable, LockTimeout, transaction
from taskflow.storage.migrations import runner
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import log_of
from tests.support.data.destinations import a_destination
from tests.support.database.connection import database_at
from tests.support.delivery.subscribers import deliver
from tests.support.functions.client import Api
from tests.support.functions.tasks import happened_to
from tests.support.network.browser import Browser
from tests.support.network.endpoint import LOOPBACK
from tests.support.outbound.moody_providers import Ports, Register, Taken, moody_providers
from tests.support.outbound.own_database import having_users_told
from tests.support.outbound.senders import Senders
from tests.support.polling import eventually
from tests.support.settings import changed_settings

pytestmark = pytest.mark.soak

USERS, SENDERS, WRITERS = 60, 3, 2
PAUSE_S = 0.2
"""Between two reminders of a writer."""

KILLED_FOR_S = 110.0
LIVES_S = (1.0, 2.0)
"""How long it is from one kill to the next."""

AWAY_S = 3.0
"""How long PostgreSQL is down, each time."""

SETTLED_WITHIN_S = 600.0
"""Holds of those who were killed last two minutes, and pauses up to four after four failures."""

RECORDED_WITHIN_S = 5.0
"""How soon what was taken is recorded on a busy machine, while the database is there."""

SENDER = "reminders@tasks.example"

Name = tuple[str, str]
"""The channel of a message, and its name there."""

_MESSAGES = text(
    "SELECT d.channel, d.address, m.id, m.event_id, m.state, m.failures, m.reason"
    " FROM outbound_messages m JOIN destinations d ON d.id = m.destination_id"
)
_LEFT = text("SELECT count(*)::int FROM outbound_messages WHERE state = 'pending'")


def test_no_message_is_lost_and_none_is_doubled_but_by_a_kill(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # That the database is away is logged by whoever asks meanwhile.
    caplog.set_level(logging.ERROR)
    seed = randbits(32)
    print(f"\nSeed {seed}")
    postgres = EmbeddedPostgres(tmp_path / "database")
    postgres.start()
    try:
        with database_at(postgres.url):
            runner.apply()
            with having_users_told():
                _Run(postgres, random.Random(seed), tmp_path / "senders.log").run()
    finally:
        postgres.stop()


@dataclass
class _Run:
    """A load with kills, and what came of it."""

    postgres: EmbeddedPostgres
    rng: random.Random
    log: Path
    away: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """From when to when PostgreSQL was down."""

    def run(self) -> None:
        """Send while senders are killed, and then until all is sent; check what came of it."""
        senders = Senders(SENDERS, self.log)
        register = Register(random.Random(self.rng.random()), senders.pids)
        with moody_providers(register) as ports, changed_settings(**_settings(ports)):
            users = [_a_user_with_all(number, ports) for number in range(USERS)]
            began_s = clock.monotonic_s()
            with senders:
                with _Writers(users):
                    self._kill(senders)
                _tell_of_all(users)
                register.is_moody = False
                eventually(_assert_none_is_left, within_s=SETTLED_WITHIN_S, every_s=1.0)
        print(f"{clock.monotonic_s() - began_s:.0f} s, {KILLED_FOR_S:.0f} of them under kills")
        print(f"Kills {len(senders.killed_s)}; PostgreSQL away {_spans(self.away)}")
        assert "Traceback" not in self.log.read_text()
        print(f"Providers: {dict(sorted(register.moods.items()))}")
        self._check(users, register.taken, senders.killed_s)

    def _kill(self, senders: Senders) -> None:
        """Kill senders at random, and twice PostgreSQL."""
        began_s = clock.monotonic_s()
        ends_s = began_s + KILLED_FOR_S
        restarts_s = [began_s + KILLED_FOR_S / 3, began_s + KILLED_FOR_S * 2 / 3]
        while clock.monotonic_s() < ends_s:
            threading.Event().wait(self.rng.uniform(*LIVES_S))
            senders.kill(self.rng)
            if restarts_s and clock.monotonic_s() >= restarts_s[0]:
                restarts_s.pop(0)
                self._restart(senders)

    def _restart(self, senders: Senders) -> None:
        """Have PostgreSQL down for a while, in which a sender is killed, too."""
        since_s = clock.monotonic_s()
        self.postgres.process.send_signal(signal.SIGQUIT)
        self.postgres.process.wait(60)
        threading.Event().wait(AWAY_S / 2)
        senders.kill(self.rng)
        threading.Event().wait(AWAY_S / 2)
        self.postgres.start()
        self.away.append((since_s, clock.monotonic_s()))

    def _check(
        self, users: Sequence[SignedIn], taken: Sequence[Taken], killed_s: dict[int, float]
    ) -> None:
        receivers = _receivers(users)
        by_name: dict[Name, list[Taken]] = defaultdict(list)
        for each in taken:
            by_name[each.channel, each.name].append(each)
        assert by_name.keys() == receivers.keys()
        doubled = Counter[str]()
        unexplained: list[Taken] = []
        for name, times in by_name.items():
            assert {each.receiver for each in times} == {receivers[name]}
            # All but the last were not recorded.
            for each in times[:-1]:
                doubled[f"{each.channel}, {self._why(each, killed_s)}"] += 1
                if self._why(each, killed_s) == "unexplained":
                    unexplained.append(each)
        print(f"Messages {dict(Counter(channel for channel, _ in receivers))}")
        print(f"Taken {len(taken)}; of them again: {dict(doubled)}")
        assert unexplained == []

    def _why(self, taken: Taken, killed_s: dict[int, float]) -> str:
        """Say why what was taken was not recorded."""
        at_s = killed_s.get(taken.pid) if taken.pid else self._nearest(taken, killed_s)
        # It may have been sent before its sender was killed, and read after it.
        if at_s is None or at_s < taken.at_s - RECORDED_WITHIN_S:
            return "unexplained"
        if at_s < taken.at_s + RECORDED_WITHIN_S:
            return "its sender was killed"
        for since_s, until_s in self.away:
            if since_s < at_s < until_s + RECORDED_WITHIN_S and taken.at_s < until_s:
                return "its sender was killed while PostgreSQL was away"
        return "unexplained"

    @staticmethod
    def _nearest(taken: Taken, killed_s: dict[int, float]) -> float:
        return min(killed_s.values(), key=lambda at_s: abs(at_s - taken.at_s))


def _settings(ports: Ports) -> dict[str, object]:
    return {
        "public_url": "https://tasks.example",
        "link_secret": "a secret for tests, and for nothing else at all",
        "smtp_host": "127.0.0.1",
        "smtp_port": ports.mail,
        "smtp_security": "none",
        "smtp_from": f"TaskFlow <{SENDER}>",
        "outbound_allowed_networks": LOOPBACK,
        "vapid_private_key": "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
        "vapid_subject": "mailto:ops@app.example",
        "database_pool_size": 8,
    }


def _a_user_with_all(number: int, ports: Ports) -> SignedIn:
    """Open an account with a mailbox, a browser and a webhook."""
    user = a_user()
    # A mail of many has another name each time that other reminders are among them.
    wanted = {"notification_channels": ["email", "web_push"], "email_digest": False}
    assert Api(user).put("/api/{user_id}/settings", wanted).status_code == 200
    url = f"http://127.0.0.1:{ports.http}"
    a_destination(user.user_id, Channel.EMAIL, f"{number}@example.com")
    subscription = Browser().subscription(f"{url}/web_push/{number}")
    a_destination(user.user_id, Channel.WEB_PUSH, subscription["endpoint"], **subscription)
    a_destination(
        user.user_id,
        Channel.WEBHOOK,
        f"{url}/webhook/{number}",
        seq=0,
        secrets=[{"secret": webhooks.new_secret(), "until": None}],
    )
    return user


class _Writers:
    """Threads that have reminders come, of users in turn, whatever fails meanwhile."""

    def __init__(self, users: Sequence[SignedIn]) -> None:
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(users[number::WRITERS],))
            for number in range(WRITERS)
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self, users: Sequence[SignedIn]) -> None:
        number = 0
        while not self._stopping.wait(PAUSE_S):
            user = users[number % len(users)]
            number += 1
            task = {
                "title": f"Number {number}",
                "reminders": [{"remind_at": "2026-01-01T00:00:00Z"}],
            }
            with suppress(DatabaseUnavailable, LockTimeout):
                Api(user).post("/api/tasks", task)
                deliver("send-notification", happened_to(user.user_id, "reminder.triggered")[-1])


def _tell_of_all(users: Sequence[SignedIn]) -> None:
    """Deliver each reminder to who has its user told of it, as the log's deliverer does in time."""
    for user in users:
        for event in happened_to(user.user_id, "reminder.triggered"):
            assert deliver("send-notification", event).status_code == 204


def _assert_none_is_left() -> None:
    with suppress(DatabaseUnavailable), transaction(A_CAUSE) as tx:
        assert tx.connection.execute(_LEFT).scalar_one() == 0


def _receivers(users: Sequence[SignedIn]) -> dict[Name, str]:
    """Return where each message was to be sent; check that there is one of each event, and sent."""
    with transaction(A_CAUSE) as tx:
        rows = tx.connection.execute(_MESSAGES).all()
    assert Counter((row.state, row.reason) for row in rows) == {("sent", None): len(rows)}
    logs = [log_of(user.user_id) for user in users]
    reminded = sum(event.event_type == "reminder.triggered" for log in logs for event in log)
    assert Counter(row.channel for row in rows) == {
        "email": reminded,
        "web_push": reminded,
        "webhook": sum(len(log) for log in logs),
    }
    print(f"Failures of messages {dict(sorted(Counter(row.failures for row in rows).items()))}")
    return dict(_name_and_receiver(row.channel, row.address, row.id, row.event_id) for row in rows)


def _name_and_receiver(
    channel: str, address: str, message_id: UUID, event_id: UUID
) -> tuple[Name, str]:
    match channel:
        case "email":
            return (channel, f"<{message_id}@{SENDER.partition('@')[2]}>"), address
        case "web_push":
            topic = urlsafe_b64encode(message_id.bytes).rstrip(b"=").decode()
            return (channel, topic), _path(address)
        case _:
            return (channel, str(event_id)), _path(address)


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def _spans(spans: Sequence[tuple[float, float]]) -> str:
    return " and ".join(f"{until_s - since_s:.1f} s" for since_s, until_s in spans)
