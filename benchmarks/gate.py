"""The gate's throughput at 16 connections, against a bare "lock a row, count, insert" transaction, in turns.

    .venv/bin/python benchmarks/gate.py [--seconds 5] [--rounds 6] [--accounts 60000]

The gate is asked for the contacts that a night has planned over a synthetic book, as channels ask it. Both are done
by the same 16 processes, over the same connections, on the same server and book, with the same client in the same
shape: one round trip that locks and reads, one that writes and commits. The gate reads the person's whole record,
asks the whole rulebook, and keeps its answer with its reasons; the bare one counts the person's contacts and inserts
one narrow row. Both commit durably (the server's defaults), over the same persons in the same order, and before the
first round every row of a person and of a loan has been locked once, so that neither is the one that pays for the
first write to a page after the checkpoint. What is printed is also written to benchmarks/results/gate.md.
"""

import argparse
import itertools
import os
import platform
import random
import statistics
import tempfile
import time
import uuid
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg

CONNECTIONS = 16
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--accounts", type=int, default=60_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forbear-bench-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        os.environ["FORBEAR_HOME"] = folder
        os.environ.pop("FORBEAR_DATABASE_URL", None)
        url, law = _prepared(args.accounts)
        rows = _measured(url, law, args.rounds, args.seconds)
        with psycopg.connect(url) as connection:
            verdicts = connection.execute("SELECT verdict, count(*) FROM gate_request GROUP BY 1 ORDER BY 1").fetchall()
    _report(args, rows, verdicts, len(law.rules))


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


def _measured(url: str, law: Any, rounds: int, seconds: float) -> list[tuple[float, float]]:
    """Transactions a second of the gate and of the bare one, for each round; a round of warming up goes before."""
    from forbear.contact.models import WRITTEN, Request
    from forbear.contact.reads import OPTIONS
    from forbear.contact.services import ask_on

    with psycopg.connect(url) as connection:
        planned = connection.execute(
            "SELECT account_id, step FROM decision WHERE step NOT IN ('none', 'hardship_hold') ORDER BY account_id"
        ).fetchall()

    def gate(connection: Any, account_id: int, step: str) -> None:
        request = Request(
            key=uuid.uuid4(),
            account_id=account_id,
            step=step,
            requested_by="bench",
            facts=FACTS,
            text_sha256="0" * 64 if step in WRITTEN else None,
        )
        ask_on(connection, law, request)

    with psycopg.connect(url) as connection:
        # The rules are compiled once, before the processes part, as a server does when it starts.
        for account_id, step in planned[:300]:
            gate(connection, account_id, step)
        planned = planned[300:]
    with psycopg.connect(url, autocommit=True) as connection:
        # Neither is the first to write a page after the checkpoint, which costs that whole page.
        connection.execute("SELECT count(*) FROM (SELECT 1 FROM borrower FOR NO KEY UPDATE) locked")
        connection.execute("SELECT count(*) FROM (SELECT 1 FROM account FOR KEY SHARE) locked")
        connection.execute("VACUUM ANALYZE gate_request")
    many = get_context("fork")
    barrier = many.Barrier(CONNECTIONS + 1)
    done = many.Array("q", CONNECTIONS)

    def bare(connection: Any, account_id: int, _: str) -> None:
        with connection.pipeline():
            connection.execute(_LOCK, (account_id,), prepare=True)
            (n,) = connection.execute(_COUNT, (account_id,), prepare=True).fetchone()
            connection.execute(_INSERT, (uuid.uuid4(), account_id, n), prepare=True)
            connection.commit()

    def worker(number: int) -> None:
        # Each planned contact is asked for once, by one of them.
        mine = planned[number::CONNECTIONS]
        random.Random(number).shuffle(mine)
        turn_of = {gate: itertools.cycle(mine), bare: itertools.cycle(mine)}
        with psycopg.connect(url, options=OPTIONS) as connection:
            for turn in range(2 * (rounds + 1)):
                one = (gate, bare)[turn % 2]
                barrier.wait()
                count, until = 0, time.monotonic() + (seconds if turn > 1 else 1)
                while time.monotonic() < until:
                    one(connection, *next(turn_of[one]))
                    count += 1
                done[number] = count
                barrier.wait()

    running = [many.Process(target=worker, args=(n,)) for n in range(CONNECTIONS)]
    for each in running:
        each.start()
    rates = []
    for turn in range(2 * (rounds + 1)):
        barrier.wait()
        begun = time.monotonic()
        barrier.wait()
        if turn > 1:
            rates.append(sum(done) / (time.monotonic() - begun))
    for each in running:
        each.join()
    return list(zip(rates[::2], rates[1::2], strict=True))


def _report(args: Any, rows: list[tuple[float, float]], verdicts: list[Any], rules: int) -> None:
    ratio = statistics.median(gate / bare for gate, bare in rows)
    lines = [
        "# The gate, measured",
        "",
        f"By `python benchmarks/gate.py --seconds {args.seconds:g} --rounds {args.rounds} --accounts {args.accounts}`:"
        f" {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {CONNECTIONS} connections;"
        f" {rules} rules on file; load of the machine when it ended {os.getloadavg()[0]:.0f}.",
        "",
        "| round | gate, requests a second | bare, transactions a second | ratio |",
        "|---:|---:|---:|---:|",
        *(f"| {k} | {gate:,.0f} | {bare:,.0f} | {gate / bare:.2f} |" for k, (gate, bare) in enumerate(rows, start=1)),
        "",
        f"Median ratio: {ratio:.2f}. Answers: " + ", ".join(f"{n:,} {verdict}" for verdict, n in verdicts) + ".",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    path = Path(__file__).parent / "results" / "gate.md"
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
