"""The one-trip connection against a real PostgreSQL: trips, values, errors, lost connections."""

# pg8000 has no types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pg8000
import pytest
import sqlalchemy
from pg8000.core import Context
from sqlalchemy import ARRAY, Engine, LargeBinary, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, IntegrityError
from typing_extensions import Buffer

from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import driver
from tests.support.network import certificates

FAILING = {
    "in its syntax": ("SELEC %s", (1,), "42601"),
    "in its parameter": ("SELECT %s::integer", ("one",), "22P02"),
    "while it runs": ("SELECT 1 / %s::integer", (0,), "22012"),
    "on a unique index": ("INSERT INTO scratch VALUES (%s)", (1,), "23505"),
    "without parameters": ("SELECT 1 / 0", (), "22012"),
}


PRIVATE_NAMES = (
    "_client_encoding _in_transaction _sock _usock _backend_key_data py_types handle_messages"
)
SETTINGS = {"statement_timeout": "1234", "lock_timeout": "567"}


class CountingSocket(socket.socket):
    """A socket that counts how often it had to wait for an answer."""

    trips = 0
    has_sent = False

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        self.has_sent = True
        return super().send(data, flags)

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        self.trips += self.has_sent
        self.has_sent = False
        return super().recv_into(buffer, nbytes, flags)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("driver"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def engine(server: EmbeddedPostgres) -> Iterator[Engine]:
    engine = driver.engine(server.url, pool_size=2)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS scratch"))
        connection.execute(
            text("CREATE TABLE scratch (id int PRIMARY KEY DEFERRABLE INITIALLY IMMEDIATE)")
        )
        connection.execute(text("INSERT INTO scratch VALUES (1)"))
    yield engine
    engine.dispose()


@pytest.fixture
def connection(server: EmbeddedPostgres, engine: Engine) -> Iterator[driver.Connection]:
    engine.dispose()  # it is here for its table
    connection = _connect(server)
    yield connection
    connection.close()


def _connect(server: EmbeddedPostgres, timeout_s: float | None = None) -> driver.Connection:
    path = sqlalchemy.make_url(server.url).query["unix_sock"]
    return driver.Connection(
        "postgres", database="taskflow", unix_sock=path, answer_timeout_s=timeout_s
    )


def _connect_counting(
    server: EmbeddedPostgres, kind: Callable[..., pg8000.Connection]
) -> tuple[pg8000.Connection, CountingSocket]:
    counting = CountingSocket(socket.AF_UNIX)
    counting.connect(str(sqlalchemy.make_url(server.url).query["unix_sock"]))
    connection = kind("postgres", database="taskflow", sock=counting)
    counting.trips = 0
    return connection, counting


def _run_a_transaction(connection: pg8000.Connection) -> None:
    cursor = connection.cursor()
    cursor.execute("INSERT INTO scratch VALUES (%s)", (2,))
    cursor.execute("UPDATE scratch SET id = %s WHERE id = %s RETURNING id", (3, 2))
    connection.commit()


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("kind", "trips"), [(driver.Connection, 3), (pg8000.Connection, 10)], ids=["ours", "pg8000's"]
)
def test_a_transaction_of_two_statements_takes_three_round_trips(
    server: EmbeddedPostgres, kind: type[pg8000.Connection], trips: int
) -> None:
    connection, counting = _connect_counting(server, kind)

    _run_a_transaction(connection)

    assert counting.trips == trips
    connection.close()


@pytest.mark.usefixtures("engine")
def test_a_first_statement_without_parameters_takes_one_round_trip(
    server: EmbeddedPostgres,
) -> None:
    connection, counting = _connect_counting(server, driver.Connection)

    connection.cursor().execute("SELECT 1")

    assert counting.trips == 1
    connection.close()


