"""Early repayment: interest for the days in which the money was lent, and no other (Civil Code art. 677)."""

from datetime import date
from typing import Any

import pytest

from forbear.ledger.carry import replay, resume
from forbear.ledger.early import ended, free, lapsed, payoff, repay
from forbear.ledger.models import (
    ChargedBack,
    Disbursed,
    Event,
    Forborne,
    Instalment,
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
