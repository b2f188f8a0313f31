"""What may happen to a loan, each by an example worked by hand: orders, early repayment, plans, write-off, sale."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from forbear.ledger.allocate import ORDERS, allocate, order_of
from forbear.ledger.arrears import (
    CN_CARD_2011,
    Category,
    assignment,
    by_days,
    category_on,
    cured_on,
    history,
    reage_refusals,
    rolls,
)
from forbear.ledger.early import payoff, repay, settle
from forbear.ledger.models import (
    Account,
    Charged,
    ChargedBack,
    DayCount,
    Disbursed,
    Event,
    Forborne,
    Instalment,
    Kind,
    Late,
    LedgerError,
    Paid,
    Product,
    RateChanged,
    Reason,
    Rescheduled,
    Sold,
    Terms,
    Waived,
    WrittenOff,
    balances,
)
from forbear.ledger.products import schedule
from forbear.ledger.state import State, fold

JAN, FEB, MAR, APR = (date(2026, m, 10) for m in (1, 2, 3, 4))
SCHEDULE = [Instalment(day, 10_000, 500) for day in (FEB, MAR, APR)]
TERMS = Terms(
    Product.EQUAL_INSTALMENTS, "CNY", 30_000, 0, JAN, FEB, 3, day_count=DayCount.MONTHLY, late=Late(180_000, 1_500)
)
LENT = Disbursed("lent", JAN, 30_000)


def state(as_of: date, *events: Event, terms: Terms = TERMS) -> State:
    return fold(terms, SCHEDULE, [LENT, *events], as_of)


def owed(found: State) -> dict[str, int]:
    return {str(kind): found.owed(kind) for kind in Kind if found.owed(kind)}


# ---- the order of allocation ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "left"),
    [
        # Civil Code arts 560, 561: the instalment due first; costs, interest, principal; the late fee last.
        ("cn_civil_code", {"interest": 0, "penalty": 0, "principal": 9_599, "late_fee": 1_500}),
        # The card's: interest and fees first.
        ("cn_credit_card", {"interest": 0, "penalty": 0, "principal": 10_000, "late_fee": 1_099 - 0}),
        # No pyramiding: the instalment first, in it interest before principal.
        ("us_no_pyramiding", {"interest": 0, "penalty": 99, "principal": 9_500, "late_fee": 1_500}),
    ],
)
def test_a_partial_payment_goes_by_the_order(order: str, left: dict[str, int]) -> None:
    # Given February 20 days late (5.00 interest, 100.00 principal, 0.99 penalty, 15.00 fee), when 10.00 is paid.
    day = FEB + timedelta(days=20)
    found = state(day, Paid("p", day, 1_000), terms=replace(TERMS, order=order))
    first = found.debts[0]
    assert {kind: first.owed.get(Kind(kind), 0) for kind in left} == left
    assert sum(left.values()) == 500 + 10_000 + 99 + 1_500 - 1_000


def test_costs_of_enforcement_come_first_in_china() -> None:
    day = FEB + timedelta(days=20)
    events = (Charged("court", FEB, Kind.COST, 5_000), Paid("p", day, 5_000))
    assert Kind.COST not in owed(state(day, *events, terms=replace(TERMS, order="cn_civil_code")))


def test_from_91_days_past_due_a_card_pays_principal_first() -> None:
    order = ORDERS["cn_credit_card"]
    debt = [{Kind.INTEREST: 100, Kind.PRINCIPAL: 100}]
    assert allocate(100, debt, order.stages_at(90, False)) == ([(0, Kind.INTEREST, 100)], 0)
    assert allocate(100, debt, order.stages_at(91, False)) == ([(0, Kind.PRINCIPAL, 100)], 0)


def test_an_order_that_is_none_is_refused() -> None:
    with pytest.raises(LedgerError, match="allocation order 'mine'"):
        order_of("mine")


# ---- overpayment and early repayment ----------------------------------------------------------------


def test_an_overpayment_waits_for_the_next_instalment() -> None:
    found = state(FEB, Paid("p", FEB, 12_000))
    assert (found.credit, found.due) == (1_500, 0)
    assert state(MAR, Paid("p", FEB, 12_000)).debts[1].unpaid == 9_000


def test_what_is_left_when_all_is_repaid_is_the_borrowers() -> None:
    found = state(APR, Paid("p", FEB, 31_600))
    assert (found.outstanding, found.credit, balances(found.transactions)[Account.CREDIT]) == (0, 100, -100)


def test_early_repayment_owes_interest_for_the_time_lent_and_no_longer() -> None:
    # Civil Code art. 677. 300.00 lent; on 24 February 14 of the 28 days to 10 March have passed.
    day = FEB + timedelta(days=14)
    before = state(day, Paid("feb", FEB, 10_500))
    assert payoff(TERMS, before) == 20_000 + 250
    events = (Paid("feb", FEB, 10_500), settle("settle", TERMS, before), Paid("all", day, 20_250))
    after = state(APR + timedelta(days=99), *events)
    assert (after.outstanding, after.credit, after.dpd) == (0, 0, 0)


@pytest.mark.parametrize(("then", "dues"), [("smaller", [MAR, APR]), ("shorter", [MAR])])
def test_a_part_repaid_early_makes_the_rest_smaller_or_shorter(then: str, dues: list[date]) -> None:
    terms = replace(TERMS, day_count=DayCount.ACT_365, annual_rate_ppm=365_000)
    lines = schedule(terms)
    day = FEB + timedelta(days=14)
    events: list[Event] = [LENT, Paid("feb", FEB, lines[0].amount)]
    before = fold(terms, lines, events, day)
    part = lines[1].principal + 1_000
    change = repay("early", terms, before, part, then)  # type: ignore[arg-type]
    # The interest of the 14 days is due with it: 0.1% a day.
    accrued = round(sum(line.principal for line in lines[1:]) * 0.001 * 14)
    assert change.schedule[0] == Instalment(day, part, accrued)
    after = fold(terms, lines, [*events, change, Paid("part", day, part + accrued)], day)
    assert [debt.due_on for debt in after.debts if not debt.due] == dues
    assert after.outstanding == sum(line.principal for line in lines[1:]) - part
    assert after.dpd == 0


def test_a_daily_loan_owes_interest_for_the_days_and_what_was_drawn() -> None:
    # 随借随还: 1,000.00 at 0.05% a day for 10 days, then 400.00 of it for 20 days more.
    terms = replace(
        TERMS, product=Product.DAILY, annual_rate_ppm=182_500, principal=100_000, day_count=DayCount.ACT_365
    )
    lines = schedule(terms)
    events: list[Event] = [Disbursed("draw", JAN, 100_000), Paid("p", JAN + timedelta(days=10), 60_500)]
    found = fold(terms, lines, events, JAN + timedelta(days=30))
    assert (found.owed(Kind.PRINCIPAL), found.owed(Kind.INTEREST)) == (40_000, 400)
    assert [(x.base, x.days, x.amount) for x in found.lines] == [(100_000, 10, 500), (40_000, 20, 400)]
    # Drawn again before it falls due.
    again = fold(terms, lines, [*events, Disbursed("more", JAN + timedelta(days=30), 10_000)], JAN + timedelta(days=40))
    assert (again.owed(Kind.PRINCIPAL), again.owed(Kind.INTEREST)) == (50_000, 400 + 250)


# ---- charges ----------------------------------------------------------------------------------------


def test_overdue_interest_bears_penalty_interest_only_where_the_contract_compounds() -> None:
    day = FEB + timedelta(days=73)
    plain = replace(TERMS, late=Late(180_000))
    compound = replace(TERMS, late=Late(180_000, compounding=True))
    first = [state(day, terms=terms).debts[0].owed[Kind.PENALTY] for terms in (plain, compound)]
    assert first == [360, 378]  # 100.00 and 105.00, 18% a year for 73 of 365 days


def test_a_freeze_stops_penalty_interest_and_late_fees_while_it_lasts() -> None:
    until = FEB + timedelta(days=30)
    found = state(until, Forborne("respite", FEB, until, freezes=True))
    # The second instalment's whole period is frozen: its 5.00 of interest is never charged, only its principal is due.
    assert owed(found) == {"interest": 500, "principal": 30_000}
    assert (found.forborne_until, found.dpd) == (until, 30)
    later = state(until + timedelta(days=73), Forborne("respite", FEB, until, freezes=True))
    assert later.debts[0].owed[Kind.PENALTY] == 360


def test_penalty_interest_follows_a_change_of_rate() -> None:
    change = FEB + timedelta(days=73)
    found = state(change + timedelta(days=73), RateChanged("rate", change, penalty_rate_ppm=90_000))
    assert found.debts[0].owed[Kind.PENALTY] == 360 + 180


def test_a_waiver_reaches_no_further_than_what_is_owed() -> None:
    day = FEB + timedelta(days=20)
    found = state(day, Waived("w", day, Kind.LATE_FEE, 9_999), Waived("x", day, Kind.PENALTY, 50))
    assert (found.owed(Kind.LATE_FEE), found.owed(Kind.PENALTY)) == (0, 49)
    assert balances(found.transactions)[Account.WAIVED] == 1_550


# ---- plans, re-ageing, cure -------------------------------------------------------------------------

PLAN = tuple(Instalment(date(2026, month, 20), 10_000, 0) for month in (5, 6, 7))


def test_a_plan_does_not_hide_how_long_the_arrears_are() -> None:
    day = APR + timedelta(days=5)
    plan = Rescheduled("plan", day, PLAN, Reason.PLAN)
    found = state(day + timedelta(days=1), plan)
    assert (found.arrears, found.dpd) == (0, (day - FEB).days + 1)
    # It counts on until what was overdue has been paid by the plan.
    assert state(date(2026, 7, 20), plan, Paid("p", date(2026, 5, 20), 31_500)).dpd == 0


def test_re_ageing_counts_anew_and_has_its_limits() -> None:
    day = APR + timedelta(days=5)
    plan = Rescheduled("reage", day, PLAN, Reason.REAGE)
    assert state(day + timedelta(days=1), plan).dpd == 0
    assert state(date(2026, 5, 25), plan).dpd == 5
    # 65 FR 36903: nine months old, three payments, once in 12 months and twice in 60.
    assert reage_refusals(TERMS, [], day, 2) == ["too_young", "too_few_payments"]
    assert reage_refusals(TERMS, [], date(2027, 3, 1), 3) == []
    assert reage_refusals(TERMS, [plan], date(2027, 3, 1), 3) == ["too_often"]
    assert reage_refusals(TERMS, [plan, replace(plan, on=date(2027, 5, 1))], date(2029, 1, 1), 3) == ["too_often"]


def test_a_plan_fits_what_is_really_owed_when_a_payment_comes_to_light() -> None:
    # Given a plan over all 300.00, when it turns out that 105.00 had been paid before, then its last instalment goes.
    day = APR + timedelta(days=5)
    found = state(day, Rescheduled("plan", day, PLAN, Reason.PLAN), Paid("found", FEB, 10_500))
    assert [debt.owed[Kind.PRINCIPAL] for debt in found.debts if not debt.due] == [10_000, 10_000]


def test_a_plan_over_a_debt_that_was_repaid_charges_nothing() -> None:
    plan = Rescheduled("plan", APR, (Instalment(date(2026, 5, 20), 10_000, 300),), Reason.PLAN)
    found = state(date(2026, 6, 1), plan, Paid("found", FEB, 31_500))
    assert (found.outstanding, found.dpd, found.credit) == (0, 0, 0)


def test_cure_needs_its_days_without_arrears() -> None:
    paid_on = FEB + timedelta(days=40)
    events = (Paid("p", paid_on, 21_000), Paid("q", APR, 10_500))
    assert cured_on(state(paid_on + timedelta(days=88), *events), 90) is None
    assert cured_on(state(paid_on + timedelta(days=89), *events), 90) == paid_on + timedelta(days=89)
    assert cured_on(state(FEB, *events), 90) is None


def test_a_class_is_raised_from_non_performing_only_after_the_probation() -> None:
    # All arrears paid after 120 days: then six months and two due dates, whichever is longer.
    paid_on = FEB + timedelta(days=120)
    events = (Paid("p", paid_on, 40_000),)
    late = state(date(2027, 6, 1), *events)
    assert category_on(late, paid_on - timedelta(days=1)) is Category.SUBSTANDARD
    assert category_on(late, paid_on + timedelta(days=100)) is Category.SUBSTANDARD
    assert category_on(late, date(2026, 12, 10)) is Category.NORMAL
    # One that never was non-performing is classed by its days alone.
    soon = state(MAR, Paid("p", FEB + timedelta(days=20), 10_500))
    assert category_on(soon, MAR) is Category.NORMAL


@pytest.mark.parametrize(("dpd", "category"), [(90, 2), (91, 3), (120, 3), (121, 4), (180, 4), (181, 5)])
def test_cards_have_shorter_steps(dpd: int, category: int) -> None:
    # 商业银行信用卡业务监督管理办法 art. 92.
    assert by_days(dpd, CN_CARD_2011) == category


def test_rolls_count_loans_from_bucket_to_bucket() -> None:
    last = date(2026, 4, 30)
    worse, better = state(last), state(last, Paid("p", APR, 31_500 + 5_000))
    days = [history(one, FEB, last) for one in (worse, better)]
    assert rolls(days, [date(2026, 2, 28), date(2026, 3, 31), last]) == {
        ("1-30", "31-60"): 2,
        ("31-60", "61-90"): 1,
        ("31-60", "current"): 1,
    }


# ---- the end ----------------------------------------------------------------------------------------


def test_a_write_off_does_not_end_the_debt() -> None:
    day = APR + timedelta(days=180)
    written = (WrittenOff("off", day),)
    found = state(day + timedelta(days=73), *written)
    assert found.dpd == (day - FEB).days + 73
    assert found.outstanding > state(day).outstanding  # interest for being late goes on
    sums = balances(found.transactions)
    assert sums[Account.ALLOWANCE] == -found.outstanding  # carried at nothing
    # What is paid afterwards is paid on the debt, and is a recovery of the lender's.
    paid = state(day + timedelta(days=73), *written, Paid("p", day + timedelta(days=73), 10_000))
    assert paid.outstanding == found.outstanding - 10_000
    assert balances(paid.transactions)[Account.RECOVERY] == -10_000


def test_a_sale_ends_what_is_owed_here_and_passes_on_no_more_than_the_claim() -> None:
    day = APR + timedelta(days=180)
    before = state(day)
    sold = state(day + timedelta(days=30), Sold("sale", day, 5_000, "an assignee"))
    assert (sold.outstanding, sold.sold, sold.dpd) == (0, before.outstanding, 0)
    assert balances(sold.transactions)[Account.PROCEEDS] == 5_000
    # Money that still comes here is the assignee's: held, and not income.
    late = state(day + timedelta(days=30), Sold("sale", day, 5_000, "x"), Paid("p", day + timedelta(days=9), 700))
    assert late.credit == 700
    given = assignment("A1", TERMS, before)
    assert set(given) == {
        "ref",
        "currency",
        "opened_on",
        "principal",
        "annual_rate_ppm",
        "penalty_rate_ppm",
        "as_of",
        "owed",
        "past_due_since",
        "open_instalments",
    }
    assert given["owed"] == owed(before)


# ---- what is refused --------------------------------------------------------------------------------


def test_what_can_not_be_is_refused_in_one_line() -> None:
    with pytest.raises(LedgerError, match="disbursed: 30000 was lent"):
        fold(TERMS, SCHEDULE[:2], [LENT], APR)
    with pytest.raises(LedgerError, match="event p: 2026-01-09 lies before the loan was opened"):
        state(APR, Paid("p", JAN - timedelta(days=1), 1))
    with pytest.raises(LedgerError, match="the loan was opened on 2026-01-10"):
        state(JAN - timedelta(days=1))
    with pytest.raises(LedgerError, match="event p: its amount must be more than nothing"):
        state(APR, Paid("p", FEB, -1))
    twice = [ChargedBack(f"cb{k}", MAR, "p") for k in range(2)]
    with pytest.raises(LedgerError, match="event cb1: that happens once"):
        state(APR, Paid("p", FEB, 1), *twice)
    with pytest.raises(LedgerError, match="event c: the debt was sold on 2026-03-10"):
        state(APR, Sold("s", MAR, 1, "x"), Charged("c", APR, Kind.FEE, 1))
    with pytest.raises(LedgerError, match="the new schedule is empty"):
        state(APR, Rescheduled("plan", MAR, (), Reason.PLAN))
    with pytest.raises(LedgerError, match="late, day_count"):
        Late(day_count=DayCount.MONTHLY)
