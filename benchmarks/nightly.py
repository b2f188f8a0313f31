"""The night at scale: accounts a second and peak memory, against a bare copy and against other engines.

    make bench                                       10^5, 10^6 and 5 x 10^6 synthetic accounts
    make bench BENCH_ARGS="--sizes 100,100000"       a quick look

The first size is the night's start-up: what a night costs that has almost nothing to decide. Every figure is a
ratio of two things measured in this one run, on this one machine.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SEED = 7


def main() -> None:
    """Measure and print; the table is also written to benchmarks/results/nightly-latest.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="100,100000,1000000,5000000")
    parser.add_argument("--jurisdiction", default="cn")
    parser.add_argument("--books", type=Path, help="a folder where drawn books are kept, and found again")
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="forbear-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        os.chmod(folder, 0o755)
        homes = {size: (args.books or Path(folder)) / str(size) for size in sizes}
        for home in homes.values():
            home.mkdir(parents=True, exist_ok=True)
        # All are drawn before the first is measured, so that what is compared is measured at one time.
        made = {size: _child("synth", size, args.jurisdiction, home) for size, home in homes.items()}
        rows = []
        for size, home in homes.items():
            night = _child("night", size, args.jurisdiction, home)
            bare = _child("bare", size, args.jurisdiction, home)
            rows.append({"size": size, **made[size], **night, **bare})
            print(json.dumps(rows[-1]), flush=True)
        engines = _child("engines", sizes[1], args.jurisdiction, homes[sizes[1]])
        print(json.dumps(engines), flush=True)
    _report(rows, engines)


def _child(what: str, size: int, jurisdiction: str, home: Path) -> dict[str, Any]:
    """What one part of the measurement found, in a process of its own, so that its peak memory is its own."""
    env = {**os.environ, "FORBEAR_HOME": str(home)}
    env.pop("FORBEAR_DATABASE_URL", None)
    command = [sys.executable, __file__, "--child", what, str(size), jurisdiction]
    ended = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def _day() -> date:
    from forbear.synth.draw import DEFAULT_AS_OF

    return DEFAULT_AS_OF


# ---- the night and its baseline ---------------------------------------------------------------------


def child_synth(size: int, jurisdiction: str) -> dict[str, Any]:
    """Draw the book into the database."""
    from forbear.rulebook.load import load
    from forbear.servicing.demand import keep_lawful
    from forbear.store.engine import copy_connection, migrate
    from forbear.synth.draw import Request
    from forbear.synth.parameters import parameters
    from forbear.synth.write import write

    migrate()
    seconds, _ = _timed(lambda: write(Request(size, SEED, _day(), parameters(jurisdiction)), None, None, None))
    keep_lawful(load())  # a kept book was held by the rules of its day
    with copy_connection() as connection:
        connection.autocommit = True
        # A kept book has seen a night and a bare copy before.
        connection.execute("TRUNCATE run CASCADE")
        connection.execute("DROP TABLE IF EXISTS bare")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return {"synth_s": seconds}


def child_night(size: int, jurisdiction: str) -> dict[str, Any]:
    """One whole night, its stages and its peak memory."""
    from forbear.nightly.run import nightly
    from forbear.rulebook.load import load

    seconds, night = _timed(lambda: nightly(_day(), load()))
    assert night.accounts == size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    stages = night.stages
    return {"night_s": seconds, "read_s": stages.read, "decide_s": stages.decide, "write_s": stages.write, "gib": peak}


