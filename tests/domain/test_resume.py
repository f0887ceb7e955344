"""Resuming: the `seq` after which a client that was away goes on (L3)."""

import pytest

from taskflow.domain.resume import MISSED_MAX, Start, resume


@pytest.mark.parametrize(
    ("since", "newest", "start"),
    [
        (None, 0, Start(0, resync=False)),
        (None, 7, Start(7, resync=False)),
        (0, 0, Start(0, resync=False)),
        (0, 7, Start(0, resync=False)),
        (3, 7, Start(3, resync=False)),
        (7, 7, Start(7, resync=False)),
        (8, 7, Start(7, resync=True)),
        (10**30, 7, Start(7, resync=True)),
        (0, MISSED_MAX, Start(0, resync=False)),
        (0, MISSED_MAX + 1, Start(MISSED_MAX + 1, resync=True)),
        (5, MISSED_MAX + 5, Start(5, resync=False)),
        (5, MISSED_MAX + 6, Start(MISSED_MAX + 6, resync=True)),
    ],
)
def test_a_client_resumes_after_its_seq_or_reads_the_lists_anew(
    since: int | None, newest: int, start: Start
) -> None:
    assert resume(since, newest=newest) == start


def test_ten_thousand_missed_events_are_not_too_many() -> None:
    assert MISSED_MAX == 10_000
