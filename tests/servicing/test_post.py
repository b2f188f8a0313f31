"""Postings as examples of the money: a payment settles, a late one restates, one taken back brings arrears back."""

import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forbear.intake.services import import_book
from forbear.ledger.models import Charged, ChargedBack, Event, Forborne, Kind, Paid, Reversed, Waived, WrittenOff
from forbear.ledger.state import fold
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.servicing.errors import KeyUsed, ServicingError
from forbear.servicing.loan import read
from forbear.servicing.post import CHARGED, Posting, Receipt, Refusal, post, post_one
from forbear.store.journal import balances
from forbear.synth.draw import Request
from forbear.synth.parameters import parameters
from forbear.synth.write import write

FEB, MAR = date(2026, 2, 10), date(2026, 3, 10)
STANDS = "SELECT dpd, bucket, class, arrears_minor FROM account_state WHERE account_id = 1 ORDER BY id DESC LIMIT 1"


def posted(event: Event, as_of: date, account_id: int = 1) -> Receipt:
    return post_one(Posting(account_id, event), as_of)


def held(url: str, account_id: int = 1, on: date | None = None) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        return {name: minor for (name, _), minor in balances(connection, account_id, on).items()}


def replayed(url: str, account_id: int = 1) -> dict[str, int]:
    """The balances by the ledger's fold alone, from what is on file."""
    with psycopg.connect(url) as connection:
        loan = read(connection, [account_id])[account_id]
    assert loan.terms is not None and loan.posted_to is not None
    sums: dict[str, int] = {}
    for transaction in fold(loan.terms, loan.schedule, loan.events, loan.posted_to).transactions:
        for entry in transaction.entries:
            sums[str(entry.account)] = sums.get(str(entry.account), 0) + entry.amount
    return {name: minor for name, minor in sums.items() if minor}


def test_a_payment_settles_interest_then_principal_of_the_oldest_instalment(book: Path, fresh_db: str) -> None:
    # Given 515.00 due on 10 February, when 400.00 come on 15 February, then its interest of 15.00 is settled, and
    # 385.00 of its principal; 5 days past due, and 115.00 left.
    receipt = posted(Paid("P1", FEB + timedelta(days=5), 40_000), FEB + timedelta(days=5))
    assert dict(receipt.entries) == {"cash": 40_000, "owed:interest": -1_500, "owed:principal": -38_500}
    assert (receipt.standing.dpd, receipt.standing.arrears, receipt.again) == (5, 11_500, False)
    assert held(fresh_db) == replayed(fresh_db)
    assert held(fresh_db)["cash"] == -100_000 + 40_000


def test_the_state_follows_a_payment_at_once_not_at_night(book: Path, asked: Any) -> None:
    # Given an account 95 days past due and so substandard (办法 2023 art. 11), when one instalment is paid, then
    # days past due and bucket are those of the next one, in the payment's own transaction.
    day = FEB + timedelta(days=95)
    posted(Charged("F1", day, Kind.FEE, 100), day)
    assert asked(STANDS) == [(95, "91-120", "substandard", 51_500 + 50_750)]
    posted(Paid("P1", day, 51_500), day)
    assert asked(STANDS) == [(67, "61-90", "substandard", 50_750)]
    assert asked(
        "SELECT p.xmin = s.xmin FROM payment p, account_state s WHERE p.ref = 'P1' AND s.cause = 'payment:P1'"
    ) == [(True,)]


def test_the_same_payment_twice_answers_as_before(book: Path, asked: Any, fresh_db: str) -> None:
    first = posted(Paid("P1", FEB, 51_500), FEB)
    # Even after more has happened, and on another day.
    posted(Paid("P2", MAR, 100), MAR)
    before = held(fresh_db)
    again = posted(Paid("P1", FEB, 51_500), MAR + timedelta(days=9))
    assert again.again
    assert (again.entries, again.booked_at, again.standing) == (first.entries, first.booked_at, first.standing)
    assert held(fresh_db) == before and asked("SELECT count(*) FROM payment WHERE account_id = 1") == [(2,)]


@pytest.mark.parametrize("other", [Paid("P1", FEB, 51_499), Paid("P1", FEB - timedelta(days=1), 51_500)])
def test_a_key_with_other_content_is_refused_in_one_line(book: Path, other: Paid, fresh_db: str) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    before = held(fresh_db)
    with pytest.raises(KeyUsed, match="event P1: this key is on file") as told:
        posted(other, FEB)
    assert "\n" not in str(told.value) and held(fresh_db) == before


