"""The journal against SQL that would break it: each attempt is refused by the database itself, whoever makes it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors as pg

from forbear.store.journal import Draft, append, balances, live, read

DAY = date(2026, 3, 10)
HEAD = "INSERT INTO journal_transaction (account_id, key, kind, value_on, reverses) VALUES"
LINES = "INSERT INTO journal_entry (transaction_id, line, ledger_account, amount_minor, currency) VALUES"


@pytest.fixture
def db(fresh_db: str) -> Iterator[psycopg.Connection[Any]]:
    """The tables' owner, over two accounts (1 and 2) of one book; the owner is a superuser as well."""
    with psycopg.connect(fresh_db) as connection:
        connection.execute(
            "INSERT INTO book (name, jurisdiction, lender_type, collector, currency)"
            " VALUES ('b', 'cn', 'bank', 'creditor', 'CNY')"
        )
        connection.execute("INSERT INTO borrower (book_id, ref) VALUES (1, 'B')")
        connection.execute(
            "INSERT INTO account (book_id, borrower_id, ref, product, status, opened_on, principal_minor)"
            " SELECT 1, 1, 'L' || n, 'instalment', 'open', '2026-01-10', 100000 FROM generate_series(1, 2) n"
        )
        connection.commit()
        yield connection


def paid(key: str, amount: int = 500, account_id: int = 1, **more: Any) -> Draft:
    return Draft(account_id, key, "payment", DAY, "CNY", (("cash", amount), ("owed:principal", -amount)), **more)


def undone(key: str, of: int, entries: Any = (("cash", -500), ("owed:principal", 500)), **more: Any) -> Draft:
    fields = {"account_id": 1, "value_on": DAY} | more
    return Draft(key=key, kind="reversal", currency="CNY", entries=entries, reverses=of, **fields)


def test_balances_are_sums_of_entries_by_value_date_and_by_what_was_known(db: psycopg.Connection[Any]) -> None:
    # Given a payment of 10 March booked today and a payment of a later value date,
    append(db, [paid("P1"), Draft(1, "P2", "payment", DAY + timedelta(days=5), "CNY", (("cash", 7), ("fee", -7)))])
    db.commit()
    # then each day has its own balance, and before the booking nothing was known.
    assert balances(db, 1, on=DAY) == {("cash", "CNY"): 500, ("owed:principal", "CNY"): -500}
    assert balances(db, 1)[("cash", "CNY")] == 507
    assert balances(db, 1, on=DAY - timedelta(days=1)) == {}
    assert balances(db, 1, known_at=datetime(2020, 1, 1, tzinfo=UTC)) == {}
    assert db.execute("SELECT amount_minor FROM journal_balance WHERE ledger_account = 'fee'").fetchall() == [(-7,)]


@pytest.mark.parametrize(
    "entries",
    [
        (("cash", 500), ("owed:principal", -499)),
        (("cash", 500),),
        (("cash", 500), ("owed:principal", -300), ("owed:interest", -201)),
    ],
)
def test_entries_that_do_not_sum_to_zero_are_refused(db: psycopg.Connection[Any], entries: Any) -> None:
    with pytest.raises(pg.CheckViolation, match="do not sum to zero"):
        append(db, [Draft(1, "P1", "payment", DAY, "CNY", entries)])


def test_a_sum_over_two_currencies_is_no_zero(db: psycopg.Connection[Any]) -> None:
    with pytest.raises(pg.CheckViolation, match="in each currency"):
        db.execute(
            f"WITH head AS ({HEAD} (1, 'P1', 'payment', '{DAY}', NULL))"
            f"{LINES} (1, 1, 'cash', 500, 'CNY'), (1, 2, 'owed:principal', -500, 'USD')"
        )


def test_one_unsound_transaction_among_many_is_found(db: psycopg.Connection[Any]) -> None:
    # Two that would cancel each other out: the sum is asked of each transaction, not of the statement.
    off = [Draft(1, k, "payment", DAY, "CNY", (("cash", n),)) for k, n in (("P1", 500), ("P2", -500))]
    with pytest.raises(pg.CheckViolation, match="do not sum to zero"):
        append(db, [*off, paid("P3")])


def test_a_transaction_without_entries_is_refused(db: psycopg.Connection[Any]) -> None:
    # It brings its entries in its own statement: none can come after it.
    with pytest.raises(pg.CheckViolation, match="it has no entries"):
        db.execute(f"{HEAD} (1, 'P1', 'payment', '{DAY}', NULL)")


def test_entries_of_a_transaction_that_there_is_not_are_refused(db: psycopg.Connection[Any]) -> None:
    append(db, [paid("P1")])
    with pytest.raises(pg.ForeignKeyViolation, match="transaction 2: there is none"):
        db.execute(f"{LINES} (2, 1, 'cash', 9, 'CNY'), (2, 2, 'owed:principal', -9, 'CNY')")


