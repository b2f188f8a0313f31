"""Writes a synthetic book into the database, in one transaction: it is there whole, or not at all.

A chunk is drawn while the one before it is written, by COPY of Arrow batches. If the process is
killed, the server takes the whole transaction back, and the same command begins anew.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from forbear.ledger.allocate import default_order
from forbear.locale import N_
from forbear.rulebook.load import load
from forbear.servicing.demand import hold_book
from forbear.store import tables
from forbear.store.engine import arrow_connection, copy_connection, engine
from forbear.store.errors import one_line
from forbear.synth.draw import Chunk, Request, draw
from forbear.synth.errors import SynthError
from forbear.synth.parameters import VERSION

#: Every synthetic book's name begins so.
PREFIX = "synthetic-"
#: Parents before children.
TABLES = ("borrower", "account", "instalment", "payment", "contact")
#: The code under which the book's page says how it came to be.
_CODE = "synthetic"


@dataclass(frozen=True)
class Written:
    """A book that is in the database. `again` is set where it had been written before; rows are by table."""

    book_id: int
    name: str
    rows: dict[str, int]
    again: bool


def book_name(request: Request, name: str | None = None) -> str:
    """The name of the book: as given, with the prefix, or made of what was asked for."""
    if name is None:
        place = request.parameters.jurisdiction
        name = f"{place}-{request.accounts}-s{request.seed}-{request.as_of}"
    return name if name.startswith(PREFIX) else PREFIX + name


def write(
    request: Request,
    name: str | None = None,
    lender_type: str | None = None,
    collector: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Written:
    """Draw the book and write it; `progress` is told the accounts written so far.

    Args:
        name: the book's name (see book_name).
        lender_type, collector: words of the vocabulary; None: what is usual in the place's parameters.

    Raises SynthError where an argument is no such word or another book has that name, StoreError where
    the database is away or full.
    """
    name = book_name(request, name)
    lender_type = _word("lender-type", lender_type or request.parameters.lender_type, "lender_type")
    collector = _word("collector", collector or request.parameters.collector, "collector")
    how = _how(request, lender_type, collector)
    with one_line(), arrow_connection() as connection, connection.cursor() as cursor:
        # One synthetic book at a time, so that two of the same name can't pass each other by.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('forbear.synth'))")
        if (earlier := _earlier(cursor, name, how)) is not None:
            return Written(earlier, name, {}, again=True)
        book_id = _book(cursor, request, name, lender_type, collector, how)
        by_set = _check_by_set(cursor)
        rows = dict.fromkeys(TABLES, 0)
        done = 0
        for chunk in _ahead(request):
            for table, count in _put(cursor, chunk, book_id, by_set).items():
                rows[table] += count
            done += chunk.accounts
            progress(done)
        connection.commit()
    with one_line(), engine().connect().execution_options(isolation_level="AUTOCOMMIT") as plain:
        # The planner's figures would come by themselves, but later than the first night.
        plain.execute(sa.text(f"ANALYZE book, {', '.join(TABLES)}"))
    # As at the end of an import: no schedule demands more than the ceiling.
    with one_line(), copy_connection() as writing:
        hold_book(writing, book_id, load())
        writing.commit()
    return Written(book_id, name, rows, again=False)


def _ahead(request: Request) -> Iterator[Chunk]:
    """The chunks in order, one drawn ahead of the one in hand."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        drawn = pool.submit(draw, request, 0)
        for number in range(1, request.chunks + 1):
            chunk = drawn.result()
            if number < request.chunks:
                drawn = pool.submit(draw, request, number)
            yield chunk


# ---- the book's own rows ----------------------------------------------------------------------------


def _word(option: str, given: str, fact: str) -> str:
    values = load().vocabulary.facts[fact].values
    if given not in values:
        raise SynthError(
            N_("--%(option)s %(given)s: no such word; give one of %(known)s."),
            option=option,
            given=given,
            known=", ".join(values),
        )
    return given


def _how(request: Request, lender_type: str, collector: str) -> str:
    """How the book was drawn, in each language: kept with the book, and the proof that two are the same."""
    asked = (
        f"forbear synth --accounts {request.accounts} --jurisdiction {request.parameters.jurisdiction}"
        f" --seed {request.seed} --as-of {request.as_of} --lender-type {lender_type} --collector {collector}"
    )
    return json.dumps(
        {
            "zh-Hans": f"合成数据，并非真实借款人；由生成器第 {VERSION} 版生成：{asked}",
            "zh-Hant": f"合成資料，並非真實借款人；由產生器第 {VERSION} 版產生：{asked}",
            "en": f"Synthetic: no real borrower. Drawn by version {VERSION} of the generator: {asked}",
        },
        ensure_ascii=False,
        sort_keys=True,
    )


def _earlier(cursor: Any, name: str, how: str) -> int | None:
    """The id of this very book, if it is there; another book of the same name is refused."""
    cursor.execute(
        "SELECT book.id, derivation.text = $2::jsonb FROM book"
        " LEFT JOIN derivation ON book_id = book.id AND code = $3 WHERE name = $1",
        (name, how, _CODE),
    )
    found = cursor.fetchone()
    if found is None:
        return None
    if not found[1]:
        raise SynthError(
            N_(
                "--name %(name)s: a book of that name is there, drawn otherwise. Give another name, or the same"
                " options."
            ),
            name=name,
        )
    return int(found[0])


