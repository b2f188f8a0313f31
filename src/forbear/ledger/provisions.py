"""What to cite on a day: the provision in force for a concept, where an older one was replaced or a wrong one cited;
and which instruments a text names that are no longer in force."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from forbear.ledger.models import LedgerError

_FILE = Path(__file__).parent / "data" / "provisions.toml"
#: Texts by language tag, as in the rulebook.
Text = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Provision:
    """Articles of one instrument that hold a concept, in force from `since` up to, not including, `until`."""

    concept: str
    name: Text
    instrument: str
    title: Text
    articles: tuple[str, ...]
    since: date
    until: date | None
    verified: bool

    def in_force(self, day: date) -> bool:
        """Does it bind on `day`?"""
        return self.since <= day and (self.until is None or day < self.until)


@dataclass(frozen=True, slots=True)
class _Concept:
    versions: tuple[Provision, ...]
    mistaken: frozenset[tuple[str, str]]

    def holds(self, instrument: str, article: str) -> bool:
        return any(v.instrument == instrument and article in v.articles for v in self.versions)


def provision(concept: str, day: date) -> Provision:
    """What holds a concept on `day`. Raises LedgerError for no such concept, or where nothing was in force."""
    if concept not in _table():
        raise LedgerError(f"concept {concept!r}: is not on file; add it to {_FILE.name}")
    return _at(_table()[concept], concept, day)


def cited(instrument: str, article: str, day: date) -> tuple[Provision, ...]:
    """What to cite on `day` in the place of an article, one provision for each concept that it held.

    An article in force is its own answer; a replaced one gives what stands in its place; one that is not in force
    yet gives what stood there before. Raises LedgerError where the article is not on file, or nothing was in force.
    """
    found = {name: concept for name, concept in _table().items() if concept.holds(instrument, article)}
    if not found:
        raise LedgerError(f"{instrument} art. {article}: is not on file; add its concept to {_FILE.name}")
    answers = {name: next((v for v in concept.versions if v.in_force(day)), None) for name, concept in found.items()}
    held = tuple(answer for answer in answers.values() if answer is not None)
    if not held:
        raise LedgerError(f"{instrument} art. {article}: nothing that it stands for was in force on {day}")
    return held


def mistaken(concept: str, instrument: str, article: str) -> bool:
    """Is the article one that is cited for the concept, yet says something else?"""
    return (instrument, article) in _table()[concept].mistaken


def repealed(text: str, day: date) -> tuple[str, ...]:
    """The instruments that a text names, by number or title in any language, and that are not in force on a day."""
    found = []
    for entry in _data()["instrument"]:
        if "until" not in entry or day < entry["until"]:
            continue
        left = text
        for other in entry.get("beside", ()):
            left = left.replace(other, "")
        if any(name in left for name in (entry["id"], *entry["title"].values())):
            found.append(entry["id"])
    return tuple(found)


def _at(concept: _Concept, name: str, day: date) -> Provision:
    for version in concept.versions:
        if version.in_force(day):
            return version
    raise LedgerError(f"concept {name!r}: nothing was in force on {day}")


@functools.cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text("utf-8"))


@functools.cache
def _table() -> Mapping[str, _Concept]:
    data = _data()
    titles = {entry["id"]: entry["title"] for entry in data["instrument"]}
    return {entry["id"]: _concept(entry, titles) for entry in data["concept"]}


def _concept(entry: Mapping[str, Any], titles: Mapping[str, Text]) -> _Concept:
    versions = entry["versions"]
    ends = [version.get("to") or after["from"] for version, after in pairwise(versions)]
    ends.append(versions[-1].get("to"))
    return _Concept(
        tuple(
            Provision(
                entry["id"],
                entry["name"],
                version["instrument"],
                titles[version["instrument"]],
                tuple(version["articles"]),
                version["from"],
                end,
                version.get("verified", False),
            )
            for version, end in zip(versions, ends, strict=True)
        ),
        frozenset((each["instrument"], each["article"]) for each in entry.get("not", ())),
    )
