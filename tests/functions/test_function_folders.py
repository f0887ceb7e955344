"""Every function folder keeps the rules of docs/architecture.md."""

import ast
import inspect
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow.domain.errors import DomainError
from taskflow.serving.endpoint import Endpoint
from taskflow.serving.problems import PROBLEMS
from taskflow.serving.routes import FIRST_WORDS
from tests.support.functions.client import all_functions
from tests.support.functions.folder_rules import SOURCE_RULES, assert_imports_are_allowed, tree
from tests.support.paths import ROOT

FOLDERS = sorted(path for path in (ROOT / "functions").iterdir() if path.is_dir())
FUNCTIONS = {function.name: function for function in all_functions()}
ENDPOINTS = {
    name: function.endpoint
    for name, function in FUNCTIONS.items()
    if isinstance(function.endpoint, Endpoint)
}
ROUTES = [route for endpoint in ENDPOINTS.values() for route in endpoint.routes]

each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def test_every_folder_is_a_function() -> None:
    assert [folder.name for folder in FOLDERS] == list(FUNCTIONS)


@each_folder
def test_a_folder_is_named_verb_noun_in_kebab_case(folder: Path) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", folder.name)


@each_folder
def test_a_folder_holds_main_py_and_func_yaml_and_no_other_source(folder: Path) -> None:
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}

    # What `kn func` keeps there begins with a dot, as its folder does.
    ours = {str(path) for path in files if not path.parts[0].startswith(".")}
    assert {path for path in ours if not path.endswith(".pyc")} == {"main.py", "func.yaml"}


def test_git_passes_over_what_kn_func_leaves_in_a_folder() -> None:
    left = ["functions/get-task/.gitignore", "functions/get-task/.func/built-image"]

    ignored = subprocess.run(
        ["git", "check-ignore", *left], cwd=ROOT, check=False, capture_output=True, text=True
    )

    assert ignored.stdout.split() == left


@each_folder
@pytest.mark.parametrize("rule", SOURCE_RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rules(folder: Path, rule: Callable[[Path], None]) -> None:
    rule(folder)


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "import logging",
        "from logging import Handler",
        "from taskflow import config",
        "from taskflow.config import settings",
        "from taskflow.storage import bulk",
        "from taskflow.storage.bulk import update",
        "import taskflow.storage.bulk",
        "from taskflow.storage import tables",
        "from taskflow.storage.tables import TASKS",
    ],
)
def test_the_rules_find_an_import_that_is_not_allowed(line: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(f"{line}\n")

    with pytest.raises(AssertionError):
        assert_imports_are_allowed(tmp_path)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_is_described_by_the_name_and_the_docstring_of_its_function(name: str) -> None:
    docstring = ast.get_docstring(tree(ROOT / "functions" / name)) or ""

    assert ENDPOINTS[name].name == name
    assert ENDPOINTS[name].summary
    assert " ".join(docstring.split()).endswith(f": {ENDPOINTS[name].summary}.")


@each_folder
def test_the_docstring_begins_with_the_trigger_of_the_function(folder: Path) -> None:
    docstring = ast.get_docstring(tree(folder)) or ""
    head = docstring.partition(": ")[0]

    assert docstring.endswith(".")
    if folder.name not in ENDPOINTS:
        assert re.match(r"(On|Every) ", head)
        return
    first, *others = ENDPOINTS[folder.name].routes
    assert head.startswith(f"{first.method} {first.template}")
    for other in others:
        same_path = other.template == first.template
        assert (f"or {other.method}" if same_path else other.method) in head


def test_no_two_functions_take_the_same_request() -> None:
    taken = Counter(
        (route.method, re.sub(r"\{\w+\}", "{}", path)) for route in ROUTES for path in route.paths()
    )

    assert [request for request, count in taken.items() if count > 1] == []


def test_every_first_word_of_the_api_is_kept_from_being_a_user_id() -> None:
    words = {
        path.removeprefix("/api/").partition("/")[0]
        for route in ROUTES
        for path in route.paths()
        if path.startswith("/api/")
    }

    assert words - {"{user_id}"} <= FIRST_WORDS


def test_every_path_of_a_user_has_the_short_form_too() -> None:
    for route in ROUTES:
        if route.template.startswith("/api/{user_id}/"):
            assert route.template.replace("/{user_id}", "", 1) in route.paths()


def test_every_error_of_the_domain_has_its_problem() -> None:
    def below(kind: type[DomainError]) -> set[type[DomainError]]:
        return {kind}.union(*(below(narrower) for narrower in kind.__subclasses__()))

    errors = {kind for kind in below(DomainError) if kind.__module__ == DomainError.__module__}

    assert set(PROBLEMS) == errors - {DomainError}
    assert below(DomainError) == errors, "an error of the domain is in domain/errors.py"
    assert all(400 <= kind.status < 500 for kind in PROBLEMS.values())
    assert all(inspect.getdoc(error) for error in PROBLEMS)
