"""The documentation: its numbers, paths and reference pages equal those of the code."""

import ast
import re
import tomllib
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from taskflow.domain.events import EVENT_TYPES
from taskflow.reference import events
from tests.support.data.quick_add_vectors import VECTORS
from tests.support.paths import ROOT

ROW = re.compile(r"\| [^|]+ \| (?P<limit>[^|]+) \| [^|]+ \| `(?P<constant>[^`|]+)` \|")
NUMBER = re.compile(r"[\d,]+(\.\d+)?")


def _limits() -> Generator[tuple[str, float]]:
    """Yield each constant that the table of limits names, and the number beside it."""
    for line in (ROOT / "docs" / "limits.md").read_text().splitlines():
        if row := ROW.fullmatch(line):
            number = NUMBER.match(row["limit"])
            assert number, line
            yield row["constant"], float(number[0].replace(",", ""))


def _constant(where: str) -> float:
    """Read a constant, such as `taskflow.clock.X` or `functions/list-tasks/main.py X`."""
    if " " in where:
        path, name = where.split(" ")
    else:
        module, _, name = where.rpartition(".")
        path = f"shared/{module.replace('.', '/')}.py"
    for node in ast.parse((ROOT / path).read_text()).body:
        if not isinstance(node, ast.Assign):
            continue
        targets, value = node.targets[0], node.value
        names = targets.elts if isinstance(targets, ast.Tuple) else [targets]
        values = value.elts if isinstance(value, ast.Tuple) else [value]
        for target, of_target in zip(names, values, strict=False):
            if isinstance(target, ast.Name) and target.id == name:
                return _number(of_target)
    message = f"{path} has no {name}"
    raise AssertionError(message)


def _number(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left, ast.Mult(), right):
            return _number(left) * _number(right)
        case _:
            raise AssertionError(ast.dump(node))


def test_the_picture_of_the_layers_has_every_module_of_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [layers] = [
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["id"] == "layers"
    ]
    page = (ROOT / "docs" / "architecture.md").read_text()
    picture = page.partition("## Layers")[2].partition("`make check`")[0]

    modules = {module for layer in layers for module in layer.split(" : ")}
    assert modules - set(re.findall(r"\.(\w+)", picture)) == set()


@pytest.mark.parametrize(("constant", "number"), list(_limits()))
def test_each_documented_limit_equals_its_constant(constant: str, number: float) -> None:
    assert _constant(constant) == number


def test_every_row_of_the_table_of_limits_is_checked() -> None:
    rows = (ROOT / "docs" / "limits.md").read_text().count("` |\n")
    assert len(list(_limits())) == rows


# A path of the code, from the root or from its packages.
PATH = re.compile(r"`(?P<path>(?:[\w-]+/)+[\w-]+\.(?:json|md|py|sh|toml|yaml))`")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_each_path_that_a_document_names_exists(document: Path) -> None:
    named = {found["path"] for found in PATH.finditer(document.read_text())}

    folders = (ROOT, ROOT / "shared" / "taskflow", ROOT / "docs")
    assert {path for path in named if not any((at / path).exists() for at in folders)} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_each_test_that_a_document_names_is_there(document: Path) -> None:
    named = set(re.findall(r"`(tests/\S+\.py)::(\w+)`", document.read_text()))

    assert {
        (file, test) for file, test in named if f"def {test}(" not in (ROOT / file).read_text()
    } == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_each_file_that_a_document_links_to_is_there(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    linked = {
        *re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text),
        *re.findall(r'src="([^"]+)"', text),
    }

    assert {path for path in linked if not (document.parent / path).exists()} == set()


def test_each_attack_names_a_test_that_tries_it() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "security.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| attack ")
    ]
    named = [re.fullmatch(r"\| .+ \| .+ \| `(tests/\S+\.py)::(\w+)` \|", row) for row in rows]

    assert rows
    for row, found in zip(rows, named, strict=True):
        assert found, row
        assert f"def {found[2]}(" in (ROOT / found[1]).read_text(), row


def test_the_page_about_events_says_what_each_field_means() -> None:
    rows = [line for line in events.page().splitlines() if line.startswith("| `")]

    assert len(rows) > len(EVENT_TYPES)
    assert [row for row in rows if not row.rpartition("| ")[0].rpartition("| ")[2].strip()] == []
    assert all(row.rstrip(" |").endswith(".") for row in rows)


def test_each_example_of_quick_add_makes_what_the_page_says() -> None:
    page = (ROOT / "docs" / "quick-add.md").read_text()
    zone = "Europe/Berlin"
    typed = datetime(2026, 11, 30, 10, tzinfo=ZoneInfo(zone))
    made = {each.text: each.summary for each in VECTORS if (each.now, each.zone) == (typed, zone)}

    examples = re.findall(r"^\| `(.+)` \| (.+) \|$", page, re.MULTILINE)

    assert "Monday, 30 November 2026, at 10:00 in Berlin" in page
    assert len(examples) == page.count("\n| `") > 100
    assert [each for each in examples if made.get(each[0]) != each[1]] == []
