"""Declarations of endpoints: read from the handler, complete, and checked against the answers."""

import re
from collections.abc import Callable
from typing import Any, NoReturn
from uuid import UUID

import pytest
from flask import Flask, Response
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from taskflow import logs
from taskflow.domain.accounts import Permission
from taskflow.domain.content import Content
from taskflow.domain.errors import (
    DomainError,
    InvalidContent,
    TaskIsClosed,
    TaskNotFound,
    VersionIsExcluded,
    VersionIsStale,
)
from taskflow.domain.events import Cause
from taskflow.serving import (
    Accepted,
    Answer,
    Caller,
    Conditions,
    Created,
    Issued,
    ItemList,
    NoContent,
    NotModified,
    Ok,
    Page,
    PageQuery,
    Query,
    TaskCreated,
    TaskShown,
    http_function,
    problems,
)
from taskflow.serving.body import BODY_MAX_BYTES, PUBLIC_BODY_MAX_BYTES
from taskflow.serving.endpoint import AnswerKind, Endpoint, Handler
from taskflow.serving.problems import PROBLEMS, Problem
from taskflow.serving.signature import InvalidDeclaration
from taskflow.storage import Transaction
from tests.support.functions.declarations import check


class Thing(TypedDict):
    name: str
    size: int | None


class ThingDraft(Content):
    name: str


class OtherDraft(Content):
    name: str


class PlainDraft(BaseModel):
    name: str


class LenientDraft(Content):
    model_config = ConfigDict(extra="ignore")

    name: str


class LenientQuery(Query):
    model_config = ConfigDict(extra="allow")


def _change(
    caller: Caller, thing_id: UUID, draft: ThingDraft, conditions: Conditions, tx: Transaction
) -> Ok[Thing] | Created[Thing]:
    raise NotImplementedError


def _list(caller: Caller, query: PageQuery, cause: Cause) -> Page[Thing]:
    raise NotImplementedError


def _sign_up(draft: ThingDraft) -> Issued[Thing]:
    raise NotImplementedError


def _upgrade() -> NoReturn:
    raise NotImplementedError


def _follow(caller: Caller) -> None:
    raise NotImplementedError


CHANGE = Endpoint.of(
    _change,
    [
        "PUT /api/{user_id}/things/{thing_id}",
        "POST /api/{user_id}/things/{thing_id}",
    ],
    permission=Permission.TASKS_WRITE,
    role="admin",
    raises=[TaskNotFound, TaskIsClosed],
)
LIST = Endpoint.of(_list, ["GET /api/{user_id}/things"], permission=Permission.TASKS_READ)
SIGN_UP = Endpoint.of(_sign_up, ["POST /api/auth/things"], is_public=True)
SOCKET = Endpoint.of(_upgrade, ["GET /ws"], socket=_follow, socket_query=PageQuery)


def test_a_declaration_names_the_permission_the_parameters_and_the_body() -> None:
    assert CHANGE.name == "change"
    assert (CHANGE.permission, CHANGE.role) == (Permission.TASKS_WRITE, "admin")
    assert (CHANGE.body, CHANGE.query) == (ThingDraft, None)
    assert CHANGE.path_parameters == {"user_id": str, "thing_id": UUID}
    assert (LIST.body, LIST.query) == (None, PageQuery)
    assert (CHANGE.asks_for_token, SIGN_UP.asks_for_token, SOCKET.asks_for_token) == (True, 0, 0)
    assert (CHANGE.body_max_bytes, SIGN_UP.body_max_bytes) == (
        BODY_MAX_BYTES,
        PUBLIC_BODY_MAX_BYTES,
    )


def test_a_socket_is_declared_by_its_own_handler() -> None:
    assert (SOCKET.name, SOCKET.is_socket, SOCKET.query) == ("follow", True, PageQuery)
    assert SOCKET.summary == "read from the handler, complete, and checked against the answers"
    assert (SOCKET.answers, SOCKET.body) == ((), None)


