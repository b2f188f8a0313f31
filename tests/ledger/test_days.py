"""Day counts by the definitions' own examples, and business days by published calendars."""

from datetime import date, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.ledger.daycount import units, units_of, year_fraction
from forbear.ledger.models import DayCount, LedgerError, Roll
from forbear.ledger.roll import adjust

DATES = st.dates(date(1971, 1, 1), date(2099, 12, 31))
BY_DAYS = [DayCount.ACT_365, DayCount.ACT_360, DayCount.THIRTY_360, DayCount.ACT_ACT]


@pytest.mark.parametrize(
    ("count", "start", "end", "part"),
    [
        # ISDA's memorandum on actual/actual (1998): 1 November 2003 to 1 May 2004 is 61/365 + 121/366.
        (DayCount.ACT_ACT, date(2003, 11, 1), date(2004, 5, 1), Fraction(61, 365) + Fraction(121, 366)),
        # ... 1 February to 1 July 1999 is 150/365; 1 July 1999 to 1 July 2000 is 184/365 + 182/366.
        (DayCount.ACT_ACT, date(1999, 2, 1), date(1999, 7, 1), Fraction(150, 365)),
        (DayCount.ACT_ACT, date(1999, 7, 1), date(2000, 7, 1), Fraction(184, 365) + Fraction(182, 366)),
        (DayCount.ACT_365, date(2024, 1, 1), date(2025, 1, 1), Fraction(366, 365)),
        (DayCount.ACT_360, date(2024, 1, 1), date(2024, 2, 1), Fraction(31, 360)),
        # 30/360, bond basis: a 31st counts as the 30th at the start, and at the end if the start is a 30th or 31st.
        (DayCount.THIRTY_360, date(2007, 1, 15), date(2007, 1, 30), Fraction(15, 360)),
        (DayCount.THIRTY_360, date(2007, 1, 31), date(2007, 3, 31), Fraction(60, 360)),
        (DayCount.THIRTY_360, date(2007, 2, 28), date(2007, 3, 31), Fraction(33, 360)),
        (DayCount.THIRTY_360, date(2007, 9, 30), date(2007, 10, 31), Fraction(30, 360)),
    ],
)
def test_parts_of_a_year(count: DayCount, start: date, end: date, part: Fraction) -> None:
    assert year_fraction(start, end, count) == part


@given(st.lists(st.tuples(DATES, st.integers(0, 4000)), min_size=1, max_size=20), st.sampled_from(BY_DAYS))
def test_arrays_count_as_single_dates_do(spans: list[tuple[date, int]], count: DayCount) -> None:
    pairs = [(start, start + timedelta(days=days)) for start, days in spans]
    epoch = date(1970, 1, 1)
    starts, ends = (np.array([(day - epoch).days for day in column]) for column in zip(*pairs, strict=True))
    assert units_of(starts, ends, count).tolist() == [units(start, end, count) for start, end in pairs]


def test_a_span_that_runs_backwards_is_refused() -> None:
    with pytest.raises(LedgerError, match="lies before"):
        units(date(2026, 2, 1), date(2026, 1, 1), DayCount.ACT_365)


def test_swapped_workdays_of_mainland_china() -> None:
    # Published for 2026: 15 February, a Sunday, is worked; 16 to 23 February is the holiday.
    assert adjust(date(2026, 2, 16), Roll.FOLLOWING, "cn") == date(2026, 2, 24)
    assert adjust(date(2026, 2, 28), Roll.FOLLOWING, "cn") == date(2026, 2, 28)  # a Saturday that is worked
    assert adjust(date(2026, 3, 1), Roll.FOLLOWING, "cn") == date(2026, 3, 2)


def test_a_year_that_is_not_published_is_refused_and_never_guessed() -> None:
    # China's of 2031 is not published, no library has the place qq, and Turkey's feasts of 2060 are only estimated.
    for place, year in (("cn", 2031), ("qq", 2026), ("tr", 2060)):
        with pytest.raises(LedgerError, match=f"calendar {place}: the calendar of {year} is not on file"):
            adjust(date(year, 1, 5), Roll.FOLLOWING, place)


@pytest.mark.parametrize(
    ("roll", "day", "moved"),
    [
        # 2026-01-31 is a Saturday; 2026-07-03 is the observed Independence Day, a Friday.
        (Roll.NONE, date(2026, 1, 31), date(2026, 1, 31)),
        (Roll.FOLLOWING, date(2026, 1, 31), date(2026, 2, 2)),
        (Roll.MODIFIED_FOLLOWING, date(2026, 1, 31), date(2026, 1, 30)),
        (Roll.PRECEDING, date(2026, 7, 5), date(2026, 7, 2)),
        (Roll.MODIFIED_FOLLOWING, date(2026, 7, 3), date(2026, 7, 6)),
    ],
)
def test_where_a_due_date_goes(roll: Roll, day: date, moved: date) -> None:
    assert adjust(day, roll, "us") == moved
