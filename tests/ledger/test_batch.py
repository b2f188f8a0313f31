"""The batch has the figures of the single loan, to the cent; and over 10^6 loans no cent is lost."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.ledger.allocate import ORDERS
from forbear.ledger.batch import NEVER, Book, restate
from forbear.ledger.models import DayCount, Disbursed, Instalment, Kind, Late, Paid, Product, Terms
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
    st.sampled_from([0, 180_000, 365_000]), st.sampled_from([0, 1_500]), st.sampled_from([0, 50_000]), st.integers(0, 9)
)
PAYMENTS = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from([1, 500, 5_600, 10_600, 10_700, 31_800])), max_size=8
)
LOANS = st.lists(st.tuples(LINES, LATE, PAYMENTS), min_size=1, max_size=12)


def _days(days: Sequence[date]) -> np.ndarray:
    return np.array([(day - EPOCH).days for day in days], dtype=np.int64)


@settings(max_examples=250, deadline=None)
@given(LOANS, st.integers(0, 300), st.sampled_from(sorted(ORDERS)), st.sampled_from(BY_DAYS), st.booleans())
def test_a_batch_has_the_figures_of_its_loans(
    loans: list[tuple[list, tuple, list]], ahead: int, order: str, count: DayCount, compounding: bool
) -> None:
    as_of = OPENED + timedelta(days=ahead)
    states, lines, first, paid, paid_first = [], [], [0], [], [0]
    for raw, late, payments in loans:
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
            late=Late(*late, compounding=compounding, day_count=count),
            order=order,
        )
        dated = sorted((OPENED + timedelta(days=day), amount) for day, amount in payments)
        events = [Paid(f"{k:03}", day, amount) for k, (day, amount) in enumerate(dated)]
        states.append(fold(terms, schedule, [Disbursed("lent", OPENED, principal), *events], as_of))
        lines += schedule
        paid += dated
        first.append(len(lines))
        paid_first.append(len(paid))
    late_terms = np.array([late for _, late, _ in loans], dtype=np.int64).T
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
