"""Time as the formulas of cost measure it: unit-periods of Regulation Z, years of the European directives.

Sources: 12 CFR 1026, appendix J, (b)(2) to (b)(5) [unit-periods]; Directive 2008/48/EC, annex I, part I, remark (c),
Commission guidelines SWD(2012) 128, 4.1.1, and Directive (EU) 2023/2225, annex III [years].
"""

import calendar
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from dateutil.relativedelta import relativedelta

_DAYS = 365
_MONTH = 30  # days of a month where a fraction of it is measured, (b)(5)(ii) and (iii)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit-period: `count` days, weeks, semimonths or months; twelve months are a year."""

    name: Literal["day", "week", "semimonth", "month"]
    count: int = 1

    @property
    def per_year(self) -> Fraction:
        """How many of them make a year, (b)(5)(ii) to (vi)."""
        return Fraction({"day": _DAYS, "week": 52, "semimonth": 24, "month": 12}[self.name], self.count)

    @property
    def days(self) -> int:
        """About how many days it holds: what orders units by length."""
        return {"day": 1, "week": 7, "semimonth": 15, "month": _MONTH}[self.name] * self.count


MONTH = Unit("month")
YEAR = Unit("month", 12)


def anchor(advances: Sequence[date], payments: Sequence[date]) -> int:
    """The day of the month that stands for the last day in a short month, (b)(3)(iv).

    31 where every payment falls on the last day of its month; else the latest day of the month that is paid on.
    """
    if len(payments) > 1 and all(day.day == _length(day) for day in payments):
        return 31
    days = [day.day for day in payments]
    return max(days + [day.day for day in advances]) if len(payments) == 1 else max(days)


def months_back(early: date, late: date, anchor: int) -> tuple[int, int]:
    """Full months measured back from `late`, and the days left between `early` and the first of them."""
    months = 12 * (late.year - early.year) + late.month - early.month
    start = _minus(late, months, anchor)
    if start < early:
        months -= 1
        start = _minus(late, months, anchor)
    return months, (start - early).days


def measure(early: date, late: date, unit: Unit, anchor: int) -> tuple[int, Fraction]:
    """Full unit-periods from `early` to `late`, and the fraction that is left at their beginning, (b)(5)."""
    if unit.name in ("day", "week"):
        return _parts((late - early).days, unit.days)
    months, days = months_back(early, late, anchor)
    if unit == MONTH:
        return months, Fraction(days, _MONTH)
    if unit == YEAR:
        # (b)(5)(v): what is left in whole months as twelfths, else in days.
        years, left = divmod(months, 12)
        if days == 0:
            return years, Fraction(left, 12)
        return years, Fraction((_minus(late, 12 * years, anchor) - early).days, _DAYS)
    return _parts(_MONTH * months + days, unit.days)


def unit_of(advances: Sequence[date], payments: Sequence[date]) -> Unit:
    """The unit-period of a transaction, (b)(4); both in date order.

    The common period that occurs most often, the smaller of two that occur equally often; without a common period
    the average of all, to the nearest standard interval. A common period of so many days that it is neither a week
    nor a month nor a multiple of one is taken as it is.
    """
    day = anchor(advances, payments)
    if len(advances) == len(payments) == 1:
        return _of_term(advances[0], payments[0], day)
    points = [*dict.fromkeys(payments)]
    periods = [*pairwise(dict.fromkeys(advances)), (advances[0], points[0]), *pairwise(points)]
    periods = [(early, late) for early, late in periods if early < late]
    seen = Counter(unit for early, late in periods for unit in _readings(early, late, day))
    seen[Unit("semimonth")] = _semimonths(points, day)
    common = [unit for unit, times in seen.items() if times > 1]
    if common:
        return min(common, key=lambda unit: (-seen[unit], unit.name == "day" and unit.count > 1, unit.days))
    average = Fraction(sum((late - early).days for early, late in periods), len(periods))
    return min(_standard(), key=lambda unit: (abs(unit.days - average), unit.days))


def years(early: date, late: date, unit: Unit, anchor: int) -> Fraction:
    """From `early` to `late` in years: whole months, weeks or years as `unit` says, and days of the year before.

    A month is a twelfth, a week a fifty-second; days are divided by the 365 or 366 of the year that ends with them.
    """
    if unit.name == "week":
        weeks, days = divmod((late - early).days, 7)
        whole, ends = Fraction(weeks, 52), early + relativedelta(days=days)
    elif unit.name == "day":
        whole, ends, days = Fraction(0), late, (late - early).days
    else:
        months, _ = months_back(early, late, anchor)
        months -= months % unit.count if unit == YEAR else 0
        ends = _minus(late, months, anchor)
        whole, days = Fraction(months, 12), (ends - early).days
    if days == 0:
        return whole
    if unit.name == "day" and days > _DAYS:
        # Whole years first, counted back, so that each leap day falls into its own year.
        return years(early, late, YEAR, anchor)
    return whole + Fraction(days, (ends - (ends - relativedelta(years=1))).days)


def _of_term(advanced: date, paid: date, anchor: int) -> Unit:
    """(b)(4)(ii): one advance and one payment make one unit-period, at most a year."""
    months, days = months_back(advanced, paid, anchor)
    if months >= 12:
        return YEAR
    return Unit("month", months) if months and days == 0 else Unit("day", max(1, (paid - advanced).days))


def _readings(early: date, late: date, anchor: int) -> Iterable[Unit]:
    """Each unit that the interval is exactly one of."""
    days = (late - early).days
    if days <= _DAYS:
        yield Unit("week", days // 7) if days % 7 == 0 else Unit("day", days)
    months, left = months_back(early, late, anchor)
    if left == 0 and 1 <= months <= 12:
        yield Unit("month", months)


def _semimonths(points: Sequence[date], anchor: int) -> int:
    """How many periods are half of a month: two in a row that make one."""
    halves = set()
    for k, (first, second, third) in enumerate(zip(points, points[1:], points[2:], strict=False)):
        long = max((second - first).days, (third - second).days)
        if long <= 18 and months_back(first, third, anchor) == (1, 0):
            halves |= {k, k + 1}
    return len(halves)


def _standard() -> Iterable[Unit]:
    yield Unit("day")
    yield Unit("semimonth")
    yield from (Unit("week", k) for k in range(1, 53))
    yield from (Unit("month", k) for k in range(1, 13))


def _parts(days: int, length: int) -> tuple[int, Fraction]:
    whole, left = divmod(days, length)
    return whole, Fraction(left, length)


def _length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _minus(day: date, months: int, anchor: int) -> date:
    """`months` earlier; from the last day of a month to the anchor's day, or the last where there is none."""
    wanted = max(day.day, anchor) if day.day == _length(day) else day.day
    month = 12 * day.year + day.month - 1 - months
    first = date(month // 12, month % 12 + 1, 1)
    return first.replace(day=min(wanted, _length(first)))
