"""GET /api/{user_id}/statistics: count one's open, overdue and lately completed tasks."""

from taskflow import clock
from taskflow.domain import statistics
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.statistics import StatisticsRepresentation
from taskflow.serving import Caller, Ok, http_function
from taskflow.storage import Transaction, account_store, task_counts


@http_function("GET /api/{user_id}/statistics", permission="tasks:read", raises=[AccountNotFound])
def get_statistics(caller: Caller, tx: Transaction) -> Ok[StatisticsRepresentation]:
    now, zone = clock.now(), account_store.get(tx, caller.user_id).timezone
    days = statistics.last_days(zone, now=now)
    bounds = statistics.bounds(days, zone)
    counts = task_counts.count(tx, caller.user_id, bounds, now=now)
    return Ok(statistics.represent(counts, days, zone))
