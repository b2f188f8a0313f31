"""A card from its record to its journal: taken in, posted, restated, told by every command; the faults of others."""

import json
import random
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from tests.conftest import Asked, write_book
from typer.testing import CliRunner

from forbear.cli import app
from forbear.contact import reads
from forbear.contact.facts import facts_by_day
from forbear.intake.services import import_book, quarantined
from forbear.ledger.filed import fold
from forbear.ledger.models import (
    Charged,
    ChargedBack,
    Event,
    Kind,
    Paid,
    Purchased,
    Reason,
    Rescheduled,
    Reversed,
    Waived,
    WrittenOff,
)
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.servicing.errors import KeyUsed, ServicingError
from forbear.servicing.history import history
from forbear.servicing.loan import read
from forbear.servicing.post import Posting, Receipt, post_one
from forbear.store.journal import balances

BOOK = """name = "cards"
jurisdiction = "cn"
lender_type = "bank"
collector = "creditor"
currency = "CNY"
history_from = 2026-01-01
"""
#: C1: 1,000.00 spent on 30 March, statement of 5 April, a minimum of 100.00 due on 23 April; 0.05% a day, a late fee of
#: 5%, cash whole in the minimum.
#: C2 is a card of which only what is past due of its bills is told.
TABLES = {
    "borrowers": "ref,zones,can_sms\nB1,Asia/Shanghai,true\n",
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,late_fee_rate,first_statement_on,"
    "due_days,minimum_rate,cash_minimum_rate\n"
    "C1,B1,card,open,2026-03-01,10000.00,18.25,5,2026-04-05,18,10,100\n"
    "C2,B1,card,open,2026-03-01,10000.00,18.25,5,,,,\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nC2,1,2026-04-23,300.00,0\n",
    "card_entries": "loan_ref,ref,kind,posted_on,amount\nC1,D1,purchase,2026-03-30,1000.00\n",
    "payments": "loan_ref,ref,paid_on,amount\n",
}
DUE, MAY = date(2026, 4, 23), date(2026, 5, 5)
STATE = "SELECT dpd, bucket, class, arrears_minor FROM account_state WHERE account_id = 1 ORDER BY id DESC LIMIT 1"


def folder_of(place: Path, **changed: str) -> Path:
    return write_book(place, BOOK, TABLES | changed)


@pytest.fixture
def book(fresh_db: str, tmp_path: Path) -> Path:
    folder = folder_of(tmp_path / "cards")
    assert import_book(folder, "forbear").bad == 0
    return folder


def on(days: int) -> date:
    """So many days after the first minimum fell due."""
    return DUE + timedelta(days=days)


def posted(event: Event, as_of: date) -> Receipt:
    return post_one(Posting(1, event), as_of)


def night(asked: Asked, as_of: date, account: int = 1) -> tuple[int, int]:
    nightly(as_of, load())
    found = asked(
        "SELECT d.dpd, d.arrears FROM decision d JOIN run r ON r.id = run_id"
        f" WHERE account_id = {account} AND as_of = '{as_of}' ORDER BY run_id DESC LIMIT 1"
    )
    return found[0][0], found[0][1]


def at_the_gate(url: str, as_of: date) -> tuple[int, int, int]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(reads.GATHER, {"account_id": 1, "mine": None}, binary=True).fetchall()
    record = reads.record(rows, 1)
    assert record is not None
    facts = facts_by_day(record, {}, False, load(), charges=True)(as_of)
    return facts["dpd"], facts["arrears"], facts["owed"]  # type: ignore[return-value]


