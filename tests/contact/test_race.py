"""The proof of the gate: 64 processes race for few borrowers, 100,000 requests, some are killed, and no cap breaks."""

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forbear.contact.errors import NotUsable
from forbear.contact.services import ask, use, void
from forbear.rulebook.load import Rulebook

REQUESTS, WORKERS, VICTIMS = 100_000, 64, 16
#: The gate's clock runs so much faster than ours, so that the race goes over many days, nights and expiries.
SPEED = 2_000
BEGIN = "2026-06-01T09:00:00+08:00"

PLACED = """
    placed AS (
        SELECT coalesce(b.same_as, b.id) AS person, c.account_id, c.at, c.outcome, k.jurisdiction,
               (c.at AT TIME ZONE b.zones)::date AS day
        FROM contact c JOIN account a ON a.id = c.account_id JOIN borrower b ON b.id = a.borrower_id
        JOIN book k ON k.id = a.book_id WHERE c.step = 'call')"""
#: GB/T 45251-2025: more than three connected calls a local day to one debtor, over all loans and agencies.
OVER_DAILY = f"""
    WITH {PLACED} SELECT person, day, count(*) FROM placed
    WHERE jurisdiction = 'cn' AND outcome IN ('connected', 'conversation', 'pending')
    GROUP BY person, day HAVING count(*) > 3"""
#: 12 CFR 1006.14(b)(2)(i)(A): more than seven calls within seven consecutive days about one debt.
OVER_SEVEN = f"""
    WITH {PLACED} SELECT p.account_id, p.day FROM placed p JOIN placed q
        ON q.account_id = p.account_id AND q.day BETWEEN p.day - 6 AND p.day
    WHERE p.jurisdiction = 'us' GROUP BY p.account_id, p.day, p.at HAVING count(DISTINCT q.at) > 7 + (
        SELECT count(*) FROM placed r WHERE r.account_id = p.account_id AND r.day = p.day AND r.at > p.at)"""
#: 12 CFR 1006.14(b)(2)(i)(B): a call within seven days of a conversation about the debt, its day the first.
AFTER_CONVERSATION = f"""
    WITH {PLACED} SELECT q.account_id, q.at FROM placed p JOIN placed q
        ON q.account_id = p.account_id AND q.at > p.at AND q.day < p.day + 7
    WHERE p.jurisdiction = 'us' AND p.outcome IN ('conversation', 'pending')"""
#: A permission used for more than one contact, used late, or used without its contact.
TWICE = """
    SELECT permission_id::text FROM contact WHERE permission_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1
    UNION ALL SELECT id::text FROM permission WHERE used_at >= expires_at OR used_at < granted_at
    UNION ALL SELECT p.id::text FROM permission p LEFT JOIN contact c ON c.permission_id = p.id
        WHERE (p.used_at IS NULL) <> (c.permission_id IS NULL)"""


def _few_borrowers(store: Any) -> None:
    """Six people with two or three loans each, one of them in two books; two more under US law."""
    first, second, us = store.book(), store.book(name="another lender's"), store.book("us")
    for _ in range(5):
        one = store.lend(first)
        store.lend(first, borrower=store.borrower_of(one))
    one, other = store.lend(first), store.lend(second)
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(one), store.borrower_of(other))
    for _ in range(2):
        store.lend(us, zones="America/New_York")


def _race(store: Any, folder: Path, requests: int, victims: int, *options: str, speed: int = SPEED) -> list[float]:
    _few_borrowers(store)
    store.sql(
        "CREATE OR REPLACE FUNCTION gate_now() RETURNS timestamptz LANGUAGE sql AS"
        f" 'SELECT ''{BEGIN}''::timestamptz + {speed} * (clock_timestamp() - "
        + f"''{store.sql('SELECT clock_timestamp()')[0][0].isoformat()}''::timestamptz)'"
    )
    racer = Path(__file__).with_name("racer.py")
    command = [sys.executable, str(racer), store.url, str(requests), str(WORKERS), str(victims), str(folder), *options]
    ended = subprocess.run(command, env=os.environ, check=True, stdout=subprocess.PIPE, text=True)
    return [float(word) for word in ended.stdout.split()]


