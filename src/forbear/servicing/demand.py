"""Holds loans to the ceiling on their yearly cost: what it removes is written beside the contract, for all who demand.

The table `ceiling` keeps the lowest ceiling whose figure is on file, for each day on which a book's loans were made; to
it the ledger holds the penalty rate, the late fee beside it and the interest of a new schedule (ledger/state.py). The
all-in cost is held by the contract's schedule (ledger/excess.py): `instalment.removed_minor` is what it takes off
`interest_minor`. Journal, statement, night and gate all read both, so that they can't disagree.
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
    changed = _keep_ceilings(connection, book_id, rulebook)
    ids = [id_ for (id_,) in connection.execute("SELECT id FROM account WHERE book_id = %s ORDER BY id", (book_id,))]
    for start in range(0, len(ids), _PART):
        changed.update(hold(connection, ids[start : start + _PART]))
    connection.execute("UPDATE book SET held_sha256 = %s WHERE id = %s", (rulebook.sha256, book_id))
    posted = connection.execute(
        "SELECT DISTINCT account_id FROM account_state WHERE account_id = ANY(%s)", (sorted(changed),)
    )
    restate(connection, [id_ for (id_,) in posted.fetchall()])
    cut = connection.execute(
        "SELECT count(*) FROM account a LEFT JOIN ceiling c USING (book_id, opened_on) WHERE book_id = %s AND"
        " (a.penalty_rate_ppm > c.ppm OR EXISTS"
        "  (SELECT FROM instalment i WHERE i.account_id = a.id AND removed_minor > 0))",
        (book_id,),
    ).fetchone()
    assert cut is not None
    return Held(cut[0], len(changed))


def _keep_ceilings(connection: psycopg.Connection[Any], book_id: int, rulebook: Rulebook) -> set[int]:
    """Keep the ceilings of a book's loans; the accounts that demand something else by them, schedules left aside."""
    days = connection.execute(
        "SELECT b.jurisdiction, b.lender_type, d.opened_on, c.ppm FROM book b,"
        " LATERAL (SELECT DISTINCT opened_on FROM account WHERE book_id = b.id) d"
        " LEFT JOIN ceiling c ON c.book_id = %(id)s AND c.opened_on = d.opened_on WHERE b.id = %(id)s",
        {"id": book_id},
    ).fetchall()
    moved = []
    for place, lender_type, opened_on, before in days:
        cap = lowest_known(rulebook, place, lender_type, opened_on)
        if (ppm := cap.ppm if cap else None) != before:
            moved.append((opened_on, before, ppm))
    connection.execute(
        "DELETE FROM ceiling WHERE book_id = %s AND opened_on = ANY(%s)", (book_id, [day for day, *_ in moved])
    )
    now = [(day, ppm) for day, _, ppm in moved if ppm is not None]
    connection.execute(
        "INSERT INTO ceiling SELECT %s, * FROM unnest(%s::date[], %s::bigint[])",
        (book_id, *([list(column) for column in zip(*now, strict=True)] or [[], []])),
    )
    # A card has no schedule to cut: its charges are held to the ceiling as they arise (ledger/card.py).
    rows = connection.execute(
        "SELECT a.id FROM account a JOIN unnest(%s::date[], %s::bigint[], %s::bigint[]) AS m (opened_on, before, now)"
        " USING (opened_on) WHERE a.book_id = %s AND (a.late_fee_minor > 0 OR a.late_fee_ppm > 0"
        "  OR least(a.penalty_rate_ppm, m.before) <> least(a.penalty_rate_ppm, m.now) OR EXISTS (SELECT FROM"
        "  account_event e WHERE e.account_id = a.id AND e.kind IN ('rescheduled', 'rate_changed'))"
        "  OR EXISTS (SELECT FROM card_terms c WHERE c.account_id = a.id))",
        (*([list(column) for column in zip(*moved, strict=True)] or [[], [], []]), book_id),
    )
    return {id_ for (id_,) in rows}


def hold(connection: psycopg.Connection[Any], account_ids: Sequence[int]) -> list[int]:
    """Write what the ceilings take off the schedules of these accounts; the numbers of those whose schedule changed."""
    changed = set()
    # A loan whose all-in cost is known and no more than its ceiling has nothing to be removed.
    asked = connection.execute(
        "SELECT a.id, c.ppm FROM account a LEFT JOIN ceiling c USING (book_id, opened_on)"
        " WHERE a.id = ANY(%s) AND a.product = 'instalment' AND (coalesce(a.all_in_ppm, c.ppm + 1) > c.ppm"
        "  OR EXISTS (SELECT FROM instalment i WHERE i.account_id = a.id AND i.removed_minor > 0)) ORDER BY a.id",
        (list(account_ids),),
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
