"""The borrower's local day as spans of UTC minutes, for one place or for several possible places.

Where a borrower may be in more than one time zone, an hour must be lawful in all of them; on a day
on which a clock is put forward or back, it must be lawful by both readings.
"""

import functools
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forbear.locale import N_
from forbear.rulebook.errors import DayOutOfReach

#: The days that can be asked about: one far off them is a slip of the pen, and has no clock.
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)
#: How long before the day a change of clocks may still colour a "days since": a year and a day.
_LOOK_BACK_DAYS = 366


#: The zones of a place that reach farthest west and east, with some between: whatever day it is anywhere in the place,
#: it is in one of these. For who is known to be there, and no more.
_ZONES = {
    "cn": "Asia/Shanghai",
    "gb": "Europe/London",
    "hk": "Asia/Hong_Kong",
    "in": "Asia/Kolkata",
    "sg": "Asia/Singapore",
    "tw": "Asia/Taipei",
    "us": "Pacific/Pago_Pago|Pacific/Honolulu|America/New_York|Pacific/Guam",
}
_EVERYWHERE = "Etc/GMT+12|Etc/UTC|Pacific/Kiritimati"


def zones_of_place(jurisdiction: str) -> str:
    """The zones, joined by "|", between which lies every clock of a place; of the whole world, for one not on file."""
    return _ZONES.get(jurisdiction, _EVERYWHERE)


@dataclass(frozen=True, slots=True)
class LocalDay:
    """Offsets, in minutes, that turn a minute of the local day into a minute of the UTC day.

    first: to add to an opening minute (the latest reading); last: to add to a closing minute (the
    earliest reading). latest_date, earliest_date: to add to a UTC instant for its local date, by the
    reading that makes it latest (a contact then counts as the more recent), and earliest.
    """

    first: int
    last: int
    latest_date: int
    earliest_date: int


def within_reach(day: date) -> date:
    """The day itself. Raises DayOutOfReach."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise DayOutOfReach(
            N_("%(day)s: no clock is known of that day. Give one from %(first)s to %(last)s."),
            day=day,
            first=FIRST_DAY,
            last=LAST_DAY,
        )
    return day


@functools.lru_cache(maxsize=65_536)
def local_day(zones: str, day: date) -> LocalDay:
    """The local day of a borrower in `zones` (IANA names joined by "|").

    Raises ValueError for no such zone, DayOutOfReach for no such day.
    """
    within_reach(day)
    try:
        places = [ZoneInfo(zone) for zone in zones.split("|")]
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no such time zone: {zones!r}") from None
    midnight = datetime.combine(day, time())
    today = [_offset(midnight + timedelta(days=k), place) for place in places for k in (0, 1)]
    recent = today + [
        _offset(midnight - timedelta(days=k), place) for place in places for k in range(0, _LOOK_BACK_DAYS, 14)
    ]
    return LocalDay(first=-min(today), last=-max(today), latest_date=max(recent), earliest_date=min(recent))


def _offset(local: datetime, place: ZoneInfo) -> int:
    offset = local.replace(tzinfo=place).utcoffset()
    assert offset is not None
    return int(offset.total_seconds() // 60)


def instant(day: date, minutes: int) -> datetime:
    """The instant that lies `minutes` after 00:00 UTC of `day`."""
    return datetime.combine(day, time(), UTC) + timedelta(minutes=minutes)
