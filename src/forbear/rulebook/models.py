"""The immutable values of the rulebook: facts, steps, instruments, rules, and one vocabulary for all."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, Literal, TypeVar

from forbear.rulebook.language import Node, facts_read

#: Languages of every text, by IETF tag; one more is one more key beside each text.
LANGUAGES = ("zh-Hans", "zh-Hant", "en")

T = TypeVar("T")
Text = Mapping[str, str]
FactType = Literal["bool", "int", "money", "enum"]
#: One value of a fact: whole numbers for counts, days, ppm and minor units. None is "unknown".
FactValue = bool | int | str | None
Facts = Mapping[str, FactValue]


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the rulebook."""

    name: str
    content: bytes


Governs = Literal["contact", "content", "person", "visit", "cost", "record", "deadline"]
#: Who asks: the night, of an account; the gate, of one contact at the moment at which it is made.
Asked = Literal["night", "gate"]
#: Of a fact also: of the record, read by rules of the gate alone.
FactAsked = Asked | Literal["record"]
BindsBy = Literal["contract", "accrual"]


@dataclass(frozen=True, slots=True)
class Moves:
    """How a fact changes when days pass and nothing happens.

    up: grows by a day a day (what never happened stays so); down: shrinks to 0; resets: is 0 once `days`
    have passed; after: as up, but a 0 grows only when the days of the fact `fact` are over; unknown: can't be told.
    """

    how: Literal["up", "down", "resets", "after", "unknown"]
    days: int = 0
    fact: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a rule may ask of an account on a day, or (`asked` is gate) of the contact itself."""

    id: str
    type: FactType
    name: Text
    known: bool = False  # can the record not lack it?
    unit: str | None = None
    values: tuple[str, ...] = ()
    asked: FactAsked = "night"
    #: What the night takes a fact of the contact for: it plans contacts with the debtor.
    night: FactValue = None
    #: What the gate takes it for where the asker does not say.
    otherwise: FactValue = None
    moves: Moves | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a lender may do about an account; `bit` is its place in `no_hours`.

    The night chooses among the steps that it is asked about; the gate knows all.
    """

    id: str
    bit: int
    contact: bool
    name: Text
    channel: str | None = None
    asked: Asked = "night"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The facts and steps that rules may name."""

    facts: Mapping[str, Fact]
    steps: Mapping[str, Step]
    never: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """A law, standard, notice, or a lender's policy: what a rule cites."""

    id: str
    jurisdiction: str  # "*": every place
    kind: Literal["law", "policy"]
    title: Text
    citation: str
    file: str
    since: date | None = None
    until: date | None = None
    #: (type of lender, who collects): whose collecting it was written to rule; none, where it rules it by the way.
    written_for: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Dated(Generic[T]):
    """A value from a day on, until the next one."""

    since: date
    value: T


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of the local day, in minutes after midnight: from `opens` up to, not including, `closes`."""

    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Cap:
    """A ceiling on the all-in yearly cost: a figure in ppm, or a multiple of a published series.

    respite_days: it binds during a statutory respite alone, and where the record does not tell when that began, for so
    many days through its last.
    """

    ppm: int | None = None
    times: int | None = None
    series: str | None = None
    respite_days: int | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A published figure by the day from which it holds, and the last day for which it is on file."""

    id: str
    title: Text
    source: str
    values: tuple[Dated[int], ...]  # ppm
    known_through: date


@dataclass(frozen=True, slots=True)
class Keep:
    """How long a record is kept: whole months after an event."""

    months: int
    after: str


@dataclass(frozen=True, slots=True)
class Within:
    """By when something is done: days after an event, of the calendar or working days."""

    days: int
    after: str
    do: str
    workdays: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A named figure by date; types of lender may have their own, which then goes before the general one."""

    general: tuple[Dated[int], ...]
    by_lender: Mapping[str, tuple[Dated[int], ...]]
    stricter: Literal["lower", "higher"] | None = None

    def on(self, day: date, lender: str | None = None) -> int | None:
        """The figure in force on `day` for a type of lender (None: the general one)."""
        own = at(self.by_lender[lender], day) if lender is not None and lender in self.by_lender else None
        return at(self.general, day) if own is None else own


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example that the tests run; which fields are set depends on what the rule sets.

    forbid: `facts`, `says`. hours: `minute` of the local day (and facts), `says`. cap: `facts`, `on`, `ppm`.
    keep, within: the event's day `after`, the last day `until`. Values are those of the day `on`.
    """

    facts: Facts
    says: Literal["forbids", "permits", "unknown"] | None = None
    on: date | None = None
    minute: int | None = None
    ppm: int | None = None
    after: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Define:
    """A named condition of a pack."""

    id: str
    condition: str
    node: Node
    text: Text


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule of one instrument, in force from `since` up to, not including, `until`.

    Exactly one of `forbid`, `hours`, `cap`, `keep`, `within` is set. `scope` narrows whom it binds; `unless`
    is the exception to the default. For `hours`, the exception puts the hours agreed with the borrower in
    the place of the rule's own; without it they can only narrow them. `conditions` holds the texts of when, forbid and
    unless as the pack has them.
    """

    id: str
    instrument: Instrument
    governs: Governs
    article: str
    text: Text
    steps: frozenset[str]
    since: date
    until: date | None
    verified: bool
    source: str
    scope: Node | None = None
    forbid: Node | None = None
    unless: Node | None = None
    hours: tuple[Dated[Hours], ...] = ()
    cap: tuple[Dated[Cap], ...] = ()
    keep: tuple[Dated[Keep], ...] = ()
    within: tuple[Dated[Within], ...] = ()
    lenders: tuple[str, ...] = ()
    #: Of a cap: the products that it binds (none named: all), and the day by which its figure is chosen: that of the
    #: contract, for the whole loan, or each day on which interest accrues, on older contracts too.
    products: tuple[str, ...] = ()
    binds_by: BindsBy = "contract"
    values: Mapping[str, Value] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    note: Text | None = None
    tightens: str | None = None
    conditions: Mapping[str, str] = field(default_factory=dict)
    defines: tuple[Define, ...] = ()
    #: gate: the night is not asked, though it knows what the rule reads.
    asked: Asked = "night"

    def in_force(self, day: date) -> bool:
        """Does the rule bind on `day`?"""
        return self.since <= day and (self.until is None or day < self.until)

    @functools.lru_cache(maxsize=8192)  # noqa: B019  rules live as long as their rulebook
    def facts_read(self) -> frozenset[str]:
        """The facts that the rule reads, whichever way it speaks."""
        read = facts_read(self.scope) | facts_read(self.forbid) | facts_read(self.unless)
        by_lender = bool(self.lenders) or any(value.by_lender for value in self.values.values())
        return read | {"lender_type"} if by_lender else read

    @functools.lru_cache(maxsize=8192)  # noqa: B019
    def changes(self) -> frozenset[date]:
        """The days on which the rule begins, ends, or changes a figure."""
        dated: list[Dated[Any]] = [*self.hours, *self.cap, *self.keep, *self.within]
        for value in self.values.values():
            dated += [*value.general, *(entry for own in value.by_lender.values() for entry in own)]
        return frozenset({self.since, *(e.since for e in dated)} | ({self.until} if self.until else set()))


def at(dated: tuple[Dated[T], ...], day: date) -> T | None:
    """The value in force on `day`: the newest that began by then, or None before the first."""
    found: T | None = None
    for entry in dated:
        if entry.since <= day:
            found = entry.value
    return found
