"""What the frames of consumers and cron functions share: how a delivery is answered.

204 with an empty body: done. 400: will never work, to the dead letters. 503: not now, deliver
again. A Knative broker takes a 2xx with a body for an event in reply, and 404 and 409 for "again".
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import ClassVar

import flask
from flask import Request, Response

from taskflow import config, logs, metrics
from taskflow.domain.errors import DomainError
from taskflow.eventing.envelope import MalformedEvent, attributes_in
from taskflow.serving import health
from taskflow.serving.frame import EXTENSION
from taskflow.storage import DatabaseUnavailable, LockTimeout

_log = logging.getLogger(__name__)


class Subscriber:
    """A function that events are delivered to: what it takes, and how it answers."""

    kind: ClassVar[str]

    def __init__(self, name: str) -> None:
        """Name it after its function's folder."""
        self.name = name

    def receive(self, attributes: dict[str, str], body: bytes) -> str:
        """Do the work of one delivery and say what came of it; raise what went wrong."""
        raise NotImplementedError

    def answer(self, request: Request) -> Response:
        """Answer a delivery, or a question after our health."""
        if request.path in health.PATHS:
            return health.answer(request.path)
        if request.method != "POST":
            return _answer(405, "deliver by POST", {"Allow": "POST"})
        attributes = attributes_in(dict(request.headers))
        bound = logs.correlation_id.set(attributes.get("correlationid"))
        try:
            outcome = self.receive(attributes, request.get_data())
        except (MalformedEvent, DomainError) as never:
            _log.warning("%s refused %s: %s", self.name, attributes.get("id"), never)
            metrics.CONSUMED.labels(self.name, "refused").inc()
            return _answer(400, str(never))
        except (DatabaseUnavailable, LockTimeout):
            metrics.CONSUMED.labels(self.name, "later").inc()
            return _answer(503, "not now", {"Retry-After": "1"})
        except Exception:  # noqa: BLE001 - a defect, perhaps mended by the next delivery
            _log.exception("%s failed on %s", self.name, attributes.get("id"))
            metrics.CONSUMED.labels(self.name, "failed").inc()
            return _answer(503, "failed")
        finally:
            logs.correlation_id.reset(bound)
        metrics.CONSUMED.labels(self.name, outcome).inc()
        return _answer(204, "")

    def install(self, handler: Callable[..., object]) -> Callable[[Request], Response]:
        """Return this as functions-framework calls it, and leave it with the app being made."""

        @wraps(handler)
        def function(request: Request) -> Response:
            return self.answer(request)

        if flask.has_app_context():
            config.check()
            flask.current_app.extensions[EXTENSION] = self
        return function


def name_of(handler: Callable[..., object]) -> str:
    """Return the name of the folder whose entry point this is."""
    return handler.__name__.replace("_", "-")


def _answer(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(text, status=status, headers=headers, content_type="text/plain; charset=utf-8")
