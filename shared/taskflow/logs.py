"""Logging: one JSON object a line, with the correlation id of what is being done."""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
"""The correlation id of the request or event that this thread works on."""


ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)
"""What logging hands over of an exception."""


class JsonLines(logging.Formatter):
    """Write a record as one line of JSON; what is passed as `extra={"facts": {…}}` joins it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; no body, token or password is ever handed to it."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": correlation_id.get(),
        }
        line.update(getattr(record, "facts", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 - logging's name
        """Return where an exception was raised and what it is called, and nothing that was sent.

        The words of one that nobody foresaw may quote a title, an email, a token.
        """
        _, error, _ = ei
        if error is None:
            return ""
        return "\n".join(
            f"{''.join(traceback.format_tb(each.__traceback__))}{_words(each)}"
            for each in _chain(error)
        )


def _words(error: BaseException) -> str:
    """Return an exception's name, and its words where they can't hold what a user has sent.

    Those of the driver are cleared of values, those of the system are its own.
    """
    name = type(error).__qualname__
    is_clear = isinstance(error, OSError) or hasattr(error, "connection_invalidated")
    return f"{name}: {error}" if is_clear else name


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the causes of an exception and then the exception, as Python shows them."""
    shown: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in shown:
        shown.append(current)
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    return reversed(shown)


def configure(level: str) -> None:
    """Send this process's logs to standard error, from `level` up; what nobody caught is logged."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Python's own hooks would print the words of what was raised.
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda of: _log_uncaught(of.exc_type, of.exc_value, of.exc_traceback)


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, where: TracebackType | None
) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("nobody caught it", exc_info=(kind, error, where))
