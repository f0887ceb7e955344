"""Identifiers: UUIDv7 that sort by the time they were made."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow.domain.identifiers import new_id
from taskflow.domain.times import EPOCH

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)).map(  # noqa: DTZ001 - made aware
    lambda at: at.replace(tzinfo=UTC)
)


@settings(max_examples=50)
@given(TIMES)
def test_an_identifier_is_a_uuid_of_version_7_that_tells_its_time(now: datetime) -> None:
    made = new_id(now)

    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert EPOCH + timedelta(milliseconds=made.int >> 80) <= now
    assert now - EPOCH < timedelta(milliseconds=(made.int >> 80) + 1)


@settings(max_examples=50)
@given(TIMES, st.integers(1, 10**9))
def test_identifiers_sort_by_time_to_the_microsecond(now: datetime, later_us: int) -> None:
    try:
        later = now + timedelta(microseconds=later_us)
    except OverflowError:
        return

    assert new_id(now) < new_id(later)
    assert str(new_id(now)) < str(new_id(later))


def test_identifiers_of_one_instant_differ() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)

    assert len({new_id(now) for _ in range(1000)}) == 1000
