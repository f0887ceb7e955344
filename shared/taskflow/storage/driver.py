"""pg8000 with one round trip for a statement instead of three, and none for BEGIN."""

# pg8000 has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import re
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from struct import Struct
from typing import Any

import pg8000
from pg8000.converters import TIMESTAMPTZ, make_params, timestamptz_in
from pg8000.core import Context
from pg8000.dbapi import convert_paramstyle
from pg8000.exceptions import DatabaseError
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

STATEMENTS_KEPT = 1_000
"""How many statements are remembered with numbered placeholders; numbering one takes 0.1 ms."""

KEPT_STATEMENT_MAX_CHARS = 10_000
"""Longer ones are inserts of many rows, which seldom come again with as many."""

CONNECT_TIMEOUT_S = 10.0
"""How long each answer may take until a connection stands: a server behind a network that loses
what is sent to it, or a pooler without a connection to spare, might never give one."""

# What pg8000's cursor tells apart by SQLSTATE; everything else is a ProgrammingError to it.
ERRORS = {"23505": pg8000.IntegrityError, "28000": pg8000.InterfaceError}

PASSED_ON = ("unix_sock", "application_name")
"""The parameters of a URL that are pg8000's own too."""

TELLING_FIELDS = frozenset("SVCMPFLRstdcn")
"""Of PostgreSQL's "Error and Notice Message Fields" those that quote no value: severity, SQLSTATE,
message, positions, and the names of what it concerns. Detail, hint, context and inner query may."""

DATA_EXCEPTION = "22"
"""The class of SQLSTATE whose messages quote the value that is wrong."""

_QUOTED = re.compile(r'".*"', re.DOTALL)

_int16, _int32 = Struct("!H").pack, Struct("!i").pack


