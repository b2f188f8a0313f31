"""Writes a batch of rows: by COPY into temporary tables, then by sets into the tables, in one transaction.

Numbers of the lender's become ours here. What only the database can tell (a row that belongs to no
loan, a payment whose number is taken) is refused here too, and goes to quarantine with the rest.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from forbear.intake.draw import ACCOUNT_COLUMNS, BORROWER_COLUMNS, CARDS, STANDS_TWICE, Bad, Batch
from forbear.intake.mapping import OWN_FORMAT, Mapping
from forbear.intake.models import Refused, key_in
from forbear.ledger.cost import all_in_yearly
from forbear.locale import N_
from forbear.servicing.loan import LIVE
from forbear.servicing.post import restate
from forbear.servicing.repaid import ENDED

_INCOMING = {
    "borrowers": ("borrower", BORROWER_COLUMNS, ""),
    "loans": ("account", ACCOUNT_COLUMNS, ", borrower_ref text"),
    "instalments": (
        "instalment",
        ("loan_ref", "n", "due_on", "principal_minor", "interest_minor"),
        ", loan_ref text, import_id bigint",
    ),
    CARDS: (
        "card_terms",
        (
            "loan_ref",
            "first_statement_on",
            "due_days",
            "minimum_ppm",
            "minimum_floor_minor",
            "cash_minimum_ppm",
            "unpaid_only",
        ),
        ", loan_ref text",
    ),
    "card_entries": ("account_event", ("loan_ref", "key", "kind", "value_on", "detail"), ", loan_ref text"),
    "payments": ("payment", ("loan_ref", "ref", "paid_on", "amount_minor"), ", loan_ref text"),
    "contacts": ("contact", ("loan_ref", "ref", "at", "step", "outcome", "agency"), ", loan_ref text"),
}
_NO_LOAN = Refused("loan_ref", N_("belongs to no loan of this book"), N_("Take the loan in first, or mend the number."))
_NO_BORROWER = Refused("borrower_ref", N_("belongs to no borrower of this book"), N_("Take the borrower in first."))
_PAYMENT_TAKEN = Refused(
    "ref",
    N_("is the number of another payment of this loan, of another day or amount"),
    N_("A payment is never edited: send what is new under a number of its own."),
)
_ENTRY_TAKEN = Refused(
    "ref",
    N_("is the number of something else that is on file of this card"),
    N_("An entry is never edited: send what is new under a number of its own."),
)
_NO_CARD = Refused(
    "loan_ref",
    N_("is no card whose statements are told"),
    N_("Give the loan first_statement_on, due_days and minimum_rate first."),
)
_CLOSED = Refused(
    "posted_on",
    N_("lies after the day on which the debt was sold or written off"),
    N_("Nothing is drawn on it any more: mend the day, or drop the row."),
)
_CARD_SCHEDULE = Refused(
    "loan_ref",
    N_("is a card whose statements are worked out from its entries"),
    N_("Send card_entries instead, and drop the row."),
)
_CONTACT_TAKEN = N_("differs from what is on file of the contact of that number")
_CONTACT_REMEDY = N_("A contact is never edited: give this one a number of its own, and both count; or drop it.")
#: Of a row that is mended after a newer file has told of it.
PASSED_OVER = Refused("ref", N_("a newer file has told of this row since"), N_("Drop it: forbear quarantine drop."))
#: Of a row that is mended to a number of which another row has told: it never wins in silence.
TOLD_ALREADY = Refused(
    "ref",
    N_("another row has told of that number already"),
    N_("Give this one a number of its own, drop it, or send a newer file that tells of it once."),
)
_OUT_OF_ORDER = Refused(
    "due_on", N_("is not after the due date of the instalment before it"), N_("Number the instalments by date.")
)
_BEFORE_OPENING = (N_("lies before the day on which the loan was opened"), N_("Mend the day, here or in the loan."))
#: Of a loan whose schedule can't be its own: nobody is contacted about it until a person has decided which is right.
UNEQUAL = Refused(
    "principal",
    N_("is not the sum of the principal of its instalments"),
    N_("Mend the principal or the instalments, or send a newer file."),
)
OPENED_LATE = Refused(
    "opened_on", N_("lies after the due date of an instalment"), N_("Mend the day, or send a newer file.")
)


@dataclass(slots=True)
class Written:
    """What did not go into the tables: rows that the database refused; how many a newer import has told of."""

    refused: list[Bad] = field(default_factory=list)
    older: int = 0


def write(connection: psycopg.Connection[Any], book_id: int, import_id: int, batch: Batch) -> Written:
    """Put a batch of an import into the tables; what a newer import told stays. The caller commits."""
    done = Written()
    for table, rows in batch.rows.items():
        if not rows:
            continue
        target, columns, more = _INCOMING[table]
        connection.execute(f"DROP TABLE IF EXISTS incoming_{table}")
        connection.execute(f"CREATE TEMP TABLE incoming_{table} ON COMMIT DROP AS SELECT * FROM {target} WITH NO DATA")
        connection.execute(f"ALTER TABLE incoming_{table} ADD row_number bigint{_added(more)}")
        with connection.cursor().copy(f"COPY incoming_{table} ({', '.join(columns)}, row_number) FROM STDIN") as sink:
            for row in rows:
                sink.write_row(row)
        if table in _TOLD_LAST:
            connection.execute(f"UPDATE incoming_{table} SET import_id = %s", (import_id,))
            done.older += connection.execute(
                _PASS_OVER.format(table, *_TOLD_LAST[table]), (book_id, import_id)
            ).rowcount
        done.refused += _PUT[table](connection, book_id, batch)
        if table in _SAME_ROW:
            _supersede(connection, table, book_id, import_id)
    _restate(connection, batch)
    return done


#: Leave out the rows of which a newer import has told: later by the day of its picture, or of that day and later.
_PASS_OVER = (
    "DELETE FROM incoming_{0} i USING {1} x, import newer, import mine"
    " WHERE x.book_id = %s AND mine.id = %s AND x.ref = i.{2} AND newer.id = x.{3}"
    " AND (newer.taken_on, newer.id) > (mine.taken_on, mine.id)"
)
#: Of each table whose rows are brought up to date: where it stands which import told of a row last.
_TOLD_LAST = {
    "borrowers": ("borrower", "ref", "import_id"),
    "loans": ("account", "ref", "import_id"),
    "instalments": ("account", "loan_ref", "schedule_import_id"),
}


def _supersede(connection: psycopg.Connection[Any], table: str, book_id: int, import_id: int) -> None:
    """Settle what waits of older imports, where this one brought the same row and it was good."""
    connection.execute(
        "UPDATE quarantine q SET settled_at = now(), settled_how = 'superseded' FROM import i, import mine"
        " WHERE q.settled_at IS NULL AND q.table_name = %s AND i.id = q.import_id AND i.book_id = %s AND mine.id = %s"
        " AND (i.taken_on, i.id) < (mine.taken_on, mine.id)"
        " AND (q.table_name <> ALL ('{card_entries,payments,contacts}') OR q.reason <> ALL (%s))"
        f" AND EXISTS (SELECT FROM incoming_{table} n WHERE {_SAME_ROW[table]})",
        (table, book_id, import_id, [STANDS_TWICE.reason, _PAYMENT_TAKEN.reason, _ENTRY_TAKEN.reason, _CONTACT_TAKEN]),
    )


_SAME_ROW = {
    "borrowers": "n.ref = q.row_ref",
    "loans": "n.ref = q.row_ref",
    "instalments": "n.loan_ref = q.loan_ref AND n.n::text = q.row_ref",
    "card_entries": "n.loan_ref = q.loan_ref AND n.key = q.row_ref",
    "payments": "n.loan_ref = q.loan_ref AND n.ref = q.row_ref",
    "contacts": "n.loan_ref = q.loan_ref AND n.ref = q.row_ref",
}


#: What changes what an account owes.
_RESTATING = ("instalments", CARDS, "card_entries", "payments")


def _restate(connection: psycopg.Connection[Any], batch: Batch) -> None:
    """Accounts that are in the journal follow what came in for them, in the same transaction."""
    came = [f"SELECT account_id FROM incoming_{t}" for t in _RESTATING if batch.rows.get(t)]
    if came:
        query = f"SELECT DISTINCT account_id FROM account_state WHERE account_id IN ({' UNION '.join(came)})"
        restate(connection, [account_id for (account_id,) in connection.execute(query)])


def _added(more: str) -> str:
    return more.replace(", ", ", ADD ")


def _columns(names: Iterable[str], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{name}" for name in names)


def _bad(rows: Iterable[tuple[Any, ...]], table: str, batch: Batch, refused: Refused) -> list[Bad]:
    return [Bad(table, number, batch.fields[table, number], refused) for (number,) in rows]


def _upsert(target: str, columns: tuple[str, ...], key: str, told: frozenset[str] | None = None, also: str = "") -> str:
    """The end of an INSERT that brings a row up to date, and touches nothing where it is so already.

    `told` are the columns that the file has, None for all: what a file does not tell of stays as it is on file.
    `also`: what else is set.
    """
    always = ("import_id", "borrower_id")
    others = [name for name in columns if name != "ref" and (told is None or name in told or name in always)]
    return (
        f" ON CONFLICT ({key}) DO UPDATE SET ({_columns(others)}) = ROW({_columns(others, 'excluded.')}){also}"
        f" WHERE ({_columns(others, f'{target}.')}) IS DISTINCT FROM ({_columns(others, 'excluded.')})"
    )


def _borrowers(connection: psycopg.Connection[Any], book_id: int, batch: Batch) -> list[Bad]:
    columns = (*BORROWER_COLUMNS, "import_id")
    connection.execute(
        f"INSERT INTO borrower (book_id, {_columns(columns)})"
        f" SELECT %s, {_columns(columns)} FROM incoming_borrowers ORDER BY row_number"
        + _upsert("borrower", columns, "book_id, ref", batch.told.get("borrowers")),
        (book_id,),
    )
    _link_persons(connection, book_id)
    return []


def _link_persons(connection: psycopg.Connection[Any], book_id: int) -> None:
    """Point each incoming borrower at the first one with the same key, and those that it led at their new first.

    One writer at a time, so that two books that bring the same person at once can't miss each other; the
    gate waits for the rows that change, since it locks them.
    """
    touched = connection.execute(
        "SELECT count(*) FROM borrower b JOIN incoming_borrowers i ON i.ref = b.ref"
        " WHERE b.book_id = %s AND (b.person_key IS NOT NULL OR b.same_as IS NOT NULL"
        "  OR EXISTS (SELECT FROM borrower o WHERE o.same_as = b.id))",
        (book_id,),
    ).fetchone()
    if touched is None or touched[0] == 0:
        return
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('forbear.person'))")
    connection.execute(
        "WITH touched AS (SELECT b.id, b.person_key FROM borrower b JOIN incoming_borrowers i ON i.ref = b.ref"
        "  WHERE b.book_id = %s),"
        " affected AS (SELECT id FROM touched"
        "  UNION SELECT o.id FROM borrower o JOIN touched t ON o.same_as = t.id"
        "  UNION SELECT o.id FROM borrower o JOIN touched t ON o.person_key = t.person_key),"
        " led AS (SELECT b.id, (SELECT min(o.id) FROM borrower o WHERE o.person_key = b.person_key) AS first"
        "  FROM borrower b WHERE b.id IN (SELECT id FROM affected))"
        " UPDATE borrower b SET same_as = nullif(led.first, b.id) FROM led"
        " WHERE led.id = b.id AND b.same_as IS DISTINCT FROM nullif(led.first, b.id)",
        (book_id,),
    )


#: A loan of another principal, day or product has its yearly cost worked out again; every file tells of these three.
_COST_AGAIN = (
    ", all_in_ppm = CASE WHEN (account.principal_minor, account.opened_on, account.product)"
    " = (excluded.principal_minor, excluded.opened_on, excluded.product) THEN account.all_in_ppm END"
)


def _loans(connection: psycopg.Connection[Any], book_id: int, batch: Batch) -> list[Bad]:
    lost = connection.execute(
        "DELETE FROM incoming_loans l WHERE NOT EXISTS"
        " (SELECT FROM borrower b WHERE b.book_id = %s AND b.ref = l.borrower_ref) RETURNING row_number",
        (book_id,),
    ).fetchall()
    # Whether a debt was sold, written off or repaid early here, the journal tells: no file opens it again, nor gives
    # back what was sold. That a written-off one was paid off or sold meanwhile, a file may tell.
    connection.execute(
        "UPDATE incoming_loans l SET status = a.status FROM account a JOIN account_event e ON e.account_id = a.id"
        " WHERE a.book_id = %s AND a.ref = l.ref AND l.status <> a.status"
        " AND (a.status = 'sold' AND e.kind = 'sold'"
        "  OR a.status = 'charged_off' AND e.kind = 'written_off' AND l.status = 'open'"
        f"  OR a.status = 'paid_off' AND l.status IN ('open', 'charged_off') AND {ENDED}) AND {LIVE}",
        (book_id,),
    )
    columns = (*(name for name in ACCOUNT_COLUMNS if name != "borrower_ref"), "import_id")
    connection.execute(
        f"INSERT INTO account (book_id, borrower_id, {_columns(columns)})"
        f" SELECT b.book_id, b.id, {_columns(columns, 'l.')} FROM incoming_loans l"
        " JOIN borrower b ON b.book_id = %s AND b.ref = l.borrower_ref ORDER BY l.row_number"
        + _upsert("account", ("borrower_id", *columns), "book_id, ref", batch.told.get("loans"), _COST_AGAIN),
        (book_id,),
    )
    return _bad(lost, "loans", batch, _NO_BORROWER)


def _of_loans(connection: psycopg.Connection[Any], table: str, book_id: int, batch: Batch) -> list[Bad]:
    """Give the incoming rows of a loan its number of ours; those of no loan are refused."""
    connection.execute(
        f"UPDATE incoming_{table} i SET account_id = a.id FROM account a WHERE a.book_id = %s AND a.ref = i.loan_ref",
        (book_id,),
    )
    lost = connection.execute(f"DELETE FROM incoming_{table} WHERE account_id IS NULL RETURNING row_number").fetchall()
    return _bad(lost, table if (table, lost[0][0]) in batch.fields else "loans", batch, _NO_LOAN) if lost else []


def _before_opening(
    connection: psycopg.Connection[Any], table: str, day: str, batch: Batch, column: str = ""
) -> list[Bad]:
    """Nothing falls due, and nothing is paid, before the loan is there; but for what was derived."""
    if (table, batch.rows[table][0][-1]) not in batch.fields:
        return []
    early = connection.execute(
        f"DELETE FROM incoming_{table} i USING account a WHERE a.id = i.account_id AND i.{day} < a.opened_on"
        " RETURNING row_number"
    ).fetchall()
    return _bad(early, table, batch, Refused(column or day, *_BEFORE_OPENING))


def _instalments(connection: psycopg.Connection[Any], book_id: int, batch: Batch) -> list[Bad]:
    refused = _of_loans(connection, "instalments", book_id, batch)
    refused += _before_opening(connection, "instalments", "due_on", batch)
    if ("instalments", batch.rows["instalments"][0][-1]) in batch.fields:
        cards = connection.execute(
            "DELETE FROM incoming_instalments i USING card_terms c WHERE c.account_id = i.account_id"
            " RETURNING i.row_number"
        ).fetchall()
        refused += _bad(cards, "instalments", batch, _CARD_SCHEDULE)
        wrong = connection.execute(
            "DELETE FROM incoming_instalments i WHERE EXISTS (SELECT FROM incoming_instalments j"
            " WHERE j.account_id = i.account_id AND j.n < i.n AND j.due_on >= i.due_on)"
            # What is on file counts as far as this batch does not bring it anew.
            " OR EXISTS (SELECT FROM instalment j"
            " WHERE j.account_id = i.account_id AND j.n < i.n AND j.due_on >= i.due_on AND NOT EXISTS"
            " (SELECT FROM incoming_instalments k WHERE k.account_id = j.account_id AND k.n = j.n))"
            " RETURNING row_number"
        ).fetchall()
        refused += _bad(wrong, "instalments", batch, _OUT_OF_ORDER)
    connection.execute(
        "UPDATE instalment i SET removed_minor = 0 FROM incoming_instalments j WHERE i.account_id = j.account_id"
        " AND i.n = j.n AND i.removed_minor > 0 AND i.interest_minor <> j.interest_minor"
    )
    columns = ("account_id", "n", "due_on", "principal_minor", "interest_minor")
    connection.execute(
        f"INSERT INTO instalment ({_columns(columns)}) SELECT {_columns(columns)} FROM incoming_instalments"
        " ORDER BY account_id, n" + _upsert("instalment", columns[2:], "account_id, n")
    )
    # A schedule that is new or changed has its yearly cost worked out again.
    connection.execute(
        "UPDATE account SET all_in_ppm = NULL, schedule_import_id = i.import_id"
        " FROM (SELECT DISTINCT account_id, import_id FROM incoming_instalments) i WHERE id = i.account_id"
    )
    return refused


def _cards(connection: psycopg.Connection[Any], book_id: int, batch: Batch) -> list[Bad]:
    """The terms of cards whose rows were taken in; of those that a newer file told of, nothing is changed."""
    connection.execute(
        f"UPDATE incoming_{CARDS} i SET account_id = a.id FROM account a JOIN incoming_loans l ON l.ref = a.ref"
        " WHERE a.book_id = %s AND a.ref = i.loan_ref",
        (book_id,),
    )
    columns = ("account_id", *_INCOMING[CARDS][1][1:])
    # A card of which a file with states of its bills came before now has its entries instead.
    connection.execute(f"DELETE FROM instalment i USING incoming_{CARDS} c WHERE c.account_id = i.account_id")
    connection.execute(
        f"INSERT INTO card_terms ({_columns(columns)}) SELECT {_columns(columns)} FROM incoming_{CARDS}"
        " WHERE account_id IS NOT NULL ORDER BY account_id" + _upsert("card_terms", columns[1:], "account_id")
    )
    return []


def _card_entries(connection: psycopg.Connection[Any], book_id: int, batch: Batch) -> list[Bad]:
    refused = _of_loans(connection, "card_entries", book_id, batch)
    refused += _before_opening(connection, "card_entries", "value_on", batch, "posted_on")
    for wrong, why in (
        ("NOT EXISTS (SELECT FROM card_terms c WHERE c.account_id = i.account_id)", _NO_CARD),
        (
            "EXISTS (SELECT FROM account_event e WHERE e.account_id = i.account_id AND e.key = i.key"
            " AND (e.kind, e.value_on, e.detail) <> (i.kind, i.value_on, i.detail))",
            _ENTRY_TAKEN,
        ),
        (
            "EXISTS (SELECT FROM account_event e WHERE e.account_id = i.account_id AND e.value_on < i.value_on"
            f" AND e.kind IN ('sold', 'written_off') AND {LIVE})",
            _CLOSED,
        ),
    ):
        gone = connection.execute(f"DELETE FROM incoming_card_entries i WHERE {wrong} RETURNING row_number").fetchall()
        refused += _bad(gone, "card_entries", batch, why)
    connection.execute(
        "INSERT INTO account_event (account_id, key, kind, value_on, detail)"
        " SELECT account_id, key, kind, value_on, detail FROM incoming_card_entries ON CONFLICT DO NOTHING"
    )
    return refused


def _payments(connection: psycopg.Connection[Any], book_id: int, batch: Batch) -> list[Bad]:
    refused = _of_loans(connection, "payments", book_id, batch)
    refused += _before_opening(connection, "payments", "paid_on", batch)
    taken = connection.execute(
        "DELETE FROM incoming_payments i USING payment p WHERE p.account_id = i.account_id AND p.ref = i.ref"
        " AND (p.paid_on, p.amount_minor) <> (i.paid_on, i.amount_minor) RETURNING i.row_number"
    ).fetchall()
    if taken:
        table = "payments" if ("payments", taken[0][0]) in batch.fields else "loans"
        refused += _bad(taken, table, batch, _PAYMENT_TAKEN)
    connection.execute(
        "INSERT INTO payment (account_id, ref, paid_on, amount_minor)"
        " SELECT account_id, ref, paid_on, amount_minor FROM incoming_payments ON CONFLICT DO NOTHING"
    )
    return refused


def _contacts(connection: psycopg.Connection[Any], book_id: int, batch: Batch) -> list[Bad]:
    refused = _of_loans(connection, "contacts", book_id, batch)
    taken = connection.execute(
        "DELETE FROM incoming_contacts i USING contact c WHERE c.account_id = i.account_id AND c.ref = i.ref"
        " AND (c.at, c.step, c.outcome) <> (i.at, i.step, i.outcome) RETURNING i.row_number,"
        " CASE WHEN c.at <> i.at THEN 'at' WHEN c.step <> i.step THEN 'step' ELSE 'outcome' END"
    ).fetchall()
    for number, name in taken:
        refused += _bad([(number,)], "contacts", batch, Refused(name, _CONTACT_TAKEN, _CONTACT_REMEDY))
    connection.execute(
        "INSERT INTO contact (account_id, ref, at, step, outcome, agency)"
        " SELECT account_id, ref, at, step, outcome, agency FROM incoming_contacts ON CONFLICT DO NOTHING"
    )
    return refused


_PUT = {
    "borrowers": _borrowers,
    "loans": _loans,
    "instalments": _instalments,
    CARDS: _cards,
    "card_entries": _card_entries,
    "payments": _payments,
    "contacts": _contacts,
}


def _whose(mapping: Mapping, table: str, fields: dict[str, str]) -> tuple[str | None, str | None, str | None]:
    """The loan and the borrower that a row is of, and its own number; None for what can't be read of it."""

    def text(name: str) -> str | None:
        return fields.get(name, "").strip() or None

    if mapping.shape != OWN_FORMAT:
        ref = text(mapping.columns["ref"])  # one row is a loan, its borrower, and all that is of both
        return ref, ref, ref
    if table == "borrowers":
        return None, text("ref"), text("ref")
    if table == "loans":
        return text("ref"), text("borrower_ref"), text("ref")
    return text("loan_ref"), None, text("n" if table == "instalments" else "ref")