def test_pg8000_still_has_the_private_names_that_the_driver_uses(
    connection: driver.Connection,
) -> None:
    cursor = pg8000.Cursor(connection)

    missing = [
        f"{type(owner).__name__}.{name}"
        for owner, names in (
            (connection, PRIVATE_NAMES),
            (cursor, "_c _context _row_iter _input_oids"),
            (Context(""), "rows error"),
        )
        for name in names.split()
        if not hasattr(owner, name)
    ]

    assert not missing, f"this pg8000 no longer has {missing}: read its core.py and legacy.py"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, Text()),
        ("", Text()),
        ("100 %s, 5 %% 'of' \"it\" $1 :x \\ 🦉", Text()),
        (True, sqlalchemy.Boolean()),
        (-(2**63), sqlalchemy.BigInteger()),
        (Decimal("0.10"), sqlalchemy.Numeric()),
        (datetime(1, 1, 1, tzinfo=UTC), sqlalchemy.DateTime(timezone=True)),
        (datetime(2026, 3, 29, 1, 59, 59, 100_000, tzinfo=UTC), sqlalchemy.DateTime(timezone=True)),
        (datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=UTC), sqlalchemy.DateTime(timezone=True)),
        (date(2026, 2, 28), sqlalchemy.Date()),
        (timedelta(days=-1, seconds=1), sqlalchemy.Interval()),
        (UUID(int=2**127), Uuid()),
        (bytes(range(256)), LargeBinary()),
        (["a,b", 'c"d', "{}", "", None, "NULL"], ARRAY(Text)),
        ([], ARRAY(Text)),
        ({"a": [1, None, "ü%s"]}, JSONB()),
    ],
    ids=repr,
)
def test_a_value_comes_back_as_it_was_sent(
    engine: Engine, value: object, kind: sqlalchemy.types.TypeEngine[Any]
) -> None:
    query = sqlalchemy.select(sqlalchemy.cast(bindparam("value", type_=kind), kind))

    with engine.connect() as connection:
        returned = connection.execute(query, {"value": value}).scalar_one()

    assert returned == value


def test_a_time_is_read_in_any_zone_and_one_beyond_python_as_pg8000_reads_it(
    engine: Engine,
) -> None:
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL timezone = 'Asia/Kathmandu'"))
        noon = connection.execute(text("SELECT timestamptz '2026-03-01 12:00:00.5+00'")).scalar()
        never = connection.execute(text("SELECT timestamptz 'infinity'")).scalar()
        too_late = connection.execute(text("SELECT timestamptz '12026-03-01 12:00:00+00'")).scalar()

    assert noon == datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    assert never == "infinity"
    assert too_late == "12026-03-01 17:45:00+05:45"


def test_a_large_value_is_sent_and_a_large_answer_is_read(engine: Engine) -> None:
    large = "x" * 10_000_000

    with engine.connect() as connection:
        returned = connection.execute(text("SELECT CAST(:v AS text)"), {"v": large}).scalar_one()

    assert returned == large


def test_a_statement_without_rows_says_how_many_it_touched(engine: Engine) -> None:
    with engine.begin() as connection:
        result = connection.execute(text("UPDATE scratch SET id = :id"), {"id": 5})

    assert (result.rowcount, result.returns_rows) == (1, False)


