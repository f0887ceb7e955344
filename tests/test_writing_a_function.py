"""The page about writing a function, followed step by step."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from werkzeug.test import Client

from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import Event
from taskflow.eventing.bindings.knative import headers_of
from taskflow.server.loading import Function, load
from taskflow.standalone.router import Router
from tests.support.data.accounts import SignedIn
from tests.support.data.builders import a_stored_task, log_of
from tests.support.functions.client import Api
from tests.support.functions.folder_rules import SOURCE_RULES
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("database")

STEP = re.compile(
    r"The folder `(?P<name>[\w-]+)`, its `main\.py`:\n\n```python\n(?P<source>.*?)```", re.DOTALL
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """Write the page's functions to folders."""
    page = (ROOT / "docs" / "writing-a-function.md").read_text()
    folder: Path = tmp_path_factory.mktemp("functions")
    for step in STEP.finditer(page):
        (folder / step["name"]).mkdir()
        (folder / step["name"] / "main.py").write_text(step["source"])
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def written(database: object, folders: Sequence[Path]) -> Mapping[str, Function]:  # noqa: ARG001 - it must run
    """Load the page's functions."""
    return {folder.name: load(folder / "main.py") for folder in folders}


@pytest.mark.parametrize("rule", SOURCE_RULES, ids=lambda rule: rule.__name__)
def test_the_functions_of_the_guide_keep_the_rules(
    folders: Sequence[Path], rule: Callable[[Path], None]
) -> None:
    assert len(folders) == 3
    for folder in folders:
        rule(folder)


def test_the_endpoint_of_the_guide_answers(written: Mapping[str, Function], user: SignedIn) -> None:
    router = Router([written["get-newest-seq"]])
    a_stored_task(user.user_id)

    answer = Client(router).get("/api/events/newest", headers=user.headers)

    assert (answer.status_code, answer.json) == (200, {"seq": 2})


def test_the_consumer_of_the_guide_has_its_effect_once(
    written: Mapping[str, Function], user: SignedIn, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = Client(written["log-completions"].app)
    # It starts with what is brought to it first, and takes nothing from before.
    before, after = _a_completion(user), _a_completion(user)

    with caplog.at_level(logging.INFO):
        statuses = [_delivered(consumer, event) for event in (before, after, after)]
        after = _a_completion(user)
        statuses += [_delivered(consumer, after) for _ in range(2)]

    assert set(statuses) == {204}
    said = [line for line in caplog.messages if line.endswith("is done")]
    assert said == [f"task {after.aggregate_id} is done"]


def _a_completion(user: SignedIn) -> Event:
    task = a_stored_task(user.user_id)
    assert Api(user).post(f"/api/tasks/{task.id}/complete").status_code == 200
    return log_of(user.user_id)[-1]


def _delivered(consumer: Client, event: Event) -> int:
    body = event.record_json().encode()
    return consumer.post("/", headers=headers_of(attributes_of(event)), data=body).status_code


def test_the_cron_function_of_the_guide_runs(written: Mapping[str, Function]) -> None:
    tick = {"specversion": "1.0", "id": "1", "type": "a.tick", "source": "/a-test"}

    answer = Client(written["log-dead-letters"].app).post("/", headers=headers_of(tick))

    assert answer.status_code == 204
