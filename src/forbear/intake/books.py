"""The books on file: which there are, and the removal of a synthetic one of which no record speaks."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from forbear.intake.errors import IntakeError
from forbear.locale import N_
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line


@dataclass(frozen=True, slots=True)
class OnFile:
    """A book: its loans, its rows in quarantine, and the day until which its contacts are on record."""

    name: str
    jurisdiction: str
    synthetic: bool
    loans: int
    kept_aside: int
    recorded_until: date | None


def books(connection: psycopg.Connection[Any]) -> list[OnFile]:
    """All books by name."""
    rows = connection.execute(
        "SELECT b.name, b.jurisdiction, b.synthetic, (SELECT count(*) FROM account a WHERE a.book_id = b.id),"
        " (SELECT count(DISTINCT (q.import_id, q.table_name, q.row_number)) FROM quarantine q"
        "   JOIN import i ON i.id = q.import_id WHERE i.book_id = b.id AND q.settled_at IS NULL), b.recorded_until"
        " FROM book b ORDER BY b.name"
    )
    return [OnFile(*row) for row in rows]


#: What speaks of a loan for good: its decisions, what was asked of the gate, its journal.
_RECORDS = ("decision", "gate_request", "account_event", "journal_transaction", "account_state")
#: What goes with a book, in this order: rows of a loan, loans, and what is the book's own.
_OF_LOANS = ("payment", "contact", "instalment", "card_terms")
_OF_BOOK = ("payment_file", "account", "borrower", "derivation", "import")


def remove(name: str) -> None:
    """Remove a synthetic book, whole. Raises IntakeError where it is a lender's, or a record speaks of its loans."""
    with one_line(), copy_connection() as connection:
        # No night meanwhile, and no row that would refer to the book.
        connection.execute("LOCK TABLE run, account, borrower IN EXCLUSIVE MODE")
        found = connection.execute("SELECT id, synthetic FROM book WHERE name = %s", (name,)).fetchone()
        if found is None:
            raise IntakeError(N_("%(book)s: there is no such book. See forbear books list."), book=name)
        book_id, synthetic = found
        if not synthetic:
            raise IntakeError(
                N_("%(book)s: is a lender's book, which is never removed. Only a synthetic book is."), book=name
            )
        for table in _RECORDS:
            query = f"SELECT FROM {table} r JOIN account a ON a.id = r.account_id WHERE a.book_id = %s LIMIT 1"
            if connection.execute(query, (book_id,)).fetchone() is not None:
                raise _on_record(name)
        joined = "SELECT FROM borrower o JOIN borrower b ON b.id = o.same_as WHERE b.book_id = %s AND o.book_id <> %s"
        if connection.execute(joined, (book_id, book_id)).fetchone() is not None:
            raise _on_record(name)
        # That nothing refers to its rows was just asked by set; the server need not look it up for each.
        may = "SELECT has_parameter_privilege('session_replication_role', 'SET')"
        if connection.execute(may).fetchone() == (True,):
            connection.execute("SET LOCAL session_replication_role = replica")
        for table in _OF_LOANS:
            connection.execute(
                f"DELETE FROM {table} r USING account a WHERE a.id = r.account_id AND a.book_id = %s", (book_id,)
            )
        connection.execute(
            "DELETE FROM quarantine q USING import i WHERE i.id = q.import_id AND i.book_id = %s", (book_id,)
        )
        for table in ("payment_file_refused", "payment_file_part"):
            connection.execute(
                f"DELETE FROM {table} r USING payment_file f WHERE f.id = r.file_id AND f.book_id = %s", (book_id,)
            )
        connection.execute("UPDATE book SET whole_import_id = NULL WHERE id = %s", (book_id,))
        for table in _OF_BOOK:
            connection.execute(f"DELETE FROM {table} WHERE book_id = %s", (book_id,))
        connection.execute("DELETE FROM book WHERE id = %s", (book_id,))
        connection.commit()


def _on_record(name: str) -> IntakeError:
    return IntakeError(
        N_(
            "%(book)s: decisions or other records speak of its loans, and they stay. Nights leave the book out as soon"
            " as a lender's book is on file."
        ),
        book=name,
    )
