"""Webhooks and messages to browsers, as other implementations of their standards read them."""

import json
import shutil
import subprocess
from collections.abc import Generator, Iterable
from pathlib import Path
from random import Random
from secrets import randbits
from typing import Any
from uuid import uuid4

import pytest

from taskflow import clock
from taskflow.domain.identifiers import new_id
from taskflow.domain.notices import Notice
from taskflow.domain.text import JsonObject, compact_json
from taskflow.outbound import web_push, webhooks
from taskflow.outbound.outcomes import Accepted
from taskflow.outbound.push_limits import TEXT_MAX_CHARS
from taskflow.outbound.web_push import PushSubscription
from tests.support.network.browser import Browser, encoded
from tests.support.network.endpoint import LOOPBACK, Endpoint, Request, an_endpoint
from tests.support.settings import changed_settings

pytestmark = pytest.mark.soak

SENT = 500
RECEIVER = Path(__file__).parent / "outbound"
VAPID_KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
CHARACTERS = 'aä📚"\\\n\x01\u2028 '


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.fail("The implementations that read it run on Node.js: install node and npm.")
    folder = tmp_path_factory.mktemp("receiver")
    shutil.copytree(RECEIVER, folder, dirs_exist_ok=True)
    subprocess.run(["npm", "ci", "--silent"], cwd=folder, check=True, stdin=subprocess.DEVNULL)
    return folder / "receiver.mjs"


@pytest.fixture
def endpoint() -> Generator[Endpoint]:
    with (
        changed_settings(
            outbound_allowed_networks=LOOPBACK,
            vapid_private_key=VAPID_KEY,
            vapid_subject="mailto:ops@app.example",
        ),
        an_endpoint() as running,
    ):
        yield running


def _read_by(receiver: Path, sent: Iterable[JsonObject]) -> list[Any]:
    read = subprocess.run(
        ["node", str(receiver)],
        input="".join(json.dumps(each) + "\n" for each in sent),
        capture_output=True,
        text=True,
        check=True,
    )
    # Other characters that end a line may be part of what is read.
    return [json.loads(line) for line in read.stdout.rstrip("\n").split("\n")]


def _as_sent(kind: str, request: Request, **more: str) -> JsonObject:
    body = encoded(request.body)
    return {"kind": kind, "headers": dict(request.headers), "body": body, **more}


def _a_text(rng: Random) -> str:
    return "".join(rng.choices(CHARACTERS, k=rng.randrange(1, 300)))


def test_webhooks_are_verified_by_either_secret_and_by_no_other(
    receiver: Path, endpoint: Endpoint
) -> None:
    seed = randbits(32)
    print(f"\nSeed {seed}")
    rng = Random(seed)
    contents = [{"type": "task.created", "data": {"title": _a_text(rng)}} for _ in range(SENT)]
    old, new = webhooks.new_secret(), webhooks.new_secret()
    for content in contents:
        body = compact_json(content).encode()
        webhooks.send(endpoint.url, [new, old], str(uuid4()), body, now=clock.now())

    for secret in (old, new):
        sent = [_as_sent("webhook", request, secret=secret) for request in endpoint.requests]
        assert [each.get("holds") for each in _read_by(receiver, sent)] == contents

    another = webhooks.new_secret()
    sent = [_as_sent("webhook", request, secret=another) for request in endpoint.requests]
    changed = _as_sent("webhook", endpoint.requests[0], secret=new)
    changed["body"] = encoded(b"{}")
    assert {each.get("refused") for each in _read_by(receiver, [*sent, changed])} == {
        "No matching signature found"
    }


def test_browsers_read_what_they_are_pushed(receiver: Path, endpoint: Endpoint) -> None:
    seed = randbits(32)
    print(f"\nSeed {seed}")
    rng = Random(seed)
    sent: list[JsonObject] = []
    titles: list[str] = []
    for _ in range(SENT):
        browser, title = Browser(), _a_text(rng)
        now = clock.now()
        notice = Notice(
            id=new_id(now),
            title=title,
            message=None,
            task_id=new_id(now),
            remind_at=now,
            due_date=now,
            created_at=now,
        )
        subscription = PushSubscription.model_validate(browser.subscription(endpoint.url))
        assert web_push.send(subscription, notice) == Accepted()
        key = encoded(browser.key.private_numbers().private_value.to_bytes(32))
        sent.append(_as_sent("push", endpoint.requests[-1], key=key, auth=encoded(browser.auth)))
        titles.append(title if len(title) <= TEXT_MAX_CHARS else title[: TEXT_MAX_CHARS - 1] + "…")

    read = _read_by(receiver, sent)

    assert [each.get("refused") for each in read] == [None] * SENT
    assert [each["holds"]["content"]["title"] for each in read] == titles
    assert {each["holds"]["claims"]["aud"] for each in read} == {endpoint.url.removesuffix("/hook")}
    # For another browser it is of no use.
    sent[0]["auth"] = encoded(Browser().auth)
    [refused] = _read_by(receiver, sent[:1])
    assert "refused" in refused