def held(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        return {name: minor for (name, _), minor in balances(connection, 1).items()}


def replayed(url: str) -> dict[str, int]:
    """The balances by the ledger's fold alone, from what is on file."""
    with psycopg.connect(url) as connection:
        loan = read(connection, [1])[1]
    assert loan.terms is not None and loan.posted_to is not None
    sums: dict[str, int] = {}
    for transaction in fold(loan.terms, (), loan.events, loan.posted_to).transactions:
        for entry in transaction.entries:
            sums[str(entry.account)] = sums.get(str(entry.account), 0) + entry.amount
    return {name: minor for name, minor in sums.items() if minor}


# ---- taken in ---------------------------------------------------------------------------------------


def test_what_was_drawn_is_an_event_and_comes_in_once(book: Path, asked: Asked, tmp_path: Path) -> None:
    assert asked("SELECT account_id, key, kind, value_on, detail ->> 'amount' FROM account_event") == [
        (1, "D1", "purchased", date(2026, 3, 30), "100000")
    ]
    # The terms of the statements, and the ceiling of 24% (金规〔2025〕9号, as for a bank's loans on file).
    assert asked("SELECT account_id, due_days, minimum_ppm, cash_minimum_ppm FROM card_terms") == [
        (1, 18, 100_000, 1_000_000)
    ]
    assert asked("SELECT ppm FROM ceiling JOIN account USING (book_id, opened_on) WHERE account.id = 1") == [(240_000,)]
    # A newer file tells of it again, and of what is new.
    more = TABLES["card_entries"] + "C1,D2,cash,2026-05-10,50.00\nC1,F1,fee,2026-05-11,3.00\n"
    again = import_book(folder_of(tmp_path / "newer", card_entries=more), "forbear")
    assert again.bad == 0 and asked("SELECT key FROM account_event ORDER BY key") == [("D1",), ("D2",), ("F1",)]


@pytest.mark.parametrize(
    ("changed", "field", "reason"),
    [
        ({"card_entries": TABLES["card_entries"] + "C2,D1,purchase,2026-04-01,1.00\n"}, "loan_ref", "no card"),
        ({"card_entries": TABLES["card_entries"] + "C1,D1,purchase,2026-04-01,1.00\n"}, "ref", "twice"),
        ({"card_entries": TABLES["card_entries"] + "C1,D2,purchase,2026-02-01,1.00\n"}, "posted_on", "before the day"),
        ({"card_entries": TABLES["card_entries"] + "C1,D2,purchase,2026-04-01,0\n"}, "amount", "too small"),
        ({"card_entries": TABLES["card_entries"] + "C1,D2,gift,2026-04-01,1.00\n"}, "kind", "none of the words"),
        (
            {"instalments": TABLES["instalments"] + "C1,1,2026-04-23,1.00,0\n"},
            "loan_ref",
            "worked out from its entries",
        ),
        ({"loans": TABLES["loans"].replace(",18,10,100", ",,10,100")}, "due_days", "is missing"),
        ({"loans": TABLES["loans"].replace(",18,10,100", ",28,10,100")}, "due_days", "beyond the bounds"),
        ({"loans": TABLES["loans"].replace("C1,B1,card", "C1,B1,instalment")}, "first_statement_on", "is none"),
    ],
)
def test_what_is_no_card_s_waits_with_its_reason(
    fresh_db: str, tmp_path: Path, changed: dict[str, str], field: str, reason: str
) -> None:
    import_book(folder_of(tmp_path / "wrong", **changed), "forbear")
    with psycopg.connect(fresh_db) as connection:
        first = quarantined(connection)[0]
    assert (first.field, reason in first.reason) == (field, True), first


def test_a_card_of_which_only_states_are_told_is_collected_as_before(book: Path, asked: Asked) -> None:
    assert night(asked, on(7), account=2) == (7, 30_000)
    with pytest.raises(ServicingError, match="the terms of its statements are not on file"):
        post_one(Posting(2, Paid("P1", on(7), 100)), on(7))


@pytest.mark.parametrize(
    ("rate", "paid", "steps"),
    [
        ("18.25", "", ("reminder", "sms", "none")),
        # Paid in time, nobody is written to. Above the 24% of 金规〔2025〕9号 the ledger charges no more than these,
        # and that may be asked for; where no rate is told, it is first settled.
        ("18.25", "C1,P1,2026-04-23,100.00\n", ("reminder", "none", "none")),
        ("25.00", "", ("reminder", "sms", "none")),
        ("", "", ("none", "none", "none")),
    ],
)
def test_the_night_works_a_card_by_its_minimum(
    fresh_db: str, tmp_path: Path, asked: Asked, rate: str, paid: str, steps: tuple[str, ...]
) -> None:
    # Two days before the due date, seven days after it, and seven days after it of a card in dispute.
    for number, (day, dispute) in enumerate(((on(-2), "false"), (on(7), "false"), (on(7), "true"))):
        place = tmp_path / f"b{number}"
        folder_of(
            place,
            borrowers="ref,zones,can_sms,can_call,can_write,stop_contact,attorney,bankrupt,incapable\n"
            "B1,Asia/Shanghai,true,true,true,false,false,false,false\n",
            loans="ref,borrower_ref,product,status,opened_on,principal,annual_rate,first_statement_on,due_days,"
            f"minimum_rate,dispute_open\nC1,B1,card,open,2026-03-01,1.00,{rate},2026-04-05,18,10,{dispute}\n",
            instalments="loan_ref,n,due_on,principal,interest\n",
            payments=TABLES["payments"] + (paid if day > DUE else ""),
            contacts="loan_ref,ref,at,step,outcome\n",
        )
        (place / "book.toml").write_text(BOOK + f"snapshot_on = {day}\n", "utf-8")
        assert import_book(place, "forbear").bad == 0
        run = nightly(day, load()).run_id
        assert asked(f"SELECT step FROM decision WHERE run_id = {run}") == [(steps[number],)], day


def test_an_explanation_tells_a_card_s_balance_beside_its_minimum(book: Path, asked: Asked) -> None:
    # 1,000.00 since 30 March at 0.05% a day, 31 days, with a late fee of 5.00: no more in all than 24% a year, 20.38.
    night(asked, on(7))
    told = typed("explain", "C1")
    assert "balance of the card, as it is known now: CN¥1,020.38  [computed]" in told
    assert "信用卡全部余额（按目前所知）" in typed("explain", "C1", "--lang", "zh-Hans")
    # Of a card whose statements are not told, nobody knows it.
    assert "balance of the card" not in typed("explain", "C2")


# ---- posted -----------------------------------------------------------------------------------------


def test_a_payment_settles_what_the_statement_billed_and_the_journal_sums_to_zero(book: Path, fresh_db: str) -> None:
    # Given the minimum of 100.00 unpaid, when 50.00 come after the next statement, then they settle its interest
    # (1,000 x 0.05% x 36 days = 18.00) and late fee (5% of 100.00), then principal (card Measures art. 57).
    receipt = posted(Paid("P1", date(2026, 5, 6), 5_000), date(2026, 5, 6))
    assert dict(receipt.entries) == {
        "cash": 5_000,
        "owed:interest": -1_800,
        "owed:late_fee": -500,
        "owed:principal": -2_700,
    }
    assert (receipt.standing.dpd, receipt.standing.arrears) == (13, 5_000)
    assert held(fresh_db) == replayed(fresh_db) and sum(held(fresh_db).values()) == 0


def test_interest_and_late_fee_are_one_transaction_each_a_statement_and_nothing_is_edited(
    book: Path, asked: Asked, fresh_db: str
) -> None:
    posted(Charged("F1", date(2026, 6, 6), Kind.COST, 100), date(2026, 6, 6))
    kinds = (
        "SELECT kind, value_on FROM journal_transaction WHERE kind IN ('interest', 'late_fee') ORDER BY value_on, kind"
    )
    days = [("interest", MAY), ("late_fee", MAY), ("interest", date(2026, 6, 5)), ("late_fee", date(2026, 6, 5))]
    assert asked(kinds) == days
    before = asked("SELECT id, key FROM journal_transaction ORDER BY id")
    # Posting again on a later day adds, and what stood stands.
    posted(Charged("F2", date(2026, 6, 20), Kind.COST, 100), date(2026, 6, 20))
    assert asked("SELECT id, key FROM journal_transaction ORDER BY id")[: len(before)] == before
    assert asked("SELECT count(*) FROM journal_transaction WHERE reverses IS NOT NULL") == [(0,)]
    # That the whole was paid in time comes to light: interest and late fees are reversed, not edited.
    posted(Paid("P1", DUE, 100_000), date(2026, 6, 21))
    assert asked("SELECT count(*) FROM journal_transaction WHERE reverses IS NOT NULL") == [(4,)]
    assert held(fresh_db) == replayed(fresh_db) == {"owed:cost": 200, "income": -200}


def test_the_same_purchase_twice_counts_once_and_another_under_its_key_is_refused(book: Path, asked: Asked) -> None:
    first = posted(Purchased("D2", DUE, 5_000), DUE)
    again = posted(Purchased("D2", DUE, 5_000), on(9))
    assert (again.again, again.entries) == (True, first.entries)
    with pytest.raises(KeyUsed, match="event D2: this key is on file"):
        posted(Purchased("D2", DUE, 5_001), DUE)
    # What an import brought is known under its number too.
    assert posted(Purchased("D1", date(2026, 3, 30), 100_000), DUE).again
    assert asked("SELECT count(*) FROM account_event WHERE kind = 'purchased'") == [(2,)]


def test_an_import_restates_a_card_that_is_in_the_journal(book: Path, tmp_path: Path, fresh_db: str) -> None:
    posted(Charged("F1", on(20), Kind.COST, 100), on(20))
    more = TABLES["card_entries"] + "C1,D2,purchase,2026-04-01,200.00\n"
    paid = TABLES["payments"] + "C1,P1,2026-04-23,120.00\n"
    assert import_book(folder_of(tmp_path / "newer", card_entries=more, payments=paid), "forbear").bad == 0
    assert held(fresh_db) == replayed(fresh_db) and held(fresh_db)["cash"] == 12_000 - 120_000


def test_after_a_write_off_nothing_is_drawn_by_whatever_way(book: Path, tmp_path: Path, asked: Asked) -> None:
    posted(WrittenOff("O1", on(200)), on(200))
    with pytest.raises(ServicingError, match="nothing is drawn on it any more"):
        posted(Purchased("D2", on(201), 100), on(201))
    late = TABLES["card_entries"] + f"C1,D3,purchase,{on(201)},1.00\n"
    assert import_book(folder_of(tmp_path / "newer", card_entries=late), "forbear").bad == 1
    assert asked("SELECT field FROM quarantine") == [("posted_on",)]


def test_a_plan_is_no_event_of_a_card(book: Path) -> None:
    with pytest.raises(ServicingError, match="a card has no schedule"):
        posted(Rescheduled("S1", DUE, (), Reason.PLAN), DUE)


def test_whatever_is_posted_in_whatever_order_the_journal_is_the_fold_of_what_is_on_file(
    book: Path, fresh_db: str, asked: Asked
) -> None:
    rng = random.Random(7)
    sent: list[Event] = []
    for k in range(40):
        day = date(2026, 4, 1) + timedelta(days=rng.randrange(120))
        amount = rng.randrange(1, 40_000)
        kind = rng.randrange(6)
        if kind == 0:
            sent.append(Purchased(f"D{k}x", day, amount, rng.random() < 0.3))
        elif kind == 1:
            sent.append(Waived(f"W{k}", day, rng.choice([Kind.INTEREST, Kind.LATE_FEE, Kind.PRINCIPAL]), amount))
        elif kind == 2 and (paid := [e for e in sent if isinstance(e, Paid)]):
            of = rng.choice(paid)
            sent.append(rng.choice([Reversed, ChargedBack])(f"R{k}", max(day, of.on), of.key))
        else:
            sent.append(Paid(f"P{k}", day, amount))
    known = date(2026, 4, 1)
    for event in sent:
        known = max(known, event.on)
        try:
            posted(event, known)
        except ServicingError as error:
            assert "taken back before" in str(error)
    assert held(fresh_db) == replayed(fresh_db) and sum(held(fresh_db).values()) == 0
    # The night and the gate, by what they read themselves, stand where the journal's last state does.
    stood = asked(STATE)[0]
    assert night(asked, known) == (stood[0], stood[3]) == at_the_gate(fresh_db, known)[:2]


# ---- faults of other systems ------------------------------------------------------------------------


def test_a_backdated_payment_restates_days_past_due_of_days_on_record(book: Path, asked: Asked) -> None:
    posted(Charged("F1", on(20), Kind.COST, 100), on(20))
    assert night(asked, on(20)) == (20, 10_000)
    posted(Paid("P1", DUE, 10_000), on(25))
    day = f"SELECT dpd FROM account_state WHERE account_id = 1 AND as_of = '{on(20)}' ORDER BY id"
    assert asked(day) == [(20,), (0,)]
    assert asked(STATE)[0][0] == 0 and night(asked, on(20)) == (0, 0)


def test_the_class_follows_a_payment_at_once_without_a_night(book: Path, asked: Asked) -> None:
    # Card Measures art. 92: over 90 days past due substandard.
    assert posted(Charged("F1", on(80), Kind.COST, 100), on(80)).standing.category == "special_mention"
    assert posted(Paid("P1", on(80), 200_000), on(80)).standing.category == "normal"
    assert asked(STATE) == [(0, "current", "normal", 0)]


def test_a_chargeback_brings_the_arrears_back_with_their_age(book: Path, asked: Asked, fresh_db: str) -> None:
    posted(Paid("P1", DUE, 10_000), DUE)
    posted(ChargedBack("C1", on(10), "P1"), on(10))
    assert asked(STATE) == [(10, "1-30", "special_mention", 10_000)]
    assert night(asked, on(10)) == (10, 10_000) == at_the_gate(fresh_db, on(10))[:2]


def test_not_only_the_oldest_open_minimum_is_looked_at(book: Path, asked: Asked) -> None:
    # Given April's and May's minimums past due, when April's 100.00 are paid, then May's age stands: due on 23 May.
    day = date(2026, 5, 30)
    posted(Paid("P1", day, 10_000), day)
    assert asked(STATE)[0][:2] == (7, "1-30") and night(asked, day)[0] == 7


def test_the_last_open_ended_bucket_is_reached(book: Path, asked: Asked) -> None:
    for days, bucket, category in ((180, "151-180", "doubtful"), (181, "181+", "loss"), (2_000, "181+", "loss")):
        posted(Charged(f"F{days}", on(days), Kind.COST, 100), on(days))
        assert asked(STATE)[0][:3] == (days, bucket, category)
    assert night(asked, on(181))[0] == 181


def test_the_late_fee_and_the_interest_are_posted_no_day_off(book: Path, asked: Asked) -> None:
    # The late fee is owed since the day after the due date, and billed with the statement: its line tells the day.
    posted(Charged("F1", MAY, Kind.COST, 100), MAY)
    owed = (
        "SELECT ledger_account, amount_minor FROM journal_balance WHERE account_id = 1 AND ledger_account LIKE 'owed:%'"
    )
    assert sorted(asked(owed)) == [
        ("owed:cost", 100),
        ("owed:interest", 1_800),  # 1,000 x 0.05% x 36 days, 31 March through 5 May
        ("owed:late_fee", 500),
        ("owed:principal", 100_000),
    ]


def test_the_history_of_buckets_is_kept_and_what_was_known_first_beside_it(book: Path, asked: Asked) -> None:
    for days in (5, 31):
        posted(Charged(f"F{days}", on(days), Kind.COST, 100), on(days))
    night(asked, on(20))
    posted(Paid("P1", DUE, 100_000), on(40))
    found = {day.on: day for day in history(1)}
    assert [(found[on(k)].dpd, found[on(k)].restated, found[on(k)].dpd_first) for k in (5, 20, 31)] == [
        (0, 1, 5),
        (0, 1, 20),
        (0, 1, 31),
    ]


# ---- a journey --------------------------------------------------------------------------------------


def typed(*args: str) -> str:
    ended = CliRunner().invoke(app, list(args))
    assert ended.exit_code == 0, (args, ended.output, ended.exception)
    return ended.output


def test_the_life_of_a_card_by_the_commands(book: Path, tmp_path: Path, asked: Asked) -> None:
    def dated(day: date, key: str) -> list[str]:
        return ["--on", str(day), "--key", key, "--as-of", str(day)]

    typed("draw", "C1", "200.00", *dated(date(2026, 4, 10), "D2"))
    typed("draw", "C1", "50.00", "--cash", *dated(date(2026, 4, 12), "D3"))
    assert "0 days past due (current)" in typed("pay", "C1", "60.00", *dated(DUE, "P1"))
    typed("charge", "C1", "3.00", "--kind", "fee", *dated(on(1), "F1"))
    paid = typed("pay", "C1", "0.01", *dated(on(7), "P2"))
    assert "7 days past due (1–30), special mention; CN¥39.99 in arrears" in paid
    file = tmp_path / "bank.csv"
    file.write_text(f"loan_ref,ref,paid_on,amount\nC1,P3,{on(9)},39.99\n", "utf-8")
    typed("pay-file", str(file), "--as-of", str(on(9)))
    assert asked(STATE)[0][0] == 0
    # The bank takes it back, and a waiver gives up the interest of the statement.
    assert "12 days past due" in typed("reverse", "C1", "P3", "--chargeback", *dated(MAY, "R1"))
    assert "Given up (Interest): CN¥" in typed("waive", "C1", "500.00", "--kind", "interest", *dated(on(14), "W1"))
    told = typed("history", "C1")
    assert told.splitlines()[0].startswith(str(on(14))) and "past due" in told
    assert f"{on(1)} · Charged: Fee, as asked (the statement tells what of it is owed) · CN¥3.00 · no. F1" in told
    for tag, word in (("en", "Every statement"), ("zh-Hans", "最低还款额"), ("zh-Hant", "最低應繳金額")):
        assert word in typed("statement", "C1", "--as-of", str(on(14)), "--pay-on", str(on(20)), "--lang", tag)
    typed("grant", "C1", "--until", str(on(60)), "--freeze", *dated(on(15), "H1"))
    typed("write-off", "C1", *dated(on(200), "O1"))
    assert asked("SELECT status FROM account WHERE id = 1") == [("charged_off",)]
    typed("reverse", "C1", "O1", *dated(on(200), "R2"))
    given = json.loads(typed("sell", "C1", "400.00", "--to", "A-7", *dated(on(201), "S1")))
    assert given["past_due_since"] == str(DUE) and given["owed"]["principal"] > 0
    assert night(asked, on(201)) == (0, 0)
