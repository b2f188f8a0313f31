"""What binds by the day of accrual: a ceiling that changes under a running loan, a freeze, a respite, a fee."""

from datetime import date, timedelta

import pytest

from forbear.ledger import card
from forbear.ledger.carry import replay, resume
from forbear.ledger.cost import Flows, Method, cost
from forbear.ledger.early import payoff
from forbear.ledger.excess import Part, by_stretches, capped, held
from forbear.ledger.models import (
    CardTerms,
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
    Purchased,
    Reason,
    Rescheduled,
    Terms,
)
from forbear.ledger.state import State, fold, frozen_days

#: Taiwan: 20% to 2021-07-19, 16% of what arises from 2021-07-20 on (民法 art. 205; 民法債編施行法 art. 10-1).
SINCE = date(2021, 7, 20)
OPENED, DUE = date(2021, 5, 20), date(2021, 6, 20)
LATE = Late(300_000, ceiling_ppm=200_000, later=((SINCE, 160_000),))
TERMS = Terms(Product.EQUAL_INSTALMENTS, "TWD", 365_000, 200_000, OPENED, DUE, 1, day_count=DayCount.MONTHLY, late=LATE)
SCHEDULE = [Instalment(DUE, 365_000, 6_000)]


def on(day: date, *events: Event, terms: Terms = TERMS, schedule: list[Instalment] = SCHEDULE) -> State:
    return fold(terms, schedule, [Disbursed("lent", terms.opened_on, terms.principal), *events], day)


def test_penalty_interest_of_an_older_contract_runs_at_16_percent_since_the_day() -> None:
    # 3,650.00 overdue; 30% by the contract. 29 days through 07-19 at 20%, from 07-20 on at 16%: 2.00, then 1.60 a day.
    lines = [line for line in on(SINCE + timedelta(days=9)).lines if line.kind is Kind.PENALTY]
    assert [(line.start, line.end, line.rate_ppm, line.amount) for line in lines] == [
        (DUE, SINCE - timedelta(days=1), 200_000, 29 * 200),
        (SINCE - timedelta(days=1), SINCE + timedelta(days=9), 160_000, 10 * 160),
    ]


def test_a_payment_after_the_change_goes_on_as_the_whole_fold() -> None:
    paid = [Paid("a", DUE + timedelta(days=3), 1_000), Paid("b", SINCE + timedelta(days=5), 2_000)]
    day = SINCE + timedelta(days=30)
    first = [Disbursed("lent", OPENED, TERMS.principal), paid[0]]
    _, carried = replay(TERMS, SCHEDULE, first, paid[0].on)
    assert carried is not None
    resumed, _ = resume(carried, paid[1:], day)
    whole = on(day, *paid)
    assert [debt.owed for debt in resumed.debts] == [debt.owed for debt in whole.debts]


def test_a_late_fee_comes_by_days_at_what_each_ceiling_leaves() -> None:
    late = Late(120_000, 9_000, ceiling_ppm=200_000, later=((SINCE, 160_000),))
    terms = Terms(Product.EQUAL_INSTALMENTS, "TWD", 365_000, 0, OPENED, DUE, 1, late=late)
    lines = [line for line in on(SINCE + timedelta(days=9), terms=terms).lines if line.kind is Kind.LATE_FEE]
    assert [(line.rate_ppm, line.amount) for line in lines] == [(80_000, 29 * 80), (40_000, 10 * 40)]


def test_the_schedule_of_an_older_contract_is_held_line_by_line_since_the_day() -> None:
    # One mechanism with the split of 法释〔2020〕17号 art. 31: each instalment at the ceilings of its period.
    lines = [Part(date(2021, month, 20), 10_000, 170 * (10 - month)) for month in (6, 7, 8, 9)]
    steps = ((OPENED, 200_000), (SINCE, 160_000))
    found = held([(OPENED, 40_000)], lines, steps)
    assert found == by_stretches([(OPENED, 40_000)], lines, steps) and found is not None
    # 40,000 and 30,000 for a month at 20% a year cost 666 and 500; 20,000 and 10,000 since 07-20 at 16% 266 and 133.
    assert [line.lawful - line.principal for line in found.lines] == [666, 500, 266, 133]
    # Where the change comes after the last due date, one factor holds the whole, as everywhere.
    over = ((OPENED, 100_000), (date(2021, 9, 20), 50_000))
    assert held([(OPENED, 40_000)], lines, over) == capped([(OPENED, 40_000)], lines, 100_000)


