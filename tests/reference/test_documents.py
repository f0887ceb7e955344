"""The documents of the API: valid by their standards, complete, as the declarations say (A12)."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from taskflow import config
from taskflow.domain.events import EVENT_TYPES, Topic
from taskflow.domain.text import JsonObject
from taskflow.push.connection import CloseCode
from taskflow.reference.__main__ import documents
from taskflow.reference.openapi import Operation, operations
from taskflow.serving.endpoint import Endpoint
from taskflow.serving.problems import TYPE_PREFIX
from tests.support.functions.client import all_functions
from tests.support.paths import ROOT

ASYNCAPI_SCHEMA = Path(__file__).parent / "asyncapi" / "3.0.0.json.gz"

ENDPOINTS = [each.endpoint for each in all_functions() if isinstance(each.endpoint, Endpoint)]
OPERATIONS = list(operations(ENDPOINTS))


@cache
def _document(name: str) -> JsonObject:
    return json.loads((ROOT / "docs" / name).read_text())


@cache
def _described() -> Mapping[str, JsonObject]:
    """Return the operations of the document, by their ids."""
    paths: Mapping[str, Mapping[str, JsonObject]] = _document("openapi.json")["paths"]
    return {one["operationId"]: one for item in paths.values() for one in item.values()}


def _resolved(document: JsonObject, reference: str) -> Any:  # noqa: ANN401 - JSON
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def _references(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        for name, value in cast("JsonObject", document).items():
            if name == "$ref":
                yield value
            yield from _references(value)
    elif isinstance(document, list):
        for item in cast("list[object]", document):
            yield from _references(item)


each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.id)


# As they are written


@pytest.fixture(scope="module")
def written() -> Mapping[Path, str]:
    settings = config.settings()
    try:
        return documents(ROOT)
    finally:
        config.settings.set(settings)


@pytest.mark.parametrize("name", ["events.md", "openapi.json", "asyncapi.json"])
def test_a_document_is_what_the_declarations_say(written: Mapping[Path, str], name: str) -> None:
    assert written[Path("docs", name)] == (ROOT / "docs" / name).read_text(), "run `make docs`"


def test_a_changed_document_fails_the_check_and_is_written_anew(tmp_path: Path) -> None:
    for name in ("get-settings", "sync-tasks"):
        folder = ROOT / "functions" / name
        shutil.copytree(folder, tmp_path / "functions" / name)
    changed = tmp_path / "docs" / "openapi.json"

    _run(tmp_path)
    was = changed.read_text()
    changed.write_text(was.replace("Show one's settings", "Show them"))
    failed = _run(tmp_path, "--check", status=1)
    _run(tmp_path)

    assert failed.stderr == (
        "Not what the declarations say; `make docs` writes it anew: docs/openapi.json\n"
    )
    assert changed.read_text() == was


def _run(folder: Path, *options: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "taskflow.reference", *options, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == status, ran.stderr
    return ran


# By their standards


def test_the_document_of_the_endpoints_is_valid_by_openapi_3_1() -> None:
    assert [error.message for error in _openapi_errors(_document("openapi.json"))] == []


def test_a_document_with_a_mistake_is_not_valid() -> None:
    wrong = json.loads((ROOT / "docs" / "openapi.json").read_text())
    # One path is enough, and read in no time.
    wrong["paths"] = {"/api/tasks": wrong["paths"]["/api/tasks"]}
    wrong["paths"]["/api/tasks"]["post"]["responses"]["201"].pop("description")

    assert _openapi_errors(wrong)


def _openapi_errors(document: JsonObject) -> list[Any]:
    return list(OpenAPIV31SpecValidator(cast("Any", document)).iter_errors())


def test_the_document_of_the_events_is_valid_by_asyncapi_3_0() -> None:
    assert _asyncapi_errors(_document("asyncapi.json")) == []

    wrong = json.loads((ROOT / "docs" / "asyncapi.json").read_text())
    wrong["operations"]["publish-tasks.events"]["action"] = "shout"
    assert _asyncapi_errors(wrong)


def _asyncapi_errors(document: JsonObject) -> list[str]:
    schema = json.loads(gzip.decompress(ASYNCAPI_SCHEMA.read_bytes()))
    validator = jsonschema.Draft7Validator(schema)
    return [error.message for error in validator.iter_errors(document)]  # pyright: ignore[reportUnknownMemberType] - jsonschema has no types for it


@pytest.mark.parametrize("name", ["openapi.json", "asyncapi.json"])
def test_every_reference_of_a_document_leads_to_something(name: str) -> None:
    document = _document(name)

    for reference in set(_references(document)):
        assert _resolved(document, reference)


@pytest.mark.parametrize("name", ["openapi.json", "asyncapi.json"])
def test_every_component_of_a_document_is_used(name: str) -> None:
    document = _document(name)

    there = {
        f"#/components/{kind}/{component}"
        for kind, components in document["components"].items()
        for component in components
        if kind != "securitySchemes"
    }
    assert there - set(_references(document)) == set()


@pytest.mark.parametrize("name", ["openapi.json", "asyncapi.json"])
def test_the_bounds_of_numbers_and_texts_are_words_of_json_schema(name: str) -> None:
    # pydantic leaves those that come behind a validator under its own names.
    own = re.findall(r'"(ge|gt|le|lt|min_length|max_length)":', (ROOT / "docs" / name).read_text())

    assert own == []


# Complete


def test_every_path_and_method_of_every_endpoint_is_described() -> None:
    paths = _document("openapi.json")["paths"]

    for endpoint in ENDPOINTS:
        if not (endpoint.is_socket or endpoint.is_page):
            for route in endpoint.routes:
                for path in route.paths():
                    assert route.method.lower() in paths[path]
    assert len(_described()) == len(OPERATIONS)


def test_the_names_of_operations_are_their_functions_and_differ() -> None:
    counts = Counter(operation.id for operation in OPERATIONS)

    assert {name for name, count in counts.items() if count > 1} == set()
    for operation in OPERATIONS:
        assert operation.id.startswith(operation.endpoint.name.replace("-", "_"))
        assert re.fullmatch("[a-z_]+", operation.id)
    # The links in mails, each by what it is for.
    assert {"show_email_link", "show_email_link_refuse", "show_email_link_unsubscribe"} <= set(
        counts
    )
    # What most clients call, as they would call it.
    short = {"create_task", "list_tasks", "get_task", "complete_task", "log_in", "add_reminder"}
    assert short <= {one.id for one in OPERATIONS if "{user_id}" not in one.path}


@each_operation
def test_each_answer_and_each_kind_of_problem_is_described(operation: Operation) -> None:
    document, described = _document("openapi.json"), _described()[operation.id]
    responses: Mapping[str, JsonObject] = described["responses"]

    answers = {str(int(kind.status)): kind for kind in operation.endpoint.answers}
    kinds = operation.problems
    assert set(responses) == set(answers) | set(map(str, kinds))
    for status, answer in answers.items():
        named = set(responses[status]["headers"])
        assert named == answer.headers | answer.optional_headers | {
            "X-Correlation-ID",
            "traceparent",
        }
        for name in answer.headers:
            header = _resolved(document, responses[status]["headers"][name]["$ref"])
            assert header["required"]
    for status, declared in kinds.items():
        response = _resolved(document, responses[str(status)]["$ref"])
        [schema] = [one["schema"] for one in response["content"].values()]
        shown = [_resolved(document, one["$ref"]) for one in schema.get("oneOf", [schema])]
        assert {(one["properties"]["type"]["const"]) for one in shown} == {
            kind.type for kind in declared
        }
        assert {one["properties"]["status"]["const"] for one in shown} == {status}


@each_operation
def test_each_parameter_and_each_field_says_what_it_means(operation: Operation) -> None:
    document, described = _document("openapi.json"), _described()[operation.id]

    for parameter in described["parameters"]:
        shown = _resolved(document, parameter["$ref"]) if "$ref" in parameter else parameter
        assert shown.get("description"), parameter["name"]


@pytest.mark.parametrize("name", ["openapi.json", "asyncapi.json"])
def test_each_field_of_each_model_says_what_it_means(name: str) -> None:
    document = _document(name)

    missing = [
        f"{model}.{field}"
        for model, schema in document["components"]["schemas"].items()
        for field, shown in schema.get("properties", {}).items()
        if not (shown.get("description") or "const" in shown or list(_references(shown)))
    ]
    assert missing == []


def test_a_body_refuses_members_that_it_does_not_name_and_an_answer_may_get_more() -> None:
    document = _document("openapi.json")
    sent, answered = set[str](), set[str]()
    for described in _described().values():
        for content in described.get("requestBody", {}).get("content", {}).values():
            # Lines are a text, of which no schema says more.
            if content["schema"].get("type") != "string":
                name = content["schema"]["$ref"]
                shapes = _resolved(document, name).get("oneOf")
                sent |= {name} if shapes is None else {shape["$ref"] for shape in shapes}
        for response in described["responses"].values():
            for content in response.get("content", {}).values():
                answered |= set(_references(content))

    assert sent
    assert all(_resolved(document, one)["additionalProperties"] is False for one in sent)
    assert not any("additionalProperties" in _resolved(document, one) for one in answered)


def test_each_kind_of_problem_has_a_type_of_its_own() -> None:
    kinds = {kind for operation in OPERATIONS for kind in operation.endpoint.problems}

    assert len({kind.type for kind in kinds}) == len(kinds)
    assert all(kind.type.startswith(TYPE_PREFIX) and kind.meaning.endswith(".") for kind in kinds)


def test_what_asks_for_a_token_says_so_and_what_does_not_names_none() -> None:
    for operation in OPERATIONS:
        security = _described()[operation.id]["security"]
        asks = bool(security) and all("bearer" in one for one in security)
        assert asks == operation.endpoint.asks_for_token
    assert _described()["correct_task"]["security"] == [{"bearer": ["admin", "tasks:write"]}]
    assert _described()["log_in"]["security"] == []
    assert _described()["refresh_session"]["security"] == [{}, {"refreshCookie": []}]


def test_a_new_task_leads_to_the_operations_on_it() -> None:
    links = _described()["create_task"]["responses"]["201"]["links"]

    assert {"get_task", "update_task", "complete_task", "delete_task", "add_reminder"} <= set(links)
    assert all(one["parameters"] == {"task_id": "$response.body#/id"} for one in links.values())


# Events


def test_each_type_of_event_is_told_on_its_topic_and_on_sockets() -> None:
    document = _document("asyncapi.json")
    channels, messages = document["channels"], document["components"]["messages"]

    for event_type, declared in EVENT_TYPES.items():
        assert f"{event_type}.record" in channels[declared.topic]["messages"]
        record = messages[f"{event_type}.record"]["payload"]["properties"]
        message = messages[f"{event_type}.message"]["payload"]["properties"]
        assert record["event_type"] == {"const": event_type}
        assert message["type"] == {"const": declared.message}
        assert record["data"] == message["data"]
        assert record["data"]["$ref"].endswith(f"/{declared.data.__name__}")
    told = sum(len(channels[topic]["messages"]) for topic in Topic)
    assert told == len(EVENT_TYPES)


def test_each_path_of_the_socket_names_every_close_code_and_message() -> None:
    sockets = [
        one for one in _document("asyncapi.json")["channels"].values() if "x-close-codes" in one
    ]
    [endpoint] = [endpoint for endpoint in ENDPOINTS if endpoint.is_socket]

    assert [one["address"] for one in sockets] == [route.template for route in endpoint.routes]
    for socket in sockets:
        assert set(socket["x-close-codes"]) == {str(code.value) for code in CloseCode}
        assert {"task.sync", "auth"} <= set(socket["messages"])
        assert set(socket["bindings"]["ws"]["query"]["properties"]) == {"since", "ticket"}
