"""The gate's throughput at 16 connections, against a bare "lock a row, count, insert" transaction, in turns.

    .venv/bin/python benchmarks/gate.py [--rounds 8] [--accounts 60000]

A round has seven turns, in each of which two processes go through every contact that a night has planned over a
synthetic book. First 16 threads, over a connection each, do a bare transaction for each contact. Then the gate is asked
for each, three times over: in bulk, by the same threads over the same connections, as who sends many messages asks
(`ask_all_on`, 32 contacts a transaction); alone, by the same again, a transaction each (`ask_on`); and together, by
128 askers, a thread each, as a server's askers do (`Together`), where those who wait share one of the few transactions
that a server makes at a time. Each time it grants nearly all; then it is asked the same again, which it refuses nearly
all, since what it has just granted is outstanding, and it says when each becomes lawful. Between, what was granted is
taken away again.

All is done with the same client, in the same shape: one round trip that locks and reads, one that writes and commits
durably (the server's defaults), over the same persons. The gate reads the person's whole record, asks the whole
rulebook, and keeps its answer with its reasons; the bare transaction counts the contacts and inserts one narrow row.
Before the first round every row of a person and of a loan has been locked once, so that neither is the one that pays
for the first write to a page after the checkpoint. What is printed is also written to benchmarks/results/gate.md.
"""

import argparse
import contextlib
import gc
import os
import platform
import random
import statistics
import tempfile
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

CONNECTIONS = 16
#: As a server runs: a process for each core, with a thread for each connection. Both sides are the faster for it.
PROCESSES = 2
#: Who ask at a time where they share transactions.
MANY = 128
AS_OF = date(2026, 6, 30)
NOON = "2026-06-30T12:00:00+08:00"
FACTS: dict[str, bool | int | str] = {
    "to_whom": "debtor", "discloses_debt": False, "third_party_before": False, "message_opt_out": True,
    "message_identifies": True, "message_false": False, "message_threat": False, "at_workplace": False,
    "public_view": False, "visitors": 2, "visit_appointed": True, "visit_identified": True, "staff_trained": True,
    "staff_violent_record": False, "recorded": True,
    "contact_refused": False,
    "bad_occasion": False,
    "message_suit": False,
    "time_barred": False,
    "message_overshadows": False,
    "agent_announced": True,
    "staff_approved": True,
    "third_party_refused": False,
    "enters_uninvited": False,
}  # fmt: skip

_LOCK = "SELECT id FROM borrower WHERE id = (SELECT borrower_id FROM account WHERE id = %s) FOR NO KEY UPDATE"
_COUNT = """
    SELECT count(*) FROM contact WHERE account_id IN (
        SELECT id FROM account WHERE borrower_id = (SELECT borrower_id FROM account WHERE id = %s))"""
_INSERT = "INSERT INTO bare (id, account_id, n, at) VALUES (%s, %s, %s, clock_timestamp())"


class Turn(NamedTuple):
    """What one turn of all processes came to: requests, seconds, CPU seconds of the clients and of the server's own."""

    count: int
    seconds: float
    client: float
    server: float
    answers: dict[str, int]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.count / self.seconds

    @property
    def cpu(self) -> tuple[float, float]:
        """Microseconds of CPU a request: the client's and the server's."""
        return 1e6 * self.client / self.count, 1e6 * self.server / self.count


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--accounts", type=int, default=60_000)
    args = parser.parse_args()
    args.load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="forbear-bench-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        os.environ["FORBEAR_HOME"] = folder
        os.environ.pop("FORBEAR_DATABASE_URL", None)
        url, law = _prepared(args.accounts)
        os.environ["FORBEAR_DATABASE_URL"] = url
        rounds = _measured(url, law, args.rounds)
    _report(args, rounds, len(law.rules))


