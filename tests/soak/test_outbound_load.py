"""Ten thousand messages due at once, and a provider that is dead beside one that is not (N4)."""

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.domain import notifications
from taskflow.domain.destinations import Channel, State
from taskflow.domain.identifiers import new_id
from taskflow.outbound import webhooks
from taskflow.storage import bulk, task_changes, transaction
from taskflow.storage.tables import DESTINATIONS
from tests.soak.test_reminders import LOOK_S, Probe, figures
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.database.connection import database_of
from tests.support.load.chaos import JWT_SECRET
from tests.support.network.endpoint import an_endpoint
from tests.support.network.mail_servers import a_mail_server
from tests.support.polling import eventually
from tests.support.processes.system import System

pytestmark = pytest.mark.soak

MANY, FEW = 10_000, 500
TOGETHER = 500
HANGS_S = 3600.0
"""Longer than anybody waits for it."""

DEAD_FOR_S = 60

_PREFERENCES = text("UPDATE users SET notification_channels = ARRAY['email'] WHERE id = ANY(:ids)")
_STATES = text(
    "SELECT m.state, count(*)::int AS number FROM outbound_messages m JOIN destinations d"
    " ON d.id = m.destination_id WHERE d.channel = :channel GROUP BY m.state"
)
_LATE = text(
    "SELECT extract(epoch FROM m.settled_at - e.timestamp)::float FROM outbound_messages m"
    " JOIN destinations d ON d.id = m.destination_id"
    " JOIN events e ON e.user_id = m.user_id AND e.seq = m.seq"
    " WHERE d.channel = :channel AND m.state = 'sent' AND e.timestamp >= :since"
)


_STARTED = text("SELECT count(*) FROM consumers WHERE name = 'send-notification'")


def _assert_started() -> None:
    """Check that what happens from now on is told of."""
    with transaction(A_CAUSE) as tx:
        assert tx.connection.execute(_STARTED).scalar_one() == 1


def _users(number: int) -> list[SignedIn]:
    users = [a_user() for _ in range(number)]
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(_PREFERENCES, {"ids": [user.user_id for user in users]})
    return users


def _destinations(
    users: Sequence[SignedIn],
    channel: Channel,
    address: str,
    **details: Any,  # noqa: ANN401 - what JSON may hold
) -> None:
    """Give each user an active destination."""
    now = clock.now()
    rows = [
        {
            "id": new_id(now),
            "user_id": user.user_id,
            "channel": channel.value,
            "address": address.format(number),
            "details": details,
            "state": State.ACTIVE.value,
            "created_at": now,
            "seq": 1,
        }
        for number, user in enumerate(users)
    ]
    with transaction(A_CAUSE) as tx:
        bulk.insert(tx, DESTINATIONS, rows)


def _tell(users: Sequence[SignedIn]) -> datetime:
    """Send each user an operator's message; return when the first was."""
    begin = clock.now()
    for start in range(0, len(users), TOGETHER):
        told = [
            notifications.tell(user.user_id, "Maintenance tonight.", now=clock.now())
            for user in users[start : start + TOGETHER]
        ]
        with transaction(A_CAUSE) as tx:
            task_changes.save_all(
                tx,
                notifications=[notification for notification, _ in told],
                events=[event for _, event in told],
            )
    return begin


def _states(channel: Channel) -> dict[str, int]:
    with transaction(A_CAUSE) as tx:
        rows = tx.connection.execute(_STATES, {"channel": channel.value})
        return {row.state: row.number for row in rows}


def _late_s(channel: Channel, since: datetime) -> list[float]:
    with transaction(A_CAUSE) as tx:
        rows = tx.connection.execute(_LATE, {"channel": channel.value, "since": since})
        return list(rows.scalars())


