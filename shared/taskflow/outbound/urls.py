"""Addresses that users name: which ones may be asked, and where they lead.

What names an address in another way than these do is refused, so that nothing between here and the
socket can take it for another one.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Annotated
from urllib.parse import SplitResult, quote, urlsplit

import idna
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from taskflow import config

URL_MAX_CHARS = 2048
"""In bytes of UTF-8 as well: beyond ASCII there would be more of them than an index takes."""

NOT_PUBLIC = "must lead to the public internet"

Address = IPv4Address | IPv6Address

_DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST_MAX_CHARS = 253
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""As the last part of a host: what some read as an IPv4 address, such as 127.1 or 0x7f000001
(URL Standard, "ends in a number")."""

_KEPT = "/%:@!$&'()*+,;=~-._"
"""What has a meaning in a path, or is encoded already (RFC 3986, 3.3); a query has `?` besides."""

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA hands out of IPv6 (RFC 4291, 2.4). Outside it are loopback, link-local, unique
local, multicast, and IPv4 in IPv6 in its old forms."""

NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 as a network of IPv6 alone reaches it (RFC 6052): as public as the address within."""

SPECIAL = tuple(
    ip_network(special)
    for special in (
        # IANA's registry for IPv4: what it says is not globally reachable, and the rest of
        # 192.0.0.0/24, and what was 6to4's (RFC 7526).
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # And for IPv6, within 2000::/3: protocols' own with Teredo, documentation, 6to4.
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)
"""Written out, as what Python calls global has changed between its releases (CVE-2024-4032)."""


class WrongUrl(Exception):
    """An address must not be asked; the message says what it must be instead."""


@dataclass(frozen=True, slots=True)
class Url:
    """An address that may be asked, in its parts."""

    scheme: str
    host: str
    """A name in ASCII, or an IP address without brackets."""
    port: int
    path: str
    """With the query; all in ASCII."""
    address: Address | None
    """What the host is, where it is no name."""

    @property
    def authority(self) -> str:
        """The host as the header Host has it, with the port unless that is the scheme's."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The origin (RFC 6454, 6.2)."""
        return f"{self.scheme}://{self.authority}"


def parsed(text: str) -> Url:
    """Return the parts of an address. Raises WrongUrl for one that must not be asked."""
    if len(text.encode(errors="replace")) > URL_MAX_CHARS:
        raise WrongUrl(
            f"must be at most {URL_MAX_CHARS} characters long, fewer with others than ASCII's"
        )
    # urlsplit would drop some of these; and of a backslash, programs differ in what it means.
    if not text.isprintable() or " " in text or "\\" in text:
        raise WrongUrl("must have no spaces, line breaks or backslashes")
    try:
        split = urlsplit(text)
        host, port = split.hostname, split.port
    except ValueError:
        raise WrongUrl("must be an address such as https://example.com/path") from None
    allowed = ("https", "http") if config.settings().environment != "production" else ("https",)
    if split.scheme not in allowed:
        raise WrongUrl("must begin with " + " or ".join(f"{each}://" for each in allowed))
    if "@" in split.netloc:
        raise WrongUrl("must have no user name and no password")
    if "#" in text:
        raise WrongUrl("must have no fragment")
    if port is None:
        port = _DEFAULT_PORTS[split.scheme]
    name, address = _host(host or "", is_bracketed="[" in split.netloc)
    if port == 0:
        raise WrongUrl("must have a port from 1 to 65535")
    if not (_may_lead_to_public(name) if address is None else may_be_asked(address)):
        raise WrongUrl(NOT_PUBLIC)
    return Url(split.scheme, name, port, _path(split), address)


def check_url(text: str) -> str | None:
    """Say what an address that a user names must be, if it is not; no name is looked up."""
    try:
        parsed(text)
    except WrongUrl as wrong:
        return str(wrong)
    return None


def _checked(text: str) -> str:
    wrong = check_url(text)
    if wrong is not None:
        raise PydanticCustomError("url", "{wrong}", {"wrong": wrong})
    return text


NamedUrl = Annotated[
    str,
    AfterValidator(_checked),
    Field(json_schema_extra={"format": "uri", "maxLength": URL_MAX_CHARS}),
]
"""The type of an address that a client sends for us to ask."""


def may_be_asked(address: Address) -> bool:
    """Say whether an address is public, or in a network that is allowed nevertheless."""
    return _is_public(address) or _is_allowed(address)


def _is_allowed(address: Address) -> bool:
    return any(address in network for network in config.settings().outbound_allowed_networks)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return _is_public(IPv4Address(address.packed[-4:]))
        if address not in GLOBAL_UNICAST:
            return False
    return not any(address in special for special in SPECIAL)


def _may_lead_to_public(name: str) -> bool:
    """Say so of all names but those that are this machine's everywhere (RFC 6761, 6.3)."""
    is_local = name == "localhost" or name.endswith(".localhost")
    return not is_local or _is_allowed(IPv4Address("127.0.0.1")) or _is_allowed(IPv6Address("::1"))


def _host(host: str, *, is_bracketed: bool) -> tuple[str, Address | None]:
    """Return the name of a host in ASCII, and the address that it is. Raises WrongUrl."""
    if not host:
        raise WrongUrl("must name a host")
    if is_bracketed:
        # Python takes a zone behind a `%`, which names one of this machine's interfaces.
        address = None if "%" in host else _read(IPv6Address, host)
        if address is None:
            raise WrongUrl("must have an IPv6 address without a zone between [ and ]")
        return str(address), address
    name = host if host.isascii() else _in_ascii(host)
    if len(name) > _HOST_MAX_CHARS or not _HOST.fullmatch(name):
        raise WrongUrl("must name a host such as example.com")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        address = _read(IPv4Address, name)
        if address is None:
            raise WrongUrl("must have an IPv4 address as four decimal numbers")
        return str(address), address
    return name, None


def _read(kind: type[IPv4Address | IPv6Address], text: str) -> Address | None:
    try:
        return kind(text)
    except ValueError:
        return None


def _in_ascii(host: str) -> str:
    """Return the name that is looked up for one in Unicode (UTS 46); blank if there is none."""
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def _path(split: SplitResult) -> str:
    query = f"?{quote(split.query, safe=_KEPT + '?')}" if split.query else ""
    return (quote(split.path, safe=_KEPT) or "/") + query
