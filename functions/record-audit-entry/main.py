"""On every event: record who did what, when and from where."""

from uuid import UUID

from taskflow.domain.events import EventType, is_of_task
from taskflow.eventing import event_function
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.storage import Transaction, audit_store


# Each entry has a row of its own, whichever comes first, and is there once however often it comes.
@event_function(*EventType, starts="beginning", ordering="unordered", replayed="taken")
def record_audit_entry(delivered: DeliveredEvent, tx: Transaction) -> None:
    # Who asked and from where never travels: the log alone has it.
    audit_store.record(
        tx,
        delivered.user_id,
        delivered.seq,
        event_id=delivered.event_id,
        task_id=_task_id(delivered),
    )


def _task_id(delivered: DeliveredEvent) -> UUID | None:
    if is_of_task(delivered.event_type):
        return UUID(delivered.aggregate_id)
    task_id = delivered.data.get("task_id")
    return UUID(task_id) if isinstance(task_id, str) else None
