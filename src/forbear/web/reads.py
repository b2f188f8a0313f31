"""What the console asks of the database: SQL in, immutable values out. Nothing is written.

Every read happens in one read-only transaction with one picture of the data, under a time limit.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from forbear.nightly.report import BUCKETS, NEWEST_FIRST, Bucket
from forbear.servicing.happened import Happened, happened
from forbear.servicing.loan import dues
from forbear.store import tables
from forbear.store.engine import engine
from forbear.store.errors import one_line
from forbear.store.server import database_url
from forbear.web.summary import Key, Reasons, Row, Tally

#: Longest time that one question may take; a page that needs more is a fault of ours.
TIMEOUT_SECONDS = 20
#: Runs offered for choice: about three months of nights.
RUNS_OFFERED = 100
#: More days past due than any account has.
_MOST_DAYS = 1_000_000
#: Runs whose tallies are kept in memory.
_TALLIES_KEPT = 16


@dataclass(frozen=True, slots=True)
class Run:
    """One nightly run."""

    id: int
    as_of: date
    accounts: int
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Book:
    """One lender's book of loans."""

    id: int
    name: str
    jurisdiction: str
    currency: str
    synthetic: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """Which accounts a page is about; None (or no step) means all."""

    book: int | None = None
    jurisdiction: str | None = None
    bucket: Bucket | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the work list ended: the next one begins after this row."""

    dpd: int
    account_id: int


@dataclass(frozen=True, slots=True)
class Work:
    """One line of the work list. `arrears` is in minor units of `currency`."""

    account_id: int
    ref: str
    step: str
    earliest: datetime | None
    latest: datetime | None
    zones: str | None
    dpd: int
    arrears: int
    currency: str
    book: str
    synthetic: bool

    @property
    def place(self) -> Place:
        """Where this line stands in the list."""
        return Place(self.dpd, self.account_id)


@dataclass(frozen=True, slots=True)
class Account:
    """What heads an account's page. `principal_minor` is in minor units of `currency`."""

    id: int
    ref: str
    book: str
    synthetic: bool
    currency: str
    jurisdiction: str
    product: str
    status: str
    opened_on: date
    principal_minor: int


@dataclass(frozen=True, slots=True)
class Origin:
    """A sentence of the mapping: what was derived or assumed about an account, and the facts that rest on it."""

    kind: str  # derived | assumed
    facts: tuple[str, ...]
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Decided:
    """What one run decided for an account."""

    run_id: int
    as_of: date
    step: str
    dpd: int
    arrears: int


@dataclass(frozen=True, slots=True)
class Due:
    """An instalment, or the minimum of a card's statement, falls due."""

    on: date
    n: int
    minor: int


@dataclass(frozen=True, slots=True)
class Reached:
    """A contact was made, or tried. `zones` are those of the borrower; `request` is that of the gate, if it had one."""

    at: datetime
    step: str
    outcome: str
    zones: str | None
    request: UUID | None


@dataclass(frozen=True, slots=True)
class History:
    """Everything on file about one account in time, each kind newest first."""

    due: tuple[Due, ...]
    happened: tuple[Happened, ...]
    reached: tuple[Reached, ...]
    decided: tuple[Decided, ...]


@contextlib.contextmanager
def reading() -> Iterator[sa.Connection]:
    """A connection that can't write. Raises StoreError when the database is away."""
    with one_line(), engine().connect() as connection:
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        connection.execute(sa.text(f"SET LOCAL statement_timeout = '{TIMEOUT_SECONDS}s'"))
        yield connection


def _rows(connection: sa.Connection, sql: str, **values: Any) -> Sequence[Any]:
    return connection.execute(sa.text(sql), values).all()


# ---- runs and books ---------------------------------------------------------------------------------


_RUNS = sa.select(tables.run.c.id, tables.run.c.as_of, tables.run.c.accounts, tables.run.c.finished_at).order_by(
    *NEWEST_FIRST
)