def test_a_declaration_says_which_requests_are_conditional_and_which_can_be_repeated() -> None:
    def create(tx: Transaction) -> TaskCreated:
        raise NotImplementedError

    def issue(tx: Transaction) -> Issued[Thing]:
        raise NotImplementedError

    def settle(tx: Transaction) -> NoContent:
        raise NotImplementedError

    created, issued, settled = (
        Endpoint.of(handler, ["POST /x"]) for handler in (create, issue, settle)
    )

    assert (CHANGE.takes_conditions, CHANGE.shows_tags, CHANGE.stores_answers) == (True,) * 3
    assert (settled.takes_conditions, settled.shows_tags, settled.stores_answers) == (True, 0, True)
    assert (created.takes_conditions, created.stores_answers) == (False, True)
    assert (issued.takes_conditions, issued.stores_answers) == (False, False)
    assert (LIST.takes_conditions, LIST.stores_answers) == (False, False)
    assert (SIGN_UP.takes_conditions, SIGN_UP.stores_answers) == (False, False)


ANSWERS: list[tuple[Any, list[AnswerKind]]] = [
    (Ok[Thing], [AnswerKind(200, Thing, frozenset())]),
    (Accepted[list[Thing]], [AnswerKind(202, list[Thing], frozenset())]),
    (Issued[Thing], [AnswerKind(201, Thing, frozenset({"Cache-Control"}))]),
    (NoContent, [AnswerKind(204, None, frozenset())]),
    (Page[Thing], [AnswerKind(200, ItemList[Thing], frozenset(), frozenset({"Link"}))]),
    (NoReturn, []),
]


@pytest.mark.parametrize(("returned", "expected"), ANSWERS, ids=repr)
def test_the_answers_are_those_that_the_handler_returns(
    returned: Any,  # noqa: ANN401 - an annotation
    expected: list[AnswerKind],
) -> None:
    def handler() -> Response:
        raise NotImplementedError

    handler.__annotations__["return"] = returned

    assert list(Endpoint.of(handler, ["GET /x"]).answers) == expected


def test_a_handler_with_several_answers_declares_each() -> None:
    def handler() -> TaskShown | NotModified | TaskCreated:
        raise NotImplementedError

    answers = Endpoint.of(handler, ["GET /x"]).answers

    assert [(answer.status, answer.headers) for answer in answers] == [
        (200, {"ETag"}),
        (304, {"ETag"}),
        (201, {"ETag", "Location"}),
    ]


def test_the_problems_are_those_of_the_frame_and_of_the_errors_that_the_handler_lets_through() -> (
    None
):
    kinds = CHANGE.problems

    assert kinds[PROBLEMS[TaskNotFound]] == [TaskNotFound]
    assert kinds[PROBLEMS[TaskIsClosed]] == [TaskIsClosed]
    assert kinds[problems.INVALID_CONTENT] == [InvalidContent]
    assert kinds[PROBLEMS[VersionIsStale]] == [VersionIsStale]
    assert kinds[PROBLEMS[VersionIsExcluded]] == [VersionIsExcluded]
    for kind in (
        problems.NO_TOKEN,
        problems.NOT_YOUR_ACCOUNT,
        problems.MISSING_PERMISSION,
        problems.MISSING_ROLE,
        problems.IDEMPOTENCY_KEY_REUSED,
        problems.INTERNAL_ERROR,
    ):
        assert kinds[kind] == []
    of_public = set(SIGN_UP.problems)
    assert problems.TOO_MANY_REQUESTS in of_public
    assert not of_public & {problems.NO_TOKEN, problems.MISSING_ROLE, problems.BAD_IDEMPOTENCY_KEY}
    assert {problems.UPGRADE_NEEDED, problems.TOO_MANY_REQUESTS} <= set(SOCKET.problems)
    assert problems.UPGRADE_NEEDED not in kinds


def _asks_for_anything(thing: int) -> NoContent:
    raise NotImplementedError


def _untyped(thing) -> NoContent:  # type: ignore[no-untyped-def]  # noqa: ANN001 - what is refused
    raise NotImplementedError


def _by_place(caller: Caller, /) -> NoContent:
    raise NotImplementedError


def _any_callers(*caller: Caller) -> NoContent:
    raise NotImplementedError


def _any_names(**caller: Caller) -> NoContent:
    raise NotImplementedError


async def _coroutine() -> NoContent:
    raise NotImplementedError


def _user_id(user_id: str) -> NoContent:
    raise NotImplementedError


def _number_in_path(thing_id: int) -> NoContent:
    raise NotImplementedError


def _thing(thing_id: UUID) -> NoContent:
    raise NotImplementedError


def _two_bodies(one: ThingDraft, other: OtherDraft) -> NoContent:
    raise NotImplementedError


def _two_queries(one: PageQuery, other: Query) -> NoContent:
    raise NotImplementedError


