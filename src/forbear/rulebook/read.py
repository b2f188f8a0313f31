"""Reads the files of a rulebook: TOML in, checked immutable values out, and every fault with its remedy.

A fault names the file and the rule. What has a fault is left out; the rest is read, so that all faults
are told at once.
"""

import itertools
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import PurePosixPath
from typing import Any, TypeVar, get_args

from forbear.calendars import Calendar, read_calendar
from forbear.errors import WordedError
from forbear.locale import N_
from forbear.rulebook.errors import Fault
from forbear.rulebook.language import ConditionError, Names, Node, names_in, parse
from forbear.rulebook.models import (
    LANGUAGES,
    Asked,
    BindsBy,
    Cap,
    Dated,
    Define,
    Example,
    Fact,
    Governs,
    Hours,
    Instrument,
    Keep,
    Moves,
    Rule,
    Series,
    Source,
    Step,
    Text,
    Value,
    Vocabulary,
    Within,
)
from forbear.rulebook.shapes import DEFINE, INSTRUMENT, PACK, RULE, SERIES, Shape, misshapen
from forbear.rulebook.tighten import tightened

T = TypeVar("T")

#: What a rule sets, exactly one of them, and what it then governs (None: anything).
_KINDS: Mapping[str, str | None] = {
    "forbid": None,
    "hours": None,
    "cap": "cost",
    "keep": "record",
    "within": "deadline",
}
_RULE_KEYS = {"id", "governs", "article", "text", "note", "steps", "from", "to", "verified", "source", "examples"}
_RULE_KEYS |= {"values", "values_stricter", "when", "unless", "lenders", "tightens", "asked", *_KINDS}
#: What a rule with a cap alone may say.
_CAP_KEYS = {"products", "binds_by"}
#: The products of an account (store/tables.py).
PRODUCTS = {"instalment", "card"}
_RULE_KEYS |= _CAP_KEYS
#: What every rule has; one that tightens no other says what it governs, too.
_NEEDED = ("id", "article", "text", "verified", "source")
_INSTRUMENT_KEYS = {"id", "jurisdiction", "kind", "citation", "title", "from", "to", "written_for"}
_TABLES = {"instrument", "define", "rule", "series"}
_EXAMPLE_KEYS = {"facts", "says", "on", "at", "ppm", "after", "until"}
_GOVERNS = get_args(Governs)
_WORD = re.compile(r"[a-z][a-z0-9_]*\Z")
_PLACE = re.compile(r"(\*|[a-z]{2})\Z")
#: A published rate holds until the next publication, a month on; twice that is the most that is believed.
_KNOWN_DAYS = 62


@dataclass
class Found:
    """What a rulebook's files hold. Each fault is one line: file, rule, what is wrong, what to do."""

    vocabulary: Vocabulary | None = None
    rules: dict[str, Rule] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    calendars: dict[tuple[str, int], Calendar] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


class _Faulty(WordedError):
    """What a value is wrong in, and the remedy."""


