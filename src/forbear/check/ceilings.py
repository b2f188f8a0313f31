"""The ceilings on the yearly cost on the day of a contract: which there are, whether they bind a lender, and why."""

import contextlib
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from forbear.errors import CalendarUnknown
from forbear.rulebook.cap import published
from forbear.rulebook.load import Rulebook
from forbear.rulebook.models import Text, at

_FILE = Path(__file__).parent / "ceilings.toml"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule stands: instrument, article, what it says, and whether its text was read."""

    citation: str
    article: str
    text: Text
    verified: bool


@dataclass(frozen=True, slots=True)
class Then:
    """What takes a ceiling's place from a day on, were the action brought on the day of asking.

    ppm is None where the rate of that day is not on file; `ends`: nothing takes its place. accrues: no action is
    needed, the rule itself binds what arises from that day on.
    """

    since: date
    ppm: int | None
    source: Source
    ends: bool = False
    accrues: bool = False


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One ceiling.

    ppm is None where it is not on file: the series of `multiple` ends with `known_through`. `binds` is None where
    that depends on the type of lender, which was not told; `exempt` is the rule by which it does not bind. What is
    above a ceiling whose `effect` is "refused" need not be paid; above "void" it may be claimed back.
    """

    id: str
    title: Text
    source: Source
    lenders: tuple[str, ...]
    ppm: int | None
    binds: bool | None
    exempt: Source | None = None
    effect: Literal["refused", "void"] = "refused"
    multiple: tuple[int, Text] | None = None
    known_through: date | None = None
    note: Text | None = None
    then: Then | None = None


def ceilings(
    book: Rulebook,
    place: str,
    lender_type: str | None,
    opened_on: date,
    asked_on: date,
    product: str = "instalment",
) -> tuple[Ceiling, ...]:
    """Every ceiling of a place that was in force on the day of the contract, those that bind first, the lowest first.

    One that binds by accrual counts from its first day, on older contracts too; what it changes to is its `then`.

    Args:
        lender_type: a value of the fact `lender_type`, or None where it is not known.
        asked_on: the day of asking, taken for that of an action: which exemption holds, and which ceiling follows on
            one that was replaced while the loan ran, is decided by it.
    """
    found: list[Ceiling] = []
    for rule in book.rules:
        if rule.instrument.jurisdiction != place or (rule.products and product not in rule.products):
            continue
        by_accrual = rule.binds_by == "accrual"
        later = [dated for dated in rule.cap if opened_on < dated.since <= asked_on] if by_accrual else []
        day = opened_on if at(rule.cap, opened_on) or not later else later.pop(0).since
        cap = at(rule.cap, day)
        if cap is None or cap.respite_days is not None or not rule.in_force(day):
            continue
        ppm, multiple, known_through = cap.ppm, None, None
        if cap.ppm is None and cap.series is not None and cap.times is not None:
            series = book.series[cap.series]
            multiple, known_through = (cap.times, series.title), series.known_through
            # Outside what is on file the ceiling is unknown, never extrapolated.
            with contextlib.suppress(CalendarUnknown):
                ppm = cap.times * published(series, opened_on)
        source = Source(rule.instrument.citation, rule.article, rule.text, rule.verified)
        binds, exempt = _binds(rule.instrument.id, rule.lenders, lender_type, asked_on)
        found.append(
            Ceiling(
                rule.id,
                rule.instrument.title,
                source,
                rule.lenders,
                ppm,
                binds,
                exempt,
                multiple=multiple,
                known_through=known_through,
                note=rule.note,
                then=Then(later[0].since, later[0].value.ppm, source, accrues=True)
                if later
                else _then(book, rule.id, opened_on, asked_on),
            )
        )
        found += _lines(found[-1], rule.instrument.id, opened_on)
    return tuple(sorted(found, key=lambda c: ((True, None, False).index(c.binds), c.ppm is None, c.ppm or 0, c.id)))


def _binds(
    instrument: str, lenders: tuple[str, ...], lender_type: str | None, asked_on: date
) -> tuple[bool | None, Source | None]:
    if not lenders or lender_type in lenders:
        return True, None
    if lender_type is None:
        return None, None
    for entry in _table()["exempt"]:
        holds = entry["from"] <= asked_on < entry.get("to", date.max)
        if holds and instrument.startswith(entry["instrument"]) and lender_type in entry["lenders"]:
            return False, _source(entry)
    return False, None


def _lines(beside: Ceiling, instrument: str, opened_on: date) -> Iterable[Ceiling]:
    for entry in _table()["line"]:
        if instrument.startswith(entry["beside"]) and entry["from"] <= opened_on < entry["to"]:
            yield Ceiling(
                entry["id"],
                entry["title"],
                _source(entry),
                beside.lenders,
                entry["ppm"],
                beside.binds,
                beside.exempt,
                effect="void",
                then=None if beside.then is None else replace(beside.then, ppm=None, ends=True),
            )


def _then(book: Rulebook, rule_id: str, opened_on: date, asked_on: date) -> Then | None:
    """What the transition of an instrument makes of a rule's ceiling for a contract, were it sued on a day."""
    for entry in _table()["transition"]:
        contracts, sued = entry["contracts"], entry["sued"]
        if entry["of"] != rule_id or not contracts[0] <= opened_on < contracts[1]:
            continue
        if not sued[0] <= asked_on < (sued[1] if len(sued) > 1 else date.max):
            continue
        (rule,) = [each for each in book.rules if each.id == entry["by"]]
        cap = rule.cap[-1].value
        assert cap.series is not None and cap.times is not None
        ppm = None
        with contextlib.suppress(CalendarUnknown):
            ppm = cap.times * published(book.series[cap.series], asked_on if entry["rate_of"] == "suit" else opened_on)
        return Then(max(opened_on, entry.get("since", opened_on)), ppm, _source(entry))
    return None


def _source(entry: Mapping[str, Any]) -> Source:
    return Source(entry["citation"], entry["article"], entry["text"], entry["verified"])


@functools.cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text("utf-8"))
