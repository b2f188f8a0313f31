"""Charges, each a line with its formula as data: interest, penalty interest, late fees, fees.

A line covers a stretch of days on which base and rate stay the same, and is rounded half up once. What is
asked about a day within the stretch is the same formula with fewer days, so that it never depends on how
often somebody asked.
"""

from datetime import date, timedelta

from forbear.ledger.daycount import YEAR, units
from forbear.ledger.models import PPM, DayCount, Kind, Late, Line, half_up


def by_days(
    kind: Kind, n: int, base: int, rate_ppm: int, count: DayCount, start: date, end: date, at_most: int | None = None
) -> Line:
    """Interest on `base` for the days after `start` through `end`: half_up(base * rate * days / year)."""
    days = units(start, end, count)
    amount = half_up(base * rate_ppm * days, YEAR[count] * PPM)
    if at_most is not None:
        amount = min(amount, at_most)
    return Line(kind, n, start, end, base, rate_ppm, days, YEAR[count], amount, at_most)


def at_once(kind: Kind, n: int, on: date, amount: int) -> Line:
    """A charge that falls due whole: an instalment's interest, a fee, a cost."""
    return Line(kind, n, on, on, amount, 0, 0, 0, amount)


def late_fee(late: Late, n: int, due_on: date, unpaid: int) -> Line:
    """The late fee of an instalment of which `unpaid` was open when its days of grace ended.

    The greater of the fixed amount and the part of what is unpaid, half up; on the first day after the grace.
    """
    on = fee_day(late, due_on)
    part = half_up(unpaid * late.late_fee_ppm, PPM)
    if part > late.late_fee_minor:
        return Line(Kind.LATE_FEE, n, on, on, unpaid, late.late_fee_ppm, 1, 1, part)
    return at_once(Kind.LATE_FEE, n, on, late.late_fee_minor)


def fee_day(late: Late, due_on: date) -> date:
    """The day on which an instalment due on `due_on` has cost a late fee, if it was unpaid the evening before."""
    return due_on + timedelta(days=late.grace_days + 1)
