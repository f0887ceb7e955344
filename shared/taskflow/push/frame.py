"""The frame of a socket function: the upgrade, the token, and the codes that refuse."""

import logging
import math
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, NoReturn

import flask
from flask import Flask, Request, Response, request
from flask_sock import Sock
from pydantic import ConfigDict, Field
from simple_websocket import ConnectionClosed, Server

from taskflow import clock, config, logs
from taskflow.domain.accounts import Permission
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.events import Cause
from taskflow.push.connection import CloseCode, Connection, Renewed, close, token_in
from taskflow.push.websocket import (
    HANDSHAKE_ERRORS,
    SERVER_OPTIONS,
    bound,
    is_broken_upgrade,
    prepare,
)
from taskflow.serving import tracing, turns
from taskflow.serving.body import Query
from taskflow.serving.caller import Caller
from taskflow.serving.ended_sessions import ended_sessions
from taskflow.serving.endpoint import Endpoint
from taskflow.serving.frame import Frame, address_limit, install, limited
from taskflow.serving.jwks import IssuerUnavailable
from taskflow.serving.problems import UPGRADE_NEEDED, Problem
from taskflow.serving.provisioning import provide_account
from taskflow.serving.signature import check_parameters
from taskflow.serving.tokens import InvalidToken
from taskflow.serving.turns import NoTurn
from taskflow.storage import DatabaseUnavailable, LockTimeout, run, session_store

PERMISSION = Permission.TASKS_READ
"""What the token of a socket must allow."""

TOKEN_WITHIN_S = 10

_PASSING = (DatabaseUnavailable, IssuerUnavailable, LockTimeout, NoTurn)
"""What keeps a socket from being served just now; its client resumes."""

_BEARER_PREFIX = "bearer."
_SINCE_MAX = (1 << 63) - 1

SocketHandler = Callable[[Caller, int | None, Connection], None]

_log = logging.getLogger(__name__)


class SocketQuery(Query):
    """The query of a request for a socket, which the socket itself reads; it ignores all else."""

    model_config = ConfigDict(extra="ignore")

    since: (
        Annotated[
            int,
            Field(
                ge=0, le=_SINCE_MAX, description="The `seq` to go on after; by default the newest."
            ),
        ]
        | None
    ) = None
    ticket: Annotated[
        str | None, Field(description="A ticket in place of a token; it opens one socket.")
    ] = None


class _Refused(Exception):
    def __init__(self, code: CloseCode) -> None:
        super().__init__(code.name)
        self.code = code


def socket_function(*routes: str) -> Callable[[SocketHandler], Callable[[Request], Response]]:
    """Make a WebSocket function out of a handler of (caller, since, connection).

    The upgrade always succeeds; what is wrong with it is told by a close code. A request that asks
    for no upgrade, or for one that WebSocket does not know, gets 426. Raises InvalidDeclaration for
    a handler of anything else.
    """

    def decorate(handler: SocketHandler) -> Callable[[Request], Response]:
        check_parameters(handler, Caller, int | None, Connection)
        endpoint = Endpoint.of(
            _upgrade_needed,
            routes,
            permission=PERMISSION,
            socket=handler,
            scale="often",
            socket_query=SocketQuery,
        )
        frame = Frame(endpoint, _upgrade_needed)
        if flask.has_app_context():
            # The proxy would be another app in every thread that answers.
            app: Any = flask.current_app
            _accept_sockets(app._get_current_object(), frame, handler)  # noqa: SLF001 - flask's documented way
        return install(frame, handler)

    return decorate


def _accept_sockets(app: Flask, frame: Frame, handler: SocketHandler) -> None:
    app.config["SOCK_SERVER_OPTIONS"] = SERVER_OPTIONS
    sock: Any = Sock(app)

    @app.before_request
    def ready() -> Response | None:
        if is_broken_upgrade() or _has_guessed_too_often():
            return frame.answer(request)
        prepare()
        return None

    # What else is wrong with a handshake, wsproto finds; the socket's own code never raises.
    for error in HANDSHAKE_ERRORS:
        app.register_error_handler(error, lambda _: frame.answer(request))
    # The client has gone before it was accepted.
    app.register_error_handler(OSError, lambda _: frame.answer(request))

    @wraps(handler)
    def accepted(ws: Server, user_id: str | None = None) -> None:
        bound = logs.correlation_id.set(tracing.correlation_id_of(request))
        try:
            _serve(ws, user_id, handler)
        finally:
            logs.correlation_id.reset(bound)

    for number, route in enumerate(frame.endpoint.routes):
        path = route.template.replace("{", "<").replace("}", ">")
        sock.route(path, endpoint=f"socket_{number}")(accepted)


