"""The sale of a debt to an assignee, with the least data that states and proves the claim."""

from collections.abc import Mapping
from datetime import date

from forbear.ledger.arrears import assignment
from forbear.ledger.filed import event_key, fold
from forbear.ledger.models import Sold
from forbear.servicing.errors import ServicingError
from forbear.servicing.loan import no_schedule, read
from forbear.servicing.post import Posting, post_one
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line


def assign(account_id: int, key: str, on: date, price: int, assignee: str, as_of: date) -> Mapping[str, object]:
    """Post the sale, by which the account is sold, and give what goes to the assignee (ledger.arrears.assignment).

    Sent again under its key it gives the same. price in minor units. Raises ServicingError, StoreError.
    """
    post_one(Posting(account_id, Sold(key, on, price, assignee)), as_of)
    with one_line(), copy_connection() as connection:
        loan = read(connection, [account_id])[account_id]
    if loan.terms is None:
        raise ServicingError(str(no_schedule(loan)))
    before = [event for event in loan.events if event.key != event_key(key)]
    return assignment(loan.ref, loan.terms, fold(loan.terms, loan.schedule, before, on))
