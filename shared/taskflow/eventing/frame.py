"""What the frames of consumers and cron functions share: how a delivery is read and answered."""

import io
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, get_args

import flask
from flask import Request, Response

from taskflow import config, logs, metrics
from taskflow.domain.errors import DomainError
from taskflow.eventing.bindings import Outcome, Reply
from taskflow.eventing.bindings.selection import binding
from taskflow.eventing.envelope import MalformedEvent
from taskflow.kafka.publisher import publish_after_commit
from taskflow.process import at_start
from taskflow.serving import health
from taskflow.serving.body import leave_rest, read_bytes
from taskflow.serving.frame import EXTENSION
from taskflow.serving.problems import BODY_TOO_LARGE, Problem
from taskflow.serving.scale import Scale
from taskflow.serving.signature import invalid
from taskflow.storage import DatabaseUnavailable, LockTimeout

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BODY_MAX_BYTES = 2 * 1024 * 1024
"""Twice the largest record that Kafka takes unless told otherwise (`max.message.bytes`), which is
more than twice the largest event."""

_PLAIN_LENGTH = re.compile(r"[0-9]{1,8}")

_HEADER = "HTTP_"
"""What WSGI puts before a header's name (PEP 3333)."""

_DECLARATION = "declaration"
"""The attribute of a function that says what it is."""

_log = logging.getLogger(__name__)


class Subscriber:
    """A function that events are delivered to: what it takes, and how it answers."""

    kind: ClassVar[str]

    def __init__(self, handler: Callable[..., object], scale: Scale) -> None:
        """Name the subscriber after its handler's folder; `scale` is how often it is called.

        Raises InvalidDeclaration for another scale.
        """
        if scale not in get_args(Scale):
            raise invalid(handler, f"it is called {', '.join(get_args(Scale))}, not {scale}")
        self.name = name_of(handler)
        self.scale: Scale = scale

    def receive(self, attributes: dict[str, str], body: bytes) -> str:
        """Process one delivery and return its outcome; raise its error."""
        raise NotImplementedError

    def has_data(self, attributes: Mapping[str, str]) -> bool:
        """Say whether events of these attributes have data, so that without any they were lost."""
        del attributes
        return False

    def answer(self, request: Request) -> Response:
        """Answer a delivery, or a question after our health."""
        if request.path in health.PATHS:
            return health.answer(request)
        if request.method != "POST":
            return _response(binding().refusal(405, "deliver by POST", {"Allow": "POST"}))
        try:
            body = read_bytes(request, max_bytes=BODY_MAX_BYTES)
        except Problem as error:
            return _response(self._without_body(error))
        finally:
            leave_rest(request)
        return _response(self._deliver(request.environ, body))

    def serve(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Answer as a WSGI app of its own, where the app around it has nothing to add."""
        length = environ.get("CONTENT_LENGTH", "")
        is_plain = environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] in {"", "/"}
        if not (is_plain and _PLAIN_LENGTH.fullmatch(length)) or int(length) > BODY_MAX_BYTES:
            return self.answer(Request(environ))(environ, start)
        # A request and a response of Werkzeug's would take as long as reading the event.
        body = environ["wsgi.input"].read(int(length))
        if len(body) < int(length):
            environ["wsgi.input"] = io.BytesIO(body)
            return self.answer(Request(environ))(environ, start)
        reply = self._deliver(environ, body)
        if reply.status != HTTPStatus.NO_CONTENT:
            return _response(reply)(environ, start)
        start("204 NO CONTENT", [*reply.headers.items()])
        return ()

    def _without_body(self, error: Problem) -> Reply:
        """Answer a delivery whose body can't be read, for this reason."""
        _log.warning("%s could not read a body: %s", self.name, error.detail)
        if error.kind is BODY_TOO_LARGE:
            metrics.CONSUMED.labels(self.name, "refused").inc()
            return binding().refusal(error.kind.status, error.detail, error.headers)
        # It was lost on its way, or a part of it was: the event itself may be as it should.
        metrics.CONSUMED.labels(self.name, "later").inc()
        reply = binding().reply(Outcome.AGAIN, error.detail)
        return replace(reply, headers={**reply.headers, **error.headers})

    def _brought_empty(self, attributes: Mapping[str, str]) -> Reply:
        """Answer a delivery of what has data, and that had none when it came."""
        _log.warning("%s was brought %s with an empty body", self.name, attributes.get("id"))
        metrics.CONSUMED.labels(self.name, "later").inc()
        return binding().reply(Outcome.AGAIN, "the body is empty")

    def _deliver(self, environ: "WSGIEnvironment", body: bytes) -> Reply:
        transport = binding()
        attributes: dict[str, str] = {}
        bound = logs.correlation_id.set(None)
        try:
            delivered = transport.read(_headers_in(environ), body)
            attributes = delivered.attributes
            logs.correlation_id.set(attributes.get("correlationid"))
            if not body and self.has_data(attributes):
                return self._brought_empty(attributes)
            outcome = self.receive(attributes, delivered.data)
        except (MalformedEvent, DomainError) as error:
            if not body and self.has_data(attributes):
                return self._brought_empty(attributes)
            # The words are in the answer, and so with the dead letter; they may quote the event.
            why = type(error).__name__
            _log.warning("%s refused %s: %s", self.name, attributes.get("id"), why)
            metrics.CONSUMED.labels(self.name, "refused").inc()
            return transport.reply(Outcome.NEVER, str(error))
        except (DatabaseUnavailable, LockTimeout):
            metrics.CONSUMED.labels(self.name, "later").inc()
            return transport.reply(Outcome.AGAIN, "not now")
        except Exception:  # noqa: BLE001 - a defect, perhaps mended by the next delivery
            _log.exception("%s failed on %s", self.name, attributes.get("id"))
            metrics.CONSUMED.labels(self.name, "failed").inc()
            return transport.reply(Outcome.AGAIN, "failed")
        finally:
            logs.correlation_id.reset(bound)
        metrics.CONSUMED.labels(self.name, outcome).inc()
        return transport.reply(Outcome.DONE)

    def check_settings(self) -> None:
        """End this process with a sentence if a setting is invalid, as the function starts."""
        config.check()

    def install(self, handler: Callable[..., object]) -> Callable[[Request], Response]:
        """Return this as functions-framework calls it, and leave it with the app being made."""

        @wraps(handler)
        def function(request: Request) -> Response:
            return self.answer(request)

        vars(function)[_DECLARATION] = self
        if flask.has_app_context():
            self.check_settings()
            at_start(publish_after_commit)
            flask.current_app.extensions[EXTENSION] = self
        return function


def declaration_in(function: Callable[..., object]) -> Subscriber:
    """Return the subscriber that a function, as functions-framework calls it, stands for."""
    return vars(function)[_DECLARATION]


def name_of(handler: Callable[..., object]) -> str:
    """Return the name of the folder whose entry point this is."""
    return handler.__name__.replace("_", "-")


def _headers_in(environ: "WSGIEnvironment") -> dict[str, str]:
    # Werkzeug's headers take longer to be read than the event in the body.
    headers = {
        name.removeprefix(_HEADER).replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith(_HEADER)
    }
    if content_type := environ.get("CONTENT_TYPE"):
        headers["Content-Type"] = content_type
    return headers


def _response(reply: Reply) -> Response:
    response = Response(
        reply.text,
        status=reply.status,
        headers=dict(reply.headers),
        content_type=reply.content_type,
    )
    if not reply.text:
        del response.headers["Content-Type"]
    return response