def keep_aside(connection: psycopg.Connection[Any], import_id: int, mapping: Mapping, bad: Iterable[Bad]) -> int:
    """Put refused rows into quarantine; how many rows that are. The caller commits."""
    rows = set()
    for each in bad:
        rows.add((each.table, each.row_number))
        connection.execute(
            "INSERT INTO quarantine (import_id, table_name, row_number, field, reason, remedy, row,"
            " loan_ref, borrower_ref, row_ref, person_key)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                import_id,
                each.table,
                each.row_number,
                each.refused.field,
                each.refused.reason,
                each.refused.remedy,
                json.dumps(each.fields, ensure_ascii=False),
                *_whose(mapping, each.table, each.fields),
                key_in(each.fields.get("person_key", "")) if each.table == "borrowers" else None,
            ),
        )
    return len(rows)


def told_again(connection: psycopg.Connection[Any], book_id: int, import_id: int) -> None:
    """Settle what waits of older imports, where the same row waits of this one for the same reason: once is enough."""
    connection.execute(
        "UPDATE quarantine q SET settled_at = now(), settled_how = 'superseded'"
        " FROM import i, import mine, quarantine n"
        " WHERE q.settled_at IS NULL AND i.id = q.import_id AND i.book_id = %s AND mine.id = %s"
        " AND (i.taken_on, i.id) < (mine.taken_on, mine.id) AND n.import_id = mine.id AND n.settled_at IS NULL"
        " AND (n.table_name, n.field, n.reason) = (q.table_name, q.field, q.reason) AND n.row = q.row"
        " AND (n.loan_ref, n.borrower_ref, n.row_ref) IS NOT DISTINCT FROM (q.loan_ref, q.borrower_ref, q.row_ref)"
        " AND q.row <> '{}'",
        (book_id, import_id),
    )


