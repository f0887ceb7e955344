"""Addresses that users name: what may be asked, in whichever way it is written."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from taskflow.outbound.urls import NOT_PUBLIC, NamedUrl, check_url, may_be_asked, parsed
from tests.support.network.endpoint import LOOPBACK, networks
from tests.support.settings import changed_settings


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://example.com", "example.com", "/"),
        ("https://example.com:443/hook?a=1&b=%20c", "example.com", "/hook?a=1&b=%20c"),
        ("HTTPS://Example.COM:8443/Hook", "example.com:8443", "/Hook"),
        ("https://my_host.example/", "my_host.example", "/"),
        ("https://bücher.example/ä?ö=ü", "xn--bcher-kva.example", "/%C3%A4?%C3%B6=%C3%BC"),
        ("https://faß.example/", "xn--fa-hia.example", "/"),
        ("https://93.184.215.14/", "93.184.215.14", "/"),
        ("https://[2606:4700::1]:8443/", "[2606:4700::1]:8443", "/"),
        ("https://[64:ff9b::93.184.215.14]/", "[64:ff9b::5db8:d70e]", "/"),
        ("http://example.com/", "example.com", "/"),
    ],
)
def test_an_address_leads_to_its_host_port_and_path(url: str, authority: str, path: str) -> None:
    assert check_url(url) is None

    read = parsed(url)

    assert (read.authority, read.path) == (authority, path)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("", "must begin with https://"),
        ("example.com/hook", "must begin with https://"),
        ("ftp://example.com/", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("gopher://example.com/_x", "must begin with https://"),
        ("https://", "must name a host"),
        ("https:///hook", "must name a host"),
        ("https://:443/", "must name a host"),
        ("https://me@example.com/", "must have no user name"),
        ("https://me:secret@example.com/", "must have no user name"),
        ("https://example.com@127.0.0.1/", "must have no user name"),
        ("https://example.com/#part", "must have no fragment"),
        ("https://example.com#@127.0.0.1/", "must have no fragment"),
        ("https://example.com/a b", "must have no spaces"),
        (" https://example.com/", "must have no spaces"),
        ("https://exam\tple.com/", "must have no spaces"),
        ("https://example.com/\r\nHost: other", "must have no spaces"),
        ("https://example.com\\@127.0.0.1/", "must have no spaces"),
        ("https://exam\u00adple.com/", "must have no spaces"),
        ("https://\ud800.example/", "must have no spaces"),
        ("https://example.com:port/", "must be an address"),
        ("https://example.com:65536/", "must be an address"),
        ("https://example.com:0/", "must have a port"),
        ("https://[::1/", "must be an address"),
        ("https://[v1.x]/", "must have an IPv6 address"),
        ("https://[127.0.0.1]/", "must"),
        ("https://[example.com]/", "must"),
        ("https://example.com./", "must name a host"),
        ("https://127.0.0.1./", "must name a host"),
        ("https://exa%6dple.com/", "must name a host"),
        ("https://127%2e0.0.1/", "must name a host"),
        ("https://-example.com/", "must name a host"),
        ("https://a..example/", "must name a host"),
        (f"https://{'a' * 64}.example/", "must name a host"),
        (f"https://{'a.' * 127}example/", "must name a host"),
        ("https://☃☃☃\u2024.example/", "must name a host"),
        (f"https://example.com/{'a' * 2048}", "must be at most 2048"),
    ],
    ids=ascii,
)
def test_what_is_no_address_to_ask_is_told_what_it_must_be(url: str, wrong: str) -> None:
    told = check_url(url)

    assert told is not None
    assert told.startswith(wrong)


PRIVATE = [
    "0.0.0.0",  # noqa: S104 - nobody listens there
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::93.184.215.14",
    "::ffff:127.0.0.1",
    "::ffff:93.184.215.14",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::93.184.215.14",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:5db8:d70e::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    host = f"[{address}]" if ":" in address else address

    assert check_url(f"https://{host}/") == NOT_PUBLIC
    assert not may_be_asked(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.0x1",
        "1.2.3.4.5",
        "256.0.0.1",
        "example.1",
        "127.0.0.1.0x7f",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "\uff11\uff12\uff17.0.0.1",
        "localhost",
        "LOCALHOST",
        "\uff4cocalhost",
        "app.localhost",
        "[::1%25lo]",
        "[fe80::1%eth0]",
        "[::127.1]",
    ],
)
def test_another_spelling_of_an_address_that_is_not_public_is_refused(host: str) -> None:
    assert check_url(f"https://{host}/") is not None


def test_an_address_in_a_network_that_is_allowed_may_be_asked() -> None:
    with changed_settings(outbound_allowed_networks=networks("10.1.0.0/16", "fd00::/8")):
        assert check_url("https://10.1.2.3/") is None
        assert check_url("https://[fd00::1]/") is None
        assert check_url("https://10.2.0.1/") == NOT_PUBLIC
        assert check_url("https://[::ffff:10.1.2.3]/") == NOT_PUBLIC
        assert check_url("https://localhost/") == NOT_PUBLIC
    with changed_settings(outbound_allowed_networks=LOOPBACK):
        assert check_url("https://localhost/") is None


def test_in_production_an_address_is_asked_by_tls_alone() -> None:
    with changed_settings(environment="production"):
        assert check_url("http://example.com/") == "must begin with https://"


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_may_be_asked_is_global_in_python_s_eyes_too(
    address: IPv4Address | IPv6Address,
) -> None:
    assert not may_be_asked(address) or (address.is_global and not address.is_multicast)


def test_a_content_with_a_wrong_address_is_refused_with_what_it_must_be() -> None:
    adapter = TypeAdapter[str](NamedUrl)

    with pytest.raises(ValidationError) as refused:
        adapter.validate_python("https://127.0.0.1/")

    assert refused.value.errors()[0]["msg"] == NOT_PUBLIC
    assert adapter.validate_python("https://example.com/") == "https://example.com/"