def _prepared(accounts: int) -> tuple[str, Any]:
    """A synthetic book, the gate's clock at noon of its day, the table of the bare transaction."""
    from forbear.contact.services import keep_rulebook
    from forbear.nightly.run import nightly
    from forbear.rulebook.load import load
    from forbear.store.engine import engine, migrate
    from forbear.store.server import database_url
    from forbear.synth.draw import Request
    from forbear.synth.parameters import parameters
    from forbear.synth.write import write

    migrate()
    write(Request(accounts, 7, AS_OF, parameters("cn")))
    law, url = load(), database_url()
    with psycopg.connect(url) as connection:
        # A book that says what the house's own rules ask, as a lender's would: a synthetic one leaves it open.
        connection.execute("UPDATE borrower SET opted_out_sms = false, sms_consent = true, vulnerable = false")
    nightly(AS_OF, law)
    with psycopg.connect(url) as connection:
        keep_rulebook(connection, law)
        connection.execute(
            "CREATE OR REPLACE FUNCTION gate_now() RETURNS timestamptz LANGUAGE sql AS"
            f" 'SELECT clock_timestamp() - (timestamptz ''{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}''"
            f" - timestamptz ''{NOON}'')'"
        )
        connection.execute(
            "CREATE TABLE bare (id uuid PRIMARY KEY, account_id bigint NOT NULL REFERENCES account, n int,"
            " at timestamptz)"
        )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    engine().dispose()
    return url, law


WAYS = ("in bulk", "alone", "together")
#: Of a round. A refusal comes of what was granted in the turn before.
TURNS = ("bare", *(f"{answer}, {way}" for way in WAYS for answer in ("granted", "refused")))


def _measured(url: str, law: Any, rounds: int) -> list[dict[str, Turn]]:
    """The turns of each round; a round of warming up goes before."""
    from forbear.contact.models import WRITTEN, Request
    from forbear.contact.reads import OPTIONS
    from forbear.contact.services import MOST_TOGETHER, ask_all_on, ask_on, together

    with psycopg.connect(url) as connection:
        planned = connection.execute(
            "SELECT account_id, step FROM decision WHERE step NOT IN ('none', 'hardship_hold') ORDER BY account_id"
        ).fetchall()

    def wanted(account_id: int, step: str) -> Request:
        return Request(
            key=uuid.uuid4(),
            account_id=account_id,
            step=step,
            requested_by="bench",
            facts=FACTS,
            text_sha256="0" * 64 if step in WRITTEN else None,
        )

    def in_bulk(connection: Any, share: Any) -> Counter[str]:
        found: Counter[str] = Counter()
        for start in range(0, len(share), MOST_TOGETHER):
            requests = [wanted(*each) for each in share[start : start + MOST_TOGETHER]]
            found.update(answer.verdict for answer in ask_all_on(connection, law, requests))
        return found

    def alone(connection: Any, share: Any) -> Counter[str]:
        return Counter(ask_on(connection, law, wanted(*each)).verdict for each in share)

    def among_many(_: None, share: Any) -> Counter[str]:
        return Counter(together(law).ask(wanted(*each)).verdict for each in share)

    def bare(connection: Any, share: Any) -> Counter[str]:
        for account_id, _ in share:
            with connection.pipeline():
                connection.execute(_LOCK, (account_id,), prepare=True)
                (n,) = connection.execute(_COUNT, (account_id,), prepare=True).fetchone()
                connection.execute(_INSERT, (uuid.uuid4(), account_id, n), prepare=True)
                connection.commit()
        return Counter(inserted=len(share))

    # The rules are compiled once, before the processes part, as a server does when it starts.
    with psycopg.connect(url, options=OPTIONS) as connection:
        alone(connection, planned[:300])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT count(*) FROM (SELECT 1 FROM borrower FOR NO KEY UPDATE) locked")
        connection.execute("SELECT count(*) FROM (SELECT 1 FROM account FOR KEY SHARE) locked")
    forked = get_context("fork")
    barrier, told = forked.Barrier(PROCESSES + 1), forked.SimpleQueue()

    def shares(number: int, of: int) -> list[Any]:
        found = [planned[k::of] for k in range(number, of, PROCESSES)]
        for k, share in enumerate(found):
            random.Random(k).shuffle(share)
        return found

    def worker(number: int) -> None:
        own, crowd = shares(number, CONNECTIONS), shares(number, MANY)
        gc.freeze()
        with contextlib.ExitStack() as stack:
            threads = stack.enter_context(ThreadPoolExecutor(len(crowd)))
            connections = [stack.enter_context(psycopg.connect(url, options=OPTIONS)) for _ in own]
            ways = {
                "bare": (bare, connections, own),
                "in bulk": (in_bulk, connections, own),
                "alone": (alone, connections, own),
                "together": (among_many, [None] * len(crowd), crowd),
            }
            for _ in range(rounds + 1):
                for name in TURNS:
                    turn, by, each = ways[name.rpartition(", ")[2]]
                    barrier.wait()
                    client = time.process_time()
                    answers = sum(threads.map(turn, by, each), Counter[str]())
                    client = time.process_time() - client
                    barrier.wait()
                    told.put((client, answers))
                    barrier.wait()  # who has served them is still there to be counted

    running = [forked.Process(target=worker, args=(n,)) for n in range(PROCESSES)]
    for each in running:
        each.start()
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(rounds + 1):
            turns = {}
            for name in TURNS:
                if not name.startswith("refused"):  # nothing is outstanding, and no table grows from round to round
                    for table in ("gate_request", "bare"):
                        connection.execute(f"DELETE FROM {table}")
                turns[name] = _turn(barrier, told, connection)
            found.append(turns)
    for each in running:
        each.join()
    return found[1:]


