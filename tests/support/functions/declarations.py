"""Every answer held against what its endpoint declares: status, headers, body, kind of problem."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from werkzeug import Response
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map

from taskflow.serving import health, problems
from taskflow.serving.browser import PROTECTION
from taskflow.serving.endpoint import EVERY_ANSWER_HEADERS, PREFLIGHT, AnswerKind, Endpoint
from taskflow.serving.problems import TYPE_PREFIX, ProblemDetails, ProblemKind
from taskflow.serving.routes import url_map

OF_NOBODY = (problems.NO_SUCH_PATH, problems.NOT_UTF_8, problems.UNAVAILABLE)
"""The problems that are answered where there is no endpoint."""


class Declarations:
    """The endpoints of all functions, found by the path and the method of a request."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        """Gather the endpoints."""
        self._by_name = {endpoint.name: endpoint for endpoint in endpoints}
        self._map = _map_of(endpoints)

    def check(self, answer: Response, *, method: str, path: str) -> None:
        """Check the answer to a request; an AssertionError names the undeclared part."""
        if path in health.PATHS:
            return
        try:
            name, _ = self._map.bind("").match(path, method=method)
        except NotFound:
            check_problem(answer, dict.fromkeys(OF_NOBODY, ()))
            return
        except MethodNotAllowed as error:
            [first, *_] = error.valid_methods or [""]
            name, _ = self._map.bind("").match(path, method=first)
        check(answer, self._by_name[name], method=method)


def check(answer: Response, endpoint: Endpoint, *, method: str) -> None:
    """Check the answer of an endpoint; an AssertionError names the undeclared part."""
    if answer.status_code >= HTTPStatus.BAD_REQUEST:
        check_problem(answer, endpoint.problems, has_body=method != "HEAD")
        return
    kinds = [PREFLIGHT] if method == "OPTIONS" else endpoint.answers
    declared = {kind.status: kind for kind in kinds}
    assert answer.status_code in declared, f"{endpoint.name} declares no {answer.status_code}"
    kind = declared[answer.status_code]
    headers = _headers_of(answer)
    missing, extra = kind.headers - headers, headers - kind.headers - kind.optional_headers
    assert not missing, f"{endpoint.name} answered {kind.status} without {sorted(missing)}"
    assert not extra, f"{endpoint.name} declares no {sorted(extra)} with {kind.status}"
    if method != "HEAD":
        _check_body(answer, kind, endpoint.name)


def check_problem(
    answer: Response, declared: Mapping[ProblemKind, object], *, has_body: bool = True
) -> None:
    """Check that an answer is one of the kinds of problem, with no header beside its own."""
    kinds = [kind for kind in declared if kind.status == answer.status_code]
    assert kinds, f"{answer.status_code} is not declared: {answer.get_data(as_text=True)}"
    if has_body:
        problem: ProblemDetails = _as(ProblemDetails, answer)
        kinds = [kind for kind in kinds if kind.type == problem["type"]]
        slug = problem["type"].removeprefix(TYPE_PREFIX)
        assert kinds, f"the problem {answer.status_code} {slug} is not declared"
    extra = _headers_of(answer) - {header for kind in kinds for header in kind.headers}
    assert not extra, f"{sorted(extra)} are not declared with {kinds}"


def _check_body(answer: Response, kind: AnswerKind, name: str) -> None:
    if kind.body is None:
        assert answer.get_data() == b"", f"{name} declares no body with {kind.status}"
        return
    assert answer.mimetype in kind.media_types
    if kind.body is bytes:
        return
    _as(kind.body, answer)


def _as(kind: Any, answer: Response) -> Any:  # noqa: ANN401 - a type that pydantic reads
    """Read the body as the declared type, which would leave out undeclared fields."""
    read = _adapter(kind).validate_json(answer.get_data(), strict=True)
    sent = json.loads(answer.get_data())
    assert read == sent, f"{sent} holds more than {kind} declares"
    return read


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - as above
    return TypeAdapter(kind)


def _headers_of(answer: Response) -> frozenset[str]:
    known = {header.lower() for header in EVERY_ANSWER_HEADERS}
    return frozenset(
        name
        for name, value in answer.headers.items()
        if name.lower() not in known and PROTECTION.get(name) != value
    )


def _map_of(endpoints: Sequence[Endpoint]) -> Map:
    return url_map([(route, each.name) for each in endpoints for route in each.routes])