def test_a_statement_is_run_for_each_of_many_parameter_sets(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO scratch VALUES (:i)"), [{"i": i} for i in (7, 8, 9)])

    assert _ids(engine) == [1, 7, 8, 9]


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("failing", FAILING.values(), ids=FAILING)
def test_a_statement_that_fails_raises_what_pg8000_raises_and_the_connection_stays_usable(
    server: EmbeddedPostgres,
    connection: driver.Connection,
    failing: tuple[str, tuple[object, ...], str],
    *,
    is_first: bool,
) -> None:
    operation, args, sqlstate = failing
    stock, _ = _connect_counting(server, pg8000.Connection)
    raised: list[tuple[type, str]] = []

    for each in (connection, stock):
        cursor = each.cursor()
        if not is_first:
            cursor.execute("SELECT %s::integer", (1,))
        with pytest.raises(pg8000.Error) as failed:
            cursor.execute(operation, args)
        raised.append((failed.type, failed.value.args[0]["C"]))
        each.rollback()
        cursor.execute("SELECT %s::integer", (2,))
        assert list(cursor.fetchall()) == [[2]]

    assert raised == [(raised[0][0], sqlstate)] * 2
    stock.close()


def test_a_failed_transaction_refuses_statements_and_its_commit_until_it_is_rolled_back(
    connection: driver.Connection,
) -> None:
    cursor = connection.cursor()

    with pytest.raises(pg8000.ProgrammingError, match="division by zero"):
        cursor.execute("SELECT 1 / %s::integer", (0,))
    with pytest.raises(pg8000.ProgrammingError, match="25P02"):
        cursor.execute("SELECT %s::integer", (1,))
    with pytest.raises(pg8000.InterfaceError, match="in failed transaction block"):
        connection.commit()

    cursor.execute("SELECT %s::integer", (1,))
    assert list(cursor.fetchall()) == [[1]]


def test_a_commit_that_fails_is_an_error_and_the_next_transaction_is_a_new_one(
    engine: Engine,
) -> None:
    with engine.connect() as connection:
        connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
        connection.execute(text("INSERT INTO scratch VALUES (:id)"), {"id": 1})

        with pytest.raises(DBAPIError, match="23505"):
            connection.commit()

        connection.rollback()
        connection.execute(text("INSERT INTO scratch VALUES (:id)"), {"id": 2})
        connection.commit()
    assert _ids(engine) == [1, 2]


def test_sqlalchemy_tells_a_taken_key_from_other_errors(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(text("INSERT INTO scratch VALUES (:id)"), {"id": 1})


@pytest.mark.parametrize(
    ("operation", "args", "error"),
    [
        ("SELECT %s", ("\ud800",), UnicodeEncodeError),
        ("SELECT %d", (1,), pg8000.InterfaceError),
        ("SELECT " + ",".join(["%s"] * 70_000), ("",) * 70_000, Exception),
    ],
    ids=["a lone surrogate", "a placeholder unknown to pg8000", "too many parameters"],
)
def test_a_statement_that_cannot_be_sent_leaves_the_connection_as_it_was(
    connection: driver.Connection, operation: str, args: tuple[object, ...], error: type[Exception]
) -> None:
    cursor = connection.cursor()

    with pytest.raises(error):
        cursor.execute(operation, args)

    cursor.execute("SELECT %s::integer", (1,))
    assert list(cursor.fetchall()) == [[1]]


def test_an_answer_that_cannot_be_read_closes_the_connection(connection: driver.Connection) -> None:
    connection.register_in_adapter(23, UUID)

    with pytest.raises(ValueError, match="badly formed"):
        connection.cursor().execute("SELECT %s::integer", (1,))

    with pytest.raises(pg8000.InterfaceError, match="connection is closed"):
        connection.cursor().execute("SELECT %s::integer", (1,))


def test_an_answer_that_takes_too_long_closes_the_connection(server: EmbeddedPostgres) -> None:
    connection = _connect(server, timeout_s=0.05)

    with pytest.raises(pg8000.InterfaceError, match="network error"):
        connection.cursor().execute("SELECT pg_sleep(%s)", (5,))

    with pytest.raises(pg8000.InterfaceError, match="connection is closed"):
        connection.cursor().execute("SELECT 1")


def test_a_session_that_was_ended_is_a_disconnection_and_the_pool_connects_anew(
    engine: Engine,
) -> None:
    with engine.connect() as victim, engine.connect() as other:
        pid = victim.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        with pytest.raises(DBAPIError) as lost:
            victim.execute(text("SELECT CAST(:v AS integer)"), {"v": 1})

        assert lost.value.connection_invalidated
    assert _ids(engine) == [1]


def test_the_pool_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    server.start()
    engine = driver.engine(server.url, pool_size=1)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))

    server.stop()
    with pytest.raises(DBAPIError) as lost, engine.connect() as connection:
        connection.execute(text("SELECT CAST(:v AS integer)"), {"v": 1})
    server.start()

    assert lost.value.connection_invalidated
    with engine.connect() as connection:
        assert connection.execute(text("SELECT CAST(:v AS integer)"), {"v": 1}).scalar_one() == 1
    engine.dispose()
    server.stop()


@pytest.mark.parametrize("first", ["INSERT INTO scratch VALUES (2)", "SELECT 1; SELECT 2"])
def test_a_transaction_begins_with_a_first_statement_without_parameters(
    engine: Engine, first: str
) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql(first)
        connection.execute(text("INSERT INTO scratch VALUES (:id)"), {"id": 3})
        connection.rollback()

    assert _ids(engine) == [1]


