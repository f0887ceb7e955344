"""How times are read and written: RFC 3339 in with an offset, out in UTC; and durations."""

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


def rfc3339(at: datetime) -> str:
    """Write an aware time in UTC with six digits of a second: `2026-01-31T09:00:00.000000Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_rfc3339(text: object) -> datetime:
    """Read an RFC 3339 time with an offset (section 5.6) into UTC, cut to the microsecond.

    Raises PydanticCustomError, whose message is for the one who sent the text.
    """
    if isinstance(text, datetime):
        return text
    found = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise PydanticCustomError(
            "time_format", "must be an RFC 3339 time such as 2026-01-31T09:00:00Z"
        )
    if found["offset"] is None:
        raise PydanticCustomError(
            "time_naive", "must carry an offset from UTC, such as Z or +01:00"
        )
    try:
        return datetime.fromisoformat(found[0].upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("time_impossible", "is not a time that exists") from error


Time = Annotated[datetime, BeforeValidator(parse_rfc3339)]
"""A pydantic field that takes an RFC 3339 time and nothing else (no Unix time, no naive time)."""

TimeText = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        json_schema_extra={"format": "date-time"},
    ),
]
"""A time as `rfc3339` writes it."""


# The host's own files differ from host to host; the package `tzdata` is pinned.
zoneinfo.reset_tzpath(to=())

_NO_PLACES = frozenset({"Factory"})
"""Names in the list that are for machines whose zone nobody has set."""


@cache
def _zones() -> frozenset[str]:
    names = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(names.split()) - _NO_PLACES


def _iana_zone(name: str) -> str:
    if name not in _zones():
        raise PydanticCustomError("timezone", "must be an IANA time zone such as Europe/Berlin")
    return name


TimeZone = Annotated[
    str,
    AfterValidator(_iana_zone),
    Field(
        description="A name of the IANA time zone database.",
        json_schema_extra={"format": "iana-time-zone", "examples": ["Europe/Berlin"]},
    ),
]


def kept_zone(name: str) -> str:
    """Return a zone as it was kept, or UTC for one that is not taken any more.

    Hosts once had zones of their own, such as `localtime`, and the database may drop a name.
    """
    return name if name in _zones() else "UTC"


_DURATION = re.compile(
    r"P(?:(?P<weeks>\d+)W|(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?)",
    re.ASCII,
)
_DURATION_MAX_CHARS = 20

DAY_S = 86_400

_CLOCKS_GO_BACK_MAX = timedelta(hours=3)
"""Within a year, of all zones since 2000: in Casey, in 2010. Most go back by one hour."""

_LAST_IN_ALL_ZONES = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Duration:
    """Days of the calendar, then exact seconds (RFC 5545 3.3.6): a day is not always 24 hours."""

    days: int = 0
    seconds: int = 0

    @property
    def nominal_s(self) -> int:
        """The seconds that the duration lasts where no clock changes."""
        return self.days * DAY_S + self.seconds

    @property
    def longest(self) -> timedelta:
        """How long the duration lasts at most, in any zone."""
        nominal = timedelta(seconds=self.nominal_s)
        return nominal + _CLOCKS_GO_BACK_MAX if self.days else nominal

    def before(self, at: datetime, zone: str) -> datetime:
        """Return the instant so long before another: first the days by the clock of the zone.

        A local time that does not exist moves forward by the gap, and one that comes twice is the
        first (RFC 5545 3.3.5). Raises OverflowError where that is before the year 1.
        """
        exact = timedelta(seconds=self.seconds)
        if not self.days:
            return at - exact
        near = min(at, _LAST_IN_ALL_ZONES)
        local = near.astimezone(zoneinfo.ZoneInfo(zone)) - timedelta(days=self.days)
        return local.replace(fold=0).astimezone(UTC) + (at - near) - exact


DURATION_PATTERN = r"^P(\d+W|(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?)$"
"""What `parse_duration` reads, and a little more: one part at least must be there."""


def parse_duration(text: object) -> Duration:
    """Read a duration (RFC 5545 3.3.6, without a sign): `P1W`, `P1D`, `PT1H30M`.

    Raises PydanticCustomError, whose message is for the one who sent the text.
    """
    if isinstance(text, Duration):
        return text
    short = text if isinstance(text, str) and len(text) <= _DURATION_MAX_CHARS else ""
    found = _DURATION.fullmatch(short)
    parts = (
        {name: int(digits) for name, digits in found.groupdict().items() if digits} if found else {}
    )
    if not parts:
        raise PydanticCustomError("duration", "must be a duration such as P1D, PT1H or PT15M")
    weeks, days, hours, minutes, seconds = (
        parts.get(name, 0) for name in ("weeks", "days", "hours", "minutes", "seconds")
    )
    return Duration(weeks * 7 + days, (hours * 60 + minutes) * 60 + seconds)


DurationText = Annotated[str, Field(json_schema_extra={"format": "duration"})]
"""A duration as `duration_text` writes it."""


def duration_text(length: Duration) -> str:
    """Write a duration in days, hours, minutes and seconds: `P7D`, `PT24H`, `P1DT2H`, `PT0S`."""
    minutes, seconds = divmod(length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    time = "".join(
        f"{number}{unit}"
        for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S"))
        if number
    )
    days = f"{length.days}D" if length.days else ""
    return f"P{days}{'T' if time else ''}{time}" if days or time else "PT0S"
