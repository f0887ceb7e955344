"""Log-in sessions, as their user sees them: one for each device that signed in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.accounts import REFRESH_TOKEN_LIFETIME
from taskflow.domain.identifiers import IdText
from taskflow.domain.times import TimeText, rfc3339

CLIENT_MAX_CHARS = 300
"""Of a User-Agent, which some fill with much else."""

SESSIONS_MAX = 200
"""Of a user: more than anybody has devices, and few enough to end all of them at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that can be gone on with."""

    id: UUID
    user_id: str
    created_at: datetime
    last_used_at: datetime
    client: str | None


class SessionRepresentation(TypedDict):
    """A session: a device that signed in, and goes on without a password."""

    id: Annotated[IdText, Field(description="The session.")]
    created_at: Annotated[TimeText, Field(description="When somebody signed in.")]
    last_used_at: Annotated[
        TimeText, Field(description="When it last got an access token, which lives some minutes.")
    ]
    expires_at: Annotated[TimeText, Field(description="When it ends if it is used no more.")]
    client: Annotated[
        str | None,
        Field(
            max_length=CLIENT_MAX_CHARS,
            description="The `User-Agent` as it was last, which anybody may have written.",
        ),
    ]
    current: Annotated[bool, Field(description="Whether it is the one of this request.")]


def represent(session: Session, *, current_id: str | None) -> SessionRepresentation:
    """Return what answers show of a session, to the session `current_id` if any."""
    return {
        "id": str(session.id),
        "created_at": rfc3339(session.created_at),
        "last_used_at": rfc3339(session.last_used_at),
        "expires_at": rfc3339(session.last_used_at + REFRESH_TOKEN_LIFETIME),
        "client": session.client,
        "current": str(session.id) == current_id,
    }
