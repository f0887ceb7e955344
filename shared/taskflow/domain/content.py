"""What clients send: nothing but the fields that are asked for, each of its own type."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Final, TypeVar, Union, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    RootModel,
)
from pydantic_core import CoreSchema

from taskflow.domain.text import JsonObject


class Content(BaseModel):
    """The content of a request; a field that is not known, or of another type, is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


V = TypeVar("V")


class OneOf(RootModel[V]):
    """The content of a request of one of several shapes, each a Content; a field says which.

    That is the `discriminator` of its type.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    @classmethod
    def shapes(cls) -> Sequence[type[Content]]:
        """Return the shapes."""
        return get_args(cls.model_fields["root"].annotation)

    @classmethod
    def discriminator(cls) -> str:
        """Return the name of the field that says which it is."""
        return str(cls.model_fields["root"].discriminator)


def examples(*bodies: JsonObject) -> ConfigDict:
    """Return the configuration of a content that shows what it may look like, the usual first."""
    return ConfigDict(json_schema_extra={"examples": [*bodies]})


def _whole(sent: object) -> object:
    return int(sent) if isinstance(sent, float) and sent.is_integer() else sent


WHOLE = BeforeValidator(_whole)
"""Behind the bounds of an int: takes one as JSON Schema has it, where `10.0` is an integer (Draft
2020-12 Validation, 6.1.1)."""


class Absent(Enum):
    """The type of ABSENT."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""The value of a field that was left out, which in a merge patch (RFC 7396) is not null."""


class _WithoutAbsent:
    """Leaves ABSENT out of the type that pydantic validates: no client can send it."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        sent = tuple(kind for kind in get_args(source) if kind is not Absent)
        return handler(Union[sent])  # noqa: UP007 - of types that are known here alone


def _without_default(schema: JsonObject) -> None:
    schema.pop("default", None)


T = TypeVar("T")

IfSent = Annotated[T | Absent, _WithoutAbsent(), Field(json_schema_extra=_without_default)]
"""The type of a field that may be left out: `title: IfSent[Title] = ABSENT`."""


def sent_fields(content: Content) -> Mapping[str, Any]:
    """Return the fields that were sent, by name."""
    return {name: getattr(content, name) for name in content.model_fields_set}
