"""Whether a lender's own form of a rule is nowhere looser than the rule; if it is, what it would break."""

from collections.abc import Iterable
from datetime import date

from forbear.errors import WordedError
from forbear.locale import N_
from forbear.rulebook.models import Rule, at

_WAYS = {"lower": N_("lower"), "higher": N_("higher")}


def tightened(base: Rule, own: Rule, lenders: Iterable[str]) -> WordedError | None:
    """What makes `own` looser than `base`, with the remedy, on some day of both; None where nothing does."""
    days = sorted(day for day in base.changes() | own.changes() if base.in_force(day) and own.in_force(day))
    for day in days:
        for loose in (_values(base, own, day, (None, *lenders)), _hours(base, own, day), _figures(base, own, day)):
            if loose is not None:
                return WordedError(
                    N_("%(why)s on %(day)s: it would break %(rule)s (%(citation)s, %(article)s)."),
                    why=loose,
                    day=day,
                    rule=base.id,
                    citation=base.instrument.citation,
                    article=base.article,
                )
    return None


def _values(base: Rule, own: Rule, day: date, lenders: Iterable[str | None]) -> WordedError | None:
    for name, value in own.values.items():
        if name not in base.values:
            return WordedError(
                N_("the value %(name)s is no value of %(rule)s. Name one of its values; so it can't be followed"),
                name=name,
                rule=base.id,
            )
        law = base.values[name]
        if value is law:
            continue
        if law.stricter is None:
            return WordedError(
                N_("%(name)s can't be tightened, since %(rule)s does not say which way is stricter"),
                name=name,
                rule=base.id,
            )
        for lender in lenders:
            ours, theirs = value.on(day, lender), law.on(day, lender)
            if ours is None or theirs is None:
                continue
            if ours > theirs if law.stricter == "lower" else ours < theirs:
                return WordedError(
                    N_("%(name)s = %(given)s is looser than %(law)s. Make it %(way)s"),
                    name=name,
                    given=ours,
                    law=theirs,
                    way=WordedError(_WAYS[law.stricter]),
                )
    return None


def _hours(base: Rule, own: Rule, day: date) -> WordedError | None:
    ours, theirs = at(own.hours, day), at(base.hours, day)
    if ours is not None and theirs is not None and (ours.opens < theirs.opens or ours.closes > theirs.closes):
        return WordedError(N_("its hours reach beyond those of the rule. Keep within them"))
    return None


def _figures(base: Rule, own: Rule, day: date) -> WordedError | None:
    cap, ceiling = at(own.cap, day), at(base.cap, day)
    if cap is not None and ceiling is not None and cap != ceiling:
        if (cap.series, cap.ppm is None) != (ceiling.series, ceiling.ppm is None):
            return WordedError(N_("its cap can't be compared with the rule's. Give it in the same form"))
        if (cap.ppm or 0, cap.times or 0) > (ceiling.ppm or 0, ceiling.times or 0):
            return WordedError(N_("its cap is above the rule's. Lower it"))
    ours, theirs = at(own.within, day), at(base.within, day)
    if ours is not None and theirs is not None and ours != theirs:
        if (ours.after, ours.do, ours.workdays) != (theirs.after, theirs.do, theirs.workdays):
            return WordedError(N_("its deadline is of another event or kind of days. Give it in the same form"))
        if ours.days > theirs.days:
            return WordedError(N_("its deadline is longer than the rule's. Shorten it"))
    return None
