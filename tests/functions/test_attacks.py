"""What is sent to be taken for something else: SQL, a path of somebody else, a field of ours."""

from urllib.parse import quote

import pytest
from sqlalchemy import func, select

from taskflow.domain.representations import TaskRepresentation
from taskflow.domain.tasks import TaskDraft
from taskflow.storage import transaction
from taskflow.storage.tables import TASKS
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import a_stored_task
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused

pytestmark = pytest.mark.usefixtures("database")

OF_THE_SERVER = sorted(TaskRepresentation.__annotations__.keys() - TaskDraft.model_fields.keys())
"""What a task shows and its draft does not have."""

SQL = [
    "x'; DELETE FROM tasks; --",
    "' OR '1'='1",
    "x' UNION SELECT password_hash FROM users --",
    "$$; SELECT pg_sleep(20); $$",
    "\\'; DELETE FROM tasks; --",
    "%' OR title LIKE '%",
    ":user_id",
    "{user_id}",
    '"; DELETE FROM tasks; --',
    "a & ! b | c:* <-> (",
]


@pytest.mark.parametrize("sql", SQL)
def test_sql_in_what_is_sent_is_kept_and_looked_for_as_text(
    user: SignedIn, other: SignedIn, sql: str
) -> None:
    api = Api(user)
    a_stored_task(other.user_id, title=f"Secret {sql}", tags=["secret"])
    body = {"title": sql, "description": sql, "tags": [sql], "metadata": {sql: sql}}

    created = content(api.post("/api/tasks", body))
    shown = content(api.get(f"/api/tasks/{created['id']}"))

    assert {name: shown[name] for name in body} == body
    by_tag = content(api.get(f"/api/tasks?tag={quote(sql)}"))["items"]
    assert [task["id"] for task in by_tag] == [created["id"]]
    for path in ("search?q", "tasks?sort", "tasks?cursor", "tasks?status", "tasks?due_before"):
        answer = api.get(f"/api/{path}={quote(sql)}")
        assert answer.status_code in {200, 422}
        assert "Secret" not in answer.get_data(as_text=True)
    for path in ("tasks", "tasks/{id}/history", "dead-letters"):
        answer = api.get(f"/api/{path.replace('{id}', quote(sql, safe=''))}/{quote(sql, safe='')}")
        assert answer.status_code in {403, 404}
    with transaction(A_CAUSE) as tx:
        count = select(func.count()).where(TASKS.c.user_id == other.user_id)
        assert tx.connection.execute(count).scalar_one() == 1


@pytest.mark.parametrize("field", OF_THE_SERVER)
def test_a_task_is_not_created_with_a_field_that_is_the_servers(
    user: SignedIn, other: SignedIn, field: str
) -> None:
    body = {"title": "Mine", field: other.user_id}

    assert_invalid(Api(user).post("/api/tasks", body), f"/{field}")


@pytest.mark.parametrize("field", ["role", "roles", "permissions", "user_id", "is_admin"])
def test_an_account_is_not_opened_with_a_field_that_gives_rights(field: str) -> None:
    body = {"email": f"{field}@example.com", "password": "correct horse battery", field: ["admin"]}

    assert_invalid(Api().post("/api/auth/register", body), f"/{field}")


@pytest.mark.parametrize(
    "path",
    [
        "/api/{own}/../{others}/tasks",
        "/api/{own}/%2e%2e/{others}/tasks",
        "/api/{own}/..%2f{others}/tasks",
        "/api/{own}%2f..%2f{others}/tasks",
        "/api/{own};/../{others}/tasks",
        "//api/{others}/tasks",
        "/api//{others}/tasks",
        "/api/{others}/tasks/",
        "/api/{others}/tasks;a=b",
        "/api/{others}\\tasks",
        "/API/{others}/tasks",
        "/api/{others}%00/tasks",
        "/api/./{others}/tasks",
        "/api/{others}/tasks?user_id={own}",
    ],
)
def test_a_path_that_is_written_otherwise_leads_to_nothing_of_another(
    user: SignedIn, other: SignedIn, path: str
) -> None:
    a_stored_task(other.user_id, title="Secret")
    filled = path.replace("{own}", user.user_id).replace("{others}", other.user_id)

    answer = Api(user).get(filled)

    assert answer.status_code in {403, 404}
    assert "Secret" not in answer.get_data(as_text=True)


def test_a_user_id_in_the_query_is_no_parameter(user: SignedIn, other: SignedIn) -> None:
    answer = Api(user).get(f"/api/tasks?user_id={other.user_id}")

    assert_refused(answer, 422, "invalid-content")