def told_already(
    connection: psycopg.Connection[Any], book_id: int, import_id: int, table: str, key: tuple[str, ...], another: bool
) -> bool:
    """Has another row told of the number that a row has after its mending?

    another: the number is another than the row had, or stood in its file twice: then no row at all may have told of
    it. Else it may be on file from other imports, which this row brings up to date. What is never edited is refused
    by `write`.
    """
    if table == "instalments":
        query = "SELECT FROM instalment i JOIN account a ON a.id = i.account_id WHERE a.ref = %s AND i.n::text = %s"
        query += " AND a.book_id = %s AND %s"
    elif table in ("borrowers", "loans"):
        target = "borrower" if table == "borrowers" else "account"
        query = f"SELECT FROM {target} WHERE ref = %s AND book_id = %s AND (%s OR import_id = {import_id:d})"
    else:
        return False
    return connection.execute(query, (*key, book_id, another)).fetchone() is not None


def in_doubt(connection: psycopg.Connection[Any], book_id: int, loan_ref: str | None = None) -> dict[str, Refused]:
    """The loans whose schedule can't be theirs, each with what is wrong: of one loan, or of all of a book.

    A loan without instalments is in no doubt, nor is one whose schedule was derived, or that is no longer open.
    """
    found = connection.execute(
        "SELECT a.ref, a.opened_on > min(i.due_on) FROM account a JOIN instalment i ON i.account_id = a.id"
        " WHERE a.book_id = %s AND a.product = 'instalment' AND a.status = 'open' AND a.derived = '{}'"
        " AND (%s::text IS NULL OR a.ref = %s)"
        " GROUP BY a.id HAVING sum(i.principal_minor) <> a.principal_minor OR a.opened_on > min(i.due_on)",
        (book_id, loan_ref, loan_ref),
    )
    return {ref: OPENED_LATE if late else UNEQUAL for ref, late in found}


