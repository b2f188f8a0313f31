"""The lawyers' pages: the law of a place on a day, a rule beside its article, a case tried. They need no database."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from babel.core import get_global
from babel.numbers import get_currency_precision, get_territory_currencies
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from forbear.calendars import public_holiday
from forbear.locale import Language
from forbear.nightly.explain import fact_text
from forbear.nightly.why import HORIZON_DAYS
from forbear.rulebook.answer import Answer
from forbear.rulebook.changes import Change, changes
from forbear.rulebook.compile import compile_for
from forbear.rulebook.earliest import earliest_lawful, local_date, moved
from forbear.rulebook.examples import plain_facts
from forbear.rulebook.load import Rulebook
from forbear.rulebook.models import Fact, FactValue, Governs, Hours, Instrument, Rule, Vocabulary
from forbear.web.guard import form
from forbear.web.pages import Pages, day_of

#: Longest case that is taken, in bytes of its form.
_MOST_BYTES = 10_000
#: What the page works out of place, day, zone and agreed hours, and so does not ask.
_WORKED_OUT = frozenset({"law_known", "place_known", "hours_agreed", "public_holiday"})
#: What makes the case that the form begins with a plainly overdue one.
_OVERDUE: Mapping[str, FactValue] = {"dpd": 10, "arrears": 10_000, "lead_account": True, "history_days": 365}
#: Of several zones of a place, the one that is offered first.
_FIRST_ZONE = {"us": "America/New_York"}

Word = Annotated[str, Query(pattern=r"^[a-z_*-]{0,40}$")]
Day = Annotated[str, Query(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]
Text = Annotated[str, Query(max_length=100)]


class Field(NamedTuple):
    """A fact as the form asks for it; `given` is what was typed ("" is unknown), with so many decimal places."""

    fact: Fact
    given: str
    unit: str
    places: int


class Tried(NamedTuple):
    """A case that was tried: its instant, its zone if it is known, the answer, and the first lawful instant."""

    at: datetime
    zone: str | None
    answer: Answer
    earliest: datetime | None


def law_pages(book: Rulebook, pages: Pages) -> APIRouter:
    """The pages under /law, of one rulebook."""
    router = APIRouter()
    places = sorted({rule.instrument.jurisdiction for rule in book.rules} - {"*"})
    contact = [step.id for step in book.vocabulary.steps.values() if step.contact]

    def place_of(given: str) -> str:
        if given and given not in places:
            raise HTTPException(404)
        return given or places[0]

    def written(request: Request, place: str) -> Callable[[str, FactValue], str]:
        """How a reader sees the value of a fact in a place."""
        tag, currency, vocabulary = pages.language(request).tag, _currency(place), book.vocabulary
        return lambda name, value: fact_text(vocabulary.facts[name], value, currency, tag, vocabulary.never)

    @router.get("/law")
    def law(
        request: Request,
        place: Word = "",
        on: Day = "",
        governs: Word = "",
        unverified: Literal["", "1"] = "",
        q: Text = "",
    ) -> HTMLResponse:
        """The rules in force in a place on a day, by instrument, and what changes next."""
        if governs and governs not in get_args(Governs):
            raise HTTPException(404)
        where, day = place_of(place), _day(on)
        rules = book.in_force(where, day)
        words = q.casefold().split()
        tag = pages.language(request).tag
        found = [
            rule
            for rule in rules
            if governs in ("", rule.governs) and not (unverified and rule.verified) and _holds(rule, words, tag)
        ]
        return pages.render(
            request,
            "law.html",
            places=places,
            place=where,
            day=day,
            governs=governs,
            all_governs=get_args(Governs),
            unverified=bool(unverified),
            q=q,
            in_force=len(rules),
            not_verified=sum(not rule.verified for rule in rules),
            found=len(found),
            instruments=_by_instrument(found),
            coming=_next(book, where, day),
        )

    @router.get("/law/rules/{rule_id}")
    def law_rule(request: Request, rule_id: str, on: Day = "") -> HTMLResponse:
        """One rule: what its article says, beside what the rulebook reads in it."""
        rule = book.by_id.get(rule_id)
        if rule is None:
            raise HTTPException(404)
        facts = book.vocabulary.facts
        return pages.render(
            request,
            "law_rule.html",
            rule=rule,
            day=_day(on),
            facts=facts,
            read=[facts[name] for name in facts if name in rule.facts_read()],
            series=book.series,
            written=written(request, rule.instrument.jurisdiction),
        )

    @router.get("/law/try")
    def law_try(request: Request, place: Word = "", step: Word = "call", on: Day = "") -> HTMLResponse:
        """The form of a case: what the rules of one step in one place read on a day."""
        return case(request, {"place": place, "step": step, "on": on})

    @router.post("/law/try")
    async def law_tried(request: Request) -> HTMLResponse:
        """The answer to a case. By POST, so that its facts are in no address and no log."""
        given = await form(request, _MOST_BYTES)
        return await run_in_threadpool(case, request, given)

    def case(request: Request, given: Mapping[str, str]) -> HTMLResponse:
        where, step, day = place_of(given.get("place", "")), given.get("step", ""), _day(given.get("on", ""))
        if step not in contact:
            raise HTTPException(404)
        fields = _fields(book, where, step, day, given)
        zones = _zones(where)
        tried: Tried | list[str] | None = None
        if request.method == "POST":
            tried = _try(book, where, step, day, fields, given, pages.language(request))
        problems = tried if isinstance(tried, list) else []
        return pages.render(
            request,
            "law_try.html",
            status=422 if problems else 200,
            places=places,
            place=where,
            contact_steps=contact,
            step=step,
            day=day,
            zones=zones,
            given={"at": "10:00", "zone": zones[0] if zones else "", "agreed_from": "", "agreed_to": ""} | dict(given),
            facts=book.vocabulary.facts,
            asked={
                "gate": [each for each in fields if each.fact.asked == "gate"],
                "night": [each for each in fields if each.fact.asked != "gate"],
            },
            problems=problems,
            tried=None if problems else tried,
            written=written(request, where),
            horizon=HORIZON_DAYS,
            here="/law/try",
            query=[("place", where), ("step", step), ("on", day.isoformat())],
        )

    return router


# ---- the law of a day ---------------------------------------------------------------------------------


def _day(given: str) -> date:
    """A day of an address; today, by UTC, where none is given."""
    return day_of(given) or local_date(None, datetime.now(UTC))


def _holds(rule: Rule, words: Sequence[str], tag: str) -> bool:
    """Does the rule, as a reader of `tag` sees it, hold every word?"""
    instrument = rule.instrument
    said = (rule.id, rule.article, rule.text[tag], (rule.note or {}).get(tag, ""), rule.source)
    text = "\n".join((*said, instrument.citation, instrument.title[tag])).casefold()
    return all(word in text for word in words)


def _by_instrument(rules: Iterable[Rule]) -> list[tuple[Instrument, list[Rule]]]:
    """The rules under their instruments, law before policy, each in the order of its articles."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        found.setdefault(rule.instrument.id, []).append(rule)
    groups = [(group[0].instrument, sorted(group, key=_article)) for group in found.values()]
    return sorted(groups, key=lambda each: (each[0].kind, each[0].id))