@pytest.mark.parametrize(
    ("account_id", "event", "said"),
    [
        (9, Paid("P1", FEB, 1), "there is no account 9"),
        (3, Paid("P1", FEB, 1), "no instalment on file"),
        (1, Paid("P1", FEB + timedelta(days=2), 1), "Post it on that day"),
        (1, Paid("P1", FEB, 0), "not more than nothing"),
        (1, Paid("P1", date(2025, 1, 1), 1), "before"),
        (1, Charged("F1", date(2025, 1, 1), Kind.FEE, 1), "^event F1: 2025-01-01 lies before the loan was opened"),
        # 法发〔2017〕22号 art. 2: what the contract gives is held to its ceiling, so none of it is charged beside it.
        *((1, Charged("F1", FEB, kind, 1), "Charge a fee or a cost") for kind in Kind if kind not in CHARGED),
        (1, Forborne("H0", FEB, FEB - timedelta(days=1), True), "its last day 2026-02-09 lies before its first"),
        (1, Reversed("R1", FEB, "P9"), "there is no P9 on this account"),
        (
            2,
            Reversed("R1", date(2026, 2, 11), "P0"),
            "^event R1: its day 2026-02-11 lies before 2026-02-12",
        ),
    ],
)
def test_what_can_not_be_is_one_line_and_leaves_nothing(
    book: Path, asked: Any, account_id: int, event: Event, said: str
) -> None:
    with pytest.raises(ServicingError, match=said) as told:
        posted(event, FEB + timedelta(days=1), account_id)
    assert event.key in str(told.value) and "\n" not in str(told.value)
    assert asked("SELECT (SELECT count(*) FROM journal_transaction) + (SELECT count(*) FROM account_event)") == [(0,)]


def test_a_payment_that_comes_to_light_late_restates_by_reversal(book: Path, asked: Any, fresh_db: str) -> None:
    # Given a payment of 15 March, posted then, when one of 9 February is found in April, then what the first had
    # settled is reversed and posted again; no row changed, and April's days past due are as if it had come in time.
    posted(Paid("P2", MAR + timedelta(days=5), 51_500), MAR + timedelta(days=5))
    rows = asked("SELECT * FROM journal_transaction ORDER BY id")
    receipt = posted(Paid("P1", FEB - timedelta(days=1), 51_500), date(2026, 4, 10))
    assert receipt.standing.dpd == 0 and receipt.standing.arrears == 0
    assert asked("SELECT * FROM journal_transaction ORDER BY id")[: len(rows)] == rows
    kinds = asked("SELECT key FROM journal_transaction WHERE key ~ 'payment:P2' ORDER BY id")
    assert kinds == [("payment:P2",), ("reversal/payment:P2",), ("2/payment:P2",)]
    assert held(fresh_db) == replayed(fresh_db)
    # February was in time. March was 5 days late: 500.00 * 27% * 5/365 = 1.85; of 515.00 + 515.00 that leaves 5.65.
    assert "owed:penalty" not in held(fresh_db) and held(fresh_db)["credit"] == -(51_500 - 50_750 - 185)
    # The day of 15 March was on record as 5 days past due; it is known now that it was not.
    days = asked("SELECT dpd, cause FROM account_state WHERE account_id = 1 AND as_of = '2026-03-15' ORDER BY id")
    assert days == [(5, "payment:P2"), (0, "restated")]


def test_penalty_interest_that_runs_on_is_never_counted_twice(book: Path, fresh_db: str) -> None:
    # Given 500.00 of principal overdue since 10 February at 27% a year, when something is posted on the 10th, the 20th
    # and the 48th day, then the journal holds the interest through the last of them: 500.00 * 27% * 48/365 = 17.75.
    for days, key in ((10, "A"), (20, "B")):
        day = FEB + timedelta(days=days)
        posted(Charged(key, day, Kind.FEE, 100), day)
        assert held(fresh_db) == replayed(fresh_db)
    day = FEB + timedelta(days=48)
    posted(Paid("P1", day, 100), day)
    assert held(fresh_db)["owed:penalty"] == 1_775 + 740  # and of March's: 500.00 * 27% * 20/365
    assert held(fresh_db) == replayed(fresh_db)


def test_a_mistaken_payment_is_reversed_and_never_counted(book: Path, asked: Any, fresh_db: str) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Reversed("R1", MAR, "P1"), MAR)
    assert asked(STANDS)[0][:2] == (28, "1-30")
    assert held(fresh_db) == replayed(fresh_db)
    # Also on the days before the reversal was known: by value date the money never came.
    assert held(fresh_db, on=FEB)["cash"] == -100_000
    assert asked("SELECT taken_back_on = paid_on FROM payment WHERE ref = 'P1' AND account_id = 1") == [(True,)]
    with pytest.raises(ServicingError, match="taken back once"):
        posted(Reversed("R2", MAR, "P1"), MAR)
    assert posted(Reversed("R1", MAR, "P1"), MAR).again


