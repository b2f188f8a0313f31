"""A revolving card, by the example that Chinese issuers publish: 0.05% a day, statement on the 5th, due on the 23rd."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from forbear.ledger import card
from forbear.ledger.arrears import Category, category_on, classing_of, history
from forbear.ledger.card import CardState
from forbear.ledger.models import (
    Account,
    CardTerms,
    Charged,
    ChargedBack,
    Event,
    Forborne,
    Kind,
    Late,
    LedgerError,
    Line,
    Paid,
    Product,
    Purchased,
    RateChanged,
    Reason,
    Rescheduled,
    Reversed,
    Sold,
    Waived,
    WrittenOff,
    balances,
)
from forbear.ledger.state import corrections

#: 0.05% a day is 18.25% a year, actual/365; a late fee (违约金) of 5% of what is unpaid of a minimum, which is a tenth.
TERMS = CardTerms(
    Product.REVOLVING,
    "CNY",
    0,
    182_500,
    date(2026, 3, 1),
    date(2026, 4, 23),
    1,
    late=Late(late_fee_ppm=50_000),
    order="cn_credit_card",
    first_statement_on=date(2026, 4, 5),
    due_days=18,
    minimum_ppm=100_000,
)
#: 1,000.00 is spent on 30 March, before the statement of 5 April, which is due on 23 April.
SPENT = Purchased("bought", date(2026, 3, 30), 100_000)
DUE, MAY = date(2026, 4, 23), date(2026, 5, 5)


def fold(as_of: date, *events: Event, terms: CardTerms = TERMS, spent: Purchased = SPENT) -> CardState:
    return card.fold(terms, [spent, *events], as_of)


def paid(on: date, amount: int, key: str = "p") -> Paid:
    return Paid(key, on, amount)


def told(lines: tuple[Line, ...]) -> list[tuple[Kind, int, int, int]]:
    return [(line.kind, line.base, line.days, line.amount) for line in lines]


# ---- interest and minimum ---------------------------------------------------------------------------


def test_paid_whole_by_the_due_date_it_bears_no_interest() -> None:
    found = fold(MAY, paid(DUE, 100_000))
    assert [(s.balance, s.minimum, s.lines) for s in found.statements] == [(100_000, 10_000, ()), (0, 0, ())]
    assert (found.outstanding, found.payoff, found.lines) == (0, 0, ())


def test_paid_in_part_all_of_it_bears_interest_since_it_was_posted() -> None:
    # 全额计息, which the contract may agree on (银发〔2016〕111号 leaves the interest-free terms to the issuer):
    # 1,000 x 0.05% x 24 days + 900 x 0.05% x 12 days = 12.00 + 5.40.
    found = fold(MAY, paid(DUE, 10_000))
    second = found.statements[1]
    assert told(second.lines) == [(Kind.INTEREST, 100_000, 24, 1_200), (Kind.INTEREST, 90_000, 12, 540)]
    # The next minimum: a tenth of 900.00, and the interest.
    assert (second.balance, second.minimum, found.dpd) == (91_740, 9_000 + 1_740, 0)


def test_where_only_the_unpaid_part_bears_interest_what_was_paid_in_time_bears_none() -> None:
    # 未清偿部分计息: 900 x 0.05% x 36 days = 16.20.
    found = fold(MAY, paid(DUE, 10_000), terms=replace(TERMS, unpaid_only=True))
    assert told(found.statements[1].lines) == [(Kind.INTEREST, 90_000, 36, 1_620)]


def test_interest_counts_the_day_after_the_posting_first_and_the_day_of_payment_last() -> None:
    # Cash bears it from its day (银发〔2016〕111号 gives the interest-free period to purchases): 500 x 0.05% x 6 = 1.50
    # through the statement; paid on the sixth, it bears one day more.
    cash = Purchased("cash", date(2026, 3, 30), 50_000, cash=True)
    terms = replace(TERMS, cash_minimum_ppm=1_000_000)
    first = fold(date(2026, 4, 5), terms=terms, spent=cash).statements[0]
    assert told(first.lines) == [(Kind.INTEREST, 50_000, 6, 150)]
    # Of cash the contract asks for all with the minimum.
    assert (first.balance, first.minimum) == (50_150, 50_150)
    second = fold(MAY, paid(date(2026, 4, 6), 50_150), terms=terms, spent=cash)
    assert told(second.statements[1].lines) == [(Kind.INTEREST, 50_000, 1, 25)]


def test_what_would_end_the_debt_on_a_day_has_the_interest_so_far() -> None:
    # Within the interest-free time nothing beyond the balance; from the day after the due date, all since the posting.
    assert fold(DUE).payoff == 100_000
    assert fold(DUE + timedelta(days=1), paid(DUE, 10_000)).payoff == 90_000 + 1_200 + 45
    # Paid on that day, nothing more is owed when the next statement has come.
    after = fold(date(2026, 6, 5), paid(DUE, 10_000), paid(DUE + timedelta(days=1), 91_245, "q"))
    assert (after.outstanding, after.credit, after.dpd) == (0, 0, 0)


def test_fees_and_late_fees_bear_no_interest() -> None:
    # 银发〔2016〕111号: no interest on 违约金 and fees.
    found = fold(date(2026, 6, 5), Charged("year", date(2026, 4, 1), Kind.FEE, 20_000))
    assert {line.base for line in found.lines if line.kind is Kind.INTEREST} == {100_000}
    # The fee is in the minimum whole.
    assert found.statements[0].minimum == 10_000 + 20_000


def test_a_purchase_of_the_day_of_a_statement_stands_on_the_next() -> None:
    later = Purchased("later", date(2026, 4, 5), 7_000)
    assert [s.balance for s in fold(MAY, later, paid(DUE, 100_000)).statements] == [100_000, 7_000]


def test_a_rate_that_changes_holds_from_its_day() -> None:
    # 24 days and 4 more at 0.05%, then 8 at 0.04%: 12.00, 1.80, 2.88.
    found = fold(MAY, paid(DUE, 10_000), RateChanged("r", date(2026, 4, 27), annual_rate_ppm=146_000))
    assert [line.amount for line in found.lines] == [1_200, 180, 288]


def test_a_rate_that_changes_is_not_charged_for_the_days_before_though_they_are_counted_anew() -> None:
    # Only what was not paid bears interest, 900.00: through 10 April at 0.04%, from then on at 0.05%.
    terms = replace(TERMS, annual_rate_ppm=146_000, unpaid_only=True)
    found = fold(MAY, paid(DUE, 10_000), RateChanged("r", date(2026, 4, 10), annual_rate_ppm=182_500), terms=terms)
    assert told(found.lines) == [(Kind.INTEREST, 90_000, 11, 396), (Kind.INTEREST, 90_000, 25, 1_125)]


def test_what_is_paid_before_the_statement_bears_nothing_and_the_rest_since_its_posting() -> None:
    # 400.00 come on 2 April, before the statement of the 5th bills the other 600.00: 36 days on those at 0.05%.
    found = fold(MAY, paid(date(2026, 4, 2), 40_000))
    assert [line.base for line in found.statements[1].lines if line.kind is Kind.INTEREST] == [60_000]
    assert found.statements[1].lines[0].amount == 1_080


def test_in_forbearance_that_freezes_nothing_accrues() -> None:
    found = fold(MAY, paid(DUE, 10_000), Forborne("f", date(2026, 4, 27), date(2026, 5, 2), freezes=True))
    assert [line.days for line in found.lines] == [24, 4, 3]


# ---- the minimum missed -----------------------------------------------------------------------------


def test_a_minimum_that_is_missed_is_past_due_from_the_next_day_and_costs_a_late_fee() -> None:
    found = fold(MAY + timedelta(days=1), paid(DUE, 4_000))
    assert (fold(DUE, paid(DUE, 4_000)).dpd, found.dpd, found.arrears) == (0, 13, 6_000)
    second = found.statements[1]
    # 24 days on 1,000.00 and 12 on 960.00; 5% of the 60.00 that were missing.
    assert [line.amount for line in second.lines] == [1_200, 576, 300]
    # A tenth of 960.00, the 60.00 that were missing, and the charges.
    assert second.minimum == 9_600 + 6_000 + 2_076
    # The late fee alone is no arrears: without it the rest of the minimum ends them.
    assert fold(date(2026, 5, 30), paid(DUE, 4_000), paid(date(2026, 5, 20), 17_376, "q")).dpd == 0


def test_what_is_paid_is_off_the_minimum_by_as_much_and_a_freeze_adds_nothing_to_it() -> None:
    # 173.76 are the demands and 3.00 the late fee, which a payment settles first, but not twice.
    late = (paid(DUE, 4_000),)
    on = MAY + timedelta(days=1)
    assert fold(on, *late).minimum == 17_676
    assert [fold(on, *late, paid(on, part, "q")).minimum for part in (10_000, 17_376, 17_676)] == [7_676, 300, 0]
    # What a freeze charges before its day, and what has run by then, is the next statement's.
    frozen = fold(
        on + timedelta(days=20), *late, Forborne("f", on + timedelta(days=20), date(2026, 6, 30), freezes=True)
    )
    assert frozen.minimum == fold(on + timedelta(days=20), *late).minimum == 17_676
    assert sum(sum(debt.owed.values()) for debt in frozen.debts if debt.due or debt.n) == 17_676


def test_a_missed_minimum_paid_later_ends_the_arrears_at_once() -> None:
    found = fold(date(2026, 5, 2), paid(DUE, 4_000), paid(date(2026, 5, 2), 6_000, "q"))
    assert (found.dpd, found.arrears) == (0, 0)


def test_within_days_of_grace_no_late_fee_is_charged() -> None:
    terms = replace(TERMS, late=Late(late_fee_ppm=50_000, grace_days=3))
    in_time = fold(MAY, paid(DUE + timedelta(days=3), 10_000), terms=terms)
    assert [line.kind for line in in_time.lines] == [Kind.INTEREST, Kind.INTEREST]
    late = fold(MAY, paid(DUE + timedelta(days=4), 10_000), terms=terms)
    assert [line.amount for line in late.lines if line.kind is Kind.LATE_FEE] == [500]


def test_what_is_paid_settles_what_is_billed_first_and_from_91_days_past_due_principal_first() -> None:
    # Card Measures art. 57, as issuers' terms tell it: to 90 days past due interest and fees, then principal.
    def settled(days: int) -> dict[str, int]:
        found = fold(DUE + timedelta(days=days), paid(DUE + timedelta(days=days), 2_000))
        entries = next(t.entries for t in found.transactions if t.key == "p")
        return {str(entry.account): entry.amount for entry in entries}

    assert settled(90) == {"cash": 2_000, "owed:interest": -1_800, "owed:late_fee": -200}
    assert settled(91) == {"cash": 2_000, "owed:principal": -2_000}


def test_purchases_that_no_statement_has_billed_yet_are_paid_last() -> None:
    later = Purchased("later", date(2026, 4, 10), 30_000)
    found = fold(MAY, later, paid(DUE, 100_000))
    # The statement was paid whole, so that its purchases bore nothing, nor do the later ones until theirs is due.
    assert (found.outstanding, found.lines) == (30_000, ())


def test_paid_too_much_waits_for_what_is_bought_next() -> None:
    found = fold(date(2026, 4, 30), paid(DUE, 105_000))
    assert (found.credit, found.outstanding) == (5_000, 0)
    found = fold(MAY, paid(DUE, 105_000), Purchased("later", date(2026, 4, 25), 30_000))
    assert (found.credit, found.outstanding, found.statements[1].balance) == (0, 25_000, 25_000)


# ---- ceilings ---------------------------------------------------------------------------------------


def test_interest_and_late_fee_together_cost_no_more_than_the_ceiling() -> None:
    # At 24% the same days and principal give 15.78 + 7.57 = 23.35; interest is 17.76, so 5.59 of a late fee of 10.00.
    terms = replace(TERMS, late=Late(late_fee_minor=1_000, ceiling_ppm=240_000))
    second = fold(MAY, paid(DUE, 4_000), terms=terms).statements[1]
    assert [line.amount for line in second.lines] == [1_200, 576, 559]
    assert (second.contracted, second.charged) == (2_776, 2_335)


def test_a_rate_above_the_ceiling_is_charged_at_the_ceiling_and_leaves_no_room_for_a_late_fee() -> None:
    terms = replace(TERMS, annual_rate_ppm=300_000, late=replace(TERMS.late, ceiling_ppm=240_000))
    second = fold(MAY, paid(DUE, 4_000), terms=terms).statements[1]
    *interest, late = second.lines
    assert [(line.rate_ppm, line.amount) for line in interest] == [(240_000, 1_578), (240_000, 757)]
    # The fee of 3.00 stands there all the same, so that the statement can say that nothing of it is owed.
    assert (late.kind, late.base, late.amount) == (Kind.LATE_FEE, 300, 0)
    assert second.contracted == 1_973 + 947 + 300


def test_for_days_through_2020_no_issuer_charged_more_than_five_ten_thousandths_a_day() -> None:
    # 银发〔2016〕111号; from 2021-01-01 the rate is agreed on (银发〔2020〕327号). 11 days and 5 of 1,000.00.
    opened = date(2020, 12, 1)
    terms = replace(
        TERMS,
        annual_rate_ppm=200_000,
        opened_on=opened,
        first_due_on=date(2021, 1, 23),
        first_statement_on=date(2021, 1, 5),
        rate_limits=((date(2020, 12, 31), 182_500),),
    )
    cash = Purchased("cash", date(2020, 12, 20), 100_000, cash=True)
    found = fold(date(2021, 1, 5), terms=terms, spent=cash)
    assert [(line.days, line.rate_ppm, line.amount) for line in found.lines] == [(11, 182_500, 550), (5, 200_000, 274)]


# ---- faults of other systems ------------------------------------------------------------------------


def test_a_backdated_payment_restates_days_past_due_and_takes_back_the_interest() -> None:
    day = date(2026, 5, 20)
    before, after = fold(day), fold(day, paid(DUE, 100_000))
    assert (before.dpd, after.dpd, after.lines, after.spans) == (27, 0, (), ())
    posted = list(before.transactions)
    posted += corrections(posted, after.transactions, booked_on=day)
    assert balances(posted) == balances(after.transactions)


def test_the_class_of_a_card_follows_at_once_by_its_own_days() -> None:
    # Card Measures art. 92: over 90 days past due substandard, over 120 doubtful, over 180 loss.
    classes = []
    for days in (90, 91, 121, 181):
        found = fold(DUE + timedelta(days=days))
        classes.append(category_on(found, found.as_of, classing_of(found)))
    assert classes == [Category.SPECIAL_MENTION, Category.SUBSTANDARD, Category.DOUBTFUL, Category.LOSS]
    day = DUE + timedelta(days=50)
    cured = fold(day, paid(day, fold(day).due))
    assert category_on(cured, day, classing_of(cured)) is Category.NORMAL


def test_a_chargeback_brings_the_arrears_back_with_their_age() -> None:
    # Given the minimum paid on its day, when the bank takes it back a week later, then it is past due since its day.
    back = ChargedBack("back", DUE + timedelta(days=7), "p")
    assert fold(DUE + timedelta(days=6), paid(DUE, 10_000), back).dpd == 0
    found = fold(DUE + timedelta(days=7), paid(DUE, 10_000), back)
    assert (found.dpd, found.arrears, found.outstanding) == (7, 10_000, 100_000)
    # What came later beyond the minimum still counts towards it.
    more = fold(DUE + timedelta(days=7), paid(DUE, 10_000), paid(DUE, 4_000, "q"), back)
    assert (more.dpd, more.arrears) == (7, 6_000)


def test_every_open_minimum_is_looked_at_not_only_the_oldest() -> None:
    # April's minimum is met late, after the statement of May; May's falls due unpaid: past due since May.
    found = fold(date(2026, 5, 30), paid(date(2026, 5, 6), 10_000))
    assert (found.dpd, [debt.n for debt in found.debts if debt.n and debt.unpaid and debt.due]) == (7, [2])


def test_the_last_bucket_is_reached_and_each_day_keeps_its_own() -> None:
    found = fold(DUE + timedelta(days=400))
    days = {day.on: day.bucket for day in history(found, DUE, found.as_of)}
    assert [days[DUE + timedelta(days=k)] for k in (0, 1, 31, 180, 181, 400)] == [
        "current",
        "1-30",
        "31-60",
        "151-180",
        "181+",
        "181+",
    ]


def test_a_reversed_purchase_was_never_made() -> None:
    mistake = Purchased("mistake", date(2026, 4, 1), 50_000)
    undone = fold(MAY, mistake, Reversed("r", date(2026, 4, 20), "mistake"))
    never = fold(MAY)
    assert (undone.debts, undone.lines, undone.statements) == (never.debts, never.lines, never.statements)


# ---- given up, written off, sold --------------------------------------------------------------------


def test_what_is_waived_is_no_longer_in_the_minimum() -> None:
    day = date(2026, 5, 10)
    before = fold(day, paid(DUE, 10_000))
    after = fold(day, paid(DUE, 10_000), Waived("w", day, Kind.INTEREST, 1_740))
    assert (before.minimum, after.minimum, before.outstanding - after.outstanding) == (10_740, 9_000, 1_740)


def test_written_off_it_is_owed_still_and_nothing_more_is_drawn() -> None:
    off = WrittenOff("off", MAY)
    found = fold(date(2026, 7, 1), off)
    sums = balances(found.transactions)
    assert found.outstanding + sums[Account.ALLOWANCE] == 0 and found.dpd == (found.as_of - DUE).days
    with pytest.raises(LedgerError, match="written off"):
        fold(date(2026, 7, 1), off, Purchased("later", date(2026, 6, 1), 1))


def test_sold_it_is_the_assignees_with_the_interest_so_far() -> None:
    # 1,000.00 with 31 days of interest (15.50) through 30 April, and the late fee of 5% of 100.00.
    found = fold(date(2026, 7, 1), Sold("sold", date(2026, 4, 30), 40_000, "A-7"))
    assert (found.sold, found.outstanding, found.dpd, found.payoff) == (100_000 + 1_550 + 500, 0, 0, 0)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Purchased("x", DUE, 0), "more than nothing"),
        (Purchased("x", date(2026, 1, 1), 1), "before"),
        (Rescheduled("x", DUE, (), Reason.PLAN), "a card has no schedule"),
    ],
)
def test_what_can_not_be_is_refused(event: Event, said: str) -> None:
    with pytest.raises(LedgerError, match=said):
        fold(MAY, event)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"due_days": 28}, "due_days"),
        ({"minimum_ppm": 1_000_001}, "minimum_ppm"),
        ({"first_statement_on": date(2026, 3, 1)}, "first_statement_on"),
    ],
)
def test_terms_that_can_not_be_are_refused_by_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(LedgerError, match=field):
        replace(TERMS, **changes)  # type: ignore[arg-type]