def test_a_card_s_interest_is_held_to_the_ceiling_of_each_day() -> None:
    # Taiwan, Banking Act 47-1(2): 15% of what accrues on cards from 2015-09-01 on, on older cards too.
    terms = CardTerms(
        Product.REVOLVING, "TWD", 0, 200_000, date(2015, 7, 1), date(2015, 8, 20), 1,
        late=Late(ceiling_ppm=200_000, later=((date(2015, 9, 1), 150_000),)),
        first_statement_on=date(2015, 8, 1), due_days=19, minimum_ppm=100_000,
    )  # fmt: skip
    found = card.fold(terms, [Purchased("p", date(2015, 7, 1), 36_500, cash=True)], date(2015, 9, 30))
    rates = {(line.start, line.end): (line.rate_ppm, line.amount) for line in (*found.lines, *found.running)}
    assert rates[date(2015, 8, 1), date(2015, 8, 31)] == (200_000, 30 * 20)
    assert rates[date(2015, 8, 31), date(2015, 9, 1)] == (150_000, 15)
    assert rates[date(2015, 9, 1), date(2015, 9, 30)] == (150_000, 29 * 15)


# ---- a freeze: granted, or SI 2020/1311 reg 7 -------------------------------------------------------

LOAN = Terms(Product.EQUAL_INSTALMENTS, "GBP", 30_000, 0, date(2026, 1, 31), date(2026, 3, 2), 3, late=Late(365_000))
DUES = [Instalment(date(2026, 3, 2), 10_000, 300), Instalment(date(2026, 4, 1), 10_000, 200),
        Instalment(date(2026, 5, 1), 10_000, 100)]  # fmt: skip


def test_a_freeze_spares_the_contract_s_interest_for_its_days() -> None:
    # Ten of the thirty days of the second instalment's period are frozen: 2.00 less a third.
    freeze = Forborne("f", date(2026, 3, 12), date(2026, 3, 22), freezes=True)
    found = on(date(2026, 4, 1), freeze, Paid("p", date(2026, 3, 2), 10_300), terms=LOAN, schedule=DUES)
    assert found.owed(Kind.INTEREST) == 133
    ((n, cut),) = found.spared
    assert (n, cut.contracted, cut.lawful) == (2, 10_200, 10_133)


def test_a_freeze_stops_penalty_interest_and_days_past_due_go_on() -> None:
    freeze = Forborne("f", date(2026, 3, 12), date(2026, 3, 22), freezes=True)
    found = on(date(2026, 3, 31), freeze, terms=LOAN, schedule=DUES)
    # 100.00 at 36.5% a year is 0.10 a day: ten days before the freeze, nine after it.
    assert found.owed(Kind.PENALTY) == 10 * 10 + 9 * 10 and found.dpd == 29


def test_a_plan_s_interest_is_spared_too() -> None:
    plan = Rescheduled("plan", date(2026, 3, 2), (Instalment(date(2026, 4, 1), 30_000, 300),), Reason.PLAN)
    freeze = Forborne("f", date(2026, 3, 2), date(2026, 3, 17), freezes=True)
    found = on(date(2026, 4, 1), plan, freeze, terms=LOAN, schedule=DUES)
    assert found.owed(Kind.INTEREST) == 300 + 150  # what was due before, and half of the plan's


@pytest.mark.parametrize("kind", [Kind.FEE, Kind.COST])
def test_a_fee_on_a_frozen_day_is_not_owed_whenever_the_freeze_came_to_light(kind: Kind) -> None:
    freeze = Forborne("f", date(2026, 3, 12), date(2026, 3, 22), freezes=True)
    found = on(date(2026, 3, 31), Charged("c", date(2026, 3, 15), kind, 500), freeze, terms=LOAN, schedule=DUES)
    assert found.owed(kind) == 0 and [(each.key, each.frozen) for each in found.refused] == [("c", True)]


def test_repaid_early_the_frozen_days_cost_nothing() -> None:
    paid = Paid("p", date(2026, 3, 2), 10_300)
    freeze = Forborne("f", date(2026, 3, 2), date(2026, 3, 17), freezes=True)
    terms = Terms(
        Product.EQUAL_INSTALMENTS, "GBP", 30_000, 0, LOAN.opened_on, DUES[0].due_on, 3, day_count=DayCount.MONTHLY
    )
    assert payoff(terms, on(date(2026, 3, 17), paid, freeze, terms=terms, schedule=DUES)) == 20_000
    # Fifteen of the fifteen days that are left of the thirty: all that the period still costs.
    assert payoff(terms, on(date(2026, 3, 31), paid, freeze, terms=terms, schedule=DUES)) == 20_000 + 93


