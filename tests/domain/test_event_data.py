"""Event data: every type that the domain can produce has the fields of its model (E1)."""

import json

import pytest

from taskflow.domain.events import EVENT_TYPES, EventType
from taskflow.domain.text import compact_json
from tests.support.data.builders import json_data
from tests.support.events.declarations import assert_declared
from tests.support.events.full_history import a_history_to_its_end

HAPPENED = a_history_to_its_end().happened


def test_the_scenario_has_an_event_of_every_type() -> None:
    assert {event.event_type for event in HAPPENED} == set(EVENT_TYPES)


@pytest.mark.parametrize("event_type", EventType)
def test_an_event_has_exactly_the_fields_of_the_model_of_its_type(
    event_type: EventType,
) -> None:
    for event in HAPPENED:
        if event.event_type == event_type:
            assert_declared(event_type, compact_json(event.data))


@pytest.mark.parametrize("event_type", EventType)
def test_event_data_that_lack_a_field_or_have_an_extra_one_are_refused(
    event_type: EventType,
) -> None:
    [event, *_] = [event for event in HAPPENED if event.event_type == event_type]
    data = json_data(event)

    for name in EVENT_TYPES[event_type].data.__required_keys__:
        with pytest.raises(ValueError, match=name):
            assert_declared(event_type, json.dumps({key: data[key] for key in data if key != name}))
    with pytest.raises(ValueError, match="unheard_of"):
        assert_declared(event_type, json.dumps({**data, "unheard_of": 1}))