def _message(code: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return code + _int32(len(body) + 4) + body


# The messages of PostgreSQL's "Message Formats"; b"\0" alone is the unnamed statement or portal.
_BEGIN = "begin transaction"
_DESCRIBE_PORTAL = _message(b"D", b"P\0")
_EXECUTE = _message(b"E", b"\0", _int32(0))
_SYNC = _message(b"S")
_NULL = _int32(-1)


def _unanswered(statement: str) -> bytes:
    """Return the messages of a statement without parameters and rows."""
    parse = _message(b"P", b"\0", statement.encode(), b"\0", bytes(2))
    return parse + _message(b"B", bytes(8)) + _EXECUTE


def engine(
    url: str,
    *,
    local_settings: Mapping[str, str] | None = None,
    answer_timeout_s: float | None = None,
    **options: Any,  # noqa: ANN401 SQLAlchemy's own, which it checks
) -> Engine:
    """Make an engine on these connections; `local_settings` are PostgreSQL's for each transaction.

    They are not asked for as a connection starts: a pooler refuses to, or ignores it. A connection
    is closed when nothing of an answer has come for `answer_timeout_s`; None is to wait for ever.

    Of libpq's parameters in the URL, `sslmode` is understood; `prefer` and `allow` as `disable`.
    Others, such as the `channel_binding` of some providers, are passed over. Raises ValueError for
    what is no URL, or names no user.
    """
    try:
        target = make_url(url).set(drivername="postgresql+pg8000")
    except ArgumentError as error:
        raise ValueError(str(error)) from None
    if not target.username:
        raise ValueError("the URL names no user")
    ssl_mode = target.query.get("sslmode", "disable")
    made = create_engine(
        # pg8000 refuses to connect with a parameter that it does not know.
        target.set(query={name: target.query[name] for name in PASSED_ON if name in target.query}),
        connect_args={
            "local_settings": dict(local_settings or {}),
            "answer_timeout_s": answer_timeout_s,
            # PostgreSQL has no TLS on Unix sockets: asking for it would be a trip for nothing.
            "ssl_context": False if "unix_sock" in target.query else _ssl_context(str(ssl_mode)),
        },
        # In logs the parameters would be titles, emails and password hashes.
        hide_parameters=True,
        **options,
    )
    event.listen(made, "do_connect", _connect)
    return made


def _ssl_context(mode: str) -> ssl.SSLContext | bool | None:
    if mode == "disable":
        return False
    if mode in {"allow", "prefer"}:
        # To pg8000: if the server has it.
        return None
    context = ssl.create_default_context()
    if mode != "verify-full":
        context.check_hostname = False
    if mode == "require":
        # As libpq has it: encrypted, to whoever answers.
        context.verify_mode = ssl.CERT_NONE
    return context


def _connect(_dialect: object, _record: object, args: list[Any], options: dict[str, Any]) -> Any:  # noqa: ANN401 as SQLAlchemy has it
    try:
        made = Connection(*args, timeout=CONNECT_TIMEOUT_S, **options)
    except OSError as error:
        # pg8000 lets a server that goes away in the middle of the handshake through as it is.
        raise pg8000.InterfaceError("network error") from error
    made.register_in_adapter(TIMESTAMPTZ, _timestamptz)
    return made


def _timestamptz(written: str) -> object:
    # pg8000 reads it with strptime, in 19 µs instead of 0.3: most of what reading an event takes.
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        return timestamptz_in(written)


class Connection(pg8000.Connection):
    """A connection that sends all messages of a statement at once.

    The statement has no name and its messages end in one Sync, so that no pooler parts them.
    """

    _client_encoding: str
    _backend_key_data: bytes

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - pg8000's own
        local_settings: Mapping[str, str] | None = None,
        answer_timeout_s: float | None = None,
        **options: Any,  # noqa: ANN401 - pg8000's own
    ) -> None:
        """Connect; `local_settings` are set as each transaction begins.

        From then on `answer_timeout_s` is how long to wait for a part of an answer.
        """
        settings = [
            f"set local {name} = '{value}'" for name, value in (local_settings or {}).items()
        ]
        self._begin = ";".join((_BEGIN, *settings))
        self._begin_first = b"".join(map(_unanswered, (_BEGIN, *settings)))
        super().__init__(*args, **options)
        self.set_timeout(answer_timeout_s)

    @property
    def started_with(self) -> int:
        """The number of the process that PostgreSQL, or a pooler, named as the connection began."""
        return int.from_bytes(self._backend_key_data[:4], "big")

    def set_timeout(self, timeout_s: float | None) -> None:
        """Set how long to wait for a part of an answer; None is for ever."""
        if self._usock is not None:
            self._usock.settimeout(timeout_s)

    def begin(self) -> None:
        """Begin a transaction by itself."""
        self.execute_simple(self._begin)

    def handle_ERROR_RESPONSE(self, data: bytes, context: Context) -> None:  # noqa: N802 - pg8000's name
        """Keep the words of PostgreSQL's error, less the values quoted in it: errors are logged."""
        super().handle_ERROR_RESPONSE(data, context)
        error: Any = context.error
        fields = {key: words for key, words in error.args[0].items() if key in TELLING_FIELDS}
        if fields.get("C", "").startswith(DATA_EXCEPTION):
            fields["M"] = _QUOTED.sub('"…"', fields.get("M", ""))
        error.args = (fields,)

    def cursor(self) -> "Cursor":
        """Return a cursor, as DB-API has it."""
        return Cursor(self)

    def close(self) -> None:
        """Close the connection, or leave it closed: one that broke is closed already."""
        if self._usock is not None:
            # To say goodbye to a server that has gone fails; closed it is all the same.
            with suppress(pg8000.InterfaceError):
                super().close()

    def execute_simple(self, statement: str) -> Context:
        """Run statements without parameters."""
        return self._exchange(statement, self._query(statement))

    def execute_unnamed(
        self,
        statement: str,
        vals: Sequence[object] = (),
        oids: Sequence[int] = (),
        stream: Any = None,  # noqa: ANN401 any file or iterable
    ) -> Context:
        """Run one statement; pg8000 calls this for commit and rollback too."""
        if stream is not None:
            return super().execute_unnamed(statement, vals, oids, stream)
        return self._exchange(statement, self._extended_query(statement, vals, oids))

    def execute_first(self, statement: str, vals: Sequence[object], oids: Sequence[int]) -> Context:
        """Begin a transaction and run its first statement, which is skipped if BEGIN fails."""
        if vals:
            messages = self._begin_first + self._extended_query(statement, vals, oids)
        else:
            # A simple query may be several statements. The price of sending BEGIN as one of
            # them is that the position in a syntax error counts it and the settings.
            messages = self._query(f"{self._begin};{statement}")
        return self._exchange(statement, messages)

    def _query(self, statement: str) -> bytes:
        return _message(b"Q", statement.encode(self._client_encoding), b"\0")

    def _extended_query(self, statement: str, vals: Sequence[object], oids: Sequence[int]) -> bytes:
        encoding = self._client_encoding
        types = [_int32(max(oid, 0)) for oid in oids]
        bind = [bytes(4), _int16(len(vals))]
        for param in make_params(self.py_types, vals):
            if param is None:
                bind.append(_NULL)
            else:
                value = param.encode(encoding)
                bind += (_int32(len(value)), value)
        parse = [b"\0", statement.encode(encoding), b"\0", _int16(len(types)), *types]
        return b"".join(
            (
                _message(b"P", *parse),
                _message(b"B", *bind, bytes(2)),
                _DESCRIBE_PORTAL,
                _EXECUTE,
                _SYNC,
            )
        )

    def _exchange(self, statement: str, messages: bytes) -> Context:
        if self._sock is None:
            raise pg8000.InterfaceError("connection is closed")
        context: Any = Context(statement)
        try:
            self._sock.write(messages)
            self._sock.flush()
            self.handle_messages(context)
        except BaseException as error:
            if error is not context.error:
                # Cut short by a timeout, a broken network, a value that could not be read:
                # the next statement would take the answers left over for its own.
                with suppress(pg8000.Error):
                    self.close()
            if isinstance(error, OSError):
                # By these words SQLAlchemy knows that the connection is lost.
                raise pg8000.InterfaceError("network error") from error
            raise
        return context