def _two_transactions(one: Transaction, other: Transaction) -> NoContent:
    raise NotImplementedError


def _two_callers(one: Caller, other: Caller) -> NoContent:
    raise NotImplementedError


def _somebody(caller: Caller) -> NoContent:
    raise NotImplementedError


def _nothing() -> NoContent:
    raise NotImplementedError


def _any_response() -> Response:
    raise NotImplementedError


def _no_answer():  # noqa: ANN202 - what is refused
    raise NotImplementedError


def _bare_answer() -> Ok:  # type: ignore[type-arg] - what is refused
    raise NotImplementedError


def _any_body() -> Ok[Any]:
    raise NotImplementedError


def _no_json() -> Ok[Flask]:
    raise NotImplementedError


def _two_answers() -> Ok[Thing] | TaskShown:
    raise NotImplementedError


def _with_body(draft: ThingDraft) -> NoContent:
    raise NotImplementedError


def _plain_body(draft: PlainDraft) -> NoContent:
    raise NotImplementedError


def _lenient_body(draft: LenientDraft) -> NoContent:
    raise NotImplementedError


def _lenient_query(query: LenientQuery) -> NoContent:
    raise NotImplementedError


UNSERVABLE: list[tuple[Callable[..., Any], str, dict[str, Any], str]] = [
    (_asks_for_anything, "POST /x", {}, "nothing fills the parameter thing: int"),
    (_untyped, "POST /x", {}, "the parameter thing has no type"),
    (_by_place, "POST /x", {}, "the parameter caller can't be given by its name"),
    (_any_callers, "POST /x", {}, "the parameter caller can't be given by its name"),
    (_any_names, "POST /x", {}, "the parameter caller can't be given by its name"),
    (_coroutine, "POST /x", {}, "it is a coroutine or a generator"),
    (_user_id, "GET /{user_id}", {"permission": "tasks:read"}, "no handler is given the user_id"),
    (_number_in_path, "GET /x/{thing_id}", {}, "thing_id of its path must be UUID or str"),
    (_nothing, "GET /x/{thing_id}", {}, "it has no parameter for {thing_id} of its path"),
    (_thing, "GET /x/{thing_id}, GET /x", {}, "{thing_id} must be in all its paths"),
    (_two_bodies, "POST /x", {}, "a request has one body, not two"),
    (_two_queries, "GET /x", {}, "a request has one query, not two"),
    (_two_transactions, "POST /x", {}, "it is given one Transaction, not two"),
    (_two_callers, "POST /x", {}, "it is given one Caller, not two"),
    (_with_body, "GET /x", {}, "GET has no body to be read"),
    (_plain_body, "POST /x", {}, "its body PlainDraft must be a Content"),
    (_lenient_body, "POST /x", {}, "its body LenientDraft must refuse fields"),
    (_lenient_query, "GET /x", {}, "its query LenientQuery must refuse parameters"),
    (_nothing, "GET /x", {"page": True}, "a page is shown to whoever comes: it must be public"),
    (_any_response, "GET /x", {}, "it must be annotated to return Answers"),
    (_no_answer, "GET /x", {}, "it must be annotated to return Answers"),
    (_bare_answer, "GET /x", {}, "it must say what the body of its Ok holds"),
    (_any_body, "GET /x", {}, "it must say what the body of its Ok holds"),
    (_no_json, "GET /x", {}, "no JSON is a Flask"),
    (_two_answers, "GET /x", {}, "it has two answers with the status 200"),
    (_nothing, "", {}, "it has no route"),
    (_nothing, "GET", {}, "'GET' is no route"),
    (_nothing, "GET /x y", {}, "'GET /x y' is no route"),
    (_nothing, "GET  /x", {}, "'GET  /x' is no route"),
    (_nothing, "FETCH /x", {}, "FETCH is no method that a route may take"),
    (_nothing, "get /x", {}, "get is no method that a route may take"),
    (_nothing, "GET x", {}, "the path of GET x must begin with a slash"),
    (_nothing, "GET /x, GET /x", {}, "GET /x is declared twice"),
    (
        _nothing,
        "GET /api/{user_id}/x, GET /api/x",
        {"permission": "tasks:read"},
        "GET /api/x is declared twice",
    ),
    (_somebody, "POST /x", {"public": True}, "nobody has signed in where it is public"),
    (_nothing, "GET /{user_id}", {"public": True}, "nothing can be asked of a caller"),
    (_nothing, "GET /x", {"public": True, "role": "admin"}, "nothing can be asked of a caller"),
    (
        _nothing,
        "GET /x",
        {"public": True, "permission": "tasks:read"},
        "nothing can be asked of a caller",
    ),
    (_nothing, "GET /{user_id}/x", {}, "what is under a {user_id} needs a permission"),
    (_nothing, "GET /x", {"permission": "tasks:eat"}, "tasks:eat is no permission"),
    (_nothing, "GET /x", {"role": "root"}, "root is no role"),
    (_nothing, "GET /x", {"raises": [ValueError]}, "there is no problem for ValueError"),
    (_nothing, "GET /x", {"raises": [DomainError]}, "there is no problem for DomainError"),
]