@contextmanager
def _looking_at(system: System, mail_port: int) -> Generator[dict[str, int]]:
    """Note the most memory that a process of the system takes meanwhile, and its connections."""
    most = {"rss_mib": 0, "connections": 0}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.2):
            connections = 0
            for process in system.processes():
                try:
                    most["rss_mib"] = max(most["rss_mib"], process.memory_info().rss >> 20)
                    connections += sum(
                        each.raddr != () and each.raddr.port == mail_port
                        for each in process.net_connections("inet")
                    )
                except psutil.Error:
                    continue
            most["connections"] = max(most["connections"], connections)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield most
    finally:
        ended.set()
        looking.join()


def _mailing(system: System, port: int) -> None:
    system.settings |= {
        "JWT_SECRET": JWT_SECRET,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_SECURITY": "none",
        "SMTP_FROM": "TaskFlow <reminders@tasks.example>",
        "OUTBOUND_ALLOWED_NETWORKS": "127.0.0.0/8",
    }


def test_ten_thousand_mails_due_at_once_disturb_nobody(own_system: System) -> None:
    with a_mail_server() as server:
        _mailing(own_system, server.port)
        own_system.start()
        with database_of(own_system):
            eventually(_assert_started, within_s=60)
            users = _users(MANY)
            _destinations(users, Channel.EMAIL, "{}@example.com")
            probe = Probe(own_system)
            threading.Event().wait(15)
            quiet_s = list(probe.took_s)
            probe.took_s.clear()
            with _looking_at(own_system, server.port) as most:
                begin = _tell(users)
                eventually(
                    lambda: _assert_all_sent(Channel.EMAIL, MANY), within_s=900, every_s=LOOK_S
                )
                took_s = (clock.now() - begin).total_seconds()
            busy_s = list(probe.took_s)
            probe.stop()
            late_s = _late_s(Channel.EMAIL, begin)

    to_whom = [envelope.rcpt_tos[0] for envelope in server.mails]
    print(f"\n{MANY} mails in {took_s:.0f} s, {MANY / took_s:.0f} a second; most {most}")
    print(f"Lateness, ms: {figures(late_s)}")
    print(f"API before, ms: {figures(quiet_s)}")
    print(f"API meanwhile, ms: {figures(busy_s)}")
    assert sorted(to_whom) == sorted(f"{number}@example.com" for number in range(MANY))
    assert set(probe.statuses) <= {200, 201}
    # Two runs overlap for a quarter of a minute.
    assert most["connections"] <= 2 * 4
    # What a pod of this function may have.
    assert most["rss_mib"] <= 256
    assert own_system.stop() == 0


def _assert_all_sent(channel: Channel, number: int) -> None:
    assert _states(channel) == {"sent": number}


def test_a_dead_provider_leaves_the_other_channels_as_late_as_they_were(
    own_system: System,
) -> None:
    with a_mail_server() as server, an_endpoint() as endpoint:
        _mailing(own_system, server.port)
        own_system.start()
        with database_of(own_system):
            eventually(_assert_started, within_s=60)
            users = _users(FEW)
            secrets = [{"secret": webhooks.new_secret(), "until": None}]
            _destinations(users, Channel.EMAIL, "{}@example.com")
            _destinations(users, Channel.WEBHOOK, f"{endpoint.url}?{{}}", secrets=secrets)
            late_s: dict[str, list[float]] = {}
            for state in ("alive", "dead"):
                if state == "dead":
                    # It takes connections and says nothing.
                    server.waits_s = HANGS_S
                begin = _tell(users)
                number = FEW * (1 if state == "alive" else 2)
                eventually(
                    lambda number=number: _assert_all_sent(Channel.WEBHOOK, number),
                    within_s=300,
                    every_s=LOOK_S,
                )
                late_s[state] = _late_s(Channel.WEBHOOK, begin)
            threading.Event().wait(DEAD_FOR_S)
            pending = _states(Channel.EMAIL)
            server.waits_s = 0
            eventually(
                lambda: _assert_all_sent(Channel.EMAIL, 2 * FEW), within_s=300, every_s=LOOK_S
            )

    for state, seconds in late_s.items():
        print(f"\nWebhooks while mail is {state}, ms: {figures(seconds)}")
    print(f"Mail after {DEAD_FOR_S} s without its server: {pending}")
    assert "failed" not in pending
    assert own_system.stop() == 0