class Cursor(pg8000.Cursor):
    """A cursor that leaves BEGIN to the first statement and numbers placeholders once."""

    def execute(
        self,
        operation: str,
        args: Sequence[object] = (),
        stream: Any = None,  # noqa: ANN401 any file or iterable
    ) -> "Cursor":
        """Run a statement, in a new transaction where none is open and autocommit is off."""
        connection = self._c
        if connection is None:
            return super().execute(operation, args, stream)
        begins = not (connection._in_transaction or connection.autocommit)  # noqa: SLF001 as pg8000
        if stream is not None:
            if begins:
                connection.begin()
            return super().execute(operation, args, stream)
        try:
            statement = _numbered(operation) if args else operation
            if begins:
                context = connection.execute_first(statement, args, self._input_oids)
            elif args:
                context = connection.execute_unnamed(statement, args, self._input_oids)
            else:
                context = connection.execute_simple(statement)
        except DatabaseError as error:
            fields = error.args[0]
            raise ERRORS.get(fields["C"], pg8000.ProgrammingError)(fields) from error
        self._context = context
        self._row_iter = iter(context.rows or ())
        self._input_oids = ()
        return self


def _numbered(operation: str) -> str:
    if len(operation) > KEPT_STATEMENT_MAX_CHARS:
        return _numbered_anew(operation)
    return _numbered_once(operation)


def _numbered_anew(operation: str) -> str:
    return convert_paramstyle("format", operation, ())[0]


_numbered_once = lru_cache(STATEMENTS_KEPT)(_numbered_anew)
