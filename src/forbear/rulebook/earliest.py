"""When a forbidden contact becomes lawful: exact by the minute, each local day by its own facts and its own law."""

import operator
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from forbear.rulebook.answer import Answer, bits
from forbear.rulebook.book import Rulebook
from forbear.rulebook.compile import compile_for, days_to_change
from forbear.rulebook.hours import instant
from forbear.rulebook.language import Arith, ByLender, Compare, Const, FactRef, Known, Logic, Node, Not
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
    quiet_days: Callable[[date], int] | None = None,
) -> datetime | None:
    """The first instant from `at` on at which the gate's rules permit a step, in UTC: `at` itself, or a whole minute.

    Args:
        facts_on: the facts of a local day, as they will be if nothing else happens until then.
        horizon_days: local days to look at, the day of `at` included; None is returned where none of them will do.
        quiet_days: for how many days after a day its facts change by nothing but the passing of days, as `moves` in the
            vocabulary says: days on which a rule that stands against the contact must go on to stand are passed over.
    """
    today, k = local_date(zones, at), 0
    while k < horizon_days:
        day = today + timedelta(days=k)
        begins = _begins(zones, day) if k else at.astimezone(UTC)
        facts = facts_on(day)
        answer = compile_for(book, jurisdiction, day, "gate").answer(step, facts, begins, zones, agreed)
        if answer.verdict == "permitted":
            return begins
        k += 1
        if answer.forbids or answer.unknown:
            if quiet_days is not None and (quiet := min(quiet_days(day), days_to_change(book, jurisdiction, day) - 1)):
                k += min(quiet, _stands(answer))
            continue
        # Only the hour stands against it: the day's window may still open.
        assert answer.window is not None
        opens, closes = answer.window
        if begins < opens < closes:
            return opens
    return None


def _stands(answer: Answer) -> int:
    """For how many further days, at least, a rule stands against the contact if nothing but days passes."""
    compiled, days = answer.compiled, 0
    for bit in bits(answer.forbids | answer.unknown):
        rule = compiled.rules[bit]
        if rule.forbid is not None:
            days = max(days, _stays(compiled.condition(rule), answer.record, compiled.vocabulary)[1])
    return days


_LONG = 1 << 20


def _stays(node: Node, facts: Facts, vocabulary: Vocabulary) -> tuple[FactValue, int]:
    """The truth of a condition (None: unknown), and for how many further days it is surely the same."""
    match node:
        case Const(value=value):
            return value, _LONG
        case FactRef(id=name):
            return facts.get(name), _LONG if _pace(vocabulary, facts, name) == 0 else 0
        case Known(fact=FactRef(id=name), value=value):
            return facts.get(name) is value, _LONG if _pace(vocabulary, facts, name) == 0 else 0
        case Not(part=part):
            inner, days = _stays(part, facts, vocabulary)
            return None if inner is None else not inner, days
        case Logic(op=op, parts=parts):
            each = [_stays(part, facts, vocabulary) for part in parts]
            settles = op == "or"  # one such part settles it, whatever the others are
            if settling := [days for value, days in each if value is settles]:
                return settles, max(settling)
            unknown = any(value is None for value, _ in each)
            return None if unknown else not settles, min(days for _, days in each)
        case Compare(op=op, left=left, right=right):
            (a, by), (b, other) = _term(left, facts, vocabulary), _term(right, facts, vocabulary)
            if a is None or b is None or by is None or other is None or by == other:
                truth = None if a is None or b is None else _COMPARED[op](a, b)
                return truth, 0 if by is None or other is None else _LONG
            return _until(_COMPARED[op], a - b, by - other)
        case _:
            raise AssertionError(f"{node} is no condition")


def _until(holds: Callable[[int, int], bool], apart: int, pace: int) -> tuple[bool, int]:
    """The truth of a comparison with 0 of what moves by `pace` a day, and for how many further days it is the same."""
    value, days = holds(apart, 0), 0
    if holds is not operator.eq and holds is not operator.ne and holds(apart + _FAR * pace, 0) is value:
        return value, _FAR  # an order changes once at most
    while days < _FAR and holds(apart + (days + 1) * pace, 0) is value:
        days += 1
    return value, days


#: Days ahead that a comparison is followed.
_FAR = 62
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def _term(node: Node, facts: Facts, vocabulary: Vocabulary) -> tuple[Any, int | None]:
    """The value of a term (None: unknown), and what it moves by a day; None where that can't be told."""
    match node:
        case Const(value=value):
            return value, 0
        case FactRef(id=name):
            return facts.get(name), _pace(vocabulary, facts, name)
        case ByLender(figures=figures, otherwise=otherwise):
            return dict(figures).get(str(facts["lender_type"]), otherwise), 0
        case Arith(op=op, left=left, right=right):
            (a, by), (b, other) = _term(left, facts, vocabulary), _term(right, facts, vocabulary)
            sign = 1 if op == "+" else -1
            pace = None if by is None or other is None else by + sign * other
            return None if a is None or b is None else a + sign * b, pace
        case _:
            raise AssertionError(f"{node} is no term")


def _pace(vocabulary: Vocabulary, facts: Facts, name: str) -> int | None:
    """What a fact moves by a day as long as nothing but days passes; None where that can't be told."""
    value, moves = facts.get(name), vocabulary.facts[name].moves
    if moves is None:
        return 0
    if moves.how == "unknown":
        return None
    if not isinstance(value, int) or value >= vocabulary.never:
        return 0
    match moves.how:
        case "up":
            return 1
        case "down":
            return -1 if value else 0
        case "after":
            return 1 if value else 0
        case "resets" if moves.days == 1 and value:
            return None  # of this day alone
    return 0  # a count of days past is the same until the first of them is over


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
