"""The rules for the source of a function, which every folder keeps: the guide's examples too."""

import ast
from pathlib import Path

MAY_IMPORT = {"taskflow", "flask", "pydantic", "typing_extensions"}
"""The library, and what its signatures are made of; with all that is inside."""

PLAIN = {"collections", "collections.abc", "datetime", "http", "logging", "typing", "uuid"}
"""Modules of the standard library that reach nothing outside but the log; nothing inside them."""

NAMES_FROM = {
    "flask": {"Request", "Response"},
    "http": {"HTTPStatus"},
    "logging": {"getLogger"},
}
"""All that may be taken from those that hold more than types."""

FORBIDDEN = {
    "taskflow.config": "a setting is read by the library",
    "taskflow.storage.bulk": "rows are written by the stores, tasks with what follows them",
    "taskflow.storage.tables": "rows are written by the stores, tasks with what follows them",
}


def tree(folder: Path) -> ast.Module:
    """Return the source of a function, parsed."""
    return ast.parse((folder / "main.py").read_text())


def assert_entry_point_is_named_after_folder(folder: Path) -> None:
    """Check that the entry point is named after the folder, and no other name is public."""
    functions = [node for node in tree(folder).body if isinstance(node, ast.FunctionDef)]
    public = [node.name for node in functions if not node.name.startswith("_")]

    assert public == [folder.name.replace("-", "_")]


def assert_imports_are_allowed(folder: Path) -> None:
    """Check that a function imports only the library, less what is FORBIDDEN, and types."""
    modules: set[str] = set()
    members: set[str] = set()
    for node in ast.walk(tree(folder)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
            assert not modules & NAMES_FROM.keys(), "only some names of these may be taken"
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import would reach into another function"
            module, names = node.module or "", {alias.name for alias in node.names}
            modules.add(module)
            members |= {f"{module}.{name}" for name in names}
            if module in NAMES_FROM:
                assert names <= NAMES_FROM[module], "only some names of these may be taken"

    assert {module.partition(".")[0] for module in modules - PLAIN} <= MAY_IMPORT
    for name in modules | members:
        assert name not in FORBIDDEN, FORBIDDEN[name]


def assert_import_opens_no_connection(folder: Path) -> None:
    """Check that a function does nothing when it is imported."""
    # A string after a constant is the constant's documentation.
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.Expr)
    statements = tree(folder).body
    assigned = [node for node in statements if isinstance(node, ast.Assign)]
    loose = [node.value for node in statements if isinstance(node, ast.Expr)]
    calls = [node for top in assigned for node in ast.walk(top) if isinstance(node, ast.Call)]

    assert all(isinstance(statement, kinds) for statement in statements)
    assert all(isinstance(value, ast.Constant) for value in loose)
    assert {ast.unparse(call.func) for call in calls} <= {"timedelta"}


SOURCE_RULES = (
    assert_entry_point_is_named_after_folder,
    assert_imports_are_allowed,
    assert_import_opens_no_connection,
)
