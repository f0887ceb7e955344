"""Replays in this process, advanced by the cron function that does so."""

from typing import Any

from taskflow.domain.text import JsonObject
from tests.support.delivery.subscribers import assert_taken, tick
from tests.support.functions.client import Api, content

REPLAYS = "/api/admin/replay"
TICKS_MAX = 10_000


def started(admin: Api, **wanted: Any) -> JsonObject:  # noqa: ANN401 - what JSON may hold
    """Have a replay started, into shadow tables by default; return it as it was accepted."""
    answer = admin.post(REPLAYS, {"to": "shadow", **wanted})
    assert answer.status_code == 202, answer.text
    replay = content(answer)
    assert answer.headers["Location"] == f"{REPLAYS}/{replay['id']}"
    return replay


def shown(admin: Api, replay: JsonObject) -> JsonObject:
    """Return a replay as it is now."""
    return content(admin.get(f"{REPLAYS}/{replay['id']}"))


def finished(admin: Api, replay: JsonObject) -> JsonObject:
    """Wake who advances replays until this one is done; return it then."""
    for _ in range(TICKS_MAX):
        assert_taken(tick("advance-replays"))
        found = shown(admin, replay)
        if found["state"] not in {"waiting", "running"}:
            return found
    message = f"the replay is not done: {shown(admin, replay)}"
    raise AssertionError(message)