@pytest.mark.parametrize("requests", [REQUESTS])
def test_no_cap_is_exceeded_no_permission_serves_twice_and_the_killed_hold_nothing(
    store: Any, law: Rulebook, wanted: Callable[..., Any], tmp_path: Path, requests: int
) -> None:
    done, killed, failed, seconds = _race(store, tmp_path, requests, VICTIMS)
    assert (killed, failed) == (VICTIMS, 0)
    assert done >= requests and store.sql("SELECT count(*) FROM gate_request")[0][0] >= requests
    counts = store.sql(
        "SELECT count(*), count(used_at), (SELECT count(DISTINCT requested_by) FROM gate_request),"
        " (SELECT max(at) - min(at) FROM contact) FROM permission"
    )[0]
    print(f"{done:.0f} requests in {seconds} s; granted, used, workers, span: {counts}")

    # No window is over its cap, and each cap was reached: otherwise nothing was raced for.
    for broken in (OVER_DAILY, OVER_SEVEN, AFTER_CONVERSATION, TWICE):
        assert store.sql(broken) == []
    assert store.sql(OVER_DAILY.replace("count(*) > 3", "count(*) = 3"))
    said = {
        row[0] for row in store.sql("SELECT DISTINCT jsonb_array_elements_text(spoke -> 'forbids') FROM gate_request")
    }
    assert {"cn.call.daily", "us.call.after-conversation", "cn.hours"} <= said

    # What the workers themselves saw: nothing granted twice, nothing used twice.
    lines = [line.split() for log in tmp_path.glob("*.log") for line in log.read_text().splitlines()]
    for sign in ("G", "U"):
        seen = [word[1] for word in lines if word[0] == sign and len(word) == 2]
        assert seen and len(seen) == len(set(seen))
    # Of them in groups, while others asked alone.
    together = sum(int(word[1]) for word in lines if word[0] == "T" and len(word) == 2)
    assert 0 < together < sum(word[0] == "G" for word in lines)

    # Nothing is held: every borrower can be locked at once, no worker's transaction is left open.
    assert store.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'racer'") == []
    with psycopg.connect(store.url) as connection:
        connection.execute("SELECT id FROM borrower FOR UPDATE NOWAIT")
    # And what was granted and never used has lapsed: ten days later each of them may be called again.
    store.clock("2027-06-30T22:00:00+08:00")
    assert store.sql("SELECT count(*) FROM permission WHERE used_at IS NULL AND expires_at > gate_now()") == [(0,)]
    for jurisdiction, hour in (("cn", "12:00:00+08:00"), ("us", "12:00:00-04:00")):
        store.clock(f"2027-06-30T{hour}")
        for (account,) in store.sql(
            "SELECT min(a.id) FROM account a JOIN book k ON k.id = a.book_id JOIN borrower b ON b.id = a.borrower_id"
            " WHERE jurisdiction = %s GROUP BY coalesce(same_as, b.id)", jurisdiction,
        ):  # fmt: skip
            assert ask(law, wanted(account)).granted


def test_without_the_lock_the_same_race_breaks_a_cap(store: Any, tmp_path: Path) -> None:
    # The proof can fail: the same workers, the same SQL, but the person is not locked. The clock runs slower, so that
    # what is granted does not expire before a worker on a busy machine has used it.
    _race(store, tmp_path, 5_000, 0, "--without-lock", speed=SPEED // 100)
    assert store.sql(OVER_DAILY) or store.sql(OVER_SEVEN) or store.sql(AFTER_CONVERSATION)


def test_a_permission_given_back_while_it_is_used_is_used_or_void_and_never_both(
    store: Any, law: Rulebook, wanted: Callable[..., Any]
) -> None:
    # Given 200 permissions, each used by one and given back by another who begins a little sooner or later.
    loans, draw, told = [store.lend() for _ in range(8)], random.Random(7), Counter[str]()
    permissions = [ask(law, wanted(loan, "letter")).permission.id for loan in loans for _ in range(25)]

    def after(seconds: float, both: threading.Barrier, done: Callable[..., Any], *given: Any) -> str:
        both.wait()
        time.sleep(seconds)
        try:
            done(*given)
        except NotUsable as refused:
            return refused.why
        return "done"

    with ThreadPoolExecutor(2) as threads:
        for permission in permissions:
            both = threading.Barrier(2)
            using = threads.submit(after, draw.random() * 0.004, both, use, law, permission)
            voiding = threads.submit(after, draw.random() * 0.008, both, void, permission)
            told[f"use: {using.result()}, void: {voiding.result()}"] += 1
    # Then each of the two knows how it ended, both ends came about, and the record says the same.
    assert told.keys() == {"use: done, void: used", "use: void, void: done"}
    ended = store.sql(
        "SELECT used_at IS NOT NULL, voided_at IS NOT NULL, count(c.permission_id), count(*) FROM permission p"
        " LEFT JOIN contact c ON c.permission_id = p.id GROUP BY 1, 2 ORDER BY 1"
    )
    given_back, used = told["use: void, void: done"], told["use: done, void: used"]
    assert ended == [(False, True, 0, given_back), (True, False, used, used)] and given_back + used == 200
