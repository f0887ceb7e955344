"""What clients send: nothing in it is looked at without a bound (H2)."""

import types
from collections.abc import Iterator
from typing import Annotated, Union, get_args, get_origin

import pytest
from pydantic import ValidationError

from taskflow.domain.accounts import SettingsChanges
from taskflow.domain.content import Content
from taskflow.domain.creation import NewTask

MANY = 100_000


def _kinds(kind: type[Content] = Content) -> Iterator[type[Content]]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from _kinds(narrower)


def _is_list(annotation: object) -> bool:
    if get_origin(annotation) in {Annotated, Union, types.UnionType}:
        return any(_is_list(part) for part in get_args(annotation))
    return annotation is list or get_origin(annotation) is list


LISTS = [
    (kind, name)
    for kind in _kinds()
    for name, field in kind.model_fields.items()
    if _is_list(field.annotation)
]


def test_all_lists_are_found() -> None:
    assert {
        (NewTask, "reminders"),
        (NewTask, "tags"),
        (SettingsChanges, "notification_channels"),
    } <= set(LISTS)


@pytest.mark.parametrize(("kind", "name"), LISTS)
def test_a_list_that_is_too_long_is_one_thing_wrong_whatever_is_in_it(
    kind: type[Content], name: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate({name: [None] * MANY})

    assert [error["loc"] for error in refused.value.errors() if name in error["loc"]] == [(name,)]
