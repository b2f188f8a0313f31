"""The nightly run: reads the book as Arrow, decides on DuckDB, writes all decisions in one transaction.

A run that is killed has written nothing; the same command does it again. A run for a day that was
decided before, over the same book by the same rules, gives the same bytes, and writes nothing anew.
"""

import io
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv
from psycopg import sql

from forbear.calendars import public_holiday
from forbear.contact.reads import COUNTRY, LEFT_BOOK
from forbear.ledger.position import HORIZON_DAYS, positions
from forbear.locale import N_
from forbear.nightly import facts as f
from forbear.nightly.apart import set_apart
from forbear.nightly.errors import NothingToDecide
from forbear.nightly.history import files_of
from forbear.rulebook.answer import bits
from forbear.rulebook.cap import find_cap
from forbear.rulebook.compile import Compiled, compile_for
from forbear.rulebook.hours import local_day, within_reach
from forbear.rulebook.load import Rulebook
from forbear.servicing.demand import keep_lawful
from forbear.store.engine import arrow_connection, copy_connection
from forbear.store.errors import one_line
from forbear.store.tables import FACT_COLUMNS
from forbear.strategy.ladder import decide

#: Accounts read at a time: bounds the memory of the schedule's running sums.
CHUNK_ACCOUNTS = 200_000
#: DuckDB's share of memory; what does not fit is spilled to a temporary folder.
MEMORY_LIMIT = "2500MB"
#: DuckDB gives a thread one such group of rows: small enough that a book of 100,000 accounts occupies every core.
ROW_GROUP = 16_384

#: What the night asks of the book; {lo} and {hi} bound the account ids of a chunk, {as_of} is the day. Each
#: reads one table by a range of its own key, so that a chunk costs the same in a book of any size.
QUERIES = {
    "accounts": f"""
        SELECT a.id AS account_id, borrower_id, status, a.opened_on, principal_minor, penalty_rate_ppm, late_fee_minor,
               late_fee_ppm, grace_days, all_in_ppm, dispute_open, promise_due_on, plan_until, validation_sent_on,
               a.book_id, a.product,
               CASE WHEN c.later = '[]' THEN c.ppm ELSE (
                   SELECT ppm FROM (SELECT c.opened_on AS since, c.ppm UNION ALL
                                    SELECT (step ->> 0)::date, (step ->> 1)::bigint
                                    FROM jsonb_array_elements(c.later) step) steps
                   WHERE since <= {{as_of}} ORDER BY since DESC LIMIT 1) END AS ceiling_ppm,
               CASE WHEN c.later = '[]' THEN NULL WHEN jsonb_array_length(c.later) = 1
                   AND (c.later -> 0 ->> 0)::date <= {{as_of}} THEN (c.later -> 0 ->> 0)::date END AS turned_on,
               c.ppm AS before_ppm,
               coalesce(a.allocation_order, b.allocation_order) AS allocation_order,
               cut.account_id IS NOT NULL OR card.account_id IS NOT NULL AND a.annual_rate_ppm IS NOT NULL AS cut,
               {LEFT_BOOK} AS left_book
        FROM account a JOIN book b ON b.id = a.book_id
        LEFT JOIN import shown ON shown.id = a.import_id LEFT JOIN import whole ON whole.id = b.whole_import_id
        LEFT JOIN ceiling c ON c.book_id = a.book_id AND c.opened_on = a.opened_on AND c.product = a.product
        LEFT JOIN (SELECT DISTINCT account_id FROM instalment
                   WHERE removed_minor > 0 AND account_id >= {{lo}} AND account_id < {{hi}}) cut
            ON cut.account_id = a.id
        LEFT JOIN card_terms card ON card.account_id = a.id
        WHERE a.id >= {{lo}} AND a.id < {{hi}} AND a.opened_on <= {{as_of}} ORDER BY a.id""",
    "instalments": f"""
        SELECT account_id, n, due_on, principal_minor, interest_minor - removed_minor AS interest_minor FROM instalment
        WHERE account_id >= {{lo}} AND account_id < {{hi}} AND due_on <= {{as_of}} + {HORIZON_DAYS}""",
    "payments": """
        SELECT account_id, paid_on, amount_minor FROM payment
        WHERE account_id >= {lo} AND account_id < {hi} AND paid_on <= {as_of}
          AND (taken_back_on IS NULL OR taken_back_on > {as_of})""",
    "contacts": """
        SELECT account_id, at, step, outcome, to_whom = 'debtor' AS to_debtor, purpose FROM contact
        WHERE account_id >= {lo} AND account_id < {hi} AND at < {as_of} + interval '2 days'""",
}
#: The same for the borrowers, by their own ids.
BORROWER_QUERIES = {
    "borrower": f"""
        SELECT b.id AS borrower_id, coalesce(same_as, b.id) AS person_id, zones, {COUNTRY} AS country,
               can_sms, can_call, can_write, sms_consent, agreed_from_min, agreed_to_min,
               stop_contact, attorney, bankrupt, incapable, hardship_until, unreachable, workplace_forbidden,
               opted_out_sms, vulnerable, respite_until, k.respite_untold
        FROM borrower b JOIN book k ON k.id = b.book_id WHERE b.id >= {{lo}} AND b.id < {{hi}} ORDER BY b.id""",
}
_BOOKS = """
    SELECT id AS book_id, jurisdiction, lender_type, collector, r.rows_waiting AS book_waits,
           CASE WHEN r.recorded_until >= {as_of} THEN r.history_from END AS history_from
    FROM book JOIN book_record r ON r.book_id = book.id"""
