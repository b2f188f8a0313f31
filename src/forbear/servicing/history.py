"""The history of an account: days past due, bucket and class on each day on record, and what each night decided."""

from dataclasses import dataclass
from datetime import date

import psycopg

from forbear.ledger.arrears import MONTHLY
from forbear.ledger.filed import fold
from forbear.ledger.models import LedgerError
from forbear.servicing.loan import Loan, read
from forbear.servicing.post import standing
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line


@dataclass(frozen=True, slots=True)
class Day:
    """A day on record, as it is known now; amounts in minor units.

    bucket, category, owed: None where a night alone tells of the day, and that is still what is known of it.
    restated: how often later news changed it; dpd_first, bucket_first: as it was known first. step: of the night of
    that day, None where there was none.
    """

    on: date
    dpd: int
    bucket: str | None
    category: str | None
    arrears: int
    owed: int | None
    restated: int
    dpd_first: int | None
    bucket_first: str | None
    step: str | None


def history(account_id: int) -> list[Day]:
    """The days on record of an account, the newest first. Raises StoreError.

    What is known now of a day that a night alone tells of is worked out from all that is on file now.
    """
    with one_line(), copy_connection() as connection, connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        rows = cursor.execute(
            "SELECT as_of, dpd, bucket, class, arrears_minor, owed_minor, restated, dpd_first, bucket_first, step"
            " FROM account_history WHERE account_id = %s ORDER BY as_of DESC",
            (account_id,),
        )
        days = [Day(*row) for row in rows]
        loan = read(connection, [account_id]).get(account_id)
    return [_known_now(day, loan) if loan and day.bucket is None else day for day in days]


def _known_now(day: Day, loan: Loan) -> Day:
    """A day of which a night alone tells, as it is known now, and what the night held if that was something else."""
    if loan.terms is None:
        return day
    try:
        state = fold(loan.terms, loan.schedule, loan.events, day.on)
    except LedgerError:  # what is on file of it can't be: the night's own word stays
        return day
    now = standing(state)
    if (now.dpd, now.arrears) == (day.dpd, day.arrears):
        return day
    return Day(
        day.on,
        now.dpd,
        now.bucket,
        now.category,
        now.arrears,
        now.owed,
        restated=1,
        dpd_first=day.dpd,
        bucket_first=MONTHLY.of(day.dpd).id,
        step=day.step,
    )