def test_freezes_that_overlap_count_each_day_once() -> None:
    found = on(
        date(2026, 4, 1),
        Forborne("f", date(2026, 3, 2), date(2026, 3, 17), freezes=True),
        Forborne("g", date(2026, 3, 7), date(2026, 3, 22), freezes=True, rule="gb.respite.freeze"),
        terms=LOAN,
        schedule=DUES,
    )
    assert frozen_days(found.freezes, date(2026, 3, 2), date(2026, 4, 1)) == 20
    # Forbearance that the law gives is told by the person's record, not as granted.
    assert found.forborne_until == date(2026, 3, 17)


def test_set_down_in_a_freeze_a_loan_goes_on_as_the_whole_fold() -> None:
    freeze = Forborne("f", date(2026, 3, 12), date(2026, 4, 11), freezes=True)
    start: list[Event] = [Disbursed("lent", LOAN.opened_on, LOAN.principal), freeze]
    _, carried = replay(LOAN, DUES, start, freeze.on)
    assert carried is not None
    paid = Paid("p", date(2026, 4, 20), 5_000)
    resumed, _ = resume(carried, [paid], date(2026, 5, 5))
    whole = on(date(2026, 5, 5), freeze, paid, terms=LOAN, schedule=DUES)
    assert {kind: resumed.owed(kind) for kind in Kind} == {kind: whole.owed(kind) for kind in Kind}


# ---- a fee that is charged --------------------------------------------------------------------------


def fee(amount: int, *more: int) -> State:
    """A year's loan of 1,000.00 at 18%, and fees on the day of the sixth instalment, under 24%."""
    days = [date(2026 + month // 12, month % 12 + 1, 1) for month in range(1, 13)]
    lines = [Instalment(day, 8_334 if k else 8_326, 1_500 - 125 * k) for k, day in enumerate(days)]
    terms = Terms(Product.EQUAL_INSTALMENTS, "CNY", 100_000, 180_000, date(2026, 1, 1), days[0], 12,
                  late=Late(ceiling_ppm=240_000))  # fmt: skip
    charged = [Charged(f"c{k}", days[5], Kind.FEE, each) for k, each in enumerate((amount, *more))]
    return on(days[5], *charged, terms=terms, schedule=lines)


def test_a_fee_is_part_of_the_cost_and_owed_as_far_as_the_ceiling_leaves_room() -> None:
    # 法发〔2017〕22号 art. 2: interest and fees together. A small fee is owed whole; of a large one what 24% leaves.
    assert fee(500).owed(Kind.FEE) == 500 and not fee(500).refused
    found = fee(50_000)
    (cut,) = found.refused
    assert (cut.amount, cut.lawful, cut.frozen) == (50_000, found.owed(Kind.FEE), False)
    days = [date(2026 + month // 12, month % 12 + 1, 1) for month in range(1, 13)]
    lines = [(day, (8_334 if k else 8_326) + 1_500 - 125 * k) for k, day in enumerate(days)]

    def yearly(extra: int) -> int:
        rate = cost(Flows.of([(date(2026, 1, 1), 100_000)], [*lines, (days[5], extra)]), Method.IRR_SIMPLE)
        assert rate is not None
        return rate.ppm

    assert yearly(cut.lawful) <= 240_000 < yearly(cut.lawful + 2)


def test_fees_together_take_no_more_room_than_one() -> None:
    one = fee(50_000).owed(Kind.FEE)
    assert fee(1_000, 50_000).owed(Kind.FEE) == pytest.approx(one, abs=1)


def test_a_card_s_fee_comes_with_the_statement_within_the_ceiling() -> None:
    terms = CardTerms(
        Product.REVOLVING, "CNY", 0, 180_000, date(2026, 1, 1), date(2026, 2, 20), 1,
        late=Late(ceiling_ppm=240_000), first_statement_on=date(2026, 2, 1), due_days=19, minimum_ppm=100_000,
    )  # fmt: skip
    drawn = [Purchased("p", date(2026, 1, 1), 36_500, cash=True), Charged("c", date(2026, 1, 15), Kind.FEE, 5_000)]
    found = card.fold(terms, drawn, date(2026, 2, 1))
    # 365.00 for 31 days: 5.58 at 18%, 7.44 at 24%; so 1.86 is owed of the 50.00.
    (bill,) = found.statements
    assert (found.owed(Kind.INTEREST), found.owed(Kind.FEE)) == (558, 186)
    assert bill.contracted - bill.charged == 5_000 - 186
