"""What a function uses of `taskflow.outbound`, by what it and the modules that it imports call.

From it follow the secrets that a pod is given, and whether the network lets it out of the cluster.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv6Network, ip_network
from pathlib import Path

import taskflow
from taskflow.manifests.documents import Document, document
from taskflow.outbound import urls

_PACKAGE = taskflow.__name__
_OUTBOUND = f"{_PACKAGE}.outbound"
_ROOT = Path(taskflow.__path__[0]).parent

_LINKS = ("links.",)
_MAIL = ("email.sending",)
_DEVICES = ("sns.register", "sns.send")
_BROWSERS = ("web_push.public_key", "web_push.send")
_SENDING = (*_MAIL, *_DEVICES, "web_push.send", "webhooks.send", "http.post")

_LANES = f"{_PACKAGE}.eventing.lanes"

REACHES_OUTSIDE = "taskflow/reaches-outside"
"""The label by which the network lets a pod out of the cluster."""

MAIL, WEB_PUSH, AMAZON = "taskflow-mail", "taskflow-web-push", "taskflow-aws"
"""Secrets that may be empty. A pod is given all that is in one, by the names of the settings, for
func.yaml can't say of a key that it need not be there."""


@dataclass(frozen=True, slots=True)
class Uses:
    """What of the outbound room a function uses."""

    links: bool
    """Signs the links in mails, or checks them."""
    mail: bool
    browsers: bool
    """Knows the key by which browsers are pushed to."""
    devices: bool
    sends: bool
    """Sends to providers, or to what users name."""
    lanes: bool
    """Does so for everybody, by all channels and in many places at once."""

    @property
    def secrets(self) -> list[str]:
        """Those that it is given all of."""
        given = {
            MAIL: self.mail,
            WEB_PUSH: self.browsers,
            # Mail goes through SES where that is set.
            AMAZON: self.mail or self.devices,
        }
        return [name for name, is_given in given.items() if is_given]


def uses_of(source: Path) -> Uses:
    """Return what a function uses whose main.py is `source`."""
    reached = [_read(module) for module in _reached(source)]
    called = {name for module in reached for name in module.called}

    def calls(of: tuple[str, ...]) -> bool:
        return any(name.startswith(of) for name in called)

    return Uses(
        links=calls(_LINKS),
        mail=calls(_MAIL),
        browsers=calls(_BROWSERS),
        devices=calls(_DEVICES),
        sends=calls(_SENDING),
        lanes=any(_LANES in module.imported for module in reached),
    )


@dataclass(frozen=True, slots=True)
class _Module:
    imported: frozenset[str]
    called: frozenset[str]
    """What it takes out of modules of the outbound room, such as `links.to_confirm`."""


def _reached(source: Path) -> set[Path]:
    """Return a module, and all modules of ours that it imports; not those of the room itself."""
    reached, left = {source}, [source]
    while left:
        for name in _read(left.pop()).imported:
            path = _path_of(name)
            if path is not None and path not in reached:
                reached.add(path)
                left.append(path)
    return reached


@cache
def _read(path: Path) -> _Module:
    tree = ast.parse(path.read_bytes())
    imported: set[str] = set()
    called: set[str] = set()
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            above = node.module or ""
            imported |= {above, *(f"{above}.{each.name}" for each in node.names)}
            for each in node.names:
                if above == _OUTBOUND:
                    modules[each.asname or each.name] = each.name
                elif above.startswith(f"{_OUTBOUND}."):
                    called.add(f"{above.removeprefix(f'{_OUTBOUND}.')}.{each.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module is not None:
                called.add(f"{module}.{node.attr}")
    return _Module(frozenset(imported), frozenset(called))


@cache
def _path_of(name: str) -> Path | None:
    """Return the file of a module of ours; None of a name within one, and of the room's own."""
    if name.startswith(_OUTBOUND):
        return None
    path = _ROOT.joinpath(*name.split("."))
    found = (path / "__init__.py", path.with_suffix(".py"))
    return next((each for each in found if each.is_file()), None)


def policies() -> Iterator[Document]:
    """Yield the NetworkPolicy of those that send.

    What is let through is what `taskflow.outbound.urls` takes for public, and by TCP: a second wall
    behind that one, and one for all that a pod may be brought to do.
    """
    special = [ip_network(each) for each in urls.SPECIAL]
    of_ipv4 = [each for each in special if each.version == 4]  # noqa: PLR2004 - the version
    of_ipv6 = [each for each in special if each.version == 6]  # noqa: PLR2004 - as above
    within = [
        IPv6Network(
            (
                int(urls.NAT64.network_address) + int(each.network_address),
                urls.NAT64.prefixlen + each.prefixlen,
            )
        )
        for each in of_ipv4
    ]
    blocks = (
        (ip_network("0.0.0.0/0"), of_ipv4),
        (urls.GLOBAL_UNICAST, of_ipv6),
        (urls.NAT64, within),
    )
    peers = [
        {"ipBlock": {"cidr": str(block), "except": [str(each) for each in but]}}
        for block, but in blocks
    ]
    yield document(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "to-outside",
        {
            "podSelector": {"matchLabels": {REACHES_OUTSIDE: "true"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": peers, "ports": [{"protocol": "TCP"}]}],
        },
    )
