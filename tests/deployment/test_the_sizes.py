"""The table of sizes in docs/deploying.md is what the deployments ask for."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from taskflow.config import FUNCTIONS_CONNECTIONS_MAX
from taskflow.eventing.cron import CronFunction
from tests.support.functions.client import all_functions
from tests.support.paths import ROOT

OVERLAY = ROOT / "knative/overlays/cloud/functions.yaml"


def _woken_each_minute() -> list[str]:
    return [
        function.name
        for function in all_functions()
        if isinstance(function.endpoint, CronFunction) and function.endpoint.every_min == 1
    ]


def _options() -> Mapping[str, dict[str, Any]]:
    return {
        path.parent.name: yaml.safe_load(path.read_text())["deploy"]["options"]
        for path in (ROOT / "functions").glob("*/func.yaml")
    }


def _row(pods: Mapping[str, int]) -> tuple[int, int, int]:
    """Return pods, CPU in thousandths and memory in Mi, as requested."""
    requests = {name: one["resources"]["requests"] for name, one in _options().items()}
    return (
        sum(pods.values()),
        sum(int(requests[name]["cpu"].removesuffix("m")) * count for name, count in pods.items()),
        sum(
            int(requests[name]["memory"].removesuffix("Mi")) * count for name, count in pods.items()
        ),
    )


def test_the_sizes_in_the_guide_are_those_of_the_deployments() -> None:
    guide = (ROOT / "docs" / "deploying.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| (\d+)m \| (\d+)Mi \|$", guide, re.MULTILINE)
    options, woken = _options(), _woken_each_minute()
    sockets = yaml.safe_load(OVERLAY.read_text())["sync-tasks"]["deploy"]["options"]["scale"]["min"]

    idle = {"sync-tasks": sockets, **dict.fromkeys(woken, 1)}
    awake = {**dict.fromkeys(options, 1), "sync-tasks": sockets}
    most = {name: one["scale"]["max"] for name, one in options.items()}
    assert [tuple(map(int, row)) for row in rows] == [_row(idle), _row(awake), _row(most)]
    *others, last = (f"`{name}`" for name in woken)
    assert f"{', '.join(others)} and {last}, which are woken each minute" in guide
    assert f"{options['sync-tasks']['resources']['limits']['concurrency']:,} sockets" in guide
    assert f"{options['list-events']['resources']['limits']['concurrency']} requests" in guide
    assert f"{options['get-task']['resources']['limits']['concurrency']} requests" in guide
    assert f"allows {FUNCTIONS_CONNECTIONS_MAX} connections" in guide
