"""Declarations of consumers, cron functions and sockets: refused where they can't hold."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from taskflow.domain.events import Cause, EventType
from taskflow.eventing import cron_function, event_function
from taskflow.eventing.consumer import Consumer
from taskflow.eventing.cron import CronFunction
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

UNSERVABLE: list[tuple[Callable[..., Any], Callable[[], Callable[..., Any]], str]] = [
    (
        _effect,
        lambda: event_function(starts="now", ordering="unordered"),
        "it takes no type of event",
    ),
    (
        _effect,
        lambda: event_function("task.eaten", starts="now", ordering="unordered"),  # type: ignore[arg-type] - what is refused
        "task.eaten is no type of event",
    ),
    (
        _effect,
        lambda: event_function("tasks.events", COMPLETED, starts="now", ordering="unordered"),  # type: ignore[arg-type] - what is refused
        "tasks.events is no type of event",
    ),
    (
        _effect,
        lambda: event_function(COMPLETED, starts="Now", ordering="unordered"),  # type: ignore[arg-type] - what is refused
        "it starts now or beginning, not Now",
    ),
    (
        _effect_the_wrong_way_round,
        lambda: event_function(COMPLETED, starts="now", ordering="unordered"),
        TYPES_OF_AN_EFFECT,
    ),
    (
        _effect_without_a_transaction,
        lambda: event_function(COMPLETED, starts="now", ordering="unordered"),
        TYPES_OF_AN_EFFECT,
    ),
    (
        _run,
        lambda: event_function(COMPLETED, starts="now", ordering="unordered"),
        TYPES_OF_AN_EFFECT,
    ),
    (
        _effect_by_name,
        lambda: event_function(COMPLETED, starts="now", ordering="unordered"),
        "its parameters are given by their places",
    ),
    (
        _untyped,
        lambda: event_function(COMPLETED, starts="now", ordering="unordered"),
        "the parameter delivered has no type",
    ),
    (
        _coroutine,
        lambda: event_function(COMPLETED, starts="now", ordering="unordered"),
        "it is a coroutine or a generator",
    ),
    (
        _effect,
        lambda: event_function(COMPLETED, starts="now", ordering="any"),  # type: ignore[arg-type] - what is refused
        "it is ordered or unordered, not any",
    ),
    (
        _effect,
        lambda: event_function(COMPLETED, starts="now", ordering="ordered", scale="daily"),  # type: ignore[arg-type] - what is refused
        "it is called alone, seldom, sometimes, often, not daily",
    ),
    *(
        (_run, partial(cron_function, every_min=every_min), f"wakes it every {every_min} minutes")
        for every_min in (0, -1, 7, 45, 90, 300, 2880)
    ),
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
    UNSERVABLE,
    ids=[f"{handler.__name__}: {sentence}" for handler, _, sentence in UNSERVABLE],
)
def test_a_declaration_that_cannot_hold_is_refused_as_it_is_made(
    handler: Callable[..., Any], decorator: Callable[[], Callable[..., Any]], sentence: str
) -> None:
    with pytest.raises(InvalidDeclaration) as refused:
        decorator()(handler)

    message = str(refused.value)
    assert message.startswith(f"{handler.__name__} can't be served: ")
    assert sentence in message
    assert message.endswith(".")


@pytest.mark.parametrize("every_min", [1, 5, 30, 60, 120, 720, 1440])
def test_a_cron_function_is_woken_where_a_schedule_can_say_so(every_min: int) -> None:
    assert isinstance(declaration_in(cron_function(every_min=every_min)(_run)), CronFunction)


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
    consumer = declaration_in(event_function(*types, starts="now", ordering="unordered")(_effect))

    assert isinstance(consumer, Consumer)
    assert consumer.topics == topics
