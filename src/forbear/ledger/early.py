"""Early repayment: what ends the loan on a day, whether payments did, and the schedule after a part is repaid early.

Interest is owed for the time in which the money was lent, unless the contract says otherwise (China: Civil
Code art. 677), so of the running period the part that has passed; nothing of later periods. So what is paid beyond that
pays nothing ahead: there is nothing more to come.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Literal

from forbear.ledger.daycount import YEAR, units
from forbear.ledger.excess import Part
from forbear.ledger.models import (
    PPM,
    ChargedBack,
    DayCount,
    Disbursed,
    Event,
    Instalment,
    Kind,
    LedgerError,
    Paid,
    Product,
    Reason,
    Rescheduled,
    Reversed,
    Terms,
    Waived,
    half_up,
)
from forbear.ledger.state import Debt, State, above_of, fold, frozen_days, place


def payoff(terms: Terms, state: State) -> int:
    """What ends the loan at the end of `state.as_of`: all that is owed, and the running period's interest so far.

    No more than the ceiling on the yearly cost lets be demanded of a loan that ends then: what of earlier charges is
    above it for the shorter time is given back by the event that ends it (state.py). Where more is above than is owed
    beside the instalments, their rest is to be paid, and what was paid of the excess goes back after it.
    """
    return max(_balance(terms, state), 0)


def overpaid(terms: Terms, state: State) -> int:
    """What is held for the borrower beyond all that would end the loan at the end of `state.as_of`."""
    return max(-_balance(terms, state), 0)


def _balance(terms: Terms, state: State) -> int:
    whole = state.outstanding + sum(running(terms, state))
    ends = [Part(state.as_of, whole - state.owed(Kind.COST), 0)]
    least = sum(debt.unpaid for debt in state.debts if debt.n)
    return max(whole - above_of(terms, state.transactions, ends, state.as_of), least) - state.credit


def running(terms: Terms, state: State) -> tuple[int, int]:
    """Interest and fee of the running period for the days that have passed, half up; whole months by their days.

    Never more than what would fall due with the period whole.
    """
    coming = _to_come(state)
    if not coming or terms.product is Product.DAILY:  # a daily loan's interest is owed day by day already
        return 0, 0
    start, end = _running_period(state)
    # What is to come is less the frozen days of the whole period already (state.py): it runs on the others.
    frozen = frozen_days(state.freezes, start, state.as_of)
    passed = (state.as_of - start).days - frozen
    whole = (end - start).days - frozen_days(state.freezes, start, end)
    if whole <= 0:
        return 0, 0
    fee = half_up(coming[0].to_come.get(Kind.FEE, 0) * passed, whole)
    agreed = coming[0].to_come.get(Kind.INTEREST, 0)
    if terms.day_count is DayCount.MONTHLY:
        return half_up(agreed * passed, whole), fee
    base = sum(debt.owed.get(Kind.PRINCIPAL, 0) for debt in coming)
    part = units(start, state.as_of, terms.day_count)
    days = (state.as_of - start).days
    of_days = (days - frozen, days) if frozen else (1, 1)
    accrued = base * terms.annual_rate_ppm * part * of_days[0]
    return min(half_up(accrued, YEAR[terms.day_count] * PPM * of_days[1]), agreed), fee


def settle(key: str, terms: Terms, state: State) -> Rescheduled:
    """Makes all of the loan due at the end of `state.as_of`: with a payment of `payoff` it is repaid."""
    return _now(key, terms, state, sum(debt.owed.get(Kind.PRINCIPAL, 0) for debt in _to_come(state)), ())


def repay(key: str, terms: Terms, state: State, principal: int, then: Literal["shorter", "smaller"]) -> Rescheduled:
    """Makes `principal` that is not yet due fall due at the end of `state.as_of`, and the rest be due anew.

    then: "smaller" instalments on the same days, or no larger ones for a "shorter" time. The interest of the running
    period so far is due with it. What is to come bears interest and fees as before, in proportion to the principal of
    its period, whatever shape the schedule has; of the running one no more than it had left, so that no part repaid
    makes the loan dearer. Raises LedgerError unless less than the principal to come is repaid.
    """
    coming = _to_come(state)
    base = sum(debt.owed.get(Kind.PRINCIPAL, 0) for debt in coming)
    left = base - principal
    if principal <= 0 or left <= 0:
        raise LedgerError("early repayment: a part must be more than nothing and leave some principal; else settle")
    made: list[Instalment] = []
    so_far = running(terms, state)
    for debt in coming:
        # The first new period is the rest of the running one.
        days, whole = (1, 1) if made else ((debt.due_on - state.as_of).days, (debt.due_on - debt.begun).days)
        charges = [debt.agreed.get(kind, 0) for kind in (Kind.INTEREST, Kind.FEE)]
        most = charges if made else [each - gone for each, gone in zip(charges, so_far, strict=True)]
        interest, fee = (
            min(half_up(each * left * days, base * whole), max(top, 0)) for each, top in zip(charges, most, strict=True)
        )
        owed = debt.owed.get(Kind.PRINCIPAL, 0)
        if debt is coming[-1]:
            part = left
        elif then == "smaller":
            part = left - half_up(left * (base - owed), base)
        else:
            part = min(owed + sum(charges) - interest - fee, left)
        made.append(Instalment(debt.due_on, part, interest, fee))
        base, left = base - owed, left - part
        if not left:
            break
    return _now(key, terms, state, principal, tuple(made))


def free(terms: Terms, state: State) -> int:
    """What of the sum paid ahead is left to repay principal early at the end of `state.as_of`, beside what falls due
    with it: the running period's interest and fee so far, and what a plan made to fall due next."""
    beside = sum(amount for debt in _to_come(state) for kind, amount in debt.owed.items() if kind is not Kind.PRINCIPAL)
    return state.credit - sum(running(terms, state)) - beside


