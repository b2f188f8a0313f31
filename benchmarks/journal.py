"""Payments posted durably, a second, against pgbench's simple-update on the same server in the same run.

    python benchmarks/journal.py [--accounts 20000] [--seconds 6] [--clients 1,2,4,16] [--rounds 3]

In turns, over so many connections: pgbench's simple-update; single payments, one to a commit, by so many processes;
batches of 100 to a commit by as many; and a bank's file of one payment an account by `forbear pay-file`'s own
function in as many processes, its start and its end included. Beside the rate stands the processor's time of client
and server together for each, which other work on the machine changes less. The server is an embedded PostgreSQL of
its own, whose fsync, full_page_writes and synchronous_commit are asserted to be on for all of them. Every posting is
the whole of it: lock, allocation, payment, double entry, days past due and class, commit.
`pgbench` is PostgreSQL's own, of Debian's postgresql-15.
"""

import argparse
import multiprocessing
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg

from forbear.intake.bank import post_file
from forbear.ledger.models import Paid
from forbear.servicing.post import Posting, Receipt, connect, post
from forbear.store.engine import copy_connection, migrate
from forbear.store.server import database_url

OPENED = date(2026, 1, 10)
TODAY = date(2026, 6, 20)
INSTALMENTS = 36
#: Days from one turn to the next: a third of a month, as the payments are a third of an instalment on average.
STEP = timedelta(days=10)
HERE = Path(__file__).parent


def book(accounts: int) -> None:
    """Loans of 36 instalments of 250.00 to 1,250.00, of which five have fallen due and four were paid."""
    migrate()
    with copy_connection() as connection:
        connection.execute(
            "INSERT INTO book (name, jurisdiction, lender_type, collector, currency, synthetic)"
            " VALUES ('bench', 'cn', 'bank', 'creditor', 'CNY', true)"
        )
        connection.execute("INSERT INTO borrower (book_id, ref) VALUES (1, 'B')")
        connection.execute(
            "INSERT INTO account (book_id, borrower_id, ref, product, status, opened_on, principal_minor,"
            " penalty_rate_ppm, late_fee_minor, grace_days) SELECT 1, 1, 'L' || n, 'instalment', 'open', %s,"
            " 36 * (20000 + n %% 101 * 1000), 180000 + n %% 19 * 10000, n %% 3 * 500, n %% 5"
            " FROM generate_series(1, %s) n",
            (OPENED, accounts),
        )
        connection.execute(
            "INSERT INTO instalment SELECT a.id, n, %s + n * interval '1 month', a.principal_minor / 36, 5000"
            " FROM account a, generate_series(1, %s) n",
            (OPENED, INSTALMENTS),
        )
        connection.execute(
            "INSERT INTO payment SELECT a.id, 'P' || n, %s + n * interval '1 month', a.principal_minor / 36 + 5000"
            " FROM account a, generate_series(1, 4) n",
            (OPENED,),
        )
        connection.commit()
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)


