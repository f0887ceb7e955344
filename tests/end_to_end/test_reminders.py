"""Reminders of the running system: at their second, and against two devices at once."""

from tests.support.load.reminder_races import Race
from tests.support.network.remote_api import RemoteApi, a_new_user
from tests.support.network.sockets import following, receive
from tests.support.processes.system import System

TASKS, ROUNDS = 30, 3


def test_a_reminder_comes_to_the_socket_and_the_inbox(system: System) -> None:
    user = a_new_user(system)

    with following(system, user) as socket, RemoteApi(system, user) as remote:
        remote.create(
            "Water the plants",
            due_date="2026-01-01T09:00:00Z",
            reminders=[{"before_due": "PT1H", "message": "All of them"}],
        )
        messages = [receive(socket) for _ in range(5)]
        inbox = remote.request("GET", "notifications").json()["items"]

    assert [message["type"] for message in messages] == [
        "task.created",
        "reminder.scheduled",
        "reminder",
        "notification.created",
        "reminder.sent",
    ]
    assert messages[2]["data"]["task_title"] == "Water the plants"
    assert messages[2]["data"]["reminder_message"] == "All of them"
    assert messages[2]["data"]["remind_at"] == "2026-01-01T08:00:00.000000Z"
    assert [one["message"] for one in inbox] == ["All of them"]


def test_no_reminder_comes_after_the_task_was_closed_and_none_twice(system: System) -> None:
    race = Race(system, seed=5)

    for _ in range(ROUNDS):
        race.run(TASKS, due_in_s=2)
    race.check()

    assert race.counts["reminders"]
    assert race.counts["cancelled"]
