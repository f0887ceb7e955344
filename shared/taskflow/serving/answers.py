"""The answers that functions give when all went well."""

from datetime import datetime
from http import HTTPStatus
from uuid import UUID

from flask import Response

from taskflow import config
from taskflow.domain import accounts, tasks
from taskflow.domain.accounts import REFRESH_TOKEN_LIFETIME, Account
from taskflow.domain.tasks import Task
from taskflow.domain.text import compact_json
from taskflow.serving import tokens
from taskflow.serving.conditions import Conditions, quoted_tag_of
from taskflow.serving.routes import path_of

REFRESH_COOKIE = "taskflow_refresh"
_COOKIE_PATH = "/api/auth"


def as_json(value: object, status: int = HTTPStatus.OK) -> Response:
    """Answer with JSON."""
    return Response(compact_json(value), status=status, content_type="application/json")


def no_content() -> Response:
    """Answer that it is done and there is nothing to say."""
    response = Response(status=HTTPStatus.NO_CONTENT)
    del response.headers["Content-Type"]
    return response


def shown(task: Task) -> Response:
    """Answer with a task as it now stands."""
    response = as_json(tasks.represent(task))
    response.headers["ETag"] = quoted_tag_of(task)
    return response


def shown_unless_known(task: Task, conditions: Conditions) -> Response:
    """Answer with a task, or 304 where the client already holds this version."""
    if not conditions.client_has(task):
        return shown(task)
    response = Response(status=HTTPStatus.NOT_MODIFIED)
    del response.headers["Content-Type"]
    response.headers["ETag"] = quoted_tag_of(task)
    return response


def created(task: Task) -> Response:
    """Answer 201 with a new task and where it is."""
    response = shown(task)
    response.status_code = HTTPStatus.CREATED
    response.headers["Location"] = path_of(task.user_id, f"tasks/{task.id}")
    return response


def signed_in(
    account: Account,
    refresh_token: str,
    *,
    session_id: UUID,
    now: datetime,
    status: int = HTTPStatus.OK,
) -> Response:
    """Answer with an account's tokens; the refresh token is a browser's cookie too."""
    settings = config.settings()
    response = as_json(
        {
            "user": accounts.represent(account),
            "access_token": tokens.issue(account, now=now, session_id=session_id),
            "refresh_token": refresh_token,
            "token_type": "Bearer",
            "expires_in": settings.access_token_lifetime_s,
        },
        status,
    )
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(
        REFRESH_COOKIE,
        refresh_token,
        max_age=REFRESH_TOKEN_LIFETIME,
        path=_COOKIE_PATH,
        secure=settings.environment == "production",
        httponly=True,
        samesite="Strict",
    )
    return response


def signed_out() -> Response:
    """Answer that the session is over, and take the browser's cookie away."""
    response = no_content()
    response.delete_cookie(REFRESH_COOKIE, path=_COOKIE_PATH, httponly=True, samesite="Strict")
    return response
