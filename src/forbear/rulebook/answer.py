"""The answer to one contact at one instant: the verdict, every rule that spoke, the lawful hours of the day."""

from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from forbear.rulebook.hours import LocalDay, instant
from forbear.rulebook.models import Facts, FactValue, Hours, Rule

if TYPE_CHECKING:
    from forbear.rulebook.compile import Compiled

Verdict = Literal["permitted", "forbidden", "needs_human"]
#: forbids: it stands against the contact, by its condition or by its hours. unknown: a fact is missing.
#: no_hours: it, with others, leaves no lawful minute that day. hours: it sets hours, and they are kept.
Says = Literal["forbids", "unknown", "no_hours", "hours", "permits"]


class Spoken(NamedTuple):
    """What one rule that governs the step says, and the facts that it read."""

    rule: Rule
    says: Says
    record: Facts

    @property
    def facts(self) -> dict[str, FactValue]:
        """The facts that the rule reads, with the values that it was given; None is unknown."""
        return {name: self.record.get(name) for name in self.rule.facts_read()}


class Answer(NamedTuple):
    """The rules' answer; forbidden beats needs_human, and an unknown fact never permits.

    `forbids`, `unknown` and `bound` (whose hours bind) are bits of `compiled.rules`; `opens` and `closes` bound the
    lawful minutes of the local day, `minute` is the contact's minute of the UTC day.
    """

    verdict: Verdict
    compiled: "Compiled"
    step: str
    record: Facts
    agreed: Hours | None
    forbids: int
    unknown: int
    bound: int
    opens: int
    closes: int
    local: LocalDay | None
    minute: int

    @property
    def window(self) -> tuple[datetime, datetime] | None:
        """The first lawful instant of the local day, and the instant at which the last ends; None without a place.

        No minute is lawful where the second is not after the first.
        """
        if self.local is None:
            return None
        day = self.compiled.day
        return instant(day, self.opens + self.local.first), instant(day, self.closes + self.local.last)

    @property
    def spoke(self) -> tuple[Spoken, ...]:
        """Every rule in force that governs the step: those against it, those that can't tell, the others."""
        rules, record = self.compiled.rules, self.record
        against: list[Spoken] = []
        kept: list[Spoken] = []
        for bit in _bits(self.bound & ~self.unknown):
            says = self._of_hours(rules[bit])
            (kept if says == "hours" else against).append(Spoken(rules[bit], says, record))
        silent = self.compiled.step_masks[self.step] & ~(self.forbids | self.unknown | self.bound)
        return (
            *[Spoken(rules[bit], "forbids", record) for bit in _bits(self.forbids)],
            *against,
            *[Spoken(rules[bit], "unknown", record) for bit in _bits(self.unknown)],
            *kept,
            *[Spoken(rules[bit], "permits", record) for bit in _bits(silent)],
        )

    def _of_hours(self, rule: Rule) -> Says:
        """Does the contact keep the hours of one rule that binds?"""
        local = self.local
        assert local is not None  # without a place, hours are unknown
        if self.opens + local.first >= self.closes + local.last:
            return "no_hours"
        own = self.compiled.own_hours(rule, self.record, self.agreed)
        return "hours" if own.opens + local.first <= self.minute < own.closes + local.last else "forbids"


def _bits(mask: int) -> list[int]:
    """The places of the bits that are set, lowest first."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
