"""Request bodies: a list is bounded before its items are checked; absent is not null (H2)."""

import types
from collections.abc import Iterator
from typing import Annotated, Union, get_args, get_origin

import pytest
from pydantic import ValidationError

from taskflow.domain.accounts import QuietHoursChanges, SettingsChanges
from taskflow.domain.content import ABSENT, Content, sent_fields
from taskflow.domain.creation import NewTask
from taskflow.domain.recurring import PreviewDraft
from taskflow.domain.tasks import TaskChanges

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


def test_every_list_field_of_a_request_is_found() -> None:
    assert {
        (NewTask, "reminders"),
        (NewTask, "tags"),
        (SettingsChanges, "notification_channels"),
    } <= set(LISTS)


@pytest.mark.parametrize(("kind", "name"), LISTS)
def test_a_too_long_list_is_one_error_whatever_its_items(kind: type[Content], name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate({name: [None] * MANY})

    assert [error["loc"] for error in refused.value.errors() if name in error["loc"]] == [(name,)]


PATCHES = [TaskChanges, SettingsChanges, QuietHoursChanges]


@pytest.mark.parametrize("kind", PATCHES)
def test_a_field_that_is_left_out_of_a_patch_is_absent_and_not_null(kind: type[Content]) -> None:
    nothing = kind.model_validate({})

    assert {getattr(nothing, name) for name in kind.model_fields} == {ABSENT}
    assert sent_fields(nothing) == {}
    assert "ABSENT" not in repr(kind.model_json_schema())
    assert all("default" not in field for field in kind.model_json_schema()["properties"].values())


def test_null_in_a_patch_is_sent() -> None:
    changes = TaskChanges.model_validate({"due_date": None, "version": None})

    assert (changes.due_date, changes.status) == (None, ABSENT)
    assert sent_fields(changes) == {"due_date": None, "version": None}


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (TaskChanges, {"title": None}),
        (TaskChanges, {"title": "absent", "status": "absent"}),
        (TaskChanges, {"completed": ABSENT}),
        (SettingsChanges, {"timezone": None}),
        (QuietHoursChanges, {"start": ""}),
    ],
    ids=repr,
)
def test_a_patch_refuses_a_wrong_value_of_a_field_and_the_value_absent(
    kind: type[Content], sent: dict[str, object]
) -> None:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(sent)

    assert [error["loc"] for error in refused.value.errors()] == [(list(sent)[-1],)]


@pytest.mark.parametrize("limit", [3, 3.0])
def test_a_whole_number_may_be_written_with_a_fraction_of_zero(limit: float) -> None:
    draft = PreviewDraft.model_validate({"recurrence_rule": "FREQ=DAILY", "limit": limit})

    assert type(draft.limit) is int
    assert draft.limit == 3


@pytest.mark.parametrize("limit", [3.5, True, "3", 1e300, float("inf"), None])
def test_what_is_no_whole_number_is_refused(limit: object) -> None:
    with pytest.raises(ValidationError):
        PreviewDraft.model_validate({"recurrence_rule": "FREQ=DAILY", "limit": limit})
