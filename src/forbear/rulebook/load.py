"""The rulebook as a whole: its files, its rules of every place and day, and the name of exactly this content."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path

from forbear.rulebook.calendar import Calendar
from forbear.rulebook.errors import PackError
from forbear.rulebook.models import Rule, Series, Vocabulary
from forbear.rulebook.read import Source, read_files

_HERE = Path(__file__).parent
VOCABULARY = _HERE / "vocabulary.toml"
PACKS = _HERE / "packs"


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
        """The places of whose law on contacts something is on file that is in force on `day`."""
        return frozenset(
            rule.instrument.jurisdiction
            for rule in self.rules
            if rule.instrument.kind == "law" and rule.steps and rule.in_force(day)
        )

    def in_force(self, jurisdiction: str, day: date) -> tuple[Rule, ...]:
        """The rules that bind in a place on `day`: its law, and the policies of every place."""
        return tuple(r for r in self.rules if r.instrument.jurisdiction in (jurisdiction, "*") and r.in_force(day))

    @functools.cached_property
    def by_id(self) -> Mapping[str, Rule]:
        """The rules by their ids."""
        return {rule.id: rule for rule in self.rules}


@functools.cache
def load(*extra: Path) -> Rulebook:
    """The shipped packs and any `extra` files or folders of the lender's own (its policy, newer series).

    Raises PackError naming the file, the rule and the remedy.
    """
    return read(sources(*extra))


def sources(*extra: Path) -> tuple[Source, ...]:
    """The files of the rulebook: the vocabulary, the shipped packs, the lender's packs and calendars."""
    found = [Source(VOCABULARY.name, VOCABULARY.read_bytes()), *_folder(PACKS)]
    for path in extra:
        found += _folder(path) if path.is_dir() else [Source(path.name, path.read_bytes())]
    return tuple(found)


def _folder(root: Path) -> list[Source]:
    packs = sorted(root.rglob("*.toml")) + sorted((root / "calendars").rglob("*.json"))
    return [Source(path.relative_to(root).as_posix(), path.read_bytes()) for path in packs]


def read(files: Iterable[Source]) -> Rulebook:
    """The rulebook of these files, in this order. Raises PackError for the first fault."""
    book, faults = read_all(files)
    if book is None or faults:
        more = f" ({len(faults) - 1} more: forbear law lint)" if len(faults) > 1 else ""
        raise PackError(faults[0] + more)
    return book


def read_all(files: Iterable[Source]) -> tuple[Rulebook | None, list[str]]:
    """The rulebook of what can be read, and every fault; None where the vocabulary itself can't be read."""
    files = tuple(files)
    digest = sha256(files[0].content)
    for source in files[1:]:
        digest.update(source.name.encode() + b"\0" + source.content)
    found = read_files(files)
    if found.vocabulary is None:
        return None, found.faults
    rules = tuple(sorted(found.rules.values(), key=lambda rule: rule.id))
    book = Rulebook(found.vocabulary, rules, found.series, found.calendars, files, digest.hexdigest())
    return book, found.faults
