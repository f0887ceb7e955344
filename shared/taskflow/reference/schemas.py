"""JSON Schemas (2020-12) of what is sent and answered, each model once, under its name."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from taskflow.domain.text import JsonObject

PREFIX = "#/components/schemas/"

_MODE: JsonSchemaMode = "validation"
_LIST = re.compile(r"ItemList_(?P<of>\w+)_")
_REPRESENTATION = "Representation"
_VALUES = frozenset({"const", "default", "enum", "examples"})
"""The keywords that hold JSON as it is sent, not schemas."""


class SameName(Exception):
    """Two models would have the same name in the documents."""


class _Generator(GenerateJsonSchema):
    """Writes no titles: a component has its name, and a field its own."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - as pydantic calls it
        """Say no."""
        return False


class Schemas:
    """The schemas of some types, by which documents refer to models instead of repeating them."""

    def __init__(self, types: Iterable[Any]) -> None:
        """Read the types. Raises SameName."""
        self._types = list({id(kind): kind for kind in types}.values())
        inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
            (str(number), _MODE, TypeAdapter[Any](kind)) for number, kind in enumerate(self._types)
        ]
        found, rest = TypeAdapter.json_schemas(
            inputs, ref_template=PREFIX + "{model}", schema_generator=_Generator
        )
        models: Mapping[str, JsonObject] = rest.get("$defs", {})
        self._names = {key: _name_of(key) for key in models}
        alike = Counter(self._names.values()).most_common(1)
        if alike and alike[0][1] > 1:
            raise SameName(alike[0][0])
        self._found = {
            id(kind): self._renamed(found[str(number), _MODE])
            for number, kind in enumerate(self._types)
        }
        self.components: dict[str, JsonObject] = {
            self._names[key]: _with_own_examples(self._renamed(models[key]))
            for key in sorted(models)
        }

    def fields_of(self, model: type[BaseModel]) -> JsonObject:
        """Return the schema of a model without referring to it, for its properties."""
        return self.components[self.of(model)["$ref"].removeprefix(PREFIX)]

    def of(self, kind: Any) -> JsonObject:  # noqa: ANN401 - a type that pydantic reads
        """Return the schema of one of the types."""
        return self._found[id(kind)]

    def _renamed(self, schema: Any) -> Any:  # noqa: ANN401 - JSON
        """Return a schema without titles of its own, whose references are by the names here."""
        if isinstance(schema, list):
            return [self._renamed(item) for item in cast("list[Any]", schema)]
        if not isinstance(schema, dict):
            return schema
        mapping = cast("JsonObject", schema)
        if isinstance(mapping.get("$ref"), str):
            key = mapping["$ref"].removeprefix(PREFIX)
            return {**mapping, "$ref": PREFIX + self._names[key]}
        # What is called title is a field where it is no text.
        return _with_meaning(
            {
                name: value if name in _VALUES else self._renamed(value)
                for name, value in mapping.items()
                if (name, value) != ("default", None)
                and not (name == "title" and isinstance(value, str))
            }
        )


def _name_of(key: str) -> str:
    found = _LIST.fullmatch(key)
    if found is not None:
        return f"{_name_of(found['of'])}List"
    return key.removesuffix(_REPRESENTATION)


def _with_own_examples(schema: JsonObject) -> JsonObject:
    """Return the schema of a model without the examples of a model that it only adds to."""
    needed = set(schema.get("required", []))
    own = [one for one in schema.get("examples", []) if needed <= set(one)]
    rest = {name: value for name, value in schema.items() if name != "examples"}
    return {**rest, "examples": own} if own else rest


def _with_meaning(schema: JsonObject) -> JsonObject:
    """Return the schema of what may be null with the description of what it is if it is not."""
    kinds: list[JsonObject] = schema.get("anyOf", [])
    described = [kind["description"] for kind in kinds if "description" in kind]
    if "description" in schema or len(described) != 1:
        return schema
    bare = [
        {name: value for name, value in kind.items() if name != "description"} for kind in kinds
    ]
    return {"description": described[0], **schema, "anyOf": bare}


def without_null(schema: JsonObject) -> JsonObject:
    """Return the schema of a parameter, which is left out where it is null in a model."""
    schema = dict(schema)
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    match kinds:
        case []:
            return schema
        case [kind]:
            return {**kind, **schema}
        case _:
            return {**schema, "anyOf": kinds}


def referred(
    document: JsonObject, components: Mapping[str, JsonObject]
) -> Mapping[str, JsonObject]:
    """Return the components that a document refers to, and those that these refer to, by name."""
    found: dict[str, JsonObject] = {}
    waiting = list(_references_in(document))
    while waiting:
        name = waiting.pop().removeprefix(PREFIX)
        if name in components and name not in found:
            found[name] = components[name]
            waiting += _references_in(components[name])
    return {name: found[name] for name in sorted(found)}


def _references_in(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        for name, value in cast("JsonObject", document).items():
            if name == "$ref" and isinstance(value, str):
                yield value
            yield from _references_in(value)
    elif isinstance(document, list):
        for item in cast("list[object]", document):
            yield from _references_in(item)
