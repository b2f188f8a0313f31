"""Where a due date goes that falls on a day off: to a working day, as the contract's convention has it."""

from datetime import date, timedelta

from forbear.calendars import working_day
from forbear.errors import CalendarUnknown
from forbear.ledger.models import LedgerError, Roll

#: No calendar has so many days off in a row; the bound makes a fault stop.
_MOST_DAYS_OFF = 30


def adjust(day: date, roll: Roll, place: str) -> date:
    """`day`, moved to a working day of a place: forward, back, or forward unless that leaves the month.

    Raises LedgerError where the place's calendar of that year is not known.
    """
    if roll is Roll.NONE:
        return day
    try:
        if roll is Roll.PRECEDING:
            return _walk(day, -1, place)
        moved = _walk(day, 1, place)
        if roll is Roll.MODIFIED_FOLLOWING and moved.month != day.month:
            return _walk(day, -1, place)
        return moved
    except CalendarUnknown as error:
        raise LedgerError(f"calendar {error}") from error


def _walk(day: date, step: int, place: str) -> date:
    for k in range(_MOST_DAYS_OFF):
        candidate = day + timedelta(days=k * step)
        if working_day({}, place, candidate):
            return candidate
    raise LedgerError(f"calendar {place}: no working day within {_MOST_DAYS_OFF} days of {day}")
