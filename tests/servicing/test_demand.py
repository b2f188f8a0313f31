"""What a ceiling removes is demanded by nobody: journal, statement and night agree to the cent."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import Asked, write_book

from forbear.intake.errors import IntakeError
from forbear.intake.services import import_book
from forbear.ledger.allocate import ORDERS, default_order
from forbear.ledger.models import Charged, ChargedBack, Instalment, Kind, Paid, Reason, Rescheduled, Waived
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.servicing.demand import keep_lawful
from forbear.servicing.post import Posting, Receipt, post_one
from forbear.statement.services import Statement, statement

#: 1,000.00 at 3% a month from a bank of China: over the 24% of 法发〔2017〕22号 art. 2; 27% a year on what is overdue.
BOOK = """name = "dear"
jurisdiction = "cn"
lender_type = "bank"
collector = "creditor"
currency = "CNY"
"""
TABLES = {
    "borrowers": "ref,zones\nB1,Asia/Shanghai\n",
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,penalty_rate\n"
    "L1,B1,instalment,open,2026-01-10,1000.00,36,27\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nL1,1,2026-02-10,500.00,30.00\nL1,2,2026-03-10,500.00,15.00\n",
}
FEB, MAR = date(2026, 2, 10), date(2026, 3, 10)
#: A lender's own ceiling: 12% a year.
OWN = """[instrument]
id = "own.cost"
jurisdiction = "cn"
kind = "policy"
citation = "house rule"
from = 2026-01-01
title = { zh-Hans = "内部规定", zh-Hant = "內部規定", en = "house rule" }

