"""What every HTTP function promises, checked over the table of all routes (A1-A5, A10, A11, S4)."""

import gzip
import io
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import pytest
from gunicorn.http.errors import ChunkMissingTerminator, InvalidChunkSize
from werkzeug import Response
from werkzeug.datastructures import Headers
from werkzeug.test import Client, EnvironBuilder, TestResponse

from taskflow.domain import tasks
from taskflow.domain.accounts import PERMISSIONS_OF, Permission, Role
from taskflow.domain.content import OneOf
from taskflow.domain.events import Cause
from taskflow.domain.representations import TaskRepresentation
from taskflow.server.loading import Function
from taskflow.serving.body import BODY_MAX_BYTES, PUBLIC_BODY_MAX_BYTES, VALUES_MAX
from taskflow.serving.endpoint import Endpoint
from taskflow.serving.routes import Route
from taskflow.storage import Transaction
from tests.support.data.accounts import SignedIn, a_user, an_administrator
from tests.support.data.builders import log_of
from tests.support.data.user_resources import UserResources, stored_resources
from tests.support.database.connection import all_connections_lost
from tests.support.events.explanation import state_of
from tests.support.functions.client import Api, all_functions, content
from tests.support.functions.declarations import check
from tests.support.functions.problems import assert_invalid, assert_refused, without_request
from tests.support.functions.tokens import a_token, with_token
from tests.support.settings import changed_settings

pytestmark = pytest.mark.usefixtures("database", "all_channels")

JSON_TYPE = {"Content-Type": "application/json"}
A_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HEALTH = ["/health", "/health/liveness", "/health/readiness"]


@dataclass(frozen=True)
class Case:
    """One route of one function."""

    function: Function
    endpoint: Endpoint
    route: Route

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name

    @property
    def is_admin(self) -> bool:
        """Whether only administrators may use it."""
        permission = self.endpoint.permission
        of_all = permission is None or permission in PERMISSIONS_OF[Role.USER]
        return self.endpoint.role is not None or not of_all

    @property
    def takes_body(self) -> bool:
        """Whether it reads a body."""
        return self.endpoint.body is not None

    @property
    def body(self) -> dict[str, Any] | None:
        """A body that it takes, if it takes any."""
        return next(iter(self.endpoint.examples), None)

    @property
    def is_read(self) -> bool:
        """Whether it changes no resource of a user."""
        return self.endpoint.is_safe or self.endpoint.permission is Permission.TASKS_READ

    @property
    def creates(self) -> bool:
        """Whether it creates the resource that it answers."""
        return HTTPStatus.CREATED in {answer.status for answer in self.endpoint.answers}

    def path(self, of: UserResources | None = None, *, user_id: str = "{user_id}") -> str:
        """Return its path, with the ids of the given resources or else with unknown ids.

        `{user_id}` is left for the client to fill in.
        """
        return _filled(self.route.template, {"user_id": user_id, **(of.ids if of else {})})

    def short_path(self, of: UserResources | None = None) -> str:
        """Return its path without the user id."""
        return _filled(self.route.paths()[-1], of.ids if of else {})

    def __str__(self) -> str:
        """Return the name of its test."""
        return f"{self.route.method} {self.route.template}"


def _filled(template: str, ids: Mapping[str, object]) -> str:
    """Put the ids into a path; a missing one is replaced by an unknown id."""
    return re.sub(r"\{(\w+)\}", lambda found: str(ids.get(found[1]) or uuid.uuid4()), template)


SERVING = [function for function in all_functions() if isinstance(function.endpoint, Endpoint)]
CASES = [
    Case(function, function.endpoint, route)
    for function in SERVING
    # An upgrade is not an answer: what sockets promise is checked in tests/push.
    if isinstance(function.endpoint, Endpoint) and not function.endpoint.is_socket
    for route in function.endpoint.routes
]


def each_route(*wanted: Callable[[Case], bool]) -> pytest.MarkDecorator:
    """Run a test for every route that all of `wanted` hold for."""
    cases = [case for case in CASES if all(is_so(case) for is_so in wanted)]
    assert cases
    return pytest.mark.parametrize("case", cases, ids=str)


def is_private(case: Case) -> bool:
    return case.endpoint.asks_for_token


def asks_for_permission(case: Case) -> bool:
    return case.endpoint.permission is not None


def has_a_user(case: Case) -> bool:
    return "{user_id}" in case.route.template


def has_an_id(case: Case) -> bool:
    return "_id}" in case.route.template.replace("{user_id}", "")


def is_of_the_api(case: Case) -> bool:
    return not case.endpoint.is_page


def takes_body(case: Case) -> bool:
    return case.takes_body


def asks_the_database(case: Case) -> bool:
    # One that opens transactions by itself says with which cause.
    return bool({Transaction, Cause} & set(case.endpoint.parameters.values()))


def is_admin(case: Case) -> bool:
    return case.is_admin


def is_of_the_whole_account(case: Case) -> bool:
    """Say whether it asks for the password again, or for an account without tasks.

    What it does is in tests of its own.
    """
    return case.name in {"change-password", "delete-account", "import-account"}