#: Without the synthetic books, where there is another.
_REAL = " WHERE NOT synthetic OR NOT EXISTS (SELECT FROM book real WHERE NOT real.synthetic)"
#: The few accounts of which something waits in quarantine, or of whose contacts one was left out.
_HELD = "SELECT account_id, rows_waiting, gap_until FROM account_held"

#: The columns of a decision, in order; the bytes of a run's decisions are these, as PostgreSQL's CSV.
DECISION_COLUMNS = (
    "account_id",
    "jurisdiction",
    "step",
    "earliest",
    "latest",
    "forbids",
    "unknown",
    "no_hours",
    "zones",
    "agreed_from_min",
    "agreed_to_min",
    *(column.name for column in FACT_COLUMNS),
)


@dataclass
class Stages:
    """Seconds spent in each stage of a run."""

    read: float = 0.0
    decide: float = 0.0
    write: float = 0.0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, stage, getattr(self, stage) + time.perf_counter() - begun)


@dataclass(frozen=True)
class Night:
    """What a run did. `again` is set where the same decisions had been written before."""

    run_id: int
    as_of: date
    accounts: int
    decisions_sha256: str
    again: bool
    stages: Stages = field(compare=False)


def nightly(as_of: date, book: Rulebook, threads: int | None = None, real_only: bool = False) -> Night:
    """Decide every account of every book for the local day `as_of`. Raises StoreError, NothingToDecide.

    real_only: leave synthetic books out as soon as another is on file.
    """
    within_reach(as_of)
    stages = Stages()
    started = datetime.now(UTC)
    keep_lawful(book)
    with (
        one_line(),
        tempfile.TemporaryDirectory(prefix="forbear-night-") as folder,
        copy_connection() as connection,
    ):
        # One night at a time; and one picture of the book for the whole run, taken after the lock is had: LOCK takes
        # no snapshot, so that a night that waited sees what the other one wrote.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("LOCK TABLE run IN EXCLUSIVE MODE")
        connection.execute("SET LOCAL TimeZone = 'UTC'")
        duck = ibis.duckdb.connect(temp_directory=folder, memory_limit=MEMORY_LIMIT)
        duck.raw_sql(f"ATTACH '{Path(folder) / 'night.duckdb'}' AS night (ROW_GROUP_SIZE {ROW_GROUP}); USE night")
        duck.raw_sql(f"SET threads = {threads or os.cpu_count() or 2}")
        duck.raw_sql("SET TimeZone = 'UTC'")
        try:
            _read(connection, duck, as_of, stages, real_only)
            with stages.timed("decide"):
                _sum_up(duck, as_of, book)
            compiled = _compiled(duck, book, as_of)
            run_id, digest, count = _write(connection, duck, as_of, book, compiled, started, stages)
        finally:
            duck.disconnect()
        earlier = connection.execute(
            "SELECT min(id) FROM run WHERE id <> %s AND as_of = %s AND rulebook_sha256 = %s AND decisions_sha256 = %s",
            (run_id, as_of, book.sha256, digest),
        ).fetchone()
        assert earlier is not None
        if earlier[0] is not None:
            # The number goes back: one night runs at a time, so nobody has taken a later one.
            connection.execute("SELECT setval(pg_get_serial_sequence('run', 'id'), %s)", (run_id - 1,))
            connection.rollback()
            return Night(earlier[0], as_of, count, digest, True, stages)
        with stages.timed("write"):
            connection.commit()
    return Night(run_id, as_of, count, digest, False, stages)


