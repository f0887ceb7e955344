"""Events of every version are read in their present shape (docs/decisions/0015)."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

import pytest
from pydantic import ValidationError
from typing_extensions import TypedDict

from taskflow.domain import upcasting
from taskflow.domain.events import SCHEMA_VERSION, EventType
from taskflow.domain.replay import Replay
from taskflow.domain.representations import Default
from taskflow.domain.text import JsonObject
from taskflow.domain.upcasting import UPCASTERS, NewerSchemaVersion, upcast, with_defaults
from tests.support.events.declarations import assert_declared
from tests.support.events.old_events import OldEvents, old_events

each_shape = pytest.mark.parametrize("old", old_events(), ids=lambda old: old.written_on)


class Inner(TypedDict):
    kept: int
    added: Annotated[str, Default("later")]


class Outer(TypedDict):
    inner: Inner
    maybe: Inner | None
    seldom: NotRequired[Annotated[Inner, "metadata"]]
    added: Annotated[int | None, Default(None)]


class Containers(TypedDict):
    many: Annotated[list[Inner] | None, "metadata"]
    by_name: dict[str, list[Inner]]
    labels: Annotated[list[str], Default([])]


@each_shape
def test_the_tasks_of_old_events_replay_equal(old: OldEvents) -> None:
    is_ended = old.events[-1]["event_type"] == EventType.USER_DELETED
    assert bool(old.tasks) != is_ended
    assert old.differences() == {}


@each_shape
def test_old_events_are_read_in_the_present_shape(old: OldEvents) -> None:
    for event in old.events:
        data = upcast(event["event_type"], event["schema_version"], event["data"])

        assert_declared(event["event_type"], json.dumps(data))


@pytest.mark.parametrize("event_type", EventType)
def test_the_present_shape_of_each_type_is_among_the_old_events(event_type: EventType) -> None:
    """Where this fails, a shape is new: write a file of it (tests/support/events/old_events.py)."""
    written = [
        event for old in old_events() for event in old.events if event["event_type"] == event_type
    ]

    assert any(_is_declared(event) for event in written)


def _is_declared(event: Mapping[str, Any]) -> bool:
    try:
        assert_declared(event["event_type"], json.dumps(event["data"]))
    except ValidationError:
        return False
    return event["schema_version"] == SCHEMA_VERSION


def test_an_old_notification_without_a_lateness_is_read_with_an_unknown_lateness() -> None:
    [created] = [
        event
        for event in old_events()[1].events
        if event["event_type"] == EventType.NOTIFICATION_CREATED
    ]
    assert "late_by_s" not in created["data"]

    data = upcast(created["event_type"], created["schema_version"], created["data"])

    assert data == {**created["data"], "late_by_s": None}


def test_a_present_field_keeps_its_value_and_a_missing_field_gets_its_default() -> None:
    data: JsonObject = {"inner": {"kept": 1}, "maybe": None, "added": 7, "of_newer_code": True}

    found = with_defaults(data, Outer)

    assert found == {**data, "inner": {"kept": 1, "added": "later"}}
    assert with_defaults({"seldom": {"kept": 1, "added": ""}}, Outer) == {
        "seldom": {"kept": 1, "added": ""},
        "added": None,
    }
    assert data["inner"] == {"kept": 1}


def test_every_model_in_a_list_or_by_a_name_gets_its_defaults() -> None:
    data: JsonObject = {"many": [{}, {"added": ""}], "by_name": {"a": [{}]}, "labels": ["b"]}

    found = with_defaults(data, Containers)

    assert found == {
        "many": [{"added": "later"}, {"added": ""}],
        "by_name": {"a": [{"added": "later"}]},
        "labels": ["b"],
    }
    assert with_defaults({**data, "many": None}, Containers)["many"] is None
    assert data["many"] == [{}, {"added": ""}]


def test_a_readers_change_of_a_default_is_in_no_other_event() -> None:
    with_defaults({}, Containers)["labels"].append("changed")

    assert with_defaults({}, Containers) == {"labels": []}


def test_each_version_before_the_present_one_has_an_upcaster() -> None:
    assert [*UPCASTERS] == [*range(1, SCHEMA_VERSION)]


def test_each_upcaster_takes_the_result_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def to_2(_event_type: str, data: JsonObject) -> JsonObject:
        return {**data, "name": data["title"]}

    def to_3(event_type: str, data: JsonObject) -> JsonObject:
        return {**data, "name": f"{event_type} {data['name']}"}

    monkeypatch.setattr(upcasting, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(upcasting, "UPCASTERS", {1: to_2, 2: to_3})

    # Of a type without a model, so that no default is added.
    assert upcast("a.type", 1, {"title": "x"}) == {"title": "x", "name": "a.type x"}
    assert upcast("a.type", 2, {"name": "y"}) == {"name": "a.type y"}
    assert upcast("a.type", 3, {"name": "z"}) == {"name": "z"}


def test_an_event_of_a_newer_version_is_refused_with_a_sentence() -> None:
    record: JsonObject = {"event_type": "task.created", "schema_version": 2, "data": {}}

    with pytest.raises(NewerSchemaVersion, match="schema_version 2 is newer than 1, the newest"):
        Replay().apply(record)


@pytest.mark.parametrize(
    "noun", sorted({*(name.partition(".")[0] for name in EventType), "project"})
)
def test_data_of_a_type_of_newer_code_stay_as_they_are(noun: str) -> None:
    assert upcast(f"{noun}.of_newer_code", 1, {"a": 1}) == {"a": 1}


def test_a_field_of_newer_code_is_no_difference() -> None:
    [first, *_] = old_events()
    newer = [{**event, "data": {**event["data"], "of_newer_code": 1}} for event in first.events]

    assert OldEvents("newer", newer, first.tasks).differences() == {}
