"""The history of an account: days past due, bucket and class on each day on record, and what each night decided."""

from dataclasses import dataclass
from datetime import date

import psycopg

from forbear.store.engine import copy_connection
from forbear.store.errors import one_line


@dataclass(frozen=True, slots=True)
class Day:
    """A day on record, as it is known now; amounts in minor units.

    bucket, category, owed: None where a night alone tells of the day. restated: how often later news changed it;
    dpd_first, bucket_first: as it was known first. step: of the night of that day, None where there was none.
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
    """The days on record of an account, the newest first. Raises StoreError."""
    with one_line(), copy_connection() as connection, connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        rows = cursor.execute(
            "SELECT as_of, dpd, bucket, class, arrears_minor, owed_minor, restated, dpd_first, bucket_first, step"
            " FROM account_history WHERE account_id = %s ORDER BY as_of DESC",
            (account_id,),
        )
        return [Day(*row) for row in rows]