# ---- read -------------------------------------------------------------------------------------------


def _read(connection: psycopg.Connection[Any], duck: Any, as_of: date, stages: Stages, real_only: bool = False) -> None:
    """The book into DuckDB, a chunk of accounts at a time.

    All Arrow reads see the transaction's own picture of the book, by its exported snapshot.
    """
    bounds = connection.execute(
        "SELECT min(a.id), max(a.id), (SELECT min(id) FROM borrower), (SELECT max(id) FROM borrower) FROM account a"
    ).fetchone()
    if bounds is None or bounds[0] is None:
        raise NothingToDecide(N_("There is no account to decide. Import a book first: forbear import FILE --mapping M"))
    snapshot = connection.execute("SELECT pg_export_snapshot()").fetchone()
    assert snapshot is not None
    with arrow_connection() as arrow, arrow.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot[0]}'")
        # The server would rather read the whole of a large table for each chunk than go by its key.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(_BOOKS.format(as_of=f"DATE '{as_of}'") + (_REAL if real_only else ""))
        duck.create_table("book", ibis.memtable(cursor.fetch_arrow_table()))
        cursor.execute(_HELD)
        held = [cursor.fetch_arrow_table()]

        def chunks(queries: Mapping[str, str], first: int, last: int) -> Iterator[dict[str, pa.Table]]:
            for lo in range(first, last + 1, CHUNK_ACCOUNTS):
                chunk = {}
                with stages.timed("read"):
                    for name, query in queries.items():
                        cursor.execute(query.format(lo=lo, hi=lo + CHUNK_ACCOUNTS, as_of=f"DATE '{as_of}'"))
                        chunk[name] = cursor.fetch_arrow_table()
                yield chunk

        for number, chunk in enumerate(chunks(QUERIES, bounds[0], bounds[1])):
            with stages.timed("decide"):
                lo = bounds[0] + number * CHUNK_ACCOUNTS
                made = _positioned(chunk, as_of)
                where, holds = set_apart(connection, made["position"], lo, lo + CHUNK_ACCOUNTS, as_of)
                held.append(holds)
                _keep(duck, {n: ibis.memtable(t) for n, t in (made | {"position": where}).items()}, first=number == 0)
        # An account may stand in both: what waits of it, and what was granted on it.
        waiting, *granted = held
        both = waiting.join(pa.concat_tables(granted), "account_id", join_type="full outer")
        duck.create_table("held", ibis.memtable(both))
        for number, chunk in enumerate(chunks(BORROWER_QUERIES, bounds[2], bounds[3])):
            with stages.timed("decide"):
                _keep(duck, {name: ibis.memtable(rows) for name, rows in chunk.items()}, first=number == 0)


