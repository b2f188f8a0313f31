"""What a ceiling removes, instalment by instalment: worked by hand, and as laws."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.ledger.cost import Dated, Equation, Flows, Method, cost
from forbear.ledger.excess import Line, Part, capped, of_schedule, parts
from forbear.ledger.models import DayCount, LedgerError, Product, Terms
from forbear.ledger.products import schedule

OPENED = date(2025, 1, 5)


def monthly(times: int, minor: int) -> list[Dated]:
    return [(OPENED + relativedelta(months=k), minor) for k in range(1, times + 1)]


def test_interest_alone_is_cut_to_the_ceilings_rate() -> None:
    # Given 10,000.00 at 36%, interest only, when the ceiling is 24%, then each month's interest is 200.00, not 300.00,
    # and the principal is whole: what a court reckons as principal times 24%.
    payments = [*monthly(11, 30_000), (date(2026, 1, 5), 1_030_000)]
    flows = Flows.of([(OPENED, 1_000_000)], payments)
    found = capped(flows.advances, parts(flows), 240_000)
    assert found is not None
    assert [line.lawful for line in found.lines] == [20_000] * 11 + [1_020_000]
    assert [line.excess for line in found.lines] == [10_000] * 12


def test_a_schedule_at_one_rate_becomes_the_schedule_at_the_ceiling_over_the_same_balances() -> None:
    # Equal instalments at 36%: of each month's interest two thirds are left, which is 2% of the balance, not 3%.
    terms = Terms(
        Product.EQUAL_INSTALMENTS,
        "CNY",
        1_000_000,
        360_000,
        OPENED,
        date(2025, 2, 5),
        12,
        day_count=DayCount.MONTHLY,
    )
    lines = schedule(terms)
    found = capped([(OPENED, 1_000_000)], of_schedule(lines), 240_000)
    assert found is not None
    balance = 1_000_000
    for contract, line in zip(lines, found.lines, strict=True):
        assert abs(line.lawful - contract.principal - balance * 2 / 100) <= 1
        balance -= contract.principal


def test_a_fee_kept_back_is_cut_as_interest_is() -> None:
    # 10,000.00 of which 1,000.00 is kept back, repaid after a month: 10,000.00 for 9,000.00. At 24% a year, 2% a month,
    # 9,180.00 may be asked. Given as a line on the first day, the fee is cut to the same cost.
    flows = Flows.of([(OPENED, 900_000)], [(date(2025, 2, 5), 1_000_000)])
    net = capped(flows.advances, parts(flows), 240_000)
    assert net is not None and net.lines == (Line(date(2025, 2, 5), 900_000, 1_000_000, 918_000),)
    gross = capped([(OPENED, 1_000_000)], [Part(OPENED, 0, 100_000), Part(date(2025, 2, 5), 1_000_000, 0)], 240_000)
    assert gross is not None
    fee = gross.lines[0].lawful
    after = cost(Flows.of([(OPENED, 1_000_000 - fee)], [(date(2025, 2, 5), 1_000_000)]), Method.IRR_SIMPLE)
    assert after is not None and 239_900 <= after.ppm <= 240_000


def test_a_loan_within_the_ceiling_is_left_alone() -> None:
    flows = Flows.of([(OPENED, 1_200_000)], monthly(12, 107_200))
    assert capped(flows.advances, parts(flows), 240_000) is None
    assert capped(flows.advances, parts(flows), 130_000) is not None


def test_lines_that_do_not_repay_the_loan_are_refused() -> None:
    with pytest.raises(LedgerError, match="principals sum to 900, the advances to 1000"):
        capped([(OPENED, 1_000)], [Part(date(2025, 2, 5), 900, 300)], 240_000)


def test_interest_is_settled_before_principal() -> None:
    # Civil Code art. 561. 10,000.00 at 120%: the first payment, 500.00, is all interest, and 500.00 of it waits.
    flows = Flows.of([(OPENED, 1_000_000)], [(date(2025, 2, 5), 50_000), (date(2025, 3, 5), 1_155_000)])
    assert [part.charge for part in parts(flows)] == [50_000, 155_000]


# ---- laws ---------------------------------------------------------------------------------------------

LOANS = st.tuples(
    st.integers(1_000, 10**9),
    st.lists(st.tuples(st.integers(1, 120), st.integers(1, 10**8)), min_size=1, max_size=24),
    st.integers(1, 2 * 10**8),
)
CAPS = st.sampled_from([0, 124_000, 154_000, 200_000, 240_000, 360_000])


def drawn_flows(received: int, raw: list[tuple[int, int]], charge: int) -> Flows:
    """A loan on which `charge` or more is paid beyond what was received."""
    on, payments = OPENED, []
    for gap, minor in raw:
        on += timedelta(days=gap)
        payments.append((on, minor))
    short = received + charge - sum(minor for _, minor in payments)
    if short > 0:
        payments[-1] = (on, payments[-1][1] + short)
    return Flows.of([(OPENED, received)], payments)


@settings(max_examples=200, deadline=None)
@given(drawn=LOANS, method=st.sampled_from(list(Method)))
def test_the_parts_sum_to_the_loan(drawn: tuple[int, list[tuple[int, int]], int], method: Method) -> None:
    flows = drawn_flows(*drawn)
    if cost(flows, method) is None:
        return
    found = parts(flows, method)
    assert sum(part.principal for part in found) == flows.advanced
    assert [(part.due_on, part.amount) for part in found] == list(flows.payments)
    assert all(part.principal >= 0 and part.charge >= 0 for part in found)


@settings(max_examples=200, deadline=None)
@given(drawn=LOANS, method=st.sampled_from(list(Method)), cap_ppm=CAPS)
def test_what_is_left_costs_the_ceiling_at_most_and_within_a_unit_a_line_of_it(
    drawn: tuple[int, list[tuple[int, int]], int], method: Method, cap_ppm: int
) -> None:
    flows = drawn_flows(*drawn)
    if cost(flows, method) is None:
        return
    found = capped(flows.advances, parts(flows, method), cap_ppm, method)
    if found is None:
        return
    # Time is measured as in the contract: a line cut to nothing must not change the unit-period.
    equation = Equation.of(flows, method)
    rate = equation.periodic(Decimal(cap_ppm) / 1_000_000)
    worth = [(line, equation.discount(rate, line.due_on)) for line in found.lines]
    assert sum(line.lawful * each for line, each in worth) <= flows.advanced + Decimal("1e-6")
    assert sum((line.lawful + 1) * each for line, each in worth) > flows.advanced
    if all(line.lawful for line in found.lines):
        left = cost(Flows.of(flows.advances, found.lawful), method)
        assert left is not None and left.ppm <= cap_ppm


@settings(max_examples=200, deadline=None)
@given(drawn=LOANS, cap_ppm=CAPS)
def test_no_cent_is_lost_and_no_line_is_raised(drawn: tuple[int, list[tuple[int, int]], int], cap_ppm: int) -> None:
    flows = drawn_flows(*drawn)
    if cost(flows, Method.IRR_SIMPLE) is None:
        return
    found = capped(flows.advances, parts(flows), cap_ppm)
    if found is None:
        return
    assert all(0 <= line.principal <= line.lawful <= line.contracted for line in found.lines)
    assert sum(line.lawful for line in found.lines) + found.excess == flows.paid


@settings(max_examples=100, deadline=None)
@given(drawn=LOANS)
def test_a_lower_ceiling_removes_no_less(drawn: tuple[int, list[tuple[int, int]], int]) -> None:
    flows = drawn_flows(*drawn)
    if cost(flows, Method.IRR_SIMPLE) is None:
        return
    removed = [
        0 if found is None else found.excess
        for cap_ppm in (360_000, 240_000, 124_000)
        for found in [capped(flows.advances, parts(flows), cap_ppm)]
    ]
    assert removed == sorted(removed)
