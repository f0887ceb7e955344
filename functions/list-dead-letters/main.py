"""GET /api/admin/dead-letters: list dead letters, newest first."""

from typing import Annotated, Literal

from flask import Request
from pydantic import Field

from taskflow.domain.text import Text
from taskflow.domain.times import rfc3339
from taskflow.serving import Page, PageQuery, http_function, page, read_position, write_cursor
from taskflow.serving.dead_letters import DeadLetterSummary, summary
from taskflow.storage import Transaction, dead_letter_store


class DeadLetterQuery(PageQuery):
    """Which dead letters to list."""

    state: Annotated[
        Literal["dead", "resent", "discarded", "delivered"] | None,
        Field(description="In this state."),
    ] = None
    consumer: Annotated[Text | None, Field(description="Given up for this consumer.")] = None


@http_function("GET /api/admin/dead-letters", permission="events:replay", scale="seldom")
def list_dead_letters(
    request: Request, query: DeadLetterQuery, tx: Transaction
) -> Page[DeadLetterSummary]:
    after = None if query.cursor is None else read_position(query.cursor, "dead")
    found = dead_letter_store.list_of(
        tx, state=query.state, consumer=query.consumer, after=after, limit=query.limit + 1
    )
    return page(
        request,
        found,
        query.limit,
        represent=summary,
        cursor=lambda letter: write_cursor("dead", rfc3339(letter.received_at), str(letter.id)),
    )
