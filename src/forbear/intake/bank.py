"""A bank's file of payments: posted durably, many to a commit, bad rows kept aside, and gone on with after a kill.

The accounts are dealt out among the parts of the file, each with its own process and connection. A commit holds the
payments of a chunk, what was refused of it and how far its part has come, or nothing of these. A key that is on file
counts once, whoever brought it, so that a file may be sent again as often as one likes.
"""

import gc
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb

from forbear.intake.errors import IntakeError
from forbear.intake.source import Row, Source, open_source
from forbear.ledger.models import Paid
from forbear.locale import LANGUAGES, N_, SOURCE
from forbear.servicing.amounts import minor
from forbear.servicing.errors import KeyUsed, ServicingError
from forbear.servicing.post import Posting, Receipt, Refusal, connect, lock, post_within
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line

COLUMNS = ("loan_ref", "ref", "paid_on", "amount")
#: Payments to a commit.
CHUNK = 2_000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: Signs in the number of a payment.
MAX_REF = 200
#: Between two tellings of how far the parts of a file have come.
PROGRESS_SECONDS = 0.5
#: From this many rows on, a file has a part for each core.
LARGE = 10_000


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a file: rows in it; payments posted; those on file before; refused: (row number, one line)."""

    rows: int
    posted: int
    again: int
    refused: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """What a process is told of the file."""

    source: Source
    file_id: int
    book_id: int
    currency: str
    parts: int
    as_of: date | None
    chunk: int
    lang: str


def post_file(
    path: Path,
    book: str | None = None,
    as_of: date | None = None,
    workers: int | None = None,
    chunk: int = CHUNK,
    lang: str = SOURCE,
    progress: Callable[[int, int], None] = lambda done, rows: None,
) -> Posted:
    """Post the payments of a CSV or Parquet file with the columns `COLUMNS`; others are passed over.

    Good rows are posted, bad ones kept aside. When it ends, all of it is on disk. When it raises or dies, what was
    committed stands: send the file again, and it goes on from there. A file that was finished is gone through again.

    Args:
        book: the name of the loans' book; needed where there are several.
        as_of: the local day on which the payments became known; each borrower's own today if left out.
        workers: processes for a file that was not begun before; one for each core if left out and the file is large.
        lang: the language in which it is told, and kept, why a row was refused.
        progress: told, as it goes, how many rows are on disk, and how many the file has.

    Raises IntakeError where the file can't be used (nothing was kept), StoreError where the database is away.
    """
    source = open_source(path)
    missing = [name for name in COLUMNS if name not in source.columns]
    if missing:
        raise IntakeError(
            N_("%(path)s: there is no column %(missing)s. The columns are %(columns)s."),
            path=path,
            missing=", ".join(missing),
            columns=", ".join(COLUMNS),
        )
    wanted = workers or (os.cpu_count() or 1 if source.rows >= LARGE else 1)
    with one_line():
        job = _begin(source, book, as_of, wanted, chunk, lang)
        if job.parts == 1:
            _run(job, 0, lambda done: progress(done, source.rows))
        else:
            # A forked process has all its modules; no connection of the parent's is open, and none is inherited in use.
            how = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
            with ProcessPoolExecutor(job.parts, mp_context=how) as pool:
                running = [pool.submit(_run, job, part) for part in range(job.parts)]
                while wait(running, PROGRESS_SECONDS).not_done:
                    progress(_on_disk(job), source.rows)
                for ended in running:
                    ended.result()
        return _end(job)


def _begin(source: Source, book: str | None, as_of: date | None, workers: int, chunk: int, lang: str) -> _Job:
    with copy_connection() as connection:
        books = connection.execute(
            "SELECT id, currency, name FROM book WHERE name = coalesce(%s, name) ORDER BY name", (book,)
        ).fetchall()
        if not books:
            raise IntakeError(N_("There is no such book. Take its loans in first: forbear import."))
        if len(books) > 1:
            raise IntakeError(
                N_("There are several books: add --book, one of %(books)s."),
                books=", ".join(name for *_, name in books),
            )
        book_id, currency, _ = books[0]
        connection.execute(
            "INSERT INTO payment_file (book_id, file_name, file_sha256, parts) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (book_id, source.path.name, source.sha256, workers),
        )
        row = connection.execute(
            "SELECT id, parts, finished_at IS NOT NULL FROM payment_file WHERE book_id = %s AND file_sha256 = %s"
            " FOR UPDATE",
            (book_id, source.sha256),
        ).fetchone()
        assert row is not None
        file_id, parts, finished = row
        if finished:
            connection.execute("UPDATE payment_file SET finished_at = NULL WHERE id = %s", (file_id,))
            connection.execute("DELETE FROM payment_file_refused WHERE file_id = %s", (file_id,))
            connection.execute("DELETE FROM payment_file_part WHERE file_id = %s", (file_id,))
        connection.execute(
            "INSERT INTO payment_file_part (file_id, part) SELECT %s, generate_series(0, %s - 1)"
            " ON CONFLICT DO NOTHING",
            (file_id, parts),
        )
    return _Job(source, file_id, book_id, currency, parts, as_of, chunk, lang)


def _on_disk(job: _Job) -> int:
    with copy_connection() as connection:
        row = connection.execute(
            "SELECT sum(rows_done)::bigint FROM payment_file_part WHERE file_id = %s", (job.file_id,)
        ).fetchone()
    assert row is not None
    return int(row[0])


def _end(job: _Job) -> Posted:
    with copy_connection() as connection:
        connection.execute("UPDATE payment_file SET finished_at = now() WHERE id = %s", (job.file_id,))
        row = connection.execute(
            "SELECT sum(posted)::bigint, sum(again)::bigint FROM payment_file_part WHERE file_id = %s", (job.file_id,)
        ).fetchone()
        refused = connection.execute(
            "SELECT row_number, reason FROM payment_file_refused WHERE file_id = %s ORDER BY 1", (job.file_id,)
        ).fetchall()
    assert row is not None
    found = Posted(job.source.rows, row[0], row[1], tuple(refused))
    assert found.posted + found.again + len(found.refused) == found.rows, (
        "a row of the file was neither posted nor kept"
    )
    return found


# ---- a part -----------------------------------------------------------------------------------------


def _run(job: _Job, part: int, told: Callable[[int], None] = lambda done: None) -> None:
    """Post the rows of one part, chunk after chunk; after each, how many of its rows are on disk is told."""
    rows, at = _rows(job, part), 0
    # What a chunk makes is freed by its counts of references; to look through it for cycles finds none, and takes long.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with one_line(), connect() as connection:
            while chunk := list(islice(rows, job.chunk)):
                with connection.transaction():
                    done = _done(connection, job, part)
                    _post(connection, job, part, chunk[max(0, done - at) :])
                at += len(chunk)
                told(at)
    finally:
        if collecting:
            gc.enable()


def _rows(job: _Job, part: int) -> Iterator[Row]:
    for row in job.source.read():
        if job.parts == 1 or crc32((row.fields or {}).get("loan_ref", "").encode()) % job.parts == part:
            yield row


def _done(connection: psycopg.Connection[Any], job: _Job, part: int) -> int:
    """How many rows of the part are on disk; whoever else posts the same file waits here."""
    row = connection.execute(
        "SELECT rows_done FROM payment_file_part WHERE file_id = %s AND part = %s FOR UPDATE", (job.file_id, part)
    ).fetchone()
    assert row is not None
    return int(row[0])


def _post(connection: psycopg.Connection[Any], job: _Job, part: int, rows: Sequence[Row]) -> None:
    if not rows:
        return
    gettext = LANGUAGES[job.lang].catalogue.gettext
    refused: list[tuple[Row, str]] = []
    by_day: dict[date, list[tuple[Row, Posting]]] = {}
    accounts = _accounts(
        connection, job, {row.fields["loan_ref"].strip() for row in rows if row.fields and _storable(row)}
    )
    for row in rows:
        try:
            day, posting = _read(row, job, accounts)
        except ServicingError as error:
            refused.append((row, error.told(gettext)))
        else:
            by_day.setdefault(day, []).append((row, posting))
    posted = again = 0
    with connection.pipeline():
        if len(by_day) > 1:
            lock(connection, sorted({p.account_id for pairs in by_day.values() for _, p in pairs}))
        for day, pairs in by_day.items():
            answers = post_within(connection, [posting for _, posting in pairs], day)
            for (row, _), answer in zip(pairs, answers, strict=True):
                posted += isinstance(answer, Receipt)
                again += answer is None
                if isinstance(answer, Refusal):
                    refused.append((row, _of_column(answer.error).told(gettext)))
        connection.cursor().executemany(
            "INSERT INTO payment_file_refused (file_id, row_number, reason, row) VALUES (%s, %s, %s, %s)",
            [(job.file_id, row.number, said, _kept(row)) for row, said in refused],
        )
        connection.execute(
            "UPDATE payment_file_part SET rows_done = rows_done + %s, posted = posted + %s, again = again + %s"
            " WHERE file_id = %s AND part = %s",
            (len(rows), posted, again, job.file_id, part),
        )


def _of_column(error: ServicingError) -> ServicingError:
    """A refusal, by the file's own column where it is about one."""
    if not isinstance(error, KeyUsed):
        return error
    return ServicingError(
        N_("ref: %(ref)s is the number of a payment of this loan of another day or amount. Give each its own number."),
        ref=error.values["event"],
    )


