"""Checks one loan: its cost by each method, the ceilings on the day of its contract, what is above each."""

from dataclasses import dataclass
from datetime import date

from forbear.check.ceilings import Ceiling, ceilings
from forbear.check.read import Loan
from forbear.ledger.cost import Method, Rate, cost
from forbear.ledger.excess import Capped, Part, by_stretches, capped, parts
from forbear.rulebook.load import Rulebook

#: The order in which costs are shown; the ceilings are measured by the first.
METHODS = (Method.IRR_SIMPLE, Method.IRR_COMPOUND, Method.APPENDIX_J, Method.APRC, Method.EFFECTIVE)


@dataclass(frozen=True, slots=True)
class Held:
    """A ceiling and the loan held to it; `capped` is None where nothing is above, or the ceiling does not bind."""

    ceiling: Ceiling
    capped: Capped | None


@dataclass(frozen=True, slots=True)
class Report:
    """All that a check finds."""

    loan: Loan
    asked_on: date
    rates: tuple[Rate, ...]
    held: tuple[Held, ...]
    method: Method

    @property
    def over(self) -> tuple[Held, ...]:
        """The ceilings that the loan passes."""
        return tuple(held for held in self.held if held.capped is not None)


def check(loan: Loan, book: Rulebook, asked_on: date, method: Method = METHODS[0]) -> Report:
    """Check a loan against the rules of its place; `method` measures it against the ceilings."""
    flows = loan.flows
    rates = tuple(rate for each in METHODS if (rate := cost(flows, each)) is not None)
    found = ceilings(book, loan.place, loan.lender_type, loan.opened_on, asked_on)
    lines = parts(flows, method)
    held = tuple(Held(ceiling, _held(loan, lines, ceiling, method)) for ceiling in found)
    return Report(loan, asked_on, rates, held, method)


def _held(loan: Loan, lines: tuple[Part, ...], ceiling: Ceiling, method: Method) -> Capped | None:
    if ceiling.binds is False or ceiling.ppm is None:
        return None
    advances, then = loan.flows.advances, ceiling.then
    if then is None or then.since >= lines[-1].due_on:
        return capped(advances, lines, ceiling.ppm, method)
    before = [(loan.opened_on, ceiling.ppm)] if then.since > loan.opened_on else []
    return by_stretches(advances, lines, [*before, (then.since, then.ppm)])
