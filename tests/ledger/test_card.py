"""A revolving card, by the example that Chinese issuers publish: 0.05% a day, statement on the 5th, due on the 23rd."""

from datetime import date

import pytest

from forbear.ledger.card import CardTerms, statements
from forbear.ledger.models import Late, LedgerError

#: 0.05% a day is 18.25% a year, actual/365. 1,000.00 is spent on 30 March, before the statement of 5 April.
TERMS = CardTerms("CNY", 182_500, date(2026, 4, 5), 18, late=Late(late_fee_ppm=50_000))
SPENT = [(date(2026, 3, 30), 100_000)]
DUE = date(2026, 4, 23)


def test_paid_whole_by_the_due_date_it_bears_no_interest() -> None:
    card = statements(TERMS, SPENT, [(DUE, 100_000)], date(2026, 5, 5))
    assert [(s.balance, s.minimum, s.lines) for s in card.statements] == [(100_000, 10_000, ()), (0, 0, ())]


def test_paid_in_part_all_of_it_bears_interest_since_it_was_posted() -> None:
    # 1,000 x 0.05% x 24 days + 900 x 0.05% x 12 days = 12.00 + 5.40.
    card = statements(TERMS, SPENT, [(DUE, 10_000)], date(2026, 5, 5))
    second = card.statements[1]
    assert [(line.base, line.days, line.amount) for line in second.lines] == [(100_000, 24, 1_200), (90_000, 12, 540)]
    # The next minimum: a tenth of 900.00, and the interest.
    assert (second.balance, second.minimum, card.dpd) == (91_740, 9_000 + 1_740, 0)


def test_a_minimum_that_is_missed_is_past_due_from_the_next_day_and_costs_a_late_fee() -> None:
    card = statements(TERMS, SPENT, [(DUE, 4_000)], date(2026, 5, 6))
    assert (card.past_due_since, card.dpd) == (DUE, 13)
    second = card.statements[1]
    # 5% of the 60.00 that were missing; 24 days on 1,000.00 and 12 on 960.00.
    assert [line.amount for line in second.lines] == [300, 1_200, 576]
    # A tenth of 960.00, the 60.00 that were missing, and the charges.
    assert second.minimum == 9_600 + 6_000 + 2_076


def test_a_missed_minimum_paid_later_ends_the_arrears_at_once() -> None:
    card = statements(TERMS, SPENT, [(DUE, 4_000), (date(2026, 5, 2), 6_000)], date(2026, 5, 2))
    assert card.dpd == 0


def test_each_open_minimum_is_looked_at() -> None:
    # April's minimum is met late, after May's fell due unpaid: past due since May.
    card = statements(TERMS, SPENT, [(date(2026, 5, 2), 10_000)], date(2026, 5, 30))
    assert card.past_due_since == date(2026, 5, 23)


def test_money_is_conserved() -> None:
    spent = [*SPENT, (date(2026, 4, 20), 33_333), (date(2026, 6, 1), 5_001)]
    paid = [(date(2026, 4, 25), 7_777), (date(2026, 5, 23), 50_000), (date(2026, 7, 1), 120_000)]
    card = statements(TERMS, spent, paid, date(2026, 8, 31))
    charged = sum(line.amount for statement in card.statements for line in statement.lines)
    assert 138_334 + charged == 177_777 - card.credit + card.purchases + card.charges


def test_what_is_not_positive_is_refused() -> None:
    with pytest.raises(LedgerError, match="more than nothing"):
        statements(TERMS, [(DUE, 0)], [], DUE)
