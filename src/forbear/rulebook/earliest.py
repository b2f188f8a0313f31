"""When a forbidden contact becomes lawful: exact by the minute, each local day by its own facts and its own law."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from forbear.rulebook.book import Rulebook
from forbear.rulebook.compile import compile_for
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
) -> datetime | None:
    """The first instant from `at` on at which the gate's rules permit a step, in UTC: `at` itself, or a whole minute.

    Args:
        facts_on: the facts of a local day, as they will be if nothing else happens until then.
        horizon_days: local days to look at, the day of `at` included; None is returned where none of them will do.
    """
    today = local_date(zones, at)
    for k in range(horizon_days):
        day = today + timedelta(days=k)
        begins = _begins(zones, day) if k else at.astimezone(UTC)
        answer = compile_for(book, jurisdiction, day, "gate").answer(step, facts_on(day), begins, zones, agreed)
        if answer.verdict == "permitted":
            return begins
        if answer.forbids or answer.unknown:
            continue
        # Only the hour stands against it: the day's window may still open.
        assert answer.window is not None
        opens, closes = answer.window
        if begins < opens < closes:
            return opens
    return None


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
    """The first instant of a local day, in any of the zones."""
    if zones is None:
        return instant(day, 0)
    midnight = datetime.combine(day, time())
    return min(midnight.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for zone in zones.split("|"))
