"""Quiet hours: the part of a day, in a user's zone and maybe past midnight, without messages."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


def ends_at(quiet_hours: tuple[str, str] | None, zone: str, now: datetime) -> datetime | None:
    """Return when the quiet hours end that `now` lies in; None where it lies in none.

    They are said as local times, `HH:MM`: the first minute that is quiet, and the first that is
    not. Two that are the same leave no quiet hours. A local end that does not exist is later by the
    gap, and one that comes twice is the first that is still to come.
    """
    if quiet_hours is None:
        return None
    begin, end = (time.fromisoformat(bound) for bound in quiet_hours)
    local = now.astimezone(ZoneInfo(zone))
    at = local.time()
    is_quiet = begin <= at < end if begin <= end else at >= begin or at < end
    if not is_quiet:
        return None
    day = local.date() if at < end else local.date() + timedelta(days=1)
    naive = datetime.combine(day, end)
    for fold in (0, 1):
        ends = naive.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)
        if ends > now:
            return ends
    return None
