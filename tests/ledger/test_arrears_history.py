"""The history of buckets: what rolled on, rolled back, was paid up; restated as the payments are known now."""

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.ledger.arrears import CN_2023, Category, Move, history, stretches
from forbear.ledger.models import DayCount, Disbursed, Event, Instalment, Paid, Product, Reversed, Terms
from forbear.ledger.state import State, fold

OPENED = date(2026, 1, 10)
DUE = [date(2026, month, 10) for month in (2, 3, 4)]
SCHEDULE = [Instalment(day, 10_000, 500) for day in DUE]
TERMS = Terms(Product.EQUAL_INSTALMENTS, "CNY", 30_000, 0, OPENED, DUE[0], 3, day_count=DayCount.MONTHLY)


def state(as_of: date, *events: Event) -> State:
    return fold(TERMS, SCHEDULE, [Disbursed("lent", OPENED, 30_000), *events], as_of)


def test_each_stretch_says_how_it_came_about() -> None:
    # Given February unpaid until 20 March, when March is unpaid since ten days, then it rolls back, and on 25 March all
    # is paid.
    found = stretches(
        state(date(2026, 4, 5), Paid("p", date(2026, 3, 20), 10_500), Paid("q", date(2026, 3, 25), 10_500)), OPENED
    )
    assert [(each.first, each.last, each.bucket, each.move) for each in found] == [
        (OPENED, DUE[0], "current", None),
        (date(2026, 2, 11), date(2026, 3, 12), "1-30", Move.ROLLED),
        (date(2026, 3, 13), date(2026, 3, 19), "31-60", Move.ROLLED),
        (date(2026, 3, 20), date(2026, 3, 24), "1-30", Move.BACK),
        (date(2026, 3, 25), date(2026, 4, 5), "current", Move.PAID_UP),
    ]
    assert found[2].dpd == (date(2026, 3, 19) - DUE[0]).days


def test_a_payment_that_was_taken_back_restates_the_history() -> None:
    paid = Paid("p", DUE[0], 31_500)
    late = state(date(2026, 3, 1), paid, Reversed("r", date(2026, 3, 1), "p"))
    assert [each.bucket for each in stretches(state(date(2026, 3, 1), paid), OPENED)] == ["current"]
    assert [each.bucket for each in stretches(late, OPENED)] == ["current", "1-30"]


def test_the_class_changes_where_no_bucket_does() -> None:
    # 商业银行金融资产风险分类办法: over 90 days substandard; watched for six months after the cure.
    found = stretches(state(date(2027, 2, 1), Paid("p", DUE[0] + timedelta(days=100), 31_500)), OPENED)
    assert [(each.bucket, each.category) for each in found[-3:]] == [
        ("91-120", Category.SUBSTANDARD),
        ("current", Category.SUBSTANDARD),
        ("current", Category.NORMAL),
    ]
    assert found[-1].move is None and found[-1].first == date(2026, 11, 21)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 20_000)), max_size=6), st.integers(0, 600), st.booleans())
def test_the_stretches_are_the_days(paid: list[tuple[int, int]], ahead: int, classed: bool) -> None:
    # No line for each day, and yet each day is as the history by days has it.
    as_of = OPENED + timedelta(days=ahead)
    events = [Paid(f"{k}", OPENED + timedelta(days=day), amount) for k, (day, amount) in enumerate(paid)]
    found = stretches(state(as_of, *events), OPENED, classing=CN_2023 if classed else None)
    told = {
        each.first + timedelta(days=k): (each.bucket, each.category)
        for each in found
        for k in range((each.last - each.first).days + 1)
    }
    days = history(state(as_of, *events), OPENED, as_of)
    assert told == {day.on: (day.bucket, day.category if classed else None) for day in days}
    assert all((a.bucket, a.category) != (b.bucket, b.category) for a, b in pairwise(found))
    assert all((each.dpd, each.last) == (days[(each.last - OPENED).days].dpd, each.last) for each in found)
