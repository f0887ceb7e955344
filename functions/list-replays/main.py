"""GET /api/admin/replay: list replays, newest first."""

from flask import Request

from taskflow import clock
from taskflow.domain.times import rfc3339
from taskflow.serving import Page, PageQuery, http_function, page, read_position, write_cursor
from taskflow.serving.replays import ReplaySummary, summary
from taskflow.storage import Transaction, replay_store

OF = "replays"


@http_function("GET /api/admin/replay", permission="events:replay", scale="seldom")
def list_replays(request: Request, query: PageQuery, tx: Transaction) -> Page[ReplaySummary]:
    now = clock.now()
    after = None if query.cursor is None else read_position(query.cursor, OF)
    found = replay_store.list_of(tx, after=after, limit=query.limit + 1)
    return page(
        request,
        found,
        query.limit,
        represent=lambda replay: summary(replay, now=now),
        cursor=lambda replay: write_cursor(OF, rfc3339(replay.created_at), str(replay.id)),
    )