def is_of_parts(case: Case) -> bool:
    return not is_of_the_whole_account(case)


@dataclass(frozen=True)
class Senders:
    """A user and an administrator whose requests are all refused, shared by all tests."""

    user: SignedIn
    administrator: SignedIn

    def of(self, case: Case) -> SignedIn:
        """Return the sender who may call the route."""
        return self.administrator if case.is_admin else self.user


@pytest.fixture(scope="module")
def senders(database: object) -> Senders:  # noqa: ARG001 - it must run
    return Senders(a_user(), an_administrator())


def _send(
    case: Case,
    user: SignedIn | None,
    path: str | None = None,
    **options: Any,  # noqa: ANN401 - werkzeug's own
) -> TestResponse:
    return Api(user).request(case.route.method, _with_query(case, path or case.path()), **options)


def _with_query(case: Case, path: str) -> str:
    """Add the parameters that must be there, unless the path has a query already."""
    query = urlencode(case.endpoint.query_example)
    return f"{path}?{query}" if query and "?" not in path else path


def _send_valid(
    case: Case,
    user: SignedIn | None,
    path: str,
    **options: Any,  # noqa: ANN401 - werkzeug's own
) -> TestResponse:
    body = case.body
    return _send(case, user, path, **({} if body is None else {"json": body}), **options)


def _send_raw(case: Case, senders: Senders, raw: bytes, **headers: str) -> TestResponse:
    return _send(case, senders.of(case), data=raw, headers={**JSON_TYPE, **headers})


# Who may


@each_route(is_private)
def test_a_stranger_is_told_to_sign_in(case: Case) -> None:
    answer = _send_valid(case, None, case.path())

    assert_refused(answer, 401, "no-token")


@each_route(is_private, has_a_user)
def test_the_path_of_another_account_is_refused_whether_or_not_it_exists(
    case: Case, user: SignedIn, other: SignedIn
) -> None:
    theirs = stored_resources(other.user_id)
    before = state_of(other.user_id)

    existing = _send_valid(case, user, case.path(theirs, user_id=other.user_id))
    missing = _send_valid(case, user, case.path(theirs, user_id="nobody"))

    refused = assert_refused(existing, 403, "not-your-account")
    assert without_request(refused) == without_request(assert_refused(missing, 403))
    assert state_of(other.user_id) == before


@each_route(is_private, has_a_user)
def test_the_path_of_another_account_is_refused_before_anything_is_read(
    case: Case, user: SignedIn, other: SignedIn
) -> None:
    path = case.path(user_id=other.user_id) + "?surprise=1"

    answer = _send(case, user, path, data=b"{", headers=JSON_TYPE)

    assert_refused(answer, 403, "not-your-account")


@each_route(has_a_user, has_an_id)
@pytest.mark.parametrize("is_deleted", [False, True], ids=["live", "deleted"])
def test_resources_of_another_account_are_not_found(
    case: Case, user: SignedIn, other: SignedIn, *, is_deleted: bool
) -> None:
    theirs = stored_resources(other.user_id, title="A secret")
    if is_deleted:
        Api(other).delete(f"/api/tasks/{theirs.task.id}")
    before, events_before = state_of(other.user_id), log_of(other.user_id)

    for path_of in (case.path, case.short_path):
        foreign = _send_valid(case, user, path_of(theirs))
        unknown = _send_valid(case, user, path_of())

        refused = _assert_not_there(case, foreign)
        assert without_request(refused) == without_request(assert_refused(unknown, 404))
        assert "A secret" not in foreign.text
        assert "ETag" not in foreign.headers

    assert state_of(other.user_id) == before
    assert log_of(other.user_id) == events_before
    assert len(log_of(user.user_id)) == 1


@each_route(has_a_user, has_an_id)
@pytest.mark.parametrize("condition", ["If-Match", "If-None-Match"])
def test_a_condition_does_not_tell_that_anothers_resource_exists(
    case: Case, user: SignedIn, other: SignedIn, condition: str
) -> None:
    theirs = stored_resources(other.user_id)
    version = theirs.task.version

    answers = [
        _send_valid(case, user, case.path(theirs), headers={condition: tag})
        for tag in (f'"{version}"', f'"{version + 1}"', "*")
    ]

    for answer in answers:
        _assert_not_there(case, answer)


def _assert_not_there(case: Case, answer: TestResponse) -> dict[str, Any]:
    """Check that an answer is the one that the function declares for an unknown resource."""
    refused = assert_refused(answer, 404)
    kinds = [kind for kind, errors in case.endpoint.problems.items() if errors]
    assert refused["type"].removeprefix("urn:taskflow:problem:") in {
        kind.slug for kind in kinds if kind.status == HTTPStatus.NOT_FOUND
    }
    return refused


def changes_what_is_there(case: Case) -> bool:
    return not (case.is_read or case.creates or is_of_the_whole_account(case))


