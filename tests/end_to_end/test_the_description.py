"""The running system does what docs/openapi.json says of it, and nothing else (A12)."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.description import run, sign_up
from tests.support.description.generated_client import generate, module
from tests.support.processes.system import System

EXAMPLES = "4"
"""For each operation, and for each sequence of them along the links."""

SEED = "20261130"
"""The same requests each time; `make soak` sends others."""


@pytest.mark.timeout(180)
def test_the_system_answers_as_its_description_says(system: System, tmp_path: Path) -> None:
    somebody, another = sign_up(system, "somebody"), sign_up(system, "another")
    # Both spellings of a path are one function; what ends a session has runs of its own.
    own = ("--exclude-path-regex", "user_id|/docs", "--exclude-operation-id", "log_out")
    # Lines have a text of their own, which no schema says.
    for operation in ("delete_account", "end_session", "import_account"):
        own = (*own, "--exclude-operation-id", operation)
    bounds = ("--phases", "fuzzing,stateful", "--max-examples", EXAMPLES, "--seed", SEED)

    done = run(system, somebody, another, tmp_path, "--checks", "all", *bounds, *own)

    assert done.is_clean, done.output
    assert done.cases > 100, done.output


def test_a_client_made_from_the_description_works_through_the_session_of_the_readme(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    client, models = module("client"), module("models")
    auth, tasks = module("api.auth.register_user"), "api.tasks."

    with client.Client(base_url=system.url) as stranger:
        account = models.Registration(email="ada@example.com", password="correct horse battery")
        tokens = auth.sync(client=stranger, body=account)
    with client.AuthenticatedClient(base_url=system.url, token=tokens.access_token) as ada:
        due = datetime(2027, 1, 31, 17, 0, tzinfo=UTC)
        draft = models.NewTask(title="Buy milk", tags=["home"], due_date=due)
        create, key = module(f"{tasks}create_task"), "my-first-task"
        task = create.sync(client=ada, body=draft, idempotency_key=key)
        again = create.sync(client=ada, body=draft, idempotency_key=key)
        updated = module(f"{tasks}update_task").sync(
            task.id, client=ada, body=models.TaskChanges(priority=models.Priority.HIGH)
        )
        completed = module(f"{tasks}complete_task_by_post").sync(
            task.id, client=ada, body=models.Completion()
        )
        history = module(f"{tasks}list_task_history").sync(task.id, client=ada)
        missing = module(f"{tasks}get_task").sync(UUID(int=1), client=ada)

    assert (task.title, task.due_date, again.id) == ("Buy milk", due, task.id)
    assert (updated.priority, completed.completed) == (models.Priority.HIGH, True)
    types = [(event.version, event.event_type) for event in history.items]
    assert types == [(1, "task.created"), (2, "task.updated"), (3, "task.completed")]
    assert missing.type_ == "urn:taskflow:problem:task-not-found"
