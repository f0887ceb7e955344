"""One address for all functions: each request goes to the one that declares its route."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from werkzeug.exceptions import NotFound
from werkzeug.wsgi import get_path_info

from taskflow.eventing.frame import Subscriber
from taskflow.server.loading import Function
from taskflow.serving.endpoint import Endpoint
from taskflow.serving.frame import SIBLING_METHODS, Frame
from taskflow.serving.routes import Route, url_map

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Router:
    """A WSGI app in front of the functions."""

    def __init__(self, functions: Sequence[Function]) -> None:
        """Gather the routes that the functions declare."""
        self._at: dict[str, dict[str, WSGIApplication]] = {}
        for function in functions:
            if isinstance(function.endpoint, Subscriber):
                # Events are delivered on a way of their own, which no client can reach.
                continue
            for route in function.endpoint.routes:
                self._at.setdefault(route.template, {})[route.method] = function.serve
        self._paths = url_map([(Route("GET", path), path) for path in self._at])
        self._nobody = Frame(Endpoint.of(_no_handler, []), _no_handler)

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Hand a request to its function; a path without a function is answered with a problem."""
        try:
            template, _ = self._paths.bind("").match(get_path_info(environ), method="GET")
        except NotFound:
            return self._nobody.serve(environ, start)
        apps = self._at[template]
        environ[SIBLING_METHODS] = set(apps)
        method = "GET" if environ["REQUEST_METHOD"] == "HEAD" else environ["REQUEST_METHOD"]
        # Where no function takes the method, any function of the path says so.
        app = apps.get(method) or next(iter(apps.values()))
        return app(environ, start)


def _no_handler() -> NoReturn:
    raise AssertionError  # an endpoint without routes matches nothing