[[rule]]
id = "own.cap"
governs = "cost"
article = "1"
cap = [{ from = 2026-01-01, ppm = 120000 }]
verified = true
source = "the house"
[rule.text]
zh-Hans = "年化不超过百分之十二。"
zh-Hant = "年化不超過百分之十二。"
en = "At most 12% a year."
[[rule.examples]]
on = 2026-01-01
ppm = 120000
"""


@pytest.fixture
def dear(fresh_db: str, tmp_path: Path) -> Path:
    return taken_in(tmp_path / "dear")


def taken_in(folder: Path, more: str = "", **changed: str) -> Path:
    write_book(folder, BOOK + more, (TABLES | changed))
    assert import_book(folder, "forbear").bad == 0
    return folder


def posted(event: Any, as_of: date) -> Receipt:
    return post_one(Posting(1, event), as_of)


def told(url: str, as_of: date) -> Statement:
    with psycopg.connect(url) as connection:
        return statement(connection, 1, as_of, as_of, load())


def night(asked: Asked, as_of: date) -> tuple[Any, ...]:
    nightly(as_of, load())
    return asked("SELECT dpd, arrears, owed FROM decision JOIN run r ON r.id = run_id ORDER BY run_id DESC LIMIT 1")[0]


def test_journal_statement_and_night_demand_the_same_lawful_amount(dear: Path, fresh_db: str, asked: Asked) -> None:
    # Given 530.00 and 515.00 by the contract, and a ceiling of 2% a month, then 520.00 and 510.00 are demanded by all.
    stood = posted(Paid("P1", MAR, 10_000), MAR + timedelta(days=20)).standing
    found = told(fresh_db, stood.as_of)
    arrears = sum(line.lawful for line in found.removed) - 10_000
    # Penalty interest of February alone comes first of the 100.00: 500.00 × 24% × 28/365 = 9.21, not 10.36 by 27%.
    assert [line.lawful for line in found.removed] == [52_000, 51_000]
    assert stood.arrears == arrears + 921
    assert night(asked, stood.as_of) == (stood.dpd, stood.arrears, stood.owed)
    assert (found.today.dpd, found.today.due) == (stood.dpd, stood.owed)
    # The contract's own cost stays what the rules judge by.
    assert asked("SELECT all_in_ppm > 350000, penalty_rate_ppm FROM account") == [(True, 270_000)]
    assert asked(
        "SELECT array_agg(interest_minor ORDER BY n), array_agg(removed_minor ORDER BY n) FROM instalment"
    ) == [([3_000, 1_500], [1_000, 500])]


def test_what_was_paid_above_the_ceiling_counts_towards_the_next_instalment(dear: Path, fresh_db: str) -> None:
    # Given the contract's 530.00 paid when 520.00 was lawful, then 10.00 waits, and March asks for 500.00.
    receipt = posted(Paid("P1", FEB, 53_000), FEB)
    assert dict(receipt.entries)["credit"] == -1_000
    assert told(fresh_db, MAR).today.due == 50_000


def test_a_ceiling_that_comes_later_restates_the_journal(
    dear: Path, fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    # Given a posting under 24%, when the house binds itself to 12%, then journal, statement and night demand that.
    posted(Paid("P1", FEB, 100), FEB)
    own = tmp_path / "packs"
    own.mkdir()
    (own / "own.toml").write_text(OWN, "utf-8")
    lower = load(own)
    with psycopg.connect(fresh_db) as connection:
        assert statement(connection, 1, MAR, MAR, lower).changed
    held = keep_lawful(lower)
    assert held == 1
    stood = posted(Paid("P2", MAR, 100), MAR).standing
    with psycopg.connect(fresh_db) as connection:
        found = statement(connection, 1, MAR, MAR, lower)
    assert not found.changed and [line.lawful for line in found.removed] == [51_000, 50_500]
    assert found.today.due == stood.owed
    assert asked("SELECT sum(amount_minor) FROM journal_entry") == [(0,)]
    assert keep_lawful(lower) == 0


def test_a_schedule_brought_anew_is_held_anew(dear: Path, asked: Asked) -> None:
    cheaper = "loan_ref,n,due_on,principal,interest\nL1,1,2026-02-10,500.00,10.00\nL1,2,2026-03-10,500.00,5.00\n"
    taken_in(dear, instalments=cheaper)
    assert asked("SELECT DISTINCT removed_minor FROM instalment") == [(0,)]


def test_of_what_is_paid_costs_come_first_then_interest_then_principal(dear: Path, asked: Asked) -> None:
    # Civil Code art. 561, which a book of China has where the lender names no order: 30.00 of costs, 20.00 of interest,
    # 5.00 of principal.
    assert asked("SELECT allocation_order FROM book") == [("cn_civil_code",)]
    posted(Charged("F1", FEB, Kind.COST, 3_000), FEB)
    receipt = posted(Paid("P1", FEB, 5_500), FEB)
    assert dict(receipt.entries) == {
        "cash": 5_500,
        "owed:cost": -3_000,
        "owed:interest": -2_000,
        "owed:principal": -500,
    }


def test_a_lender_may_name_another_order_for_the_book_and_for_an_account(
    fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    taken_in(tmp_path / "own", 'allocation_order = "instalments_first"\n')
    posted(Charged("F1", FEB, Kind.COST, 3_000), FEB)
    assert "owed:cost" not in dict(posted(Paid("P1", FEB, 5_500), FEB).entries)
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE account SET allocation_order = 'cn_civil_code'")
    # All payments settle anew by it: the costs are paid, and 5.00 and 1.00 of the principal.
    assert dict(posted(Paid("P2", FEB, 100), FEB).entries) == {"cash": 100, "owed:principal": -100}
    assert (
        asked("SELECT amount_minor FROM journal_balance WHERE ledger_account = 'owed:cost' AND amount_minor <> 0") == []
    )
    (tmp_path / "own" / "book.toml").write_text(BOOK + 'allocation_order = "by_mood"\n', "utf-8")
    with pytest.raises(IntakeError, match="allocation_order"):
        import_book(tmp_path / "own", "forbear")


def test_every_default_order_is_on_file_with_its_source() -> None:
    for place in ("cn", "us", "gb"):
        assert ORDERS[default_order(place)].source


def test_the_night_follows_fees_waivers_and_chargebacks(dear: Path, asked: Asked) -> None:
    # Given more than payments, when the night runs, then it has the journal's figures: costs took money first.
    posted(Charged("F1", FEB, Kind.COST, 3_000), FEB)
    posted(Paid("P1", FEB + timedelta(days=3), 20_000), FEB + timedelta(days=3))
    posted(Paid("P2", FEB + timedelta(days=9), 30_000), FEB + timedelta(days=9))
    posted(ChargedBack("C1", FEB + timedelta(days=15), "P1"), FEB + timedelta(days=15))
    stood = posted(Waived("W1", MAR, Kind.INTEREST, 500), MAR).standing
    assert night(asked, MAR)[:2] == (stood.dpd, stood.arrears)


#: 1,000.00 at 2% a month, no more than the ceiling; late, 18% a year and a fee of 15.00 after three days.
FEES = {
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,penalty_rate,late_fee,grace_days\n"
    "L1,B1,instalment,open,2026-01-10,1000.00,24,18,15.00,3\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nL1,1,2026-02-10,500.00,20.00\nL1,2,2026-03-10,500.00,10.00\n",
}


def test_a_late_fee_beside_penalty_interest_is_held_to_the_ceiling_by_all(
    fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    # 法发〔2017〕22号 art. 2: interest, penalty interest, damages and other fees together, at most 24% a year. Given
    # 500.00 twenty days late, then 18% of it is penalty interest, 4.93, and 6% what may be asked of the fee, 1.64.
    taken_in(tmp_path / "fees", **FEES)
    day = FEB + timedelta(days=20)
    stood = posted(Paid("P1", FEB, 1), day).standing
    found = told(fresh_db, day)
    assert dict(found.today.owed)[Kind.LATE_FEE] == 164
    assert [(n, cut.contracted, cut.lawful) for n, cut in found.late_fees] == [(1, 1_500, 164)]
    assert night(asked, day) == (stood.dpd, stood.arrears, stood.owed)
    assert found.today.due == stood.owed == 52_000 - 1 + 493 + 164
    # A week later the journal holds what came in between, in parts that sum to the formula.
    later = day + timedelta(days=7)
    stood = posted(Paid("P2", later, 1), later).standing
    assert told(fresh_db, later).today.due == stood.owed
    assert asked(
        "SELECT sum(amount_minor) FROM journal_entry WHERE ledger_account = 'owed:late_fee' AND amount_minor > 0"
    ) == [(222,)]
    assert night(asked, later) == (stood.dpd, stood.arrears, stood.owed)


def test_the_interest_of_a_plan_is_held_to_the_ceiling_by_all(fresh_db: str, asked: Asked, tmp_path: Path) -> None:
    # Given a plan over the 1,000.00 at 3% a month, then 2% a month is demanded, and shown what was removed.
    taken_in(tmp_path / "plan", **FEES)
    lines = (Instalment(date(2026, 4, 10), 50_000, 3_000), Instalment(date(2026, 5, 10), 50_000, 1_500))
    stood = posted(Rescheduled("A1", MAR, lines, Reason.PLAN), date(2026, 4, 20)).standing
    found = told(fresh_db, stood.as_of)
    assert [(n, cut.excess) for n, cut in found.replaced] == [(3, 1_000), (4, 500)]
    assert found.today.due == stood.owed
    # The night knows what has fallen due: 500.00 and 20.00, with the 30.00 of before.
    assert night(asked, stood.as_of) == (stood.dpd, stood.arrears, stood.owed)
    assert stood.arrears == 52_000 + 3_000
    # The first line's penalty interest is at the contract's 18%, on what is overdue of the plan.
    assert asked("SELECT sum(amount_minor) FROM journal_entry") == [(0,)]


def test_a_ceiling_that_comes_later_restates_fees_and_plans(fresh_db: str, asked: Asked, tmp_path: Path) -> None:
    taken_in(tmp_path / "fees", **FEES)
    day = FEB + timedelta(days=20)
    posted(Paid("P1", FEB, 1), day)
    own = tmp_path / "packs"
    own.mkdir()
    (own / "own.toml").write_text(OWN, "utf-8")
    # Given a house ceiling of 12%, below the penalty rate, then 12% runs, and nothing is left of the fee.
    assert keep_lawful(load(own)) == 1
    assert asked(
        "SELECT ledger_account, amount_minor FROM journal_balance"
        " WHERE ledger_account IN ('owed:late_fee', 'owed:penalty') AND amount_minor <> 0"
    ) == [("owed:penalty", 329)]