def _article(rule: Rule) -> list[str | int]:
    """Articles in their order: 9 before 10."""
    parts = re.split(r"(\d+)", rule.article)
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]


def _next(book: Rulebook, place: str, day: date) -> list[Change]:
    """What changes on the next day on which the law of a place changes."""
    ahead = changes(book, place, day, date.max)
    return [change for change in ahead if change.day == ahead[0].day]


# ---- a case -------------------------------------------------------------------------------------------


def _currency(place: str) -> str:
    """The currency of a place; a policy of every place has none, which XXX says."""
    found = get_territory_currencies(place.upper()) if place != "*" else []
    return found[0] if found else "XXX"


def _zones(place: str) -> list[str]:
    """The time zones of a place, the likeliest first."""
    found: list[str] = get_global("territory_zones").get(place.upper(), [])
    return sorted(found, key=lambda zone: (zone != _FIRST_ZONE.get(place, found[0]), zone))


def _start(vocabulary: Vocabulary) -> dict[str, FactValue]:
    """A case before anything is said of it: plainly overdue by what no record lacks, all else unknown."""
    facts: dict[str, FactValue] = dict.fromkeys(vocabulary.facts)
    for name, value in plain_facts(vocabulary).items():
        fact = vocabulary.facts[name]
        if fact.known:
            never = fact.moves is not None and fact.moves.how in ("up", "down")
            facts[name] = vocabulary.never if never else value
    facts.update(_OVERDUE)
    return facts


