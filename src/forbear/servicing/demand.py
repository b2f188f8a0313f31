"""Holds loans to the ceiling on their yearly cost: what it removes is written beside the contract, for all who demand.

`instalment.interest_minor` and `account.penalty_rate_ppm` are the contract's, `removed_minor` and `removed_penalty_ppm`
what the ceiling takes off. Journal, statement, night and gate all demand the difference, so that they can't disagree.
The lowest ceiling whose figure is on file decides; the all-in cost is held by the schedule (ledger/excess.py), and what
accrues on what is overdue by the penalty rate itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from forbear.ledger.excess import Capped, Part, capped
from forbear.ledger.models import LedgerError
from forbear.rulebook.book import Rulebook
from forbear.rulebook.cap import lowest_known
from forbear.servicing.loan import Loan, read
from forbear.servicing.post import restate
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line

#: Loans asked about, and of these loans read, at a time.
_PART, _CHUNK = 100_000, 2_000


@dataclass(frozen=True, slots=True)
class Held:
    """How many loans a ceiling cuts now, and how many of them demand something else than before."""

    cut: int
    changed: int


def keep_lawful(rulebook: Rulebook) -> Held:
    """Hold every book that was not yet held by this very rulebook, each in a commit of its own. Raises StoreError."""
    cut = changed = 0
    with one_line(), copy_connection() as connection:
        books = connection.execute(
            "SELECT id FROM book WHERE held_sha256 IS DISTINCT FROM %s ORDER BY id", (rulebook.sha256,)
        ).fetchall()
        for (book_id,) in books:
            found = hold_book(connection, book_id, rulebook)
            connection.commit()
            cut, changed = cut + found.cut, changed + found.changed
    return Held(cut, changed)


def hold_book(connection: psycopg.Connection[Any], book_id: int, rulebook: Rulebook) -> Held:
    """Hold the loans of a book, and restate those in the journal that now demand something else. The caller commits."""
    connection.execute("SELECT FROM book WHERE id = %s FOR NO KEY UPDATE", (book_id,))
    ids = [id_ for (id_,) in connection.execute("SELECT id FROM account WHERE book_id = %s ORDER BY id", (book_id,))]
    found = [
        id_ for start in range(0, len(ids), _PART) for id_ in hold(connection, ids[start : start + _PART], rulebook)
    ]
    connection.execute("UPDATE book SET held_sha256 = %s WHERE id = %s", (rulebook.sha256, book_id))
    posted = connection.execute("SELECT DISTINCT account_id FROM account_state WHERE account_id = ANY(%s)", (found,))
    restate(connection, [id_ for (id_,) in posted.fetchall()])
    cut = connection.execute(
        "SELECT count(*) FROM account a WHERE book_id = %s AND (removed_penalty_ppm > 0"
        " OR EXISTS (SELECT FROM instalment i WHERE i.account_id = a.id AND removed_minor > 0))",
        (book_id,),
    ).fetchone()
    assert cut is not None
    return Held(cut[0], len(found))


def hold(connection: psycopg.Connection[Any], account_ids: Sequence[int], rulebook: Rulebook) -> list[int]:
    """Write what the ceilings remove of these accounts; the numbers of those that now demand something else."""
    kinds = connection.execute(
        "SELECT DISTINCT b.jurisdiction, b.lender_type, a.opened_on FROM account a JOIN book b ON b.id = a.book_id"
        " WHERE a.id = ANY(%s)",
        (list(account_ids),),
    ).fetchall()
    caps = [(*kind, cap.ppm if (cap := lowest_known(rulebook, *kind)) else None) for kind in kinds]
    columns = [list(column) for column in zip(*caps, strict=True)] or [[]] * 4
    connection.execute("DROP TABLE IF EXISTS ceiling")
    connection.execute(
        "CREATE TEMP TABLE ceiling ON COMMIT DROP AS SELECT a.id, c.ppm FROM account a JOIN book b ON b.id = a.book_id"
        " JOIN unnest(%s::text[], %s::text[], %s::date[], %s::bigint[])"
        " AS c (jurisdiction, lender_type, opened_on, ppm)"
        " USING (jurisdiction, lender_type, opened_on) WHERE a.id = ANY(%s)",
        (*columns, list(account_ids)),
    )
    changed = {
        id_
        for (id_,) in connection.execute(
            "UPDATE account a SET removed_penalty_ppm = coalesce(greatest(a.penalty_rate_ppm - c.ppm, 0), 0)"
            " FROM ceiling c WHERE c.id = a.id"
            " AND a.removed_penalty_ppm <> coalesce(greatest(a.penalty_rate_ppm - c.ppm, 0), 0) RETURNING a.id"
        )
    }
    # A card has no schedule to cut: its charges are held to the ceiling as they arise (ledger/card.py).
    changed |= {
        id_
        for (id_,) in connection.execute(
            "UPDATE card_terms t SET ceiling_ppm = c.ppm FROM ceiling c WHERE c.id = t.account_id"
            " AND t.ceiling_ppm IS DISTINCT FROM c.ppm RETURNING t.account_id"
        )
    }
    # A loan whose all-in cost is known and no more than its ceiling has nothing to be removed.
    asked = connection.execute(
        "SELECT a.id, c.ppm FROM account a JOIN ceiling c ON c.id = a.id WHERE a.product = 'instalment'"
        " AND (coalesce(a.all_in_ppm, c.ppm + 1) > c.ppm"
        "  OR EXISTS (SELECT FROM instalment i WHERE i.account_id = a.id AND i.removed_minor > 0)) ORDER BY a.id"
    ).fetchall()
    for start in range(0, len(asked), _CHUNK):
        part = dict(asked[start : start + _CHUNK])
        rows = []
        for loan in read(connection, list(part)).values():
            held = ceiling_of(loan, part[loan.id])
            removed = [line.excess for line in held.lines] if held else [0] * len(loan.schedule)
            if removed != list(loan.removed):
                rows += [(loan.id, n, minor) for n, minor in zip(loan.numbers, removed, strict=True)]
                changed.add(loan.id)
        connection.execute(
            "UPDATE instalment i SET removed_minor = r.removed"
            " FROM unnest(%s::bigint[], %s::int[], %s::bigint[]) AS r (id, n, removed)"
            " WHERE i.account_id = r.id AND i.n = r.n AND i.removed_minor <> r.removed",
            [list(column) for column in zip(*rows, strict=True)] or [[]] * 3,
        )
    return sorted(changed)


def ceiling_of(loan: Loan, cap_ppm: int | None) -> Capped | None:
    """The contract's schedule held to a ceiling; None where there is none, or the loan costs no more."""
    if cap_ppm is None or loan.terms is None:
        return None
    lines = [Part(line.due_on, line.principal, line.interest) for line in loan.contract]
    try:
        return capped([(loan.terms.opened_on, loan.terms.principal)], lines, cap_ppm)
    except LedgerError:  # no cost can be told of it: a schedule that is not whole, or no loan
        return None
