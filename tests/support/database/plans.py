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
        self._statements = 0

    def add(self, plan: Plan) -> None:
        """Add the plan of a statement, with all its parts."""
        self._statements += 1
        parts = [plan]
        for part in parts:
            self._plans.append(part)
            parts += part.get("Plans", ())

    @property
    def rows(self) -> int:
        """The number of rows read from tables, or of entries from indexes in their place."""
        return sum(_rows(plan) for plan in self._plans if "Relation Name" in plan)

    @property
    def indexes(self) -> set[str]:
        """The names of the indexes that were read."""
        return {plan["Index Name"] for plan in self._plans if "Index Name" in plan}

    @property
    def sorted_rows(self) -> int:
        """The number of rows that were sorted, though perhaps few of them were kept."""
        sorts = [plan for plan in self._plans if plan["Node Type"].endswith("Sort")]
        parts = [part for plan in sorts for part in plan["Plans"]]
        given = [part for part in parts if part["Parent Relationship"] == "Outer"]
        return sum(round(each["Actual Rows"] * each["Actual Loops"]) for each in given)

    @property
    def statements(self) -> int:
        """The number of statements that read something."""
        return self._statements

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
        if not statement.lstrip().startswith(("SELECT", "WITH", "DELETE")):
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
