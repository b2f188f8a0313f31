"""What needs a debt, or money that is held: refused in one line where there is none.

A loan on which nothing is owed and nothing is to come has ended. A fee that is charged then would be taken out of what
is the borrower's; forbearance, a write-off and a sale have no debt to be of; a cost of enforcement needs something to
enforce. A refund takes what is held, and no more.
"""

from collections.abc import Sequence
from datetime import date, timedelta

from forbear.ledger.card import CardState
from forbear.ledger.filed import fold
from forbear.ledger.models import (
    Charged,
    ChargedBack,
    Event,
    Forborne,
    Kind,
    Paid,
    Product,
    Refunded,
    Reversed,
    Sold,
    WrittenOff,
)
from forbear.ledger.state import State, dpd_on
from forbear.locale import N_
from forbear.servicing.amounts import major
from forbear.servicing.errors import ServicingError
from forbear.servicing.loan import Loan, no_schedule

_NOTHING = N_(
    "event %(event)s: nothing is owed on %(on)s, so there is nothing to forbear from, to write off or to sell. What is"
    " held for the borrower goes back to them: forbear refund."
)
_ENDED = N_(
    "event %(event)s: the loan had ended on %(on)s: nothing is owed and nothing is to come, so nothing is charged. What"
    " is held is the borrower's: forbear refund."
)
_NOTHING_TO_ENFORCE = N_(
    "event %(event)s: nothing was due and unpaid on %(on)s, so there was nothing to enforce, and no cost of it. Charge"
    " it as a fee, which the ceiling on the yearly cost holds, or give the day of the enforcement."
)
_NOT_HELD = N_(
    "event %(event)s: so much is not held for the borrower on %(on)s, or not since. Of what is held then %(held)s can"
    " go back. Pay out no more than that."
)


def refuse_unless_owing(loan: Loan, event: Event) -> None:
    """Raises ServicingError where an event, not yet on file, is of a debt, and there is none at the end of its day."""
    if not isinstance(event, Charged | Forborne | WrittenOff | Sold) or loan.terms is None:
        return
    if event.on < loan.terms.opened_on:  # the ledger's fold says so
        return
    state = fold(loan.terms, loan.schedule, loan.events, event.on)
    name = event.key.partition(":")[2]
    if not state.sold_on and not state.whole:  # what was sold the ledger's fold refuses
        if not isinstance(event, Charged):
            raise ServicingError(_NOTHING, event=name, on=event.on)
        if not _goes_on(loan, state):
            raise ServicingError(_ENDED, event=name, on=event.on)
    if isinstance(event, Charged) and event.kind is Kind.COST and not _in_default(state):
        raise ServicingError(_NOTHING_TO_ENFORCE, event=name, on=event.on)


def _in_default(state: State) -> bool:
    """Was anything due and unpaid at the end of the state's day, or past due at its beginning?"""
    if any(debt.n and debt.due and debt.unpaid for debt in state.debts):
        return True
    return dpd_on(state.spans, state.as_of - timedelta(days=1)) > 0


def _goes_on(loan: Loan, state: State) -> bool:
    """Of an account on which nothing is owed: may it be drawn on still?"""
    if isinstance(state, CardState):
        return True
    assert loan.terms is not None
    return loan.terms.product is Product.DAILY and any(not debt.due for debt in state.debts)


def refuse_unless_held(loan: Loan, event: Refunded, as_of: date) -> None:
    """Raises ServicingError where a refund, not yet on file, takes more than is held on its day, or was since.

    What was held then and has settled something that fell due since is held no more: a refund undoes no settlement.
    Of a card no more is held than what has accrued leaves. What was paid after a sale is the assignee's.
    """
    if loan.terms is None:
        raise no_schedule(loan)
    events = the_borrowers(loan.events)
    now = fold(loan.terms, loan.schedule, events, as_of)
    days = {event.on, *(t.on for t in now.transactions if event.on < t.on < as_of)}
    most = min(held(now), *(held(fold(loan.terms, loan.schedule, events, day)) for day in days))
    if event.amount > most:
        raise ServicingError(_NOT_HELD, event=event.key.partition(":")[2], on=event.on, held=major(most, loan.currency))


def held(state: State) -> int:
    """What is held for the borrower and may go back to them: of a card less what has accrued, billed or not."""
    return state.overpaid if isinstance(state, CardState) else state.credit


def sold_on(events: Sequence[Event]) -> date | None:
    """The day of the sale that stands, if there is one."""
    gone = {event.of for event in events if isinstance(event, Reversed)}
    return min((event.on for event in events if isinstance(event, Sold) and event.key not in gone), default=None)


def the_borrowers(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The events without the payments that came after a sale, and what took those back."""
    sold = sold_on(events) or date.max
    late = {event.key for event in events if isinstance(event, Paid) and event.on > sold}
    return tuple(
        event
        for event in events
        if event.key not in late and not (isinstance(event, ChargedBack | Reversed) and event.of in late)
    )
