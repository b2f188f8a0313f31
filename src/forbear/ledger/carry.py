"""A loan set down after its last event, and taken up again: a payment that comes after it needs no replay.

The fold is one step after another, in the order of `state.place`; what follows the last step needs only what that
left. So payments go on from a loan that was set down, to the same figures and transactions as the whole fold. Anything
that belongs before the last event, or takes one back, replays the loan instead.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from forbear.ledger.allocate import SCHEDULED, order_of
from forbear.ledger.arrears import CN_2023, telling, was_non_performing
from forbear.ledger.models import Event, Instalment, Kind, Paid, Product, Terms
from forbear.ledger.state import Claim, Frozen, Span, State, Walked, place, walk

_KINDS = tuple(Kind)
_AT = {kind: at for at, kind in enumerate(_KINDS)}
_INTEREST, _FEE, _PRINCIPAL = Kind.INTEREST, Kind.FEE, Kind.PRINCIPAL
#: Instalments to come that are kept at hand, and how many of them must be: a class under probation asks for those.
_NEAR, _LEAST = 4, CN_2023.probation_instalments


@dataclass(frozen=True, slots=True)
class Carried:
    """A loan after its last event, in values that JSON knows: amounts in minor units, days as proleptic ordinals.

    last: the place of that event. loan: what it left: what is owed on each debt that is open, and of how each became
    overdue and was cured what tells of the class on a later day. since: the transactions that followed that event
    through the day `as_of`, by key, each with the amount of its first entry. near: the next instalments to come, each
    [n, due day, principal, interest, fee, begun]. beyond: how many come after those, and their principal. far: these
    themselves; None where they were not read, and stay as they are kept.
    """

    terms: Terms
    as_of: int
    last: tuple[int, int, str]
    loan: list[Any]
    since: dict[str, int]
    near: list[list[int]]
    beyond: list[int]
    far: list[list[int]] | None = None

    def precedes(self, event: Event) -> bool:
        """Whether an event is a payment that comes after all that happened, so that it can go on from here."""
        return isinstance(event, Paid) and _ordinal(place(event)) > tuple(self.last)

    def may_end(self, amount: int) -> bool:
        """Whether payments of so much in all may end the loan early (early.py): they reach its whole principal."""
        claims = self.loan[-1]
        number, left = self.beyond
        if not self.near and not number and all(due for _, _, _, _, _, due, *_ in claims):
            return False
        left += sum([minor for each in claims for at, minor in each[3] if at == _AT[_PRINCIPAL]])
        return bool(self.loan[0] + amount >= left + sum([principal for _, _, principal, *_ in self.near]))

    def wants_far(self, as_of: date) -> bool:
        """Whether `far` must be read to go on to that day."""
        if self.far is not None or not self.beyond[0]:
            return False
        return len(self.near) < _LEAST or self.near[-_LEAST][1] <= as_of.toordinal()


def replay(
    terms: Terms, schedule: Sequence[Instalment], events: Iterable[Event], as_of: date
) -> tuple[State, Carried | None]:
    """The fold, and the loan set down after its last event.

    None where it can't go on from there: a line of credit, or events of a later day on file.
    """
    loan, last, more = walk(terms, schedule, events, as_of)
    if last is None or more or terms.product is Product.DAILY:
        return _ended(loan, as_of), None
    return _set_down(loan, last, as_of, [], None, [])


def resume(carried: Carried, payments: Sequence[Paid], as_of: date) -> tuple[State, Carried]:
    """The state at the end of `as_of` after one or more payments, none later, each with `precedes` and a new key.

    `far` has been read where the loan `wants_far`.
    The state's lines, cuts and transactions are those since the loan was set down. Its debts and spans leave out what
    tells nothing of the day, and debts of which only charges are left may be one; days past due, arrears, what is due
    and the class are those of the fold.
    """
    assert not carried.wants_far(as_of), "read what comes after the next instalments"
    loan, rest, resting = _take_up(carried, as_of)
    for payment in (ordered := sorted(payments, key=place)):
        loan.advance(payment.on)
        loan.apply(payment)
    beyond = carried.beyond if carried.far is None else None
    return _set_down(loan, ordered[-1], as_of, rest, beyond, resting)


def _ended(loan: Walked, as_of: date) -> State:
    loan.advance(as_of)
    return loan.state(as_of)


def _ordinal(at: tuple[date, int, str]) -> tuple[int, int, str]:
    return at[0].toordinal(), at[1], at[2]


def _day(day: date | None) -> int | None:
    return day.toordinal() if day else None


def _date(day: int | None) -> date | None:
    return date.fromordinal(day) if day else None


def _watched(spans: list[Span], late: Iterable[tuple[date, date]], as_of: date) -> bool:
    """Whether due dates may tell of the class: they do after a time in which the loan was non-performing.

    spans: those that ended. late: of each debt that is unpaid the day from which it ages, and since when it is.
    """
    return was_non_performing([*spans, *(Span(aged_from, since, None) for aged_from, since in late)], as_of)


def _set_down(
    loan: Walked,
    last: Event,
    as_of: date,
    rest: list[list[int]],
    beyond: list[int] | None,
    resting: list[list[Any]],
) -> tuple[State, Carried]:
    """The state and the loan, of whose instalments to come `rest` was not taken up, nor what is beyond it.

    beyond: as Carried has it; None where nothing is. resting: the debts of which the loan's first claim is the sum.
    """
    spans = telling([span for span in loan.spans if span.start != span.end])
    late = ((claim.aged_from, claim.unpaid_from) for claim in loan.claims if claim.unpaid_from)
    watched = _watched(loan.spans, late, as_of)
    claims, near = list(resting), []
    for claim in loan.claims[1:] if resting else loan.claims:
        left = claim.left
        if claim.due:
            if claim.unpaid_from is None and not watched and not any(left.values()):
                continue
        elif claim.since is None and claim.unpaid_from is None and claim.aged_from == claim.due_on and len(left) == 1:
            come = claim.to_come
            sums = (left[_PRINCIPAL], come.get(_INTEREST, 0), come.get(_FEE, 0))
            near.append([claim.n, claim.due_on.toordinal(), *sums, claim.begun.toordinal()])
            continue
        claims.append(
            [
                claim.n,
                claim.due_on.toordinal(),
                claim.aged_from.toordinal(),
                [[_AT[kind], amount] for kind, amount in left.items() if amount],
                [[_AT[kind], amount] for kind, amount in claim.to_come.items() if amount],
                claim.due,
                _day(claim.since),
                claim.fee_asked,
                _day(claim.unpaid_from),
                claim.fee_left,
                claim.begun.toordinal(),
            ]
        )
    whole = [
        loan.credit,
        loan.penalty_ppm,
        _day(loan.forborne_until),
        [[each.on.toordinal(), each.until.toordinal(), each.rule] for each in loan.freezes],
        _day(loan.written_off_on),
        _day(loan.sold_on),
        loan.sold,
        [[span.aged_from.toordinal(), span.start.toordinal(), _day(span.end)] for span in spans],
        claims,
    ]
    made = len(loan.transactions)
    state = _ended(loan, as_of)
    since = {each.key: each.entries[0].amount for each in state.transactions[made:]}
    near, far = near + rest, None
    if beyond is None:
        near, far = near[:_NEAR], near[_NEAR:]
        beyond = [len(far), sum(principal for _, _, principal, *_ in far)]
    return state, Carried(loan.terms, as_of.toordinal(), _ordinal(place(last)), whole, since, near, beyond, far)


def _rests(claim: list[Any]) -> bool:
    """Whether of a debt nothing is left but charges that grow no more."""
    _, _, _, left, _, due, _, fee_asked, unpaid_from, fee_left, _ = claim
    if not due or not fee_asked or unpaid_from or fee_left:
        return False
    return all(_KINDS[at] not in SCHEDULED for at, _ in left)


def _take_up(carried: Carried, as_of: date) -> tuple[Walked, list[list[int]], list[list[Any]]]:
    """The loan, what was read of its instalments to come that `as_of` does not come near, and the debts that rest.

    Where no payment reaches charges, as instalments are still to come, the debts that rest are one claim: their sum.
    """
    credit, penalty_ppm, forborne, freezes, written_off, sold_on, sold, spans, claims = carried.loan
    loan = Walked(carried.terms, ())
    loan.credit, loan.penalty_ppm, loan.sold = credit, penalty_ppm, sold
    loan.forborne_until, loan.written_off_on, loan.sold_on = _date(forborne), _date(written_off), _date(sold_on)
    loan.freezes = [Frozen(date.fromordinal(on), date.fromordinal(until), rule) for on, until, rule in freezes]
    loan.spans = [Span(date.fromordinal(aged), date.fromordinal(start), _date(end)) for aged, start, end in spans]
    late = ((date.fromordinal(claim[2]), date.fromordinal(claim[8])) for claim in claims if claim[8])
    watched = _watched(loan.spans, late, as_of)
    coming = carried.near + (carried.far or [])
    today, near = as_of.toordinal(), 0
    for _, due_on, *_ in coming:
        if due_on > today:
            break
        near += 1
    resting: list[list[Any]] = []
    if order_of(carried.terms.order).ahead and not watched and (near < len(coming) or carried.beyond[0]):
        kept, claims = claims, []
        for claim in kept:
            (resting if _rests(claim) else claims).append(claim)
    made = [
        Claim(
            n,
            date.fromordinal(due_on),
            date.fromordinal(aged),
            {_KINDS[at]: amount for at, amount in left},
            {_KINDS[at]: amount for at, amount in to_come},
            due,
            _date(since),
            fee_asked,
            _date(unpaid_from),
            fee_left,
            date.fromordinal(begun),
        )
        for n, due_on, aged, left, to_come, due, since, fee_asked, unpaid_from, fee_left, begun in claims
    ]
    if resting:
        sums: dict[Kind, int] = {}
        for _, _, _, left, *_ in resting:
            for at, amount in left:
                sums[_KINDS[at]] = sums.get(_KINDS[at], 0) + amount
        made.append(Claim(0, date.min, date.min, sums, {}, due=True))
    for claim in made:
        claim.left.setdefault(_PRINCIPAL, 0)
    # One tells that there are more; several, whether the due dates after a cure were met.
    near += _LEAST if watched else 1
    for n, due_on, principal, interest, fee, begun in coming[:near]:
        day, come = date.fromordinal(due_on), {_INTEREST: interest, _FEE: fee}
        made.append(Claim(n, day, day, {_PRINCIPAL: principal}, come, begun=date.fromordinal(begun)))
    made.sort(key=lambda claim: (claim.due_on, claim.n))
    loan.claims = made
    return loan, coming[near:], resting