@each_route(has_a_user, changes_what_is_there)
@pytest.mark.parametrize(
    "condition",
    [{"If-Match": '"999"'}, {"If-None-Match": "*"}],
    ids=["another version", "nothing there"],
)
def test_a_resource_is_not_changed_against_a_condition(
    case: Case, user: SignedIn, condition: dict[str, str]
) -> None:
    mine = stored_resources(user.user_id)
    before, events_before = state_of(user.user_id), log_of(user.user_id)

    refused = _send_valid(case, user, case.path(mine), headers=condition)

    assert refused.status_code == 412, refused.text
    assert state_of(user.user_id) == before
    assert log_of(user.user_id) == events_before


def test_no_list_shows_resources_of_another_user(user: SignedIn, other: SignedIn) -> None:
    # With the word that the search is asked for.
    stored_resources(other.user_id, title="A secret, milk")

    lists = [
        _send(case, user, path)
        for case in CASES
        if case.route.method == "GET" and has_a_user(case) and not has_an_id(case)
        for path in (case.path(), case.short_path())
    ]

    assert lists
    for answer in lists:
        assert answer.status_code == 200
        assert "A secret" not in answer.text
        assert other.user_id not in answer.text


@each_route(is_admin)
def test_functions_for_administrators_are_refused_to_other_users(
    case: Case, user: SignedIn
) -> None:
    mine = stored_resources(user.user_id)
    before = state_of(user.user_id)

    answer = _send_valid(case, user, case.path(mine))

    assert_refused(answer, 403)
    assert state_of(user.user_id) == before


@each_route(is_admin)
def test_no_other_roles_claim_makes_an_administrator(case: Case, senders: Senders) -> None:
    for roles in (None, [], ["Admin"], "admin", {"admin": True}, [["admin"]]):
        impostor = with_token(senders.user, a_token(senders.user.user_id, roles=roles))

        answer = _send_valid(case, impostor, case.path())

        assert_refused(answer, 403)


@each_route(is_private, asks_for_permission)
def test_a_token_without_the_permission_is_refused(case: Case, user: SignedIn) -> None:
    powerless = with_token(user, a_token(user.user_id, roles=["user", "admin"], permissions=[]))

    answer = _send_valid(case, powerless, case.path())

    problem = assert_refused(answer, 403, "missing-permission")
    assert problem["detail"] == f"The token lacks {case.endpoint.permission}."


@each_route(has_a_user)
def test_a_token_that_may_only_read_changes_nothing(case: Case, user: SignedIn) -> None:
    mine = stored_resources(user.user_id)
    reader = with_token(user, a_token(user.user_id, permissions=["tasks:read", "made:up"]))
    before, events_before = state_of(user.user_id), log_of(user.user_id)

    answer = _send_valid(case, reader, case.path(mine))

    if case.is_read:
        assert answer.status_code < 300
    else:
        assert_refused(answer, 403, "missing-permission")
    assert state_of(user.user_id) == before
    assert log_of(user.user_id) == events_before


@each_route(has_a_user, is_of_parts)
def test_the_short_path_is_the_same_endpoint(case: Case, user: SignedIn, other: SignedIn) -> None:
    mine = stored_resources(user.user_id)
    # What is there already may be added otherwise.
    second = user if case.is_read else other
    theirs = mine if case.is_read else stored_resources(other.user_id)

    long = _send_valid(case, user, case.path(mine))
    short = _send_valid(case, second, case.short_path(theirs))

    assert short.status_code == long.status_code
    assert 200 <= short.status_code < 300
    assert short.is_json == long.is_json
    if long.is_json:
        assert set(content(short)) == set(content(long))
    if case.route.method == "GET":
        assert short.text == long.text


# Headers that go with every answer


def _answers_of_all_kinds(
    case: Case, senders: Senders, headers: dict[str, str]
) -> Sequence[TestResponse]:
    mine, own = stored_resources(senders.user.user_id), senders.of(case)
    return [
        _send_valid(case, own, case.path(mine), headers=headers),
        _send_valid(case, None, case.path(), headers=headers),
        _send(case, own, case.path() + "?surprise=1", headers=headers),
        Api(own).request("BREW", case.path(), headers=headers),
        Api(own).request("OPTIONS", case.path(), headers=headers),
    ]


@each_route()
def test_the_correlation_id_and_trace_of_a_request_come_back(case: Case, senders: Senders) -> None:
    given = {"X-Correlation-ID": "a-request-of-mine", "traceparent": A_TRACE}

    answers = _answers_of_all_kinds(case, senders, given)

    for answer in answers:
        assert answer.headers["X-Correlation-ID"] == "a-request-of-mine"
        assert answer.headers["traceparent"] == A_TRACE


@each_route()
def test_a_request_without_correlation_id_and_trace_is_given_its_own(
    case: Case, senders: Senders
) -> None:
    answers = _answers_of_all_kinds(case, senders, {})

    assert len({answer.headers["X-Correlation-ID"] for answer in answers}) == len(answers)
    assert len({answer.headers["traceparent"] for answer in answers}) == len(answers)
    for answer in answers:
        uuid.UUID(answer.headers["X-Correlation-ID"])
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", answer.headers["traceparent"])


