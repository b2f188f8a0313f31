"""Finds an account by the lender's own number, and what a rim needs to speak of it."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import psycopg

from forbear.locale import N_
from forbear.servicing.errors import ServicingError
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line


@dataclass(frozen=True, slots=True)
class Found:
    """An account. `zone` is the borrower's, UTC where none is known."""

    id: int
    currency: str
    zone: str

    def today(self) -> date:
        """The borrower's local day at this moment."""
        return datetime.now(ZoneInfo(self.zone)).date()


def find(ref: str, book: str | None) -> Found:
    """The account with the lender's number `ref`, in the book of that name where it is given.

    Raises ServicingError where there is none, or several books have one.
    """
    with one_line(), copy_connection() as connection, connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        rows = cursor.execute(
            "SELECT a.id, b.currency, coalesce(split_part(w.zones, '|', 1), 'UTC'), b.name FROM account a"
            " JOIN book b ON b.id = a.book_id JOIN borrower w ON w.id = a.borrower_id"
            " WHERE a.ref = %s ORDER BY b.name",
            (ref,),
        ).fetchall()
    if not rows:
        raise ServicingError(
            N_("There is no account of that number. The console's work list shows the numbers on file.")
        )
    if book is not None:
        known, rows = [row[3] for row in rows], [row for row in rows if row[3] == book]
        if not rows:
            raise ServicingError(
                N_("Book %(book)s has no account of that number; %(known)s has. Mend --book."),
                book=repr(book),
                known=", ".join(known),
            )
    if len(rows) > 1:
        names = ", ".join(row[3] for row in rows)
        raise ServicingError(
            N_("Several books have an account of that number: add --book, one of %(names)s."), names=names
        )
    return Found(*rows[0][:3])
