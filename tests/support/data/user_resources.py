"""One resource of each kind that a user can have: a task, a reminder, where they are told of it."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from taskflow import clock
from taskflow.domain import creation
from taskflow.domain.creation import NewTask
from taskflow.domain.destinations import Channel
from taskflow.domain.tasks import Task
from taskflow.domain.times import rfc3339
from taskflow.serving import tokens
from taskflow.storage import session_store, task_changes, transaction
from tests.support.data.accounts import A_CAUSE
from tests.support.data.destinations import a_destination, a_message, a_webhook


@dataclass(frozen=True)
class UserResources:
    """A recurring task, a reminder that was sent, its notification, and where it is told of.

    And a session, for which there is no token any more.
    """

    task: Task
    reminder_id: UUID
    notification_id: UUID
    destination_id: UUID
    webhook_id: UUID
    message_id: UUID
    session_id: UUID

    @property
    def ids(self) -> dict[str, object]:
        """The id for each parameter of a path that names one of the resources."""
        return {
            "task_id": self.task.id,
            "reminder_id": self.reminder_id,
            "notification_id": self.notification_id,
            "destination_id": self.destination_id,
            "webhook_id": self.webhook_id,
            "message_id": self.message_id,
            "session_id": self.session_id,
        }


def stored_resources(user_id: str, *, title: str = "Buy milk") -> UserResources:
    """Store the resources of a user, and a second reminder that is still to come."""
    now = clock.now()
    came = {"remind_at": rfc3339(now - timedelta(hours=1)), "message": title}
    to_come = {"before_due": "PT1H", "message": title}
    draft = NewTask.model_validate(
        {
            "title": title,
            "due_date": rfc3339(now + timedelta(days=2)),
            "recurrence_rule": "FREQ=DAILY",
            "reminders": [came, to_come],
        }
    )
    made = creation.create(draft, user_id=user_id, user_zone="UTC", now=now)
    with transaction(A_CAUSE) as tx:
        task_changes.save_all(
            tx,
            new_tasks=[made.task],
            new_reminders=made.reminders,
            notifications=made.notifications,
            events=made.happened,
        )
        session = session_store.open_session(tx, user_id, tokens.new_secret(), now=now)
    destination = a_destination(user_id, Channel.EMAIL, f"{made.task.id}@example.com")
    webhook = a_webhook(user_id, f"https://example.com/{made.task.id}")
    message_id = a_message(webhook)
    return UserResources(
        made.task,
        made.reminders[0].id,
        made.notifications[0].id,
        destination.id,
        webhook.id,
        message_id,
        session.id,
    )
