"""A new schedule for what is unpaid of a loan: equal instalments at the contract's rate, no higher than its ceiling."""

from dataclasses import replace
from datetime import date

from forbear.ledger.models import CardTerms, DayCount, Kind, LedgerError, Product, Reason, Rescheduled
from forbear.ledger.products import schedule
from forbear.ledger.state import fold
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
    if first_due_on <= on:
        raise ServicingError(
            N_("event %(event)s: the first new instalment is due on %(due)s, which must lie after %(on)s."),
            event=key,
            due=first_due_on,
            on=on,
        )
    try:
        principal = fold(loan.terms, loan.schedule, loan.events, on).owed(Kind.PRINCIPAL)
        if not principal:
            raise ServicingError(
                N_("event %(event)s: no principal is unpaid, so there is nothing to divide."), event=key
            )
        terms = replace(
            loan.terms,
            product=Product.EQUAL_INSTALMENTS,
            principal=principal,
            annual_rate_ppm=loan.terms.late.held(loan.terms.annual_rate_ppm, on),
            opened_on=on,
            first_due_on=first_due_on,
            count=count,
            day_count=DayCount.ACT_365,
        )
    except LedgerError as error:
        raise ServicingError(_REFUSED, id=account_id, why=error) from error
    return Rescheduled(key, on, schedule(terms), reason)
