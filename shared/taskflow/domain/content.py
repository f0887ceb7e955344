"""What clients send: nothing but the fields that are asked for, each of its own type."""

from pydantic import BaseModel, ConfigDict


class Content(BaseModel):
    """The content of a request; a field that is not known, or of another type, is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
