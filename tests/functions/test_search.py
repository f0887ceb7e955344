"""Search: what a query finds, in which order, and what is shown of it (T7, T3, A3, A14)."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from taskflow.domain import search, tasks
from taskflow.domain.search import QUERY_WORDS_MAX
from taskflow.domain.tasks import Task
from taskflow.serving.pages import write_cursor
from taskflow.storage import task_lists
from tests.support.data.accounts import SignedIn, a_user
from tests.support.data.builders import a_stored_task
from tests.support.functions.client import Api, content
from tests.support.functions.pages import next_link, pages_of
from tests.support.functions.problems import assert_invalid

pytestmark = pytest.mark.usefixtures("database")

SEARCH_PAGE_MAX_BYTES = 256 * 1024
A_DAY = datetime(2026, 5, 1, 9, tzinfo=UTC)


def _items(api: Api, q: str, query: str = "") -> list[dict[str, Any]]:
    answer = api.get(f"/api/search?q={quote(q)}{query}")
    assert answer.status_code == 200, answer.text
    return content(answer)["items"]


def _found(api: Api, q: str, query: str = "") -> list[str]:
    return [item["title"] for item in _items(api, q, query)]


@pytest.mark.parametrize(
    ("q", "title"),
    [
        ("milk", "Buy Milk"),
        ("MIL", "Buy milk"),
        ("m", "Buy milk"),
        ("mil buy", "Buy milk at the corner"),
        ('"buy milk"', "Buy milk"),
        ("cafe", "Cafe\u0301 Central"),
        ("caf\u00e9", "CAFE central"),
        ("strasse", "Straße fegen"),
        ("STRASSE", "straße fegen"),
        ("istanbul", "İstanbul"),
        ("\u0131stanbul", "ISTANBUL"),
        ("елка", "Купить ёлку, ёлка"),
        ("lodz", "Zug nach Łódź"),
        ("牛乳", "買牛乳を買う"),
        ("한국", "한국어 공부"),
        ("हिन्दी", "हिन्दी सीखना"),
        ("नम", "नमस्ते"),
        ("สวัสดี", "สวัสดีครับ"),
        ("e-mail", "Write an e-mail"),
        ("mail", "Write an e-mail"),
        ("2.5", "Version 2.5 is out"),
        ("a@example.com", "Write to a@example.com"),
        ("🛒", "🛒 shop"),
        ("#home", "home alone"),
        ("o'brien", "Call O’Brien"),
        ("\uff2d\uff49lk", "milk"),
    ],
)
def test_a_task_is_found_by_words_of_its_title(
    user: SignedIn, api: Api, q: str, title: str
) -> None:
    a_stored_task(user.user_id, title="Something else")
    a_stored_task(user.user_id, title=title)

    assert _found(api, q) == [title]


@pytest.mark.parametrize(
    ("q", "title"),
    [
        ("ilk", "Buy milk"),
        ('"mil"', "Buy milk"),
        ('"milk buy"', "Buy milk"),
        ("milk tea", "Buy milk"),
        ("milk -buy", "Buy milk"),
        ('milk -"buy milk"', "Buy milk"),
        ("乳牛", "買牛乳"),
        ("mail-e", "Write an e-mail"),
    ],
)
def test_a_task_that_does_not_match_is_not_found(
    user: SignedIn, api: Api, q: str, title: str
) -> None:
    a_stored_task(user.user_id, title=title)

    assert _found(api, q) == []


def test_a_task_is_found_by_its_description_and_its_tags_and_by_words_of_all(
    user: SignedIn, api: Api
) -> None:
    a_stored_task(
        user.user_id, title="Party", description="Balloons, cake", tags=["friends", "Zu Hause"]
    )

    for q in ("balloon", "cake", "frie", '"zu hause"', "cake party friends", "-tea party"):
        assert _found(api, q) == ["Party"], q
    # Words of two fields do not stand side by side.
    for q in ('"party friends"', '"party balloons"', '"hause balloons"', "party -cake"):
        assert _found(api, q) == [], q


def test_the_best_come_first_and_the_newest_of_those(user: SignedIn, api: Api) -> None:
    for title, rest in (
        ("Milk tea", {}),
        ("In its text", {"description": "milk"}),
        ("Milkshake", {}),
        ("Breakfast", {"tags": ["milk"]}),
        ("Oat milk", {}),
        ("In its text too", {"description": "milky"}),
        ("Tea", {}),
    ):
        a_stored_task(user.user_id, title=title, **rest)

    assert _found(api, "milk") == [
        *("Oat milk", "Milk tea"),
        *("Breakfast", "Milkshake"),
        *("In its text too", "In its text"),
    ]


def test_excluded_words_alone_find_all_others_the_newest_first(user: SignedIn, api: Api) -> None:
    for title in ("Milk", "Tea", "Milkshake", "Coffee"):
        a_stored_task(user.user_id, title=title)

    assert _found(api, "-milk") == ["Coffee", "Milkshake", "Tea"]
    assert _found(api, '-"milk" -tea') == ["Coffee", "Milkshake"]
    [first, second] = pages_of(api, "/api/search?q=-milk&limit=2")
    assert (len(first), len(second)) == (2, 1)


def test_a_found_task_has_all_its_fields_and_what_matched(user: SignedIn, api: Api) -> None:
    task = a_stored_task(
        user.user_id, title="<b>Milk</b> & <mark>", description="No </mark><script> but milk"
    )

    [item] = _items(api, "milk")

    assert item.pop("highlights") == {
        "title": "&lt;b&gt;<mark>Milk</mark>&lt;/b&gt; &amp; &lt;mark&gt;",
        "description": "No &lt;/mark&gt;&lt;script&gt; but <mark>milk</mark>",
    }
    assert item == content(api.get(f"/api/tasks/{task.id}"))


def test_a_task_found_by_a_tag_has_no_highlights(user: SignedIn, api: Api) -> None:
    a_stored_task(user.user_id, title="Party", description="Cake", tags=["friends"])

    [item] = _items(api, "friends")

    assert item["highlights"] == {}


@pytest.mark.parametrize(
    "q",
    [
        *('"', '""', "&", "&|!", ":*", "a:*", "a:b", "!a", "(a", "a)", "a <-> b", "a & | b"),
        *("'", "''", "a'b", "\\", "a\\", "%", "_", "-", "--", '-"', "*", "a*", "$$", "é:A", "{}"),
        *("?", ";", "' OR 1=1 --", "<mark>", "\u200b", "\u0301", "\U0010ffff", "a" * 255),
        '"a" "b" -"c" d-e',
    ],
)
def test_no_sign_in_a_query_is_an_error(user: SignedIn, api: Api, q: str) -> None:
    a_stored_task(user.user_id, title="Milk")

    assert _found(api, q) == []


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("", ["/q"]),
        ("q=", ["/q"]),
        ("q=+%09", ["/q"]),
        ("q=a&q=b", ["/q"]),
        ("q=%00", ["/q"]),
        (f"q={'a' * (search.QUERY_MAX_CHARS + 1)}", ["/q"]),
        (f"q={'a' * 10_000}", ["/q"]),
        (f"q={'a+' * 100}", []),
        (f"q={'+'.join(map(str, range(QUERY_WORDS_MAX + 1)))}", ["/q"]),
        ("q=a&sort=rank", ["/sort"]),
        ("q=a&limit=0&status=done&cursor=x", ["/limit", "/status/0"]),
        ("q=a&cursor=x", ["/cursor"]),
        ("q=a&text=b", ["/text"]),
    ],
    ids=lambda value: f"{str(value)[:40]} ({len(value)})",
)
def test_every_wrong_parameter_of_a_search_is_named(
    api: Api, query: str, pointers: list[str]
) -> None:
    answer = api.get(f"/api/search?{query}")

    if pointers:
        assert_invalid(answer, *pointers)
    else:
        assert answer.status_code == 200


def test_the_tasks_of_others_and_deleted_ones_are_not_found(
    user: SignedIn, other: SignedIn, api: Api
) -> None:
    a_stored_task(other.user_id, title="Milk of another", tags=["milk"], description="milk")
    deleted = a_stored_task(user.user_id, title="Milk, deleted")
    api.delete(f"/api/tasks/{deleted.id}")

    for q in ("milk", '"milk"', "milk -x", "-x"):
        for sort in ("relevance", "title"):
            assert _found(api, q, f"&sort={sort}") == []
    api.post(f"/api/tasks/{deleted.id}/restore")
    assert _found(api, "milk") == ["Milk, deleted"]


def test_a_changed_task_is_found_by_what_it_says_now(user: SignedIn, api: Api) -> None:
    task = a_stored_task(user.user_id, title="Milk", description="white", tags=["food"])

    api.patch(f"/api/tasks/{task.id}", {"title": "Tea", "description": "green", "tags": ["drinks"]})

    assert [_found(api, q) for q in ("milk", "white", "food")] == [[], [], []]
    assert [_found(api, q) for q in ("tea", "green", "drinks")] == [["Tea"]] * 3


def _some_of_each(user_id: str) -> Sequence[Task]:
    """Store tasks that match in different places, with ties."""
    texts: Sequence[dict[str, Any]] = (
        {"title": "milk"},
        {"title": "milky", "tags": ["a"]},
        {"title": "tea", "tags": ["milk"]},
        {"title": "coffee", "description": "milk"},
    )
    return [
        a_stored_task(
            user_id,
            priority=("low", "high")[number % 2],
            status=("pending", "completed")[number % 3 == 0],
            due_date=None if number % 5 == 0 else (A_DAY + timedelta(days=number)).isoformat(),
            **texts[number % 4],
        )
        for number in range(24)
    ]


@pytest.fixture(scope="module")
def many(database: object) -> tuple[SignedIn, Sequence[Task]]:  # noqa: ARG001 - it must run
    """Store tasks that match in different places, with ties, for tests that only read."""
    owner = a_user()
    return owner, _some_of_each(owner.user_id)


@pytest.fixture(params=["few", "many"])
def matches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have searches find few tasks, or more than are read at once."""
    if request.param == "many":
        for name, most in (("LOOKED_AT_FIRST", 3), ("FEW", 2), ("LOOKED_AT_MOST", 5)):
            monkeypatch.setattr(task_lists, name, most)
    return request.param


