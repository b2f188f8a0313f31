"""Loan books in: each kind of bad input is one line and one exit code, and nothing half-done remains."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from forbear.intake import services
from forbear.intake.errors import IntakeError
from forbear.intake.services import import_book, mend, quarantined

LC = "rownames,state,loan_amount,term,interest_rate,installment,issue_month,loan_status,paid_total,paid_late_fees\n"
LC_ROW = "{n},NY,10000,36,12.00,332.14,Feb-2018,Current,1328.56,0\n"
BOOK = """name = "own"
jurisdiction = "cn"
lender_type = "bank"
collector = "creditor"
currency = "CNY"
history_from = 2026-01-01
"""
OWN = {
    "borrowers": "ref,zones,can_sms,can_call,can_write,place\nB1,Asia/Shanghai,true,true,true,上海\n",
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,currency\n"
    "L1,B1,instalment,open,2026-01-10,1000.00,18,CNY\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nL1,1,2026-02-10,500.00,15.00\nL1,2,2026-03-10,500.00,7.50\n",
    "payments": "loan_ref,ref,paid_on,amount\nL1,P1,2026-02-12,515.00\n",
    "contacts": "loan_ref,ref,at,step,outcome\nL1,C1,2026-02-11T10:00:00+08:00,sms,delivered\n",
}


def own_book(folder: Path, **changed: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "book.toml").write_text(BOOK, "utf-8")
    for table, text in (OWN | changed).items():
        (folder / f"{table}.csv").write_text(text, "utf-8")
    return folder


def lc_file(folder: Path, rows: int) -> Path:
    path = folder / "loans.csv"
    path.write_text(LC + "".join(LC_ROW.format(n=n) for n in range(1, rows + 1)), "utf-8")
    return path


def table_rows(url: str) -> dict[str, Any]:
    """Everything that an import leaves, but for its own clock and numbers."""
    queries = {
        "borrower": "SELECT ref, zones, can_sms, place FROM borrower ORDER BY ref",
        "account": "SELECT ref, status, principal_minor, all_in_ppm, derived FROM account ORDER BY ref",
        "instalment": "SELECT a.ref, i.n, i.due_on, i.principal_minor, i.interest_minor FROM instalment i"
        " JOIN account a ON a.id = i.account_id ORDER BY 1, 2",
        "payment": "SELECT a.ref, p.ref, p.paid_on, p.amount_minor FROM payment p"
        " JOIN account a ON a.id = p.account_id ORDER BY 1, 2",
        "quarantine": "SELECT table_name, row_number, field, reason FROM quarantine ORDER BY 1, 2, 3",
        "import": "SELECT rows_done, rows_bad, finished_at IS NOT NULL FROM import ORDER BY id",
    }
    with psycopg.connect(url) as connection:
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


def forbear(*args: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from forbear.cli import main; main()", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, check=False)


def test_forbears_own_format_is_taken_in_whole(fresh_db: str, tmp_path: Path) -> None:
    report = import_book(own_book(tmp_path / "b"), "forbear")
    assert (report.rows, report.bad, report.without_schedule) == (6, 0, 0)
    found = table_rows(fresh_db)
    assert found["instalment"][0][2:] and found["payment"] == [("L1", "P1", found["payment"][0][2], 51_500)]
    assert found["account"][0][3] == 180_000  # 1.5% a month, both months


def test_taking_a_book_in_twice_changes_nothing(fresh_db: str, tmp_path: Path) -> None:
    folder = own_book(tmp_path / "b")
    import_book(folder, "forbear")
    before = table_rows(fresh_db)
    assert import_book(folder, "forbear").again
    assert table_rows(fresh_db) == before


def test_a_newer_file_brings_the_status_up_to_date(fresh_db: str, tmp_path: Path) -> None:
    import_book(own_book(tmp_path / "b"), "forbear")
    import_book(own_book(tmp_path / "b", loans=OWN["loans"].replace(",open,", ",paid_off,")), "forbear")
    assert [row[1] for row in table_rows(fresh_db)["account"]] == ["paid_off"]


def test_parquet_is_read_as_csv_is(fresh_db: str, tmp_path: Path) -> None:
    path = lc_file(tmp_path, 3)
    pq.write_table(pacsv.read_csv(path), tmp_path / "loans.parquet")
    report = import_book(tmp_path / "loans.parquet", "lendingclub")
    assert (report.rows, report.bad, report.encodings) == (3, 0, ("parquet",))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_utf8_with_and_without_bom_and_gb18030_are_read(fresh_db: str, tmp_path: Path, encoding: str) -> None:
    folder = own_book(tmp_path / "b")
    (folder / "borrowers.csv").write_bytes(OWN["borrowers"].encode(encoding))
    import_book(folder, "forbear")
    assert table_rows(fresh_db)["borrower"][0][3] == "上海"


@pytest.mark.parametrize(
    ("table", "old", "new", "field", "said"),
    [
        ("loans", "2026-01-10", "10.01.26", "opened_on", "YYYY-MM-DD"),
        ("loans", "1000.00", "-1000.00", "principal", "Write no less than: 0"),
        ("loans", ",18,", ",-18,", "annual_rate", "Write no less than: 0"),
        ("loans", "1000.00", "1000.005", "principal", "Round the amount"),
        ("loans", ",CNY", ",XXZ", "currency", "is no currency"),
        ("loans", ",CNY", ",USD", "currency", "another currency than the book's"),
        ("loans", ",open,", ",late,", "status", "words that are listed"),
        ("loans", "L1,B1,", "L1,B9,", "borrower_ref", "Take the borrower in first"),
        ("borrowers", "Asia/Shanghai", "Asia/Nowhere", "zones", "no such time zone"),
        ("instalments", "L1,2,", "L9,2,", "loan_ref", "belongs to no loan"),
        ("instalments", "2026-03-10", "2026-02-10", "due_on", "Number the instalments by date"),
        ("instalments", "L1,2,", "L1,1,", "n", "stands in this file twice"),
        ("payments", "515.00", "-515.00", "amount", "reversal"),
        ("payments", "515.00", "5,15.00", "row", "Quote commas"),
        ("contacts", "+08:00", "", "at", "no offset from UTC"),
        ("contacts", ",sms,", ",telegram,", "step", "words that are listed"),
    ],
)
def test_a_bad_row_is_kept_aside_with_field_reason_and_remedy(
    fresh_db: str, tmp_path: Path, table: str, old: str, new: str, field: str, said: str
) -> None:
    # Given one bad row, when the book is taken in, then that row waits in quarantine and the good rows are in.
    folder = own_book(tmp_path / "b", **{table: OWN[table].replace(old, new, 1)})
    assert import_book(folder, "forbear").bad >= 1
    with psycopg.connect(fresh_db) as connection:
        kept = [k for k in quarantined(connection) if k.table == table]
    assert [(k.field, said in f"{k.reason}. {k.remedy}") for k in kept] == [(field, True)]
    assert kept[0].row_number == (3 if old in ("L1,2,", "2026-03-10") else 2)


def test_a_duplicate_loan_is_kept_aside(fresh_db: str, tmp_path: Path) -> None:
    path = lc_file(tmp_path, 2)
    path.write_text(path.read_text("utf-8") + LC_ROW.format(n=1), "utf-8")
    assert import_book(path, "lendingclub").bad == 1


def test_a_payment_is_never_edited(fresh_db: str, tmp_path: Path) -> None:
    import_book(own_book(tmp_path / "b"), "forbear")
    again = own_book(tmp_path / "b", payments=OWN["payments"].replace("515.00", "500.00"))
    assert import_book(again, "forbear").bad == 1
    assert table_rows(fresh_db)["payment"][0][3] == 51_500


def test_a_mended_row_is_taken_in(fresh_db: str, tmp_path: Path) -> None:
    import_book(own_book(tmp_path / "b", loans=OWN["loans"].replace("1000.00", "-1")), "forbear")
    with psycopg.connect(fresh_db) as connection:
        kept = next(k for k in quarantined(connection) if k.table == "loans")
    assert mend(kept.id, {"principal": "x"})[0].refused.field == "principal"
    assert mend(kept.id, {"principal": "1000.00"}) == []
    assert table_rows(fresh_db)["account"][0][:3] == ("L1", "open", 100_000)


@pytest.mark.parametrize(
    ("wreck", "said"),
    [
        (
            lambda p: p.write_text(p.read_text("utf-8").replace("issue_month", "month"), "utf-8"),
            "issue_month is missing",
        ),
        (lambda p: p.write_text(p.read_text("utf-8")[:-25], "utf-8"), "the file is cut"),
        (lambda p: p.write_text(p.read_text("utf-8") + '9,"NY', "utf-8"), "quote is not closed"),
        (lambda p: p.write_bytes(p.read_bytes() + b"\xff\xfe\xff"), "neither UTF-8 nor GB18030"),
        (lambda p: p.write_bytes(b""), "the file is empty"),
        (lambda p: p.write_bytes(b"PAR1 cut"), "no whole Parquet file"),
        (lambda p: p.unlink(), "there is no such file"),
    ],
)
def test_a_broken_file_is_one_line_and_leaves_nothing(fresh_db: str, tmp_path: Path, wreck: Any, said: str) -> None:
    path = lc_file(tmp_path, 3)
    before = table_rows(fresh_db)
    wreck(path)
    ended = forbear("import", path, "--mapping", "lendingclub")
    assert (ended.returncode, said in ended.stderr, ended.stderr.strip().count("\n")) == (1, True, 0), ended.stderr
    assert table_rows(fresh_db) == before


def test_an_unknown_mapping_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="forbear, lendingclub, uci-credit-card"):
        import_book(lc_file(tmp_path, 1), "nothing")


def test_a_database_that_is_down_is_one_line(tmp_path: Path) -> None:
    ended = forbear(
        "import", lc_file(tmp_path, 1), "--mapping", "lendingclub", FORBEAR_DATABASE_URL="postgresql://x@127.0.0.1:1/x"
    )
    assert (ended.returncode, ended.stderr.strip().count("\n")) == (3, 0)
    assert "does not answer" in ended.stderr


def test_a_database_that_is_full_is_one_line_and_nothing_is_half_done(database: str, tmp_path: Path) -> None:
    # Given a database whose disk of 24 MB is a real, small file system, when a book is too large for it,
    # then what was acknowledged is whole: as many accounts as the import says, each with its schedule.
    if os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root only")
    disk = Path("/tmp") / f"forbear-small-disk-{os.getpid()}"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=777", "tmpfs", disk], check=False).returncode:
        disk.rmdir()
        pytest.skip("this machine does not let root mount a disk")
    name = f"small_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as admin:
        space = disk / "space"
        space.mkdir()
        shutil.chown(space, user="pgserver")
        admin.execute(f"CREATE TABLESPACE {name} LOCATION '{space}'")
        admin.execute(f"CREATE DATABASE {name} TABLESPACE {name}")
        url = database.replace("/postgres?", f"/{name}?")
        try:
            ended = forbear("import", lc_file(tmp_path, 30_000), "--mapping", "lendingclub", FORBEAR_DATABASE_URL=url)
            assert (ended.returncode, "is full" in ended.stderr) == (3, True), ended.stderr
            assert ended.stderr.strip().splitlines()[-1].startswith("The database is full")
            with psycopg.connect(url) as connection:
                done = connection.execute("SELECT rows_done FROM import").fetchone()
                accounts = connection.execute("SELECT count(*) FROM account").fetchone()
                lines = connection.execute("SELECT count(*) FROM instalment").fetchone()
            assert done is not None and accounts == done and lines == (36 * done[0],)
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            admin.execute(f"DROP TABLESPACE IF EXISTS {name}")
            subprocess.run(["umount", disk], check=False)
            disk.rmdir()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_import_goes_on_where_it_was(fresh_db: str, tmp_path: Path, seed: int, monkeypatch: Any) -> None:
    # Given an import that is killed with SIGKILL at random moments, when the same command is given again until it
    # ends, then the tables hold what an undisturbed import leaves, and no acknowledged row was taken back.
    rng = random.Random(seed)
    path = lc_file(tmp_path, 900)
    body = (
        # A chunk takes its time, so that the kill falls between two on a machine of any speed.
        "import sys, time; from forbear.intake import services; services.CHUNK_ROWS = 60; put = services.write; "
        "services.write = lambda *given: (time.sleep(0.1), put(*given))[1]; "
        "from forbear.cli import main; sys.argv[1:] = ['import', sys.argv[1], '--mapping', 'lendingclub']; main()"
    )
    acknowledged, kills = 0, 0
    for _ in range(40):
        running = subprocess.Popen([sys.executable, "-c", body, str(path)], stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 30
        goal = acknowledged + rng.randrange(1, 300)
        while running.poll() is None and time.monotonic() < limit:
            with psycopg.connect(fresh_db) as connection:
                row = connection.execute("SELECT rows_done FROM import").fetchone()
            assert (row[0] if row else 0) >= acknowledged
            acknowledged = row[0] if row else 0
            if acknowledged >= goal and kills < 3:
                running.send_signal(signal.SIGKILL)
                kills += 1
            time.sleep(rng.random() * 0.02)
        if running.wait() == 0:
            break
    killed = table_rows(fresh_db)
    assert kills >= 1 and killed["import"] == [(900, 0, True)]
    with psycopg.connect(fresh_db) as connection:
        connection.execute("TRUNCATE book CASCADE")
    monkeypatch.setattr(services, "CHUNK_ROWS", 60)
    import_book(path, "lendingclub")
    assert table_rows(fresh_db) == killed


def test_a_card_book_takes_its_arrears_from_the_bill_of_the_month_the_delay_began(
    fresh_db: str, tmp_path: Path
) -> None:
    names = ["row", "PAY_0", *(f"BILL_AMT{k}" for k in range(1, 7)), *(f"PAY_AMT{k}" for k in range(1, 7))]
    rows = [[1, 2, 300, 200, 100, 0, 0, 0, 10, 5, 0, 0, 0, 0], [2, -1, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
    rows += [[3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
    table = pa.table({name: [row[k] for row in rows] for k, name in enumerate(names)})
    pacsv.write_csv(table, tmp_path / "cards.csv")
    report = import_book(tmp_path / "cards.csv", "uci-credit-card")
    assert (report.rows, report.bad) == (3, 1)  # the third is late, yet nothing was ever billed
    # Two months late: the bill two months back (100), less the 15 paid since.
    assert [row[3] for row in table_rows(fresh_db)["instalment"]] == [8_500]