def _book(cursor: Any, request: Request, name: str, lender_type: str, collector: str, how: str) -> int:
    p = request.parameters
    order = default_order(p.jurisdiction)
    cursor.execute(
        "INSERT INTO book (name, jurisdiction, lender_type, collector, currency, synthetic, history_from, snapshot_on,"
        " recorded_until, allocation_order)"
        " VALUES ($1, $2, $3, $4, $5, true, $6::date - $7::int, $6::date, $6::date, $8) RETURNING id",
        (name, p.jurisdiction, lender_type, collector, p.currency, request.as_of, p.history_days, order),
    )
    book_id = int(cursor.fetchone()[0])
    cursor.execute(
        "INSERT INTO derivation (book_id, code, kind, facts, text) VALUES ($1, $2, 'assumed', '{}', $3::jsonb)",
        (book_id, _CODE, how),
    )
    return book_id


# ---- the chunks -------------------------------------------------------------------------------------


def _put(cursor: Any, chunk: Chunk, book_id: int, by_set: bool) -> dict[str, int]:
    """Write one chunk, parents first; the rows written, by table."""
    borrowers = _ids(cursor, "borrower", chunk.borrowers)
    accounts = _ids(cursor, "account", chunk.accounts)
    counts = {}
    for name in TABLES:
        rows = chunk.tables[name]
        if name == "borrower":
            rows = _lead(rows, id=borrowers, book_id=np.full(len(borrowers), book_id))
        elif name == "account":
            owner = borrowers[rows["borrower"].to_numpy()]
            rows = _lead(
                rows.drop("borrower"),
                id=accounts,
                book_id=np.full(len(accounts), book_id),
                borrower_id=owner,
            )
        else:
            rows = _lead(rows.drop("account"), account_id=accounts[rows["account"].to_numpy()])
        counts[name] = int(cursor.adbc_ingest(name, rows, mode="append"))
        assert counts[name] == rows.num_rows
    if by_set:
        _assert_no_orphan(cursor, int(borrowers.min()), int(borrowers.max()), int(accounts.min()), int(accounts.max()))
    return counts


def _ids(cursor: Any, table: str, count: int) -> npt.NDArray[np.int64]:
    """New ids out of the table's own sequence, so that other writers never get the same."""
    cursor.execute("SELECT pg_get_serial_sequence($1, 'id')", (table,))
    sequence = cursor.fetchone()[0]
    cursor.execute(f"SELECT nextval('{sequence}') AS id FROM generate_series(1, {count})")
    ids: npt.NDArray[np.int64] = cursor.fetch_arrow_table()["id"].to_numpy()
    return ids


def _lead(rows: pa.Table, **columns: npt.NDArray[np.int64]) -> pa.Table:
    """The rows with these columns before their own."""
    return pa.table({**columns, **{name: rows[name] for name in rows.column_names}})


# ---- foreign keys -----------------------------------------------------------------------------------


def _check_by_set(cursor: Any) -> bool:
    """Ask the server to leave the foreign keys to us, where it may; they are then checked chunk by chunk.

    Row by row, those checks take two thirds of the time of a load. `replica` stops triggers alone
    (checks, primary and unique keys hold on), for this transaction alone; every parent is of this
    same transaction, so none can go away unseen. Where the login may not do it, or a trigger of
    ours would be passed over, the rows are checked one by one as ever.
    """
    cursor.execute(
        "SELECT has_parameter_privilege('session_replication_role', 'SET') AND NOT EXISTS ("
        " SELECT FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'A' AND tgrelid = ANY (ARRAY["
        + ", ".join(f"'{name}'" for name in ("book", *TABLES))
        + "]::regclass[]))"
    )
    if not cursor.fetchone()[0]:
        return False
    cursor.execute("SET LOCAL session_replication_role = replica")
    return True


def _assert_no_orphan(cursor: Any, borrower_from: int, borrower_to: int, account_from: int, account_to: int) -> None:
    """Every foreign key of the rows in these ranges of ids has its row. The keys are the schema's own."""
    own = {"borrower": (borrower_from, borrower_to), "account": (account_from, account_to)}
    for name in TABLES:
        column = "id" if name in own else "account_id"
        low, high = own.get(name, own["account"])
        for key in sorted(tables.metadata.tables[name].foreign_keys, key=lambda key: key.target_fullname):
            parent = key.column.table.name
            # Parents were written just before, in the same chunk; two sorted lists are merged in one pass.
            among = "WHERE id BETWEEN {} AND {}".format(*own[parent]) if parent in own else ""
            given = f" AND {key.parent.name} IS NOT NULL" if key.parent.nullable else ""
            cursor.execute(
                f"SELECT {key.parent.name} FROM {name} WHERE {column} BETWEEN {low} AND {high}{given}"
                f" EXCEPT SELECT {key.column.name} FROM {parent} {among}"
            )
            assert cursor.fetchone() is None, f"{name}.{key.parent.name} names a row that is not there"