def test_nothing_is_added_to_a_transaction_later(db: psycopg.Connection[Any]) -> None:
    # Even a pair that sums to zero, and even in the transaction of the database that brought it.
    append(db, [paid("P1")])
    with pytest.raises(pg.CheckViolation, match="all in one statement"):
        db.execute(f"{LINES} (1, 3, 'cash', 9, 'CNY'), (1, 4, 'owed:principal', -9, 'CNY')")


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE {} SET {} = {}",
        "DELETE FROM {0}",
        "TRUNCATE {0} CASCADE",
        "SET session_replication_role = replica; DELETE FROM {0}",
        "TRUNCATE book CASCADE",
    ],
)
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("journal_transaction", "value_on"),
        ("journal_entry", "amount_minor"),
        ("account_event", "kind"),
        ("account_state", "dpd"),
    ],
)
def test_the_owner_and_superuser_edits_and_removes_nothing(
    db: psycopg.Connection[Any], table: str, column: str, attempt: str
) -> None:
    append(db, [paid("P1")])
    db.execute(
        "INSERT INTO account_event (account_id, key, kind, value_on, detail) VALUES (1, 'E', 'fee', now(), '{}')"
    )
    db.execute(
        "INSERT INTO account_state (account_id, as_of, cause, dpd, bucket, class, arrears_minor, owed_minor)"
        " VALUES (1, now(), 'E', 0, 'current', 'normal', 0, 0)"
    )
    db.commit()
    db.autocommit = True
    with pytest.raises(pg.RestrictViolation, match="append-only"):
        db.execute(attempt.format(table, column, column))
    counted = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert counted is not None and counted[0] >= 1


def test_a_reversal_undoes_a_transaction_once(db: psycopg.Connection[Any]) -> None:
    append(db, [paid("P1")])
    append(db, [undone("R1", 1)])
    assert balances(db, 1) == {} and live(read(db, [1])) == []
    with pytest.raises(pg.UniqueViolation, match="journal_reversed_once"):
        append(db, [undone("R2", 1)])


@pytest.mark.parametrize(
    "part",
    [
        (("cash", -400), ("owed:principal", 400)),
        (("cash", -500), ("owed:interest", 500)),
        (("owed:principal", 500), ("cash", -500)),
        (("cash", -500), ("owed:principal", 500), ("fee", 1), ("cash", -1)),
    ],
)
def test_a_reversal_in_part_or_of_other_lines_is_refused(db: psycopg.Connection[Any], part: Any) -> None:
    append(db, [paid("P1")])
    with pytest.raises(pg.CheckViolation, match="the lines of what it reverses"):
        append(db, [undone("R1", 1, part)])


@pytest.mark.parametrize("change", [{"account_id": 2}, {"value_on": DAY + timedelta(days=1)}])
def test_a_reversal_stays_in_its_account_and_on_its_value_date(db: psycopg.Connection[Any], change: Any) -> None:
    append(db, [paid("P1")])
    with pytest.raises(pg.CheckViolation, match="same account, on its own value date"):
        append(db, [undone("R1", 1, **change)])


def test_a_reversal_is_not_reversed(db: psycopg.Connection[Any]) -> None:
    append(db, [paid("P1")])
    append(db, [undone("R1", 1)])
    with pytest.raises(pg.CheckViolation, match="and no reversal"):
        append(db, [undone("R2", 2, (("cash", 500), ("owed:principal", -500)))])


def test_a_key_is_taken_once_in_an_account(db: psycopg.Connection[Any]) -> None:
    append(db, [paid("P1"), paid("P1", account_id=2)])
    with pytest.raises(pg.UniqueViolation):
        append(db, [paid("P1", 600)])


def test_the_booking_instant_is_the_databases_own(db: psycopg.Connection[Any]) -> None:
    with pytest.raises(pg.CheckViolation, match="booked_at"):
        db.execute(
            "INSERT INTO journal_transaction (account_id, key, kind, value_on, booked_at)"
            f" VALUES (1, 'P1', 'payment', '{DAY}', now() - interval '1 day')"
        )


def test_a_payment_in_the_journal_is_taken_back_once_and_not_edited(db: psycopg.Connection[Any]) -> None:
    db.execute(f"INSERT INTO payment VALUES (1, 'P1', '{DAY}', 500), (2, 'P1', '{DAY}', 500)")
    append(db, [paid("P1")])
    db.commit()
    for attempt in ("UPDATE payment SET amount_minor = 1 WHERE account_id = 1", "DELETE FROM payment"):
        with pytest.raises(pg.RestrictViolation, match="in the journal"):
            db.execute(attempt)
        db.rollback()
    db.execute(f"UPDATE payment SET taken_back_on = '{DAY}' WHERE account_id = 1")
    with pytest.raises(pg.RestrictViolation, match="in the journal"):
        db.execute("UPDATE payment SET taken_back_on = NULL WHERE account_id = 1")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amounts=st.lists(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=4), min_size=1, max_size=5),
    back=st.sets(st.integers(0, 4)),
)
def test_whatever_is_posted_every_balance_sheet_sums_to_zero(
    db: psycopg.Connection[Any], amounts: list[list[int]], back: set[int]
) -> None:
    # Given any transactions, some of them reversed, when all is summed, then nothing was made or lost, and the
    # journal read back gives the same balances as the database's own sums.
    drafts = []
    for k, parts in enumerate(amounts):
        rest = [*parts, -sum(parts)]
        drafts.append(Draft(1, f"T{k}", "t", DAY, "CNY", tuple((f"a{n}", m) for n, m in enumerate(rest) if m)))
    append(db, [draft for draft in drafts if draft.entries])
    posted = read(db, [1])
    gone = [each for each in posted if int(each.key[1:]) in back]
    append(db, [undone(f"R{e.id}", e.id, tuple((name, -minor) for name, minor in e.entries)) for e in gone])
    sums: dict[tuple[str, str], int] = {}
    for each in live(read(db, [1])):
        for name, minor in each.entries:
            sums[name, each.currency] = sums.get((name, each.currency), 0) + minor
    assert balances(db, 1) == {key: minor for key, minor in sums.items() if minor}
    assert sum(balances(db, 1).values()) == 0
    db.rollback()