WRONG_TRACES = [
    {"X-Correlation-ID": "with a space", "traceparent": "00-0-0-01"},
    {"X-Correlation-ID": "x" * 129, "traceparent": A_TRACE.upper()},
    {"X-Correlation-ID": "ünïcode", "traceparent": f"00-{'0' * 32}-{'1' * 16}-01"},
    {"X-Correlation-ID": "tab\there", "traceparent": f"ff{A_TRACE[2:]}"},
    {"X-Correlation-ID": "", "traceparent": f"{A_TRACE}-more"},
]


@each_route()
def test_a_wrong_correlation_id_or_trace_is_replaced(case: Case, senders: Senders) -> None:
    for given in WRONG_TRACES:
        answer = _send(case, senders.of(case), case.path() + "?surprise=1", headers=given)

        uuid.UUID(answer.headers["X-Correlation-ID"])
        assert answer.headers["traceparent"] != given["traceparent"]
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", answer.headers["traceparent"])


def test_the_correlation_id_and_trace_of_a_request_are_in_its_events(user: SignedIn) -> None:
    given = {"X-Correlation-ID": "a-request-of-mine", "traceparent": A_TRACE}

    Api(user).post("/api/tasks", {"title": "Buy milk"}, headers=given)

    created = log_of(user.user_id)[-1]
    assert (created.correlation_id, created.traceparent) == ("a-request-of-mine", A_TRACE)
    assert created.actor == user.user_id


# Outages


@each_route(asks_the_database, is_of_parts)
def test_a_request_that_finds_its_connection_lost_is_answered_on_another(
    case: Case,
) -> None:
    sender = an_administrator() if case.is_admin else a_user()

    with all_connections_lost():
        answer = _send_valid(case, sender, case.path())

    assert answer.status_code < 500


# Junk

NOT_JSON = [
    b'{"title": "Buy mil',
    b'""x',
    b"{'title': 'x'}",
    b'{"title": "x",}',
    b'{"title": NaN}',
    b'{"metadata": {"a": -Infinity}}',
    b'{"title": "\xff\xfe"}',
    '{"title": "x"}'.encode("utf-16"),
    b'{"title": "\xed\xa0\x80"}',
    b'\xef\xbb\xbf{"title": "x"}',
    b"\0",
    b"[" * 60_000,
    b'{"a":' * 12_000,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"title": ' + b"9" * 5_000 + b"}",
]


@each_route(takes_body)
def test_every_function_that_takes_a_body_shows_bodies_that_it_takes(case: Case) -> None:
    assert case.endpoint.body is not None
    assert case.endpoint.examples
    for example in case.endpoint.examples:
        case.endpoint.body.model_validate(example)


@each_route(takes_body)
def test_a_body_that_is_not_json_is_bad_syntax(case: Case, senders: Senders) -> None:
    for raw in NOT_JSON:
        answer = _send_raw(case, senders, raw)

        if len(raw) > case.endpoint.body_max_bytes:
            assert_refused(answer, 413, "body-too-large")
        else:
            assert_refused(answer, 400, "not-json")


@each_route(takes_body)
def test_json_that_is_no_object_is_invalid_content(case: Case, senders: Senders) -> None:
    for raw in (b"[]", b'"text"', b"1", b"true", b"null", b'[{"title": "x"}]'):
        answer = _send_raw(case, senders, raw)

        problem = assert_invalid(answer, "")
        assert problem["errors"][0]["detail"] == "must be a JSON object"


def _what_says_its_shape(case: Case) -> dict[str, Any]:
    """Return the field by which one of several shapes is told, where a body has several."""
    model = case.endpoint.body
    if model is None or not issubclass(model, OneOf):
        return {}
    name = model.discriminator()
    return {name: (case.body or {})[name]}


@each_route(takes_body)
def test_an_unknown_field_is_invalid_content(case: Case, senders: Senders) -> None:
    unknown = ["surprise", "__class__", "model_config", "Title", "a/b~c", "", "\0", "ü" * 1000]

    sent = dict.fromkeys(unknown, 1) | _what_says_its_shape(case)
    answer = _send_raw(case, senders, json.dumps(sent).encode())

    problem = assert_refused(answer, 422, "invalid-content")
    named = {error["pointer"]: error["detail"] for error in problem["errors"]}
    for name in unknown:
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        assert named[pointer] == "is not a known field"


@each_route(takes_body)
def test_the_first_of_many_wrong_fields_are_named_and_the_others_counted(
    case: Case, senders: Senders
) -> None:
    count, length = (5_000, 50_000) if case.endpoint.is_public else (15_000, 500_000)
    many = {f"{number:x}": 1 for number in range(count)}
    long = {"x" * length: 1}

    of_many = _send_raw(case, senders, json.dumps(many, separators=(",", ":")).encode())
    of_long = _send_raw(case, senders, json.dumps(long).encode())

    problem = assert_refused(of_many, 422, "invalid-content")
    assert [error["pointer"] for error in problem["errors"]] == [f"/{n:x}" for n in range(20)]
    assert f"{count - 20} more" in problem["detail"]
    assert_refused(of_long, 422, "invalid-content")
    assert max(len(of_many.data), len(of_long.data)) < 8 * 1024


