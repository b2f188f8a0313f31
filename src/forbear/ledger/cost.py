"""The all-in yearly cost: the rate that makes what the borrower pays worth what the borrower got.

Monthly schedules by the actuarial method (12 CFR 1026, appendix J: periodic rate times the periods of a
year), as China's annualisation by internal rate of return does too; others by dated flows, turned into
the nominal rate of monthly periods.
"""

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import pyxirr

_MONTHS = 12


def all_in_yearly(opened_on: date, principal_minor: int, flows: Sequence[tuple[date, int]]) -> int | None:
    """The nominal yearly cost in ppm of `flows` (due date, minor units), half up; None where there is no rate."""
    if principal_minor <= 0 or not flows:
        return None
    months = [12 * (day.year - opened_on.year) + day.month - opened_on.month for day, _ in flows]
    if months == list(range(1, len(flows) + 1)):
        rate = pyxirr.irr([-principal_minor, *(amount for _, amount in flows)])
    else:
        yearly = pyxirr.xirr(
            [opened_on, *(day for day, _ in flows)], [-principal_minor, *(amount for _, amount in flows)]
        )
        rate = None if yearly is None or yearly <= -1 else (1 + yearly) ** (1 / _MONTHS) - 1
    if rate is None:
        return None
    ppm = int((Decimal(rate) * _MONTHS * 1_000_000).quantize(Decimal(1), ROUND_HALF_UP))
    return ppm if ppm >= 0 else None
