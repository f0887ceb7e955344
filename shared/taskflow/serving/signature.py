"""Signatures of handlers: what a function is called with, and what it must not be."""

import inspect
import typing
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any


class InvalidDeclaration(TypeError):
    """A function declares what can't be served, or what it would not keep."""


def invalid(handler: Callable[..., object], detail: str) -> InvalidDeclaration:
    """Return the error that names a handler and what is wrong with its declaration."""
    return InvalidDeclaration(f"{handler.__name__} can't be served: {detail}.")


def parameters_of(handler: Callable[..., object]) -> Mapping[str, Any]:
    """Return the type of each of a handler's parameters, by name and in order.

    Raises InvalidDeclaration where one has no type or can't be given by its name, and for a
    coroutine or a generator, which a call would only make and not run.
    """
    makes = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_so(handler) for is_so in makes):
        raise invalid(handler, "it is a coroutine or a generator, which nothing would run")
    hints = typing.get_type_hints(handler)
    for name, parameter in inspect.signature(handler).parameters.items():
        if parameter.kind not in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY):
            raise invalid(handler, f"the parameter {name} can't be given by its name")
        if name not in hints:
            raise invalid(handler, f"the parameter {name} has no type")
    return {name: hints[name] for name in inspect.signature(handler).parameters}


def check_parameters(handler: Callable[..., object], *expected: object) -> None:
    """Check that a handler takes arguments of the expected types, in their order.

    Raises InvalidDeclaration.
    """
    if list(parameters_of(handler).values()) != list(expected):
        types = ", ".join(getattr(need, "__name__", str(need)) for need in expected)
        raise invalid(handler, f"its parameters must be of the types ({types})")
    if any(
        parameter.kind is Parameter.KEYWORD_ONLY
        for parameter in inspect.signature(handler).parameters.values()
    ):
        raise invalid(handler, "its parameters are given by their places")
