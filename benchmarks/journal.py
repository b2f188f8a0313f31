"""Payments posted durably, a second, against pgbench's simple-update on the same server in the same run.

    python benchmarks/journal.py [--accounts 20000] [--seconds 8] [--clients 1,4,16]

The server is an embedded PostgreSQL of its own, with fsync and synchronous_commit on (asserted). Each posting is the
whole of it: lock, fold, payment, journal, state, commit. Rounds alternate, so that both meet the same machine.
`pgbench` is PostgreSQL's own, of Debian's postgresql-15; without it, its simple-update script is run by psycopg.
"""

import argparse
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from datetime import date, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg

from forbear.ledger.models import Paid
from forbear.servicing.post import Posting, Receipt, connect, post
from forbear.store.engine import copy_connection, migrate
from forbear.store.server import database_url

OPENED = date(2026, 1, 10)
TODAY = date(2026, 6, 20)
HERE = Path(__file__).parent


def book(accounts: int) -> None:
    """Loans of 12 instalments, of which five have fallen due and four were paid."""
    migrate()
    with copy_connection() as connection:
        connection.execute(
            "INSERT INTO book (name, jurisdiction, lender_type, collector, currency, synthetic)"
            " VALUES ('bench', 'cn', 'bank', 'creditor', 'CNY', true)"
        )
        connection.execute("INSERT INTO borrower (book_id, ref) VALUES (1, 'B')")
        connection.execute(
            "INSERT INTO account (book_id, borrower_id, ref, product, status, opened_on, principal_minor,"
            " penalty_rate_ppm) SELECT 1, 1, 'L' || n, 'instalment', 'open', %s, 1200000, 270000"
            " FROM generate_series(1, %s) n",
            (OPENED, accounts),
        )
        connection.execute(
            "INSERT INTO instalment SELECT a.id, n, %s + n * interval '1 month', 100000, 12000 FROM account a,"
            " generate_series(1, 12) n",
            (OPENED,),
        )
        connection.execute(
            "INSERT INTO payment SELECT a.id, 'P' || n, %s + n * interval '1 month', 112000 FROM account a,"
            " generate_series(1, 4) n",
            (OPENED,),
        )
        connection.commit()
        for name in ("fsync", "synchronous_commit"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)


def settle(url: str) -> None:
    """Figures for the planner, and nothing left to be written behind."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _payer(first: int, last: int, batch: int, day: date, seconds: float, gate: Any, out: Connection) -> None:
    """Post one payment to each account in turn, `batch` in a commit; count what was acknowledged."""
    with connect() as connection:
        gate.wait()
        ends = time.perf_counter() + seconds
        done, at, times = 0, first, []
        while time.perf_counter() < ends and at + batch <= last:
            sent = [Posting(at + k, Paid(f"N{day}", day, 30_000)) for k in range(batch)]
            begun = time.perf_counter()
            answers = post(sent, day, connection)
            times.append(time.perf_counter() - begun)
            assert all(isinstance(answer, Receipt) and not answer.again for answer in answers)
            done += batch
            at += batch
        out.send((done, time.perf_counter() - (ends - seconds), times))


def payments(accounts: int, clients: int, batch: int, day: date, seconds: float) -> tuple[float, float]:
    """(payments a second, median seconds of a commit) over so many connections, each a process."""
    gate = multiprocessing.Barrier(clients)
    share = accounts // clients
    running = []
    for k in range(clients):
        here, there = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(
            target=_payer, args=(1 + k * share, 1 + (k + 1) * share, batch, day, seconds, gate, there)
        )
        process.start()
        running.append((process, here))
    answers = [here.recv() for _, here in running]
    for process, _ in running:
        process.join()
    rate = sum(done / took for done, took, _ in answers)
    return rate, statistics.median(t for _, _, times in answers for t in times)


def simple_update(url: str, clients: int, seconds: float) -> float:
    """Transactions a second of pgbench's simple-update script, by pgbench."""
    command = ["pgbench", "-b", "simple-update", "-M", "prepared", "-n", "-c", str(clients), "-j", "2"]
    ended = subprocess.run([*command, "-T", str(round(seconds)), url], capture_output=True, text=True, check=True)
    found = re.search(r"tps = ([\d.]+)", ended.stdout)
    assert found is not None, ended.stdout
    return float(found[1])


def main() -> None:
    """Measure, print, and write benchmarks/results/journal-latest.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    assert shutil.which("pgbench"), "install pgbench: apt-get install postgresql-15"
    with tempfile.TemporaryDirectory(prefix="forbear-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        os.chmod(folder, 0o755)
        os.environ["FORBEAR_HOME"] = folder
        os.environ.pop("FORBEAR_DATABASE_URL", None)
        url = database_url()
        book(args.accounts)
        # Each account enters the journal with its first payment, which brings all that is on file of it.
        opening, _ = payments(args.accounts, 2, 100, TODAY, 600)
        settle(url)
        subprocess.run(["pgbench", "-i", "-s", "16", "-q", url], capture_output=True, check=True)
        lines = [
            "# Payments, measured",
            "",
            f"By `python benchmarks/journal.py`: {os.cpu_count()} cores, {args.rounds} rounds of {args.seconds:.0f} s,"
            f" {args.accounts:,} loans of 12 instalments; median (least to most) of the rounds, load average of the"
            f" machine at the start {os.getloadavg()[0]:.1f}. Entering the journal, with 4 payments of before:"
            f" {opening:,.0f} accounts a second (100 a commit, 2 connections).",
            "",
            "| connections | simple-update a second | payments a second, one a commit | ratio | ms a commit"
            " | payments a second, 100 a commit | ratio |",
            "|---:|---:|---:|---:|---:|---:|---:|",
        ]
        print("\n".join(lines), flush=True)
        day = TODAY
        for clients in map(int, args.clients.split(",")):
            found: list[tuple[float, float, float, float]] = []
            for _ in range(args.rounds):
                base = simple_update(url, clients, args.seconds)
                day += timedelta(days=1)
                one, took = payments(args.accounts, clients, 1, day, args.seconds)
                day += timedelta(days=1)
                many, _ = payments(args.accounts, clients, 100, day, args.seconds)
                found.append((base, one, took, many))
            bases, ones, tooks, manys = (sorted(column) for column in zip(*found, strict=True))

            def spread(values: list[float]) -> str:
                return f"{statistics.median(values):,.0f} ({values[0]:,.0f} to {values[-1]:,.0f})"

            half, group = (statistics.median(f[k] / f[0] for f in found) for k in (1, 3))
            line = (
                f"| {clients} | {spread(bases)} | {spread(ones)} | {half:.2f} | {1000 * statistics.median(tooks):.1f}"
                f" | {spread(manys)} | {group:.2f} |"
            )
            print(line, flush=True)
            lines.append(line)
        (HERE / "results" / "journal-latest.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
