"""What is written: the whole book or nothing, flagged synthetic, with every foreign key held."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date

import psycopg
import pytest
import sqlalchemy as sa

from forbear import cli
from forbear.rulebook.load import load
from forbear.servicing.demand import hold_book
from forbear.store.engine import arrow_connection, copy_connection
from forbear.synth.draw import Request
from forbear.synth.errors import SynthError
from forbear.synth.parameters import parameters
from forbear.synth.write import TABLES, _assert_no_orphan, _check_by_set, book_name, write

AS_OF = date(2026, 6, 30)
#: Everything of a book but the database's own ids.
ROWS = {
    "borrower": "SELECT (to_jsonb(b) - 'id' - 'book_id')::text FROM borrower b ORDER BY ref",
    "account": """SELECT b.ref, (to_jsonb(a) - 'id' - 'book_id' - 'borrower_id')::text
                  FROM account a JOIN borrower b ON b.id = a.borrower_id ORDER BY a.ref""",
    **{
        table: f"""SELECT a.ref, (to_jsonb(t) - 'account_id')::text
                   FROM {table} t JOIN account a ON a.id = t.account_id ORDER BY 1, 2"""
        for table in ("instalment", "payment", "contact")
    },
}


Synth = Callable[..., tuple[int, str, str]]


def request(accounts: int = 1_100, seed: int = 7, place: str = "cn") -> Request:
    return Request(accounts, seed, AS_OF, parameters(place))


#: A process of its own, for what kills it or runs beside another.
COMMAND = [sys.executable, "-c", "from forbear.cli import main; main()", "synth"]


@pytest.fixture
def synth(fresh_db: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Synth:
    """The command as typed, in this process: its exit code, what it printed, what it said on stderr."""

    def run(*options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["forbear", "synth", *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def rows_of(url: str) -> dict[str, list[tuple[str, ...]]]:
    with psycopg.connect(url) as connection:
        return {table: connection.execute(query).fetchall() for table, query in ROWS.items()}


def counts(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        found = {}
        for table in ("book", "derivation", *TABLES):
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert row is not None
            found[table] = row[0]
        return found


def test_the_command_writes_a_book_that_says_it_is_synthetic(fresh_db: str, synth: Synth) -> None:
    # Given an empty database, when the command is given, then the book is there, flagged, named so, and explained.
    options = ("--accounts", "1100", "--jurisdiction", "us", "--name", "small", "--seed")
    code, out, _ = synth(*options, "7")
    assert code == 0 and "synthetic-small (synthetic, no real borrower): borrowers 1,000, loans 1,100, instal" in out
    with psycopg.connect(fresh_db) as connection:
        query = "SELECT name, jurisdiction, lender_type, collector, currency, synthetic, snapshot_on FROM book"
        assert connection.execute(query).fetchall() == [
            ("synthetic-small", "us", "other", "agency", "USD", True, AS_OF)
        ]
        row = connection.execute("SELECT text->>'en', text->>'zh-Hans', text->>'zh-Hant' FROM derivation").fetchone()
    assert row is not None and all("--accounts 1100 --jurisdiction us --seed 7" in text for text in row)
    assert row[0].startswith("Synthetic: no real borrower.")
    written = counts(fresh_db)
    assert (written["borrower"], written["account"]) == (1_000, 1_100)

    # When it is given again, then nothing is changed; a book of that name drawn otherwise is refused in one line.
    code, out, _ = synth(*options, "7")
    assert code == 0 and "nothing was changed" in out
    code, _, err = synth(*options, "8")
    assert code == 1 and "--name synthetic-small: a book of that name is there, drawn otherwise." in err
    assert counts(fresh_db) == written


def test_the_same_seed_gives_the_same_rows_in_the_database(fresh_db: str) -> None:
    # Given a book, when it is deleted and drawn again beside one of another seed, then its rows are the same again.
    write(request())
    first = rows_of(fresh_db)
    assert all(first.values())
    with psycopg.connect(fresh_db) as connection:
        connection.execute("TRUNCATE book CASCADE")
    write(request())
    assert rows_of(fresh_db) == first
    with psycopg.connect(fresh_db) as connection:
        connection.execute("TRUNCATE book CASCADE")
    write(request(seed=8))
    assert all(rows != first[table] for table, rows in rows_of(fresh_db).items())


def test_a_login_that_may_not_set_the_role_writes_the_same_rows(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a login that is no superuser, so that every foreign key is looked up row by row, when a book is drawn,
    # then its rows are those of the quick way.
    write(request())
    quick = rows_of(fresh_db)
    role = f"plain_{os.getpid()}"
    with psycopg.connect(fresh_db) as connection:
        connection.execute("TRUNCATE book CASCADE")
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT pg_read_all_data, pg_write_all_data, pg_maintain TO {role}")
        connection.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    try:
        monkeypatch.setenv(
            "FORBEAR_DATABASE_URL", sa.make_url(fresh_db).set(username=role).render_as_string(hide_password=False)
        )
        with arrow_connection() as connection, connection.cursor() as cursor:
            assert not _check_by_set(cursor)
        write(request())
    finally:
        monkeypatch.setenv("FORBEAR_DATABASE_URL", fresh_db)
        with psycopg.connect(fresh_db) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")
    assert rows_of(fresh_db) == quick


def test_a_trigger_of_ours_is_never_passed_over(fresh_db: str) -> None:
    # Given a trigger on a table of the book, then the rows go in one by one, and it is asked for each.
    with psycopg.connect(fresh_db) as connection:
        connection.execute("CREATE TABLE seen (n int)")
        connection.execute(
            "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO seen VALUES (1); RETURN NEW; END'"
        )
        connection.execute("CREATE TRIGGER seen AFTER INSERT ON account FOR EACH ROW EXECUTE FUNCTION see()")
    write(request(accounts=110))
    with psycopg.connect(fresh_db) as connection:
        assert connection.execute("SELECT count(*) FROM seen").fetchone() == (110,)


def test_a_row_without_its_parent_is_found_before_the_commit(fresh_db: str) -> None:
    # Given a book, and a payment of an account that is not there, put in with the triggers off, when the foreign
    # keys are checked by set, then it is found.
    write(request(accounts=110))
    with arrow_connection() as connection, connection.cursor() as cursor:
        assert _check_by_set(cursor)
        cursor.execute("SELECT min(borrower.id), max(borrower.id), min(a.id), max(a.id) FROM borrower, account a")
        bounds = cursor.fetchone()
        _assert_no_orphan(cursor, *bounds)
        cursor.execute("DELETE FROM account WHERE id = (SELECT min(account_id) FROM payment)")
        with pytest.raises(AssertionError, match=r"(instalment|payment)\.account_id names a row that is not there"):
            _assert_no_orphan(cursor, *bounds)
    assert counts(fresh_db)["account"] == 110  # never committed


def test_a_book_killed_in_the_middle_leaves_nothing_and_comes_whole_the_next_time(fresh_db: str) -> None:
    # Given a book of two chunks, when the process is killed while the second goes in, then no row of it is seen;
    # when the same command is given again, then the book is whole.
    command = [*COMMAND, "--accounts", "80000", "--jurisdiction", "cn", "--seed", "7"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with psycopg.connect(fresh_db, autocommit=True) as watch:
        until = time.monotonic() + 60
        while _megabytes(watch) < 30 and running.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert running.poll() is None, "it ended before it could be killed"
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert _megabytes(watch) >= 30
    assert set(counts(fresh_db).values()) == {0}
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    whole = counts(fresh_db)
    assert (whole["book"], whole["derivation"], whole["account"], whole["borrower"]) == (1, 1, 80_000, 72_728)


def _megabytes(connection: psycopg.Connection[tuple[int]]) -> float:
    """What is written of the instalments, seen or not: a chunk is 28 MB."""
    row = connection.execute("SELECT pg_relation_size('instalment')").fetchone()
    assert row is not None
    return row[0] / 1e6


def test_a_synthetic_book_stands_beside_a_real_one(fresh_db: str) -> None:
    # Given a real book, when a synthetic one is drawn, then the real one is untouched and takes ids after it.
    with psycopg.connect(fresh_db) as connection:
        connection.execute(
            "INSERT INTO book (name, jurisdiction, lender_type, collector, currency)"
            " VALUES ('real', 'cn', 'bank', 'creditor', 'CNY')"
        )
        connection.execute("INSERT INTO borrower (book_id, ref) SELECT id, 'B' FROM book")
    write(request(accounts=110))
    with psycopg.connect(fresh_db) as connection:
        connection.execute("INSERT INTO borrower (book_id, ref) SELECT id, 'B-next' FROM book WHERE name = 'real'")
        real = connection.execute("SELECT count(*) FROM borrower JOIN book ON book.id = book_id WHERE NOT synthetic")
        assert real.fetchone() == (2,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--jurisdiction", "xx"], "--jurisdiction xx: no such place; give one of cn, us."),
        (["--collector", "nobody"], "--collector nobody: no such word; give one of creditor, agency."),
        (["--lender-type", "shark"], "--lender-type shark: no such word; give one of bank,"),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_written(
    fresh_db: str, synth: Synth, options: list[str], said: str
) -> None:
    # Given an option with a word that is not there, then one line names it, and the database stays empty.
    code, _, err = synth("--accounts", "10", "--seed", "1", "--jurisdiction", "cn", *options)
    assert code == 1 and err.strip().splitlines()[-1].startswith(said)
    assert set(counts(fresh_db).values()) == {0}


def test_every_synthetic_name_says_so() -> None:
    # Given any name or none, then the book's begins with "synthetic-", once.
    assert book_name(request(), "demo") == "synthetic-demo"
    assert book_name(request(), "synthetic-demo") == "synthetic-demo"
    assert book_name(request()) == "synthetic-cn-1100-s7-2026-06-30"


def test_a_second_process_waits_for_the_first_and_changes_nothing(fresh_db: str) -> None:
    # Given the same command typed twice at once, then one draws the book and the other finds it.
    command = [*COMMAND, "--accounts", "11000", "--jurisdiction", "cn", "--seed", "7"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    said = sorted(each.communicate()[0] for each in both)
    assert [each.returncode for each in both] == [0, 0]
    assert sum("nothing was changed" in text for text in said) == 1
    assert counts(fresh_db)["account"] == 11_000


def test_another_book_of_the_name_is_not_touched(fresh_db: str) -> None:
    # Given a book that was not drawn by us under such a name, when ours is asked for, then it is refused.
    with psycopg.connect(fresh_db) as connection:
        connection.execute(
            "INSERT INTO book (name, jurisdiction, lender_type, collector, currency)"
            " VALUES ('synthetic-demo', 'cn', 'bank', 'creditor', 'CNY')"
        )
    with pytest.raises(SynthError, match="Give another name"):
        write(request(), name="demo")


def test_a_drawn_book_demands_no_more_than_the_ceiling_from_the_first(fresh_db: str) -> None:
    # Given a synthetic Chinese book, whose contracts' penalty rates go above the ceiling of 24% (cn.cap),
    write(request())
    # when its book is held to the rulebook's ceilings once more, row by row,
    with copy_connection() as connection:
        removed = connection.execute(
            "SELECT count(*) FROM account JOIN ceiling USING (book_id, opened_on, product) WHERE penalty_rate_ppm > ppm"
        ).fetchone()
        held = hold_book(connection, 1, load())
    # then rates were cut when it was drawn, and no loan demands anything else than it did.
    assert removed is not None and removed[0] > 0
    assert held == 0
