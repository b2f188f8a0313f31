"""The all-in yearly cost against what was published: Regulation Z, the European Union, the People's Bank of China."""

import json
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from dateutil.relativedelta import relativedelta

from forbear.ledger.cost import Dated, Flows, Method, all_in_yearly, cost
from forbear.ledger.models import LedgerError
from forbear.ledger.unit_period import MONTH, YEAR, Unit, anchor, measure, unit_of, years

D = date
WEEK = Unit("week")


def every(first: date, times: int, minor: int, **step: int) -> list[Dated]:
    """`times` payments of `minor`, so far apart."""
    return [(first + relativedelta(**{unit: k * n for unit, n in step.items()}), minor) for k in range(times)]


def semimonthly(first: date, times: int, minor: int) -> list[Dated]:
    """`times` payments of `minor` on the 1st and 16th."""
    return [(first + relativedelta(months=k // 2, days=15 * (k % 2)), minor) for k in range(times)]


NONE = Fraction(0)

# ---- 12 CFR 1026, appendix J, (c): all seventeen worked examples, in cents ----------------------------

APPENDIX_J = [
    (
        "(c)(1)(i)",
        D(1978, 1, 10),
        500_000,
        every(D(1978, 2, 10), 24, 23_000, months=1),
        MONTH,
        (1, NONE),
        "9.69",
    ),
    (
        "(c)(1)(ii)",
        D(1978, 2, 10),
        600_000,
        every(D(1978, 4, 1), 36, 20_000, months=1),
        MONTH,
        (1, Fraction(19, 30)),
        "11.82",
    ),
    (
        "(c)(1)(iii)",
        D(1978, 2, 23),
        500_000,
        semimonthly(D(1978, 3, 1), 24, 21_917),
        Unit("semimonth"),
        (0, Fraction(6, 15)),
        "10.34",
    ),
    (
        "(c)(1)(iv)",
        D(1978, 5, 23),
        1_000_000,
        every(D(1978, 10, 1), 40, 38_500, months=3),
        Unit("month", 3),
        (1, Fraction(39, 90)),
        "8.97",
    ),
    (
        "(c)(1)(v)",
        D(1978, 3, 20),
        50_000,
        every(D(1978, 4, 21), 30, 1_760, weeks=1),
        WEEK,
        (4, Fraction(4, 7)),
        "14.96",
    ),
    (
        "(c)(2)(i)",
        D(1978, 1, 10),
        500_000,
        [(D(1978, 2, 10), 25_000), *every(D(1978, 3, 10), 23, 23_000, months=1)],
        MONTH,
        (1, NONE),
        "10.08",
    ),
    (
        "(c)(2)(ii)",
        D(1978, 3, 18),
        40_000,
        [(D(1978, 4, 20), 3_950), *every(D(1978, 5, 18), 11, 3_831, weeks=4)],
        Unit("week", 4),
        (1, Fraction(5, 28)),
        "28.50",
    ),
    (
        "(c)(3)(i)",
        D(1978, 1, 10),
        500_000,
        [*every(D(1978, 2, 10), 23, 23_000, months=1), (D(1980, 1, 10), 28_000)],
        MONTH,
        (1, NONE),
        "10.50",
    ),
    (
        "(c)(3)(ii)",
        D(1978, 4, 3),
        20_000,
        [*every(D(1978, 4, 11), 19, 950, weeks=2), (D(1979, 1, 2), 3_000)],
        Unit("week", 2),
        (0, Fraction(8, 14)),
        "12.22",
    ),
    (
        "(c)(4)(i)",
        D(1978, 1, 10),
        500_000,
        [(D(1978, 2, 10), 25_000), *every(D(1978, 3, 10), 22, 23_000, months=1), (D(1980, 1, 10), 28_000)],
        MONTH,
        (1, NONE),
        "10.90",
    ),
    (
        "(c)(4)(ii)",
        D(1978, 1, 10),
        800_000,
        [(D(1978, 3, 1), 44_936), *every(D(1978, 5, 1), 18, 46_500, months=2), (D(1981, 5, 1), 20_000)],
        Unit("month", 2),
        (0, Fraction(52, 60)),
        "7.30",
    ),
    ("(c)(5)(i)", D(1978, 1, 3), 100_000, [(D(1978, 9, 15), 108_000)], Unit("day", 255), (1, NONE), "11.45"),
    ("(c)(5)(ii)", D(1978, 7, 15), 100_000, [(D(1979, 1, 15), 104_400)], Unit("month", 6), (1, NONE), "8.80"),
    ("(c)(5)(iii)", D(1978, 1, 17), 100_000, [(D(1979, 7, 17), 113_519)], YEAR, (1, Fraction(6, 12)), "8.76"),
    ("(c)(5)(iv)", D(1978, 1, 3), 100_000, [(D(1980, 1, 3), 124_000)], YEAR, (2, NONE), "11.36"),
    # A loan with skipped payments, every four weeks; its dates lie as far apart as the published t and f say.
    (
        "(c)(6)(i)",
        D(1978, 1, 25),
        213_500,
        [
            *every(D(1978, 2, 20), 9, 10_000, weeks=4),
            *every(D(1978, 11, 13), 6, 10_000, weeks=4),
            *every(D(1979, 5, 14), 6, 10_000, weeks=4),
            *every(D(1979, 11, 12), 3, 10_000, weeks=4),
        ],
        Unit("week", 4),
        (0, Fraction(26, 28)),
        "12.00",
    ),
    # Skipped payments and single ones, monthly; as above.
    (
        "(c)(6)(ii)",
        D(1978, 3, 3),
        735_000,
        [
            *every(D(1978, 9, 15), 3, 100_000, months=1),
            (D(1979, 3, 15), 200_000),
            *every(D(1979, 9, 15), 3, 75_000, months=1),
            (D(1980, 2, 1), 100_000),
        ],
        MONTH,
        (6, Fraction(12, 30)),
        "10.22",
    ),
]


@pytest.mark.oracle("Regulation Z, appendix J, its examples")
@pytest.mark.parametrize(
    ("opened_on", "advanced", "payments", "unit", "first", "apr"),
    [case[1:] for case in APPENDIX_J],
    ids=[case[0] for case in APPENDIX_J],
)
def test_appendix_j_publishes_this_rate(
    opened_on: date, advanced: int, payments: list[Dated], unit: Unit, first: tuple[int, Fraction], apr: str
) -> None:
    # Given the dates and sums of an example, when its APR is worked out, then the unit-period, the time to the first
    # payment and the two printed decimals are those of the regulation.
    flows = Flows.of([(opened_on, advanced)], payments)
    assert unit_of(*flows.days) == unit
    assert measure(opened_on, payments[0][0], unit, anchor(*flows.days)) == first
    found = cost(flows, Method.APPENDIX_J)
    assert found is not None and str(found.percent()) == apr


_SHARED = Path(__file__).parents[3] / "shared" / "data" / "regz" / "appendix_j_examples.json"


@pytest.mark.skipif(not _SHARED.is_file(), reason="the file of examples lies beside the project, not in it")
def test_the_examples_beside_the_project_agree() -> None:
    steps = {"1m": {"months": 1}, "1w": {"weeks": 1}, "2w": {"weeks": 2}, "4w": {"weeks": 4}, "2m": {"months": 2}}
    for example in json.loads(_SHARED.read_text("utf-8")):
        payments: list[Dated] = []
        for first, amount, times in example["payments"]:
            start, minor = date.fromisoformat(first), round(Decimal(str(amount)) * 100)
            semi = example["unit"].startswith("semimonthly")
            payments += (
                semimonthly(start, times, minor) if semi else every(start, times, minor, **steps[example["unit"]])
            )
        flows = Flows.of([(date.fromisoformat(example["advance_date"]), example["advance"] * 100)], payments)
        found = cost(flows, Method.APPENDIX_J)
        assert found is not None and found.percent() == Decimal(str(example["apr"])), example["ref"]


# What another system, FSharp.Finance.Personal, expects of the same method, for cases that the regulation has not.
OTHER_SYSTEM = [
    (D(1978, 6, 23), 1_000_000, every(D(1978, 10, 1), 40, 38_500, months=3), "9.15"),
    (D(1978, 7, 23), 1_000_000, every(D(1978, 10, 1), 40, 38_500, months=3), "9.32"),
    (D(2023, 10, 26), 100_000, every(D(2023, 11, 30), 5, 22_000, days=1), "94.15"),
    (D(2023, 10, 28), 100_000, every(D(2023, 11, 30), 5, 25_000, weeks=1), "176.52"),
    (D(2023, 11, 23), 100_000, every(D(2023, 11, 30), 5, 25_000, weeks=1), "412.40"),
    (D(2023, 11, 24), 100_000, every(D(2023, 11, 30), 5, 25_000, weeks=1), "434.30"),
    (D(2023, 10, 26), 100_000, every(D(2023, 11, 30), 5, 50_000, years=1), "78.34"),
]


@pytest.mark.oracle("FSharp.Finance.Personal, its tests' APR")
@pytest.mark.parametrize(("opened_on", "advanced", "payments", "apr"), OTHER_SYSTEM)
def test_another_system_finds_the_same(opened_on: date, advanced: int, payments: list[Dated], apr: str) -> None:
    found = cost(Flows.of([(opened_on, advanced)], payments), Method.APPENDIX_J)
    assert found is not None and str(found.percent()) == apr


def test_several_advances_are_discounted_too() -> None:
    # The general equation, (b)(8): 1,000.00 on two days a year apart, 2,310.00 a year after the second. At 10%:
    # 1,000 * 1.21 + 1,000 * 1.1 = 2,310.
    flows = Flows.of([(D(2023, 3, 1), 100_000), (D(2024, 3, 1), 100_000)], [(D(2025, 3, 1), 231_000)])
    found = cost(flows, Method.APPENDIX_J, YEAR)
    assert found is not None and found.percent(6) == Decimal("10.000000")


def test_without_a_common_period_the_average_is_the_unit() -> None:
    # (b)(4)(i)(B): 59, 62 and 91 days: 70.67 on average, nearest to ten weeks.
    flows = Flows.of(
        [(D(2025, 1, 1), 100_000)], [(D(2025, 3, 1), 40_000), (D(2025, 5, 2), 40_000), (D(2025, 8, 1), 40_000)]
    )
    assert unit_of(*flows.days) == Unit("week", 10)


def test_half_months_are_seen_as_such_though_their_days_differ() -> None:
    # (b)(3)(iii): the 1st and the 16th, fifteen, thirteen and fifteen days apart.
    days = [D(2025, 2, 1), D(2025, 2, 16), D(2025, 3, 1)]
    assert unit_of([D(2025, 1, 20)], days) == Unit("semimonth")
    assert [measure(D(2025, 1, 20), day, Unit("semimonth"), 16) for day in days] == [
        (0, Fraction(12, 15)),
        (1, Fraction(12, 15)),
        (2, Fraction(12, 15)),
    ]


def test_the_last_day_of_february_stands_for_the_thirtieth() -> None:
    # (b)(3)(iv): payments on the 30th; in February on its last day. Each is a whole month after the one before.
    days = [D(2025, 1, 30), D(2025, 2, 28), D(2025, 3, 30)]
    assert unit_of([D(2024, 12, 30)], days) == MONTH
    assert [measure(D(2024, 12, 30), day, MONTH, anchor([], days)) for day in days] == [(k, 0) for k in (1, 2, 3)]


# ---- the European Union -------------------------------------------------------------------------------

# Directive 98/7/EC, annex: the examples that it printed for the same equation, (A) by days, read, and
# (B) by equal months, recalled.
JAN = D(1994, 1, 1)
APRC = [
    ("A1", 100_000, [(D(1995, 7, 1), 120_000)], YEAR, 2, "12.96"),
    ("A2", 95_000, [(D(1995, 7, 1), 120_000)], YEAR, 1, "16.9"),
    ("A3", 100_000, [(D(1995, 1, 1), 60_000), (D(1996, 1, 1), 60_000)], YEAR, 2, "13.07"),
    ("A3 rounded", 100_000, [(D(1995, 1, 1), 60_000), (D(1996, 1, 1), 60_000)], YEAR, 1, "13.1"),
    ("B1", 100_000, [(D(1995, 7, 1), 120_000)], MONTH, 2, "12.92"),
    ("B3", 100_000, [(D(1995, 1, 1), 60_000), (D(1996, 1, 1), 60_000)], MONTH, 2, "13.07"),
]


@pytest.mark.oracle("European Union, printed APRC examples")
@pytest.mark.parametrize(
    ("received", "payments", "unit", "places", "printed"), [case[1:] for case in APRC], ids=[case[0] for case in APRC]
)
def test_the_directive_prints_this_rate(
    received: int, payments: list[Dated], unit: Unit, places: int, printed: str
) -> None:
    found = cost(Flows.of([(JAN, received)], payments), Method.APRC, unit)
    assert found is not None and str(found.percent(places)) == printed


# Commission guidelines SWD(2012) 128, 4.1.1: intervals as whole months and days, counted back from the later day; the
# days over 365 or 366 by the year that ends with them.
INTERVALS = [
    (D(2019, 1, 12), D(2020, 1, 12), MONTH, Fraction(1)),
    (D(2012, 1, 12), D(2012, 2, 15), MONTH, Fraction(1, 12) + Fraction(3, 365)),
    (D(2012, 1, 12), D(2012, 3, 15), MONTH, Fraction(2, 12) + Fraction(3, 365)),
    (D(2012, 1, 12), D(2012, 4, 15), MONTH, Fraction(3, 12) + Fraction(3, 365)),
    (D(2013, 1, 12), D(2013, 2, 15), MONTH, Fraction(1, 12) + Fraction(3, 366)),
    (D(2013, 1, 12), D(2013, 3, 15), MONTH, Fraction(2, 12) + Fraction(3, 366)),
    (D(2013, 1, 12), D(2013, 4, 15), MONTH, Fraction(3, 12) + Fraction(3, 366)),
    (D(2013, 2, 25), D(2013, 3, 28), MONTH, Fraction(1, 12) + Fraction(3, 366)),
    (D(2013, 2, 26), D(2013, 3, 29), MONTH, Fraction(1, 12) + Fraction(2, 366)),
    (D(2012, 2, 26), D(2012, 3, 29), MONTH, Fraction(1, 12) + Fraction(3, 366)),
    (D(2012, 1, 12), D(2012, 2, 15), YEAR, Fraction(34, 365)),
    (D(2012, 1, 12), D(2013, 2, 15), YEAR, 1 + Fraction(34, 365)),
    (D(2012, 1, 12), D(2014, 2, 15), YEAR, 2 + Fraction(34, 365)),
    (D(2012, 1, 12), D(2012, 1, 26), WEEK, Fraction(2, 52)),
    (D(2012, 1, 12), D(2013, 1, 10), WEEK, Fraction(1)),
    (D(2012, 1, 12), D(2012, 1, 30), WEEK, Fraction(2, 52) + Fraction(4, 365)),
]


@pytest.mark.oracle("European Commission, measured intervals")
@pytest.mark.parametrize(("early", "late", "unit", "wanted"), INTERVALS)
def test_the_commission_measures_time_so(early: date, late: date, unit: Unit, wanted: Fraction) -> None:
    assert years(early, late, unit, anchor([early], [late])) == wanted


# ---- China --------------------------------------------------------------------------------------------


@pytest.mark.oracle("People's Bank of China, announcement 2021 No. 3")
def test_the_announcements_own_example() -> None:
    # People's Bank of China, announcement 2021 No. 3: 100,000 with 1,000 kept back at the outset, twelve monthly
    # payments of 8,833.30: 12.80% simple, 13.58% by the internal-rate method.
    flows = Flows.of([(D(2021, 4, 1), 9_900_000)], every(D(2021, 5, 1), 12, 883_330, months=1))
    simple, compound = cost(flows, Method.IRR_SIMPLE), cost(flows, Method.IRR_COMPOUND)
    assert simple is not None and str(simple.percent()) == "12.80"
    assert compound is not None and str(compound.percent()) == "13.58"


def test_a_flat_fee_costs_almost_twice_what_it_says() -> None:
    # 12,000.00 in twelve instalments with a fee of 0.6% a month of the sum first lent: "7.2% a year" is 13.03%.
    flows = Flows.of([(D(2025, 1, 5), 1_200_000)], every(D(2025, 2, 5), 12, 107_200, months=1))
    found = cost(flows, Method.IRR_SIMPLE)
    assert found is not None and str(found.percent()) == "13.03"


def test_odd_days_count_as_parts_of_a_year() -> None:
    # A week at 1%: by days over 365, a month being a twelfth of it.
    flows = Flows.of([(D(2025, 1, 1), 100_000)], [(D(2025, 1, 8), 101_000)])
    found = cost(flows, Method.IRR_COMPOUND)
    assert found is not None and found.percent() == round(Decimal(100 * (1.01 ** (365 / 7) - 1)), 2)


# ---- what is refused ----------------------------------------------------------------------------------


def test_what_is_paid_before_the_advance_is_refused() -> None:
    with pytest.raises(LedgerError, match="before the first advance"):
        Flows.of([(D(2025, 1, 2), 100)], [(D(2025, 1, 1), 200)])


def test_sums_of_zero_are_left_out_and_negative_ones_refused() -> None:
    assert Flows.of([(D(2025, 1, 1), 100)], [(D(2025, 2, 1), 0), (D(2025, 3, 1), 1)]).payments == ((D(2025, 3, 1), 1),)
    with pytest.raises(LedgerError, match="above zero"):
        Flows.of([(D(2025, 1, 1), 100)], [(D(2025, 2, 1), -5)])


def test_where_less_is_paid_than_advanced_there_is_no_cost() -> None:
    flows = Flows.of([(D(2025, 1, 1), 100_000)], [(D(2025, 2, 1), 99_999)])
    assert [cost(flows, method) for method in Method] == [None] * len(Method)
    assert all_in_yearly(D(2025, 1, 1), 100_000, [(D(2025, 2, 1), 99_999)]) is None


def test_an_interest_free_loan_costs_nothing() -> None:
    flows = Flows.of([(D(2025, 1, 1), 120_000)], every(D(2025, 2, 1), 12, 10_000, months=1))
    assert {rate.ppm for method in Method if (rate := cost(flows, method))} == {0}


def test_a_rate_beyond_all_sense_is_none_rather_than_wrong() -> None:
    flows = Flows.of([(D(2025, 1, 1), 1)], [(D(2025, 1, 2), 10**12)])
    assert cost(flows, Method.EFFECTIVE) is None


def test_the_books_price_is_the_simple_rate() -> None:
    # The import prices whole books by all_in_yearly: the same figure as `irr_simple`, also where payments go by days.
    monthly = every(D(2024, 2, 29), 12, 9_500, months=1)
    by_days = [(D(2024, 1, 31) + timedelta(days=10 * k), 4_000) for k in range(1, 30)]
    for payments in (monthly, by_days):
        found = cost(Flows.of([(D(2024, 1, 29), 100_000)], payments), Method.IRR_SIMPLE)
        assert found is not None and all_in_yearly(D(2024, 1, 29), 100_000, payments) == found.ppm