def test_a_transaction_begins_with_a_first_statement_with_parameters(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO scratch VALUES (:id)"), {"id": 2})
        connection.execute(text("INSERT INTO scratch VALUES (3)"))
        connection.rollback()

    assert _ids(engine) == [1]


def test_a_local_setting_ends_with_its_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '7s'"))
        inside = connection.execute(text("SHOW lock_timeout")).scalar_one()
        connection.commit()
        after = connection.execute(text("SHOW lock_timeout")).scalar_one()

    assert (inside, after) == ("7s", "0")


def test_a_savepoint_is_undone_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO scratch VALUES (:id)"), {"id": 2})
        with pytest.raises(IntegrityError), connection.begin_nested():
            connection.execute(text("INSERT INTO scratch VALUES (:id)"), {"id": 1})
        connection.execute(text("INSERT INTO scratch VALUES (:id)"), {"id": 3})

    assert _ids(engine) == [1, 2, 3]


def test_in_autocommit_no_transaction_is_begun(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("INSERT INTO scratch VALUES (:id)"), {"id": 2})
        connection.execute(text("VACUUM scratch"))

        assert _ids(engine) == [1, 2]


def test_an_isolation_level_holds_for_its_connection(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
        level = connection.execute(text("SHOW transaction_isolation")).scalar_one()

    assert level == "serializable"


@pytest.mark.parametrize(
    ("first", "args"),
    [("SELECT 1", ()), ("SELECT %s::integer", (1,)), ("COPY scratch TO STDOUT", None)],
)
def test_local_settings_hold_for_a_transaction_and_cost_no_round_trip(
    server: EmbeddedPostgres, first: str, args: tuple[object, ...] | None
) -> None:
    connection, counting = _connect_counting(
        server, partial(driver.Connection, local_settings=SETTINGS)
    )
    cursor = connection.cursor()

    if args is None:
        cursor.execute(first, (), stream=io.BytesIO())
    else:
        cursor.execute(first, args)
        assert counting.trips == 1
    inside = [_shown(cursor, name) for name in SETTINGS]
    connection.commit()
    connection.autocommit = True
    outside = [_shown(cursor, name) for name in SETTINGS]

    assert inside == ["1234ms", "567ms"]
    assert outside == ["0", "0"]
    connection.close()


def test_a_local_setting_that_is_refused_refuses_the_transaction(server: EmbeddedPostgres) -> None:
    connection, _ = _connect_counting(
        server, partial(driver.Connection, local_settings={"lock_timeout": "soon"})
    )

    with pytest.raises(pg8000.ProgrammingError, match="22023"):
        connection.cursor().execute("INSERT INTO scratch VALUES (%s)", (9,))

    connection.close()


def _shown(cursor: pg8000.Cursor, name: str) -> str:
    cursor.execute(f"SHOW {name}")
    return str(next(iter(cursor.fetchall()))[0])


def test_rows_are_copied_in_and_out_by_a_stream(connection: driver.Connection) -> None:
    cursor = connection.cursor()
    out = io.BytesIO()

    cursor.execute("COPY scratch FROM STDIN", stream=io.BytesIO(b"2\n3\n"))
    cursor.execute("COPY scratch TO STDOUT", stream=out)
    connection.rollback()
    cursor.execute("SELECT count(*) FROM scratch WHERE id > %s::integer", (0,))

    assert out.getvalue() == b"1\n2\n3\n"
    assert list(cursor.fetchall()) == [[1]]


def _ids(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT id FROM scratch ORDER BY id")).scalars())


@pytest.mark.parametrize(("mode", "asks"), [("disable", False), ("prefer", True)])
def test_tls_is_used_only_where_the_url_asks_for_it(mode: str, *, asks: bool) -> None:
    ssl_request = (80877103).to_bytes(4, "big")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        engine = driver.engine(f"postgresql://me@127.0.0.1:{port}/any?sslmode={mode}")
        connecting = threading.Thread(target=_try_to_connect, args=(engine,))
        connecting.start()
        client, _ = listening.accept()
        with client:
            first = client.recv(8)
        connecting.join()

    assert (first[4:] == ssl_request) == asks


def test_a_server_that_never_answers_is_waited_for_until_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver, "CONNECT_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        _try_to_connect(driver.engine(f"postgresql://me@127.0.0.1:{port}/any"))


def test_an_answer_may_take_longer_than_a_connection(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "CONNECT_TIMEOUT_S", 2.0)
    engine = driver.engine(server.url)

    with engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(2.1)"))

    engine.dispose()


def test_tls_names_the_server_by_which_a_provider_finds_the_database(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificates.write(certificate, key)
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(key)
    context.sni_callback = lambda _, name, __: asked.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        url = f"postgresql://me@localhost:{port}/any?sslmode=require&channel_binding=require"
        connecting = threading.Thread(target=_try_to_connect, args=(driver.engine(url),))
        connecting.start()
        client, _ = listening.accept()
        client.recv(8)
        client.sendall(b"S")
        context.wrap_socket(client, server_side=True).close()
        connecting.join()

    assert asked == ["localhost"]


def _try_to_connect(engine: Engine) -> None:
    with pytest.raises(DBAPIError):
        engine.connect()