@each_route(takes_body)
def test_a_field_whose_name_utf_8_cannot_write_is_invalid_content(
    case: Case, senders: Senders
) -> None:
    answer = _send_raw(case, senders, b'{"\\ud800": 1}')

    assert_refused(answer, 422, "invalid-content")


@each_route(takes_body)
def test_json_that_would_take_long_to_read_is_refused_unread(case: Case, senders: Senders) -> None:
    lists = b"[" + b",".join([b"[]"] * (VALUES_MAX // 2 + 1)) + b"]"
    fields = json.dumps({f"{number:x}": 1 for number in range(VALUES_MAX + 1)})
    digits = b'{"x":[' + b",".join([b"9" * 4_000] * 10) + b"]}"
    for raw in (b'{"x":%b}' % lists, lists[:-1], fields.encode(), digits):
        if len(raw) <= case.endpoint.body_max_bytes:
            refused = assert_refused(_send_raw(case, senders, raw), 400, "not-json")
            assert "too many digits" in refused["detail"] or "values" in refused["detail"]


@each_route(takes_body)
def test_the_characters_of_a_json_text_do_not_count_as_values_or_digits(
    case: Case, senders: Senders
) -> None:
    for text in ("[{," * VALUES_MAX, "9" * 5_000, '"\\,' * VALUES_MAX):
        raw = json.dumps({"surprise": text[: PUBLIC_BODY_MAX_BYTES // 2]}).encode()

        assert_refused(_send_raw(case, senders, raw), 422, "invalid-content")


@each_route(takes_body)
def test_a_compressed_body_is_refused(case: Case, senders: Senders) -> None:
    compressed = gzip.compress(b"{}")

    assert_refused(
        _send_raw(case, senders, compressed, **{"Content-Encoding": "gzip"}),
        415,
        "other-media-type",
    )
    plain = _send_raw(case, senders, b'{"surprise": 1}', **{"Content-Encoding": "identity"})
    assert_refused(plain, 422, "invalid-content")


@each_route(takes_body)
def test_another_media_type_is_refused(case: Case, senders: Senders) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "text/json", "", "x"):
        answer = _send_raw(case, senders, b"{}", **{"Content-Type": media_type})

        assert_refused(answer, 415, "other-media-type")


@each_route()
def test_another_json_media_type_is_refused_for_a_merge(case: Case, senders: Senders) -> None:
    for media_type in ("application/json-patch+json", "application/x+json", "+json"):
        answer = _send_raw(case, senders, b"{}", **{"Content-Type": media_type})

        assert_refused(answer, 415, "other-media-type")
        is_patched = "PATCH" in {route.method for route in case.endpoint.routes}
        if is_patched:
            types = "application/json, application/merge-patch+json"
            assert answer.headers["Accept-Patch"] == types


@each_route(takes_body)
def test_json_is_accepted_everywhere_and_a_merge_patch_by_put_and_patch(
    case: Case, senders: Senders
) -> None:
    json_types = ["application/json; charset=utf-8", "Application/JSON"]
    if case.route.method in {"PUT", "PATCH"}:
        json_types.append("application/merge-patch+json")
    for media_type in json_types:
        answer = _send_raw(case, senders, b'{"surprise": 1}', **{"Content-Type": media_type})

        assert_refused(answer, 422, "invalid-content")


def takes_no_body(case: Case) -> bool:
    endpoint = case.endpoint
    return not (case.takes_body or endpoint.takes_form or endpoint.lines is not None)


@each_route(takes_no_body)
def test_an_unexpected_body_is_checked_as_any_other(case: Case, senders: Senders) -> None:
    of_another_type = _send_raw(case, senders, b"{}", **{"Content-Type": "text/plain"})
    assert_refused(of_another_type, 415, "other-media-type")
    assert_refused(_send_raw(case, senders, b"{"), 400, "not-json")
    assert_invalid(_send_raw(case, senders, b"[]"), "")
    assert_invalid(_send_raw(case, senders, b'{"completed": false}'), "/completed")


@each_route(takes_no_body)
def test_an_unexpected_empty_object_counts_as_no_body(case: Case, user: SignedIn) -> None:
    answer = _send(case, user, data=b"{}", headers=JSON_TYPE)

    assert answer.status_code not in {400, 415, 422}, answer.text


@each_route()
def test_a_query_that_is_not_utf_8_is_bad_syntax(case: Case, senders: Senders) -> None:
    for query in ("q=%ff", "q=%C3", "%ED%A0%80=1", "cursor=a%80"):
        answer = _send(case, senders.of(case), f"{case.path()}?{query}")

        assert_refused(answer, 400, "not-utf-8")


@each_route(has_a_user)
def test_a_path_that_is_not_utf_8_is_bad_syntax(case: Case, senders: Senders) -> None:
    # As a server hands on a%ffb; Werkzeug's client would make U+FFFD of it.
    as_sent = {"PATH_INFO": case.path(user_id="a\xffb")}

    answer = _send(case, senders.of(case), environ_overrides=as_sent)

    assert_refused(answer, 400, "not-utf-8")


@each_route()
def test_a_body_over_the_limit_is_too_large(case: Case, senders: Senders) -> None:
    for length in (case.endpoint.body_max_bytes + 1, 5 * 1024 * 1024):
        answer = _send_raw(case, senders, b" " * length)

        assert_refused(answer, 413, "body-too-large")


@each_route()
def test_a_body_over_the_limit_that_comes_in_chunks_is_too_large(
    case: Case, senders: Senders
) -> None:
    endless = io.BytesIO(b" " * (case.endpoint.body_max_bytes + 1))

    answer = _send(
        case,
        senders.of(case),
        input_stream=endless,
        environ_overrides={"wsgi.input_terminated": True},
        headers={**JSON_TYPE, "Transfer-Encoding": "chunked"},
    )

    assert_refused(answer, 413, "body-too-large")


@each_route(takes_body)
def test_a_body_at_the_limit_is_read(case: Case, senders: Senders) -> None:
    answer = _send_raw(case, senders, b'{"surprise": 1}'.ljust(case.endpoint.body_max_bytes))

    assert_refused(answer, 422, "invalid-content")
    most = PUBLIC_BODY_MAX_BYTES if case.endpoint.is_public else BODY_MAX_BYTES
    assert case.endpoint.body_max_bytes == most


@each_route(takes_body)
def test_a_body_that_comes_in_chunks_is_read(case: Case, senders: Senders) -> None:
    answer = _send(
        case,
        senders.of(case),
        input_stream=io.BytesIO(b'{"surprise": 1}'),
        environ_overrides={"wsgi.input_terminated": True},
        headers={**JSON_TYPE, "Transfer-Encoding": "chunked"},
    )

    assert_refused(answer, 422, "invalid-content")


@each_route(takes_body)
def test_a_body_shorter_than_its_content_length_is_refused_as_cut_off(
    case: Case, senders: Senders
) -> None:
    signed = senders.of(case)
    builder = EnvironBuilder(
        path=case.path(user_id=signed.user_id),
        method=case.route.method,
        headers=Headers({**signed.headers, **JSON_TYPE}),
    )
    environ = builder.get_environ()
    environ |= {"CONTENT_LENGTH": "100", "wsgi.input": io.BytesIO(b"{}")}

    answer = Response.from_app(case.function.app, environ)
    check(answer, case.endpoint, method=case.route.method)

    assert_refused(answer, 400, "body-cut-off")


class _Failing(io.RawIOBase):
    """A body whose reading fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: object) -> int:
        raise self._error


@each_route(takes_body)
@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (TimeoutError(), 408, "body-too-slow"),
        (ConnectionResetError(), 400, "body-cut-off"),
        (InvalidChunkSize(b"zz"), 400, "malformed-chunks"),
        (ChunkMissingTerminator(b"x"), 400, "malformed-chunks"),
    ],
    ids=repr,
)
def test_a_body_that_the_server_cannot_read_is_refused(
    case: Case, senders: Senders, error: Exception, status: int, slug: str
) -> None:
    signed = senders.of(case)
    builder = EnvironBuilder(
        path=case.path(user_id=signed.user_id),
        method=case.route.method,
        headers=Headers({**signed.headers, **JSON_TYPE}),
    )
    environ = builder.get_environ() | {"wsgi.input": _Failing(error), "wsgi.input_terminated": True}

    answer = Response.from_app(case.function.app, environ)
    check(answer, case.endpoint, method=case.route.method)

    assert_refused(answer, status, slug)


@each_route(is_of_the_api)
def test_an_unknown_query_parameter_is_invalid_content(case: Case, senders: Senders) -> None:
    answer = _send(case, senders.of(case), case.path() + "?surprise=1&limit=0")

    problem = assert_refused(answer, 422, "invalid-content")
    assert "/surprise" in {error["pointer"] for error in problem["errors"]}


@each_route(takes_body)
def test_a_null_character_or_half_a_surrogate_pair_is_invalid_content(
    case: Case, senders: Senders
) -> None:
    valid = case.body
    assert valid is not None

    for name in [name for name, value in valid.items() if isinstance(value, str)]:
        for text in ("a\0b", "\0", "a\ud800b", "\udfff"):
            answer = _send_raw(case, senders, json.dumps({**valid, name: text}).encode())

            assert_invalid(answer, f"/{name}")


@each_route(lambda case: case.endpoint.takes_form)
def test_a_form_is_taken_and_nothing_else(case: Case, senders: Senders) -> None:
    for media_type in ("application/json", "text/plain", "", "x"):
        answer = _send_raw(case, senders, b"{}", **{"Content-Type": media_type})
        assert_refused(answer, 415, "other-media-type")
    for media_type in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = _send_raw(case, senders, b"a=b", **{"Content-Type": media_type})
        assert_refused(answer, 404)


@each_route(has_an_id, is_of_the_api)
def test_a_path_with_a_malformed_id_is_not_found(case: Case, senders: Senders) -> None:
    for wrong_id in ("1", "not-an-id", "%00", "%F0%9F%A6%89", "..", "0" * 500):
        path = re.sub(r"\{(?!user_id)\w+\}", wrong_id, case.route.template)

        answer = _send_valid(case, senders.of(case), path)

        assert_refused(answer, 404, "no-such-path")


@each_route(has_a_user, is_of_parts)
def test_a_bad_idempotency_key_is_refused(case: Case) -> None:
    for key in ("", "x" * 256, "ünïcode", "tab\there"):
        user = a_user()
        mine = stored_resources(user.user_id)
        before = state_of(user.user_id)
        path, headers = case.path(mine), {"Idempotency-Key": key}
        answer = _send_valid(case, user, path, headers=headers)

        # Those that store no answer do not read the key.
        if case.endpoint.stores_answers:
            assert_refused(answer, 400, "bad-idempotency-key")
        else:
            assert answer.status_code < 300
        assert state_of(user.user_id) == before


# Methods and paths


@pytest.mark.parametrize("function", all_functions(), ids=lambda function: function.name)
@pytest.mark.parametrize("path", HEALTH)
def test_every_function_tells_its_health_without_a_token(function: Function, path: str) -> None:
    answer = Client(function.app, use_cookies=False).get(path)

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["status"] == "ok"
    assert ("parts" in answer.json) == (path == "/health")


@pytest.mark.parametrize("function", all_functions(), ids=lambda function: function.name)
def test_every_function_shows_its_metrics_without_a_token(function: Function) -> None:
    answer = Client(function.app, use_cookies=False).get("/metrics")

    assert answer.status_code == 200
    assert answer.mimetype == "text/plain"
    assert "taskflow_http_requests_total" in answer.text


@pytest.mark.parametrize("path", HEALTH)
def test_the_router_tells_its_health(path: str) -> None:
    answer = Api().get(path)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/tasks/1/2/3/4",
        "/nowhere",
        "/health/x",
        "/api//tasks",
        "/API/tasks",
        "/api/%00",
        "/api/%FF",
        "/api/auth",
        "/api/auth/login/x",
        "/robots.txt",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "BREW"])
def test_a_path_that_no_function_serves_is_not_found(
    user: SignedIn, path: str, method: str
) -> None:
    answer = Api(user).request(method, path)

    assert_refused(answer, 404, "no-such-path")


@pytest.mark.parametrize("function", SERVING, ids=lambda function: function.name)
def test_a_function_serves_no_path_but_its_own(function: Function) -> None:
    answer = Client(function.app, use_cookies=False).get("/api/nowhere/at/all")

    assert_refused(answer, 404, "no-such-path")


@each_route()
def test_a_method_that_no_function_takes_is_refused_with_the_allowed_ones(
    case: Case, user: SignedIn
) -> None:
    answer = Api(user).request("BREW", case.path())

    assert_refused(answer, 405, "method-not-allowed")
    allowed = answer.headers["Allow"].split(", ")
    assert {case.route.method, "OPTIONS"} <= set(allowed)
    assert ("HEAD" in allowed) == ("GET" in allowed)
    taken = {each.route.method for each in CASES if each.route.template == case.route.template}
    assert set(allowed) - {"HEAD", "OPTIONS"} == taken


@each_route(has_a_user, lambda case: case.route.method == "GET")
def test_head_is_answered_as_get_without_the_body(case: Case, user: SignedIn) -> None:
    path = _with_query(case, case.path(stored_resources(user.user_id)))

    head, get = Api(user).request("HEAD", path), Api(user).get(path)

    assert head.status_code == get.status_code == 200
    assert head.data == b""
    for name in ("Content-Type", "Content-Length", "ETag"):
        assert head.headers.get(name) == get.headers.get(name)


@each_route()
def test_a_preflight_request_of_a_browser_is_answered(case: Case) -> None:
    with changed_settings(cors_origins=("https://app.example",)):
        answer = Api().request(
            "OPTIONS",
            case.path(),
            headers={
                "Origin": "https://app.example",
                "Access-Control-Request-Method": case.route.method,
                "Access-Control-Request-Headers": "authorization, if-match, idempotency-key",
            },
        )

    assert answer.status_code == 204
    assert answer.data == b""
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert case.route.method in answer.headers["Access-Control-Allow-Methods"].split(", ")
    allowed = {name.lower() for name in answer.headers["Access-Control-Allow-Headers"].split(", ")}
    assert {"authorization", "content-type", "if-match", "idempotency-key"} <= allowed


@each_route()
def test_a_browser_keeps_no_answer_and_shows_none_in_a_frame_or_as_another_type(
    case: Case, senders: Senders
) -> None:
    kept = {"private, no-cache", "no-store"}
    if case.endpoint.is_public:
        # What is the same for everybody.
        kept |= {"public, max-age=300", "no-cache"}

    for answer in _answers_of_all_kinds(case, senders, {}):
        assert answer.headers["Cache-Control"] in kept
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@each_route()
def test_a_page_of_a_configured_origin_may_read_every_answer(case: Case, senders: Senders) -> None:
    origin = {"Origin": "https://app.example"}

    with changed_settings(cors_origins=("https://app.example", "https://other.example")):
        answers = _answers_of_all_kinds(case, senders, origin)

    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert answer.headers["Access-Control-Expose-Headers"] == (
            "ETag, Link, Location, Retry-After, X-Correlation-ID"
        )
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


@each_route()
def test_a_page_of_another_origin_may_read_no_answer(case: Case, senders: Senders) -> None:
    origin = {"Origin": "https://evil.example"}

    with changed_settings(cors_origins=("https://app.example",)):
        answers = _answers_of_all_kinds(case, senders, origin)

    for answer in answers:
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Access-Control-Expose-Headers" not in answer.headers


@pytest.mark.parametrize(
    ("origins", "origin"),
    [
        ((), "https://app.example"),
        (("https://app.example",), "https://app.example.evil.example"),
        (("https://app.example",), "https://evil.example/https://app.example"),
        (("https://app.example",), "http://app.example"),
        (("https://app.example",), "https://app.example:8443"),
        (("https://app.example",), "null"),
        (("https://app.example",), "*"),
    ],
)
def test_an_origin_is_compared_as_a_whole(
    senders: Senders, origins: tuple[str, ...], origin: str
) -> None:
    with changed_settings(cors_origins=origins):
        answer = Api(senders.user).get("/api/tasks", headers={"Origin": origin})

    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


# Limits and logs


@each_route(is_private)
def test_a_user_who_asks_too_often_is_told_when_to_come_back(
    case: Case, senders: Senders, other: SignedIn
) -> None:
    # Wrong passwords of all tests together would be too many.
    own = a_user() if is_of_the_whole_account(case) else senders.of(case)

    with changed_settings(rate_limit_user_per_s=0.001, rate_limit_user_burst=1):
        first = _send_valid(case, own, case.path())
        second = _send_valid(case, own, case.path())
        of_another = Api(other).get("/api/tasks")

    assert first.status_code != 429
    assert_refused(second, 429, "too-many-requests")
    assert 900 <= int(second.headers["Retry-After"]) <= 1000
    assert of_another.status_code == 200


@pytest.mark.parametrize("path", ["/api/somebody/tasks", "/api/admin/replay"])
def test_what_a_user_may_not_ask_for_counts_too(user: SignedIn, path: str) -> None:
    with changed_settings(rate_limit_user_per_s=0.001, rate_limit_user_burst=1):
        first, second = (Api(user).get(path) for _ in range(2))

    assert first.status_code == 403
    assert_refused(second, 429, "too-many-requests")


@each_route(lambda case: case.route.template.startswith("/api/auth/") and not is_private(case))
def test_an_address_that_signs_in_too_often_is_told_when_to_come_back(case: Case) -> None:
    with changed_settings(rate_limit_auth_per_min=2):
        answers = [_send(case, None, json={"surprise": 1}) for _ in range(3)]
        elsewhere = _send(
            case, None, json={"surprise": 1}, environ_overrides={"REMOTE_ADDR": "192.0.2.1"}
        )
        spoofed = _send(case, None, json={}, headers={"X-Forwarded-For": "192.0.2.2"})

    assert [answer.status_code for answer in answers] == [422, 422, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 30
    assert elsewhere.status_code == 422
    assert spoofed.status_code == 429


@each_route()
def test_logs_hold_no_token_no_password_and_no_body(
    case: Case, user: SignedIn, senders: Senders, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    mine = stored_resources(user.user_id, title="what-was-stored")
    own = user if has_a_user(case) else senders.of(case)

    _send_valid(case, own, case.path(mine))
    _send(
        case,
        own,
        data=b'{"title": "what-was-sent", "password": "what-was-sent"',
        headers={**JSON_TYPE, "Cookie": "taskflow_refresh=what-was-sent"},
    )
    _send(case, with_token(own, "what-was-sent"), json={"refresh_token": "what-was-sent"})

    assert caplog.records
    logged = caplog.text + repr([record.__dict__ for record in caplog.records])
    sent = [value for value in (case.body or {}).values() if isinstance(value, str)]
    for secret in (own.token, "what-was-sent", "what-was-stored", *sent):
        assert secret not in logged


def test_every_answer_that_shows_a_task_shows_all_its_fields(user: SignedIn) -> None:
    mine = stored_resources(user.user_id)

    shown = [
        _send_valid(case, user, case.path(mine))
        for case in CASES
        for answer in case.endpoint.answers
        if has_a_user(case) and (answer.status, answer.body) == (200, TaskRepresentation)
    ]

    assert shown
    for answer in shown:
        assert answer.status_code == 200
        assert set(content(answer)) == set(tasks.represent(mine.task))