SORTS = ["relevance", *(sign + name for name in task_lists.SORTABLE for sign in ("", "-"))]


@pytest.mark.usefixtures("matches")
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize(
    "narrowed",
    ["", "&status=pending", "&priority=high", "&tag=a", "&due_after=2026-05-05T00:00:00Z"],
)
def test_the_pages_of_a_search_are_the_whole_of_it_in_order(
    many: tuple[SignedIn, Sequence[Task]], sort: str, narrowed: str
) -> None:
    api, stored = Api(many[0]), many[1]
    of_list = "-created_at" if sort == "relevance" else sort
    wanted = _all(api, f"/api/tasks?limit=200{narrowed}&sort={of_list}")
    if sort == "relevance":
        by_relevance = {str(task.id): (0, 1, 1, 2)[n % 4] for n, task in enumerate(stored)}
        wanted.sort(key=by_relevance.__getitem__)

    found = _all(api, f"/api/search?q=milk&limit=3{narrowed}&sort={sort}")

    assert found == wanted


def _all(api: Api, path: str) -> list[str]:
    return [task_id for page in pages_of(api, path) for task_id in page]


@pytest.mark.usefixtures("matches")
@pytest.mark.parametrize("sort", ["relevance", "title", "-due_date"])
def test_tasks_that_change_between_pages_shift_no_other(
    user: SignedIn, api: Api, sort: str
) -> None:
    stored = _some_of_each(user.user_id)
    path = f"/api/search?q=milk&limit=4&sort={sort}"
    undisturbed = _all(api, f"/api/search?q=milk&sort={sort}&limit=200")
    changing = [str(task.id) for number, task in enumerate(stored) if number % 3]
    changed, seen = set[str](), list[str]()
    cursor = None
    for number in range(100):
        answer = content(api.get(path + (f"&cursor={cursor}" if cursor else "")))
        seen += [item["id"] for item in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
        # One that is gone, one that no longer matches, one that moves up, and two new ones.
        gone, other, better = (changing[(5 * number + step) % 16] for step in (0, 7, 14))
        changed |= {gone, other, better}
        api.delete(f"/api/tasks/{gone}")
        api.patch(f"/api/tasks/{other}", {"title": "tea", "tags": [], "description": None})
        api.patch(f"/api/tasks/{better}", {"title": "milk, more than before"})
        a_stored_task(user.user_id, title="milk")
        a_stored_task(user.user_id, title="tea", description="milk")

    stayed = [task_id for task_id in undisturbed if task_id not in changed]
    assert [task_id for task_id in seen if task_id in set(stayed)] == stayed
    assert len(stayed) > 3


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


A_KEY = "2026-05-01T09:00:00Z"
AN_ID = "019d0000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    "cursor",
    [
        write_cursor("-created_at", A_KEY, AN_ID),
        write_cursor("relevance", A_KEY, AN_ID),
        write_cursor("relevance", A_KEY, AN_ID, 0),
        write_cursor("relevance", A_KEY, AN_ID, 4),
        write_cursor("relevance", A_KEY, AN_ID, 1 << 40),
        write_cursor("relevance", A_KEY, AN_ID, "3"),
        write_cursor("relevance", "soon", AN_ID, 3),
        write_cursor("relevance", "'; DROP TABLE tasks; --", AN_ID, 3),
        write_cursor("relevance", A_KEY, "x", 3),
        _encoded(json.dumps(["relevance", A_KEY, AN_ID, True])),
        _encoded("[" * 5_000),
    ],
)
def test_a_cursor_that_is_not_of_this_search_is_refused(api: Api, cursor: str) -> None:
    assert_invalid(api.get(f"/api/search?q=milk&cursor={cursor}"), "/cursor")


def test_large_tasks_shorten_the_page(user: SignedIn, api: Api) -> None:
    number = 2 + SEARCH_PAGE_MAX_BYTES // tasks.DESCRIPTION_MAX_CHARS
    for _ in range(number):
        a_stored_task(user.user_id, title="milk", description="milk " * 2_000)

    answers = [api.get("/api/search?q=milk")]
    answers += [api.get(next_link(answers[0].headers["Link"]))]

    shown = [len(content(answer)["items"]) for answer in answers]
    assert sum(shown) == number
    assert shown[1] > 0
    assert len(answers[0].data) < SEARCH_PAGE_MAX_BYTES + 1024
