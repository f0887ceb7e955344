"""Forms: the body that a page's button sends, and a mailer that unsubscribes (RFC 8058)."""

from typing import Self

from flask import Request

from taskflow.serving.problems import OTHER_MEDIA_TYPE, Problem

MEDIA_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")
"""RFC 8058, 3.2 has mailers send the first, or the second."""

EXAMPLE = "List-Unsubscribe=One-Click"


class Form:
    """A form that was sent, or no body at all: of what it holds, nothing is asked.

    What is to be done the path says. Who has it and sends POST is taken at their word, whichever
    fields a mailer puts in.
    """

    @classmethod
    def of(cls, request: Request, raw: bytes) -> Self:
        """Return the form of a request's body. Raises Problem 415 for another media type."""
        if raw and request.mimetype not in MEDIA_TYPES:
            detail = f"Send the body as Content-Type: {' or '.join(MEDIA_TYPES)}."
            raise Problem(OTHER_MEDIA_TYPE, detail, headers={"Accept": ", ".join(MEDIA_TYPES)})
        return cls()
