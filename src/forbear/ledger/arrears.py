"""Arrears: buckets and classes by days past due, roll and cure, limits of re-ageing, what a sale passes on.

Everything here reads the spans of a State, so that history is that of the payments as they are now known: a
payment that comes to light late, or is taken back, changes it; what was known on a day is the history of
the events known then.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import IntEnum, StrEnum
from itertools import pairwise

from dateutil.relativedelta import relativedelta

from forbear.ledger.card import CardState
from forbear.ledger.models import (
    ChargedBack,
    Event,
    Instalment,
    Kind,
    LedgerError,
    Paid,
    Reason,
    Rescheduled,
    Reversed,
    Terms,
)
from forbear.ledger.state import Span, State, dpd_on

# ---- buckets ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bucket:
    """Days past due from `first` to `last`; the last bucket has no end."""

    id: str
    first: int
    last: int | None


@dataclass(frozen=True, slots=True)
class Buckets:
    """A ladder of buckets without gaps, from nothing past due to no end. Raises LedgerError for any other."""

    ladder: tuple[Bucket, ...]

    def __post_init__(self) -> None:
        """Hold the ladder to what it promises."""
        ends = [bucket.last for bucket in self.ladder]
        if not ends or self.ladder[0].first != 0 or ends[-1] is not None or None in ends[:-1]:
            raise LedgerError("buckets: the first begins at 0, and the last alone has no end")
        for one, other in pairwise(self.ladder):
            if one.last is None or one.last < one.first or other.first != one.last + 1:
                raise LedgerError(f"buckets: {other.id} must begin on the day after {one.id} ends")

    def of(self, dpd: int) -> Bucket:
        """The bucket of so many days past due."""
        return next(bucket for bucket in reversed(self.ladder) if dpd >= bucket.first)


#: 30-day buckets, as lenders report them (M0, M1, ...).
MONTHLY = Buckets(
    (
        Bucket("current", 0, 0),
        Bucket("1-30", 1, 30),
        Bucket("31-60", 31, 60),
        Bucket("61-90", 61, 90),
        Bucket("91-120", 91, 120),
        Bucket("121-150", 121, 150),
        Bucket("151-180", 151, 180),
        Bucket("181+", 181, None),
    )
)


# ---- China's five categories ------------------------------------------------------------------------


class Category(IntEnum):
    """Five-category class (五级分类); from SUBSTANDARD on an asset is non-performing."""

    NORMAL = 1
    SPECIAL_MENTION = 2
    SUBSTANDARD = 3
    DOUBTFUL = 4
    LOSS = 5


@dataclass(frozen=True, slots=True)
class Classing:
    """The worst class that an instrument allows by days past due alone, and how long a cure is watched.

    over: (days, class), the class where more days than those are past due. probation_months: how long, and
    instalments: how many due dates in a row, whichever is longer, must be met after all arrears were paid
    before a non-performing asset may be classed as performing again.
    """

    id: str
    source: str
    verified: bool
    in_force: date
    over: tuple[tuple[int, Category], ...]
    probation_months: int
    probation_instalments: int


#: Arts 10 to 13 (days) recalled; the rule on raising a class read in an examination question, without its number.
CN_2023 = Classing(
    "cn_2023",
    "商业银行金融资产风险分类办法 (银保监会 人民银行令〔2023〕1号) arts 10-13",
    False,
    date(2023, 7, 1),
    (
        (0, Category.SPECIAL_MENTION),
        (90, Category.SUBSTANDARD),
        (270, Category.DOUBTFUL),
        (360, Category.LOSS),
    ),
    probation_months=6,
    probation_instalments=2,
)

#: Cards: art. 92, read in a quotation; raising a class as above.
CN_CARD_2011 = replace(
    CN_2023,
    id="cn_card_2011",
    source="商业银行信用卡业务监督管理办法 art. 92",
    in_force=date(2011, 1, 13),
    over=(
        (0, Category.SPECIAL_MENTION),
        (90, Category.SUBSTANDARD),
        (120, Category.DOUBTFUL),
        (180, Category.LOSS),
    ),
)


def classing_of(state: State) -> Classing:
    """The classing that a loan's state, or a card's, is held to."""
    return CN_CARD_2011 if isinstance(state, CardState) else CN_2023


def by_days(dpd: int, classing: Classing = CN_2023) -> Category:
    """The class by days past due on that day alone; a lender may class worse for other reasons, never better."""
    return next((category for days, category in reversed(classing.over) if dpd > days), Category.NORMAL)


def category_on(state: State, day: date, classing: Classing = CN_2023) -> Category:
    """The class at the end of `day`, no later than `state.as_of`: by days past due, and watched after a cure.

    It follows a payment at once. But an asset that was non-performing stays SUBSTANDARD at best until all
    arrears are paid and the probation has passed without new ones.
    """
    dpd = dpd_on(state.spans, day)
    now = by_days(dpd, classing)
    if now >= Category.SUBSTANDARD:
        return now
    if not was_non_performing(state.spans, day, classing):
        return now
    clean_from = max(min(span.end or day, day) for span in state.spans if span.start <= day)
    dues = [debt.due_on for debt in state.debts if debt.n and debt.due_on > clean_from]
    watched = clean_from + relativedelta(months=classing.probation_months)
    watched = max([watched, *sorted(dues)[: classing.probation_instalments]])
    return now if dpd == 0 and day >= watched else max(now, Category.SUBSTANDARD)


def was_non_performing(spans: Sequence[Span], until: date, classing: Classing = CN_2023) -> bool:
    """Whether an instalment was so long past due at the end of some day before `until`."""
    if not spans:
        return False
    worst = next(days for days, category in classing.over if category >= Category.SUBSTANDARD)
    for aged_from, start, end in spans:
        last = until if end is None or end > until else end
        if start < last and (last - aged_from).days > worst + 1:
            return True
    return False


def telling(spans: Sequence[Span]) -> list[Span]:
    """Of spans the open ones, and those that ended and tell something of the class on a later day.

    That is the one that ended last, and of earlier ones those that were more days past due than any that ended later.
    """
    if len(spans) < 2:
        return list(spans)
    found, most = [span for span in spans if span.end is None], -1
    for span in sorted((span for span in spans if span.end), key=lambda span: span.end or date.max, reverse=True):
        assert span.end is not None
        if (dpd := (span.end - span.aged_from).days) > most:
            found.append(span)
            most = dpd
    return found


# ---- history ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """Where a loan stood at the end of a day."""

    on: date
    dpd: int
    bucket: str
    category: Category


def history(
    state: State, first: date, last: date, buckets: Buckets = MONTHLY, classing: Classing = CN_2023
) -> list[Day]:
    """Each day from `first` to `last`, which is no later than `state.as_of` (LedgerError)."""
    if last > state.as_of:
        raise LedgerError(f"history: {last} lies after {state.as_of}, the day of the state; fold to a later day")
    days = []
    for k in range((last - first).days + 1):
        on = first + timedelta(days=k)
        dpd = dpd_on(state.spans, on)
        days.append(Day(on, dpd, buckets.of(dpd).id, category_on(state, on, classing)))
    return days


class Move(StrEnum):
    """How a loan came from one bucket to the next."""

    ROLLED = "rolled"  # on to a later bucket (滚动)
    BACK = "back"  # to an earlier one, still past due
    PAID_UP = "paid_up"  # nothing past due any more


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days in a row, `first` to `last`, in one bucket and class; dpd: days past due on the last of them.

    category: None where no classing was asked for. move: how it came from the bucket before; None at the beginning, and
    where only the class changed.
    """

    first: date
    last: date
    dpd: int
    bucket: str
    category: Category | None
    move: Move | None