def _positioned(chunk: dict[str, pa.Table], as_of: date) -> dict[str, pa.Table]:
    """The tables of the night that a chunk of accounts adds to: the schedule as positions only, the rest as it is."""
    accounts = chunk["accounts"]
    where = positions(chunk["instalments"], chunk["payments"], accounts, as_of)
    paid = chunk["payments"].group_by("account_id").aggregate([("paid_on", "max")])
    last_paid = paid.rename_columns(["account_id", "last_paid_on"])
    return {"account_row": accounts, "position": where, "last_paid": last_paid, "contact": _utc(chunk["contacts"])}


def _keep(duck: Any, made: Mapping[str, ir.Table], first: bool) -> None:
    for name, rows in made.items():
        if first:
            duck.create_table(name, rows)
        else:
            duck.insert(name, rows)


def _utc(contacts: pa.Table) -> pa.Table:
    """The instants of contacts as plain UTC timestamps: DuckDB's own zones need an extension."""
    at = contacts["at"].cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return contacts.set_column(contacts.schema.get_field_index("at"), "at", at)


def _sum_up(duck: Any, as_of: date, book: Rulebook) -> None:
    """Places, caps, contacts and lead accounts: small tables that the facts are joined from."""
    never = book.vocabulary.never
    rows = duck.table("account_row")
    duck.create_table("person", f.one_person(duck.table("borrower")))
    borrowers = duck.table("person")
    zones = [z for z in borrowers.select("zones").distinct().execute()["zones"] if isinstance(z, str)]
    duck.create_table("place", ibis.memtable(_places(sorted(zones), as_of)))
    account = rows.inner_join(duck.table("book"), "book_id").inner_join(borrowers, "borrower_id")
    # From here on a borrower is a person: all borrowers with the same key, whatever their book.
    account = account.drop("borrower_id").rename(borrower_id="person_id")
    account = account.left_join(duck.table("place"), "zones").drop("zones_right")
    account = account.left_join(duck.table("held"), "account_id").drop("account_id_right")
    account = account.left_join(duck.table("last_paid"), "account_id").drop("account_id_right")
    duck.create_table("account", account)
    account = duck.table("account")
    kinds = account.select("jurisdiction", "lender_type", "opened_on", "product").distinct()
    duck.create_table("cap", ibis.memtable(_caps(kinds.to_pyarrow().to_pylist(), book, as_of)))
    position = duck.table("position")
    duck.create_table("contact_day", f.contact_days(duck.table("contact"), account, as_of))
    days = duck.table("contact_day")
    duck.create_table("contact_account", f.by_account(days, position, as_of, never))
    duck.create_table("contact_borrower", f.by_borrower(days, as_of, never))
    duck.create_table("person_record", f.records(account))
    duck.create_table("lead", f.lead_accounts(account, position, _held_alone(duck, as_of, book)))


def _held_alone(duck: Any, as_of: date, book: Rulebook) -> ir.Table:
    """Of the accounts of persons with several, those that a rule on the loan alone holds."""
    several = duck.create_table("several", f.of_several(duck.table("account")))
    nobody = ibis.memtable([], schema={"borrower_id": "int64", "lead_id": "int64"})
    facts = duck.create_table("fact_alone", fact_table(duck, as_of, book, several, nobody))
    held = [f.held_alone(facts, each) for each in _compiled(duck, book, as_of)]
    return duck.create_table("held_alone", ibis.union(*held) if len(held) > 1 else held[0])


def _places(zones: Iterable[str], as_of: date) -> pa.Table:
    rows = []
    for zone in zones:
        try:
            day = local_day(zone, as_of)
        except ValueError:
            continue  # an unknown place: no hour is then known to be lawful
        rows.append((zone, day.first, day.last, day.latest_date, day.earliest_date))
    names = ("zones", "first_min", "last_min", "latest_date", "earliest_date")
    kinds = (pa.string(), pa.int64(), pa.int64(), pa.int64(), pa.int64())
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table({n: pa.array(c, k) for n, c, k in zip(names, columns, kinds, strict=True)})


