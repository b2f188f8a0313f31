"""The statement of a card: balance and minimum, each monthly statement, each charge with its formula and article."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import psycopg
import pytest
from starlette.testclient import TestClient
from tests.conftest import write_book

from forbear.intake.services import import_book
from forbear.ledger.models import Charged, Kind, Paid, Purchased, Reversed, Waived
from forbear.locale import LANGUAGES
from forbear.rulebook.load import load
from forbear.servicing.post import Posting, post_one
from forbear.statement import render
from forbear.statement.document import document
from forbear.statement.errors import StatementError
from forbear.statement.services import Statement, statement
from forbear.web.app import console

BOOK = """name = "cards"
jurisdiction = "cn"
lender_type = "bank"
collector = "creditor"
currency = "CNY"
history_from = 2026-01-01
"""
#: C1: 0.05% a day, a late fee of 10.00; C2: 30% a year, above the ceiling of 24%; C3 tells nothing of its statements.
TABLES = {
    "borrowers": "ref,zones\nB1,Asia/Shanghai\n",
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,late_fee,first_statement_on,due_days,"
    "minimum_rate\n"
    "C1,B1,card,open,2026-03-01,5000.00,18.25,10.00,2026-04-05,18,10\n"
    "C2,B1,card,open,2026-03-01,5000.00,30,10.00,2026-04-05,18,10\n"
    "C3,B1,card,open,2026-03-01,5000.00,18.25,10.00,,,\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nC3,1,2026-04-23,300.00,0\n",
    "card_entries": "loan_ref,ref,kind,posted_on,amount\n"
    "C1,D1,purchase,2026-03-30,1000.00\nC2,D1,purchase,2026-03-30,1000.00\n",
    "payments": "loan_ref,ref,paid_on,amount\nC1,P1,2026-04-23,40.00\nC2,P1,2026-04-23,40.00\n",
}
DUE, MAY = date(2026, 4, 23), date(2026, 5, 5)


@pytest.fixture
def book(fresh_db: str, tmp_path: Path) -> None:
    folder = tmp_path / "cards"
    write_book(folder, BOOK, TABLES)
    assert import_book(folder, "forbear").bad == 0


def told(url: str, as_of: date = MAY, pay_on: date | None = None, account_id: int = 1) -> Statement:
    with psycopg.connect(url) as connection:
        return statement(connection, account_id, as_of, pay_on or as_of, load())


def test_each_monthly_statement_has_its_balance_minimum_and_day(book: None, fresh_db: str) -> None:
    # 960.00, 24 days on 1,000.00 and 12 on 960.00 at 0.05% (17.76), and of the late fee of 10.00 what the ceiling
    # leaves: at 24% the same days give 23.35, so 5.59.
    bills = told(fresh_db).bills
    assert bills is not None
    assert [(bill.on, bill.due_on, bill.minimum, bill.balance) for bill in bills] == [
        (date(2026, 4, 5), DUE, 10_000, 100_000),
        (MAY, date(2026, 5, 23), 9_600 + 6_000 + 1_776 + 559, 96_000 + 1_776 + 559),
    ]


def test_what_the_ceiling_removes_is_shown_for_each_statement_and_not_demanded(book: None, fresh_db: str) -> None:
    # 24% a year on all that a loan costs (SPC 2017 opinion on financial trials, art. 2; 金规〔2025〕9号).
    found = told(fresh_db)
    assert found.ceiling_ppm == 240_000 and not found.changed
    assert [(line.contracted, line.lawful, line.excess) for line in found.removed] == [(0, 0, 0), (2_776, 2_335, 441)]
    late = next(each for each in found.charges if each.line.kind is Kind.LATE_FEE)
    assert (late.line.amount, late.excess) == (559, 441)
    # A rate above it is charged at the ceiling, and no late fee beside it.
    other = told(fresh_db, account_id=2)
    assert {each.line.rate_ppm for each in other.charges if each.line.year} == {240_000}
    assert other.removed[1].excess == (1_973 + 947 + 1_000) - (1_578 + 757)


def test_a_late_fee_of_which_the_ceiling_leaves_nothing_is_told_as_removed(book: None, fresh_db: str) -> None:
    # Given a card at 30% under a ceiling of 24%, then its late fee of 10.00 is named, and nothing of it is owed.
    found = told(fresh_db, account_id=2)
    [late] = [each for each in found.charges if each.line.kind is Kind.LATE_FEE]
    assert (late.line.amount, late.excess) == (0, 1_000)
    assert "CN¥10.00 by the contract − CN¥10.00 removed by the ceiling = CN¥0.00" in render.text(
        document(found, LANGUAGES["en"])
    )


def test_every_charge_is_its_formula_to_the_cent_and_names_its_article(book: None, fresh_db: str) -> None:
    found = told(fresh_db, date(2026, 7, 5))
    rates = [each for each in found.charges if each.line.year]
    for each in rates:
        line = each.line
        exact = Decimal(line.base) * line.rate_ppm / 1_000_000 * line.days / line.year
        assert line.amount == int(exact.quantize(Decimal(1), ROUND_HALF_UP))
        # The rate is agreed on since 2021 (银发〔2020〕327号).
        assert each.basis is not None and each.basis.instrument == "银发〔2020〕327号" and not each.basis.verified
    assert len(rates) >= 4
    # 违约金 in the place of 滞纳金 since 2017 (银发〔2016〕111号).
    late = {each.basis.instrument for each in found.charges if each.line.kind is Kind.LATE_FEE and each.basis}
    assert late == {"银发〔2016〕111号"}


def test_purchases_and_charges_less_payments_are_what_is_owed(book: None, fresh_db: str) -> None:
    for event in (
        Purchased("D2", date(2026, 4, 20), 5_000, cash=True),
        Purchased("D3", date(2026, 4, 21), 7_000),
        Charged("F1", MAY, Kind.FEE, 300),
        Waived("W1", MAY, Kind.INTEREST, 700),
        Reversed("R1", MAY, "D3"),
    ):
        post_one(Posting(1, event), max(event.on, DUE))
    found = told(fresh_db, MAY + timedelta(days=6))
    assert [(each.ref, each.cash, each.amount) for each in found.drawn] == [("D1", False, 100_000), ("D2", True, 5_000)]
    charged = sum(each.line.amount for each in found.charges) - sum(each.amount for each in found.waivers)
    paid = sum(each.amount for each in found.payments)
    assert found.lent + charged - paid == found.today.due and found.today.unbilled > 0
    assert found.today.due == sum(minor for _, minor in found.today.owed) + found.today.unbilled


def test_what_would_be_owed_on_a_day_whole_and_minimum(book: None, fresh_db: str) -> None:
    # Ten days more on 960.00 at 0.05%: 4.80. The minimum of May is to be paid by the 23rd.
    later = MAY + timedelta(days=10)
    found = told(fresh_db, MAY, later)
    assert found.then == told(fresh_db, later).today
    assert (found.then.payoff - found.today.payoff, found.then.minimum) == (480, found.today.minimum)
    # Paid on that day, it is at an end, now and when the next statement has come; the minimum alone ends no debt.
    post_one(Posting(1, Paid("P2", later, found.then.payoff)), later)
    assert told(fresh_db, date(2026, 6, 10)).today.payoff == 0


@pytest.mark.parametrize("tag", LANGUAGES)
def test_the_words_are_those_of_a_card_in_every_language(book: None, fresh_db: str, tag: str) -> None:
    words = document(told(fresh_db, MAY, MAY + timedelta(days=10)), LANGUAGES[tag])
    text = render.text(words)
    assert {table.id for table in words.tables} == {
        *("owed", "bills", "drawn", "charges", "payments", "arrears", "removed")
    }
    instalment = {"en": "nstalment", "zh-Hans": "分期", "zh-Hant": "分期"}[tag]
    assert not re.search(instalment, text), text
    shown = {"en": "18.25% × 24/365 = CN¥12.00", "zh-Hans": "18.25% × 24/365 = ¥12.00"}.get(tag, "18.25% × 24/365")
    assert shown in text
    assert render.pdf(words).startswith(b"%PDF")


@pytest.fixture
def page(book: None) -> Iterator[TestClient]:
    with TestClient(console(load()), base_url="http://127.0.0.1") as client:
        yield client


def test_the_page_and_the_pdf_answer_for_a_card(page: TestClient) -> None:
    shown = page.get("/accounts/1/statement", params={"as_of": str(MAY), "pay_on": str(MAY), "lang": "en"})
    assert shown.status_code == 200 and "Every purchase" in shown.text and "Monthly statement" in shown.text
    assert page.get("/accounts/1/statement.pdf", params={"as_of": str(MAY)}).content.startswith(b"%PDF")


def test_a_card_of_which_no_statements_are_told_is_refused_in_words(book: None, fresh_db: str) -> None:
    with pytest.raises(StatementError, match="the terms of its statements are not on file"):
        told(fresh_db, account_id=3)
