"""Event types: the aggregate, the topic and the message type that each decides (E1, E3, L2)."""

import pytest

from taskflow.domain.events import (
    EVENT_TYPES,
    SCHEMA_VERSION,
    Aggregate,
    EventType,
    Topic,
    declaration_of,
    is_of_task,
)


def test_every_type_is_declared_once_and_in_order() -> None:
    assert [*EVENT_TYPES] == [*EventType]
    assert all(1 <= declared.since <= SCHEMA_VERSION for declared in EVENT_TYPES.values())


def test_types_that_begin_with_the_same_noun_have_one_aggregate_and_travel_together() -> None:
    by_noun: dict[str, set[tuple[Aggregate, Topic]]] = {}
    for event_type, declared in EVENT_TYPES.items():
        noun = event_type.partition(".")[0]
        by_noun.setdefault(noun, set()).add((declared.aggregate, declared.topic))

    assert all(len(found) == 1 for found in by_noun.values())


@pytest.mark.parametrize(
    ("event_type", "topic"),
    [
        ("task.created", "tasks.events"),
        ("recurrence.set", "tasks.events"),
        ("recurring.spawned", "tasks.events"),
        ("user.registered", "tasks.events"),
        ("reminder.sent", "reminders.events"),
        ("notification.read", "reminders.events"),
        ("notification.of_newer_code", "reminders.events"),
    ],
)
def test_a_type_travels_on_its_topic(event_type: str, topic: str) -> None:
    declared = declaration_of(event_type)

    assert declared is not None
    assert declared.topic == topic


def test_the_type_of_a_message_is_the_event_type_except_of_a_reminder() -> None:
    others = {
        event_type: declared.message
        for event_type, declared in EVENT_TYPES.items()
        if declared.message != event_type
    }

    assert others == {EventType.REMINDER_TRIGGERED: "reminder"}


def test_an_event_type_with_an_unknown_noun_is_undeclared_and_of_no_task() -> None:
    assert declaration_of("project.created") is None
    assert not is_of_task("project.created")
    assert is_of_task("task.of_newer_code")
