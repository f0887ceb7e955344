"""The answers that functions give when all went well: each class says what such an answer is."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

from flask import Response
from pydantic import Field
from typing_extensions import TypedDict

from taskflow import config
from taskflow.domain import accounts, tasks
from taskflow.domain.accounts import REFRESH_TOKEN_LIFETIME, Account
from taskflow.domain.representations import AccountRepresentation, TaskRepresentation
from taskflow.domain.tasks import Task
from taskflow.domain.text import compact_json
from taskflow.serving import tokens
from taskflow.serving.conditions import Conditions, quoted_tag_of
from taskflow.serving.routes import path_of

REFRESH_COOKIE = "taskflow_refresh"
JSON_TYPE = "application/json"
_COOKIE_PATH = "/api/auth"

Body = TypeVar("Body")


class Answer(Response, Generic[Body]):
    """An answer; its class says the status and the headers, its parameter what the body holds.

    An endpoint is described by the answers that its handler is annotated to return.
    """

    STATUS: ClassVar[HTTPStatus] = HTTPStatus.OK
    HEADERS: ClassVar[tuple[str, ...]] = ()
    """The headers that the answer always has, beside those of every answer."""

    OPTIONAL_HEADERS: ClassVar[tuple[str, ...]] = ()
    MEDIA_TYPES: ClassVar[tuple[str, ...]] = (JSON_TYPE,)
    """What the body may be, where there is one."""


class _WithBody(Answer[Body]):
    def __init__(self, body: Body) -> None:
        """Write the body as JSON."""
        super().__init__(compact_json(body), self.STATUS, content_type=JSON_TYPE)


class _WithoutBody(Answer[None]):
    def __init__(self) -> None:
        """Begin without a body and its type."""
        super().__init__(status=self.STATUS)
        del self.headers["Content-Type"]


class Ok(_WithBody[Body]):
    """The resource that was asked for, or that was changed, as it is now."""

    @staticmethod
    def written(body: str) -> "Ok[Any]":
        """Answer with JSON that is written already."""
        answer: Ok[Any] = Ok(None)
        answer.set_data(body)
        return answer


class Created(_WithBody[Body]):
    """Something new that has no path of its own."""

    STATUS = HTTPStatus.CREATED


class Accepted(_WithBody[Body]):
    """A change that is accepted, and made later."""

    STATUS = HTTPStatus.ACCEPTED


class Issued(_WithBody[Body]):
    """A new secret, which is neither cached nor stored, under an Idempotency-Key neither."""

    STATUS = HTTPStatus.CREATED
    HEADERS = ("Cache-Control",)

    def __init__(self, body: Body) -> None:
        """Write the body as JSON."""
        super().__init__(body)
        self.headers["Cache-Control"] = "no-store"


class NoContent(_WithoutBody):
    """The change is made, and the answer has no body."""

    STATUS = HTTPStatus.NO_CONTENT


class NotModified(_WithoutBody):
    """The client already holds this version (RFC 9110, 15.4.5)."""

    STATUS = HTTPStatus.NOT_MODIFIED
    HEADERS = ("ETag",)

    def __init__(self, task: Task) -> None:
        """Name the version."""
        super().__init__()
        self.headers["ETag"] = quoted_tag_of(task)


class TaskShown(_WithBody[TaskRepresentation]):
    """A task as it now stands."""

    HEADERS = ("ETag",)

    def __init__(self, task: Task) -> None:
        """Show the task and its version."""
        super().__init__(tasks.represent(task))
        self.headers["ETag"] = quoted_tag_of(task)


class TaskCreated(TaskShown):
    """A new task, and where it is."""

    STATUS = HTTPStatus.CREATED
    HEADERS = ("ETag", "Location")

    def __init__(self, task: Task) -> None:
        """Show the task, its version and its path."""
        super().__init__(task)
        self.headers["Location"] = path_of(task.user_id, f"tasks/{task.id}")


class TokensRepresentation(TypedDict):
    """An account's tokens; the access token expires `expires_in` seconds from now."""

    user: Annotated[AccountRepresentation, Field(description="Whose tokens they are.")]
    access_token: Annotated[str, Field(description="For `Authorization: Bearer`.")]
    refresh_token: Annotated[str, Field(description="For new tokens, once.")]
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Field(description="The seconds that the access token lasts.")]


class SignedIn(_WithBody[TokensRepresentation]):
    """An account's tokens; the refresh token is a browser's cookie too."""

    HEADERS = ("Cache-Control", "Set-Cookie")

    def __init__(
        self, account: Account, refresh_token: str, *, session_id: UUID, now: datetime
    ) -> None:
        """Issue the access token."""
        settings = config.settings()
        super().__init__(
            {
                "user": accounts.represent(account),
                "access_token": tokens.issue(account, now=now, session_id=session_id),
                "refresh_token": refresh_token,
                "token_type": "Bearer",
                "expires_in": settings.access_token_lifetime_s,
            }
        )
        self.headers["Cache-Control"] = "no-store"
        self.set_cookie(
            REFRESH_COOKIE,
            refresh_token,
            max_age=REFRESH_TOKEN_LIFETIME,
            path=_COOKIE_PATH,
            secure=settings.environment == "production",
            httponly=True,
            samesite="Strict",
        )


class SignedUp(SignedIn):
    """The tokens of a new account."""

    STATUS = HTTPStatus.CREATED


class SignedOut(_WithoutBody):
    """The session is over, and the browser's cookie taken away."""

    STATUS = HTTPStatus.NO_CONTENT
    HEADERS = ("Set-Cookie",)

    def __init__(self) -> None:
        """Take the cookie away."""
        super().__init__()
        self.delete_cookie(REFRESH_COOKIE, path=_COOKIE_PATH, httponly=True, samesite="Strict")


class ItemList(TypedDict, Generic[Body]):
    """A page of a list; `next_cursor` is where the next one begins, null where there is none."""

    items: Annotated[list[Body], Field(description="The items of this page.")]
    next_cursor: Annotated[
        str | None, Field(description="Where the next page begins; null on the last one.")
    ]


class Page(Answer[ItemList[Body]]):
    """A page of a list; the header Link (RFC 8288) says where the next one is, if there is one."""

    OPTIONAL_HEADERS = ("Link",)


def shown_unless_known(task: Task, conditions: Conditions) -> TaskShown | NotModified:
    """Answer with a task, or 304 where the client already holds this version."""
    return NotModified(task) if conditions.client_has(task) else TaskShown(task)