def amounts(accounts: int, seed: int) -> list[int]:
    """What each account pays in a turn: from nearly nothing to two thirds of its instalment, a third on average.

    So the book is in the last turn as it was in the first: some ahead, some in arrears, none further and further.
    """
    rng = random.Random(seed)
    return [rng.randrange(1, 2 * (25_000 + n % 101 * 1_000) // 3) for n in range(1, accounts + 1)]


def settle(url: str) -> None:
    """Figures for the planner, and nothing left to be written behind."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _payer(
    first: int, last: int, batch: int, day: date, seconds: float, due: list[int], gate: Any, out: Connection
) -> None:
    """Post one payment to each account in turn, `batch` in a commit; count what was acknowledged."""
    with connect() as connection:
        gate.wait()
        ends = time.perf_counter() + seconds
        done, at = 0, first
        while time.perf_counter() < ends and at + batch <= last:
            sent = [Posting(at + k, Paid(f"N{day}", day, due[at + k - 1])) for k in range(batch)]
            answers = post(sent, day, connection)
            assert all(isinstance(answer, Receipt) and not answer.again for answer in answers)
            done += batch
            at += batch
        out.send((done, time.perf_counter() - (ends - seconds)))


def payments(accounts: int, clients: int, batch: int, day: date, seconds: float) -> tuple[float, int]:
    """(payments a second, how many) over so many connections, each a process."""
    gate = multiprocessing.Barrier(clients)
    share = accounts // clients
    due = amounts(accounts, day.toordinal())
    running = []
    for k in range(clients):
        here, there = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(
            target=_payer, args=(1 + k * share, 1 + (k + 1) * share, batch, day, seconds, due, gate, there)
        )
        process.start()
        running.append((process, here))
    answers = [here.recv() for _, here in running]
    for process, _ in running:
        process.join()
    return sum(done / took for done, took in answers), sum(done for done, _ in answers)


def bank_file(folder: Path, accounts: int, connections: int, day: date) -> tuple[float, int]:
    """(payments a second, how many) of a file with one of each account, in no order, from the call to its return."""
    due = amounts(accounts, day.toordinal())
    numbers = list(range(accounts))
    random.Random(day.toordinal()).shuffle(numbers)
    path = folder / f"bank-{day}.csv"
    rows = (f"L{n + 1},F{day},{day},{due[n] // 100}.{due[n] % 100:02}\n" for n in numbers)
    path.write_text("loan_ref,ref,paid_on,amount\n" + "".join(rows), "utf-8")
    begun = time.perf_counter()
    found = post_file(path, as_of=day, workers=connections)
    took = time.perf_counter() - begun
    assert (found.posted, found.again, found.refused) == (accounts, 0, ())
    return accounts / took, accounts


def processor_seconds(home: Path) -> float:
    """Processor time so far of the server, with all that it started, and of this process and what it started."""
    server = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(entry.name) == server or int(fields[1]) == server:
                # utime, stime; of the server itself also of its children that have ended.
                ticks += sum(map(int, fields[11 : 15 if int(entry.name) == server else 13]))
    own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return ticks / os.sysconf("SC_CLK_TCK") + sum(usage.ru_utime + usage.ru_stime for usage in own)


def simple_update(url: str, clients: int, seconds: float) -> tuple[float, int]:
    """(transactions a second, how many) of pgbench's simple-update script, by pgbench."""
    command = ["pgbench", "-b", "simple-update", "-M", "prepared", "-n", "-c", str(clients), "-j", "2"]
    ended = subprocess.run([*command, "-T", str(round(seconds)), url], capture_output=True, text=True, check=True)
    found = re.search(r"tps = ([\d.]+)", ended.stdout)
    number = re.search(r"transactions actually processed: (\d+)", ended.stdout)
    assert found is not None and number is not None, ended.stdout
    return float(found[1]), int(number[1])


def spread(values: Sequence[float], form: str) -> str:
    """The median, and the least and the most."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def main() -> None:
    """Measure, print, and write benchmarks/results/journal-latest.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--clients", default="1,2,4,16")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    assert shutil.which("pgbench"), "install pgbench: apt-get install postgresql-15"
    with tempfile.TemporaryDirectory(prefix="forbear-bench-", dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.environ["FORBEAR_HOME"] = name
        os.environ.pop("FORBEAR_DATABASE_URL", None)
        url = database_url()
        book(args.accounts)
        # Each account enters the journal with its first payment, which brings all that is on file of it.
        opening, _ = bank_file(folder, args.accounts, 2, TODAY)
        settle(url)
        subprocess.run(["pgbench", "-i", "-s", "16", "-q", url], capture_output=True, check=True)
        lines = [
            "# Payments, measured",
            "",
            f"By `python benchmarks/journal.py`: {os.cpu_count()} cores, load average of the machine at the start"
            f" {os.getloadavg()[0]:.1f}; fsync, full_page_writes and synchronous_commit on. {args.rounds} rounds of"
            f" {args.seconds:.0f} s a turn, the file of {args.accounts:,} payments whole; {args.accounts:,} loans of"
            f" {INSTALMENTS} instalments. Median (least to most) of the rounds; the ratio is of each round, to the"
            " simple-update of the same round. An account's first posting, with its opening and 4 payments of before:"
            f" {opening:,.0f} accounts a second.",
            "",
            "| connections | turn | a second | ratio to simple-update | processor ms each |",
            "|---:|---|---:|---:|---:|",
        ]
        print("\n".join(lines), flush=True)
        day = TODAY
        for clients in map(int, args.clients.split(",")):
            turns: dict[str, Callable[[date], tuple[float, int]]] = {
                "pgbench simple-update": lambda _, c=clients: simple_update(url, c, args.seconds),
                "single payments": lambda day, c=clients: payments(args.accounts, c, 1, day, args.seconds),
                "payments, 100 to a commit": lambda day, c=clients: payments(args.accounts, c, 100, day, args.seconds),
                "bank file": lambda day, c=clients: bank_file(folder, args.accounts, c, day),
            }
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
            for _ in range(args.rounds):
                for name, turn in turns.items():
                    day += STEP
                    before = processor_seconds(folder)
                    rate, number = turn(day)
                    found[name].append((rate, 1000 * (processor_seconds(folder) - before) / number))
            base = [rate for rate, _ in next(iter(found.values()))]
            for name, pairs in found.items():
                rates, times = zip(*pairs, strict=True)
                ratios = [rate / of for rate, of in zip(rates, base, strict=True)]
                line = (
                    f"| {clients} | {name} | {spread(rates, ',.0f')} | {spread(ratios, '.2f')}"
                    f" | {statistics.median(times):.2f} |"
                )
                print(line, flush=True)
                lines.append(line)
        (HERE / "results" / "journal-latest.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
