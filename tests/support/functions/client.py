"""A client for the functions in this process, each loaded as functions-framework loads it."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from werkzeug import Response
from werkzeug.test import Client, TestResponse
from werkzeug.wsgi import get_path_info

from taskflow.server.loading import Function, discover
from taskflow.serving.endpoint import Endpoint
from taskflow.standalone.router import Router
from tests.support.data.accounts import SignedIn
from tests.support.functions.declarations import Declarations
from tests.support.paths import ROOT


@cache
def all_functions() -> Sequence[Function]:
    """Load every function, once."""
    return discover(ROOT / "functions")


def content(answer: Response) -> dict[str, Any]:
    """Return the JSON object that an answer holds."""
    assert answer.is_json, answer.get_data(as_text=True)
    return answer.get_json()


@cache
def _router() -> Router:
    return Router(all_functions())


@cache
def _declarations() -> Declarations:
    found = [function.endpoint for function in all_functions()]
    return Declarations([endpoint for endpoint in found if isinstance(endpoint, Endpoint)])


class Api:
    """Sends requests to the functions as one user, or without a token.

    Each answer is held against what its endpoint declares.
    """

    def __init__(self, user: SignedIn | None = None) -> None:
        """Sign in as `user`, if there is one."""
        self.user = user
        self._client = Client(_router(), use_cookies=False)
        # Made here, not by the first of several threads that send: Python 3.11 fails now and then
        # where two of them parse source at once, as werkzeug does for each rule.
        self._declarations = _declarations()

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        **options: Any,  # noqa: ANN401 - werkzeug's own
    ) -> TestResponse:
        """Send a request; `{user_id}` in the path stands for the user's own."""
        signed = self.user.headers if self.user else {}
        filled = path.replace("{user_id}", self.user.user_id if self.user else "nobody")
        answer = self._client.open(
            filled,
            method=method,
            headers={**signed, **(headers or {})},
            # As a server does, which closes an answer once it is sent.
            **{"buffered": True, **options},
        )
        path = get_path_info(answer.request.environ)
        self._declarations.check(answer, method=method, path=path)
        return answer

    def get(self, path: str, **options: Any) -> TestResponse:  # noqa: ANN401 - as above
        """Send GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:  # noqa: ANN401 - as above
        """Send POST, with a body of JSON if there is one."""
        return self._with_body("POST", path, json, options)

    def put(self, path: str, json: Any = None, **options: Any) -> TestResponse:  # noqa: ANN401 - as above
        """Send PUT."""
        return self._with_body("PUT", path, json, options)

    def patch(self, path: str, json: Any = None, **options: Any) -> TestResponse:  # noqa: ANN401 - as above
        """Send PATCH."""
        return self._with_body("PATCH", path, json, options)

    def delete(self, path: str, **options: Any) -> TestResponse:  # noqa: ANN401 - as above
        """Send DELETE."""
        return self.request("DELETE", path, **options)

    def _with_body(
        self, method: str, path: str, json: object, options: dict[str, Any]
    ) -> TestResponse:
        if json is not None:
            options["json"] = json
        return self.request(method, path, **options)
