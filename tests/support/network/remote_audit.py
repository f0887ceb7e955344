"""What an administrator of a running system sees of its audit and its dead letters."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import requests

from tests.support.data.accounts import SignedIn
from tests.support.network.remote_api import HttpServer, signed_in
from tests.support.polling import eventually

ANSWERED_WITHIN_S = 60
LOOK_S = 2.0

RECONCILED_WITHIN_S = 900.0
"""Within which what was not delivered is, once all is well: a source gives an event up within five
minutes, and may wait two with a letter that could not be stored before; the next run of
`reconcile-consumers`, within five, asks for it again, and the next of `publish-outbox` publishes
it. The rest is for functions that start."""


class RemoteAudit:
    """Asks a running system as an administrator, whose token is renewed as it runs out."""

    def __init__(self, system: HttpServer, administrator: SignedIn) -> None:
        self._system = system
        self._administrator = administrator

    def wait_until_complete(self, user: SignedIn, newest: int) -> None:
        """Wait until each event of a user has its entry, once, up to `newest` of their `seq`."""

        def check() -> None:
            assert self.seqs_of(user) == list(range(1, newest + 1))

        eventually(check, within_s=RECONCILED_WITHIN_S, every_s=LOOK_S)

    def wait_until_no_letter_is_dead(self) -> None:
        """Wait until whatever died was sent again, or was delivered after all."""

        def check() -> None:
            assert self._pages("dead-letters", state="dead") == []

        eventually(check, within_s=RECONCILED_WITHIN_S, every_s=LOOK_S)

    def seqs_of(self, user: SignedIn) -> list[int]:
        """Return the `seq` of each audit entry of a user, in order."""
        return sorted(entry["seq"] for entry in self._pages("audit", user_id=user.user_id))

    def assert_verified(self, user: SignedIn) -> None:
        """Check the chain of a user's events, and each entry against its event."""
        found = self._get("audit/verify", user_id=user.user_id, settled="true")
        assert found["ok"] is True, found

    def _pages(self, what: str, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        query["limit"] = "200"
        while True:
            page = self._get(what, **query)
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            query["cursor"] = page["next_cursor"]

    def _get(self, what: str, **query: str) -> dict[str, Any]:
        answer = self._answer(what, query)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._administrator = signed_in(self._system, "login", self._administrator.email)
            answer = self._answer(what, query)
        assert answer.status_code == HTTPStatus.OK, answer.text
        return answer.json()

    def _answer(self, what: str, query: Mapping[str, str]) -> requests.Response:
        return requests.get(
            f"{self._system.url}/api/admin/{what}",
            params=query,
            headers=self._administrator.headers,
            timeout=ANSWERED_WITHIN_S,
        )
