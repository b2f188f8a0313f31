"""A bank's file of payments: the good rows posted, the bad ones named and kept aside, nothing double after a kill."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conftest import Asked, write_book

from forbear.intake.bank import Posted, post_file
from forbear.intake.errors import IntakeError
from forbear.intake.services import import_book
from forbear.ledger.models import ChargedBack, Paid, Reversed
from forbear.ledger.state import fold
from forbear.servicing.loan import read
from forbear.servicing.post import Posting, post, post_one, standing
from forbear.store.journal import balances

HEAD = "loan_ref,ref,paid_on,amount\n"
BOOK = """name = "own"
jurisdiction = "cn"
lender_type = "bank"
collector = "creditor"
currency = "CNY"
history_from = 2026-01-01
"""
LOANS = 40
DAY = date(2026, 4, 12)


@pytest.fixture
def book(fresh_db: str, tmp_path: Path) -> Path:
    """40 loans of 1,000.00 in four monthly instalments from 10 February 2026 on, that bear penalty interest."""
    numbers = [f"L{n}" for n in range(1, LOANS + 1)]
    tables = {
        "borrowers": "ref,zones,can_sms\nB1,Asia/Shanghai,true\n",
        "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,penalty_rate\n"
        + "".join(f"{n},B1,instalment,open,2026-01-10,1000.00,18,27\n" for n in numbers),
        "instalments": "loan_ref,n,due_on,principal,interest\n"
        + "".join(f"{n},{k},2026-{k + 1:02}-10,250.00,15.00\n" for n in numbers for k in range(1, 5)),
    }
    folder = write_book(tmp_path / "own", BOOK, tables)
    assert import_book(folder, "forbear").bad == 0
    return folder


def written(folder: Path, rows: str, name: str = "bank.csv") -> Path:
    path = folder / name
    path.write_text(HEAD + rows, "utf-8")
    return path


def drawn(seed: int, rows: int, day: date = DAY, within: int = 0) -> str:
    """Payments of random loans and amounts, of `day` or up to `within` days before it."""
    rng = random.Random(seed)
    lines = []
    for k in range(rows):
        on = day - timedelta(days=rng.randrange(within + 1))
        lines.append(f"L{rng.randrange(1, LOANS + 1)},{seed}-{k},{on},{rng.randrange(1, 40_000) / 100:.2f}\n")
    return "".join(lines)


def assert_the_journal_is_the_fold(url: str, accounts: int = LOANS) -> None:
    """Of each account in the journal: its balances, and its newest state, are those of its events replayed."""
    with psycopg.connect(url) as connection:
        loans = read(connection, range(1, accounts + 1))
        for id_, loan in loans.items():
            if loan.posted_to is None:
                continue
            assert loan.terms is not None
            state = fold(loan.terms, loan.schedule, loan.events, loan.posted_to)
            sums: dict[str, int] = {}
            for transaction in state.transactions:
                for entry in transaction.entries:
                    sums[str(entry.account)] = sums.get(str(entry.account), 0) + entry.amount
            held = {name: minor for (name, _), minor in balances(connection, id_).items()}
            assert held == {name: minor for name, minor in sums.items() if minor}, id_
            stood = standing(state)
            row = connection.execute(
                "SELECT as_of, dpd, oldest_due_on, bucket, class, arrears_minor, owed_minor FROM account_state"
                " WHERE account_id = %s ORDER BY id DESC LIMIT 1",
                (id_,),
            ).fetchone()
            assert row == tuple(getattr(stood, name) for name in type(stood).__slots__), id_


def test_good_rows_are_posted_and_bad_ones_named_and_kept_aside(book: Path, asked: Asked, fresh_db: str) -> None:
    # Given a file of thirteen rows, when it is posted as of 12 April, then the four that can be are, and of the others
    # each is named by its row, its field and the remedy.
    path = written(
        book,
        "L1,A,2026-04-12,100.00\n L2 , A , 2026-04-10 , 265.00 \nL99,B,2026-04-12,1.00\nL3,,2026-04-12,1.00\n"
        "L3,C,12/04/2026,1.00\nL3,D,2026-04-12,1.005\nL3,E,2026-04-12,-1.00\nL3,F,2026-04-13,1.00\n"
        "L3,G\nL1,A,2026-04-12,100.00\nL1,A,2026-04-12,100.01\nL3,H,2026-04-12,7.00\n,I,2026-04-12,1.00\n",
    )
    found = post_file(path, as_of=DAY)
    assert (found.rows, found.posted, found.again) == (13, 3, 1)
    said = dict(found.refused)
    assert [(number, said[number].partition(":")[0]) for number in said] == [
        (4, "loan_ref"),
        (5, "ref"),
        (6, "paid_on"),
        (7, "amount"),
        (8, "amount"),
        (9, "paid_on"),
        (10, "row"),
        (12, "ref"),
        (14, "loan_ref"),
    ]
    assert said[14].startswith("loan_ref: it is empty.")
    assert all("\n" not in line for line in said.values())
    assert asked("SELECT account_id, ref, amount_minor FROM payment ORDER BY 1, 2") == [
        (1, "A", 10_000),
        (2, "A", 26_500),
        (3, "H", 700),
    ]
    assert asked("SELECT row ->> 'amount' FROM payment_file_refused WHERE row_number = 7") == [("1.005",)]
    assert_the_journal_is_the_fold(fresh_db)
    # Sent again in Chinese, each is named in Chinese, but for the columns' own names.
    for number, line in post_file(path, as_of=DAY, lang="zh-Hans").refused:
        assert number == 10 or line.startswith(said[number].partition(":")[0] + "："), line
        assert not set(re.findall("[a-z_]{2,}", line)) - {"loan_ref", "ref", "paid_on", "amount"}, line


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        *(("20260412,1.00", "paid_on"), ("2026-W15-7,1.00", "paid_on"), ("2026-4-12,1.00", "paid_on")),
        *(("2026-04-12,1e2", "amount"), ("2026-04-12,1_000", "amount"), ("2026-04-12,Infinity", "amount")),
        *(("2026-04-12,.5", "amount"), ("2026-04-12,１００", "amount")),
    ],
)
def test_a_day_or_amount_in_another_form_is_not_guessed_at(book: Path, asked: Asked, typed: str, field: str) -> None:
    found = post_file(written(book, f"L1,A,{typed}\n"), as_of=DAY)
    assert (found.posted, [line.partition(":")[0] for _, line in found.refused]) == (0, [field])
    assert asked("SELECT count(*) FROM payment") == [(0,)]


@pytest.mark.parametrize("workers", [1, 2])
def test_it_is_told_how_far_it_has_come(book: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr("forbear.intake.bank.PROGRESS_SECONDS", 0.001)
    seen: list[tuple[int, int]] = []
    path = written(book, drawn(1, 40))
    post_file(path, as_of=DAY, workers=workers, chunk=10, progress=lambda done, rows: seen.append((done, rows)))
    assert seen == sorted(seen) and {rows for _, rows in seen} == {40} and seen[-1][0] <= 40
    if workers == 1:
        assert [done for done, _ in seen] == [10, 20, 30, 40]


def test_a_file_sent_again_counts_once_and_its_mended_rows_are_posted(book: Path, asked: Asked) -> None:
    path = written(book, "L1,A,2026-04-12,100.00\nL2,B,2026-04-13,5.00\n")
    assert post_file(path, as_of=DAY).posted == 1
    # The next day the row that was of the future is one that can be.
    assert post_file(path, as_of=DAY + timedelta(days=1)) == Posted(2, 1, 1, ())
    assert post_file(path, as_of=DAY + timedelta(days=2)) == Posted(2, 0, 2, ())
    assert asked("SELECT count(*), sum(amount_minor)::int FROM payment") == [(2, 10_500)]
    assert asked("SELECT count(*) FROM payment_file_refused") == [(0,)]


def test_parquet_in_two_processes_is_the_csv_in_one(book: Path, asked: Asked, fresh_db: str) -> None:
    rows = [line.split(",") for line in drawn(3, 300).splitlines()]
    columns = [list(column) for column in zip(*rows, strict=True)]
    path = book / "bank.parquet"
    days = pa.array([date.fromisoformat(day) for day in columns[2]])
    pq.write_table(pa.table([*columns[:2], days, columns[3]], names=["loan_ref", "ref", "paid_on", "amount"]), path)
    assert post_file(path, as_of=DAY, workers=2, chunk=40) == Posted(300, 300, 0, ())
    assert post_file(written(book, drawn(3, 300)), as_of=DAY, chunk=70) == Posted(300, 0, 300, ())
    assert_the_journal_is_the_fold(fresh_db)
    assert asked("SELECT sum(amount_minor) FROM journal_entry") == [(0,)]


def test_files_day_after_day_with_what_comes_late_or_is_taken_back_are_the_fold(book: Path, fresh_db: str) -> None:
    # Given files of eight weeks, some rows of days before, with payments reversed and charged back in between, when
    # each day's accounts are looked at, then journal and state are those of all events replayed.
    rng = random.Random(8)
    for week in range(8):
        day = date(2026, 2, 8) + timedelta(days=7 * week)
        path = written(book, drawn(week, 60, day, within=rng.choice([0, 0, 3, 20])), f"bank{week}.csv")
        assert post_file(path, as_of=day, chunk=25).posted == 60
        with psycopg.connect(fresh_db) as connection:
            refs = connection.execute(
                "SELECT account_id, ref FROM payment WHERE taken_back_on IS NULL ORDER BY account_id, ref"
            ).fetchall()
        back = [(id_, ref) for id_, ref in rng.sample(refs, 6)]
        kinds = [rng.choice((Reversed, ChargedBack)) for _ in back]
        post([Posting(i, kind(f"back-{r}", day, r)) for (i, r), kind in zip(back, kinds, strict=True)], day)
        assert_the_journal_is_the_fold(fresh_db)


def test_the_same_payment_by_file_and_by_hand_at_once_counts_once(book: Path, asked: Asked, fresh_db: str) -> None:
    # Given the same 120 payments in two files and as single ones, when all are sent at once, each counts once.
    text = drawn(5, 120)
    paths = [written(book, text, "a.csv"), written(book, "".join(sorted(text.splitlines(True))), "b.csv")]
    rows = [line.split(",") for line in text.splitlines()]
    singles = [
        Posting(int(loan[1:]), Paid(ref, date.fromisoformat(day), round(float(amount) * 100)))
        for loan, ref, day, amount in rows
    ]
    with ThreadPoolExecutor(4) as pool:
        files = [pool.submit(post_file, path, None, DAY, 1, 30) for path in paths]
        for each in [pool.submit(post_one, single, DAY) for single in singles]:
            each.result()
        assert all(each.result().refused == () for each in files)
    assert asked("SELECT count(*) FROM payment") == [(120,)]
    assert asked("SELECT count(*) FROM journal_transaction WHERE key LIKE 'payment:%'") == [(120,)]
    assert_the_journal_is_the_fold(fresh_db)


PAYER = """
import datetime, sys
from pathlib import Path
from forbear.intake.bank import post_file
print(post_file(Path(sys.argv[1]), as_of=datetime.date(2026, 4, 12), workers=int(sys.argv[2]), chunk=5).posted)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_file_goes_on_from_there_and_nothing_is_double(
    book: Path, asked: Asked, fresh_db: str, workers: int
) -> None:
    # Given a file of 600 payments in chunks of five, when it is killed by SIGKILL, processes and all, at three moments
    # and sent again, then no chunk was begun anew, and in the end each payment counts once.
    path = written(book, drawn(11, 600))
    rng = random.Random(workers)
    kept: list[int] = []
    for goal in sorted(rng.sample(range(40, 500), 3)):
        running = subprocess.Popen(
            [sys.executable, "-c", PAYER, str(path), str(workers)], stdout=subprocess.DEVNULL, start_new_session=True
        )
        while running.poll() is None and asked("SELECT count(*) FROM payment")[0][0] < goal:
            time.sleep(0.005)
        os.killpg(running.pid, signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL, "it ended before it was killed"
        ((done, payments, entries),) = asked(
            "SELECT (SELECT sum(rows_done)::int FROM payment_file_part), (SELECT count(*) FROM payment),"
            " (SELECT count(*) FROM journal_transaction WHERE key LIKE 'payment:%')"
        )
        assert done == payments == entries and goal <= done < 600
        kept.append(done)
    # The killed server processes may still be at their last commit; what they keep, the next run sees.
    assert kept == sorted(kept)
    assert post_file(path, as_of=DAY, workers=workers, chunk=5) == Posted(600, 600, 0, ())
    assert asked("SELECT count(*) FROM payment") == [(600,)]
    assert asked("SELECT count(*) FROM journal_transaction WHERE key LIKE 'payment:%'") == [(600,)]
    assert_the_journal_is_the_fold(fresh_db)


@pytest.mark.parametrize(
    ("text", "said"),
    [("loan_ref,ref,amount\nL1,A,1\n", "no column paid_on"), ("", "empty"), (HEAD + "L1,A,2026", "cut")],
)
def test_a_file_that_is_none_keeps_nothing(book: Path, asked: Asked, text: str, said: str) -> None:
    path = book / "bank.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(IntakeError, match=said):
        post_file(path, as_of=DAY)
    assert asked("SELECT count(*) FROM payment_file") == [(0,)]


def test_the_command_says_what_became_of_the_rows(book: Path) -> None:
    path = written(book, "L1,A,2026-04-12,100.00\nL99,B,2026-04-12,1.00\n")
    for lang, said, why in (
        (
            "en",
            "Rows: 2. Posted: 1. Counted before (on file or in this file): 0. Kept aside: 1.\n",
            "is the number of no loan",
        ),
        ("zh-Hans", "文件共 2 行：新入账 0 笔，先前（或在本文件中）已计 1 笔，隔离 1 行。\n", "没有该编号的贷款"),
    ):
        command = [sys.executable, "-m", "forbear", "pay-file", str(path), "--as-of", "2026-04-12", "--lang", lang]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (4, said), ended.stderr
        assert "3" in ended.stderr and why in ended.stderr
