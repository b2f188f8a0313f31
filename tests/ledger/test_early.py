"""Early repayment: interest for the days in which the money was lent, and no other (Civil Code art. 677)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from forbear.ledger.carry import replay, resume
from forbear.ledger.cost import Flows, Method, cost
from forbear.ledger.early import ended, free, lapsed, payoff, repay
from forbear.ledger.models import (
    Charged,
    ChargedBack,
    DayCount,
    Disbursed,
    Event,
    Forborne,
    Instalment,
    Kind,
    Late,
    Paid,
    Product,
    Reason,
    Rescheduled,
    Reversed,
    Terms,
)
from forbear.ledger.products import schedule
from forbear.ledger.state import State, fold

#: 1,200.00 at 18.25% a year, that is 0.60 a day on all of it; three instalments.
TERMS = Terms(
    Product.EQUAL_INSTALMENTS, "CNY", 120_000, 182_500, date(2026, 1, 10), date(2026, 2, 10), 3, late=Late(182_500)
)
LINES = (
    Instalment(date(2026, 2, 10), 40_000, 1_860),
    Instalment(date(2026, 3, 10), 40_000, 1_120),
    Instalment(date(2026, 4, 10), 40_000, 620),
)
LENT = Disbursed("lent", TERMS.opened_on, 120_000)
FEB, DAY = date(2026, 2, 10), date(2026, 2, 20)
#: After the first instalment 800.00 are left, of which ten days cost 4.00.
FIRST, WHOLE = Paid("payment:1", FEB, 41_860), 80_400


def on(day: date, *events: Event) -> State:
    return fold(TERMS, LINES, (LENT, *events), day)


def repaid(*events: Event) -> Rescheduled | None:
    return ended(TERMS, LINES, (LENT, *events))


def test_what_ends_the_loan_on_a_day_is_its_principal_and_the_interest_of_the_days_so_far() -> None:
    assert payoff(TERMS, on(DAY, FIRST)) == WHOLE


@pytest.mark.parametrize("over", [0, 1, 500])
def test_a_payment_of_it_ends_the_loan_and_what_is_paid_above_it_is_the_borrowers(over: int) -> None:
    paid = Paid("payment:2", DAY, WHOLE + over)
    found = repaid(FIRST, paid)
    assert found is not None and (found.on, found.by, found.reason) == (DAY, "payment:2", Reason.PREPAYMENT)
    later = on(date(2027, 1, 1), FIRST, paid, found)
    assert (later.outstanding, later.dpd, later.credit) == (0, 0, over)
    assert not any(debt.owed.get(kind) for debt in later.debts for kind in debt.owed)


def test_one_cent_less_is_paid_ahead() -> None:
    assert repaid(FIRST, Paid("payment:2", DAY, WHOLE - 1)) is None


def test_two_payments_of_one_day_end_it_together_and_the_later_one_tells() -> None:
    found = repaid(FIRST, Paid("payment:2", DAY, WHOLE - 1_000), Paid("payment:3", DAY, 1_000))
    assert found is not None and found.by == "payment:3"


def test_the_first_day_counts_whatever_comes_after_it() -> None:
    found = repaid(FIRST, Paid("payment:2", DAY, WHOLE), Paid("payment:3", date(2026, 5, 1), 5_000))
    assert found is not None and found.on == DAY


@pytest.mark.parametrize(
    "back", [Reversed("event:r", date(2026, 3, 1), "payment:2"), ChargedBack("event:c", date(2026, 3, 1), "payment:2")]
)
def test_a_payment_that_was_taken_back_ends_nothing(back: Event) -> None:
    assert repaid(FIRST, Paid("payment:2", DAY, WHOLE), back) is None


def test_a_loan_that_runs_to_its_end_is_not_repaid_early() -> None:
    paid = [Paid(f"payment:{n}", line.due_on, line.amount) for n, line in enumerate(LINES)]
    assert repaid(*paid) is None
    # Nor one that is behind: what it pays after the last due date covers what has fallen due.
    assert repaid(Paid("payment:1", date(2026, 5, 1), 200_000)) is None


def test_penalty_interest_is_a_part_of_what_ends_it() -> None:
    # Ten days at 18.25% on the 400.00 past due: 2.00 beside the 4.00 of the running period.
    owed = payoff(TERMS, on(DAY))
    assert owed == 41_860 + 200 + WHOLE
    assert repaid(Paid("payment:1", DAY, owed - 1)) is None
    assert repaid(Paid("payment:1", DAY, owed)) is not None


def plan(day: date, principal: int) -> Rescheduled:
    terms: dict[str, Any] = {"annual_rate_ppm": 182_500, "opened_on": day, "first_due_on": date(2026, 3, 25)}
    made = schedule(Terms(Product.EQUAL_INSTALMENTS, "CNY", principal, count=4, **terms))
    return Rescheduled("event:plan", day, made, Reason.PLAN)


def test_on_the_day_of_a_plan_what_ends_the_loan_is_what_was_owed_before_it() -> None:
    # Given 418.60 past due since 10 February with 2.00 of penalty interest, when a plan is agreed on the 20th for all
    # 1,200.00, then its interest runs from that day: nothing for the ten days before it is asked for a second time.
    before, agreed = on(DAY), plan(DAY, 120_000)
    assert payoff(TERMS, on(DAY, agreed)) == before.outstanding == 120_000 + 1_860 + 200
    # Five days later: five days at 0.60.
    assert payoff(TERMS, on(date(2026, 2, 25), agreed)) == before.outstanding + 300


def test_after_a_plan_a_payment_of_it_ends_the_loan_too() -> None:
    agreed = plan(DAY, 120_000)
    paid = Paid("payment:1", date(2026, 2, 25), 120_000 + 1_860 + 200 + 300)
    found = repaid(agreed, paid)
    assert found is not None
    assert on(date(2027, 1, 1), agreed, paid, found).outstanding == 0


@pytest.mark.parametrize(("amount", "may"), [(79_999, False), (80_000, True)])
def test_a_loan_set_down_says_whether_a_payment_may_end_it(amount: int, may: bool) -> None:
    _, carried = replay(TERMS, LINES, [LENT, FIRST], FEB)
    assert carried is not None and carried.may_end(amount) is may
    _, later = resume(carried, [Paid("payment:2", DAY, 10_000)], DAY)
    assert later.may_end(amount - 10_000) is may


# ---- a part -----------------------------------------------------------------------------------------

MAR, APR = date(2026, 3, 10), date(2026, 4, 10)
#: On 20 February the ten days since the instalment before cost 4.00; the other 300.00 are free to repay principal.
PART = Paid("payment:2", DAY, 30_400)


def agreed(then: Any, *events: Event) -> Rescheduled:
    state = on(DAY, FIRST, *events)
    return repay("event:early", TERMS, state, free(TERMS, state), then)


@pytest.mark.parametrize(
    ("then", "left"),
    [
        # Of 800.00 to come 500.00 are left: 18 of the 28 days' 11.20 on them are 4.50, then half of them for a month.
        ("smaller", (Instalment(MAR, 25_000, 450), Instalment(APR, 25_000, 388))),
        # Or no instalment larger than the 411.20 of before, and the last the smaller for it.
        ("shorter", (Instalment(MAR, 40_670, 450), Instalment(APR, 9_330, 145))),
    ],
)
def test_a_part_repaid_early_leaves_interest_on_what_is_left_alone(then: str, left: tuple[Instalment, ...]) -> None:
    change = agreed(then, PART)
    assert change.schedule == (Instalment(DAY, 30_000, 400), *left)
    state = on(DAY, FIRST, PART, change)
    assert (state.due, state.credit, state.outstanding, state.dpd) == (0, 0, 50_000, 0)
    (plan,) = state.plans
    assert plan.replaced - plan.charge == 1_120 + 620 - 400 - sum(line.interest for line in left)
    # Paid as it then is due, nothing is owed at the end, and no cent is left over.
    paid = [Paid(f"payment:{n}", line.due_on, line.amount) for n, line in enumerate(left, 3)]
    done = on(date(2027, 1, 1), FIRST, PART, change, *paid)
    assert (done.outstanding, done.credit, done.dpd) == (0, 0, 0)


def test_a_large_part_repaid_early_ends_the_loan_the_sooner() -> None:
    change = agreed("shorter", Paid("payment:2", DAY, 50_400))
    assert change.schedule[1:] == (Instalment(MAR, 30_000, 270),)


def test_what_bears_interest_to_the_end_goes_on_so_after_a_part_was_repaid() -> None:
    # 先息后本: 18.00 a month, and 1,200.00 at the end. Of 600.00 left a month costs 9.00, and all are due at the end.
    lines = (Instalment(FEB, 0, 1_800), Instalment(MAR, 0, 1_800), Instalment(APR, 120_000, 1_800))
    state = fold(TERMS, lines, (LENT, Paid("payment:1", FEB, 1_800)), FEB)
    left = repay("event:early", TERMS, state, 60_000, "smaller").schedule[1:]
    assert left == (Instalment(MAR, 0, 900), Instalment(APR, 60_000, 900))


def test_frozen_days_are_taken_off_once_after_a_part_was_repaid() -> None:
    # Of the 18 days from 20 February to 10 March nine are frozen: half of the 4.50.
    frozen = Forborne("event:freeze", DAY, date(2026, 3, 1), freezes=True)
    change = agreed("smaller", PART, frozen)
    state = on(MAR, FIRST, PART, frozen, change)
    assert state.due == 25_000 + 225


def test_nothing_is_free_before_the_interest_of_the_days_so_far_is_paid() -> None:
    state = on(DAY, FIRST, Paid("payment:2", DAY, 400))
    assert free(TERMS, state) == 0


@pytest.mark.parametrize(
    "back", [Reversed("event:r", date(2026, 3, 1), "payment:2"), ChargedBack("event:c", date(2026, 3, 1), "payment:2")]
)
def test_a_part_whose_payment_was_taken_back_is_owed_by_nobody(back: Event) -> None:
    change = agreed("smaller", PART)
    assert lapsed(TERMS, LINES, (LENT, FIRST, PART, change)) == []
    assert lapsed(TERMS, LINES, (LENT, FIRST, PART, change, back)) == [change]


def test_a_part_repaid_early_makes_no_loan_dearer() -> None:
    # Given a month of 31 days that costs 20.00 by the contract, of which the 30 days so far are 19.73 at 20% a year,
    # when 10.00 are repaid, then of the last day no more than the other 0.27 may be asked (Civil Code art. 677).
    terms = replace(TERMS, annual_rate_ppm=200_000, opened_on=date(2026, 1, 1), first_due_on=date(2026, 2, 1))
    lines = (Instalment(date(2026, 2, 1), 60_000, 2_000), Instalment(date(2026, 3, 1), 60_000, 1_000))
    state = fold(terms, lines, (Disbursed("lent", terms.opened_on, 120_000),), date(2026, 1, 31))
    now, first, second = repay("event:early", terms, state, 1_000, "smaller").schedule
    assert (now.interest, first.interest, second.interest) == (1_973, 27, 992)


# ---- under a ceiling --------------------------------------------------------------------------------

#: 120,000.00 for two months at 20% a year, under 24%: 法发〔2017〕22号 art. 2, interest and fees together.
CAPPED = replace(
    TERMS,
    principal=12_000_000,
    annual_rate_ppm=200_000,
    opened_on=date(2026, 1, 1),
    first_due_on=date(2026, 2, 1),
    late=Late(ceiling_ppm=240_000),
)
MONTHS = [date(2026 + n // 12, n % 12 + 1, 1) for n in range(1, 13)]
TWELVE = [Instalment(day, 1_000_000, 200_000 - 16_667 * n) for n, day in enumerate(MONTHS)]
OUT = Disbursed("lent", date(2026, 1, 1), 12_000_000)
FEE = Charged("event:fee", date(2026, 1, 2), Kind.FEE, 10_000_000)


def yearly(*paid: tuple[date, int]) -> int:
    """What 120,000.00 of 1 January cost a year by what was paid, in ppm: as `check-loan` tells it."""
    found = cost(Flows.of([(OUT.on, OUT.amount)], paid), Method.IRR_SIMPLE)
    assert found is not None
    return found.ppm


def test_a_fee_that_filled_a_year_s_room_is_given_back_when_the_loan_ends_in_a_month() -> None:
    # Given a fee as large as 24% a year leaves room for over twelve months, when all is repaid on the thirtieth day,
    # then interest and fee together are held to 24% of what was lent for those days; a cent more is above it.
    day = date(2026, 1, 31)
    before = fold(CAPPED, TWELVE, [OUT, FEE], day)
    owed, demanded = before.owed(Kind.FEE), payoff(CAPPED, before)
    assert owed > 200_000 and yearly((day, 12_000_000 + owed + 197_260)) > 400_000
    assert yearly((day, demanded)) <= 240_000 < yearly((day, demanded + 100))
    # Paid, it ends the loan to the cent, and what was not demanded is told.
    paid = Paid("payment:all", day, demanded)
    end = ended(CAPPED, TWELVE, [OUT, FEE, paid])
    assert end is not None and ended(CAPPED, TWELVE, [OUT, FEE, replace(paid, amount=demanded - 1)]) is None
    done = fold(CAPPED, TWELVE, [OUT, FEE, paid, end], date(2027, 6, 1))
    assert (done.outstanding, done.credit) == (0, 0)
    given = 12_000_000 + owed + 197_260 - demanded
    assert [(each.kind, each.amount, each.lawful) for each in done.refused if each.on == day] == [(Kind.FEE, given, 0)]


def test_a_fee_that_was_paid_already_is_the_borrowers_again() -> None:
    first, day = Paid("payment:fee", date(2026, 1, 2), 300_000), date(2026, 1, 31)
    before = fold(CAPPED, TWELVE, [OUT, FEE, first], day)
    demanded = payoff(CAPPED, before)
    rest = before.credit  # of the 3,000.00 the fee took a part, the rest waits
    assert yearly((first.on, first.amount - rest), (day, demanded + rest)) <= 240_000
    whole = Paid("payment:all", day, 12_300_000)
    end = ended(CAPPED, TWELVE, [OUT, FEE, first, whole])
    assert end is not None
    done = fold(CAPPED, TWELVE, [OUT, FEE, first, whole, end], day)
    assert (done.outstanding, done.credit) == (0, whole.amount - demanded)


def left_of(state: State) -> Sequence[tuple[date, int]]:
    return [(debt.due_on, sum(debt.owed.values()) + sum(debt.to_come.values())) for debt in state.debts if not debt.due]


@pytest.mark.parametrize("charged_on", [date(2026, 1, 2), date(2026, 2, 3)])
def test_after_a_part_was_repaid_the_fees_are_held_by_what_is_left(charged_on: date) -> None:
    # Given 105,000.00 repaid on 2 February, then a fee of before is given back as far as the rest of the loan leaves no
    # room for it, and one of after is owed by the schedule that holds then, not by the contract's.
    first, part = Paid("payment:1", date(2026, 2, 1), 1_200_000), Paid("payment:2", date(2026, 2, 2), 10_500_000)
    events: list[Event] = [OUT, first, part]
    events += [replace(FEE, on=charged_on)] if charged_on < part.on else []
    state = fold(CAPPED, TWELVE, events, part.on)
    events.append(repay("event:early", CAPPED, state, free(CAPPED, state), "smaller"))
    events += [replace(FEE, on=charged_on)] if charged_on > part.on else []
    now = fold(CAPPED, TWELVE, events, date(2026, 2, 3))
    owed_now = [(date(2026, 2, 3), now.due)]
    settled = [(first.on, first.amount), (part.on, part.amount - now.credit)]
    assert yearly(*settled, *owed_now, *left_of(now)) <= 240_010
    assert any(each.lawful < each.amount for each in now.refused)


def test_what_a_cut_loan_owes_for_half_a_month_is_held_to_the_ceiling() -> None:
    # Given 30% by the contract, cut to 2,400.00 a month, when all is repaid after 14 of February's 28 days, then not
    # half of that is owed, but what the fourteen days cost at 24%, by `check-loan`'s own measure.
    opened, day = date(2026, 2, 1), date(2026, 2, 15)
    terms = replace(CAPPED, annual_rate_ppm=300_000, opened_on=opened, first_due_on=date(2026, 3, 1), count=1)
    terms = replace(terms, day_count=DayCount.MONTHLY)
    lines, lent = [Instalment(date(2026, 3, 1), 12_000_000, 240_000)], replace(OUT, on=opened)
    demanded = payoff(terms, fold(terms, lines, [lent], day))
    rates = [
        found.yearly * 10**6
        for more in (0, 1)
        if (found := cost(Flows.of([(opened, 12_000_000)], [(day, demanded + more)]), Method.IRR_SIMPLE))
    ]
    assert rates[0] <= 240_000 < rates[1] and demanded == 12_109_875
    paid = Paid("payment:all", day, demanded)
    end = ended(terms, lines, [lent, paid])
    assert end is not None and fold(terms, lines, [lent, paid, end], day).outstanding == 0


def test_where_more_was_paid_than_the_ceiling_allows_the_rest_is_asked_for_and_the_excess_goes_back() -> None:
    # Given 2% for February's 28 days, which 24% a year do not reach by days, when the rest is repaid on 2 March, then
    # its principal is asked for, no interest, and what of February's was above the ceiling is the borrower's.
    opened, first, day = date(2026, 2, 1), date(2026, 3, 1), date(2026, 3, 2)
    terms = replace(CAPPED, opened_on=opened, first_due_on=first, count=2, day_count=DayCount.MONTHLY)
    lines = [Instalment(first, 6_000_000, 240_000), Instalment(date(2026, 4, 1), 6_000_000, 120_000)]
    events: list[Event] = [replace(OUT, on=opened), Paid("payment:1", first, 6_240_000)]
    assert payoff(terms, fold(terms, lines, events, day)) == 6_000_000
    _, carried = replay(terms, lines, events, day)
    assert carried is not None and carried.may_end(6_000_000)
    events.append(Paid("payment:2", day, 6_000_000))
    end = ended(terms, lines, events)
    assert end is not None
    back = fold(terms, lines, [*events, end], day).credit
    flows = Flows.of([(opened, 12_000_000)], [(first, 6_240_000), (day, 6_000_000 - back)])
    found = cost(flows, Method.IRR_SIMPLE)
    assert back > 0 and found is not None and found.ppm <= 240_000
