"""Many workers, each a process with a connection of its own, ask the gate about few borrowers; some are killed.

Every third worker asks in groups, each in one transaction, as a process does for askers who wait; those of a group
that are left are asked alone.

    python racer.py URL REQUESTS WORKERS VICTIMS FOLDER [--without-lock]

Run by test_race.py, which then asks the database what happened. Each worker writes what it was granted (G), how many
of it in one group (T), and what it used (U) into a file of its own; the last line of the output says how many requests
were answered.
"""

import os
import random
import signal
import sys
import time
import uuid
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg

from forbear.contact import reads
from forbear.contact.errors import Misasked, NotUsable
from forbear.contact.models import Outcome, Request
from forbear.contact.services import ask_many_on, ask_on, keep_rulebook, report_on, use_on
from forbear.rulebook.load import Rulebook, load

CALL = {
    "to_whom": "debtor", "discloses_debt": False, "third_party_before": False, "message_opt_out": True,
    "message_identifies": True, "message_false": False, "message_threat": False, "at_workplace": False,
    "public_view": False, "staff_trained": True, "staff_violent_record": False, "recorded": True,
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
#: Permissions that are shown about, so that several workers try to use the same one.
SHOWN = 64
#: Requests of a group.
MOST = 5


def law_alone() -> Rulebook:
    """The law without the house's ladder, whose spacing would hide the law's own caps."""
    from dataclasses import replace

    whole = load()
    return replace(whole, rules=tuple(rule for rule in whole.rules if rule.instrument.kind == "law"))


def work(
    number: int, url: str, law: Rulebook, accounts: list[int], goal: int, done: Any, shown: Any, log: Path, begin: Any
) -> None:
    draw = random.Random(number)
    # What a crash of the server would lose is not proved here, so nobody waits for the disk.
    options = {"application_name": "racer", "options": f"{reads.OPTIONS} -c synchronous_commit=off"}
    with psycopg.connect(url, **options) as connection, log.open("w", buffering=1) as said:
        begin.wait()  # all at once
        while done.value < goal:
            requests = [
                Request(
                    key=uuid.uuid4(),
                    account_id=draw.choice(accounts),
                    step="call",
                    requested_by=f"worker-{number}",
                    agency=draw.choice((None, "alpha", "beta")),
                    facts=CALL,
                )
                for _ in range(1 if number % 3 else MOST)
            ]
            together = ask_many_on(connection, law, requests) if len(requests) > 1 else [None]
            if granted := sum(answer is not None and answer.granted for answer in together):
                said.write(f"T {granted}\n")
            # What was granted expires soon: it is used before the others are asked for.
            for request, told in sorted(zip(requests, together, strict=True), key=lambda each: each[1] is None):
                answer = told or ask_on(connection, law, request)
                with done.get_lock():
                    done.value += 1
                if answer.permission is not None:
                    said.write(f"G {answer.permission.id}\n")
                    slot = 16 * draw.randrange(SHOWN)
                    shown[slot : slot + 16] = answer.permission.id.bytes
                    if draw.random() < 0.8:
                        _use(connection, law, answer.permission.id, draw, said)
                elif draw.random() < 0.02:
                    slot = 16 * draw.randrange(SHOWN)
                    _use(connection, law, uuid.UUID(bytes=bytes(shown[slot : slot + 16])), draw, said)


def _merely_use(connection: Any, law: Rulebook, permission: uuid.UUID) -> None:
    """Use without deciding anew: for the race that must break a cap."""
    if connection.execute(reads.USE, {"id": permission}).fetchone() is None:
        raise NotUsable("used")


_using = use_on
_ends: tuple[Outcome, ...] = ("no_answer", "connected", "conversation", "no_answer")


def _use(connection: Any, law: Rulebook, permission: uuid.UUID, draw: random.Random, said: Any) -> None:
    if permission.int == 0:
        return
    try:
        _using(connection, law, permission)
        connection.commit()
    except NotUsable:
        connection.rollback()
        return
    said.write(f"U {permission}\n")
    if draw.random() < 0.9:
        try:
            ended = draw.choice(_ends)
            report_on(connection, law, permission, ended, "racer")
        except Misasked:
            connection.rollback()


def main() -> None:
    global _using, _ends
    url, goal, workers, victims, folder = sys.argv[1], *map(int, sys.argv[2:5]), Path(sys.argv[5])
    if "--without-lock" in sys.argv:
        # Neither the lock of asking, nor that of using, nor its second look: each alone would still hold the caps.
        _using = _merely_use
        _ends = ("connected",)  # every call counts
        for name in ("LOCK", "LOCK_FREE", "LOCK_OF_PERMISSION"):
            held = getattr(reads, name)
            assert "FOR NO KEY UPDATE OF p" in held
            setattr(reads, name, held.replace("FOR NO KEY UPDATE OF p", "").replace("SKIP LOCKED", ""))
    law = law_alone()
    with psycopg.connect(url) as connection:
        accounts = [row[0] for row in connection.execute("SELECT id FROM account ORDER BY id")]
        keep_rulebook(connection, law)
    many = get_context("fork")
    done, shown = many.Value("q", 0), many.Array("B", 16 * SHOWN, lock=False)
    begin = many.Barrier(workers)
    running = [
        many.Process(target=work, args=(n, url, law, accounts, goal, done, shown, folder / f"{n}.log", begin))
        for n in range(workers)
    ]
    for each in running:
        each.start()
    draw, begun = random.Random(0), time.monotonic()
    for k, victim in enumerate(draw.sample(running, victims), start=1):
        # Spread over the run, each at a moment that nobody chose. The counter's lock is not held then, or
        # those that are left would wait for a dead process: that is the test's own, not the gate's.
        while done.value < goal * k // (victims + 1):
            time.sleep(0.001)
        with done.get_lock():
            os.kill(victim.pid or 0, signal.SIGKILL)
    for each in running:
        each.join()
    killed = sum(each.exitcode == -signal.SIGKILL for each in running)
    failed = sum(each.exitcode not in (0, -signal.SIGKILL) for each in running)
    print(done.value, killed, failed, round(time.monotonic() - begun, 1))


if __name__ == "__main__":
    main()
