"""Day counts: the days between two dates, in units of which a whole number makes a year.

Definitions: 2006 ISDA Definitions, section 4.16: (b) actual/actual, (d) actual/365 (fixed), (e) actual/360,
(f) 30/360, bond basis. A part of a year is kept as two whole numbers, so that nothing is rounded here.
"""

from datetime import date
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from forbear.ledger.models import DayCount, LedgerError

Ints = npt.NDArray[np.int64]

#: How many units make a year. For actual/actual a day of a leap year is 365 units, another 366.
YEAR = {
    DayCount.ACT_365: 365,
    DayCount.ACT_360: 360,
    DayCount.THIRTY_360: 360,
    DayCount.ACT_ACT: 365 * 366,
}


def units(start: date, end: date, count: DayCount) -> int:
    """The units from `start` to `end`, the first day not counted and the last counted; YEAR[count] make a year.

    Raises LedgerError where `end` lies before `start`, or the count goes by months.
    """
    if end < start:
        raise LedgerError(f"day count: {end} lies before {start}; give the earlier day first")
    if count in (DayCount.ACT_365, DayCount.ACT_360):
        return (end - start).days
    if count is DayCount.THIRTY_360:
        first = min(start.day, 30)
        last = 30 if end.day == 31 and first == 30 else end.day
        return 360 * (end.year - start.year) + 30 * (end.month - start.month) + last - first
    if count is DayCount.ACT_ACT:
        return _act_act(end) - _act_act(start)
    raise LedgerError(f"day count: {count} has no days; it counts whole months")


def year_fraction(start: date, end: date, count: DayCount) -> Fraction:
    """The exact part of a year from `start` to `end`."""
    return Fraction(units(start, end, count), YEAR[count])


def units_of(start: Ints, end: Ints, count: DayCount) -> Ints:
    """`units` for arrays of days since 1970-01-01, each `end` at or after its `start`."""
    if count in (DayCount.ACT_365, DayCount.ACT_360):
        return end - start
    (y1, m1, d1), (y2, m2, d2) = _parts(start), _parts(end)
    if count is DayCount.THIRTY_360:
        d1 = np.minimum(d1, 30)
        d2 = np.where((d2 == 31) & (d1 == 30), 30, d2)
        return 360 * (y2 - y1) + 30 * (m2 - m1) + d2 - d1
    if count is DayCount.ACT_ACT:
        return _act_act_of(end, y2) - _act_act_of(start, y1)
    raise LedgerError(f"day count: {count} has no days; it counts whole months")


def _act_act(day: date) -> int:
    """Units from 0001-01-01: each whole year has 365 * 366 of them, a day its year's share."""
    return (day.year - 1) * 365 * 366 + (day.timetuple().tm_yday - 1) * (365 if _leap(day.year) else 366)


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _parts(days: Ints) -> tuple[Ints, Ints, Ints]:
    day = days.astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    months = month.astype(np.int64)
    return 1970 + months // 12, 1 + months % 12, 1 + (day - month.astype("datetime64[D]")).astype(np.int64)


def _act_act_of(days: Ints, year: Ints) -> Ints:
    new_year = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return (year - 1) * 365 * 366 + (days - new_year) * np.where(leap, 365, 366)
