"""The rulebook as a value: its rules of every place and day, and the name of exactly this content."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from forbear.calendars import Calendar
from forbear.rulebook.models import Rule, Series, Source, Vocabulary


def _shipped(rule: Rule) -> bool:
    """Is the rule of a shipped pack: `<place>/<instrument>.toml`? A lender's own has no such name (load.py)."""
    folder, *rest = rule.instrument.file.split("/")
    return folder == rule.instrument.jurisdiction and len(rest) == 1


@dataclass(frozen=True, eq=False)
class Rulebook:
    """Every rule on file, of every place and day; `sha256` names exactly this content.

    `sources` are the files that it was read from, the vocabulary first: `read(sources)` gives it again.
    """

    vocabulary: Vocabulary
    rules: tuple[Rule, ...]
    series: Mapping[str, Series]
    calendars: Mapping[tuple[str, int], Calendar]
    sources: tuple[Source, ...]
    sha256: str

    def lawful_places(self, day: date) -> frozenset[str]:
        """The places of whose law on contacts something is on file that is in force on `day`.

        Of the shipped packs alone: a lender's own file may add rules, but can't make a place one to contact in.
        """
        return frozenset(
            rule.instrument.jurisdiction
            for rule in self.rules
            if rule.instrument.kind == "law" and rule.steps and rule.in_force(day) and _shipped(rule)
        )

    def law_for(self, day: date) -> Mapping[str, frozenset[tuple[str, str]]]:
        """The lawful places of `day`, each with the (type of lender, who collects) for whom its law was written.

        For others the law of the place is silent, not permissive: what they may do is not known.
        """
        found = {place: frozenset[tuple[str, str]]() for place in self.lawful_places(day)}
        for rule in self.rules:
            if rule.instrument.jurisdiction in found and rule.in_force(day) and _shipped(rule):
                found[rule.instrument.jurisdiction] |= rule.instrument.written_for
        return found

    def places_of(self, fact: str, day: date) -> frozenset[str]:
        """The places whose law in force on `day`, not merely a policy, reads a fact."""
        return frozenset(
            rule.instrument.jurisdiction
            for rule in self.rules
            if rule.instrument.kind == "law" and rule.in_force(day) and fact in rule.facts_read()
        )

    def in_force(self, jurisdiction: str, day: date) -> tuple[Rule, ...]:
        """The rules that bind in a place on `day`: its law, and the policies of every place."""
        return tuple(r for r in self.rules if r.instrument.jurisdiction in (jurisdiction, "*") and r.in_force(day))

    @functools.cached_property
    def by_id(self) -> Mapping[str, Rule]:
        """The rules by their ids."""
        return {rule.id: rule for rule in self.rules}
