"""The ceiling on a loan's all-in yearly cost: which rule sets it, and at how much, for one loan."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from forbear.locale import N_
from forbear.rulebook.book import Rulebook
from forbear.rulebook.errors import CalendarUnknown
from forbear.rulebook.models import Cap, Rule, Series, at


@dataclass(frozen=True, slots=True)
class CapFound:
    """The lowest ceiling that binds a loan. `ppm` is None where it isn't known: its figure, or which rule binds."""

    rule: Rule | None
    ppm: int | None
    why_unknown: str | None = None


def find_cap(book: Rulebook, jurisdiction: str, lender_type: str, opened_on: date) -> CapFound | None:
    """The ceiling for a loan opened on that day by that type of lender; None where no rule on file sets one.

    The rule in force on the day of the contract binds, as each instrument on file says of new loans.
    Where one of several ceilings can't be known, the answer is unknown: it might be the lowest. So it is for a type
    of lender that no ceiling of the place ever names.
    """
    caps = _caps(book, jurisdiction)
    if caps and not any(not rule.lenders or lender_type in rule.lenders for rule in caps):
        return CapFound(None, None, f"no ceiling on file names the lender type {lender_type!r}: a person decides")
    found: CapFound | None = None
    for here in binding(book, jurisdiction, lender_type, opened_on):
        if here.ppm is None:
            return here
        if found is None or (found.ppm or 0) > here.ppm:
            found = here
    return found


def lowest_known(book: Rulebook, jurisdiction: str, lender_type: str, opened_on: date) -> CapFound | None:
    """The lowest ceiling whose figure is on file: above it nothing is demanded, whatever else may bind."""
    known = [cap for cap in binding(book, jurisdiction, lender_type, opened_on) if cap.ppm is not None]
    return min(known, key=lambda cap: cap.ppm or 0, default=None)


def binding(book: Rulebook, jurisdiction: str, lender_type: str, opened_on: date) -> Iterator[CapFound]:
    """Every ceiling that binds such a loan, by the rules' ids; `ppm` None where its figure is not on file."""
    for rule in _caps(book, jurisdiction):
        if not rule.in_force(opened_on):
            continue
        if rule.lenders and lender_type not in rule.lenders:
            continue
        cap = at(rule.cap, opened_on)
        if cap is None:
            continue
        try:
            yield CapFound(rule, ceiling(book, cap, opened_on))
        except CalendarUnknown as error:
            yield CapFound(rule, None, str(error))


@functools.lru_cache(maxsize=512)
def _caps(book: Rulebook, jurisdiction: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in book.rules if rule.cap and rule.instrument.jurisdiction == jurisdiction)


def ceiling(book: Rulebook, cap: Cap, day: date) -> int:
    """The figure of a cap on `day`, in ppm a year. Raises CalendarUnknown where its series is not on file."""
    if cap.ppm is not None:
        return cap.ppm
    assert cap.series is not None and cap.times is not None
    return cap.times * published(book.series[cap.series], day)


def published(series: Series, day: date) -> int:
    """The figure of a series that holds on `day`, in ppm. Raises CalendarUnknown outside what is on file."""
    value = at(series.values, day)
    if value is None or day > series.known_through:
        raise CalendarUnknown(
            N_(
                "%(series)s: no published value is on file for %(day)s; it ends with %(end)s. Add the published value"
                " in a file under FORBEAR_HOME/packs."
            ),
            series=series.id,
            day=day,
            end=series.known_through,
        )
    return value
