"""When a forbidden contact becomes lawful: exact by the minute, each local day by its own facts and its own law."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from forbear.rulebook.answer import Answer, bits
from forbear.rulebook.book import Rulebook
from forbear.rulebook.compile import compile_for, days_to_change
from forbear.rulebook.hours import instant
from forbear.rulebook.models import Facts, FactValue, Hours, Moves, Vocabulary


def local_date(zones: str | None, at: datetime) -> date:
    """The local day of an aware instant: the latest of several possible zones'; UTC's without a place."""
    if at.tzinfo is None:
        raise ValueError(f"{at} has no offset from UTC")
    if zones is None:
        return at.astimezone(UTC).date()
    return max(at.astimezone(ZoneInfo(zone)).date() for zone in zones.split("|"))


def earliest_lawful(
    book: Rulebook,
    jurisdiction: str,
    step: str,
    facts_on: Callable[[date], Facts],
    at: datetime,
    zones: str | None,
    agreed: Hours | None,
    horizon_days: int = 62,
    quiet_days: Callable[[date, Facts], Callable[[str], int]] | None = None,
    days_in: str | None = None,
) -> datetime | None:
    """The first instant from `at` on at which the gate's rules permit a step, in UTC: `at` itself, or a whole minute.

    Args:
        facts_on: the facts of a local day, as they will be if nothing else happens until then.
        horizon_days: local days to look at, the day of `at` included; None is returned where none of them will do.
        quiet_days: for how many days after a day, on which the facts are these, each of them changes by nothing but the
            passing of days, as `moves` in the vocabulary says: days on which a rule that stands against the contact
            must go on to are passed over.
        days_in: the zones that tell one day from the next, where `zones` is not known.
    """
    days_in = zones or days_in
    today, k = local_date(days_in, at), 0
    while k < horizon_days:
        day = today + timedelta(days=k)
        begins = _begins(days_in, day) if k else at.astimezone(UTC)
        facts = facts_on(day)
        answer = compile_for(book, jurisdiction, day, "gate").answer(step, facts, begins, zones, agreed)
        if answer.verdict == "permitted":
            return begins
        k += 1
        if answer.forbids or answer.unknown:
            if quiet_days is not None:
                k += _stands(answer, days_to_change(book, jurisdiction, day) - 1, quiet_days(day, facts))
            continue
        # Only the hour stands against it: the day's window may still open.
        assert answer.window is not None
        opens, closes = answer.window
        if begins < opens < closes:
            return opens
    return None


def _stands(answer: Answer, most: int, quiet: Callable[[str], int]) -> int:
    """For how many further days, at least and at most, a rule stands against the contact."""
    compiled, days = answer.compiled, 0
    for bit in bits(answer.forbids | answer.unknown):
        rule = compiled.rules[bit]
        if rule.forbid is not None:
            days = max(days, compiled.stands(rule, answer.record, most, quiet))
    return days


def moved(vocabulary: Vocabulary, facts: Facts, days: int) -> dict[str, FactValue]:
    """A hand-typed case `days` days on, if nothing happens until then.

    Counts of the last seven days fall to 0 only when all seven are over, since the case does not say on
    which of them each was: where dates are on record, ask with the facts of each day instead.
    """
    return {name: _moved(vocabulary, facts, name, days) for name in facts}


def _moved(vocabulary: Vocabulary, facts: Facts, name: str, days: int) -> FactValue:
    value, moves = facts[name], vocabulary.facts[name].moves
    if moves is None or value is None or days == 0:
        return value
    if moves.how == "unknown":
        return None
    assert isinstance(value, int)
    match moves:
        case Moves("up"):
            return value if value >= vocabulary.never else value + days
        case Moves("down"):
            return value if value >= vocabulary.never else max(0, value - days)
        case Moves("resets", days=span):
            return 0 if days >= span else value
    if value:
        return value + days
    left = facts.get(moves.fact)
    return max(0, days - left) if isinstance(left, int) else None


def _begins(zones: str | None, day: date) -> datetime:
    """The first instant at which it is that day in each of the zones: before it, another day's rules speak too."""
    if zones is None:
        return instant(day, 0)
    midnight = datetime.combine(day, time())
    return max(midnight.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for zone in zones.split("|"))