def _turn(barrier: Any, told: Any, connection: Any) -> Turn:
    server = _server(connection)
    barrier.wait()
    begun = time.monotonic()
    barrier.wait()
    seconds = time.monotonic() - begun
    client, answers = zip(*(told.get() for _ in range(PROCESSES)), strict=True)
    both = sum(answers, Counter[str]())
    server = _server(connection) - server
    barrier.wait()
    return Turn(both.total(), seconds, sum(client), server, dict(sorted(both.items())))


def _server(connection: Any) -> float:
    """The CPU seconds of all who serve clients, as Linux has them in /proc."""
    pids = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'").fetchall()
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for (pid,) in pids) / 1e9


def _report(args: Any, rounds: list[dict[str, Turn]], rules: int) -> None:
    from forbear.contact.services import MOST_TOGETHER, PLACES

    ratios = {name: [turns[name].rate / turns["bare"].rate for turns in rounds] for name in TURNS[1:]}
    rates = {name: [turns[name].rate for turns in rounds] for name in TURNS}
    lines = [
        "# The gate, measured",
        "",
        f"By `python benchmarks/gate.py --rounds {args.rounds} --accounts {args.accounts}`:"
        f" {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {CONNECTIONS} connections"
        f" of {PROCESSES} processes, on the cores of the server; {rules} rules on file; load of the machine"
        f" before it began {args.load:.1f}. Requests a second; each ratio is to the bare transactions of its round."
        f" In bulk: {CONNECTIONS} connections, {MOST_TOGETHER} contacts a transaction. Alone: the same, one a"
        f" transaction. Together: {MANY} askers, those who wait share transactions, over {PLACES * PROCESSES}"
        " connections.",
        "",
        "| round | bare: lock, count, insert | " + " | ".join(f"{name} | ratio" for name in TURNS[1:]) + " |",
        "|---|---:" + "|---:|---:" * len(TURNS[1:]) + "|",
    ]
    rows = [
        (str(k + 1), *([x[name][k] for x in (rates, ratios) if name in x] for name in TURNS))
        for k in range(args.rounds)
    ]
    rows.append(("**median**", *([statistics.median(x[name]) for x in (rates, ratios) if name in x] for name in TURNS)))
    for label, (bare,), *gate in rows:
        lines.append(f"| {label} | {bare:,.0f} | " + " | ".join(f"{n:,.0f} | {ratio:.2f}" for n, ratio in gate) + " |")
    lines += [
        "",
        "| | answers | client's CPU a request, µs | server's | both, to the bare |",
        "|---|---|---:|---:|---:|",
    ]
    base = None
    for name in TURNS:
        client, server = map(statistics.median, zip(*(turns[name].cpu for turns in rounds), strict=True))
        base = base or client + server
        answers = sum((Counter(turns[name].answers) for turns in rounds), Counter[str]())
        words = ", ".join(f"{n:,} {answer}" for answer, n in sorted(answers.items()))
        lines.append(f"| {name} | {words} | {client:.0f} | {server:.0f} | {(client + server) / base:.2f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    (Path(__file__).parent / "results" / "gate.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