def waiting_loans(
    connection: psycopg.Connection[Any], book_id: int, but: tuple[int, str, int] = (0, "", 0)
) -> frozenset[str]:
    """The loans of which their row or one of their instalments waits; without the row `but`: import, table, number."""
    found = connection.execute(
        "SELECT DISTINCT q.loan_ref FROM quarantine q JOIN import i ON i.id = q.import_id"
        " WHERE i.book_id = %s AND q.table_name IN ('loans', 'instalments') AND q.settled_at IS NULL"
        " AND q.loan_ref IS NOT NULL AND (q.import_id, q.table_name, q.row_number) <> (%s, %s, %s)",
        (book_id, *but),
    )
    return frozenset(ref for (ref,) in found)


def price(connection: psycopg.Connection[Any], book_id: int) -> None:
    """Work out the all-in yearly cost of the loans that have a schedule and no cost yet. The caller commits.

    A card costs its rate: what is charged by days, without interest on it; late fees come on top of it only as far as
    the ceiling lets them (ledger/card.py).
    """
    connection.execute(
        "UPDATE account a SET all_in_ppm = a.annual_rate_ppm FROM card_terms c WHERE c.account_id = a.id"
        " AND a.book_id = %s AND a.all_in_ppm IS DISTINCT FROM a.annual_rate_ppm",
        (book_id,),
    )
    found = connection.execute(
        "SELECT a.id, a.opened_on, a.principal_minor, array_agg(i.due_on ORDER BY i.n),"
        " array_agg(i.principal_minor + i.interest_minor ORDER BY i.n)"
        " FROM account a JOIN instalment i ON i.account_id = a.id"
        " WHERE a.book_id = %s AND a.all_in_ppm IS NULL AND a.product = 'instalment' GROUP BY a.id",
        (book_id,),
    ).fetchall()
    connection.execute("CREATE TEMP TABLE priced (id bigint, ppm bigint) ON COMMIT DROP")
    with connection.cursor().copy("COPY priced FROM STDIN") as sink:
        for account_id, opened_on, principal, days, amounts in found:
            sink.write_row((account_id, all_in_yearly(opened_on, principal, list(zip(days, amounts, strict=True)))))
    connection.execute("UPDATE account a SET all_in_ppm = p.ppm FROM priced p WHERE p.id = a.id AND p.ppm IS NOT NULL")
