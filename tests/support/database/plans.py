"""How much PostgreSQL reads for a statement, counted by itself."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

Plan = dict[str, Any]


class Reads:
    """The rows and scans of the statements of a block."""

    def __init__(self) -> None:
        self._plans: list[Plan] = []

    def add(self, plan: Plan) -> None:
        """Add a plan with all its parts."""
        self._plans.append(plan)
        for each in plan.get("Plans", ()):
            self.add(each)

    @property
    def rows(self) -> int:
        """The number of rows read from tables, or of entries from indexes in their place."""
        return sum(_rows(plan) for plan in self._plans if "Relation Name" in plan)

    @property
    def scans(self) -> list[str]:
        """The scans of tables, such as `Index Scan of claims`; each kind once, in order."""
        named = [plan for plan in self._plans if "Relation Name" in plan]
        return list(dict.fromkeys(f"{one['Node Type']} of {one['Relation Name']}" for one in named))


@contextmanager
def counted_reads(engine: Engine) -> Generator[Reads]:
    """Run each SELECT and DELETE of the block by EXPLAIN too, and count the rows that it reads."""
    reads = Reads()

    def explain(connection: Any, _: object, statement: str, values: Any, *__: object) -> None:  # noqa: ANN401 - as SQLAlchemy has it
        if not statement.startswith(("SELECT", "WITH", "DELETE")):
            return
        cursor = connection.connection.cursor()
        # What it deletes is still there for the statement itself.
        cursor.execute("SAVEPOINT explained")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)
        reads.add(cursor.fetchone()[0][0]["Plan"])
        cursor.execute("ROLLBACK TO SAVEPOINT explained")

    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield reads
    finally:
        event.remove(engine, "before_cursor_execute", explain)


def _rows(plan: Plan) -> int:
    each = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    return round(each * plan["Actual Loops"] + plan.get("Rows Removed by Index Recheck", 0))
