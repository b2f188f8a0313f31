"""What of each instalment a ceiling on the all-in yearly cost removes.

Method: every charge (interest and fees) is cut by one common factor, the largest at which the loan costs no more than
the ceiling; principal is never cut, dates stay. Where all charges are interest at one rate, this is the schedule
recomputed at the ceiling over the same balances and dates. One factor, since no instalment is dearer than another by
right: a ceiling on the whole cost leaves open where the excess lies, and any other choice would favour a side. It is
never below zero, so nothing needs to be carried from line to line. Each line is rounded down to the minor unit, so
that what is left never passes the ceiling; what is removed is the rest, and both sum to what was contracted.

Where the contract gives sums without their parts, the parts are those of the loan's own rate, interest settled before
principal (China: Civil Code art. 561). Sums kept back from the advance are no principal (Civil Code art. 670): give
what arrived.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise

from forbear.ledger.cost import Dated, Equation, Flows, Method, Rate
from forbear.ledger.models import PPM, Instalment, LedgerError

#: A sum this little below a whole minor unit is the whole one: it is the formula's rounding, not the loan's.
_DUST = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class Part:
    """One payment in its parts: what it repays and what it costs, in minor units."""

    due_on: date
    principal: int
    charge: int

    @property
    def amount(self) -> int:
        """All that falls due."""
        return self.principal + self.charge


@dataclass(frozen=True, slots=True)
class Line:
    """One instalment against the ceiling, in minor units: contracted = lawful + excess."""

    due_on: date
    principal: int
    contracted: int
    lawful: int

    @property
    def excess(self) -> int:
        """What the ceiling removes: never demanded."""
        return self.contracted - self.lawful


@dataclass(frozen=True, slots=True)
class Capped:
    """A schedule held to a ceiling: the cost before, and the lines.

    factor: what is left of each charge; None where each line was held by itself (`by_stretches`).
    """

    cap_ppm: int
    method: Method
    before: Rate
    factor: Decimal | None
    lines: tuple[Line, ...]

    @property
    def excess(self) -> int:
        """All that the ceiling removes."""
        return sum(line.excess for line in self.lines)

    @property
    def lawful(self) -> tuple[tuple[date, int], ...]:
        """The payments that are left."""
        return tuple((line.due_on, line.lawful) for line in self.lines)


def parts(flows: Flows, method: Method = Method.IRR_SIMPLE) -> tuple[Part, ...]:
    """The principal and the charge of each payment, by the loan's own rate; the principals sum to the advances.

    Raises LedgerError where the loan has no rate.
    """
    equation = Equation.of(flows, method)
    rate = _rate(flows, equation).periodic
    advances, payments = _by_day(flows.advances), _by_day(flows.payments)
    # What is outstanding after each day is what later days are worth: counted back from the end, so that the errors
    # of a huge rate shrink instead of growing.
    outstanding, later = {}, Decimal(0)
    for on in sorted(advances.keys() | payments.keys(), reverse=True):
        discount = equation.discount(rate, on)
        outstanding[on] = later / discount
        later += (payments.get(on, 0) - advances.get(on, 0)) * discount
    found: list[Part] = []
    before = accrued = repaid = Decimal(0)
    for on in sorted(outstanding):
        paid = payments.get(on, 0)
        accrued += max(Decimal(0), outstanding[on] + paid - advances.get(on, 0) - before)
        before = outstanding[on]
        if not paid:
            continue
        charge = min(Decimal(paid), accrued)
        accrued -= charge
        done = _whole(repaid)
        repaid = min(repaid + paid - charge, Decimal(flows.advanced))
        principal = (flows.advanced if on == flows.payments[-1][0] else _whole(repaid)) - done
        found.append(Part(on, principal, paid - principal))
    return tuple(found)


def of_schedule(schedule: Iterable[Instalment]) -> tuple[Part, ...]:
    """The parts that a schedule of the ledger gives: interest and fees are the charge."""
    return tuple(Part(line.due_on, line.principal, line.interest + line.fee) for line in schedule)


def capped(
    advances: Sequence[Dated],
    lines: Sequence[Part],
    cap_ppm: int,
    method: Method = Method.IRR_SIMPLE,
) -> Capped | None:
    """The lines held to a ceiling of `cap_ppm` a year by `method`; None where the loan costs no more than that.

    A charge kept back from the advance is a line on the advance's day.
    Raises LedgerError where the principals do not sum to the advances, or the loan has no rate.
    """
    flows = Flows.of(advances, [(line.due_on, line.amount) for line in lines])
    if (repaid := sum(line.principal for line in lines)) != flows.advanced:
        raise LedgerError(
            f"schedule: its principals sum to {repaid}, the advances to {flows.advanced}; give lines that repay all"
        )
    if flows.paid < flows.advanced:
        raise _no_cost(flows)
    equation = Equation.of(flows, method)
    rate = equation.periodic(Decimal(cap_ppm) / PPM)
    given = sum((minor * equation.discount(rate, on) for on, minor in flows.advances), Decimal(0))
    worth = {on: equation.discount(rate, on) for on in {line.due_on for line in lines}}
    repaid_worth = sum((line.principal * worth[line.due_on] for line in lines), Decimal(0))
    charged_worth = sum((line.charge * worth[line.due_on] for line in lines), Decimal(0))
    # At the ceiling's rate it is worth no more than what was advanced: most loans are told by this alone.
    if given - repaid_worth >= charged_worth or (before := _rate(flows, equation)).ppm <= cap_ppm:
        return None
    factor = (given - repaid_worth) / charged_worth
    return Capped(
        cap_ppm,
        method,
        before,
        factor,
        tuple(
            Line(line.due_on, line.principal, line.amount, line.principal + _floor(factor * line.charge))
            for line in lines
        ),
    )


def held(
    advances: Sequence[Dated], lines: Sequence[Part], ceilings: Sequence[tuple[date, int | None]]
) -> Capped | None:
    """The lines held to the ceilings of their days: by one factor (`capped`) where one holds throughout, else
    `by_stretches`, whose arguments and errors these are. None where nothing is above, or no ceiling is known."""
    last = max(line.due_on for line in lines)
    here = [each for k, each in enumerate(ceilings) if not k or each[0] < last]
    if len(here) > 1:
        return by_stretches(advances, lines, here)
    ppm = here[0][1]
    return None if ppm is None else capped(advances, lines, ppm)


def spare(advances: Sequence[Dated], lines: Sequence[Part], cap_ppm: int, on: date) -> int:
    """What more the ceiling would let be charged on a day beside the lines, in minor units: then all costs just as
    much as it. Below zero: so much of what was charged is above it, as a sum of that day.

    Raises LedgerError where nothing was advanced before the day or the first line.
    """
    flows = Flows.of(advances, [*((line.due_on, line.amount) for line in lines), (on, 1)])  # 1: to measure its time
    equation = Equation.of(flows, Method.IRR_SIMPLE)
    rate = equation.periodic(Decimal(cap_ppm) / PPM)
    left = sum((minor * equation.discount(rate, day) for day, minor in flows.advances), Decimal(0))
    left -= sum((line.amount * equation.discount(rate, line.due_on) for line in lines if line.amount), Decimal(0))
    return _floor(left / equation.discount(rate, on))


def by_stretches(
    advances: Sequence[Dated], lines: Sequence[Part], ceilings: Sequence[tuple[date, int | None]]
) -> Capped | None:
    """The lines held to a ceiling that becomes another one on a day; None where nothing is above.

    Each instalment's charge is held to what the principal outstanding in its period costs at the ceiling of each day:
    one factor for all would let the days before pay for those after. Time is that of `irr_simple`, of which a period
    that the change falls into has its share by days, the first day counted and the last not.

    Args:
        ceilings: (from day, ppm a year) in order, the first no later than the first advance; None: no ceiling.

    Raises LedgerError as `capped`.
    """
    flows = Flows.of(advances, [(line.due_on, line.amount) for line in lines])
    equation = Equation.of(flows, Method.IRR_SIMPLE)
    starts = [on for on, _ in ceilings]
    days = sorted({*equation.times, *(on for on in starts if flows.advances[0][0] < on < flows.payments[-1][0])})
    per_year = equation.unit.per_year
    outstanding, room, free = 0, Fraction(0), False
    given, due, allowed = _by_day(flows.advances), _by_day([(x.due_on, x.principal) for x in lines]), {}
    known = sorted(equation.times)
    for start, end in pairwise(days):
        outstanding += given.get(start, 0) - due.get(start, 0)
        begun = max(on for on in known if on <= start)
        ended = min(on for on in known if on >= end)
        time = (equation.times[ended][0] - equation.times[begun][0]) * Fraction(
            (end - start).days, (ended - begun).days
        )
        ppm = [each for on, each in ceilings if on <= start][-1]
        free = free or ppm is None
        room += Fraction(outstanding * (ppm or 0), PPM) * time / per_year
        if end in due:
            allowed[end] = None if free else int(room)
            room, free = Fraction(0), False
    held = []
    for line in lines:
        most = allowed.get(line.due_on, 0)
        left = line.charge if most is None else min(line.charge, most)
        if most is not None:
            allowed[line.due_on] = most - left
        held.append(Line(line.due_on, line.principal, line.amount, line.principal + left))
    if not any(line.excess for line in held):
        return None
    cap = next(ppm for _, ppm in ceilings if ppm is not None)  # there is one, since something is above it
    return Capped(cap, Method.IRR_SIMPLE, _rate(flows, equation), None, tuple(held))


def _by_day(dated: Sequence[Dated]) -> dict[date, int]:
    sums: dict[date, int] = {}
    for on, minor in dated:
        sums[on] = sums.get(on, 0) + minor
    return sums


def _whole(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_HALF_UP))


def _floor(value: Decimal) -> int:
    return int((value + _DUST).to_integral_value(ROUND_FLOOR))


def _rate(flows: Flows, equation: Equation) -> Rate:
    found = equation.solve() if flows.paid >= flows.advanced else None
    if found is None:
        raise _no_cost(flows)
    return found


def _no_cost(flows: Flows) -> LedgerError:
    return LedgerError(
        f"flows: {flows.paid} is paid for {flows.advanced} advanced, so there is no cost; add what is missing"
    )


def lawful(schedule: Sequence[Instalment], cuts: Sequence[Line]) -> tuple[Instalment, ...]:
    """The schedule with what is removed taken off the interest, then off the fee, of each instalment."""
    made = []
    for line, cut in zip(schedule, cuts, strict=True):
        of_interest = min(line.interest, cut.excess)
        made.append(replace(line, interest=line.interest - of_interest, fee=line.fee - (cut.excess - of_interest)))
    return tuple(made)
