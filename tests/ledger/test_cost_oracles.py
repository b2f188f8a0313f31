"""Costs against outside reckoners: LibreOffice Calc, pyxirr, numpy-financial; and the laws that any cost keeps."""

import csv
import importlib.util
import random
import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from pathlib import Path

import numpy_financial as npf
import pytest
import pyxirr
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.ledger.cost import Dated, Equation, Flows, Method, all_in_yearly, cost
from forbear.ledger.products import annuity

_HERE = Path(__file__).parent
_SCRIPT = _HERE.parents[1] / "scripts" / "spreadsheet_oracle.py"


@dataclass(frozen=True)
class Asked:
    """One row of the table that LibreOffice answered."""

    function: str
    received: int
    opened_on: date
    payments: tuple[int, ...]
    due_on: tuple[date, ...]
    result: Decimal

    @property
    def flows(self) -> Flows:
        """The loan that it is about."""
        return Flows.of([(self.opened_on, self.received)], list(zip(self.due_on, self.payments, strict=True)))


def _read() -> list[Asked]:
    with (_HERE / "data" / "spreadsheet.csv").open(encoding="utf-8", newline="") as lines:
        return [
            Asked(
                row["function"],
                int(row["received"]),
                date.fromisoformat(row["opened_on"]),
                tuple(map(int, row["payments"].split())),
                tuple(map(date.fromisoformat, row["due_on"].split())),
                Decimal(row["result"]),
            )
            for row in csv.DictReader(lines)
        ]


TABLE = _read()


def ours(asked: Asked) -> Decimal:
    """The project's own answer to what the spreadsheet was asked."""
    if asked.function == "PMT":
        return -Decimal(annuity(asked.received, 12 * asked.payments[0], [(1, 12)] * len(asked.payments)))
    method = {"XIRR": Method.EFFECTIVE, "EFFECT": Method.IRR_COMPOUND}.get(asked.function, Method.IRR_SIMPLE)
    found = cost(asked.flows, method)
    assert found is not None
    return found.periodic if asked.function in ("IRR", "RATE") else found.yearly


@pytest.mark.oracle("LibreOffice Calc: XIRR, IRR, RATE, EFFECT, PMT")
@pytest.mark.parametrize("asked", TABLE, ids=[f"{asked.function}-{k}" for k, asked in enumerate(TABLE)])
def test_libreoffice_says_the_same(asked: Asked) -> None:
    # To the cent (PMT), or to eight places of the rate: a ten-thousandth of the last digit of a printed percent.
    assert abs(ours(asked) - asked.result) <= (0 if asked.function == "PMT" else Decimal("1e-8"))


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed; its table was checked above")
def test_the_table_is_what_libreoffice_says_today() -> None:
    # Given the real program, when it is asked anew, then the table in the repository is its answer.
    spec = importlib.util.spec_from_file_location("spreadsheet_oracle", _SCRIPT)
    assert spec is not None and spec.loader is not None
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    cases = list(oracle.cases())
    assert [(c.function, c.received, c.payments, c.due_on) for c in cases] == [
        (a.function, a.received, a.payments, a.due_on) for a in TABLE
    ]
    for asked, answer in zip(TABLE, oracle.ask(cases), strict=True):
        assert abs(Decimal(answer) - asked.result) <= Decimal("1e-9")


def drawn(seed: int) -> tuple[date, int, list[Dated]]:
    """A loan of monthly payments of unequal sums."""
    draw = random.Random(seed)
    n = draw.choice((3, 6, 12, 24, 36))
    received = draw.randrange(50_000, 10_000_000)
    opened_on = date(2018, 1, 28) + timedelta(days=draw.randrange(2_000))
    level = int(received * draw.uniform(1.01, 1.5) / n) + 1
    return (
        opened_on,
        received,
        [(opened_on + relativedelta(months=k), level + draw.randrange(1_000)) for k in range(1, n + 1)],
    )


@pytest.mark.oracle("pyxirr: IRR, XIRR", "numpy-financial: IRR")
@pytest.mark.parametrize("seed", range(40))
def test_pyxirr_and_numpy_financial_say_the_same(seed: int) -> None:
    opened_on, received, payments = drawn(seed)
    flows = Flows.of([(opened_on, received)], payments)
    sums = [-received, *(minor for _, minor in payments)]
    month = cost(flows, Method.IRR_SIMPLE)
    yearly = cost(flows, Method.EFFECTIVE)
    assert month is not None and yearly is not None
    assert float(month.periodic) == pytest.approx(pyxirr.irr(sums), abs=1e-9)
    assert float(month.periodic) == pytest.approx(npf.irr(sums), abs=1e-9)
    assert float(yearly.yearly) == pytest.approx(
        pyxirr.xirr([opened_on, *(day for day, _ in payments)], sums), abs=1e-8
    )


