"""The history of an account: days past due, bucket and class on each day on record, and what each night decided."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from forbear.ledger.arrears import MONTHLY
from forbear.ledger.filed import fold
from forbear.ledger.models import LedgerError
from forbear.servicing.loan import Loan, read
from forbear.servicing.post import Standing, standing
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line


@dataclass(frozen=True, slots=True)
class Day:
    """A day on record, as it is known now; amounts in minor units.

    bucket, category, owed: None where a night alone tells of the day, and that is still what is known of it.
    restated: days past due or arrears are others than was known first, by what was posted on the day or by the night of
    it; dpd_first, bucket_first: as they were known then. step: of the night of that day, None where there was none.
    """

    on: date
    dpd: int
    bucket: str | None
    category: str | None
    arrears: int
    owed: int | None
    restated: bool
    dpd_first: int | None
    bucket_first: str | None
    step: str | None


# What was posted on a day is its own course; what came to be known later is on file as restated (post.py).
_READ = """
    SELECT h.as_of, h.dpd, h.bucket, h.class, h.arrears_minor, h.owed_minor, h.step, h.dpd_of_night, h.arrears_of_night,
        first.dpd, first.arrears_minor
    FROM account_history h LEFT JOIN LATERAL (
        SELECT dpd, arrears_minor FROM account_state s WHERE s.account_id = h.account_id AND s.as_of = h.as_of
        ORDER BY s.cause = 'restated', CASE s.cause WHEN 'restated' THEN s.id ELSE -s.id END LIMIT 1) first ON true
    WHERE h.account_id = %s ORDER BY h.as_of DESC"""


def history(account_id: int) -> list[Day]:
    """The days on record of an account, the newest first. Raises StoreError.

    What is known now of a day that a night alone tells of is worked out from all that is on file now.
    """
    with one_line(), copy_connection() as connection, connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        rows = cursor.execute(_READ, (account_id,)).fetchall()
        loan = read(connection, [account_id]).get(account_id)
    return [_day(row, loan) for row in rows]


def _day(row: tuple[Any, ...], loan: Loan | None) -> Day:
    on, dpd, bucket, category, arrears, owed, step, *known = row
    if bucket is None and (now := _known_now(on, loan)) and (now.dpd, now.arrears) != (dpd, arrears):
        dpd, bucket, category, arrears, owed = now.dpd, now.bucket, now.category, now.arrears, now.owed
    # What the night held, on which its step rested, before what was known first of those that were posted.
    for dpd_first, arrears_first in (known[:2], known[2:]):
        if dpd_first is not None and (dpd_first, arrears_first) != (dpd, arrears):
            first = MONTHLY.of(dpd_first).id
            return Day(on, dpd, bucket, category, arrears, owed, True, dpd_first, first, step)
    return Day(on, dpd, bucket, category, arrears, owed, False, None, None, step)


def _known_now(on: date, loan: Loan | None) -> Standing | None:
    """Where the loan stood on a day, as it is known now; None where that can't be told: the night's own word stays."""
    if loan is None or loan.terms is None:
        return None
    try:
        return standing(fold(loan.terms, loan.schedule, loan.events, on))
    except LedgerError:  # what is on file of it can't be
        return None