def runs(connection: sa.Connection) -> tuple[Run, ...]:
    """The runs on file, newest day first; for one day, the newest run first."""
    rows = connection.execute(_RUNS.limit(RUNS_OFFERED))
    return tuple(Run(*row) for row in rows)


def run(connection: sa.Connection, run_id: int | None) -> Run | None:
    """One run, or tonight's (the newest day's newest) where none is named; None where there is no such run."""
    query = _RUNS if run_id is None else _RUNS.where(tables.run.c.id == run_id)
    row = connection.execute(query.limit(1)).first()
    return Run(*row) if row else None


def books(connection: sa.Connection) -> tuple[Book, ...]:
    """The books on file, by name."""
    rows = _rows(connection, "SELECT id, name, jurisdiction, currency, synthetic FROM book ORDER BY name")
    return tuple(Book(*row) for row in rows)


# ---- tonight ----------------------------------------------------------------------------------------


def tally(which: Run) -> Tally:
    """How many accounts of a run share a book, step, bucket and findings.

    A run never changes once it is written, so its tally is counted once and then kept.
    """
    return _tally(database_url(), which)


@functools.lru_cache(maxsize=_TALLIES_KEPT)
def _tally(_url: str, which: Run) -> Tally:
    with reading() as connection:
        rows = _rows(
            connection,
            """
            SELECT a.book_id, d.jurisdiction, d.step, width_bucket(d.dpd, CAST(:edges AS int[])),
                   d.forbids, d.unknown, d.no_hours, count(*)
            FROM decision d JOIN account a ON a.id = d.account_id
            WHERE d.run_id = :run GROUP BY 1, 2, 3, 4, 5, 6, 7""",
            run=which.id,
            edges=[bucket.least for bucket in BUCKETS[1:]],
        )
        findings = _rows(
            connection,
            "SELECT jurisdiction, forbids, unknown, no_hours, reasons FROM finding WHERE run_id = :run",
            run=which.id,
        )
    said: Mapping[Key, Reasons] = {Key(*row[:4]): _said(row[4]) for row in findings}
    return Tally(tuple(Row(r[0], r[2], r[3], Key(r[1], *r[4:7]), r[7]) for r in rows), said)


def _said(reasons: Mapping[str, Sequence[Mapping[str, str]]]) -> Reasons:
    return {step: tuple((line["rule"], line["says"]) for line in lines) for step, lines in reasons.items()}


# ---- the work list ----------------------------------------------------------------------------------


def work(
    connection: sa.Connection, which: Run, quiet: Sequence[str], only: Filter, after: Place | None, most: int
) -> tuple[Work, ...]:
    """A page of the accounts with a contact step in a run, longest past due first.

    Pages are found by the key of the row before them, so a late page costs what the first one costs.

    Args:
        quiet: the steps that are no contact.
        after: the last row of the page before; None for the first page.
        most: rows wanted.
    """
    low = only.bucket.least if only.bucket else 0
    high = only.bucket.most if only.bucket and only.bucket.most is not None else _MOST_DAYS
    query = sa.text(
        """
        SELECT d.account_id, a.ref, d.step, d.earliest, d.latest, d.zones, d.dpd, d.arrears,
               b.currency, b.name, b.synthetic
        FROM decision d JOIN account a ON a.id = d.account_id JOIN book b ON b.id = a.book_id
        WHERE d.run_id = :run AND d.step NOT IN :quiet AND d.dpd BETWEEN :low AND :high
          AND (CAST(:step AS text) IS NULL OR d.step = :step)
          AND (CAST(:jurisdiction AS text) IS NULL OR d.jurisdiction = :jurisdiction)
          AND (CAST(:book AS bigint) IS NULL OR a.book_id = :book)
          AND (d.dpd, d.account_id) < (:dpd, :account_id)
        ORDER BY d.dpd DESC, d.account_id DESC LIMIT :most"""
    ).bindparams(
        # Written out, so that the planner can see that the partial index on contact steps serves.
        sa.bindparam("quiet", sorted(quiet), expanding=True, literal_execute=True),
    )
    end = after or Place(high + 1, 0)
    rows = connection.execute(
        query,
        {
            "run": which.id,
            "low": low,
            "high": high,
            "step": only.step,
            "jurisdiction": only.jurisdiction,
            "book": only.book,
            "dpd": end.dpd,
            "account_id": end.account_id,
            "most": most,
        },
    )
    return tuple(Work(*row) for row in rows)


