"""Sums up one run from its tally: accounts by step and arrears, and what held the others back. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from forbear.rulebook.models import Vocabulary

#: What became of an account: contacted; on hardship hold; past due and left alone; nothing due, left alone.
Outcome = Literal["contact", "hold", "left_alone", "not_due"]
OUTCOMES: tuple[Outcome, ...] = ("contact", "hold", "left_alone", "not_due")
#: A reminder ends with the due date, so an account past due isn't held back from one.
_BEFORE_DUE = frozenset({"reminder"})

#: For each step that something stands against, what: (rule, forbids | unknown | no_hours).
Reasons = Mapping[str, tuple[tuple[str, str], ...]]


class Key(NamedTuple):
    """What the rules said of an account, as the run's bit sets."""

    jurisdiction: str
    forbids: int
    unknown: int
    no_hours: int


class Row(NamedTuple):
    """How many accounts of a book share a step, a bucket (its place in the report's BUCKETS) and findings."""

    book: int
    step: str
    bucket: int
    key: Key
    accounts: int


@dataclass(frozen=True, eq=False)
class Tally:
    """A run, counted: its rows, and the words behind their bit sets."""

    rows: tuple[Row, ...]
    findings: Mapping[Key, Reasons]

    def of_book(self, book: int | None) -> "Tally":
        """The part of one book; all of it for None."""
        return self if book is None else Tally(tuple(r for r in self.rows if r.book == book), self.findings)

    @property
    def books(self) -> frozenset[int]:
        """The books that the run decided."""
        return frozenset(row.book for row in self.rows)

    @property
    def jurisdictions(self) -> tuple[str, ...]:
        """The places whose accounts the run decided."""
        return tuple(sorted({row.key.jurisdiction for row in self.rows}))


@dataclass(frozen=True, slots=True)
class Held:
    """What one rule held back, of accounts past due, and from which steps (mildest first).

    harsher: accounts that got a step harsher than one from which the rule held them; nobody: accounts
    that got no contact, and that the rule held from at least one step.
    """

    rule: str
    says: str
    harsher: int
    nobody: int
    steps: tuple[str, ...]


def grid(tally: Tally) -> Mapping[tuple[str, int], int]:
    """Accounts by step and bucket."""
    counted: Counter[tuple[str, int]] = Counter()
    for row in tally.rows:
        counted[row.step, row.bucket] += row.accounts
    return counted


def outcomes(tally: Tally, vocabulary: Vocabulary, buckets: int) -> tuple[Mapping[Outcome, int], ...]:
    """For each of the buckets, accounts by what became of them."""
    parts = tuple(dict.fromkeys(OUTCOMES, 0) for _ in range(buckets))
    for row in tally.rows:
        parts[row.bucket][_outcome(row, vocabulary)] += row.accounts
    return parts


def _outcome(row: Row, vocabulary: Vocabulary) -> Outcome:
    step = vocabulary.steps.get(row.step)
    if step is not None and step.contact:
        return "contact"
    if row.step != "none":
        return "hold"
    return "left_alone" if row.bucket else "not_due"


def held_back(tally: Tally, vocabulary: Vocabulary) -> tuple[Held, ...]:
    """Which rules held accounts that are past due from a step milder than the one taken; most first.

    Where nobody is contacted, every step counts as milder. An account that several rules held counts
    once for each of them.
    """
    ladder = [s.id for s in vocabulary.steps.values() if s.contact and s.id not in _BEFORE_DUE]
    counts: dict[bool, Counter[tuple[str, str]]] = {True: Counter(), False: Counter()}
    steps: dict[tuple[str, str], set[str]] = {}
    for row in tally.rows:
        contacted = row.step in ladder
        if not row.bucket or not (contacted or row.step == "none"):
            continue
        said = tally.findings.get(row.key, {})
        held: set[tuple[str, str]] = set()
        for step in ladder[: ladder.index(row.step)] if contacted else ladder:
            for line in said.get(step, ()):
                held.add(line)
                steps.setdefault(line, set()).add(step)
        for line in held:
            counts[contacted][line] += row.accounts
    found = (
        Held(*line, counts[True][line], counts[False][line], tuple(sorted(of, key=ladder.index)))
        for line, of in steps.items()
    )
    return tuple(sorted(found, key=lambda h: (-h.harsher - h.nobody, ladder.index(h.steps[0]), h.rule, h.says)))


def matching(
    tally: Tally, steps: Collection[str], book: int | None, jurisdiction: str | None, bucket: int | None
) -> int:
    """How many accounts of the tally took one of the steps, within a book, a place and a bucket."""
    return sum(
        row.accounts
        for row in tally.rows
        if row.step in steps
        and book in (None, row.book)
        and jurisdiction in (None, row.key.jurisdiction)
        and bucket in (None, row.bucket)
    )
