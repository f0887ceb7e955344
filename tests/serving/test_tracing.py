"""The cause of a request: its correlation id, its trace, its address and client (A10, E2)."""

import re
import uuid

import pytest
from flask import Request
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from taskflow.serving import tracing
from tests.support.settings import changed_settings

A_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def _request(**headers: str) -> Request:
    named = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    environ = EnvironBuilder(headers=named).get_environ()
    environ["REMOTE_ADDR"] = "192.0.2.1"
    return Request(environ)


@pytest.mark.parametrize("given", ["x", "a-b.c:d/e", "!~", "x" * 128, str(uuid.UUID(int=1))])
def test_a_correlation_id_of_a_request_is_kept(given: str) -> None:
    assert tracing.correlation_id_of(_request(X_Correlation_ID=given)) == given


@pytest.mark.parametrize("given", ["", " ", "a b", "x" * 129, "ü", "a\tb", "\x7f"])
def test_an_unprintable_correlation_id_is_replaced(given: str) -> None:
    uuid.UUID(tracing.correlation_id_of(_request(X_Correlation_ID=given)))


@pytest.mark.parametrize("given", [A_TRACE, A_TRACE[:-2] + "00", "cc" + A_TRACE[2:]])
def test_a_trace_of_a_request_is_kept(given: str) -> None:
    assert tracing.traceparent_of(_request(traceparent=given)) == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        "ff" + A_TRACE[2:],
        A_TRACE.upper(),
        A_TRACE + "-01",
        A_TRACE[:-1],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
)
def test_a_wrong_trace_is_replaced_by_a_new_sampled_one(given: str) -> None:
    made = tracing.traceparent_of(_request(traceparent=given))

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", made)
    assert made != tracing.traceparent_of(_request(traceparent=given))


@pytest.mark.parametrize(
    ("forwarded", "trusted", "address"),
    [
        (None, 0, "192.0.2.1"),
        ("203.0.113.9", 0, "192.0.2.1"),
        ("203.0.113.9", 1, "203.0.113.9"),
        ("spoofed, 203.0.113.9", 1, "203.0.113.9"),
        ("spoofed, 203.0.113.9, 10.0.0.1", 2, "203.0.113.9"),
        ("203.0.113.9", 2, "192.0.2.1"),
        (None, 1, "192.0.2.1"),
        ("", 1, "192.0.2.1"),
        ("a,", 1, "192.0.2.1"),
        ("2001:db8::1", 1, "2001:db8::1"),
    ],
)
def test_only_configured_proxies_are_believed(
    forwarded: str | None, trusted: int, address: str
) -> None:
    headers = {} if forwarded is None else {"X_Forwarded_For": forwarded}

    with changed_settings(trusted_proxies=trusted):
        assert tracing.address_of(_request(**headers)) == address


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 2001:db8::1 ", "2001:db8::1"),
        ("203.0.113.9\x0bx", "203.0.113.9 x"),
        ("", "192.0.2.1"),
        (None, "192.0.2.1"),
    ],
)
def test_the_gateway_tells_the_address_in_the_header_that_the_settings_name(
    header: str | None, address: str
) -> None:
    headers = {} if header is None else {"X_Envoy_External_Address": header}

    with changed_settings(client_address_header="X-Envoy-External-Address"):
        request = _request(X_Forwarded_For="198.51.100.1, 198.51.100.2", **headers)
        assert tracing.address_of(request) == address


def test_a_header_that_the_settings_do_not_name_tells_nothing() -> None:
    request = _request(X_Envoy_External_Address="203.0.113.9")

    assert tracing.address_of(request) == "192.0.2.1"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
        ("_hidden", "_hidden"),
        ("a:80", "a:80"),
        ("[", "["),
        ("[]", "[]"),
        ("", ""),
    ],
)
def test_clients_are_told_apart_by_their_network(address: str, network: str) -> None:
    assert tracing.network_of(address) == network


@pytest.mark.parametrize(
    ("agent", "origin"),
    [
        (None, "192.0.2.1"),
        ("", "192.0.2.1"),
        ("curl/8", "192.0.2.1 curl/8"),
        ("a\x0bb\x85c", "192.0.2.1 a b c"),
        ("x" * 1000, "192.0.2.1 " + "x" * 200),
    ],
)
def test_the_origin_is_one_line_of_address_and_client(agent: str | None, origin: str) -> None:
    headers = {} if agent is None else {"User_Agent": agent}

    assert tracing.origin_of(_request(**headers)) == origin


def test_the_agent_is_the_one_that_the_gateway_gives_on() -> None:
    headers = {"User_Agent": "Envoy", "X_Original_User_Agent": "kube-probe/1.3"}

    assert tracing.origin_of(_request(**headers)).endswith(" kube-probe/1.3")
