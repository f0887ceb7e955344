"""Which consumer takes which types, for those who must know it without loading the functions.

A consumer's own `event_function` says the same; a test holds the two together.
"""

from taskflow.domain.events import EventType

SUBSCRIPTIONS: dict[str, frozenset[str]] = {
    "record-audit-entry": frozenset(event_type.value for event_type in EventType),
    "spawn-next-occurrence": frozenset({EventType.TASK_COMPLETED.value}),
}
