"""The ledger at scale. Part A: accrue and restate a book in one batch, against the loop over single loans.

    make .venv/.dev && .venv/bin/python benchmarks/ledger.py            10^6 synthetic loans
    .venv/bin/python benchmarks/ledger.py --loans 100000                a quick look

Both paths start from the same rows in memory and give the same figures, which are compared first. The loop runs
over a sample, spread evenly over the book. A restatement is a second batch, in which one loan in ten turns out to
have paid 30 days earlier than was known, or not at all.
"""

import argparse
import platform
import random
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from forbear.ledger.allocate import ORDERS
from forbear.ledger.batch import Book, Owed, restate
from forbear.ledger.models import DayCount, Disbursed, Instalment, Kind, Late, Paid, Product, Terms
from forbear.ledger.state import State, fold
from forbear.synth.draw import CHUNK_ACCOUNTS, DEFAULT_AS_OF, Request, draw
from forbear.synth.parameters import parameters

SEED = 7
EPOCH = date(1970, 1, 1)
ORDER = "cn_civil_code"
#: What a bank of China may ask in all (法发〔2017〕22号 art. 2).
CEILING_PPM = 240_000


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loans", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=4_000)
    args = parser.parse_args()
    as_of = (DEFAULT_AS_OF - EPOCH).days
    book = synthetic_book(args.loans)
    sample = sorted(random.Random(SEED).sample(range(args.loans), min(args.sample, args.loans)))
    cases = [single(book, k) for k in sample]
    print(
        f"{args.loans:,} loans, {len(book.due_on):,} instalments, {len(book.paid):,} payments;"
        f" {platform.machine()}, Python {sys.version.split()[0]}; one process, one core. Order {ORDER}."
    )
    print()
    print("| path | loans | seconds | loans a second |\n|---|---:|---:|---:|")
    batch_s = []
    for _ in range(3):
        seconds, owed = timed(lambda: restate(book, as_of, ORDERS[ORDER], DayCount.ACT_365))
        batch_s.append(seconds)
        row("batch: accrue", args.loans, seconds)
    loop_s, states = timed(lambda: [fold(*case, DEFAULT_AS_OF) for case in cases])
    row("loop: state.fold", len(cases), loop_s)
    for k, state in zip(sample, states, strict=True):
        compare(owed, k, state)
    changed = restated(book)
    again_s, after = timed(lambda: restate(changed, as_of, ORDERS[ORDER], DayCount.ACT_365))
    row("batch: restate", args.loans, again_s)
    cases = [single(changed, k) for k in sample]
    loop_again_s, states = timed(lambda: [fold(*case, DEFAULT_AS_OF) for case in cases])
    row("loop: restate", len(cases), loop_again_s)
    for k, state in zip(sample, states, strict=True):
        compare(after, k, state)
    late = int((owed.oldest_due_on != np.iinfo(np.int64).max).sum())
    moved = int((owed.dpd != after.dpd).sum())
    print()
    print(
        f"Batch against loop, loans a second (the slowest of three batches): accrue"
        f" {ratio(args.loans, max(batch_s), len(cases), loop_s):,.0f} times, restate"
        f" {ratio(args.loans, again_s, len(cases), loop_again_s):,.0f} times."
    )
    print(f"{2 * len(cases):,} loans compared, ten figures each: all equal to the cent.")
    print(f"{late:,} loans past due; restating changed the days past due of {moved:,}.")


def row(path: str, loans: int, seconds: float) -> None:
    """One line of the table."""
    print(f"| {path} | {loans:,} | {seconds:.2f} | {loans / seconds:,.0f} |", flush=True)


