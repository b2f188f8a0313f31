"""The batch has the figures of the single loan, to the cent; and over 10^6 loans no cent is lost."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.ledger.allocate import ORDERS
from forbear.ledger.batch import NEVER, Book, restate, schedules
from forbear.ledger.models import DayCount, Disbursed, Instalment, Kind, Late, Paid, Product, Terms
from forbear.ledger.products import due_dates, schedule
from forbear.ledger.state import fold

EPOCH, OPENED = date(1970, 1, 1), date(2024, 1, 15)
BY_DAYS = [DayCount.ACT_365, DayCount.ACT_360, DayCount.THIRTY_360, DayCount.ACT_ACT]
#: Gaps and amounts that meet often, so that a payment is often the sum of instalments, or falls on a due date.
LINES = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([0, 1, 5_000, 10_000]), st.sampled_from([0, 3, 500]), st.just(100)),
    min_size=1,
    max_size=6,
)
LATE = st.tuples(
    st.sampled_from([0, 180_000, 365_000]),
    st.sampled_from([0, 1_500]),
    st.sampled_from([0, 50_000]),
    st.integers(0, 9),
    st.sampled_from([None, 240_000, 4_000_000]),
    #: From which day after the opening on another one holds.
    st.none() | st.tuples(st.integers(1, 120), st.sampled_from([100_000, 300_000])),
)
PAYMENTS = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from([1, 500, 5_600, 10_600, 10_700, 31_800])), max_size=8
)
LOANS = st.lists(st.tuples(LINES, LATE, PAYMENTS), min_size=1, max_size=12)


def _late_terms(*late: Any) -> tuple[int, ...]:
    """A loan's terms as a book holds them on a day: the last three are its ceiling, since when, and the one before."""
    *terms, ceiling, turn, as_of = late
    if not ceiling:
        return (*terms, NEVER, -NEVER, NEVER)
    if not turn or OPENED + timedelta(days=turn[0]) > as_of:
        return (*terms, ceiling, -NEVER, NEVER)
    return (*terms, turn[1], (OPENED - EPOCH).days + turn[0], ceiling)


def _days(days: Sequence[date]) -> np.ndarray:
    return np.array([(day - EPOCH).days for day in days], dtype=np.int64)


@settings(max_examples=250, deadline=None)
@given(LOANS, st.integers(0, 300), st.sampled_from(sorted(ORDERS)), st.sampled_from(BY_DAYS), st.booleans())
def test_a_batch_has_the_figures_of_its_loans(
    loans: list[tuple[list, tuple, list]], ahead: int, order: str, count: DayCount, compounding: bool
) -> None:
    as_of = OPENED + timedelta(days=ahead)
    states, lines, first, paid, paid_first = [], [], [0], [], [0]
    for raw, (*late, ceiling, turn), payments in loans:
        later = ((OPENED + timedelta(days=turn[0]), turn[1]),) if turn and ceiling else ()
        due, schedule = OPENED, []
        for gap, *amounts in raw:
            due += timedelta(days=gap)
            schedule.append(Instalment(due, *amounts))
        principal = sum(line.principal for line in schedule)
        terms = Terms(
            Product.EQUAL_INSTALMENTS,
            "CNY",
            max(principal, 1),
            0,
            OPENED,
            schedule[0].due_on,
            len(schedule),
            late=Late(*late, compounding=compounding, day_count=count, ceiling_ppm=ceiling, later=later),
            order=order,
        )
        dated = sorted((OPENED + timedelta(days=day), amount) for day, amount in payments)
        events = [Paid(f"{k:03}", day, amount) for k, (day, amount) in enumerate(dated)]
        states.append(fold(terms, schedule, [Disbursed("lent", OPENED, principal), *events], as_of))
        lines += schedule
        paid += dated
        first.append(len(lines))
        paid_first.append(len(paid))
    late_terms = np.array([_late_terms(*late, as_of) for _, late, _ in loans], dtype=np.int64).T
    book = Book(
        np.array(first),
        _days([line.due_on for line in lines]),
        *(np.array([getattr(x, name) for x in lines], dtype=np.int64) for name in ("principal", "interest", "fee")),
        np.array(paid_first),
        _days([day for day, _ in paid]),
        np.array([amount for _, amount in paid], dtype=np.int64),
        *late_terms,
    )
    owed = restate(book, (as_of - EPOCH).days, ORDERS[order], count, compounding)
    for k, state in enumerate(states):
        due_debts = [debt for debt in state.debts if debt.due]
        late_ones = [debt.due_on for debt in due_debts if debt.unpaid and debt.due_on < as_of]
        wanted = {
            "dpd": state.dpd,
            "oldest_due_on": (min(late_ones) - EPOCH).days if late_ones else NEVER,
            "arrears": state.arrears,
            "penalty": state.owed(Kind.PENALTY),
            "late_fee": state.owed(Kind.LATE_FEE),
            "credit": state.credit,
            "to_come": sum(debt.owed[Kind.PRINCIPAL] for debt in state.debts if not debt.due),
        } | {
            str(kind): sum(debt.owed.get(kind, 0) for debt in due_debts)
            for kind in (Kind.PRINCIPAL, Kind.INTEREST, Kind.FEE)
        }
        assert {name: int(getattr(owed, name)[k]) for name in wanted} == wanted


SHAPES = [Product.EQUAL_INSTALMENTS, Product.EQUAL_PRINCIPAL, Product.INTEREST_ONLY]
MILLION = 1_000_000
MOST = 18


@pytest.mark.parametrize("product", SHAPES)
def test_no_cent_is_lost_by_rounding_over_a_million_random_loans(product: Product) -> None:
    # From 0.01 to 100,000,000.00, from 0 to 48% a year, of 1 to 18 months of their own days; every line is whole.
    rng = np.random.default_rng(4)
    loans = MILLION // 20
    for _ in range(20):
        principal = np.exp(rng.uniform(0, np.log(10**10), loans)).astype(np.int64)
        rate = rng.integers(0, 480_001, loans)
        periods = rng.integers(1, MOST + 1, loans)
        parts = rng.integers(28, 32, (MOST, loans))
        made = schedules(product, principal, rate, periods, parts, 365)
        assert (made.principal >= 0).all() and (made.interest >= 0).all()
        assert (made.principal.sum(axis=0) == principal).all()
        # Each interest is that of the balance, to the half of a minor unit.
        left = principal - np.cumsum(made.principal, axis=0) + made.principal
        error = np.abs(left * (rate / 1e6) * (parts / 365) - made.interest)
        assert (error <= 0.5 + left * 1e-13).all()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.lists(st.tuples(st.integers(1, 10**12), st.integers(0, 4_000_000), st.integers(1, 24)), min_size=1, max_size=20),
)
def test_schedules_of_a_batch_are_those_of_single_loans(product: Product, loans: list[tuple[int, int, int]]) -> None:
    principal, rate, periods = (np.array(column, dtype=np.int64) for column in zip(*loans, strict=True))
    first = date(2024, 2, 15)
    contracts = [
        Terms(product, "CNY", amount, ppm, OPENED, first, count, day_count=DayCount.ACT_365)
        for amount, ppm, count in loans
    ]
    longest = due_dates(replace(contracts[0], count=24))
    days = [OPENED, *longest]
    parts = np.array([[(b - a).days] * len(loans) for a, b in pairwise(days)])
    made = schedules(product, principal, rate, periods, parts, 365)
    for k, terms in enumerate(contracts):
        single = schedule(terms)
        assert made.principal[: terms.count, k].tolist() == [line.principal for line in single]
        assert made.interest[: terms.count, k].tolist() == [line.interest for line in single]
