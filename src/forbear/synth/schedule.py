"""Schedules of equal instalments, the ledger's, as the generator walks them; and their all-in yearly cost.

Amounts are whole minor units. Arrays that hold a
value for each instalment have a row for each month and a column for each loan.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forbear.ledger import batch
from forbear.ledger.models import Product

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_PPM_MONTHS = 12 * 1_000_000


@dataclass(frozen=True)
class Schedules:
    """Schedules of as many loans as there are columns.

    principal, interest: minor units of month m + 1 in row m; nothing after the term.
    due: days since 1970-01-01; row 0 is the day of opening, row m the m-th due date, and the rows go on
    monthly past the term. through: row m is all that falls due by the m-th due date.
    """

    principal: Ints
    interest: Ints
    through: Ints
    due: Ints


def schedules(principal_minor: Ints, annual_rate_ppm: Ints, term: Ints, opened: Ints, months: int) -> Schedules:
    """The schedules of loans; `months` rows, at least the longest term. Due on the opening's day, at most the 28th."""
    whole_months = np.ones((months, len(term)), dtype=np.int64)
    lines = batch.schedules(Product.EQUAL_INSTALMENTS, principal_minor, annual_rate_ppm, term, whole_months, 12)
    through = np.zeros((months + 1, len(term)), dtype=np.int64)
    np.cumsum(lines.principal + lines.interest, axis=0, out=through[1:])
    return Schedules(lines.principal, lines.interest, through, _due(opened, months))


def all_in_ppm(principal_minor: Ints, made: Schedules, term: Ints) -> Ints:
    """The all-in yearly cost in ppm: twelve times the monthly internal rate of return of what is really paid.

    By Newton's steps on the present value of term - 1 equal instalments and a last one of its own.
    There are no fees up front, so that it differs from the nominal rate by rounding alone.
    """
    every = made.through[1].astype(np.float64)
    last = (made.through[-1] - made.through[1] * (term - 1)).astype(np.float64)
    n = term.astype(np.float64)
    rate = np.full(len(term), 0.01)
    for _ in range(8):
        v = (1 + rate) ** -(n - 1)
        annuity = (1 - v) / rate
        slope = ((n - 1) * v / (1 + rate) - annuity) / rate
        value = every * annuity + last * v / (1 + rate) - principal_minor
        rate -= value / (every * slope - n * last * v / (1 + rate) ** 2)
    ppm: Ints = np.rint(rate * _PPM_MONTHS).astype(np.int64)
    return ppm


def _due(opened: Ints, months: int) -> Ints:
    day = opened.astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    of_month = np.minimum((day - month.astype("datetime64[D]")).astype(np.int64), 27)
    due = np.empty((months + 1, len(opened)), dtype=np.int64)
    due[0] = opened
    for m in range(1, months + 1):
        due[m] = (month + m).astype("datetime64[D]").astype(np.int64) + of_month
    return due
