"""A loan set down after its last event, and taken up again: a payment that comes after it needs no replay.

The fold is one step after another, in the order of `state.place`; what follows the last step needs only what that
left. So payments go on from a loan that was set down, to the same figures and transactions as the whole fold. Anything
that belongs before the last event, or takes one back, replays the loan instead.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from forbear.ledger.models import Event, Instalment, Kind, Paid, Product, Terms
from forbear.ledger.state import Claim, Frozen, Span, State, Walked, place, walk

#: Instalments to come that are looked at beyond those that fall due: as many as a class under probation asks for.
_LOOKED_AT = 2
_KINDS = tuple(Kind)
_INTEREST, _FEE, _PRINCIPAL = Kind.INTEREST, Kind.FEE, Kind.PRINCIPAL


@dataclass(frozen=True, slots=True)
class Carried:
    """A loan after its last event, in values that JSON knows: amounts in minor units, days as proleptic ordinals.

    last: the place of that event. loan: what it left: what is owed on each debt that is open, and how each became
    overdue and was cured. ahead: instalments to come, each [n, due day, principal, interest, fee, begun]; those that
    have not come near stay as they were read. since: the transactions that followed that event through the day
    `as_of`, by key, each with the amount of its first entry.
    """

    terms: Terms
    as_of: int
    last: tuple[int, int, str]
    loan: list[Any]
    ahead: list[list[int]]
    since: dict[str, int]

    def precedes(self, event: Event) -> bool:
        """Whether an event is a payment that comes after all that happened, so that it can go on from here."""
        return isinstance(event, Paid) and _ordinal(place(event)) > tuple(self.last)

    def may_end(self, amount: int) -> bool:
        """Whether payments of so much in all may end the loan early (early.py): they reach its whole principal."""
        claims, at = self.loan[-1], _KINDS.index(_PRINCIPAL)
        if not self.ahead and all(due for _, _, _, _, _, due, *_ in claims):
            return False
        left = sum(each[3][at] for each in claims) + sum(principal for _, _, principal, *_ in self.ahead)
        return bool(self.loan[0] + amount >= left)


def replay(
    terms: Terms, schedule: Sequence[Instalment], events: Iterable[Event], as_of: date
) -> tuple[State, Carried | None]:
    """The fold, and the loan set down after its last event.

    None where it can't go on from there: a line of credit, or events of a later day on file.
    """
    loan, last, more = walk(terms, schedule, events, as_of)
    if last is None or more or terms.product is Product.DAILY:
        return _ended(loan, as_of), None
    return _set_down(loan, last, [], as_of)


def resume(carried: Carried, payments: Sequence[Paid], as_of: date) -> tuple[State, Carried]:
    """The state at the end of `as_of` after one or more payments, none later, each with `precedes` and a new key.

    The state's lines, cuts and transactions are those since the loan was set down. Its debts leave out what is settled,
    and instalments to come beyond the next; days past due, arrears, what is due and the class are those of the fold.
    """
    loan, far = _take_up(carried, as_of)
    for payment in (ordered := sorted(payments, key=place)):
        loan.advance(payment.on)
        loan.apply(payment)
    return _set_down(loan, ordered[-1], far, as_of)


def _ended(loan: Walked, as_of: date) -> State:
    loan.advance(as_of)
    return loan.state(as_of)


def _ordinal(at: tuple[date, int, str]) -> tuple[int, int, str]:
    return at[0].toordinal(), at[1], at[2]


def _day(day: date | None) -> int | None:
    return None if day is None else day.toordinal()


def _date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)


def _set_down(loan: Walked, last: Event, far: list[list[int]], as_of: date) -> tuple[State, Carried]:
    spans = [span for span in loan.spans if span.start != span.end]
    cured = max((span.end for span in spans if span.end), default=date.max)
    claims, ahead = [], []
    for claim in loan.claims:
        left = claim.left
        if claim.due:
            # A debt that was settled before the last cure, or of a loan that never needed one, tells no more.
            if claim.unpaid_from is None and claim.due_on <= cured and not any(left.values()):
                continue
        elif claim.since is None and claim.unpaid_from is None and claim.aged_from == claim.due_on and len(left) == 1:
            come = claim.to_come
            sums = (left[_PRINCIPAL], come.get(_INTEREST, 0), come.get(_FEE, 0))
            ahead.append([claim.n, claim.due_on.toordinal(), *sums, claim.begun.toordinal()])
            continue
        claims.append(
            [
                claim.n,
                claim.due_on.toordinal(),
                claim.aged_from.toordinal(),
                [left.get(kind, 0) for kind in _KINDS],
                [claim.to_come.get(kind, 0) for kind in _KINDS] if claim.to_come else None,
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
    return state, Carried(loan.terms, as_of.toordinal(), _ordinal(place(last)), whole, ahead + far, since)


def _take_up(carried: Carried, as_of: date) -> tuple[Walked, list[list[int]]]:
    """The loan, and the instalments to come that `as_of` does not come near."""
    credit, penalty_ppm, forborne, freezes, written_off, sold_on, sold, spans, claims = carried.loan
    loan = Walked(carried.terms, ())
    loan.credit, loan.penalty_ppm, loan.sold = credit, penalty_ppm, sold
    loan.forborne_until, loan.written_off_on, loan.sold_on = _date(forborne), _date(written_off), _date(sold_on)
    loan.freezes = [Frozen(date.fromordinal(on), date.fromordinal(until), rule) for on, until, rule in freezes]
    loan.spans = [Span(date.fromordinal(aged), date.fromordinal(start), _date(end)) for aged, start, end in spans]
    made = [
        Claim(
            n,
            date.fromordinal(due_on),
            date.fromordinal(aged),
            {kind: amount for kind, amount in zip(_KINDS, left, strict=True) if amount},
            {kind: amount for kind, amount in zip(_KINDS, to_come, strict=True) if amount} if to_come else {},
            due,
            _date(since),
            fee_asked,
            _date(unpaid_from),
            fee_left,
            date.fromordinal(begun),
        )
        for n, due_on, aged, left, to_come, due, since, fee_asked, unpaid_from, fee_left, begun in claims
    ]
    for claim in made:
        claim.left.setdefault(_PRINCIPAL, 0)
    today, near = as_of.toordinal(), 0
    for _, due_on, *_ in carried.ahead:
        if due_on > today:
            break
        near += 1
    near += _LOOKED_AT
    for n, due_on, principal, interest, fee, begun in carried.ahead[:near]:
        day, come = date.fromordinal(due_on), {_INTEREST: interest, _FEE: fee}
        made.append(Claim(n, day, day, {_PRINCIPAL: principal}, come, begun=date.fromordinal(begun)))
    made.sort(key=lambda claim: (claim.due_on, claim.n))
    loan.claims = made
    return loan, carried.ahead[near:]