def _serve(ws: Server, path_user_id: str | None, handler: SocketHandler) -> None:
    bound(ws)
    try:
        caller = _admitted(_caller(ws), path_user_id)
        _provide_account(caller)
        connection = Connection(
            ws,
            caller.expires_at,
            lambda token: _renewed(token, caller),
            session_id=caller.session_id,
            user_id=caller.user_id,
            lifetime_s=config.settings().socket_lifetime_s or math.inf,
        )
        handler(caller, _since(), connection)
    except _Refused as error:
        close(ws, error.code)
    except (AccountNotFound, InvalidToken):
        close(ws, CloseCode.BAD_TOKEN)
    except _PASSING:
        close(ws, CloseCode.SERVICE_RESTART)
    except (ConnectionClosed, OSError):
        _log.debug("the client has gone")
    except Exception:  # noqa: BLE001 - the boundary: the client resumes, the server goes on
        _log.exception("a socket failed")
        close(ws, CloseCode.SERVICE_RESTART)


def _admitted(caller: Caller, path_user_id: str | None) -> Caller:
    try:
        if path_user_id is not None:
            caller.must_be(path_user_id)
        caller.must_have(PERMISSION)
    except Problem:
        raise _Refused(CloseCode.NOT_YOUR_ACCOUNT) from None
    return caller


def _provide_account(caller: Caller) -> None:
    """Make the account of who comes from an outside issuer, and with a socket first.

    Raises InvalidToken where it is not theirs, DatabaseUnavailable, LockTimeout, NoTurn.
    """
    if caller.identity is None:
        return
    cause = Cause(
        correlation_id=logs.correlation_id.get() or "",
        traceparent=tracing.traceparent_of(request),
        actor=caller.user_id,
        origin=tracing.origin_of(request),
    )
    with turns.turn_of(caller.user_id) as turn:
        turn.take()
        provide_account(caller.identity, cause)


def _since() -> int | None:
    given = request.args.getlist("since")
    if not given:
        return None
    text = given[0]
    if (
        len(given) > 1
        or not (text.isascii() and text.isdigit())
        or len(text) > len(str(_SINCE_MAX))
    ):
        raise _Refused(CloseCode.BAD_SINCE)
    return int(text)


def _caller(ws: Server) -> Caller:
    tickets = request.args.getlist("ticket")
    if len(tickets) > 1:
        raise _Refused(CloseCode.BAD_TOKEN)
    if tickets:
        return _caller_of_ticket(tickets[0])
    token = _token_of_headers()
    if token is None:
        received = ws.receive(timeout=TOKEN_WITHIN_S)
        if received is None:
            raise _Refused(CloseCode.NO_TOKEN)
        token = token_in(received)
    return Caller.of_token(token or "")


def _token_of_headers() -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    for offered in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        name = offered.strip()
        if name.startswith(_BEARER_PREFIX):
            return name.removeprefix(_BEARER_PREFIX)
    return None


def _caller_of_ticket(ticket: str) -> Caller:
    cause = Cause(
        correlation_id=logs.correlation_id.get() or "", traceparent="", actor="", origin=""
    )
    with turns.turn_of(_network()) as turn:
        turn.take()
        found = run(lambda tx: session_store.take_ticket(tx, ticket, now=clock.now()), cause)
    if found is None:
        address_limit().wait_s(_guesser())
        raise _Refused(CloseCode.BAD_TOKEN)
    ended_sessions().look()
    if ended_sessions().has_ended(found.session_id, of=found.user_id):
        raise _Refused(CloseCode.BAD_TOKEN)
    return Caller(
        found.user_id,
        frozenset(),
        frozenset({PERMISSION}),
        found.session_expires_at,
        found.session_id,
    )


def _renewed(token: str, caller: Caller) -> Renewed | CloseCode:
    """Return until when a newer token lets the socket stay open, or why it closes."""
    try:
        newer = Caller.of_token(token)
        if newer.user_id != caller.user_id:
            return CloseCode.BAD_TOKEN
        # Of another issuer, somebody else may have the same id.
        _provide_account(newer)
    except InvalidToken:
        return CloseCode.BAD_TOKEN
    except _PASSING:
        return CloseCode.SERVICE_RESTART
    if PERMISSION not in newer.permissions:
        return CloseCode.NOT_YOUR_ACCOUNT
    return Renewed(newer.expires_at, newer.session_id)


def _network() -> str:
    return tracing.network_of(tracing.address_of(request))


def _guesser() -> str:
    # Beside what the network may log in: neither uses the other's up.
    return f"ticket {_network()}"


def _has_guessed_too_often() -> bool:
    """Say whether a ticket comes from where too many were wrong: each is a look at the database.

    A wrong token is known by its signature, and costs no more than the answer.
    """
    return "ticket" in request.args and bool(address_limit().wait_s(_guesser(), count=False))


def _upgrade_needed() -> NoReturn:
    if "ticket" in request.args:
        limited(address_limit(), _guesser(), count=False)
    raise Problem(
        UPGRADE_NEEDED,
        "This path speaks WebSocket.",
        headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
    )
