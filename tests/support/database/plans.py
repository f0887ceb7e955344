"""How much PostgreSQL reads for a statement, counted by itself."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

Plan = dict[str, Any]


class Reads:
    """What the statements of a block have read."""

    def __init__(self) -> None:
        self._plans: list[Plan] = []

    def add(self, plan: Plan) -> None:
        """Count what a plan has read, and all that it is made of."""
        self._plans.append(plan)
        for each in plan.get("Plans", ()):
            self.add(each)

    @property
    def rows(self) -> int:
        """How many rows of tables, or entries of indexes in their place, were looked at."""
        return sum(_rows(plan) for plan in self._plans if "Relation Name" in plan)

    @property
    def scans(self) -> list[str]:
        """How tables were read, such as `Index Scan of claims`; each way once, in order."""
        named = [plan for plan in self._plans if "Relation Name" in plan]
        return list(dict.fromkeys(f"{one['Node Type']} of {one['Relation Name']}" for one in named))


@contextmanager
def counted_reads(engine: Engine) -> Generator[Reads]:
    """Have each SELECT of the block run a second time, by EXPLAIN, and count what that reads."""
    reads = Reads()

    def explain(connection: Any, _: object, statement: str, values: Any, *__: object) -> None:  # noqa: ANN401 - as SQLAlchemy has it
        if not statement.startswith(("SELECT", "WITH")):
            return
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)
        reads.add(cursor.fetchone()[0][0]["Plan"])

    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield reads
    finally:
        event.remove(engine, "before_cursor_execute", explain)


def _rows(plan: Plan) -> int:
    each = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    return round(each * plan["Actual Loops"] + plan.get("Rows Removed by Index Recheck", 0))