def stretches(
    state: State, first: date, buckets: Buckets = MONTHLY, classing: Classing | None = CN_2023
) -> tuple[Stretch, ...]:
    """The history from `first` to the state's day in its stretches: `history`, without a line for each day."""
    found: list[Stretch] = []
    for on in _turns(state, first, buckets, classing):
        dpd = dpd_on(state.spans, on)
        bucket = buckets.of(dpd)
        category = None if classing is None else category_on(state, on, classing)
        move, before = None, found[-1] if found else None
        if before:
            ended = on - timedelta(days=1)
            found[-1] = before = replace(before, last=ended, dpd=dpd_on(state.spans, ended))
            if (bucket.id, category) == (before.bucket, before.category):
                continue
            was = buckets.of(before.dpd)
            if bucket != was:
                move = Move.ROLLED if bucket.first > was.first else Move.BACK if dpd else Move.PAID_UP
        found.append(Stretch(on, on, dpd, bucket.id, category, move))
    if found:
        found[-1] = replace(found[-1], last=state.as_of, dpd=state.dpd)
    return tuple(found)


def _turns(state: State, first: date, buckets: Buckets, classing: Classing | None) -> list[date]:
    """The days, in order, on which bucket or class may change; `first` among them."""
    limits = [bucket.first for bucket in buckets.ladder if bucket.first]
    days = {first}
    for span in state.spans:
        ends = [span.end] if span.end else []
        days |= {span.start, *ends}
        limits_here = limits
        if classing:
            limits_here = [*limits, *(over + 1 for over, _ in classing.over)]
            days |= {end + relativedelta(months=classing.probation_months) for end in ends}
        days |= {span.aged_from + timedelta(days=limit) for limit in limits_here}
    if classing:
        days |= {debt.due_on for debt in state.debts}
    return sorted(day for day in days if first <= day <= state.as_of)


