"""Paths and methods that another function takes from now on than in the release before.

The gateway leads them to the earlier function until it is told otherwise, so that one must not be
deployed, without them, before.
"""

import json
from collections.abc import Iterable, Iterator

from knative.cluster import OURS, Document, list_of

ROUTE = "gateway.networking.k8s.io/v1 HTTPRoute"


def losing(documents: Iterable[Document]) -> set[str]:
    """Return the functions that give something up to another, by the routes that there are now.

    A function's HTTPRoute has its name. Of two that give each other something up, both.
    """
    wanted = {match: name for name, match in _matches(_routes(documents))}
    live = _matches(list_of(ROUTE, OURS, "--all-namespaces"))
    return {name for name, match in live if wanted.get(match, name) != name}


def in_order(documents: Iterable[Document], losing: Iterable[str]) -> list[Document]:
    """Return the HTTPRoutes, those last that give something up.

    Of two that match the same the older one is served, so that nothing is refused in between.
    """
    last = frozenset(losing)
    return sorted(_routes(documents), key=lambda each: each["metadata"]["name"] in last)


def _routes(documents: Iterable[Document]) -> list[Document]:
    return [each for each in documents if each["kind"] == "HTTPRoute"]


def _matches(routes: Iterable[Document]) -> Iterator[tuple[str, str]]:
    """Yield the name of each route with each of what it matches, and leads to a function."""
    for route in routes:
        for rule in route["spec"]["rules"]:
            if rule.get("backendRefs"):
                for match in rule["matches"]:
                    yield route["metadata"]["name"], json.dumps(match, sort_keys=True)
