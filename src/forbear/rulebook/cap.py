"""The ceiling on a loan's all-in yearly cost: which rule sets it, how high, since when; and what a respite stops."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from forbear.errors import CalendarUnknown
from forbear.locale import N_
from forbear.rulebook.book import Rulebook
from forbear.rulebook.models import Cap, Rule, Series, at

#: A ceiling in ppm a year from each day on, in order; None: from then on none whose figure is known.
Steps = tuple[tuple[date, int | None], ...]


@dataclass(frozen=True, slots=True)
class CapFound:
    """The lowest ceiling that binds a loan. `ppm` is None where its figure isn't known.

    exists: None where no rule on file covers the lender's type on that day, so that which ceiling binds, if any, is a
    lawyer's to say; `ppm` is then the lowest that is known of the place at the time: a loan that costs no more passes
    none of them.
    """

    rule: Rule | None
    ppm: int | None
    why_unknown: str | None = None
    exists: bool | None = True


def find_cap(
    book: Rulebook,
    jurisdiction: str,
    lender_type: str,
    opened_on: date,
    product: str = "instalment",
    on: date | None = None,
) -> CapFound | None:
    """The ceiling for a loan opened on that day by that type of lender; None where no rule of the place sets one.

    The rule in force on the day of the contract binds, as most instruments on file say of new loans; one that binds by
    accrual has the figure of the day `on` (left out: of the contract). Where one of several ceilings can't be known,
    the answer is unknown: it might be the lowest. So it is for a type of lender that no ceiling of the place ever
    names.
    """
    caps = _caps(book, jurisdiction)
    if caps and not any(_names(rule, lender_type, product) for rule in caps):
        return CapFound(None, None, f"no ceiling on file names the lender type {lender_type!r}: a person decides")
    found: CapFound | None = None
    for here in binding(book, jurisdiction, lender_type, opened_on, product, on):
        if here.ppm is None:
            return here
        if found is None or (found.ppm or 0) > here.ppm:
            found = here
    if found is None and caps:
        why = f"no ceiling on file covers a {lender_type!r} on {opened_on}: which one binds, a lawyer must say"
        return CapFound(None, _lowest_of_the_time(book, caps, opened_on), why, exists=None)
    return found


def lowest_known(
    book: Rulebook, jurisdiction: str, lender_type: str, opened_on: date, product: str = "instalment"
) -> Steps:
    """The lowest ceilings whose figures are on file, from the contract's day on; empty where there is none.

    Above them nothing is demanded, whatever else may bind. Several where a rule that binds by accrual changes later.
    """
    by_accrual = [rule for rule in _caps(book, jurisdiction) if rule.binds_by == "accrual"]
    later = {day for rule in by_accrual for day in rule.changes() if day > opened_on}
    steps: list[tuple[date, int | None]] = []
    for day in (opened_on, *sorted(later)):
        caps = binding(book, jurisdiction, lender_type, opened_on, product, day)
        ppm = min((cap.ppm for cap in caps if cap.ppm is not None), default=None)
        if ppm != (steps[-1][1] if steps else None):
            steps.append((day, ppm))
    return tuple(steps)


def binding(
    book: Rulebook,
    jurisdiction: str,
    lender_type: str,
    opened_on: date,
    product: str = "instalment",
    on: date | None = None,
) -> Iterator[CapFound]:
    """Every ceiling that binds such a loan on the day `on`, by the rules' ids; `ppm` None where it is not on file."""
    for rule in _caps(book, jurisdiction):
        day = on if on is not None and rule.binds_by == "accrual" else opened_on
        cap = at(rule.cap, day)
        if cap is None or not rule.in_force(day) or not _names(rule, lender_type, product):
            continue
        try:
            yield CapFound(rule, ceiling(book, cap, day))
        except CalendarUnknown as error:
            yield CapFound(rule, None, str(error))


def knows_respite(book: Rulebook, jurisdiction: str) -> bool:
    """Has a place, on any day, a rule by which nothing accrues during a statutory respite?"""
    return any(dated.value.respite_days is not None for rule in _with_cap(book, jurisdiction) for dated in rule.cap)


def respite_rule(book: Rulebook, jurisdiction: str, day: date) -> Rule | None:
    """The rule of a place by which nothing accrues during a statutory respite that lasts on `day`; None: none."""
    for rule in _with_cap(book, jurisdiction):
        cap = at(rule.cap, day)
        if cap is not None and cap.respite_days is not None and rule.in_force(day):
            return rule
    return None


def _names(rule: Rule, lender_type: str, product: str) -> bool:
    return (not rule.lenders or lender_type in rule.lenders) and (not rule.products or product in rule.products)


def _lowest_of_the_time(book: Rulebook, caps: tuple[Rule, ...], day: date) -> int | None:
    """The lowest figure among a place's ceilings on a day, whomever they bind; before them, when the first came."""
    begins = (dated.since for rule in caps for dated in rule.cap)
    for then in (day, *sorted(since for since in begins if since > day)):
        figures = []
        for rule in caps:
            if rule.in_force(then) and (cap := at(rule.cap, then)) is not None:
                with contextlib.suppress(CalendarUnknown):
                    figures.append(ceiling(book, cap, then))
        if figures:
            return min(figures)
    return None


@functools.lru_cache(maxsize=512)
def _with_cap(book: Rulebook, jurisdiction: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in book.rules if rule.cap and rule.instrument.jurisdiction == jurisdiction)


@functools.lru_cache(maxsize=512)
def _caps(book: Rulebook, jurisdiction: str) -> tuple[Rule, ...]:
    """The ceilings of a place that bind whether or not a respite is open."""
    return tuple(
        rule for rule in _with_cap(book, jurisdiction) if all(dated.value.respite_days is None for dated in rule.cap)
    )


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
