"""Where an account stands on a day: worked by hand, and the book's figures against the single account's."""

from datetime import date, timedelta

import ibis
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.ledger.position import HORIZON_DAYS, Instalment, Terms, position, positions

FEB, MAR, APR = date(2026, 2, 10), date(2026, 3, 10), date(2026, 4, 10)
SCHEDULE = [Instalment(day, 10_000, 500) for day in (FEB, MAR, APR)]


def test_on_the_due_date_nothing_is_past_due_yet() -> None:
    # Given an instalment due today, when the day is asked, then it is due, and not past due.
    found = position(SCHEDULE, 0, Terms(), FEB)
    assert (found.dpd, found.arrears, found.days_to_due) == (0, 0, 0)


def test_the_day_after_one_day_is_past_due() -> None:
    found = position(SCHEDULE, 0, Terms(), FEB + timedelta(days=1))
    assert (found.dpd, found.arrears, found.oldest_due_on) == (1, 10_500, FEB)


def test_a_partial_payment_leaves_the_oldest_instalment_open() -> None:
    # Given one instalment and 1.00 of the next paid, when March is 5 days past due, then 104.00 is in arrears.
    found = position(SCHEDULE, 10_600, Terms(), MAR + timedelta(days=5))
    assert (found.dpd, found.arrears) == (5, 10_400)


def test_penalty_interest_is_on_overdue_principal_only() -> None:
    # 18% a year on 100.00 for 73 days, actual/365: 100.00 * 0.18 * 73/365 = 3.60. Interest bears none.
    found = position(SCHEDULE[:1], 0, Terms(penalty_rate_ppm=180_000), FEB + timedelta(days=73))
    assert found.penalty == 360


def test_interest_is_settled_before_principal() -> None:
    # Civil Code art. 561: costs, interest, principal. 5.00 paid settles the interest; the principal bears penalty.
    found = position(SCHEDULE[:1], 500, Terms(penalty_rate_ppm=180_000), FEB + timedelta(days=73))
    assert (found.arrears, found.penalty) == (10_000, 360)


def test_a_late_fee_waits_for_the_days_of_grace() -> None:
    terms = Terms(late_fee_minor=1_500, late_fee_ppm=50_000, grace_days=15)
    assert position(SCHEDULE[:1], 0, terms, FEB + timedelta(days=15)).late_fee == 0
    # The greater of 15.00 and 5% of 105.00.
    assert position(SCHEDULE[:1], 0, terms, FEB + timedelta(days=16)).late_fee == 1_500


LINE = st.tuples(st.integers(1, 400), st.integers(0, 10**10), st.integers(0, 10**9))
LOAN = st.tuples(
    st.lists(LINE, min_size=1, max_size=6),
    st.integers(0, 3 * 10**10),
    st.builds(
        Terms,
        penalty_rate_ppm=st.integers(0, 400_000),
        late_fee_minor=st.integers(0, 5_000),
        late_fee_ppm=st.integers(0, 100_000),
        grace_days=st.integers(0, 30),
    ),
)


@settings(max_examples=40, deadline=None)
@given(loans=st.lists(LOAN, min_size=1, max_size=15), ahead=st.integers(0, 2000))
def test_a_book_has_the_figures_of_its_accounts(
    loans: list[tuple[list[tuple[int, int, int]], int, Terms]], ahead: int
) -> None:
    as_of = date(2024, 1, 1) + timedelta(days=ahead)
    lines, paid, terms, wanted = [], [], [], {}
    for k, (raw, amount, term) in enumerate(loans):
        due = date(2024, 1, 1)
        schedule = []
        for n, (gap, principal, interest) in enumerate(raw):
            due += timedelta(days=gap)
            schedule.append(Instalment(due, principal, interest))
            if due <= as_of + timedelta(days=HORIZON_DAYS):
                lines.append((k, n, due, principal, interest))
        if amount:
            paid.append((k, amount))
        terms.append((k, term.penalty_rate_ppm, term.late_fee_minor, term.late_fee_ppm, term.grace_days))
        wanted[k] = position(schedule, amount, term, as_of)
    table = positions(
        ibis.memtable(
            lines,
            schema={"account_id": "int64", "n": "int16", "due_on": "date"}
            | {"principal_minor": "int64", "interest_minor": "int64"},
        ),
        ibis.memtable(paid, schema={"account_id": "int64", "paid_minor": "int64"}),
        ibis.memtable(
            terms,
            schema={"account_id": "int64", "penalty_rate_ppm": "int64", "late_fee_minor": "int64"}
            | {"late_fee_ppm": "int64", "grace_days": "int16"},
        ),
        as_of,
    )
    got = {row["account_id"]: row for row in ibis.duckdb.connect().to_pyarrow(table).to_pylist()}
    for k, want in wanted.items():
        row = got.get(k)
        if row is None:
            assert (want.dpd, want.arrears, want.late_fee, want.penalty, want.days_to_due) == (0, 0, 0, 0, None)
            continue
        next_due = row["next_due_on"] and (row["next_due_on"] - as_of).days
        assert (row["dpd"], row["oldest_due_on"], row["arrears"], row["late_fee"], row["penalty"], next_due) == (
            want.dpd,
            want.oldest_due_on,
            want.arrears,
            want.late_fee,
            want.penalty,
            want.days_to_due,
        )
