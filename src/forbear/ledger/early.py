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
from forbear.ledger.products import schedule
from forbear.ledger.state import Debt, State, fold, frozen_days, place


def payoff(terms: Terms, state: State) -> int:
    """What ends the loan at the end of `state.as_of`: all that is owed, and the running period's interest so far."""
    accrued, fee = running(terms, state)
    return max(state.outstanding + accrued + fee - state.credit, 0)


def running(terms: Terms, state: State) -> tuple[int, int]:
    """Interest and fee of the running period for the days that have passed, half up; whole months by their days."""
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
    if terms.day_count is DayCount.MONTHLY:
        return half_up(coming[0].to_come.get(Kind.INTEREST, 0) * passed, whole), fee
    base = sum(debt.owed.get(Kind.PRINCIPAL, 0) for debt in coming)
    part = units(start, state.as_of, terms.day_count)
    days = (state.as_of - start).days
    of_days = (days - frozen, days) if frozen else (1, 1)
    accrued = base * terms.annual_rate_ppm * part * of_days[0]
    return half_up(accrued, YEAR[terms.day_count] * PPM * of_days[1]), fee


def settle(key: str, terms: Terms, state: State) -> Rescheduled:
    """Makes all of the loan due at the end of `state.as_of`: with a payment of `payoff` it is repaid."""
    return _now(key, terms, state, sum(debt.owed.get(Kind.PRINCIPAL, 0) for debt in _to_come(state)), ())


def repay(key: str, terms: Terms, state: State, principal: int, then: Literal["shorter", "smaller"]) -> Rescheduled:
    """Makes `principal` that is not yet due fall due at the end of `state.as_of`, and the rest be due anew.

    then: "smaller" instalments on the same days, or the same instalments for a "shorter" time. The interest of
    the running period so far is due with it. Raises LedgerError unless less than the principal to come is repaid.
    """
    coming = _to_come(state)
    left = sum(debt.owed.get(Kind.PRINCIPAL, 0) for debt in coming) - principal
    if principal <= 0 or left <= 0:
        raise LedgerError("early repayment: a part must be more than nothing and leave some principal; else settle")
    count = len(coming)
    share = coming[0].owed.get(Kind.PRINCIPAL, 0) + coming[0].to_come.get(Kind.INTEREST, 0)
    made: tuple[Instalment, ...] = ()
    # The fewest instalments that are no larger than before; "smaller" keeps their number.
    for n in range(1, count + 1) if then == "shorter" else (count,):
        made = schedule(replace(terms, principal=left, opened_on=state.as_of, first_due_on=coming[0].due_on, count=n))
        if made[0].principal + made[0].interest <= share:
            break
    if terms.day_count is DayCount.MONTHLY:  # the first new period is the rest of the running one, not a whole month
        start, _ = _running_period(state)
        rest, whole = (coming[0].due_on - state.as_of).days, (coming[0].due_on - start).days
        first = replace(
            made[0], interest=half_up(made[0].interest * rest, whole), fee=half_up(made[0].fee * rest, whole)
        )
        made = (first, *made[1:])
    return _now(key, terms, state, principal, made)


def ended(terms: Terms, schedule: Sequence[Instalment], events: Sequence[Event]) -> Rescheduled | None:
    """The early repayment that the payments of a loan make of themselves, without a key; `by` is the payment's.

    It is that of the first day at whose end nothing more is needed to end the loan, though instalments are to come;
    None where there is no such day, or the loan ran to its end. A payment that was charged back makes none. Arguments
    are those of `state.fold`, without an early repayment that follows of this; errors likewise.
    """
    back = {event.of for event in events if isinstance(event, ChargedBack | Reversed)}
    kept = [event for event in events if event.key not in back and not isinstance(event, ChargedBack | Reversed)]
    paid = sorted((event for event in kept if isinstance(event, Paid)), key=place)
    for payment in _reaching(terms, schedule, kept, paid):
        state = fold(terms, schedule, kept, payment.on)
        if state.sold_on or not _to_come(state):
            return None
        if payoff(terms, state) == 0:
            return replace(settle("", terms, state), by=payment.key)
    return None


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
