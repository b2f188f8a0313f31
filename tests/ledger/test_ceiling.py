"""A ceiling holds all that being late and paying anew cost: late fee beside penalty interest, a plan's interest.

法释〔2020〕17号 art. 29 (private lending) and 法发〔2017〕22号 art. 2 (financial loans): overdue interest,
agreed damages and other fees together are owed no higher than the ceiling.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.ledger.cost import Flows, Method, cost
from forbear.ledger.models import (
    Charged,
    DayCount,
    Disbursed,
    Event,
    Forborne,
    Instalment,
    Kind,
    Late,
    Paid,
    Product,
    RateChanged,
    Reason,
    Rescheduled,
    Terms,
    Waived,
)
from forbear.ledger.products import schedule
from forbear.ledger.state import State, fold

OPENED, DUE = date(2026, 1, 10), date(2026, 2, 10)
SCHEDULE = [Instalment(DUE, 50_000, 1_000)]
#: 500.00; late, 18% a year and a fee of 15.00 after three days; no more than 24% a year in all.
LATE = Late(180_000, 1_500, grace_days=3, ceiling_ppm=240_000)
TERMS = Terms(Product.EQUAL_INSTALMENTS, "CNY", 50_000, 240_000, OPENED, DUE, 1, day_count=DayCount.MONTHLY, late=LATE)


def after(days: int, *events: Event, terms: Terms = TERMS, schedule: Sequence[Instalment] = SCHEDULE) -> State:
    lent = Disbursed("lent", OPENED, sum(line.principal for line in schedule))
    return fold(terms, schedule, [lent, *events], DUE + timedelta(days=days))


def late_charges(found: State) -> tuple[int, int]:
    return found.owed(Kind.PENALTY), found.owed(Kind.LATE_FEE)


def test_a_late_fee_is_owed_as_far_as_the_ceiling_leaves_room_beside_penalty_interest() -> None:
    # 500.00 × 18% × days/365 is penalty interest; 500.00 × (24% - 18%) × days/365 is what may come of the fee.
    assert late_charges(after(3)) == (74, 0)
    assert late_charges(after(4)) == (99, 33)
    assert late_charges(after(100)) == (2_466, 822)
    # From the 183rd day on the fee is owed whole, and grows no more.
    assert late_charges(after(182))[1] == 1_496 and late_charges(after(183))[1] == late_charges(after(400))[1] == 1_500


def test_what_the_ceiling_holds_back_is_told() -> None:
    (debt,) = after(100).debts
    assert debt.held_back == 1_500 - 822
    assert after(400).debts[0].held_back == 0


def test_without_a_ceiling_the_fee_is_owed_at_once() -> None:
    terms = replace(TERMS, late=replace(LATE, ceiling_ppm=None))
    assert late_charges(after(4, terms=terms)) == (99, 1_500)


def test_where_penalty_interest_takes_all_of_the_ceiling_no_fee_is_owed() -> None:
    # Given 30% by the contract, then 24% runs, and nothing of the fee beside it.
    terms = replace(TERMS, late=replace(LATE, penalty_rate_ppm=300_000))
    assert late_charges(after(365, terms=terms)) == (12_000, 0)
    # Nor does a change of the rate go above it.
    assert after(365, RateChanged("r", DUE, 300_000)).owed(Kind.PENALTY) == 12_000


def test_what_comes_of_the_fee_follows_what_is_overdue() -> None:
    # Given half of the principal paid after 50 days, then the fee comes of the other half from there on.
    terms = replace(TERMS, order="instalments_first")
    found = after(100, Paid("p", DUE + timedelta(days=50), 26_000), terms=terms)
    first, second = [line for line in found.lines if line.kind is Kind.LATE_FEE]
    assert (first.base, first.days, first.amount) == (50_000, 50, 411)
    assert (second.base, second.days, second.amount, second.at_most) == (25_000, 50, 205, 1_500 - 411)


def test_a_fee_given_up_does_not_come_back_day_by_day() -> None:
    # Given 15.00 given up on a day when 8.22 of it were owed, then the 6.78 to come are given up too.
    day = DUE + timedelta(days=100)
    assert after(400, Waived("w", day, Kind.LATE_FEE, 1_500)).owed(Kind.LATE_FEE) == 0
    # Given 10.00 given up, then 5.00 are left to come.
    assert after(400, Waived("w", day, Kind.LATE_FEE, 1_000)).owed(Kind.LATE_FEE) == 500


def test_while_nothing_accrues_nothing_comes_of_the_fee() -> None:
    frozen = Forborne("f", DUE + timedelta(days=50), DUE + timedelta(days=90), freezes=True)
    assert late_charges(after(90, frozen)) == late_charges(after(50))


def test_the_interest_of_a_plan_is_held_to_the_ceiling() -> None:
    # Given 500.00 overdue and a plan of two months at 3% a month, then 2% a month is owed; principal and days stay.
    on = DUE + timedelta(days=28)  # 10 March
    lines = (Instalment(date(2026, 4, 10), 25_000, 1_500), Instalment(date(2026, 5, 10), 25_000, 750))
    found = after(28, Rescheduled("plan", on, lines, Reason.PLAN))
    assert [(n, cut.contracted, cut.lawful) for n, cut in found.cuts] == [(2, 26_500, 26_000), (3, 25_750, 25_500)]
    assert [sum(debt.to_come.values()) for debt in found.debts if not debt.due] == [1_000, 500]


def test_principal_that_was_not_due_bears_a_new_schedules_interest_since_its_period_began() -> None:
    # Given 2% a month by the contract and the same by the new schedule, made ten days into the month: nothing is cut.
    schedule = [Instalment(DUE, 0, 1_000), Instalment(date(2026, 3, 10), 50_000, 1_000)]
    paid = Paid("p", DUE, 1_000)
    lines = (Instalment(date(2026, 3, 10), 20_000, 1_000), Instalment(date(2026, 4, 10), 30_000, 600))
    anew = Rescheduled("rate", DUE + timedelta(days=10), lines, Reason.RATE)
    assert after(10, paid, anew, schedule=schedule).cuts == ()


@pytest.mark.parametrize("reason", [Reason.PLAN, Reason.REAGE])
def test_interest_for_no_time_at_all_is_none(reason: Reason) -> None:
    on = DUE + timedelta(days=5)
    found = after(5, Rescheduled("plan", on, (Instalment(on, 50_000, 9_999),), reason))
    assert sum(cut.excess for _, cut in found.cuts) == 9_999


LATES = st.builds(
    Late,
    penalty_rate_ppm=st.integers(0, 500_000),
    late_fee_minor=st.integers(0, 20_000),
    late_fee_ppm=st.integers(0, 200_000),
    grace_days=st.integers(0, 40),
    ceiling_ppm=st.integers(0, 400_000),
)


@settings(max_examples=200, deadline=None)
@given(LATES, st.lists(st.tuples(st.integers(0, 400), st.integers(1, 30_000)), max_size=5), st.integers(1, 500))
def test_what_being_late_costs_is_never_above_the_ceiling(
    late: Late, payments: list[tuple[int, int]], days: int
) -> None:
    # Of each stretch of days: penalty interest and fee together, against the ceiling on the same base.
    assert late.ceiling_ppm is not None
    paid = [Paid(f"{k}", DUE + timedelta(days=day), amount) for k, (day, amount) in enumerate(payments)]
    found = after(days, *paid, terms=replace(TERMS, late=late))
    stretches: dict[date, list[int]] = {}
    for line in found.lines:
        if line.kind in (Kind.PENALTY, Kind.LATE_FEE):
            assert line.year, "a fee that comes at once is none under a ceiling"
            top = line.base * late.ceiling_ppm * line.days / (line.year * 10**6)
            stretches.setdefault(line.start, [0, top]).__setitem__(0, stretches.get(line.start, [0])[0] + line.amount)
    # Each of the two lines is rounded once, to the nearest minor unit.
    assert all(amount <= top + 1 for amount, top in stretches.values())
    fee = max(late.late_fee_minor, 51_000 * late.late_fee_ppm // 10**6 + 1)
    assert sum(line.amount for line in found.lines if line.kind is Kind.LATE_FEE) <= fee


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(20, 60), st.integers(1, 40_000), st.integers(0, 20_000)), min_size=1, max_size=6),
    st.integers(0, 500_000),
)
def test_a_plan_never_costs_more_than_the_ceiling(raw: list[tuple[int, int, int]], ceiling: int) -> None:
    on = due = DUE + timedelta(days=30)
    lines = []
    for gap, principal, interest in raw:
        due += timedelta(days=gap)
        lines.append(Instalment(due, principal, interest))
    lent = sum(line.principal for line in lines)
    terms = replace(TERMS, principal=lent, late=replace(LATE, ceiling_ppm=ceiling))
    found = after(
        30, Rescheduled("plan", on, tuple(lines), Reason.PLAN), terms=terms, schedule=[Instalment(DUE, lent, 0)]
    )
    owed = [(d.due_on, d.owed[Kind.PRINCIPAL] + sum(d.to_come.values())) for d in found.debts if not d.due]
    rate = cost(Flows.of([(on, lent)], owed), Method.IRR_SIMPLE)
    assert rate is None or rate.ppm <= ceiling


# ---- a fee on a line of credit ----------------------------------------------------------------------

#: 随借随还: 1,000.00 drawn on 10 January at 18.25% a year, that is 0.50 a day.
LINE = replace(
    TERMS,
    product=Product.DAILY,
    annual_rate_ppm=182_500,
    principal=100_000,
    first_due_on=date(2026, 12, 10),
    day_count=DayCount.ACT_365,
)
DREW = Disbursed("drawn", OPENED, 100_000)


def with_fee(day: date, *events: Event, ceiling: int | None = 240_000) -> State:
    terms = replace(LINE, late=replace(LATE, ceiling_ppm=ceiling))
    charged = Charged("fee", day, Kind.FEE, 5_000)
    return fold(terms, schedule(terms), [DREW, charged, *events], day)


@pytest.mark.parametrize("repaid", [0, 40_000])
def test_a_fee_on_a_line_of_credit_is_owed_as_far_as_the_days_so_far_leave_room(repaid: int) -> None:
    # Given two months of 1,000.00, or of 600.00 since 10 February, a fee of 50.00 is owed as far as all that was paid,
    # with what would repay the rest that day, costs no more than 24% a year; one cent more would.
    day = date(2026, 3, 10)
    paid = [Paid("part", DUE, repaid)] if repaid else []
    found = with_fee(day, *paid)
    owed = found.owed(Kind.FEE)
    assert 0 < owed < 5_000 and [(each.amount, each.lawful) for each in found.refused] == [(5_000, owed)]
    for more, lawful in ((0, True), (1, False)):
        ends = [(event.on, event.amount) for event in paid] + [(day, found.outstanding + more)]
        assert (cost(Flows.of([(OPENED, 100_000)], ends), Method.IRR_SIMPLE).yearly * 10**6 <= 240_000) is lawful


def test_on_the_day_of_the_draw_no_fee_can_be_shown_to_be_lawful() -> None:
    assert with_fee(OPENED).owed(Kind.FEE) == 0
    assert with_fee(OPENED, ceiling=None).owed(Kind.FEE) == 5_000


def test_two_fees_on_a_line_of_credit_leave_room_but_once() -> None:
    day = date(2026, 3, 10)
    again = with_fee(day, Charged("fee2", day, Kind.FEE, 5_000))
    assert again.owed(Kind.FEE) == with_fee(day).owed(Kind.FEE)