@pytest.mark.oracle("Excel, its documentation's examples")
@pytest.mark.parametrize(
    ("method", "received", "payments", "wanted"),
    [
        # XIRR: 37.3362535%.
        (
            Method.EFFECTIVE,
            (date(2008, 1, 1), 1_000_000),
            [
                (date(2008, 3, 1), 275_000),
                (date(2008, 10, 30), 425_000),
                (date(2009, 2, 15), 325_000),
                (date(2009, 4, 1), 275_000),
            ],
            "0.37336253",
        ),
        # RATE(48; -200; 8000): 0.7701472% a month.
        (
            Method.IRR_SIMPLE,
            (date(2025, 1, 1), 800_000),
            [(date(2025, 1, 1) + relativedelta(months=k), 20_000) for k in range(1, 49)],
            "0.09241767",
        ),
        # IRR(-70000, 12000, 15000, 18000, 21000, 26000): 8.66308% a year.
        (
            Method.APRC,
            (date(2025, 1, 1), 7_000_000),
            [(date(2025 + k, 1, 1), 100_000 * n) for k, n in enumerate((12, 15, 18, 21, 26), 1)],
            "0.08663095",
        ),
    ],
    ids=["XIRR", "RATE", "IRR"],
)
def test_excels_pages_print_this_rate(method: Method, received: Dated, payments: list[Dated], wanted: str) -> None:
    found = cost(Flows.of([received], payments), method)
    assert found is not None and abs(found.yearly - Decimal(wanted)) <= Decimal("1e-8")


# ---- laws ---------------------------------------------------------------------------------------------

GAP = st.integers(1, 200)
LOANS = st.tuples(
    st.dates(date(2000, 1, 1), date(2040, 1, 1)),
    st.integers(1_000, 10**9),
    st.lists(st.tuples(GAP, st.integers(1, 10**9)), min_size=1, max_size=24),
)
METHODS = st.sampled_from(list(Method))


def loan(opened_on: date, received: int, raw: list[tuple[int, int]]) -> Flows:
    """A loan at whose end at least what was received is paid."""
    on, payments = opened_on, []
    for gap, minor in raw:
        on += timedelta(days=gap)
        payments.append((on, minor))
    short = received - sum(minor for _, minor in payments)
    if short > 0:
        payments[-1] = (on, payments[-1][1] + short)
    return Flows.of([(opened_on, received)], payments)


@settings(max_examples=300, deadline=None)
@given(drawn=LOANS, method=METHODS)
def test_at_the_rate_found_nothing_is_left_over(drawn: tuple[date, int, list[tuple[int, int]]], method: Method) -> None:
    # Discounted at its own rate, what is paid is worth what was received, to half a minor unit.
    flows = loan(*drawn)
    equation = Equation.of(flows, method)
    found = equation.solve()
    if found is None:
        return
    with localcontext(prec=60):
        rate = equation.periodic(found.yearly) if method is Method.APPENDIX_J else found.periodic
        worth = sum(minor * equation.discount(rate, on) for on, minor in flows.payments)
    assert abs(worth - flows.advanced) < Decimal("0.5")


@settings(max_examples=200, deadline=None)
@given(drawn=LOANS, method=METHODS, which=st.integers(0, 23), more=st.integers(1, 10**8))
def test_paying_more_never_costs_less(
    drawn: tuple[date, int, list[tuple[int, int]]], method: Method, which: int, more: int
) -> None:
    flows = loan(*drawn)
    payments = list(flows.payments)
    on, minor = payments[which % len(payments)]
    payments[which % len(payments)] = (on, minor + more)
    before, after = cost(flows, method), cost(Flows(flows.advances, tuple(payments)), method)
    if before is not None and after is not None:
        assert after.yearly >= before.yearly


@settings(max_examples=200, deadline=None)
@given(drawn=LOANS)
def test_compounding_never_says_less_than_simple(drawn: tuple[date, int, list[tuple[int, int]]]) -> None:
    # So what a ceiling removes by the simple rate is above it by the compound one too.
    flows = loan(*drawn)
    simple, compound = cost(flows, Method.IRR_SIMPLE), cost(flows, Method.IRR_COMPOUND)
    if simple is not None and compound is not None:
        assert compound.yearly >= simple.yearly


def test_where_pyxirr_finds_none_a_book_still_has_its_price() -> None:
    # pyxirr's test of nearness is absolute, so it gives up on some large, long loans; bisection does not. When this
    # fails at its first line, the way around in all_in_yearly can go.
    draw = random.Random(144)
    n, received = draw.choice([6, 12, 36, 360]), draw.randrange(10**5, 10**11)
    sums = [int(received * draw.uniform(1.02, 2) / n) + draw.randint(0, 100) for _ in range(n)]
    assert pyxirr.irr([-received, *sums]) is None
    opened_on = date(2025, 1, 5)
    payments = [(opened_on + relativedelta(months=k), minor) for k, minor in enumerate(sums, 1)]
    found = cost(Flows.of([(opened_on, received)], payments), Method.IRR_SIMPLE)
    assert found is not None and all_in_yearly(opened_on, received, payments) == found.ppm
    # A tenth of everything is the same loan, and one that pyxirr can price.
    assert float(found.periodic) == pytest.approx(
        pyxirr.irr([-received / 10, *(minor / 10 for minor in sums)]), abs=1e-9
    )
