"""GET /api/{user_id}/statistics: count one's open, overdue and lately completed tasks, and tags."""

from typing import Annotated

from pydantic import Field

from taskflow import clock
from taskflow.domain import statistics
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.statistics import DAYS_DEFAULT, DAYS_MAX, StatisticsRepresentation
from taskflow.serving import Caller, Ok, Query, http_function
from taskflow.storage import Transaction, account_store, task_counts


class StatisticsQuery(Query):
    """Of how long a time completed tasks are counted."""

    days: Annotated[
        int,
        Field(ge=1, le=DAYS_MAX, description="Of how many days, today included."),
    ] = DAYS_DEFAULT


@http_function("GET /api/{user_id}/statistics", permission="tasks:read", raises=[AccountNotFound])
def get_statistics(
    caller: Caller, query: StatisticsQuery, tx: Transaction
) -> Ok[StatisticsRepresentation]:
    now, zone = clock.now(), account_store.get(tx, caller.user_id).timezone
    days = statistics.last_days(zone, days=query.days, now=now)
    bounds = statistics.bounds(days, zone)
    counts = task_counts.count(tx, caller.user_id, bounds, now=now)
    tags = task_counts.count_tags(tx, caller.user_id)
    return Ok(statistics.represent(counts, tags, days, zone))
