"""Where an account stands on a day: worked by hand, and the book's figures against the single account's."""

from datetime import date, timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.ledger.allocate import ORDERS
from forbear.ledger.models import Instalment, Late
from forbear.ledger.position import HORIZON_DAYS, Standing, position, positions, settled, standing

FEB, MAR, APR = date(2026, 2, 10), date(2026, 3, 10), date(2026, 4, 10)
SCHEDULE = [Instalment(day, 10_000, 500) for day in (FEB, MAR, APR)]


def test_on_the_due_date_nothing_is_past_due_yet() -> None:
    # Given an instalment due today, when the day is asked, then it is due, and not past due.
    found = position(SCHEDULE, [], Late(), FEB)
    assert (found.dpd, found.arrears, found.days_to_due) == (0, 0, 0)


def test_the_day_after_one_day_is_past_due() -> None:
    found = position(SCHEDULE, [], Late(), FEB + timedelta(days=1))
    assert (found.dpd, found.arrears, found.oldest_due_on) == (1, 10_500, FEB)


def test_a_partial_payment_leaves_the_oldest_instalment_open() -> None:
    # Given one instalment and 1.00 of the next paid, when March is 5 days past due, then 104.00 is in arrears.
    found = position(SCHEDULE, [(FEB, 10_600)], Late(), MAR + timedelta(days=5))
    assert (found.dpd, found.arrears) == (5, 10_400)


def test_penalty_interest_is_on_overdue_principal_only() -> None:
    # 18% a year on 100.00 for 73 days, actual/365: 100.00 * 0.18 * 73/365 = 3.60. Interest bears none.
    found = position(SCHEDULE[:1], [], Late(180_000), FEB + timedelta(days=73))
    assert found.penalty == 360


def test_interest_is_settled_before_principal() -> None:
    # Civil Code art. 561: costs, interest, principal. 5.00 paid settles the interest; the principal bears penalty.
    found = position(SCHEDULE[:1], [(FEB, 500)], Late(180_000), FEB + timedelta(days=73))
    assert (found.arrears, found.penalty) == (10_000, 360)


def test_a_late_fee_waits_for_the_days_of_grace() -> None:
    late = Late(late_fee_minor=1_500, late_fee_ppm=50_000, grace_days=15)
    assert position(SCHEDULE[:1], [], late, FEB + timedelta(days=15)).late_fee == 0
    # The greater of 15.00 and 5% of 105.00.
    assert position(SCHEDULE[:1], [], late, FEB + timedelta(days=16)).late_fee == 1_500


def test_what_an_instalment_paid_late_has_cost_stays_owed() -> None:
    # Given February paid whole 20 days late, when April is not yet due, then 0.99 of penalty interest and 15.00
    # of late fee are owed, and nothing is past due.
    late = Late(180_000, late_fee_minor=1_500)
    found = position(SCHEDULE, [(FEB + timedelta(days=20), 10_500), (MAR, 10_500)], late, APR - timedelta(days=1))
    assert (found.dpd, found.arrears, found.penalty, found.late_fee) == (0, 0, 99, 1_500)


def test_money_paid_ahead_waits_for_the_next_instalment_and_settles_no_charge() -> None:
    # The same, but March is paid a day early: it is not late for the sake of February's late fee.
    late = Late(180_000, late_fee_minor=1_500)
    paid = [(FEB + timedelta(days=20), 10_500), (MAR - timedelta(days=1), 10_500)]
    found = position(SCHEDULE, paid, late, MAR + timedelta(days=5))
    assert (found.dpd, found.late_fee) == (0, 1_500)


LINE = st.tuples(st.integers(1, 400), st.integers(0, 10**10), st.integers(0, 10**9))
LOAN = st.tuples(
    st.lists(LINE, min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 2400), st.integers(1, 10**10)), max_size=6),
    st.builds(
        Late,
        penalty_rate_ppm=st.integers(0, 400_000),
        late_fee_minor=st.integers(0, 5_000),
        late_fee_ppm=st.integers(0, 100_000),
        grace_days=st.integers(0, 30),
    ),
    st.sampled_from(sorted(ORDERS)),
)
DAY = pa.date32()


@settings(max_examples=60, deadline=None)
@given(loans=st.lists(LOAN, min_size=1, max_size=15), ahead=st.integers(0, 2000))
def test_a_book_has_the_figures_of_its_accounts(
    loans: list[tuple[list[tuple[int, int, int]], list[tuple[int, int]], Late, str]], ahead: int
) -> None:
    begin = date(2024, 1, 1)
    as_of = begin + timedelta(days=ahead)
    lines, paid, accounts, wanted = [], [], [], {}
    for k, (raw, payments, late, order) in enumerate(loans):
        due = begin
        schedule = []
        for n, (gap, principal, interest) in enumerate(raw):
            due += timedelta(days=gap)
            schedule.append(Instalment(due, principal, interest))
            if due <= as_of + timedelta(days=HORIZON_DAYS):
                lines.append((k, n, due, principal, interest))
        dated = [(begin + timedelta(days=day), amount) for day, amount in payments]
        paid += [(k, day, amount) for day, amount in dated if day <= as_of]
        lent = sum(line.principal for line in schedule)
        # Principal that comes only after the horizon tells that the schedule goes on; nothing else can.
        hidden = [line for line in schedule if line.due_on > as_of + timedelta(days=HORIZON_DAYS)]
        if hidden and not any(line.principal for line in hidden):
            lent += 1
        accounts.append(
            (
                k,
                lent,
                late.penalty_rate_ppm,
                late.late_fee_minor,
                late.late_fee_ppm,
                late.grace_days,
                order,
                late.ceiling_ppm,
                None,
                None,
            )
        )
        wanted[k] = position(schedule, dated, late, as_of, order)
        # And the gate's short way tells the same of days past due and arrears, where there is one.
        to_instalments = settled(schedule, [(day, amount) for day, amount in dated if day <= as_of], late, order)
        if to_instalments is None:
            assert order == "cn_credit_card"
            continue
        short = standing(schedule, to_instalments, as_of)
        assert short == Standing(wanted[k].dpd, wanted[k].oldest_due_on, wanted[k].arrears, wanted[k].days_to_due)
    whole, small = pa.int64(), pa.int16()
    table = positions(
        _table(
            lines,
            {"account_id": whole, "n": small, "due_on": DAY, "principal_minor": whole, "interest_minor": whole},
        ),
        _table(paid, {"account_id": whole, "paid_on": DAY, "amount_minor": whole}),
        _table(
            accounts,
            {"account_id": whole, "principal_minor": whole, "penalty_rate_ppm": whole, "late_fee_minor": whole}
            | {"late_fee_ppm": whole, "grace_days": small, "allocation_order": pa.string(), "ceiling_ppm": whole}
            | {"turned_on": DAY, "before_ppm": whole},
        ),
        as_of,
    )
    got = {row["account_id"]: row for row in table.to_pylist()}
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


def _table(rows: list[tuple[object, ...]], kinds: dict[str, pa.DataType]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(kinds)
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)})
