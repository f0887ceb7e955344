"""Upcasting: the data of events of every version read in their present shape.

Whoever interprets the data of an event reads them through here: a consumer, and replay. Whoever
passes an event on (the history, a socket, Kafka) shows it as it was written. How events evolve:
docs/decisions/0015.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from typing_extensions import is_typeddict

from taskflow.domain.events import SCHEMA_VERSION, data_model_of
from taskflow.domain.representations import Default
from taskflow.domain.text import JsonObject

Upcaster = Callable[[str, JsonObject], JsonObject]
"""Takes the type and the data of an event of one version, and gives the data of the next one."""

UPCASTERS: Mapping[int, Upcaster] = {}
"""By the version that they take; one for each before SCHEMA_VERSION."""


class NewerSchemaVersion(Exception):
    """An event was written by newer code, in a shape that this code does not know."""

    def __init__(self, schema_version: int) -> None:
        """Name the version, and the newest that is read."""
        super().__init__(
            f"schema_version {schema_version} is newer than {SCHEMA_VERSION},"
            " the newest that this version of TaskFlow reads"
        )


def upcast(event_type: str, schema_version: int, data: JsonObject) -> JsonObject:
    """Return the data of an event as if the present version had written them.

    What newer code added is left in, and the data of a type that only newer code knows stay as they
    are. Raises NewerSchemaVersion.
    """
    if schema_version > SCHEMA_VERSION:
        raise NewerSchemaVersion(schema_version)
    for version in range(schema_version, SCHEMA_VERSION):
        data = UPCASTERS[version](event_type, data)
    model = data_model_of(event_type)
    return data if model is None else with_defaults(data, model)


def with_defaults(data: JsonObject, model: Any) -> JsonObject:  # noqa: ANN401 - a TypedDict
    """Return data with the fields that were added to their model since, at every depth."""
    defaults, nested = _later_fields(model)
    # Each has a list of its own, which whoever reads the event may change.
    missing = {name: deepcopy(value) for name, value in defaults.items() if name not in data}
    found = {**missing, **data} if missing else data
    for name, hint in nested.items():
        if name in data:
            found = {**found, name: _filled(data[name], hint)}
    return found


def _filled(value: Any, hint: Any) -> Any:  # noqa: ANN401 - JSON, and a type
    """Return a value with the defaults of the models that its type is made of."""
    declared, _ = _unwrapped(hint)
    container, arguments = get_origin(declared), get_args(declared)
    is_object, is_array = isinstance(value, dict), isinstance(value, list)
    if is_typeddict(declared) and is_object:
        return with_defaults(value, declared)
    if container in {Union, UnionType}:
        for argument in arguments:
            value = _filled(value, argument)
    elif container is list and is_array:
        return [_filled(one, arguments[0]) for one in value]
    elif container is dict and is_object:
        return {name: _filled(one, arguments[1]) for name, one in value.items()}
    return value


@cache
def _later_fields(model: Any) -> tuple[JsonObject, Mapping[str, Any]]:  # noqa: ANN401 - as above
    """Return the defaults of a model's fields, and the types of those that have some within."""
    defaults: JsonObject = {}
    nested: dict[str, Any] = {}
    for name, hint in get_type_hints(model, include_extras=True).items():
        _, metadata = _unwrapped(hint)
        for default in metadata:
            if isinstance(default, Default):
                defaults[name] = default.value
        if _has_later_fields(hint):
            nested[name] = hint
    return defaults, nested


def _has_later_fields(hint: Any) -> bool:  # noqa: ANN401 - a type
    """Say whether there is a model with defaults anywhere in a type."""
    declared, _ = _unwrapped(hint)
    if is_typeddict(declared):
        return any(_later_fields(declared))
    return any(_has_later_fields(argument) for argument in get_args(declared))


def _unwrapped(hint: Any) -> tuple[Any, Sequence[object]]:  # noqa: ANN401 - a type
    """Return the type that a hint is about, and the metadata around it."""
    metadata: list[object] = []
    while True:
        if get_origin(hint) is Annotated:
            metadata += hint.__metadata__
            hint = hint.__origin__
        elif get_origin(hint) in {NotRequired, Required}:
            [hint] = get_args(hint)
        else:
            return hint, metadata