@pytest.mark.parametrize(
    ("handler", "routes", "options", "sentence"),
    UNSERVABLE,
    ids=[f"{case[0].__name__} {case[1]} {case[2]}" for case in UNSERVABLE],
)
def test_a_declaration_that_cannot_be_served_is_refused_as_it_is_made(
    handler: Handler, routes: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidDeclaration) as refused:
        http_function(*filter(None, routes.split(", ")), **options)(handler)

    message = str(refused.value)
    assert message.startswith(f"{handler.__name__} can't be served: ")
    assert sentence in message
    assert message.endswith(".")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"role": "admin"}, "a socket asks for a token and its permission, and for no role"),
        ({"is_public": True}, "a socket asks for a token and its permission, and for no role"),
        ({}, "what is under a {user_id} needs a permission"),
    ],
    ids=repr,
)
def test_a_socket_that_cannot_be_served_is_refused_as_it_is_declared(
    options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidDeclaration, match=re.escape(sentence)):
        Endpoint.of(_upgrade, ["GET /ws/{user_id}"], socket=_follow, **options)


# What a test fails with where an answer is not declared

UNDECLARED_ANSWERS: dict[str, tuple[Callable[[], Response], str]] = {
    "another status": (lambda: Accepted[Any]({}), "declares no 202"),
    "another header": (lambda: Issued[Any]({"name": "x", "size": 1}), "Cache-Control"),
    "another field": (
        lambda: Created[Any]({"name": "x", "size": 1, "more": 1}),
        "holds more than",
    ),
    "a field too few": (lambda: Created[Any]({"name": "x"}), "size"),
    "a field of another type": (lambda: Created[Any]({"name": "x", "size": "1"}), "size"),
    "a body of another type": (lambda: Created[Any](["x"]), "dict"),
    "another problem": (lambda: _problem(problems.UPGRADE_NEEDED), "426 is not declared"),
    "another problem of the status": (
        lambda: _problem(PROBLEMS[_Undeclared]),
        "404 no-recurrence is not declared",
    ),
    "another header of a problem": (
        lambda: _problem(problems.NOT_YOUR_ACCOUNT, ETag="1"),
        "ETag",
    ),
}


_Undeclared: type[DomainError] = next(
    error for error, kind in PROBLEMS.items() if kind.slug == "no-recurrence"
)


def _problem(kind: problems.ProblemKind, **headers: str) -> Response:
    logs.correlation_id.set("a-test")
    return problems.answer(Problem(kind, "Wrong.", headers=headers), instance="/x")


@pytest.mark.parametrize("case", UNDECLARED_ANSWERS)
def test_an_undeclared_answer_fails_the_check(case: str) -> None:
    make, words = UNDECLARED_ANSWERS[case]

    with pytest.raises((AssertionError, ValueError), match=words):
        check(make(), CHANGE, method="PUT")


def test_an_answer_without_a_declared_header_fails_the_check() -> None:
    answer = Issued[Any]({"name": "x", "size": None})
    del answer.headers["Cache-Control"]

    with pytest.raises(AssertionError, match="without \\['Cache-Control'\\]"):
        check(answer, SIGN_UP, method="POST")


def test_a_declared_answer_passes_the_check() -> None:
    made = Created[Any]({"name": "x", "size": None})

    check(made, CHANGE, method="PUT")
    check(_problem(problems.METHOD_NOT_ALLOWED, Allow="PUT"), CHANGE, method="BREW")
    check(
        Page[Answer[Any]]('{"items":[],"next_cursor":null}', mimetype="application/json"),
        LIST,
        method="GET",
    )
