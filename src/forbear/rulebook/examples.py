"""Runs a rule's worked examples: the rule alone, on the facts of the example, says what the pack says."""

from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from forbear.calendars import Calendars, add_working_days
from forbear.errors import CalendarUnknown, WordedError
from forbear.locale import N_
from forbear.rulebook.book import Rulebook
from forbear.rulebook.cap import ceiling
from forbear.rulebook.compile import Compiled
from forbear.rulebook.models import Example, FactValue, Rule, Vocabulary, at

_DEFAULTS: dict[str, FactValue] = {"bool": False, "int": 0, "money": 0}


def plain_facts(vocabulary: Vocabulary) -> dict[str, FactValue]:
    """A whole set of facts of which nothing is remarkable: no flag set, no count above 0, each first word."""
    return {fact.id: fact.values[0] if fact.values else _DEFAULTS[fact.type] for fact in vocabulary.facts.values()}


def example_facts(vocabulary: Vocabulary, rule: Rule, example: Example) -> dict[str, FactValue]:
    """The facts of an example: plain but for what it gives, and a lender of a type that the rule binds."""
    bound = {"lender_type": rule.lenders[0]} if rule.lenders else {}
    return plain_facts(vocabulary) | bound | dict(example.facts)


def keep_until(rule: Rule, after: date) -> date:
    """The last day on which the rule has a record kept, for an event of the day `after`."""
    keep = at(rule.keep, after)
    assert keep is not None, f"{rule.id} keeps no record of {after}"
    until: date = after + relativedelta(months=keep.months)
    return until


def due_on(rule: Rule, after: date, calendars: Calendars) -> date:
    """The last day by which the rule has something done, for an event of the day `after`, which does not count.

    Raises CalendarUnknown where it counts working days of a year whose calendar is not on file.
    """
    within = at(rule.within, after)
    assert within is not None, f"{rule.id} sets no deadline on {after}"
    if within.workdays:
        return add_working_days(calendars, rule.instrument.jurisdiction, after, within.days)
    return after + timedelta(days=within.days)


def disagreement(book: Rulebook, rule: Rule, example: Example) -> WordedError | None:
    """How the rule differs from its example, in words; None where they agree."""
    wanted, got = _compared(book, rule, example)
    if wanted == got:
        return None
    said, should = (WordedError(N_("nothing")) if each is None else each for each in (got, wanted))
    return WordedError(N_("says %(given)s, where its example says %(wanted)s"), given=said, wanted=should)


def _compared(book: Rulebook, rule: Rule, example: Example) -> tuple[object, object]:
    day = example.on or example.after or rule.since
    if not rule.in_force(day):
        return example.on, WordedError(N_("nothing on %(day)s, when it is not in force"), day=day)
    facts = example_facts(book.vocabulary, rule, example)
    if rule.cap:
        cap = at(rule.cap, day)
        bound = not rule.lenders or facts["lender_type"] in rule.lenders
        try:
            return example.ppm, ceiling(book, cap, day) if cap is not None and bound else None
        except CalendarUnknown:
            return example.ppm, None
    if rule.keep:
        return example.until, keep_until(rule, example.after or day)
    if rule.within:
        return example.until, due_on(rule, example.after or day, book.calendars)
    alone = Compiled(rule.instrument.jurisdiction, day, book.vocabulary, (rule,), "gate")
    if rule.hours:
        if example.minute is None:
            return "at", "hours"
        own = alone.own_hours(rule, facts, None)
        return example.says, "permits" if own.opens <= example.minute < own.closes else "forbids"
    forbids, unknown = alone.ask_one(facts)
    return example.says, "forbids" if forbids else "unknown" if unknown else "permits"