def lapsed(terms: Terms, schedule: Sequence[Instalment], events: Sequence[Event]) -> list[Rescheduled]:
    """The early repayments of a part that payments cover no longer at the end of their day: nobody owes one.

    A payment that was charged back covers none. Arguments and errors are those of `ended`.
    """
    kept, found = _standing(events), []
    for event in sorted((e for e in kept if isinstance(e, Rescheduled)), key=place):
        if event.reason is Reason.PREPAYMENT:
            debts = fold(terms, schedule, kept, event.on).debts
            if any(debt.n and debt.due_on == event.on and debt.unpaid for debt in debts):
                kept.remove(event)
                found.append(event)
    return found


def ended(terms: Terms, schedule: Sequence[Instalment], events: Sequence[Event]) -> Rescheduled | None:
    """The early repayment that the payments of a loan make of themselves, without a key; `by` is the payment's.

    It is that of the first day at whose end nothing more is needed to end the loan, though instalments are to come;
    None where there is no such day, or the loan ran to its end. A payment that was charged back makes none. Arguments
    are those of `state.fold`, without an early repayment that follows of this; errors likewise.
    """
    kept = _standing(events)
    paid = sorted((event for event in kept if isinstance(event, Paid)), key=place)
    for payment in _reaching(terms, schedule, kept, paid):
        state = fold(terms, schedule, kept, payment.on)
        if state.sold_on or not _to_come(state):
            return None
        if payoff(terms, state) == 0:
            return replace(settle("", terms, state), by=payment.key)
    return None


def _standing(events: Iterable[Event]) -> list[Event]:
    """The events that nothing took back."""
    back = {event.of for event in events if isinstance(event, ChargedBack | Reversed)}
    return [event for event in events if event.key not in back and not isinstance(event, ChargedBack | Reversed)]


def _reaching(
    terms: Terms, schedule: Sequence[Instalment], events: Iterable[Event], paid: Sequence[Paid]
) -> Iterable[Paid]:
    """The last payment of each day by which enough was paid to be worth a fold: of it a loan may have ended early."""
    others = [event for event in events if not isinstance(event, Paid | Disbursed)]
    given = sum(event.amount for event in others if isinstance(event, Waived))
    so_far = given
    for k, payment in enumerate(paid):
        so_far += payment.amount
        if k + 1 < len(paid) and paid[k + 1].on == payment.on:
            continue
        # By the contract alone the interest that has fallen due is paid, too; other events may have moved it.
        due = 0 if others else sum(line.interest + line.fee for line in schedule if line.due_on <= payment.on)
        if so_far >= terms.principal + due:
            yield payment


def _running_period(state: State) -> tuple[date, date]:
    """The period of what falls due next: since the instalment before it, or since the day of the plan."""
    coming = _to_come(state)[0]
    return coming.begun, coming.due_on


def _to_come(state: State) -> list[Debt]:
    return [debt for debt in state.debts if debt.n and not debt.due]


def _now(key: str, terms: Terms, state: State, principal: int, later: tuple[Instalment, ...]) -> Rescheduled:
    interest, fee = running(terms, state)
    now = Instalment(state.as_of, principal, interest, fee)
    return Rescheduled(key, state.as_of, (now, *later), Reason.PREPAYMENT)
