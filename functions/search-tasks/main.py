"""GET /api/{user_id}/search: find one's tasks by their words, best first, in pages."""

from typing import Annotated, Literal
from uuid import UUID

from flask import Request
from pydantic import Field

from taskflow.domain import search, tasks
from taskflow.domain.representations import TaskRepresentation
from taskflow.domain.search import Highlighter, Highlights
from taskflow.domain.tasks import Task
from taskflow.domain.text import NotBlank
from taskflow.serving import (
    Caller,
    Page,
    TaskFilterQuery,
    TaskSort,
    http_function,
    page,
    read_cursor,
    write_cursor,
)
from taskflow.storage import Transaction, task_lists
from taskflow.storage.search_words import tsqueries_of
from taskflow.storage.task_lists import Found, Position

PAGE_MAX_BYTES = 256 * 1024
"""Smaller than that of a list, for each text on it is looked through for what to highlight."""

BY_RELEVANCE = "relevance"


class SearchQuery(TaskFilterQuery):
    """What to find, and how to narrow and sort it, as a list of tasks."""

    q: Annotated[
        NotBlank,
        Field(
            max_length=search.QUERY_MAX_CHARS,
            examples=["milk"],
            description=(
                "Words that begin words of the title, the tags or the description, in any order; "
                'in quotes, `"exact words side by side"`; after a minus, `-without`.'
            ),
        ),
    ]
    sort: Annotated[
        Literal["relevance", TaskSort],
        Field(description="By what: the best first; or as a list of tasks."),
    ] = BY_RELEVANCE


class FoundTask(TaskRepresentation):
    """A task that was found."""

    highlights: Annotated[
        Highlights,
        Field(description="Where it matches, as HTML: matches in `<mark>`, all else escaped."),
    ]


@http_function("GET /api/{user_id}/search", permission="tasks:read")
def search_tasks(
    caller: Caller, request: Request, query: SearchQuery, tx: Transaction
) -> Page[FoundTask]:
    wanted = search.parse(query.q)
    highlighter = Highlighter(wanted)

    def represent(row: tuple[Task, Position]) -> FoundTask:
        task, _ = row
        highlights = highlighter.of(task.title, task.description)
        return {**tasks.represent(task), "highlights": highlights}

    def cursor(at: Position) -> str:
        return write_cursor(query.sort, at.key, str(at.id), *_relevance(at))

    found = _found(tx, caller.user_id, query, wanted)
    return page(
        request,
        found.tasks,
        query.limit,
        represent=represent,
        cursor=lambda row: cursor(row[1]),
        then=found.then and cursor(found.then),
        max_bytes=PAGE_MAX_BYTES,
    )


def _found(tx: Transaction, user_id: str, query: SearchQuery, wanted: search.SearchQuery) -> Found:
    after = _position(query)
    if not (wanted.terms or wanted.excluded):
        return Found([])
    narrowed = query.wanted(text=tsqueries_of(user_id, wanted))
    limit = query.limit + 1
    if query.sort == BY_RELEVANCE:
        return task_lists.list_by_relevance(tx, user_id, narrowed, after=after, limit=limit)
    return task_lists.list_of(tx, user_id, narrowed, sort=query.sort, after=after, limit=limit)


def _position(query: SearchQuery) -> Position | None:
    if query.cursor is None:
        return None
    kinds = [str, UUID, *([int] if query.sort == BY_RELEVANCE else [])]
    return Position(*read_cursor(query.cursor, query.sort, *kinds))


def _relevance(at: Position) -> list[int]:
    return [] if at.relevance is None else [at.relevance]
