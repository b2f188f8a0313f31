"""What of the law of a place begins, ends or changes a figure between two days. Pure."""

from dataclasses import dataclass
from datetime import date

from forbear.rulebook.book import Rulebook
from forbear.rulebook.models import Rule, at


@dataclass(frozen=True, slots=True)
class Change:
    """One rule that begins, ends, or changes a figure, and the day."""

    rule: Rule
    day: date
    what: str  # begins | ends | changes


def changes(book: Rulebook, jurisdiction: str, first: date, last: date) -> tuple[Change, ...]:
    """What begins, ends or changes a figure in a place after `first`, up to and including `last`."""
    found = []
    for rule in book.rules:
        if rule.instrument.jurisdiction not in (jurisdiction, "*"):
            continue
        for day in sorted(rule.changes() | _published(book, rule)):
            if first < day <= last and (rule.since == day or rule.until == day or rule.in_force(day)):
                what = "begins" if day == rule.since else "ends" if day == rule.until else "changes"
                found.append(Change(rule, day, what))
    return tuple(sorted(found, key=lambda change: (change.day, change.rule.id)))


def _published(book: Rulebook, rule: Rule) -> set[date]:
    """The days on which the series that a cap of the rule follows has another value."""
    days: set[date] = set()
    for dated in rule.cap:
        series = book.series.get(dated.value.series or "")
        for entry in series.values if series else ():
            cap = at(rule.cap, entry.since)
            if cap is not None and cap.series == dated.value.series:
                days.add(entry.since)
    return days