def ratio(many: int, many_s: float, few: int, few_s: float) -> float:
    """How many times more loans a second the first path does."""
    return (many / many_s) / (few / few_s)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what the work gave."""
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def synthetic_book(loans: int) -> Book:
    """Loans of the generator for China, seed 7, as arrays."""
    request = Request(loans, SEED, DEFAULT_AS_OF, parameters("cn"))
    tables: dict[str, list[pa.Table]] = {"account": [], "instalment": [], "payment": []}
    for number in range(request.chunks):
        chunk = draw(request, number)
        for name in ("instalment", "payment"):
            table = chunk.tables[name]
            owner = pa.array(ints(table["account"]) + number * CHUNK_ACCOUNTS)
            tables[name].append(table.set_column(0, "account", owner))
        tables["account"].append(chunk.tables["account"])
    account, instalment, payment = (pa.concat_tables(parts) for parts in tables.values())
    payment = payment.take(np.lexsort((ints(payment["paid_on"]), ints(payment["account"]))))
    edges = np.arange(loans + 1)
    return Book(
        np.searchsorted(ints(instalment["account"]), edges),
        ints(instalment["due_on"]),
        ints(instalment["principal_minor"]),
        ints(instalment["interest_minor"]),
        np.zeros(len(instalment), dtype=np.int64),
        np.searchsorted(ints(payment["account"]), edges),
        ints(payment["paid_on"]),
        ints(payment["amount_minor"]),
        *(ints(account[name]) for name in ("penalty_rate_ppm", "late_fee_minor", "late_fee_ppm", "grace_days")),
        np.full(loans, CEILING_PPM),
    )


def ints(column: pa.ChunkedArray) -> np.ndarray:
    """A column as whole numbers; a day as days since 1970-01-01."""
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    return column.to_numpy().astype(np.int64)


def restated(book: Book) -> Book:
    """The book when, of one loan in ten, the last payment is known to be 30 days older, or was reversed."""
    rng = np.random.default_rng(SEED)
    loans = len(book.first) - 1
    last = book.paid_first[1:] - 1
    some = (rng.random(loans) < 0.1) & (last >= book.paid_first[:-1])
    back = some & (rng.random(loans) < 0.5)
    paid, paid_on = book.paid.copy(), book.paid_on.copy()
    # A payment of nothing is one that was reversed; the loop gets no such event.
    paid[last[some & ~back]] = 0
    paid_on[last[back]] -= 30
    owner = np.repeat(np.arange(loans), np.diff(book.paid_first))
    order = np.lexsort((paid_on, owner))
    return Book(
        book.first,
        book.due_on,
        book.principal,
        book.interest,
        book.fee,
        book.paid_first,
        paid_on[order],
        paid[order],
        book.penalty_rate_ppm,
        book.late_fee_minor,
        book.late_fee_ppm,
        book.grace_days,
        book.ceiling_ppm,
    )


def single(book: Book, k: int) -> tuple[Terms, list[Instalment], list[Any]]:
    """Loan k as the single path takes it."""
    rows = range(book.first[k], book.first[k + 1])
    schedule = [
        Instalment(day(book.due_on[j]), int(book.principal[j]), int(book.interest[j]), int(book.fee[j])) for j in rows
    ]
    lent = sum(line.principal for line in schedule)
    opened = schedule[0].due_on - timedelta(days=70)
    late = Late(
        *(int(x[k]) for x in (book.penalty_rate_ppm, book.late_fee_minor, book.late_fee_ppm, book.grace_days)),
        ceiling_ppm=CEILING_PPM,
    )
    terms = Terms(
        Product.EQUAL_INSTALMENTS, "CNY", lent, 0, opened, schedule[0].due_on, len(schedule), late=late, order=ORDER
    )
    paid = [
        Paid(f"{j:09}", day(book.paid_on[j]), int(book.paid[j]))
        for j in range(book.paid_first[k], book.paid_first[k + 1])
        if book.paid[j]
    ]
    return terms, schedule, [Disbursed("lent", opened, lent), *paid]


def day(number: int) -> date:
    """The date of days since 1970-01-01."""
    return EPOCH + timedelta(days=int(number))


def compare(owed: Owed, k: int, state: State) -> None:
    """Stop where a figure of the batch is not the single loan's."""
    due = [debt for debt in state.debts if debt.due]
    past = [debt.due_on for debt in due if debt.unpaid and debt.due_on < state.as_of]
    wanted = {
        "dpd": state.dpd,
        "oldest_due_on": (min(past) - EPOCH).days if past else np.iinfo(np.int64).max,
        "arrears": state.arrears,
        "penalty": state.owed(Kind.PENALTY),
        "late_fee": state.owed(Kind.LATE_FEE),
        "credit": state.credit,
        "to_come": sum(debt.owed[Kind.PRINCIPAL] for debt in state.debts if not debt.due),
    } | {str(kind): sum(d.owed.get(kind, 0) for d in due) for kind in (Kind.PRINCIPAL, Kind.INTEREST, Kind.FEE)}
    found = {name: int(getattr(owed, name)[k]) for name in wanted}
    if found != wanted:
        raise SystemExit(f"loan {k}: the batch found {found}, the single loan {wanted}")


if __name__ == "__main__":
    main()