def test_a_chargeback_brings_arrears_back_from_its_day_on(book: Path, asked: Any, fresh_db: str) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    back = FEB + timedelta(days=20)
    receipt = posted(ChargedBack("C1", back, "P1"), back)
    assert (receipt.standing.dpd, receipt.standing.arrears) == (20, 51_500)
    assert held(fresh_db) == replayed(fresh_db) and held(fresh_db, on=back - timedelta(days=1))["cash"] == -48_500
    # The night agrees on both sides of that day.
    dpd = "SELECT d.dpd FROM decision d JOIN run r ON r.id = run_id WHERE account_id = 1 ORDER BY run_id DESC LIMIT 1"
    nightly(back - timedelta(days=1), load())
    assert asked(dpd) == [(0,)]
    nightly(back, load())
    assert asked(dpd) == [(20,)]


def test_fee_waiver_forbearance_and_write_off_are_posted(book: Path, asked: Any, fresh_db: str) -> None:
    day = MAR + timedelta(days=40)
    posted(Charged("F1", FEB, Kind.COST, 8_000), day)
    posted(Waived("W1", day, Kind.COST, 3_000), day)
    assert held(fresh_db)["owed:cost"] == 5_000
    posted(Forborne("H1", day, day + timedelta(days=60), True), day)
    written = posted(WrittenOff("X1", day), day)
    assert dict(written.entries)["loss"] > 0
    assert held(fresh_db) == replayed(fresh_db) and sum(held(fresh_db).values()) == 0
    assert asked("SELECT key, kind FROM account_event ORDER BY booked_at") == [
        ("F1", "charged"),
        ("W1", "waived"),
        ("H1", "forborne"),
        ("X1", "written_off"),
    ]


def test_a_batch_keeps_the_good_and_answers_each_in_its_place(book: Path, asked: Any) -> None:
    batch = [
        Posting(1, Paid("P1", FEB, 100)),
        Posting(9, Paid("P1", FEB, 100)),
        Posting(1, Paid("P2", FEB, 200)),
        Posting(1, Paid("P1", FEB, 100)),
        Posting(1, Paid("P1", FEB, 101)),
        Posting(2, Paid("P1", FEB, 300)),
    ]
    found = post(batch, FEB)
    assert [isinstance(each, Receipt) for each in found] == [True, False, True, True, False, True]
    assert isinstance(found[3], Receipt) and found[3].again and isinstance(found[4], Refusal)
    sums = "SELECT account_id, sum(amount_minor)::int FROM payment WHERE ref <> 'P0' GROUP BY 1 ORDER BY 1"
    assert asked(sums) == [(1, 300), (2, 300)]


def test_two_payments_at_once_on_one_account_follow_each_other(book: Path, asked: Any, fresh_db: str) -> None:
    # Given 24 payments by four at a time, when all are posted at once, then each settled what the one before it
    # left: the balances are those of one after the other.
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: posted(Paid(f"P{n}", FEB, 1_000 + n), FEB), range(24)))
    assert len({answer.standing.owed for answer in answers}) == 24
    assert held(fresh_db)["cash"] == -100_000 + sum(1_000 + n for n in range(24))
    assert held(fresh_db) == replayed(fresh_db)


def test_batches_over_the_same_accounts_never_wait_for_each_other_in_a_ring(book: Path, fresh_db: str) -> None:
    def both_ways(n: int) -> None:
        ids = [1, 2] if n % 2 else [2, 1]
        post([Posting(id_, Paid(f"Q{n}", FEB, 10)) for id_ in ids], FEB)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(both_ways, range(16)))
    assert held(fresh_db)["cash"] == -100_000 + 160


def test_an_import_of_payments_restates_accounts_that_are_in_the_journal(book: Path, fresh_db: str) -> None:
    # Given an account in the journal, when the lender's file brings an older payment and takes in a new one, then
    # the journal has both in the same transaction as the file's rows; an account not in the journal stays out.
    posted(Paid("P9", MAR, 20_000), MAR)
    (book / "payments.csv").write_text(
        "loan_ref,ref,paid_on,amount\nL1,P5,2026-02-01,51.00\nL2,P0,2026-02-12,15.00\nL2,P7,2026-02-13,5.00\n", "utf-8"
    )
    assert import_book(book, "forbear").bad == 0
    assert held(fresh_db)["cash"] == -100_000 + 20_000 + 5_100
    assert held(fresh_db) == replayed(fresh_db) and held(fresh_db, 2) == {}
    # Its own payments come in with the first posting.
    posted(Paid("P8", MAR, 1), MAR, account_id=2)
    assert held(fresh_db, 2)["cash"] == -100_000 + 1_500 + 500 + 1


