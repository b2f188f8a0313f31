"""A new schedule for a loan: a plan for what is unpaid, in equal instalments at the contract's rate, no higher than its
ceiling; or what is left to come after a part of the principal was repaid early."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Literal

from forbear.ledger.early import free, repay, running
from forbear.ledger.filed import event_key
from forbear.ledger.models import (
    CardTerms,
    DayCount,
    Event,
    Instalment,
    Kind,
    LedgerError,
    Product,
    Reason,
    Rescheduled,
    Reversed,
    Terms,
)
from forbear.ledger.products import schedule
from forbear.ledger.state import fold, place
from forbear.locale import N_
from forbear.servicing.errors import ServicingError
from forbear.servicing.loan import no_schedule, read
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line

_REFUSED = N_("account %(id)s: %(why)s. Nothing of it was kept.")


def rescheduled(account_id: int, key: str, on: date, first_due_on: date, count: int, reason: Reason) -> Rescheduled:
    """The event, not yet posted, by which the principal unpaid on a day is due in `count` monthly instalments.

    Raises ServicingError where nothing is unpaid, no schedule is on file, or a day can't be.
    """
    terms, lines, events = _loan(account_id, key)
    if first_due_on <= on:
        raise ServicingError(
            N_("event %(event)s: the first new instalment is due on %(due)s, which must lie after %(on)s."),
            event=key,
            due=first_due_on,
            on=on,
        )
    try:
        principal = fold(terms, lines, events, on).owed(Kind.PRINCIPAL)
        if not principal:
            raise ServicingError(
                N_("event %(event)s: no principal is unpaid, so there is nothing to divide."), event=key
            )
        planned = replace(
            terms,
            product=Product.EQUAL_INSTALMENTS,
            principal=principal,
            annual_rate_ppm=terms.late.held(terms.annual_rate_ppm, on),
            opened_on=on,
            first_due_on=first_due_on,
            count=count,
            day_count=DayCount.ACT_365,
        )
    except LedgerError as error:
        raise ServicingError(_REFUSED, id=account_id, why=error) from error
    return Rescheduled(key, on, schedule(planned), reason)


def prepaid(account_id: int, key: str, on: date, then: Literal["shorter", "smaller"]) -> Rescheduled:
    """The event, not yet posted, by which all that is paid ahead on a day repays principal early (ledger.early.repay).

    Raises ServicingError where nothing is paid ahead beyond the interest of the days so far, nothing is left to come,
    no schedule is on file, or a day can't be.
    """
    terms, lines, events = _loan(account_id, key)
    own = event_key(key)  # asked for again, it is worked out of what was there before it
    try:
        state = fold(terms, lines, [e for e in events if own not in (e.key, getattr(e, "of", ""))], on)
        if not any(debt.n and not debt.due for debt in state.debts):
            raise ServicingError(N_("event %(event)s: no instalment is to come, so none can be made less."), event=key)
        if (part := free(terms, state)) <= 0:
            raise ServicingError(
                N_(
                    "event %(event)s: beyond what is due and the interest of the days so far, nothing is paid ahead on"
                    " %(on)s, so no principal can be repaid early. Post the payment first."
                ),
                event=key,
                on=on,
            )
        return repay(key, terms, state, part, then)
    except LedgerError as error:
        raise ServicingError(_REFUSED, id=account_id, why=error) from error


def given_up(account_id: int, made: Rescheduled) -> int:
    """What a plan that was posted gave up of the running period, in minor units (`cancelled`)."""
    return cancelled(*_loan(account_id, made.key), replace(made, key=event_key(made.key)))


def cancelled(terms: Terms, schedule: Sequence[Instalment], events: Sequence[Event], plan: Rescheduled) -> int:
    """What a plan gives up, in minor units; an early repayment gives up nothing.

    That is interest and fee of the running period for the days until it, which none of its lines asks for, since its
    interest runs from its own day (docs/decisions/0013).
    """
    if plan.reason not in (Reason.PLAN, Reason.REAGE):
        return 0
    before = [event for event in events if not isinstance(event, Reversed) and place(event) < place(plan)]
    known = {event.key for event in before}
    before += [event for event in events if isinstance(event, Reversed) and event.of in known]
    return sum(running(terms, fold(terms, schedule, before, plan.on)))


def _loan(account_id: int, key: str) -> tuple[Terms, Sequence[Instalment], Sequence[Event]]:
    """The terms, the schedule and the events of a loan that has a schedule. Raises ServicingError."""
    with one_line(), copy_connection() as connection:
        loan = read(connection, [account_id])[account_id]
    if loan.terms is None:
        raise ServicingError(_REFUSED, id=account_id, why=no_schedule(loan))
    if isinstance(loan.terms, CardTerms):
        raise ServicingError(
            N_(
                "event %(event)s: a card has no schedule that a plan could move. Freeze its interest and fees"
                " (forbear grant --freeze), give up a part (forbear waive), or agree on a loan of its own for the"
                " balance: import it, and post its sum to the card as a payment."
            ),
            event=key,
        )
    return loan.terms, loan.schedule, loan.events
