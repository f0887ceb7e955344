"""The README: its tables are held against the code."""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from taskflow.config import Settings
from taskflow.domain.accounts import (
    LOGIN_ATTEMPTS_ACCOUNT_MAX,
    LOGIN_ATTEMPTS_MAX,
    LOGIN_ATTEMPTS_NETWORK_MAX,
    LOGIN_ATTEMPTS_WINDOW,
    LOGIN_PLACE_LIFETIME,
)
from taskflow.eventing.consumer import Consumer
from taskflow.eventing.cron import CronFunction
from taskflow.eventing.frame import Subscriber
from taskflow.serving.endpoint import Endpoint
from tests.support.functions.client import all_functions
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()


def test_the_table_of_functions_equals_the_declarations() -> None:
    expected = {
        (
            f"[{function.name}](functions/{function.name}/main.py)",
            _what_wakes(function.endpoint),
            _what_it_does(ROOT / "functions" / function.name / "main.py"),
        )
        for function in all_functions()
    }

    rows = _table("| function | woken by |")

    assert {tuple(row) for row in rows} == expected


def test_the_table_of_settings_names_every_setting() -> None:
    rows = _table("| variable | default |")

    assert [row[0] for row in rows] == [f"`{name.upper()}`" for name in Settings.model_fields]


def test_every_path_that_the_readme_names_is_there() -> None:
    named = re.findall(r"`((?:shared|docs|functions|tests)/[^`<]*)`", README)

    missing = [path for path in named if not (ROOT / path).exists()]

    assert missing == []


def test_the_limits_of_wrong_passwords_are_those_of_the_code() -> None:
    section = README.partition("### Wrong passwords")[2].partition("\n## ")[0]
    text = " ".join(section.split())

    window_min = LOGIN_ATTEMPTS_WINDOW // timedelta(minutes=1)
    assert f"{LOGIN_ATTEMPTS_MAX} wrong passwords in {window_min} minutes from one address" in text
    assert f"{LOGIN_ATTEMPTS_ACCOUNT_MAX} from all together where it was not logged in" in text
    assert f"an address may send {LOGIN_ATTEMPTS_NETWORK_MAX} for accounts" in text
    assert f"was right in the last {LOGIN_PLACE_LIFETIME.days} days" in text


def _what_wakes(endpoint: Endpoint | Subscriber) -> str:
    match endpoint:
        case Endpoint():
            return "<br>".join(f"`{route.method} {route.template}`" for route in endpoint.routes)
        case CronFunction():
            return f"every {endpoint.every_min} min"
        case Consumer():
            return "<br>".join(endpoint.topics)
        case _:
            return "what was not delivered"


def _what_it_does(source: Path) -> str:
    docstring = re.match(r'"""(.*?)"""', source.read_text(), re.DOTALL)
    assert docstring is not None
    text = " ".join(docstring[1].split())
    return text.split(": ", 1)[1].rstrip(".")


def _table(header: str) -> Sequence[Sequence[str]]:
    lines = README[README.index(header) :].splitlines()
    rows = [line for line in lines[: lines.index("")] if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]
