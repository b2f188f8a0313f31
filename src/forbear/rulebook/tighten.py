"""Whether a lender's own form of a rule is nowhere looser than the rule; if it is, what it would break."""

from collections.abc import Iterable
from datetime import date

from forbear.rulebook.models import Rule, at


def tightened(base: Rule, own: Rule, lenders: Iterable[str]) -> str | None:
    """What makes `own` looser than `base`, with the remedy, on some day of both; None where nothing does."""
    days = sorted(day for day in base.changes() | own.changes() if base.in_force(day) and own.in_force(day))
    for day in days:
        for loose in (_values(base, own, day, (None, *lenders)), _hours(base, own, day), _figures(base, own, day)):
            if loose is not None:
                return f"{loose} on {day}: it would break {base.id} ({base.instrument.citation}, {base.article})."
    return None


def _values(base: Rule, own: Rule, day: date, lenders: Iterable[str | None]) -> str | None:
    for name, value in own.values.items():
        if name not in base.values:
            return f"the value {name} is no value of {base.id}. Name one of its values; so it can't be followed"
        law = base.values[name]
        if value is law:
            continue
        if law.stricter is None:
            return f"{name} can't be tightened, since {base.id} does not say which way is stricter"
        for lender in lenders:
            ours, theirs = value.on(day, lender), law.on(day, lender)
            if ours is None or theirs is None:
                continue
            if ours > theirs if law.stricter == "lower" else ours < theirs:
                return f"{name} = {ours} is looser than {theirs}. Make it {law.stricter}"
    return None


def _hours(base: Rule, own: Rule, day: date) -> str | None:
    ours, theirs = at(own.hours, day), at(base.hours, day)
    if ours is not None and theirs is not None and (ours.opens < theirs.opens or ours.closes > theirs.closes):
        return "its hours reach beyond those of the rule. Keep within them"
    return None


def _figures(base: Rule, own: Rule, day: date) -> str | None:
    cap, ceiling = at(own.cap, day), at(base.cap, day)
    if cap is not None and ceiling is not None and cap != ceiling:
        if (cap.series, cap.ppm is None) != (ceiling.series, ceiling.ppm is None):
            return "its cap can't be compared with the rule's. Give it in the same form"
        if (cap.ppm or 0, cap.times or 0) > (ceiling.ppm or 0, ceiling.times or 0):
            return "its cap is above the rule's. Lower it"
    ours, theirs = at(own.within, day), at(base.within, day)
    if ours is not None and theirs is not None and ours != theirs:
        if (ours.after, ours.do, ours.workdays) != (theirs.after, theirs.do, theirs.workdays):
            return "its deadline is of another event or kind of days. Give it in the same form"
        if ours.days > theirs.days:
            return "its deadline is longer than the rule's. Shorten it"
    return None