# ---- one account ------------------------------------------------------------------------------------


def account(connection: sa.Connection, account_id: int) -> Account | None:
    """One account by Forbear's own number; None where there is none."""
    rows = _rows(
        connection,
        """
        SELECT a.id, a.ref, b.name, b.synthetic, b.currency, b.jurisdiction, a.product, a.status, a.opened_on,
               a.principal_minor
        FROM account a JOIN book b ON b.id = a.book_id WHERE a.id = :id""",
        id=account_id,
    )
    return Account(*rows[0]) if rows else None


def today(connection: sa.Connection, account_id: int) -> date:
    """The borrower's local day at this moment, by the first zone that is known; else that of UTC."""
    rows = _rows(
        connection,
        "SELECT split_part(w.zones, '|', 1) FROM account a JOIN borrower w ON w.id = a.borrower_id WHERE a.id = :id",
        id=account_id,
    )
    return datetime.now(ZoneInfo((rows and rows[0][0]) or "UTC")).date()


def origins(connection: sa.Connection, account_id: int) -> tuple[Origin, ...]:
    """What was derived or assumed about an account, in the mapping's order. A fact may rest on several."""
    rows = _rows(
        connection,
        """
        SELECT d.kind, d.facts, d.text FROM account a JOIN derivation d ON d.book_id = a.book_id
        WHERE a.id = :id AND (d.of_all OR d.code = ANY(a.derived))
        ORDER BY array_position(a.derived, d.code), d.code""",
        id=account_id,
    )
    return tuple(Origin(row.kind, tuple(row.facts), row.text) for row in rows)


def accounts_called(connection: sa.Connection, ref: str, most: int = 20) -> tuple[Account, ...]:
    """The accounts that lenders call `ref`: at most one in each book."""
    rows = _rows(
        connection,
        """
        SELECT a.id, a.ref, b.name, b.synthetic, b.currency, b.jurisdiction, a.product, a.status, a.opened_on,
               a.principal_minor
        FROM book b JOIN account a ON a.book_id = b.id AND a.ref = :ref ORDER BY b.name LIMIT :most""",
        ref=ref,
        most=most,
    )
    return tuple(Account(*row) for row in rows)


def history(connection: sa.Connection, account_id: int) -> History:
    """Due dates, payments and other events, contacts and decisions of one account."""
    plain = connection.connection.driver_connection
    assert plain is not None
    due = dues(plain, account_id, today(connection, account_id))
    reached = _rows(
        connection,
        """
        SELECT c.at, c.step, c.outcome, w.zones, c.permission_id
        FROM contact c JOIN account a ON a.id = c.account_id JOIN borrower w ON w.id = a.borrower_id
        WHERE c.account_id = :id ORDER BY c.at DESC""",
        id=account_id,
    )
    decided = _rows(
        connection,
        """
        SELECT r.id, r.as_of, d.step, d.dpd, d.arrears
        FROM run r JOIN decision d ON d.run_id = r.id AND d.account_id = :id ORDER BY r.as_of DESC, r.id DESC""",
        id=account_id,
    )
    return History(
        tuple(Due(*row) for row in reversed(due)),
        happened(plain, account_id),
        tuple(Reached(*row) for row in reached),
        tuple(Decided(*row) for row in decided),
    )