def _storable(row: Row) -> bool:
    return row.fields is not None and not any("\0" in value for value in row.fields.values())


def _kept(row: Row) -> Jsonb:
    """A row as PostgreSQL can keep it, which knows no NUL."""
    return Jsonb({name: value.replace("\0", "\ufffd") for name, value in (row.fields or {}).items()})


def _accounts(connection: psycopg.Connection[Any], job: _Job, refs: set[str]) -> Mapping[str, tuple[int, date]]:
    """{the lender's number: (account, the day on which its payments became known)}."""
    rows = connection.execute(
        "SELECT a.ref, a.id, coalesce(split_part(w.zones, '|', 1), 'UTC') FROM account a"
        " JOIN borrower w ON w.id = a.borrower_id WHERE a.book_id = %s AND a.ref = ANY(%s)",
        (job.book_id, list(refs)),
    ).fetchall()
    days = {zone: job.as_of or datetime.now(ZoneInfo(zone)).date() for zone in {zone for *_, zone in rows}}
    return {ref: (id_, days[zone]) for ref, id_, zone in rows}


def _read(row: Row, job: _Job, accounts: Mapping[str, tuple[int, date]]) -> tuple[date, Posting]:
    """The posting of a row. Raises ServicingError, naming the field and the remedy."""
    if row.fields is None:
        raise ServicingError(N_("row: it has more or fewer fields than the heading. Mend it."))
    if not _storable(row):
        raise ServicingError(N_("row: it holds a NUL byte. Mend it, or fetch the file again."))
    loan_ref, ref, paid_on, amount = (row.fields[name].strip() for name in COLUMNS)
    if not loan_ref:
        raise ServicingError(N_("loan_ref: it is empty. Give the lender's number of the loan."))
    if loan_ref not in accounts:
        raise ServicingError(
            N_("loan_ref: it is the number of no loan of this book. Take the loan in first, or mend it.")
        )
    if not ref:
        raise ServicingError(N_("ref: the payment has no number of its own. Give it one, so that it counts once."))
    if len(ref) > MAX_REF:
        raise ServicingError(
            N_("ref: the payment has a number of more than %(most)s signs. Give it a shorter one."), most=MAX_REF
        )
    try:
        # Python itself takes other forms, too: 20260310, 2026-W11-2.
        on = date.fromisoformat(paid_on if _DAY.fullmatch(paid_on) else "")
    except ValueError:
        raise ServicingError(N_("paid_on: '%(day)s' is no day. Write it as 2026-03-10."), day=paid_on) from None
    account_id, day = accounts[loan_ref]
    if on > day:
        raise ServicingError(
            N_("paid_on: %(on)s lies after %(day)s, the day of the file. Mend it, or send the file on that day."),
            on=on,
            day=day,
        )
    return day, Posting(account_id, Paid(ref, on, minor(amount, job.currency)))
