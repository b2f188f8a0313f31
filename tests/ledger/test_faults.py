"""Faults that other lending systems had to mend, each a test with the fault's name."""

from datetime import date, timedelta

import pytest

from forbear.ledger.arrears import CN_2023, MONTHLY, Bucket, Buckets, Category, by_days, category_on, history
from forbear.ledger.models import (
    ChargedBack,
    DayCount,
    Disbursed,
    Event,
    Instalment,
    Kind,
    Late,
    LedgerError,
    Paid,
    Product,
    Reversed,
    Terms,
    balances,
)
from forbear.ledger.state import State, corrections, fold

JAN, FEB, MAR, APR = (date(2026, m, 10) for m in (1, 2, 3, 4))
#: Three instalments of 100.00 and 5.00 interest; penalty interest 18% a year, actual/365.
SCHEDULE = [Instalment(day, 10_000, 500) for day in (FEB, MAR, APR)]
TERMS = Terms(Product.EQUAL_INSTALMENTS, "CNY", 30_000, 0, JAN, FEB, 3, day_count=DayCount.MONTHLY, late=Late(180_000))
LENT = Disbursed("lent", JAN, 30_000)


def state(as_of: date, *events: Event) -> State:
    return fold(TERMS, SCHEDULE, [LENT, *events], as_of)


def test_a_backdated_payment_restates_days_past_due() -> None:
    # Given February unpaid for 20 days, when it comes to light that it was paid on its day, then it never was late.
    day = FEB + timedelta(days=20)
    before = state(day)
    after = state(day, Paid("late-known", FEB, 10_500))
    assert (before.dpd, before.owed(Kind.PENALTY)) == (20, 99)  # 100.00 * 18% * 20/365 = 0.986
    assert (after.dpd, after.owed(Kind.PENALTY), after.spans) == (0, 0, ())
    # And the journal, in which the penalty stands posted, agrees by a correction; nothing posted is edited.
    posted = list(before.transactions)
    posted += corrections(posted, after.transactions, booked_on=day)
    assert balances(posted) == balances(after.transactions)
    assert [t.corrects for t in posted if t.corrects] == [f"penalty:1:{FEB}"]


def test_a_class_follows_a_payment_at_once_and_not_at_night() -> None:
    # Given 281 days past due, doubtful; when all is paid, then on that very day
    # it is doubtful no longer.
    day = FEB + timedelta(days=281)
    assert category_on(state(day), day) is Category.DOUBTFUL
    paid = state(day, Paid("all", day, 31_500))
    assert paid.dpd == 0
    assert by_days(paid.dpd) is Category.NORMAL
    # The Measures let it be performing again only after the probation.
    assert category_on(paid, day) is Category.SUBSTANDARD


def test_a_chargeback_brings_the_arrears_back() -> None:
    # Given February paid on its day, when the bank takes the payment back 20 days later, then February is
    # unpaid since its due date; while the money was there, nothing was past due and nothing accrued.
    back = FEB + timedelta(days=20)
    events = (Paid("p", FEB, 10_500), ChargedBack("cb", back, "p"))
    assert state(back - timedelta(days=1), *events).dpd == 0
    on = state(back, *events)
    assert (on.dpd, on.arrears, on.owed(Kind.PENALTY)) == (20, 10_500, 0)
    # 36 days later: 100.00 * 18% * 36/365 = 1.775 on February, since the day it was taken back; 28 days on March.
    assert state(back + timedelta(days=36), *events).owed(Kind.PENALTY) == 178 + 138


def test_every_open_instalment_is_looked_at_not_only_the_oldest() -> None:
    # Given three instalments open, when the oldest is settled with its penalty interest, then days past due
    # count from the next one, and arrears are the sum of all that are open.
    day = APR + timedelta(days=5)
    assert (state(day).arrears, state(day).dpd) == (31_500, (day - FEB).days)
    some = state(day, Paid("p", day, 10_500))
    assert (some.arrears, some.dpd) == (21_000, (day - MAR).days)