def child_bare(size: int, jurisdiction: str) -> dict[str, Any]:
    """The same bytes by bare COPY, out and in, and one DuckDB scan of the book."""
    import duckdb

    from forbear.nightly.run import BORROWER_QUERIES, DECISION_COLUMNS, QUERIES
    from forbear.store.engine import arrow_connection, copy_connection

    queries = (QUERIES | BORROWER_QUERIES).values()

    def out() -> int:
        total = 0
        with copy_connection() as connection:
            for query in queries:
                asked = query.format(lo=0, hi=2**62, as_of=f"DATE '{_day()}'")
                with connection.cursor().copy(f"COPY ({asked}) TO STDOUT (FORMAT binary)") as rows:
                    total += sum(len(block) for block in rows)
        return total

    def into() -> None:
        columns = ", ".join(DECISION_COLUMNS)
        with copy_connection() as connection:
            connection.execute("CREATE TABLE bare (LIKE decision INCLUDING ALL)")
            connection.execute(
                "ALTER TABLE bare ADD FOREIGN KEY (account_id) REFERENCES account, ALTER run_id SET DEFAULT 1"
            )
            connection.commit()
            with connection.cursor().copy(f"COPY bare ({columns}) FROM STDIN (FORMAT csv)") as sink:
                for block in blocks:
                    sink.write(block)
            connection.commit()

    out_s, read_bytes = _timed(out)
    with copy_connection() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = f"COPY (SELECT {', '.join(DECISION_COLUMNS)} FROM decision) TO STDOUT (FORMAT csv)"
        with connection.cursor().copy(query) as rows:
            blocks = [bytes(block) for block in rows]
    into_s, _ = _timed(into)
    scan_s = 0.0
    with arrow_connection() as arrow, arrow.cursor() as cursor, duckdb.connect() as duck:
        duck.execute(f"SET threads = {os.cpu_count()}")
        for query in queries:
            cursor.execute(query.format(lo=0, hi=2**62, as_of=f"DATE '{_day()}'"))
            rows = cursor.fetch_arrow_table()
            sums = ", ".join(f'count("{name}")' for name in rows.column_names)
            scan_s += _timed(lambda rows=rows, sums=sums: duck.sql(f"SELECT {sums} FROM rows").fetchall())[0]
    written = sum(map(len, blocks))
    return {"out_s": out_s, "in_s": into_s, "scan_s": scan_s, "read_mb": read_bytes / 1e6, "write_mb": written / 1e6}


# ---- deciding by other engines ----------------------------------------------------------------------


def child_engines(size: int, jurisdiction: str) -> dict[str, Any]:
    """The same rules on the same facts by DuckDB, a Python loop, zen-engine and openfisca-core."""
    sys.path.insert(0, str(HERE))
    from engines import compare

    return compare(_day(), jurisdiction)


def _report(rows: list[dict[str, Any]], engines: dict[str, Any]) -> None:
    start = rows[0]["night_s"]
    lines = [
        "# The night, measured",
        "",
        f"By `python benchmarks/nightly.py`: {platform.machine()}, {os.cpu_count()} cores, Python"
        f" {platform.python_version()}; synthetic books, seed {SEED}. Seconds.",
        "",
        f"Start-up, a night of {rows[0]['size']:,} accounts: {start:.1f} s; it is left out of the µs an account.",
        "",
        "| accounts | read | decide | write | night | bare copy out + in + scan | ratio | µs an account | peak GiB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows[1:]:
        bare = row["out_s"] + row["in_s"] + row["scan_s"]
        lines.append(
            f"| {row['size']:,} | {row['read_s']:.1f} | {row['decide_s']:.1f} | {row['write_s']:.1f} |"
            f" {row['night_s']:.1f} | {row['out_s']:.1f} + {row['in_s']:.1f} + {row['scan_s']:.1f} |"
            f" {row['night_s'] / bare:.2f} | {1e6 * (row['night_s'] - start) / row['size']:.1f} | {row['gib']:.2f} |"
        )
    batch = engines["batch"]
    lines += [
        "",
        f"Deciding alone, over facts in memory ({engines['rules']} rules; the answers were compared first):",
        "",
        "| engine | accounts | accounts a second | the batch is faster by | middle of the turns |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, (n, rate) in engines["engines"].items():
        middle = engines["median"].get(name)
        lines.append(f"| {name} | {n:,} | {rate:,.0f} | {batch / rate:,.2f} | {f'{middle:.2f}' if middle else ''} |")
    text = "\n".join(lines) + "\n"
    print(text)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "nightly-latest.md").write_text(text, "utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        found = globals()[f"child_{sys.argv[2]}"](int(sys.argv[3]), sys.argv[4])
        print(json.dumps(found))
    else:
        main()