def read_files(files: Iterable[Source]) -> Found:
    """Everything in the files, the first of which is the vocabulary."""
    first, *packs = files
    found = Found()
    try:
        found.vocabulary = _vocabulary(first)
    except (_Faulty, KeyError, TypeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        why = error if isinstance(error, WordedError) else str(error)
        found.faults.append(Fault(first.name, WordedError(N_("can't be read (%(why)s). Mend the file."), why=why)))
        return found
    reader = _Reader(found.vocabulary, found)
    for source in packs:
        reader.file(source)
    reader.finish()
    return found


def _vocabulary(source: Source) -> Vocabulary:
    data = tomllib.loads(source.content.decode("utf-8"))
    facts = {}
    for entry in data["fact"]:
        more = {"values": tuple(entry.get("values", ())), "moves": _moves(entry.get("moves"))}
        facts[entry["id"]] = Fact(**{**entry, **more})
    steps = {s["id"]: Step(bit=k, **s) for k, s in enumerate(data["step"])}
    for name, text in [(f.id, f.name) for f in facts.values()] + [(s.id, s.name) for s in steps.values()]:
        try:
            _text(text)
        except _Faulty as error:
            raise _Faulty(N_("%(where)s: %(what)s"), where=f"{name}: name", what=error) from None
    return Vocabulary(facts, steps, int(data["never"]))


def _moves(given: Any) -> Moves | None:
    match given:
        case None:
            return None
        case "up" | "down" | "unknown":
            return Moves(given)
        case {"resets": int(days)}:
            return Moves("resets", days=days)
        case {"after": str(fact)}:
            return Moves("after", fact=fact)
    raise _Faulty(
        N_("moves is %(given)s; it is up, down, unknown, { resets = N } or { after = FACT }"), given=repr(given)
    )


class _Reader:
    def __init__(self, vocabulary: Vocabulary, found: Found) -> None:
        self.vocabulary, self.found = vocabulary, found
        self.file_of: dict[str, str] = {}
        #: Rules that tighten another: read when all the others are.
        self.tightening: list[tuple[Instrument, Mapping[str, Any]]] = []
        facts = vocabulary.facts.values()
        self.names = Names(
            {fact.id: "int" if fact.type == "money" else fact.type for fact in facts},
            {fact.id: fact.values for fact in facts},
        )

    def fault(self, where: str, what: str | WordedError, **values: object) -> None:
        """Note what is wrong at a place: a text of the catalogues and its values, or both in one."""
        told = what if isinstance(what, WordedError) else WordedError(what, **values)
        self.found.faults.append(Fault(where, told))

    def _shaped(self, where: str, given: Mapping[str, Any], shape: Shape) -> bool:
        """Is every value of its kind? Each that is not is a fault."""
        wrong = list(misshapen(given, shape))
        for what in wrong:
            self.fault(where, what)
        return not wrong

    def _unknown(self, where: str, unknown: Iterable[str], known: Iterable[str]) -> None:
        self.fault(
            where,
            N_("has the key %(given)s. The keys are %(known)s."),
            given=_all(unknown),
            known=", ".join(sorted(known)),
        )

    # ---- files -----------------------------------------------------------------------------------

    def file(self, source: Source) -> None:
        """Read one pack or calendar."""
        if source.name.endswith(".json"):
            self._calendar(source)
            return
        try:
            data = tomllib.loads(source.content.decode("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            at = re.search(r"line (\d+), column (\d+)", str(error))
            place = f"{at[1]}:{at[2]}" if at else "–"
            self.fault(
                source.name, N_("is not TOML in UTF-8 (line and column: %(place)s). Mend the file."), place=place
            )
            return
        if unknown := data.keys() - _TABLES:
            self.fault(
                source.name,
                N_("has the table %(given)s. The tables are [instrument], [[define]], [[rule]], [[series]]."),
                given=_all(unknown),
            )
        if not data:
            self.fault(
                source.name, N_("is no pack: it is empty. A pack has an [instrument] and rules, or a [[series]].")
            )
        named = "instrument" in data
        data = {
            name: data[name] for name in data if name in _TABLES and self._shaped(source.name, {name: data[name]}, PACK)
        }
        for entry in data.get("series", ()):
            self._series(entry, source.name)
        if "instrument" in data:
            instrument = self._instrument(data["instrument"], source.name)
            defined = self._defines(data.get("define", ()), source.name)
            for entry in data.get("rule", ()):
                where = f"{source.name}: {entry.get('id', '[[rule]]')}"
                if not self._shaped(where, entry, RULE):
                    self._keys(where, entry)
                elif "tightens" in entry:
                    self.tightening.append((instrument, entry))
                else:
                    self._keep(self._rule(instrument, entry, defined), entry)
        elif ("rule" in data or "define" in data) and not named:
            self.fault(source.name, N_("has rules but no [instrument]. Say which instrument they come from."))

    def finish(self) -> None:
        """What needs all files: rules that tighten others, and series that caps refer to."""
        waiting = {entry.get("id"): (instrument, entry) for instrument, entry in self.tightening}
        while waiting:
            ready = [name for name, (_, entry) in waiting.items() if entry["tightens"] not in waiting]
            if not ready:
                for name, (instrument, entry) in waiting.items():
                    where = f"{instrument.file}: {name}"
                    self.fault(
                        where,
                        N_("tightens %(rule)s, which tightens it: a cycle. Tighten a law's rule."),
                        rule=entry["tightens"],
                    )
                break
            for name in ready:
                instrument, entry = waiting.pop(name)
                self._tighten(instrument, entry)
        for rule in tuple(self.found.rules.values()):
            if rule.binds_by == "accrual" and any(dated.value.series for dated in rule.cap):
                where = f"{rule.instrument.file}: {rule.id}"
                self.fault(where, N_("a cap by accrual follows no series: give figures in ppm, each from its day."))
            for dated in rule.cap:
                if dated.value.series and dated.value.series not in self.found.series:
                    self.fault(
                        f"{rule.instrument.file}: {rule.id}",
                        N_("no series %(name)s is on file. Add it, or mend its name."),
                        name=repr(dated.value.series),
                    )
                    self.found.rules.pop(rule.id, None)

    def _calendar(self, source: Source) -> None:
        place = PurePosixPath(source.name).parent.name
        try:
            year, calendar = read_calendar(source.content)
        except (ValueError, KeyError, TypeError):
            self.fault(source.name, N_("is no calendar in the JSON of holiday-cn. Take the published file."))
            return
        except WordedError as error:
            self.fault(source.name, error)
            return
        self.found.calendars["cn" if place in ("calendars", "") else place, year] = calendar

    def _series(self, entry: Mapping[str, Any], file: str) -> None:
        where = f"{file}: series {entry.get('id')}"
        if not self._shaped(where, entry, SERIES):
            return
        try:
            values = _dated(entry["values"], lambda e: int(e["ppm"]))
            if not values:
                raise _Faulty(N_("has no values. Add those published."))
            through = _known_through(entry["known_through"], values[-1].since)
            if blank := [key for key in ("id", "source") if not entry[key]]:
                raise _Faulty(N_("%(key)s is missing. Add it."), key=blank[0])
            new = Series(entry["id"], _text(entry["title"]), entry["source"], values, through)
        except KeyError as error:
            self.fault(where, N_("%(key)s is missing. Add it."), key=error.args[0])
        except _Faulty as error:
            self.fault(where, error)
        else:
            old = self.found.series.get(new.id)
            if old is not None:
                # A later file adds later days to a series; it can't change what was published.
                if new.values[0].since <= old.values[-1].since:
                    begins, ends = new.values[0].since, old.values[-1].since
                    self.fault(
                        where,
                        N_("begins on %(begins)s, but days up to %(ends)s are on file already. Give later days only."),
                        begins=begins,
                        ends=ends,
                    )
                    return
                if new.values[0].since > old.known_through + timedelta(days=1):
                    gap = old.known_through + timedelta(days=1), new.values[0].since - timedelta(days=1)
                    self.fault(
                        where,
                        N_("leaves %(first)s to %(last)s without a value. Give those published then, too."),
                        first=gap[0],
                        last=gap[1],
                    )
                    return
                new = replace(new, values=old.values + new.values)
            for one, other in itertools.pairwise(new.values):
                if 2 * abs(other.value - one.value) > one.value:
                    self.fault(
                        where,
                        N_(
                            "goes from %(first)s to %(last)s ppm on %(day)s, more than half of it. Mend the figure: ppm"
                            " a year, 3%% is 30000."
                        ),
                        first=one.value,
                        last=other.value,
                        day=other.since,
                    )
                    return
            self.found.series[new.id] = new

    def _instrument(self, head: Mapping[str, Any], file: str) -> Instrument:
        """The instrument of a file; one with a fault stands in, so that the faults of its rules are told with its own.

        It is of no place ("") where its own can't be read, and a policy where its kind can't.
        """
        where = f"{file}: instrument"
        self._shaped(where, head, INSTRUMENT)
        sound = {key: value for key, value in head.items() if not any(misshapen({key: value}, INSTRUMENT))}
        for key in ("id", "jurisdiction", "kind", "citation", "title"):
            if not sound.get(key) and (key in sound or key not in head):
                self.fault(where, N_("%(key)s is missing. Add it."), key=key)
        if (kind := sound.get("kind", "policy")) not in ("law", "policy", ""):
            self.fault(where, N_("kind is %(given)s. It is law or policy."), given=repr(kind))
        if unknown := head.keys() - _INSTRUMENT_KEYS:
            self._unknown(where, unknown, _INSTRUMENT_KEYS)
        if (place := sound.get("jurisdiction", "")) and not _PLACE.match(place):
            self.fault(
                where,
                N_("jurisdiction is %(given)s. It is two small letters, as 'cn', or '*' for every place."),
                given=repr(place),
            )
            place = ""
        title = self._told(where, "title", sound["title"]) if sound.get("title") else {}
        written_for = self._written_for(where, head["written_for"]) if "written_for" in head else frozenset()
        return Instrument(
            id=sound.get("id", ""),
            jurisdiction=place,
            kind="law" if kind == "law" else "policy",
            title=title,
            citation=sound.get("citation", ""),
            file=file,
            since=sound.get("from", date.min if "from" in head else None),
            until=sound.get("to"),
            written_for=written_for,
        )

    def _written_for(self, where: str, given: Any) -> frozenset[tuple[str, str]]:
        """Whose collecting an instrument rules: all types of lender, and all who collect, that are not narrowed."""
        facts = {"lenders": "lender_type", "collectors": "collector"}
        words = {key: self.vocabulary.facts[fact].values for key, fact in facts.items()}
        told: dict[str, Any] = given if isinstance(given, dict) else {"": given}
        for key, narrowed in told.items():
            if key not in words or not isinstance(narrowed, list) or not narrowed or set(narrowed) - set(words[key]):
                self.fault(
                    where,
                    N_(
                        "written_for can't be read. Write { lenders = [...], collectors = [...] }, with words of"
                        " vocabulary.toml: %(lenders)s; %(collectors)s."
                    ),
                    lenders=", ".join(words["lenders"]),
                    collectors=", ".join(words["collectors"]),
                )
                return frozenset()
        lenders, collectors = (told.get(key, of_all) for key, of_all in words.items())
        return frozenset(itertools.product(lenders, collectors))

    # ---- definitions -----------------------------------------------------------------------------

    def _defines(self, entries: Iterable[Mapping[str, Any]], file: str) -> dict[str, Define]:
        """The named conditions of a pack, each read after those that it names."""
        defined: dict[str, Define] = {}
        waiting: dict[str, Mapping[str, Any]] = {}
        for entry in entries:
            name = str(entry.get("id"))
            if not self._shaped(f"{file}: define {name}", entry, DEFINE):
                continue
            if not _WORD.match(name) or name in self.vocabulary.facts or name in waiting:
                self.fault(f"{file}: define {name}", N_("is no free name. Write a new one in small letters."))
            else:
                waiting[name] = entry
        while waiting:
            ready = [name for name, e in waiting.items() if not names_in(str(e.get("is"))) & waiting.keys()]
            if not ready:
                for name in waiting:
                    self.fault(f"{file}: define {name}", N_("is defined by itself: a cycle. Write it out in facts."))
                break
            for name in ready:
                entry = waiting.pop(name)
                where = f"{file}: define {name}"
                text = self._told(where, "text", entry.get("text", {}))
                try:
                    nodes = {other.id: other.node for other in defined.values()}
                    node = parse(str(entry.get("is")), replace(self.names, defined=nodes))
                except ConditionError as error:
                    self.fault(where, N_("%(key)s %(why)s. Mend the condition."), key="is", why=error)
                else:
                    defined[name] = Define(name, str(entry["is"]), node, text)
        return defined

    # ---- rules -----------------------------------------------------------------------------------

    def _keep(self, rule: Rule | None, entry: Mapping[str, Any]) -> None:
        if rule is None:
            return
        if rule.id in self.file_of:
            self.fault(
                f"{rule.instrument.file}: {rule.id}",
                N_("the id stands in %(file)s too. Rename one."),
                file=self.file_of[rule.id],
            )
            return
        self.file_of[rule.id] = rule.instrument.file
        self.found.rules[rule.id] = rule

    def _rule(self, instrument: Instrument, entry: Mapping[str, Any], defined: Mapping[str, Define]) -> Rule | None:
        where, before = f"{instrument.file}: {entry.get('id', '[[rule]]')}", len(self.found.faults)
        self._keys(where, entry)
        kinds = [key for key in _KINDS if key in entry]
        if len(kinds) != 1:
            self.fault(where, N_("needs exactly one of %(known)s."), known=", ".join(_KINDS))
        governs = entry.get("governs")
        if governs is not None and governs not in _GOVERNS:
            self.fault(
                where, N_("governs %(given)s. It is one of %(known)s."), given=repr(governs), known=", ".join(_GOVERNS)
            )
        elif governs is not None and kinds and _KINDS[kinds[0]] not in (None, governs):
            self.fault(
                where,
                N_("a rule of %(kind)s governs %(known)s, not %(given)s."),
                kind=kinds[0],
                known=_KINDS[kinds[0]],
                given=governs,
            )
        if "cap" in entry and instrument.jurisdiction == "*":
            self.fault(where, N_("a cap of every place is not applied. Put it in a pack of its place."))
        if "cap" in entry and (narrowed := entry.keys() & {"when", "unless"}):
            self.fault(
                where,
                N_("%(key)s does not narrow a cap. Narrow it by lenders and by days alone."),
                key=sorted(narrowed)[0],
            )
        if "cap" not in entry and (odd := entry.keys() & _CAP_KEYS):
            self.fault(where, N_("%(key)s belongs to a cap. Leave it out."), key=sorted(odd)[0])
        binds_by, products = entry.get("binds_by", "contract"), tuple(entry.get("products", ()))
        if binds_by not in get_args(BindsBy):
            self.fault(
                where,
                N_("binds_by is %(given)s. It is accrual, or is left out: the day of the contract decides."),
                given=repr(binds_by),
            )
        if odd_products := set(products) - PRODUCTS:
            self.fault(
                where,
                N_("names the product %(given)s. It is one of %(known)s."),
                given=_all(odd_products),
                known=", ".join(sorted(PRODUCTS)),
            )
        asked = entry.get("asked", "night")
        if asked not in get_args(Asked):
            self.fault(
                where,
                N_("asked is %(given)s. It is gate, or is left out: the night and the gate both ask."),
                given=repr(asked),
            )
        steps = self._steps(where, entry, kinds)
        since, until = self._days(where, instrument, entry)
        lenders = tuple(entry.get("lenders", ()))
        self._lenders(where, lenders)
        values = self._values(where, entry)
        nodes = {other.id: other.node for other in defined.values()}
        names = replace(self.names, values=frozenset(values), defined=nodes)
        conditions = {key: entry[key] for key in ("when", "forbid", "unless") if key in entry}
        trees = {key: self._condition(where, key, source, names) for key, source in conditions.items()}
        examples = tuple(self._examples(where, entry))
        text = self._told(where, "text", entry["text"]) if "text" in entry else {}
        note = self._told(where, "note", entry["note"]) if "note" in entry else None
        hours = self._entries(where, "hours", entry, _hours)
        cap = self._entries(where, "cap", entry, _cap)
        keep = self._entries(where, "keep", entry, _keep_of)
        within = self._entries(where, "within", entry, _within)
        if len(self.found.faults) > before:
            return None
        assert since is not None
        mentioned = frozenset().union(*map(names_in, conditions.values())) if conditions else frozenset()
        return Rule(
            id=entry["id"],
            instrument=instrument,
            governs=entry["governs"],
            article=entry["article"],
            text=text,
            steps=frozenset(steps),
            since=since,
            until=until,
            verified=entry["verified"],
            source=entry["source"],
            scope=trees.get("when"),
            forbid=trees.get("forbid"),
            unless=trees.get("unless"),
            hours=hours,
            cap=cap,
            keep=keep,
            within=within,
            lenders=lenders,
            products=products,
            binds_by=binds_by,
            values=values,
            examples=examples,
            note=note,
            conditions=conditions,
            asked=asked,
            defines=tuple(define for define in defined.values() if define.id in mentioned),
        )

    def _tighten(self, instrument: Instrument, entry: Mapping[str, Any]) -> None:
        """A lender's stricter form of a rule: what it does not say is as the rule has it."""
        where, before = f"{instrument.file}: {entry.get('id', '[[rule]]')}", len(self.found.faults)
        self._keys(where, entry)
        base = self.found.rules.get(entry["tightens"])
        if base is None:
            self.fault(
                where,
                N_("tightens %(rule)s, which is no rule on file. Name the rule to tighten."),
                rule=repr(entry["tightens"]),
            )
            return
        given = {key for key in ("values", "hours", "cap", "within") if key in entry}
        own = {*_KINDS, "steps", "when", "unless", "lenders", "governs", "asked", *_CAP_KEYS}
        if odd := entry.keys() & (own - given):
            self.fault(
                where,
                N_("has %(key)s, which comes from the rule that it tightens. Leave it out."),
                key=sorted(odd)[0],
            )
        if not given:
            self.fault(where, N_("tightens nothing. Give stricter values, hours, cap or within."))
        if instrument.jurisdiction not in ("", base.instrument.jurisdiction):
            self.fault(
                where,
                N_("tightens a rule of jurisdiction %(place)s. Put it in a pack of that jurisdiction."),
                place=repr(base.instrument.jurisdiction),
            )
        since, until = self._days(where, instrument, entry)
        values = self._values(where, entry)
        text = self._told(where, "text", entry["text"]) if "text" in entry else {}
        hours, cap = self._entries(where, "hours", entry, _hours), self._entries(where, "cap", entry, _cap)
        within = self._entries(where, "within", entry, _within)
        examples = tuple(self._examples(where, entry))
        if len(self.found.faults) > before:
            return
        assert since is not None
        rule = replace(
            base,
            id=entry["id"],
            instrument=instrument,
            article=entry["article"],
            text=text,
            note=None,
            since=since,
            until=until,
            verified=entry["verified"],
            source=entry["source"],
            tightens=base.id,
            examples=examples,
            hours=hours or base.hours,
            cap=cap or base.cap,
            within=within or base.within,
            values={**base.values, **{n: replace(v, stricter=_way(base, n)) for n, v in values.items()}},
        )
        if (loose := tightened(base, rule, self.vocabulary.facts["lender_type"].values)) is not None:
            self.fault(where, loose)
            return
        self._keep(rule, entry)

    # ---- parts of a rule -------------------------------------------------------------------------

    def _keys(self, where: str, entry: Mapping[str, Any]) -> None:
        if unknown := entry.keys() - _RULE_KEYS:
            self._unknown(where, unknown, _RULE_KEYS)
        for key in _NEEDED if "tightens" in entry else ("governs", *_NEEDED):
            if entry.get(key) in (None, ""):
                self.fault(
                    where,
                    N_("%(key)s is missing. Every rule has what it governs, article, text, source and state."),
                    key=key,
                )

    def _steps(self, where: str, entry: Mapping[str, Any], kinds: list[str]) -> frozenset[str]:
        steps = set(entry.get("steps", []))
        if "contact" in steps:
            steps = {step.id for step in self.vocabulary.steps.values() if step.contact}
        if unknown := steps - self.vocabulary.steps.keys():
            self.fault(
                where,
                N_("names the step %(given)s, which vocabulary.toml does not have. Mend it."),
                given=_all(unknown),
            )
        if kinds and (kinds[0] in ("forbid", "hours")) != bool(steps):
            self.fault(where, N_("steps go with forbid and hours, and only with them."))
        return frozenset(steps)

    def _days(self, where: str, instrument: Instrument, entry: Mapping[str, Any]) -> tuple[date | None, date | None]:
        since, until = entry.get("from", instrument.since), entry.get("to", instrument.until)
        if not isinstance(since, date):
            self.fault(where, N_("from is missing. Write the day from which it is in force."))
        elif until is not None and until <= since:
            self.fault(
                where, N_("to (%(last)s) is not after from (%(first)s). Mend the days."), last=until, first=since
            )
        return since, until

    def _lenders(self, where: str, lenders: Iterable[str]) -> None:
        if wrong := set(lenders) - set(self.vocabulary.facts["lender_type"].values):
            self.fault(
                where,
                N_("names the lender type %(given)s, which vocabulary.toml does not have. Mend it."),
                given=_all(wrong),
            )

    def _values(self, where: str, entry: Mapping[str, Any]) -> dict[str, Value]:
        values = {}
        ways = entry.get("values_stricter", {})
        for name, entries in entry.get("values", {}).items():
            of = f"{where}: values.{name}"
            if name in self.vocabulary.facts or not _WORD.match(name):
                self.fault(of, N_("has the name of a fact, or no name. Rename it."))
            if ways.get(name) not in (None, "lower", "higher"):
                self.fault(of, N_("values_stricter is %(given)s. It is lower or higher."), given=repr(ways[name]))
            general = [e for e in entries if not e.get("lenders")]
            own: dict[str, list[Any]] = {}
            for each in entries:
                self._lenders(of, each.get("lenders", ()))
                for lender in each.get("lenders", ()):
                    own.setdefault(lender, []).append(each)
            try:
                values[name] = Value(
                    _dated(general, lambda e: int(e["is"])),
                    {lender: _dated(each, lambda e: int(e["is"])) for lender, each in own.items()},
                    ways.get(name),
                )
            except _Faulty as error:
                self.fault(of, error)
            except KeyError as error:
                self.fault(of, N_("%(key)s is missing. Write each as { from, is }."), key=error.args[0])
        if odd := ways.keys() - entry.get("values", {}).keys() if "tightens" not in entry else None:
            self.fault(
                where,
                N_("values_stricter names %(given)s, which is no value of the rule. Mend it."),
                given=_all(odd),
            )
        return values

    def _condition(self, where: str, key: str, source: Any, names: Names) -> Node | None:
        try:
            return parse(str(source), names)
        except ConditionError as error:
            self.fault(where, N_("%(key)s %(why)s. Mend the condition."), key=key, why=error)
            return None

    def _entries(
        self, where: str, key: str, entry: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]
    ) -> tuple[Dated[T], ...]:
        try:
            return _dated(entry.get(key, ()), read)
        except _Faulty as error:
            self.fault(f"{where}: {key}", error)
        except KeyError as error:
            self.fault(f"{where}: {key}", N_("%(key)s is missing. Add it."), key=error.args[0])
        return ()

    def _examples(self, where: str, entry: Mapping[str, Any]) -> Iterable[Example]:
        for given in entry.get("examples", ()):
            if unknown := given.keys() - _EXAMPLE_KEYS:
                self.fault(where, N_("an example has the key %(given)s. See docs/rulebook.md."), given=_all(unknown))
                continue
            facts = given.get("facts", {})
            if wrong := facts.keys() - self.vocabulary.facts.keys():
                self.fault(
                    where,
                    N_("an example names the fact %(given)s, which vocabulary.toml lacks. Mend it."),
                    given=_all(wrong),
                )
                continue
            if given.get("says") not in (None, "forbids", "permits", "unknown"):
                self.fault(
                    where,
                    N_("an example says %(given)s. It says forbids, permits or unknown."),
                    given=repr(given["says"]),
                )
                continue
            try:
                minute = _minutes(given["at"]) if "at" in given else None
            except _Faulty as error:
                self.fault(where, N_("an example: %(why)s"), why=error)
                continue
            yield Example(
                {name: None if value == "unknown" else value for name, value in facts.items()},
                given.get("says"),
                given.get("on"),
                minute,
                given.get("ppm"),
                given.get("after"),
                given.get("until"),
            )

    def _told(self, where: str, key: str, text: Mapping[str, str]) -> Text:
        try:
            return _text(text)
        except _Faulty as error:
            self.fault(f"{where}: {key}", error)
            return text


def _all(names: Iterable[str]) -> str:
    """The names that are wrong, in order."""
    return ", ".join(map(repr, sorted(names)))


def _way(base: Rule, name: str) -> Any:
    return base.values[name].stricter if name in base.values else None


def _text(text: Mapping[str, str]) -> Text:
    if missing := [language for language in LANGUAGES if not text.get(language)]:
        raise _Faulty(
            N_("has no text in %(missing)s. Every text is given in %(known)s."),
            missing=missing[0],
            known=", ".join(LANGUAGES),
        )
    return dict(text)


def _dated(entries: Iterable[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], T]) -> tuple[Dated[T], ...]:
    dated = tuple(Dated(entry["from"], read(entry)) for entry in entries)
    days = [entry.since for entry in dated]
    if days != sorted(set(days)):
        raise _Faulty(N_("the dates overlap or are out of order. List each day once, oldest first."))
    return dated


def _known_through(day: Any, last: date) -> date:
    """The last day for which a series is on file, where its last value can hold until then."""
    if type(day) is not date or not last <= day <= last + timedelta(days=_KNOWN_DAYS):
        raise _Faulty(
            N_(
                "known_through is %(day)s. Write a day from %(last)s, its last value's, to %(most)s days later: what is"
                " not published yet is not known."
            ),
            day=day,
            last=last,
            most=_KNOWN_DAYS,
        )
    return day


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    if not (hours.isdigit() and minutes.isdigit() and int(minutes) < 60 and int(hours) * 60 + int(minutes) <= 1440):
        raise _Faulty(N_("%(given)s is no time of day. Write HH:MM, 00:00 to 24:00."), given=repr(clock))
    return int(hours) * 60 + int(minutes)


def _hours(entry: Mapping[str, Any]) -> Hours:
    hours = Hours(_minutes(entry["opens"]), _minutes(entry["closes"]))
    if hours.opens >= hours.closes:
        raise _Faulty(N_("closes is not after opens. A span may not cross midnight."))
    return hours


def _cap(entry: Mapping[str, Any]) -> Cap:
    cap = Cap(entry.get("ppm"), entry.get("times"), entry.get("series"), entry.get("respite_days"))
    if cap.respite_days is not None and (cap.ppm != 0 or cap.respite_days < 1):
        raise _Faulty(N_("a cap of a respite has ppm 0 and at least one day: during it nothing accrues."))
    if (cap.ppm is None) == (cap.times is None or cap.series is None):
        raise _Faulty(N_("needs either ppm, or times and series."))
    return cap


def _keep_of(entry: Mapping[str, Any]) -> Keep:
    return Keep(int(entry["months"]), _event(entry["after"]))


def _within(entry: Mapping[str, Any]) -> Within:
    return Within(int(entry["days"]), _event(entry["after"]), _event(entry["do"]), entry.get("workdays", False))


def _event(word: str) -> str:
    if not _WORD.match(word):
        raise _Faulty(N_("%(given)s is no name of an event. Write small letters and underscores."), given=repr(word))
    return word
