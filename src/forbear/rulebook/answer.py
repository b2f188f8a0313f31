"""The answer to one contact at one instant: the verdict, every rule that spoke, the lawful hours of the day."""

import functools
import itertools
from collections.abc import Mapping
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
    """What one rule that governs the step says."""

    rule: Rule
    says: Says

    def read(self, record: Facts) -> dict[str, FactValue]:
        """The facts that the rule read of a record (`Answer.record`), by name; None is unknown."""
        return {name: record.get(name) for name in sorted(self.rule.facts_read())}


class Said:
    """What each rule that governs a step says, those against it first; shared by all answers that say the same."""

    def __init__(self, rules: tuple[Spoken, ...]) -> None:
        self.rules = rules

    @functools.cached_property
    def ids(self) -> Mapping[str, tuple[str, ...]]:
        """The ids of the rules, by what they say."""
        found: dict[str, list[str]] = {}
        for rule, says in self.rules:
            found.setdefault(says, []).append(rule.id)
        return {says: tuple(ids) for says, ids in found.items()}


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
        """Every rule in force that governs the step: those against it, those that can't tell, the others.

        The facts that one of them read are `Spoken.read(self.record)`.
        """
        return self.said.rules

    @property
    def facts(self) -> dict[str, FactValue]:
        """All facts that the rules which spoke read, in order, with the values that they were given."""
        given = self.record.get
        return {name: given(name) for name in _read(self.compiled, self.step)}

    @property
    def said(self) -> Said:
        """The same without the facts of this one case."""
        return _said(self.compiled, self.step, self.forbids, self.unknown, self.bound & ~self.unknown, self._hours())

    def _hours(self) -> tuple[Says, ...]:
        """What each rule says whose hours bind; empty where all are kept."""
        bound, local, minute = self.bound & ~self.unknown, self.local, self.minute
        if not bound:
            return ()
        assert local is not None  # without a place, hours are unknown
        opens, closes = self.opens + local.first, self.closes + local.last
        if opens <= minute < closes:
            return ()
        rules = [self.compiled.rules[bit] for bit in bits(bound)]
        if opens >= closes:
            return tuple("no_hours" for _ in rules)
        each = [self.compiled.own_hours(rule, self.record, self.agreed) for rule in rules]
        kept = (own.opens + local.first <= minute < own.closes + local.last for own in each)
        return tuple(["hours" if so else "forbids" for so in kept])


@functools.lru_cache(maxsize=4096)
def _said(compiled: "Compiled", step: str, forbids: int, unknown: int, bound: int, hours: tuple[Says, ...]) -> Said:
    forbid, against, lack, kept = [], [], [], []
    words, permits = _words(compiled, step)
    permit, of_hours = permits.copy(), iter(hours)
    # Most rules permit: only the others are gone through.
    for k in bits(forbids | unknown | bound):
        permit[k] = None
        bit, forbidding, lacking, keeping = words[k]
        if bit & forbids:
            forbid.append(forbidding)
        elif bit & unknown:
            lack.append(lacking)
        elif (says := next(of_hours, _KEPT)) == _KEPT:
            kept.append(keeping)
        else:
            against.append(Spoken(keeping.rule, says))
    return Said((*forbid, *against, *lack, *kept, *filter(None, permit)))


_KEPT: Says = "hours"


@functools.lru_cache(maxsize=1024)
def _words(compiled: "Compiled", step: str) -> tuple[list[tuple[int, Spoken, Spoken, Spoken]], list[Spoken | None]]:
    """What each rule may say against a contact, by its bit; and what it says where it permits the step."""
    words = [
        (1 << k, Spoken(rule, "forbids"), Spoken(rule, "unknown"), Spoken(rule, _KEPT))
        for k, rule in enumerate(compiled.rules)
    ]
    return words, [Spoken(rule, "permits") if step in rule.steps else None for rule in compiled.rules]


@functools.lru_cache(maxsize=1024)
def _read(compiled: "Compiled", step: str) -> tuple[str, ...]:
    return tuple(sorted(frozenset().union(*(rule.facts_read() for rule in compiled.rules if step in rule.steps))))


def bits(mask: int) -> list[int]:
    """The places of the bits that are set, lowest first; by the interpreter's own loops, as each answer asks twice."""
    return list(itertools.compress(itertools.count(), f"{mask:b}"[::-1].encode().translate(_DIGITS)))


#: The digit 0 as a byte that is false.
_DIGITS = bytes.maketrans(b"0", b"\0")
