"""Where a request comes from: its correlation id, W3C trace context, address and program."""

import ipaddress
import re
import secrets
import uuid

from flask import Request

from taskflow import config

_CORRELATION_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_AGENT_MAX_CHARS = 200
_GIVEN_ON = "X-Original-User-Agent"
"""The User-Agent, as our gateway gives it on: Knative answers some agents itself (knative/base)."""

_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](:\d+)?|(?P<v4>[^:]*):\d+")
"""An address as some proxies forward it."""

_SITE_BITS = 64
"""Of an IPv6 address; a host chooses the rest as it likes (RFC 4291, 2.5.1)."""


class Network(str):
    """A place that requests come from: an IPv4 address, or an IPv6 network of one site."""

    __slots__ = ()


def correlation_id_of(request: Request) -> str:
    """Return the client's X-Correlation-ID; one that is missing or unprintable is replaced."""
    given = request.headers.get("X-Correlation-ID", "")
    return given if _CORRELATION_ID.fullmatch(given) else str(uuid.uuid4())


def traceparent_of(request: Request) -> str:
    """Return the client's traceparent (W3C Trace Context, 3.2), or a new sampled one."""
    given = request.headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else new_traceparent()


def new_traceparent() -> str:
    """Make the traceparent of a new trace, which is sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def address_of(request: Request) -> str:
    """Return the client's address, as far as the settings say whom to believe about it."""
    settings = config.settings()
    if settings.client_address_header is not None:
        address = request.headers.get(settings.client_address_header, "").strip()
        return _UNPRINTABLE.sub(" ", address) or _peer(request)
    trusted_proxies = settings.trusted_proxies
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
    if trusted_proxies and len(hops) >= trusted_proxies and hops[-trusted_proxies]:
        return _UNPRINTABLE.sub(" ", hops[-trusted_proxies])
    return _peer(request)


def network_of(address: str) -> Network:
    """Return the network of a client's address, by which clients are told apart and limited.

    What is no IP address is a network of its own.
    """
    found = _WITH_PORT.fullmatch(address)
    host = (found["v6"] or found["v4"] or "") if found else address
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return Network(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return Network(ip)
    if ip.ipv4_mapped is not None:
        return Network(ip.ipv4_mapped)
    host_bits = ip.max_prefixlen - _SITE_BITS
    return Network(ipaddress.IPv6Network((int(ip) >> host_bits << host_bits, _SITE_BITS)))


def origin_of(request: Request) -> str:
    """Return the address and the program that a request comes from, as the log keeps them."""
    agent = _UNPRINTABLE.sub(" ", agent_of(request))[:_AGENT_MAX_CHARS]
    return f"{address_of(request)} {agent}".rstrip()


def agent_of(request: Request) -> str:
    """Return what the program that a request comes from says it is (RFC 9110, 10.1.5)."""
    return request.headers.get(_GIVEN_ON) or request.headers.get("User-Agent", "")


def _peer(request: Request) -> str:
    return request.remote_addr or "unknown"
