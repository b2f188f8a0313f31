"""Walks many loans through the monthly chain of delinquency, and draws the payments that make it so.

The state after a due date is the number of instalments fallen due by then and unpaid at the end of
that day. From one due date to the next: to roll forward is to pay nothing, to stay is to pay one
instalment, to cure is to pay all arrears and the instalment that falls due.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forbear.synth.parameters import Chain
from forbear.synth.schedule import Schedules

Ints = npt.NDArray[np.int64]

#: The day of what has not happened.
NOT_YET = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Payments:
    """Payments of as many loans as there are columns.

    amount, day: row 2m is the m-th month's payment of arrears, row 2m + 1 its payment of the instalment
    that falls due; no payment where the amount is 0. paid_on: the day on which each instalment was
    paid (NOT_YET if it was not), a row for each instalment. states: row m is the state after due date m.
    """

    amount: Ints
    day: Ints
    paid_on: Ints
    states: Ints


def payments(
    made: Schedules, term: Ints, as_of: int, chain: Chain, on_due_date: float, early_days: int, rng: np.random.Generator
) -> Payments:
    """The payments made before the day `as_of` (days since 1970-01-01)."""
    months, loans = made.due.shape[0] - 1, made.due.shape[1]
    states = np.zeros((months + 1, loans), dtype=np.int64)
    amount = np.zeros((2 * months, loans), dtype=np.int64)
    day = np.zeros_like(amount)
    paid_on = np.full((months, loans), NOT_YET)
    everyone = np.arange(loans)
    for m in range(1, months + 1):
        before, due = states[m - 1], (m <= term)
        after = states[m] = _move(before, due, chain, np.asarray(rng.random(loans)))
        count = before + due - after
        current = due & (after == 0)
        late = count - current
        first = np.minimum(m - 1, term) - before  # instalments paid so far

        some = np.flatnonzero(late > 0)
        span = made.due[m, some] - made.due[m - 1, some]
        when = made.due[m - 1, some] + _within(span, chain.hazard, rng.random(len(some)))
        amount[2 * m - 2, some] = made.through[first[some] + late[some], some] - made.through[first[some], some]
        day[2 * m - 2, some] = when
        for k in range(int(late.max(initial=0))):
            reach = late[some] > k
            paid_on[first[some][reach] + k, some[reach]] = when[reach]

        in_time = everyone[current]
        amount[2 * m - 1, in_time] = made.principal[m - 1, in_time] + made.interest[m - 1, in_time]
        early = _early(rng.random(len(in_time)), on_due_date, early_days)
        # Not before the arrears of the same month: the oldest is paid first.
        day[2 * m - 1, in_time] = np.maximum(made.due[m, in_time] - early, day[2 * m - 2, in_time])
        paid_on[m - 1, in_time] = day[2 * m - 1, in_time]
    amount[day >= as_of] = 0
    paid_on[paid_on >= as_of] = NOT_YET
    return Payments(amount, day, paid_on, states)


def _move(before: Ints, due: npt.NDArray[np.bool_], chain: Chain, uniform: npt.NDArray[np.float64]) -> Ints:
    """The next state of each loan: the chain's, but after the last due date nothing is added."""
    row = np.minimum(before, 4)
    edges = np.cumsum(chain.moves, axis=1)
    edges[:, -1] = 1.0
    # All rows in one sorted list, row r between r and r + 1.
    target = np.searchsorted((edges + np.arange(5)[:, None]).ravel(), row + uniform, side="right") - 6 * row
    after = np.where(target < 4, target, np.maximum(before + (target == 5), 4))
    moved: Ints = np.where(due, after, np.minimum(after, before))
    return moved


def _within(span: Ints, hazard: float, uniform: npt.NDArray[np.float64]) -> Ints:
    """Days from 1 to `span` after a due date, by a steady hazard a day, given that it is within the span."""
    waited = -np.log1p(-uniform * -np.expm1(-hazard * span)) / hazard
    days: Ints = np.minimum(np.floor(waited).astype(np.int64) + 1, span)
    return days


def _early(uniform: npt.NDArray[np.float64], on_due_date: float, early_days: int) -> Ints:
    """Days before the due date: none for most, else 1 to `early_days`, each alike."""
    rest = (uniform - on_due_date) / (1 - on_due_date)
    return np.where(rest < 0, 0, 1 + np.floor(rest * early_days)).astype(np.int64)
