"""The all-in yearly cost: the rate at which what the borrower pays is worth what the borrower got.

Five methods, each named with its source; they differ in how time is measured and how a period's rate is made yearly:

    appendix_j     nominal: unit-period rate times unit-periods a year (12 CFR 1026, appendix J)
    aprc           compound, years of the European directives (2008/48/EC annex I; 2023/2225 annex III)
    irr_simple     nominal: a month's internal rate times 12 (People's Bank of China announcement 2021 No. 3, 单利)
    irr_compound   compound: (1 + a month's internal rate)^12 - 1 (the same announcement, 复利, 内部收益率法)
    effective      compound, actual days over 365: what spreadsheets call XIRR

The rate is found by bisection, which can't miss where money goes out first and comes back later; pyxirr's Newton
found none for some such loans. It prices books (`all_in_yearly`), where speed counts, and bisection stands behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction

import pyxirr

from forbear.ledger.models import PPM, LedgerError
from forbear.ledger.unit_period import MONTH, YEAR, Unit, anchor, measure, unit_of, years

_MONTHS = 12
#: Beyond this rate of a period no rate is reported: something was typed wrong.
_MAX_RATE = 2.0**64
#: A dated sum: the day, and minor units above zero.
Dated = tuple[date, int]


class Method(StrEnum):
    """How the yearly cost is worked out."""

    APPENDIX_J = "appendix_j"
    APRC = "aprc"
    IRR_SIMPLE = "irr_simple"
    IRR_COMPOUND = "irr_compound"
    EFFECTIVE = "effective"


@dataclass(frozen=True, slots=True)
class Flows:
    """What was advanced and what is paid, each in date order, in minor units.

    Raises LedgerError where a sum is not above zero, a day is out of order, or something is paid before the first
    advance.
    """

    advances: tuple[Dated, ...]
    payments: tuple[Dated, ...]

    def __post_init__(self) -> None:
        if not self.advances or not self.payments:
            raise LedgerError("flows: at least one advance and one payment are needed; add what is missing")
        for name, dated in (("advance", self.advances), ("payment", self.payments)):
            for day, minor in dated:
                if minor <= 0:
                    raise LedgerError(f"{name} of {day}: {minor} minor units; give an amount above zero")
            if [day for day, _ in dated] != sorted(day for day, _ in dated):
                raise LedgerError(f"{name}s are out of order; give the earliest first")
        if self.payments[0][0] < self.advances[0][0]:
            raise LedgerError(
                f"payment of {self.payments[0][0]} lies before the first advance, {self.advances[0][0]};"
                " take what was paid at once off the advance"
            )

    @classmethod
    def of(cls, advances: Sequence[Dated], payments: Sequence[Dated]) -> "Flows":
        """Flows in date order; those of zero are left out."""
        return cls(tuple(sorted(a for a in advances if a[1])), tuple(sorted(p for p in payments if p[1])))

    @property
    def advanced(self) -> int:
        """All that was advanced."""
        return sum(minor for _, minor in self.advances)

    @property
    def paid(self) -> int:
        """All that is paid."""
        return sum(minor for _, minor in self.payments)

    @property
    def days(self) -> tuple[list[date], list[date]]:
        """The days of the advances and of the payments."""
        return [day for day, _ in self.advances], [day for day, _ in self.payments]


@dataclass(frozen=True, slots=True)
class Rate:
    """A yearly cost: as a fraction (0.24 is 24%), the rate of one period, and how many periods make a year."""

    method: Method
    yearly: Decimal
    periodic: Decimal
    unit: Unit

    @property
    def ppm(self) -> int:
        """In parts per million, half up."""
        return int((self.yearly * PPM).to_integral_value(ROUND_HALF_UP))

    def percent(self, places: int = 2) -> Decimal:
        """In percent with so many places, half up: as appendix J and the directives print it."""
        whole = (self.yearly.scaleb(2 + places)).to_integral_value(ROUND_HALF_UP)
        return whole.scaleb(-places)


@dataclass(frozen=True, slots=True)
class Equation:
    """How one method discounts a loan's flows; the cost is the rate at which both sides are worth the same.

    A sum `on` a day is worth minor / ((1 + f r)(1 + r)^t) at the rate r of a period, t and f being its time in
    whole and in part. Only appendix J, (b)(8), has the part f apart from the exponent.
    """

    flows: Flows
    method: Method
    unit: Unit
    times: Mapping[date, tuple[Fraction, Fraction]]

    @classmethod
    def of(cls, flows: Flows, method: Method, unit: Unit | None = None) -> "Equation":
        """The equation of `flows` by `method`; see `cost` for `unit`."""
        first, day = flows.advances[0][0], anchor(*flows.days)
        days = {on for on, _ in (*flows.advances, *flows.payments)}
        nought = Fraction(0)
        if method is Method.APPENDIX_J:
            unit = unit or unit_of(*flows.days)
            measured = {on: measure(first, on, unit, day) for on in days}
            return cls(flows, method, unit, {on: (Fraction(whole), part) for on, (whole, part) in measured.items()})
        if method is Method.APRC:
            unit = unit or _whole(unit_of(*flows.days))
            return cls(flows, method, unit, {on: (years(first, on, unit, day), nought) for on in days})
        if method is Method.EFFECTIVE:
            return cls(flows, method, YEAR, {on: (Fraction((on - first).days, 365), nought) for on in days})
        # The announcement gives its example in whole months and says nothing of odd days: where there are any, time
        # is that of days, a month being a twelfth of 365.
        measured = {on: measure(first, on, MONTH, day) for on in days}
        if all(part == 0 for _, part in measured.values()):
            return cls(flows, method, MONTH, {on: (Fraction(whole), nought) for on, (whole, _) in measured.items()})
        return cls(flows, method, MONTH, {on: (Fraction(12 * (on - first).days, 365), nought) for on in days})

    def solve(self) -> Rate | None:
        """The cost; None where no rate from zero up makes both sides equal."""
        signed = [
            (minor * sign, *map(float, self.times[on]))
            for sign, dated in ((1, self.flows.payments), (-1, self.flows.advances))
            for on, minor in dated
        ]
        found = _root(lambda rate: sum(m / (1 + part * rate) * (1 + rate) ** -whole for m, whole, part in signed))
        return None if found is None else Rate(self.method, self.yearly(Decimal(found)), Decimal(found), self.unit)

    def yearly(self, periodic: Decimal) -> Decimal:
        """The rate of a period made yearly: by so many periods (nominal) or by compounding."""
        if self.method in (Method.APPENDIX_J, Method.IRR_SIMPLE):
            per_year = self.unit.per_year
            return periodic * per_year.numerator / per_year.denominator
        return (1 + periodic) ** _MONTHS - 1 if self.method is Method.IRR_COMPOUND else periodic

    def periodic(self, yearly: Decimal) -> Decimal:
        """A yearly rate as that of a period: what undoes `yearly`."""
        if self.method in (Method.APPENDIX_J, Method.IRR_SIMPLE):
            per_year = self.unit.per_year
            return yearly * per_year.denominator / per_year.numerator
        return (1 + yearly) ** (1 / Decimal(_MONTHS)) - 1 if self.method is Method.IRR_COMPOUND else yearly

    def discount(self, periodic: Decimal, on: date) -> Decimal:
        """What one unit of money on a day of the flows is worth on the day of the first advance."""
        whole, part = (Decimal(time.numerator) / time.denominator for time in self.times[on])
        return (1 + periodic) ** -whole / (1 + part * periodic)


def cost(flows: Flows, method: Method, unit: Unit | None = None) -> Rate | None:
    """The yearly cost by `method`; None where no rate from zero up makes both sides equal.

    Args:
        unit: the unit-period (appendix J), or what is counted in whole before days (aprc: a month, a week, a year,
            a day); without it the one that the dates show.
    """
    return Equation.of(flows, method, unit).solve() if flows.paid >= flows.advanced else None


def all_in_yearly(opened_on: date, principal_minor: int, flows: Sequence[Dated]) -> int | None:
    """The nominal yearly cost in ppm of `flows` (due date, minor units), half up; None where there is no rate.

    The method is `irr_simple`, by pyxirr for speed; where Newton finds nothing, by bisection.
    """
    if principal_minor <= 0 or not flows or sum(amount for _, amount in flows) < principal_minor:
        return None
    sums = [-principal_minor, *(amount for _, amount in flows)]
    months = [12 * (day.year - opened_on.year) + day.month - opened_on.month for day, _ in flows]
    times: list[float] = list(months)
    if months == list(range(1, len(flows) + 1)):
        rate = pyxirr.irr(sums)
    else:
        times = [(day - opened_on).days / 365 * _MONTHS for day, _ in flows]
        yearly = pyxirr.xirr([opened_on, *(day for day, _ in flows)], sums)
        rate = None if yearly is None or yearly <= -1 else (1 + yearly) ** (1 / _MONTHS) - 1
    if rate is None:
        signed = list(zip(sums, [0.0, *times], strict=True))
        rate = _root(lambda month: sum(amount * (1 + month) ** -time for amount, time in signed))
    if rate is None:
        return None
    ppm = int((Decimal(rate) * _MONTHS * PPM).quantize(Decimal(1), ROUND_HALF_UP))
    return ppm if ppm >= 0 else None


def _whole(unit: Unit) -> Unit:
    """What the directives count in whole before days: weeks, months or years, as the instalments come."""
    return {"week": Unit("week"), "day": Unit("day")}.get(unit.name, YEAR if unit == YEAR else MONTH)


def _root(excess: Callable[[float], float]) -> float | None:
    """Where a function that falls from above zero crosses it, to the last bit; None where it does not."""
    if excess(0.0) <= 0:
        return 0.0 if excess(0.0) == 0 else None
    low, high = 0.0, 1.0
    while excess(high) > 0:
        low, high = high, high * 2
        if high > _MAX_RATE:
            return None
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return low
