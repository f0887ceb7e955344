"""On every event: record who did what, when and from where."""

from uuid import UUID

from taskflow.domain.events import EventType
from taskflow.eventing import event_function
from taskflow.eventing.consumer import REMINDERS_TOPIC, TASKS_TOPIC
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.storage import Transaction, audit_store, events
from taskflow.storage.audit_store import AuditEntry


@event_function(TASKS_TOPIC, REMINDERS_TOPIC, types=list(EventType))
def record_audit_entry(delivered: DeliveredEvent, tx: Transaction) -> None:
    # Who asked and from where never travels: the log alone has it.
    event = events.get(tx, delivered.user_id, delivered.seq, event_id=delivered.event_id)
    audit_store.add(
        tx,
        AuditEntry(
            event_id=event.event_id,
            user_id=event.user_id,
            seq=event.seq,
            event_type=event.event_type,
            aggregate_id=event.aggregate_id,
            task_id=_task_id(delivered),
            version=event.version,
            timestamp=event.timestamp,
            correlation_id=event.correlation_id,
            actor=event.actor,
            origin=event.origin,
        ),
    )


def _task_id(delivered: DeliveredEvent) -> UUID | None:
    if delivered.event_type.startswith("task."):
        return UUID(delivered.aggregate_id)
    task_id = delivered.data.get("task_id")
    return UUID(task_id) if isinstance(task_id, str) else None