def rolls(histories: Iterable[Sequence[Day]], ends: Sequence[date]) -> Counter[tuple[str, str]]:
    """How many loans went from which bucket to which between two of the days `ends` that follow each other."""
    moves: Counter[tuple[str, str]] = Counter()
    for days in histories:
        on = {day.on: day.bucket for day in days}
        moves.update((on[a], on[b]) for a, b in pairwise(ends) if a in on and b in on)
    return moves


def cured_on(state: State, probation_days: int) -> date | None:
    """The day on which a loan that had been past due was cured, or None.

    Cured: nothing was past due at the end of each of so many days in a row, the last of them no later than
    `state.as_of`; a lender's own definition gives the number (90 days: EU, EBA/GL/2016/07, point 71).
    """
    past = [(span.start, span.end) for span in state.spans if span.end is None or span.end > span.start]
    if not past or any(end is None for _, end in past):
        return None
    clean_from = max(end for _, end in past if end is not None)
    cured = clean_from + timedelta(days=max(probation_days - 1, 0))
    return cured if cured <= state.as_of else None


# ---- re-ageing --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReageLimits:
    """When an account may be re-aged: a least age, instalments' worth paid before, and how often at most."""

    source: str
    verified: bool
    least_age_months: int
    payments: int
    at_most: tuple[tuple[int, int], ...]  # (times, within so many months)


#: The uniform retail credit classification of US bank supervisors, open-end credit: the notice's summary was read, its
#: numbers in quotations (2026-11-29). It binds banks there; elsewhere it is the policy of the house.
FFIEC = ReageLimits("65 FR 36903 (2000-06-12)", False, 9, 3, ((1, 12), (2, 60)))


def reage_refusals(
    terms: Terms, events: Iterable[Event], on: date, paid_in_a_row: int, limits: ReageLimits = FFIEC
) -> list[str]:
    """What stands against re-ageing on `on`: codes "too_young", "too_few_payments", "too_often"; empty: nothing.

    paid_in_a_row: as `instalments_paid` tells. Re-ageings that were reversed do not count.
    """
    known = list(events)
    gone = {e.of for e in known if isinstance(e, Reversed)}
    reaged = [e for e in known if isinstance(e, Rescheduled) and e.reason is Reason.REAGE and e.key not in gone]
    before = [e.on for e in reaged if e.on <= on]
    found = []
    if terms.opened_on + relativedelta(months=limits.least_age_months) > on:
        found.append("too_young")
    if paid_in_a_row < limits.payments:
        found.append("too_few_payments")
    if any(sum(day > on - relativedelta(months=m) for day in before) >= times for times, m in limits.at_most):
        found.append("too_often")
    return found


def instalments_paid(
    schedule: Sequence[Instalment], events: Iterable[Event], on: date, limits: ReageLimits = FFIEC
) -> int:
    """How many instalments' worth was paid in the last months, as many as the limits ask payments for; a sum at once
    counts like payments in a row. The largest instalment that has fallen due is the measure; what was taken back by
    then is left out.
    """
    known = list(events)
    back = {e.of for e in known if isinstance(e, Reversed | ChargedBack) and e.on <= on}
    since = on - relativedelta(months=limits.payments)
    paid = sum(e.amount for e in known if isinstance(e, Paid) and since < e.on <= on and e.key not in back)
    measure = max((line.amount for line in schedule if line.due_on <= on), default=0)
    return paid // measure if measure else 0


# ---- sale -------------------------------------------------------------------------------------------


def assignment(ref: str, terms: Terms, state: State) -> dict[str, object]:
    """The fields that go to an assignee with the debt, and no others: what it takes to state and to prove the claim.

    Given with a State of the day before the sale. Data minimised (China: 个人信息保护法 art. 6): no contact
    record, hardship, health, score or note; who the debtor is goes by the contract's own means, after the
    notice that the Civil Code (art. 546) asks for. What is held for the borrower is no part of the claim: it stays
    here and is paid back.
    """
    return {
        "ref": ref,
        "currency": terms.currency,
        "opened_on": terms.opened_on,
        "principal": terms.principal,
        "annual_rate_ppm": terms.annual_rate_ppm,
        "penalty_rate_ppm": terms.late.held(terms.late.penalty_rate_ppm, state.as_of),
        "as_of": state.as_of,
        "owed": {str(kind): state.owed(kind) for kind in Kind if state.owed(kind)},
        "past_due_since": min((s.aged_from for s in state.spans if s.end is None), default=None),
        "open_instalments": [
            {"n": debt.n, "due_on": debt.due_on, "unpaid": debt.unpaid}
            for debt in state.debts
            if debt.n and debt.unpaid
        ],
    }
