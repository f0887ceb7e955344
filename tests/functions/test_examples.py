"""The examples of docs/openapi.json: each is sent, and its answer compared with what is described.

What a model shows of itself is compared with such an answer, too.
"""

import json
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

import jsonschema
import pytest
from werkzeug.test import TestResponse

from taskflow import clock
from taskflow.domain.text import JsonObject
from taskflow.outbound import links
from taskflow.standalone.postgres import EmbeddedPostgres
from tests.support.data.accounts import SignedIn, a_user, an_administrator
from tests.support.data.user_resources import stored_resources
from tests.support.database.temporary import a_database
from tests.support.functions.client import Api, content
from tests.support.paths import ROOT

DOCUMENT: JsonObject = json.loads((ROOT / "docs" / "openapi.json").read_text())
OPERATIONS: Mapping[str, tuple[str, str, JsonObject]] = {
    described["operationId"]: (method.upper(), path, described)
    for path, item in DOCUMENT["paths"].items()
    for method, described in item.items()
}
ACCOUNT = {"email": "nobody@example.com", "password": "correct horse battery staple"}
"""Of the example of logging in, which is nobody's before."""


pytestmark = pytest.mark.usefixtures("all_channels")


@dataclass(frozen=True)
class Example:
    """An example of a body, and the operation that takes it."""

    operation: str
    media_type: str
    name: str
    body: JsonObject | str

    def __str__(self) -> str:
        """Return the name of its test."""
        return f"{self.operation} {self.media_type} {self.name}"


EXAMPLES = [
    Example(operation, media_type, name, example["value"])
    for operation, (_, _, described) in OPERATIONS.items()
    for media_type, sent in described.get("requestBody", {}).get("content", {}).items()
    for name, example in sent["examples"].items()
]


@pytest.fixture(scope="module", autouse=True)
def _own_database(database: EmbeddedPostgres) -> Generator[None]:
    """Use a database without other accounts: the examples open some."""
    with a_database(database):
        yield


@pytest.fixture(scope="module")
def account(_own_database: None) -> Mapping[str, Any]:
    """Open the account of the example of logging in."""
    return content(Api().post("/api/auth/register", ACCOUNT))


def test_every_body_has_an_example() -> None:
    taken = {name for name, (*_, described) in OPERATIONS.items() if "requestBody" in described}

    assert {example.operation for example in EXAMPLES} == taken


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_is_answered_as_described(example: Example, account: Mapping[str, Any]) -> None:
    method, path, described = OPERATIONS[example.operation]
    sender = _sender(example, path)
    # Lines are taken by an account without any.
    ids = {} if "import" in path else stored_resources(sender.user_id).ids
    if "{link_token}" in path:
        ids = {"link_token": _link_token(path, ids)}
    body = example.body
    if "refresh_token" in body:
        body = {"refresh_token": _a_refresh_token(account)}
    headers = {"Content-Type": example.media_type, **_cookie(example)}
    if isinstance(body, dict) and "user_id" in body:
        body = {**body, "user_id": sender.user_id}
    api = Api(sender) if described["security"] not in ([], [{}, {"refreshCookie": []}]) else Api()

    data = body if isinstance(body, str) else json.dumps(body)
    answer = api.request(method, _filled(path, ids), data=data, headers=headers)

    _assert_described(answer, described)


def _link_token(path: str, ids: Mapping[str, object]) -> str:
    destination_id = UUID(str(ids["destination_id"]))
    if "refuse" in path:
        return links.to_refuse(destination_id, b"of an address")
    if "unsubscribe" in path:
        return links.to_unsubscribe(destination_id)
    return links.to_confirm(destination_id, 0, now=clock.now())


def _sender(example: Example, path: str) -> SignedIn:
    if "/admin/" in path:
        return an_administrator()
    if not example.operation.startswith(("change_password", "delete_account")):
        return a_user()
    mine = {"email": f"{uuid4()}@example.com", "password": ACCOUNT["password"]}
    opened = content(Api().post("/api/auth/register", mine))
    return SignedIn(opened["user"]["id"], mine["email"], opened["access_token"])


def _cookie(example: Example) -> dict[str, str]:
    """Return what a browser sends with the example without a token, which it stands for."""
    if example.operation != "refresh_session" or example.body:
        return {}
    signed_in = Api().post("/api/auth/login", ACCOUNT)
    cookie = signed_in.headers["Set-Cookie"].partition(";")[0]
    return {"Cookie": cookie, "Origin": "http://localhost"}


def _a_refresh_token(account: Mapping[str, Any]) -> str:
    assert account
    return content(Api().post("/api/auth/login", ACCOUNT))["refresh_token"]


def _filled(path: str, ids: Mapping[str, object]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: str(ids.get(found[1], found[0])), path)


def _assert_described(answer: TestResponse, described: JsonObject) -> None:
    """Check a good answer against the schema of its status, and against the model's example."""
    assert answer.status_code < 300, answer.text
    response = described["responses"][str(answer.status_code)]
    if "content" not in response:
        assert answer.data == b""
        return
    schema: JsonObject | None = response["content"][answer.mimetype].get("schema")
    if schema is None:
        # A page.
        return
    _validate(content(answer), schema)
    for example in _examples_of(schema):
        _validate(example, schema)
        assert set(example) == set(content(answer))


def _validate(shown: JsonObject, schema: JsonObject) -> None:
    components = {"components": DOCUMENT["components"]}
    validator = jsonschema.Draft202012Validator(
        {**schema, **components}, format_checker=jsonschema.FormatChecker()
    )
    validator.validate(shown)  # pyright: ignore[reportUnknownMemberType] - jsonschema has no types for it


def _examples_of(schema: JsonObject) -> Iterator[JsonObject]:
    name = schema.get("$ref", "").rpartition("/")[2]
    yield from DOCUMENT["components"]["schemas"].get(name, {}).get("examples", [])


def test_a_new_task_is_the_one_that_the_model_shows() -> None:
    [example] = _examples_of({"$ref": "#/components/schemas/Task"})
    [first, *_] = [one for one in EXAMPLES if one.operation == "create_task"]

    task = content(Api(a_user()).post("/api/tasks", first.body))

    own = {"id", "user_id", "created_at", "updated_at"}
    assert {name: value for name, value in task.items() if name not in own} == {
        name: value for name, value in example.items() if name not in own
    }


MODELS = [
    pytest.param(name, example, id=f"{name} {number}")
    for name, schema in cast("JsonObject", DOCUMENT["components"]["schemas"]).items()
    for number, example in enumerate(schema.get("examples", []), start=1)
]


@pytest.mark.parametrize(("name", "example"), MODELS)
def test_what_a_model_shows_of_itself_is_valid(name: str, example: JsonObject) -> None:
    _validate(example, {"$ref": f"#/components/schemas/{name}"})
