"""Reads the vocabulary and the packs: TOML in, checked immutable values out. One file, one instrument."""

import functools
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from forbear.rulebook.errors import PackError
from forbear.rulebook.language import ConditionError, Names, Node, parse
from forbear.rulebook.models import (
    LANGUAGES,
    Cap,
    Dated,
    Example,
    Fact,
    Hours,
    Instrument,
    Rule,
    Step,
    Text,
    Vocabulary,
)

T = TypeVar("T")
_HERE = Path(__file__).parent
PACKS = _HERE / "packs"

_RULE_KEYS = frozenset(
    ("id", "article", "text", "steps", "from", "to", "verified", "source", "note", "examples", "values")
) | {"when", "forbid", "unless", "hours", "cap", "lenders"}


@dataclass(frozen=True, slots=True)
class Series:
    """A published figure by the day from which it holds, and the last day for which it is on file."""

    id: str
    title: Text
    source: str
    values: tuple[Dated[int], ...]  # ppm
    known_through: date


@dataclass(frozen=True, eq=False)
class Rulebook:
    """Every rule on file, of every place and day; `sha256` names exactly this content."""

    vocabulary: Vocabulary
    rules: tuple[Rule, ...]
    series: Mapping[str, Series]
    sha256: str

    def lawful_places(self, day: date) -> frozenset[str]:
        """The places of whose law on contacts something is on file that is in force on `day`."""
        return frozenset(
            rule.instrument.jurisdiction
            for rule in self.rules
            if rule.instrument.kind == "law" and rule.steps and rule.in_force(day)
        )

    @functools.cached_property
    def by_id(self) -> Mapping[str, Rule]:
        """The rules by their ids."""
        return {rule.id: rule for rule in self.rules}


@functools.cache
def load(*extra: Path) -> Rulebook:
    """The shipped packs and any `extra` files or folders of the lender's own (its policy, newer series).

    Raises PackError naming the file, the rule and the remedy.
    """
    vocabulary = read_vocabulary(_HERE / "vocabulary.toml")
    files = sorted(PACKS.rglob("*.toml"))
    for path in extra:
        files += sorted(path.rglob("*.toml")) if path.is_dir() else [path]
    return read_packs(vocabulary, files)


def read_vocabulary(path: Path) -> Vocabulary:
    """The facts and steps of a vocabulary file."""
    data = tomllib.loads(path.read_text("utf-8"))
    facts = {f["id"]: Fact(**{**f, "values": tuple(f.get("values", ()))}) for f in data["fact"]}
    steps = {s["id"]: Step(bit=k, **s) for k, s in enumerate(data["step"])}
    for name, text in [(f.id, f.name) for f in facts.values()] + [(s.id, s.name) for s in steps.values()]:
        _text(text, f"{path.name}: {name}: name")
    return Vocabulary(facts, steps, int(data["never"]))


