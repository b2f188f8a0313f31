"""The immutable values of the rulebook: facts, steps, instruments, rules, and one vocabulary for all."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Generic, Literal, TypeVar

from forbear.rulebook.language import Node

#: Languages of every text, by IETF tag; one more is one more key beside each text.
LANGUAGES = ("zh-Hans", "zh-Hant", "en")

T = TypeVar("T")
Text = Mapping[str, str]
FactType = Literal["bool", "int", "money", "enum"]
#: One value of a fact: whole numbers for counts, days, ppm and minor units. None is "unknown".
FactValue = bool | int | str | None
Facts = Mapping[str, FactValue]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a rule may ask of an account on a day."""

    id: str
    type: FactType
    name: Text
    known: bool = False  # can the record not lack it?
    unit: str | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a lender may do about an account; `bit` is its place in `no_hours`."""

    id: str
    bit: int
    contact: bool
    name: Text
    channel: str | None = None


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
    """A ceiling on the all-in yearly cost: a figure in ppm, or a multiple of a published series."""

    ppm: int | None = None
    times: int | None = None
    series: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """Facts and what the rule says of them: forbids, permits or unknown. The test suite runs each."""

    facts: Facts
    says: Literal["forbids", "permits", "unknown"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one instrument, in force from `since` up to, not including, `until`.

    Exactly one of `forbid`, `hours`, `cap` is set. `scope` narrows whom it binds; `unless` is the
    exception to the default. For `hours`, the exception puts the hours agreed with the borrower
    in the place of the rule's own.
    """

    id: str
    instrument: Instrument
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
    lenders: tuple[str, ...] = ()
    values: Mapping[str, tuple[Dated[int], ...]] = None  # type: ignore[assignment]
    examples: tuple[Example, ...] = ()
    note: Text | None = None

    def in_force(self, day: date) -> bool:
        """Does the rule bind on `day`?"""
        return self.since <= day and (self.until is None or day < self.until)


def at(dated: tuple[Dated[T], ...], day: date) -> T | None:
    """The value in force on `day`: the newest that began by then, or None before the first."""
    found: T | None = None
    for entry in dated:
        if entry.since <= day:
            found = entry.value
    return found
