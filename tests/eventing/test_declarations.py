"""Declarations of consumers, cron functions and sockets: refused where they can't hold."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow.domain.events import Cause, EventType
from taskflow.eventing import cron_function, event_function
from taskflow.eventing.consumer import Consumer
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.eventing.frame import declaration_in
from taskflow.push import socket_function
from taskflow.serving import Caller
from taskflow.serving.signature import InvalidDeclaration
from taskflow.storage import Transaction


def _effect(delivered: DeliveredEvent, tx: Transaction) -> None:
    raise NotImplementedError


def _effect_the_wrong_way_round(tx: Transaction, delivered: DeliveredEvent) -> None:
    raise NotImplementedError


def _effect_without_a_transaction(delivered: DeliveredEvent) -> None:
    raise NotImplementedError


def _effect_by_name(*, delivered: DeliveredEvent, tx: Transaction) -> None:
    raise NotImplementedError


def _untyped(delivered, tx) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - what is refused
    raise NotImplementedError


async def _coroutine(delivered: DeliveredEvent, tx: Transaction) -> None:
    raise NotImplementedError


def _run(cause: Cause) -> None:
    raise NotImplementedError


def _run_of_nobody() -> None:
    raise NotImplementedError


def _follow(caller: Caller, since: int) -> None:
    raise NotImplementedError


COMPLETED = EventType.TASK_COMPLETED
TYPES_OF_AN_EFFECT = "its parameters must be of the types (DeliveredEvent, Transaction)"

WRONG: list[tuple[Callable[..., Any], Callable[[], Callable[..., Any]], str]] = [
    (_effect, lambda: event_function(starts="now"), "it takes no type of event"),
    (
        _effect,
        lambda: event_function("task.eaten", starts="now"),  # type: ignore[arg-type] - what is refused
        "task.eaten is no type of event",
    ),
    (
        _effect,
        lambda: event_function("tasks.events", COMPLETED, starts="now"),  # type: ignore[arg-type] - what is refused
        "tasks.events is no type of event",
    ),
    (
        _effect,
        lambda: event_function(COMPLETED, starts="Now"),  # type: ignore[arg-type] - what is refused
        "it starts now or beginning, not Now",
    ),
    (
        _effect_the_wrong_way_round,
        lambda: event_function(COMPLETED, starts="now"),
        TYPES_OF_AN_EFFECT,
    ),
    (
        _effect_without_a_transaction,
        lambda: event_function(COMPLETED, starts="now"),
        TYPES_OF_AN_EFFECT,
    ),
    (_run, lambda: event_function(COMPLETED, starts="now"), TYPES_OF_AN_EFFECT),
    (
        _effect_by_name,
        lambda: event_function(COMPLETED, starts="now"),
        "its parameters are given by their places",
    ),
    (
        _untyped,
        lambda: event_function(COMPLETED, starts="now"),
        "the parameter delivered has no type",
    ),
    (
        _coroutine,
        lambda: event_function(COMPLETED, starts="now"),
        "it is a coroutine or a generator",
    ),
    (_run, lambda: cron_function(every_min=0), "not every 0"),
    (_run, lambda: cron_function(every_min=-1), "not every -1"),
    (
        _run_of_nobody,
        lambda: cron_function(every_min=1),
        "its parameters must be of the types (Cause)",
    ),
    (
        _follow,
        lambda: socket_function("GET /ws"),
        "its parameters must be of the types (Caller, int | None, Connection)",
    ),
]


@pytest.mark.parametrize(
    ("handler", "decorator", "sentence"),
    WRONG,
    ids=[f"{handler.__name__}: {sentence}" for handler, _, sentence in WRONG],
)
def test_a_declaration_that_cannot_hold_is_refused_as_it_is_made(
    handler: Callable[..., Any], decorator: Callable[[], Callable[..., Any]], sentence: str
) -> None:
    with pytest.raises(InvalidDeclaration) as refused:
        decorator()(handler)

    told = str(refused.value)
    assert told.startswith(f"{handler.__name__} can't be served: ")
    assert sentence in told
    assert told.endswith(".")


@pytest.mark.parametrize(
    ("types", "topics"),
    [
        ([EventType.TASK_COMPLETED, EventType.USER_REGISTERED], ["tasks.events"]),
        ([EventType.NOTIFICATION_READ], ["reminders.events"]),
        (
            [EventType.REMINDER_SENT, EventType.TASK_COMPLETED],
            ["tasks.events", "reminders.events"],
        ),
    ],
)
def test_a_consumer_listens_where_its_types_travel(
    types: list[EventType], topics: list[str]
) -> None:
    consumer = declaration_in(event_function(*types, starts="now")(_effect))

    assert isinstance(consumer, Consumer)
    assert consumer.topics == topics