def read_packs(vocabulary: Vocabulary, files: Iterable[Path]) -> Rulebook:
    """The rulebook of these files, in this order. Raises PackError."""
    rules: list[Rule] = []
    series: dict[str, Series] = {}
    digest = sha256((_HERE / "vocabulary.toml").read_bytes())
    for path in files:
        raw = path.read_bytes()
        digest.update(path.name.encode() + b"\0" + raw)
        try:
            data = tomllib.loads(raw.decode("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PackError(f"{path.name}: is not TOML in UTF-8 ({error}). Mend the file.") from None
        for entry in data.get("series", ()):
            read = _series(entry, path.name)
            series[read.id] = _extended(series.get(read.id), read, path.name)
        if "instrument" in data:
            rules += _rules(vocabulary, data, path.name)
    seen: dict[str, str] = {}
    for rule in rules:
        if rule.id in seen:
            raise PackError(f"{rule.instrument.file}: {rule.id}: the id stands in {seen[rule.id]} too. Rename one.")
        seen[rule.id] = rule.instrument.file
        for dated in rule.cap:
            if dated.value.series and dated.value.series not in series:
                raise PackError(f"{rule.instrument.file}: {rule.id}: no series {dated.value.series!r} is on file.")
    return Rulebook(vocabulary, tuple(sorted(rules, key=lambda r: r.id)), series, digest.hexdigest())


def _rules(vocabulary: Vocabulary, data: Mapping[str, Any], file: str) -> list[Rule]:
    head = data["instrument"]
    where = f"{file}: instrument"
    for key in ("id", "jurisdiction", "kind", "citation", "title"):
        if key not in head:
            raise PackError(f"{where}: {key} is missing. Add it.")
    if head["kind"] not in ("law", "policy"):
        raise PackError(f"{where}: kind is {head['kind']!r}. It is law or policy.")
    instrument = Instrument(
        head["id"],
        head["jurisdiction"],
        head["kind"],
        _text(head["title"], f"{where}: title"),
        head["citation"],
        file,
    )
    return [_rule(vocabulary, instrument, head, entry) for entry in data.get("rule", ())]


def _rule(vocabulary: Vocabulary, instrument: Instrument, head: Mapping[str, Any], entry: Mapping[str, Any]) -> Rule:
    where = f"{instrument.file}: {entry.get('id', 'a rule without id')}"
    if unknown := entry.keys() - _RULE_KEYS:
        raise PackError(f"{where}: has the key {sorted(unknown)[0]!r}. The keys are {', '.join(sorted(_RULE_KEYS))}.")
    for key in ("id", "article", "text", "verified", "source"):
        if entry.get(key) in (None, ""):
            raise PackError(f"{where}: {key} is missing. Every rule has its article, text, source and state.")
    if sum(key in entry for key in ("forbid", "hours", "cap")) != 1:
        raise PackError(f"{where}: needs exactly one of forbid, hours, cap.")
    steps = entry.get("steps", [])
    if "contact" in steps:
        steps = [step.id for step in vocabulary.steps.values() if step.contact]
    if unknown := set(steps) - vocabulary.steps.keys():
        raise PackError(f"{where}: names the step {sorted(unknown)[0]!r}, which vocabulary.toml does not have.")
    if ("cap" not in entry) != bool(steps):
        raise PackError(f"{where}: steps go with forbid and hours, and only with them.")
    since = entry.get("from", head.get("from"))
    until = entry.get("to", head.get("to"))
    if not isinstance(since, date):
        raise PackError(f"{where}: from is missing. Write the day from which it is in force.")
    if until is not None and until <= since:
        raise PackError(f"{where}: to ({until}) is not after from ({since}).")
    values = {
        name: _dated(dated, lambda e: int(e["is"]), f"{where}: values.{name}")
        for name, dated in entry.get("values", {}).items()
    }
    lenders = tuple(entry.get("lenders", ()))
    if wrong := set(lenders) - set(vocabulary.facts["lender_type"].values):
        raise PackError(f"{where}: names the lender type {sorted(wrong)[0]!r}, which vocabulary.toml does not have.")
    names = Names(
        {f.id: "int" if f.type == "money" else f.type for f in vocabulary.facts.values()},
        {f.id: f.values for f in vocabulary.facts.values()},
        frozenset(values),
    )

    def condition(key: str) -> Node | None:
        if key not in entry:
            return None
        try:
            return parse(entry[key], names)
        except ConditionError as error:
            raise PackError(f"{where}: {key} {error}. Mend the condition.") from None

    for example in entry.get("examples", ()):
        if wrong := example["facts"].keys() - vocabulary.facts.keys():
            raise PackError(f"{where}: an example names the fact {sorted(wrong)[0]!r}, which vocabulary.toml lacks.")
    return Rule(
        id=entry["id"],
        instrument=instrument,
        article=entry["article"],
        text=_text(entry["text"], f"{where}: text"),
        steps=frozenset(steps),
        since=since,
        until=until,
        verified=bool(entry["verified"]),
        source=entry["source"],
        scope=condition("when"),
        forbid=condition("forbid"),
        unless=condition("unless"),
        hours=_dated(entry.get("hours", ()), lambda e: _hours(e, where), f"{where}: hours"),
        cap=_dated(entry.get("cap", ()), _cap, f"{where}: cap"),
        lenders=lenders,
        values=values,
        examples=tuple(Example(e["facts"], e["says"]) for e in entry.get("examples", ())),
        note=_text(entry["note"], f"{where}: note") if "note" in entry else None,
    )


def _text(text: Mapping[str, str], where: str) -> Text:
    if missing := [language for language in LANGUAGES if not text.get(language)]:
        raise PackError(f"{where} has no text in {missing[0]}. Every text is given in {', '.join(LANGUAGES)}.")
    return dict(text)


def _dated(
    entries: Iterable[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], T], where: str
) -> tuple[Dated[T], ...]:
    dated = tuple(Dated(entry["from"], read(entry)) for entry in entries)
    days = [entry.since for entry in dated]
    if days != sorted(set(days)):
        raise PackError(f"{where}: the dates overlap or are out of order. List each day once, oldest first.")
    return dated


def _minutes(clock: str, where: str) -> int:
    hours, _, minutes = clock.partition(":")
    if not (hours.isdigit() and minutes.isdigit() and int(minutes) < 60 and int(hours) * 60 + int(minutes) <= 1440):
        raise PackError(f"{where}: {clock!r} is no time of day. Write HH:MM, 00:00 to 24:00.")
    return int(hours) * 60 + int(minutes)


def _hours(entry: Mapping[str, Any], where: str) -> Hours:
    hours = Hours(_minutes(entry["opens"], where), _minutes(entry["closes"], where))
    if hours.opens >= hours.closes:
        raise PackError(f"{where}: closes is not after opens. A span may not cross midnight.")
    return hours


def _cap(entry: Mapping[str, Any]) -> Cap:
    return Cap(ppm=entry.get("ppm"), times=entry.get("times"), series=entry.get("series"))


def _series(entry: Mapping[str, Any], file: str) -> Series:
    where = f"{file}: series {entry.get('id')}"
    return Series(
        entry["id"],
        _text(entry["title"], f"{where}: title"),
        entry["source"],
        _dated(entry["values"], lambda e: int(e["ppm"]), where),
        entry["known_through"],
    )


def _extended(old: Series | None, new: Series, file: str) -> Series:
    """A later file adds later days to a series; it can't change what was published."""
    if old is None:
        return new
    if new.values[0].since <= old.values[-1].since:
        raise PackError(
            f"{file}: series {new.id}: begins on {new.values[0].since}, but days up to {old.values[-1].since} are on"
            " file already. Give later days only."
        )
    return Series(new.id, new.title, new.source, old.values + new.values, new.known_through)
