"""Upcasting: the data of events of every version read in their present shape.

Whoever interprets the data of an event reads them through here: a consumer, and replay. Whoever
passes an event on (the history, a socket, Kafka) shows it as it was written. How events evolve:
docs/decisions/0015.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

from taskflow.domain.events import SCHEMA_VERSION, declaration_of
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

    What a newer version added is left in. Raises NewerSchemaVersion.
    """
    if schema_version > SCHEMA_VERSION:
        raise NewerSchemaVersion(schema_version)
    for version in range(schema_version, SCHEMA_VERSION):
        data = UPCASTERS[version](event_type, data)
    declared = declaration_of(event_type)
    return data if declared is None else with_defaults(data, declared.data)


def with_defaults(data: JsonObject, model: Any) -> JsonObject:  # noqa: ANN401 - a TypedDict
    """Return data with the fields that were added to their model since, at every depth."""
    defaults, nested = _later_fields(model)
    found = {**defaults, **data} if defaults else data
    for name, inner in nested.items():
        if isinstance(found.get(name), dict):
            found = {**found, name: with_defaults(found[name], inner)}
    return found


@cache
def _later_fields(model: Any) -> tuple[JsonObject, Mapping[str, Any]]:  # noqa: ANN401 - as above
    """Return the defaults of a model's fields, and the models within it that have some too."""
    defaults: JsonObject = {}
    nested: dict[str, Any] = {}
    for name, hint in get_type_hints(model, include_extras=True).items():
        declared, metadata = _unwrapped(hint)
        for default in metadata:
            if isinstance(default, Default):
                defaults[name] = default.value
        for one in (declared, *get_args(declared)):
            inner, _ = _unwrapped(one)
            if is_typeddict(inner) and any(_later_fields(inner)):
                nested[name] = inner
    return defaults, nested


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