def _fields(book: Rulebook, place: str, step: str, day: date, given: Mapping[str, str]) -> list[Field]:
    """The facts that the rules of a step read, from the day on to the last that is looked at."""
    last = day + timedelta(days=HORIZON_DAYS)
    days = {day, *(change.day for change in changes(book, place, day, last))}
    rules = (rule for each in days for rule in compile_for(book, place, each, "gate").rules if step in rule.steps)
    read = frozenset[str]().union(*(rule.facts_read() for rule in rules)) - _WORKED_OUT
    start, currency = _start(book.vocabulary), _currency(place)
    fields = []
    for fact in book.vocabulary.facts.values():
        if fact.id in read:
            unit, places = "", 0
            if fact.unit == "ppm":
                unit, places = "%", 4
            elif fact.type == "money":
                unit, places = currency, get_currency_precision(currency)
            typed = given.get(f"f.{fact.id}", _typed(start[fact.id], places))
            fields.append(Field(fact, typed, unit, places))
    return fields


def _typed(value: FactValue, places: int) -> str:
    """A value as the form has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{Decimal(value).scaleb(-places):f}"
    return value or ""


def _read(field: Field) -> FactValue:
    """The value that was typed. Raises ValueError."""
    fact, given = field.fact, field.given.strip()
    if not given and not fact.known:
        return None
    if fact.type == "bool" and given in ("yes", "no"):
        return given == "yes"
    if fact.type == "enum" and given in fact.values:
        return given
    if fact.type in ("int", "money") and re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", given):
        value = Decimal(given).scaleb(field.places)
        if value == int(value):
            return int(value)
    raise ValueError(given)


def _try(
    book: Rulebook,
    place: str,
    step: str,
    day: date,
    fields: Iterable[Field],
    given: Mapping[str, str],
    language: Language,
) -> Tried | list[str]:
    """The answer to a case, or what is wrong with it, a line each."""
    _ = language.catalogue.gettext
    problems: list[str] = []
    typed: dict[str, FactValue] = {}
    for field in fields:
        try:
            typed[field.fact.id] = _read(field)
        except ValueError:
            said = _("%(name)s: this can't be read. Choose from the list, or write a whole number such as 3.")
            problems.append(said % {"name": field.fact.name[language.tag]})
    zone = given.get("zone") or None
    if zone is not None and zone not in _zones(place):
        raise HTTPException(404)
    clock, opens, closes = (_clock(given.get(name, "")) for name in ("at", "agreed_from", "agreed_to"))
    at = datetime.combine(day, clock or time(), ZoneInfo(zone) if zone else UTC)
    if clock is None:
        problems.append(_("Time: write it as 09:30."))
    elif at.astimezone(UTC).astimezone(at.tzinfo).time() != clock:
        problems.append(_("Time: on that day the clock is put forward over this time. Choose a later one."))
    agreed = Hours(_minute(opens), _minute(closes)) if opens and closes and opens < closes else None
    if agreed is None and (given.get("agreed_from") or given.get("agreed_to")):
        problems.append(_("Agreed hours: give both, the first before the last, or neither."))
    if problems:
        return problems
    today = _start(book.vocabulary) | typed

    def facts_on(then: date) -> dict[str, FactValue]:
        return moved(book.vocabulary, today, (then - day).days) | {
            "law_known": _law_known(book, place, then, today),
            "place_known": zone is not None,
            "hours_agreed": agreed is not None,
            "public_holiday": public_holiday(book.calendars, place, then),
        }

    answer = compile_for(book, place, day, "gate").answer(step, facts_on(day), at, zone, agreed)
    earliest = earliest_lawful(book, place, step, facts_on, at, zone, agreed, HORIZON_DAYS)
    return Tried(at, zone, answer, earliest)


def _law_known(book: Rulebook, place: str, day: date, facts: Mapping[str, FactValue]) -> bool | None:
    """Is there law for the case's lender and collector? None: of the place, but not written for them."""
    written = book.law_for(day).get(place)
    return written is not None and ((facts["lender_type"], facts["collector"]) in written or None)


def _clock(given: str) -> time | None:
    """A time of the form to the minute; None where there is none, or none that can be read."""
    return time.fromisoformat(given) if re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", given) else None


def _minute(clock: time) -> int:
    return clock.hour * 60 + clock.minute
