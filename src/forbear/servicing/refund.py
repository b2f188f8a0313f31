"""A refund: what is held for the borrower is paid out, and never more than that."""

from datetime import date

from forbear.ledger.filed import fold
from forbear.ledger.models import Refunded
from forbear.locale import N_
from forbear.servicing.errors import ServicingError
from forbear.servicing.loan import Loan, no_schedule


def refuse_unless_held(loan: Loan, event: Refunded, as_of: date) -> None:
    """Raises ServicingError where a refund, not yet on file, takes more than is held on its day, or was since.

    What was held then and has settled something that fell due since is held no more: a refund undoes no settlement.
    """
    if loan.terms is None:
        raise no_schedule(loan)
    before, after = (fold(loan.terms, loan.schedule, events, as_of) for events in (loan.events, (*loan.events, event)))
    if after.credit != before.credit - event.amount or after.spans != before.spans:
        raise ServicingError(
            N_(
                "event %(event)s: so much is not held for the borrower on %(on)s, or not since. Pay out what the"
                " statement names as paid ahead, and no more."
            ),
            event=event.key.partition(":")[2],
            on=event.on,
        )