def test_the_last_bucket_has_no_end_and_is_reached() -> None:
    assert MONTHLY.of(181).id == MONTHLY.of(4_000).id == "181+"
    with pytest.raises(LedgerError, match="the last alone has no end"):
        Buckets((Bucket("current", 0, 0), Bucket("late", 1, 180)))
    assert by_days(361, CN_2023) is Category.LOSS


@pytest.mark.parametrize(
    ("dpd", "bucket"), [(0, "current"), (1, "1-30"), (30, "1-30"), (31, "31-60"), (180, "151-180")]
)
def test_a_bucket_ends_on_its_last_day(dpd: int, bucket: str) -> None:
    assert MONTHLY.of(dpd).id == bucket


@pytest.mark.parametrize(
    ("dpd", "category"),
    [
        (0, Category.NORMAL),
        (1, Category.SPECIAL_MENTION),
        (90, Category.SPECIAL_MENTION),
        (91, Category.SUBSTANDARD),
        (270, Category.SUBSTANDARD),
        (271, Category.DOUBTFUL),
        (360, Category.DOUBTFUL),
        (361, Category.LOSS),
    ],
)
def test_the_five_categories_by_days_overdue(dpd: int, category: Category) -> None:
    # 商业银行金融资产风险分类办法, in force from 2023-07-01: over 90, over 270, over 360 days.
    assert by_days(dpd) is category


def test_penalty_interest_is_posted_for_the_day_after_the_due_date_first() -> None:
    assert state(FEB).owed(Kind.PENALTY) == 0
    one = state(FEB + timedelta(days=1))
    assert one.owed(Kind.PENALTY) == 5  # 100.00 * 18% / 365 = 0.0493
    line = next(line for line in one.lines if line.kind is Kind.PENALTY)
    assert (line.start, line.end, line.days, line.base) == (FEB, FEB + timedelta(days=1), 1, 10_000)
    posted = next(t for t in one.transactions if t.key.startswith("penalty"))
    assert posted.on == FEB + timedelta(days=1)
    # Paid on the first day late: one day's penalty, and none afterwards.
    paid = state(MAR, Paid("p", FEB + timedelta(days=1), 10_500))
    assert (paid.owed(Kind.PENALTY), [x.days for x in paid.lines if x.kind is Kind.PENALTY]) == (5, [1])


def test_the_history_of_buckets_is_kept() -> None:
    # Given February paid 40 days late, when asked in May, then each day's bucket is still there.
    paid_on = FEB + timedelta(days=40)
    now = state(date(2026, 5, 1), Paid("p", paid_on, 31_500 + 5_000))
    days = {day.on: day for day in history(now, FEB, date(2026, 5, 1))}
    assert [days[FEB + timedelta(days=k)].bucket for k in (0, 1, 30, 31, 39, 40)] == [
        "current",
        "1-30",
        "1-30",
        "31-60",
        "31-60",
        "current",
    ]


def test_each_day_of_history_is_what_was_said_that_day() -> None:
    events = (Paid("a", FEB + timedelta(days=9), 10_600), Paid("b", APR + timedelta(days=50), 12_000))
    last = APR + timedelta(days=80)
    for day in history(state(last, *events), JAN, last):
        then = state(day.on, *events)
        assert (day.dpd, day.bucket) == (then.dpd, MONTHLY.of(then.dpd).id)
        assert day.category == category_on(then, day.on)


def test_a_reversed_payment_was_never_made() -> None:
    day = MAR + timedelta(days=3)
    never = state(day)
    undone = state(day, Paid("p", FEB, 10_500), Reversed("r", day, "p"))
    assert (undone.dpd, undone.debts, undone.credit) == (never.dpd, never.debts, 0)


def test_a_key_used_twice_is_paid_once_and_must_say_the_same() -> None:
    day = MAR
    once = state(day, Paid("p", FEB, 10_500), Paid("p", FEB, 10_500))
    assert once == state(day, Paid("p", FEB, 10_500))
    with pytest.raises(LedgerError, match="event p: its key was used"):
        state(day, Paid("p", FEB, 10_500), Paid("p", FEB, 10_400))
    with pytest.raises(LedgerError, match="event r: there is nothing of key 'q'"):
        state(day, Reversed("r", FEB, "q"))
