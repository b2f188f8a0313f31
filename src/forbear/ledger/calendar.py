"""Business days: where a due date goes that falls on a weekend or a public holiday.

Mainland China's calendar, with its swapped workdays, is chinesecalendar's; it knows published years only.
Others are holidays's, which marks a holiday that is only expected "(estimated)". A year that is not known
is refused in words: a due date is never guessed.
"""

import functools
from datetime import date, timedelta

import chinese_calendar
import holidays

from forbear.ledger.models import LedgerError, Roll

#: No calendar has so many days off in a row; the bound makes a fault stop.
_MOST_DAYS_OFF = 30


def is_business_day(day: date, calendar: str) -> bool:
    """Whether banks work on `day` in `calendar`, an ISO 3166 code. Raises LedgerError where that isn't known."""
    if calendar == "CN":
        try:
            return bool(chinese_calendar.is_workday(day))
        except NotImplementedError:
            raise LedgerError(
                f"calendar CN: {day.year} is not published; take a newer chinesecalendar, or no roll"
            ) from None
    return _year(calendar, day.year).is_working_day(day)


def adjust(day: date, roll: Roll, calendar: str) -> date:
    """`day`, moved to a business day: forward, back, or forward unless that leaves the month. Raises LedgerError."""
    if roll is Roll.NONE:
        return day
    if roll is Roll.PRECEDING:
        return _walk(day, -1, calendar)
    moved = _walk(day, 1, calendar)
    if roll is Roll.MODIFIED_FOLLOWING and moved.month != day.month:
        return _walk(day, -1, calendar)
    return moved


def _walk(day: date, step: int, calendar: str) -> date:
    for k in range(_MOST_DAYS_OFF):
        candidate = day + timedelta(days=k * step)
        if is_business_day(candidate, calendar):
            return candidate
    raise LedgerError(f"calendar {calendar}: no business day within {_MOST_DAYS_OFF} days of {day}")


@functools.lru_cache(maxsize=1024)
def _year(calendar: str, year: int) -> holidays.HolidayBase:
    try:
        known = holidays.country_holidays(calendar, years=year, language="en_US")
    except NotImplementedError:
        raise LedgerError(f"calendar {calendar!r}: not kept; write an ISO 3166 code, such as US") from None
    if any("(estimated)" in name for name in known.values()):
        raise LedgerError(f"calendar {calendar}: the holidays of {year} are only estimated; take a newer holidays")
    return known
