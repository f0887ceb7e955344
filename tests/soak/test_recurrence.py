"""Random series, and the vectors of `tests/domain`, against an independent implementation.

And the search for the rule that takes longest.
"""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from random import Random
from secrets import randbits
from typing import Any

import pytest

from taskflow.domain.recurrence import Series, Skip, occurrences, preview
from tests.support.data.costly_rules import (
    COSTLY_ZONES,
    STEPS_MAX,
    WAYS,
    Candidate,
    climb,
    cpu_ms_of,
    steps_of,
)
from tests.support.data.random_rules import ZONES, a_rule, a_start

SERIES = 50_000
LIMIT = 10
CLIMBS = 20
ANSWER_MAX_MS = 20
# Beyond it, time zone data of different releases differ: what governments have announced.
ZONES_AGREE_UNTIL = datetime(2025, 1, 1, tzinfo=UTC)
# There even the local time differs: around each Ramadan Morocco changes its clocks, as announced.
ZONES_OF_ANNOUNCEMENTS = {"Africa/Casablanca"}
# The oracle looks no further.
HORIZON = timedelta(days=80 * 365)

ORACLE = Path(__file__).parent / "recurrence"
VECTORS = Path(__file__).parents[1] / "domain" / "recurrence_vectors.json"


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.fail("The implementation compared with runs on Node.js: install node and npm.")
    folder = tmp_path_factory.mktemp("oracle")
    shutil.copytree(ORACLE, folder, dirs_exist_ok=True)
    subprocess.run(["npm", "ci", "--silent"], cwd=folder, check=True, stdin=subprocess.DEVNULL)
    return folder / "oracle.mjs"


@pytest.mark.soak
def test_random_series_equal_those_of_an_independent_implementation(oracle: Path) -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    rng = Random(seed)
    counts: Counter[str] = Counter()
    different: list[Any] = []

    for case, expected in _answered(oracle, (_a_case(rng) for _ in range(SERIES))):
        outcome = _compare(case, expected, rng, counts)
        counts[outcome] += 1
        if outcome == "different":
            different.append((case, expected))

    sys.stdout.write(f"{dict(counts)}\n")
    assert different == []
    assert counts["same"] == SERIES


@pytest.mark.soak
def test_the_vectors_equal_those_of_an_independent_implementation(oracle: Path) -> None:
    vectors = json.loads(VECTORS.read_text())["cases"]
    asked = [vector for vector in vectors if vector["source"] == "oracle"]

    for vector, expected in _answered(oracle, asked):
        assert (vector["local"], vector["utc"]) == (expected["local"], expected["utc"]), vector


@pytest.mark.soak
def test_the_costliest_rules_found_take_a_bounded_time() -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    rng = Random(seed)
    for zone in COSTLY_ZONES:
        # What is known of a zone is kept for all series in it.
        cpu_ms_of(Candidate(frequency="DAILY", interval=1, zone=zone), "preview")
    simple = Candidate(frequency="WEEKLY", interval=1, weekdays=("MO",))
    usual_ms = max(cpu_ms_of(simple, way) for way in WAYS)

    found = [climb(rng, steps_of, changes=40) for _ in range(CLIMBS)]
    found += [climb(rng, cpu_ms_of, changes=400) for _ in range(CLIMBS)]

    worst = sorted(((cpu_ms_of(*each), steps_of(*each), each) for each in found), key=itemgetter(0))
    for ms, steps, (candidate, way) in worst[-3:]:
        sys.stdout.write(f"{ms:.1f} ms, {ms / usual_ms:.0f} times a simple rule's, {steps:,} steps")
        sys.stdout.write(f" for {way}: {candidate}\n")
    assert max(ms for ms, _, _ in worst) <= ANSWER_MAX_MS
    assert max(steps for _, steps, _ in worst) <= STEPS_MAX


def _a_case(rng: Random) -> dict[str, Any]:
    start = a_start(rng)
    return {
        "rule": a_rule(rng, start),
        "start": start.isoformat(),
        "zone": rng.choice(ZONES),
        "skip": rng.choice(list(Skip)).value,
        "limit": LIMIT,
    }


def _answered(
    oracle: Path, cases: Iterable[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Ask the oracle about each case, one line for one line."""
    with subprocess.Popen(
        ["node", str(oracle)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdin
        assert node.stdout
        for case in cases:
            node.stdin.write(json.dumps(case) + "\n")
            node.stdin.flush()
            yield case, json.loads(node.stdout.readline())
        node.stdin.close()
    assert node.returncode == 0


def _compare(
    case: dict[str, Any], expected: dict[str, Any], rng: Random, counts: Counter[str]
) -> str:
    series = Series(
        recurrence_rule=case["rule"],
        start=datetime.fromisoformat(case["start"]),
        timezone=case["zone"],
        skip=Skip(case["skip"]),
    )
    times = occurrences(series, "UTC", limit=LIMIT)
    shown = [each for each in preview(series, "UTC", limit=LIMIT) if each.at]
    counts["occurrences"] += len(times)
    counts["moved"] += sum(each.fate.value == "moved" for each in shown)
    counts["not ten"] += len(times) < LIMIT
    at = rng.randrange(len(times))
    later = occurrences(series, "UTC", after=times[at], limit=LIMIT)
    if [each.at for each in shown] != times or later[: len(times) - at - 1] != times[at + 1 :]:
        return "different"
    horizon = series.start + HORIZON
    local = [each.local.isoformat() for each in shown if each.local and each.local <= horizon]
    utc = [f"{each.replace(tzinfo=None).isoformat()}Z" for each in times]
    sure = sum(each < ZONES_AGREE_UNTIL for each in times)
    compared = sure if case["zone"] in ZONES_OF_ANNOUNCEMENTS else LIMIT
    same = local[:compared] == expected["local"][:compared] and utc[:sure] == expected["utc"][:sure]
    return "same" if same else "different"