def _caps(kinds: list[dict[str, Any]], book: Rulebook, as_of: date) -> pa.Table:
    found = [find_cap(book, k["jurisdiction"], k["lender_type"], k["opened_on"], k["product"], as_of) for k in kinds]
    return pa.table(
        {
            "jurisdiction": pa.array([k["jurisdiction"] for k in kinds], pa.string()),
            "lender_type": pa.array([k["lender_type"] for k in kinds], pa.string()),
            "opened_on": pa.array([k["opened_on"] for k in kinds], pa.date32()),
            "product": pa.array([k["product"] for k in kinds], pa.string()),
            "cap_exists": pa.array([cap is not None and cap.exists for cap in found], pa.bool_()),
            "cap_ppm": pa.array([cap and cap.ppm for cap in found], pa.int64()),
        }
    )


# ---- decide -----------------------------------------------------------------------------------------


def _compiled(duck: Any, book: Rulebook, as_of: date) -> list[Compiled]:
    places = sorted(duck.table("book").jurisdiction.execute().unique())
    return [compile_for(book, place, as_of) for place in places]


def fact_table(
    duck: Any, as_of: date, book: Rulebook, accounts: ir.Table | None = None, leads: ir.Table | None = None
) -> ir.Table:
    """The facts of every account, or of these, over the tables that `_read` and `_sum_up` made."""
    return f.facts(
        duck.table("account") if accounts is None else accounts,
        duck.table("position"),
        duck.table("contact_account"),
        duck.table("contact_borrower"),
        duck.table("lead") if leads is None else leads,
        duck.table("person_record"),
        duck.table("cap"),
        as_of,
        book.vocabulary.never,
        book.law_for(as_of),
        _holidays(duck, as_of, book),
        book.places_of("respite_open", as_of),
    )


def _holidays(duck: Any, as_of: date, book: Rulebook) -> dict[str, bool | None]:
    """Is the day a public holiday in each place whose rules ask?"""
    return {
        each.jurisdiction: public_holiday(book.calendars, each.jurisdiction, as_of)
        for each in _compiled(duck, book, as_of)
        if any("public_holiday" in rule.facts_read() for rule in each.rules)
    }


def _decisions(facts: ir.Table, compiled: Compiled, as_of: date) -> ir.Table:
    """One decision a row for the accounts of one jurisdiction, as text that is PostgreSQL's own CSV."""
    decided = decide(compiled, facts.filter(facts.jurisdiction == compiled.jurisdiction))
    midnight = ibis.literal(datetime.combine(as_of, datetime.min.time()))

    def instant(minutes: ir.IntegerValue) -> ir.StringValue:
        return (midnight + minutes.as_interval("m")).strftime("%Y-%m-%d %H:%M:%S+00")

    decided = decided.mutate(earliest=instant(decided.earliest_min), latest=instant(decided.latest_min))

    def text(name: str) -> ir.Value:
        column = decided[name]
        return ibis.cases((column, "t"), (~column, "f")).name(name) if column.type().is_boolean() else column

    return decided.select(*map(text, DECISION_COLUMNS)).order_by("account_id")


# ---- write ------------------------------------------------------------------------------------------


