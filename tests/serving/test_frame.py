"""The frame when a function fails: what the client is told, and what the log is told (A2, S6)."""

from collections.abc import Callable
from typing import NoReturn

import pytest
from flask import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from taskflow import metrics
from taskflow.domain.errors import (
    DomainError,
    FieldError,
    InvalidContent,
    TooManyAttempts,
    TooManyConfirmations,
    TooManyRegistrations,
)
from taskflow.serving import Ok, http_function, problems
from taskflow.serving.endpoint import Endpoint
from taskflow.serving.frame import Frame
from taskflow.serving.problems import PROBLEMS, problem_of
from taskflow.storage import DatabaseUnavailable, LockTimeout
from tests.support.functions.problems import assert_refused

pytestmark = pytest.mark.usefixtures("database")


def _failing(error: Exception) -> Frame:
    def handler() -> NoReturn:
        raise error

    endpoint = Endpoint.of(handler, ["POST /api/boom"], is_public=True)
    return Frame(endpoint, handler)


def _ask(frame: Frame, method: str = "POST", path: str = "/api/boom") -> Response:
    builder = EnvironBuilder(
        method=method, path=path, headers=Headers({"X-Correlation-ID": "mine"})
    )
    return frame.answer(Request(builder.get_environ()))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a secret"),
        KeyError("a secret"),
        UnicodeEncodeError("utf-8", "a secret", 0, 1, "a secret"),
        AssertionError("a secret"),
        RecursionError("a secret"),
        MemoryError("a secret"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unforeseen_error_tells_the_client_nothing_but_the_correlation_id(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    answer = _ask(_failing(error))

    problem = assert_refused(answer, 500, "internal-error")
    assert "a secret" not in answer.get_data(as_text=True)
    assert type(error).__name__ not in answer.get_data(as_text=True)
    assert problem["correlation_id"] == "mine"
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize("error", [DatabaseUnavailable(), LockTimeout()], ids=repr)
def test_a_database_that_is_busy_or_away_is_a_503_that_says_when_to_come_back(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    answer = _ask(_failing(error))

    assert_refused(answer, 503, "unavailable")
    [record] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert (record.getMessage(), record.exc_info) == (f"unavailable: {type(error).__name__}", None)
    assert int(answer.headers["Retry-After"]) >= 1


def test_every_error_of_the_domain_becomes_its_problem() -> None:
    special: dict[type[DomainError], Callable[[], DomainError]] = {
        InvalidContent: lambda: InvalidContent(FieldError("/title", "is wrong")),
        TooManyAttempts: lambda: TooManyAttempts(retry_after_s=7),
        TooManyConfirmations: lambda: TooManyConfirmations(retry_after_s=7),
        TooManyRegistrations: lambda: TooManyRegistrations(retry_after_s=7),
    }

    for error, kind in PROBLEMS.items():
        problem = problem_of(special.get(error, error)())

        assert problem.kind == kind
        assert problem.detail == error.detail
        assert set(problem.headers) <= set(kind.headers)
        assert problem.headers.get("Retry-After") == ("7" if kind.status == 429 else None)


def test_an_error_of_the_domain_can_add_details_to_its_problem() -> None:
    kind = next(kind for kind in PROBLEMS if kind not in {InvalidContent, TooManyAttempts})

    assert problem_of(kind("More about it.")).detail == "More about it."


def test_a_problem_with_text_that_utf_8_cannot_write_is_answered() -> None:
    problem = problems.Problem(
        problems.INVALID_CONTENT, "x", errors=[FieldError("/\ud800", "is wrong")]
    )

    answer = problems.answer(problem, instance="/\ud800")

    assert answer.status_code == 422
    answer.get_data().decode()


def test_methods_that_clients_make_up_are_counted_as_one() -> None:
    frame = _failing(RuntimeError())

    for number in range(20):
        _ask(frame, f"METHOD{number}")

    shown = metrics.exposition().decode()
    assert "METHOD" not in shown
    assert 'method="other"' in shown


def test_a_function_can_be_called_outside_of_an_app() -> None:
    @http_function("GET /api/here", public=True)
    def here(request: Request) -> Ok[str]:
        return Ok(request.path)

    builder = EnvironBuilder(path="/api/here")

    assert here(Request(builder.get_environ())).get_data() == b'"/api/here"'