def test_night_journal_and_payments_agree_over_a_drawn_book(fresh_db: str, asked: Any) -> None:
    # Given a drawn book of 150 accounts with a payment posted to each, some taken back, when the night runs, then
    # days past due and arrears are those of the posting, and the journal's cash is the sum of the payments.
    day = date(2026, 6, 30)
    write(Request(150, 5, day, parameters("cn")), "x")
    ids = [id_ for (id_,) in asked("SELECT DISTINCT account_id FROM instalment ORDER BY 1")]
    rng = random.Random(5)
    for id_ in ids:
        on = day - timedelta(days=rng.randrange(20))
        opened = asked(f"SELECT opened_on FROM account WHERE id = {id_}")[0][0]
        found = post([Posting(id_, Paid("NEW", max(on, opened), rng.randrange(1, 200_000)))], day)
        assert isinstance(found[0], Receipt), found
        if rng.random() < 0.3:
            posted(rng.choice((Reversed, ChargedBack))("BACK", day, "NEW"), day, id_)
    nightly(day, load())
    unequal = asked(
        "SELECT a.id FROM account a JOIN decision d ON d.account_id = a.id"
        " JOIN LATERAL (SELECT * FROM account_state s WHERE s.account_id = a.id ORDER BY id DESC LIMIT 1) s ON true"
        " WHERE a.status = 'open' AND (d.dpd, d.arrears) <> (s.dpd, s.arrears_minor)"
    )
    assert unequal == [] and len(ids) > 100
    apart = asked(
        "SELECT b.account_id FROM journal_balance b WHERE b.ledger_account = 'cash' AND b.amount_minor <>"
        " (SELECT coalesce(sum(amount_minor), 0) FROM payment p"
        "  WHERE p.account_id = b.account_id AND taken_back_on IS NULL)"
        " - (SELECT sum(principal_minor) FROM instalment i WHERE i.account_id = b.account_id)"
    )
    assert apart == []
    assert asked("SELECT sum(amount_minor) FROM journal_entry") == [(0,)]


PAYER = """
import datetime
from forbear.ledger.models import Paid
from forbear.servicing.post import Posting, post_one
day = datetime.date(2026, 2, 10)
for n in range(400):
    post_one(Posting(1 + n % 2, Paid(f"K{n}", day, 10 + n)), day)
    print(n, flush=True)
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_payer_has_lost_nothing_that_was_acknowledged(
    book: Path, fresh_db: str, asked: Any, seed: int
) -> None:
    # Given payments one by one, when the payer is killed with SIGKILL at random moments and starts over with the same
    # keys, then each acknowledged payment is there after each kill, and in the end each counts once.
    rng = random.Random(seed)
    kills = 0
    while kills < 3:
        running = subprocess.Popen([sys.executable, "-c", PAYER], stdout=subprocess.PIPE, text=True)
        assert running.stdout is not None
        goal = rng.randrange(5, 60)
        last = -1
        for line in running.stdout:
            last = int(line)
            if last >= goal:
                time.sleep(rng.random() * 0.02)
                running.send_signal(signal.SIGKILL)
                break
        last = max([last, *(int(line) for line in running.stdout.read().split())])
        running.wait()
        kills += 1
        kept = {int(ref[1:]) for (ref,) in asked("SELECT ref FROM payment WHERE ref LIKE 'K%'")}
        assert set(range(last + 1)) <= kept
    for n in range(60):
        posted(Paid(f"K{n}", FEB, 10 + n), FEB, 1 + n % 2)
    kept = {int(ref[1:]) for (ref,) in asked("SELECT ref FROM payment WHERE ref LIKE 'K%'")}
    for id_, before in ((1, -100_000), (2, -100_000 + 0)):
        cash = before + sum(10 + n for n in kept if 1 + n % 2 == id_)
        assert held(fresh_db, id_)["cash"] == cash
        assert held(fresh_db, id_) == replayed(fresh_db, id_)
    apart = asked(
        "SELECT p.ref FROM payment p LEFT JOIN journal_transaction t"
        " ON t.account_id = p.account_id AND t.key = 'payment:' || p.ref WHERE t.id IS NULL AND p.ref LIKE 'K%'"
    )
    assert apart == []


def test_a_card_whose_statements_are_not_told_is_no_loan_by_instalments_and_nothing_is_posted_to_it(
    book: Path, asked: Any, fresh_db: str
) -> None:
    # Given an account that is a card, when a payment comes, then it is refused, not settled as instalments would be.
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE account SET product = 'card' WHERE id = 1")
    with pytest.raises(ServicingError, match="is a card, and the terms of its statements are not on file"):
        posted(Paid("P1", FEB, 51_500), FEB)
    assert asked("SELECT count(*) FROM journal_transaction") == [(0,)]