def _write(
    connection: psycopg.Connection[Any],
    duck: Any,
    as_of: date,
    book: Rulebook,
    compiled: list[Compiled],
    started: datetime,
    stages: Stages,
) -> tuple[int, str, int]:
    """The run, its findings and its decisions, not yet committed: (run id, digest, count)."""
    connection.execute(
        "INSERT INTO rulebook (sha256, files) VALUES (%s, %s) ON CONFLICT DO NOTHING", (book.sha256, files_of(book))
    )
    row = connection.execute(
        "INSERT INTO run (as_of, rulebook_sha256, rule_bits, decisions_sha256, accounts, started_at)"
        " VALUES (%s, %s, %s, '', 0, %s) RETURNING id",
        (
            as_of,
            book.sha256,
            json.dumps({c.jurisdiction: [r.id for r in c.rules] for c in compiled}),
            started,
        ),
    ).fetchone()
    assert row is not None
    run_id: int = row[0]
    digest, count = sha256(), 0
    facts = fact_table(duck, as_of, book)
    columns = sql.SQL(", ").join(map(sql.Identifier, DECISION_COLUMNS))
    # The decisions carry no run id on their way, so that equal decisions are equal bytes: the column's
    # default reads it from this setting of the transaction.
    connection.execute("SELECT set_config('forbear.run_id', %s, true)", (str(run_id),))
    copy = sql.SQL("COPY decision ({}) FROM STDIN (FORMAT csv)").format(columns)
    for each in compiled:
        found: set[tuple[int, int, int]] = set()
        with _timed_exit(connection.cursor().copy(copy), stages) as sink:
            # Asked of DuckDB itself: Ibis 12 calls a method that DuckDB 2 no longer has.
            batches = duck.con.sql(duck.compile(_decisions(facts, each, as_of))).to_arrow_reader(100_000)
            for batch in _timed(batches, stages):
                with stages.timed("write"):
                    count += batch.num_rows
                    text = _csv(batch)
                    digest.update(text)
                    sink.write(text)
                    keys = pa.Table.from_batches([batch]).group_by(["forbids", "unknown", "no_hours"]).aggregate([])
                    found.update(zip(*(keys[name].to_pylist() for name in keys.column_names), strict=True))
        with stages.timed("write"):
            _write_findings(connection, run_id, each, found)
    connection.execute(
        "UPDATE run SET decisions_sha256 = %s, accounts = %s, finished_at = clock_timestamp() WHERE id = %s",
        (digest.hexdigest(), count, run_id),
    )
    return run_id, digest.hexdigest(), count


@contextmanager
def _timed_exit(copy: AbstractContextManager[psycopg.Copy], stages: Stages) -> Iterator[psycopg.Copy]:
    """A COPY whose end, in which the server checks the foreign keys, counts as writing."""
    with ExitStack() as ends:
        sink = ends.enter_context(copy)
        yield sink
        with stages.timed("write"):
            ends.close()


def _timed(batches: Iterable[pa.RecordBatch], stages: Stages) -> Iterator[pa.RecordBatch]:
    """The batches, the time of making each counted as deciding."""
    source = iter(batches)
    while True:
        with stages.timed("decide"):
            batch = next(source, None)
        if batch is None:
            return
        yield batch


# No column holds a comma, a quote or a line end: all text in a decision is a word of the vocabulary.
_CSV = pacsv.WriteOptions(include_header=False, quoting_style="none")


def _csv(batch: pa.RecordBatch) -> bytes:
    sink = io.BytesIO()
    pacsv.write_csv(batch, sink, _CSV)
    return sink.getvalue()


def _write_findings(
    connection: psycopg.Connection[Any], run_id: int, compiled: Compiled, found: set[tuple[int, int, int]]
) -> None:
    """The dictionary of the run's bit sets in words, so that SQL alone can read the reasons."""
    with connection.cursor().copy(
        "COPY finding (run_id, jurisdiction, forbids, unknown, no_hours, reasons) FROM STDIN"
    ) as sink:
        for key in sorted(found):
            sink.write_row((run_id, compiled.jurisdiction, *key, json.dumps(reasons(compiled, *key))))


def reasons(compiled: Compiled, forbids: int, unknown: int, no_hours: int) -> dict[str, list[dict[str, str]]]:
    """For each step that something stands against, what: [{rule, says}], in the order of the bits."""
    said: dict[str, list[dict[str, str]]] = {}
    for step, mask, closed in compiled.ladder:
        lines = [
            {"rule": compiled.rules[bit].id, "says": says}
            for says, against in (("forbids", forbids & mask), ("unknown", unknown & mask))
            if against
            for bit in bits(against)
        ]
        if no_hours & closed:
            lines += [{"rule": rule.id, "says": "no_hours"} for rule, _ in compiled.hours_of(step)]
        if lines:
            said[step] = lines
    return said
