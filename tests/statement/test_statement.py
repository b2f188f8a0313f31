"""The statement: every figure can be worked out again, what the ceiling removes is shown and not demanded."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from forbear.intake.services import import_book
from forbear.ledger.models import Charged, ChargedBack, Kind, Paid, Reversed, Waived
from forbear.locale import LANGUAGES
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.servicing.post import Posting, post_one
from forbear.statement import render
from forbear.statement.document import document
from forbear.statement.errors import NoFont, StatementError
from forbear.statement.services import Statement, statement
from forbear.web.app import console

BOOK = """name = "own"
jurisdiction = "{place}"
lender_type = "{lender}"
collector = "creditor"
currency = "CNY"
history_from = 2026-01-01
"""
#: 1,000.00 at 36% a year, over the 24% of 金规〔2025〕9号 for a bank's internet loans; 27% a year on what is overdue.
TABLES = {
    "borrowers": "ref,zones\nB1,Asia/Shanghai\n",
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,penalty_rate\n"
    "L1,B1,instalment,open,2026-01-10,1000.00,36,27\nL2,B1,instalment,open,2026-01-10,1000.00,36,27\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nL1,1,2026-02-10,500.00,30.00\nL1,2,2026-03-10,500.00,15.00\n",
}
DAY = date(2026, 3, 20)


def taken_in(folder: Path, lender: str = "bank", place: str = "cn") -> None:
    folder.mkdir()
    (folder / "book.toml").write_text(BOOK.format(lender=lender, place=place), "utf-8")
    clock = {"cn": "Asia/Shanghai", "gb": "Europe/London"}[place]
    for table, text in TABLES.items():
        (folder / f"{table}.csv").write_text(text.replace("Asia/Shanghai", clock), "utf-8")
    assert import_book(folder, "forbear").bad == 0


@pytest.fixture
def book(fresh_db: str, tmp_path: Path) -> None:
    """Account 1 has a schedule, account 2 has none."""
    taken_in(tmp_path / "own")


def told(url: str, as_of: date = DAY, pay_on: date | None = None, account_id: int = 1) -> Statement:
    with psycopg.connect(url) as connection:
        return statement(connection, account_id, as_of, pay_on or as_of, load())


def test_what_the_ceiling_removes_is_shown_for_each_instalment_and_not_demanded(book: None, fresh_db: str) -> None:
    # Given 3% a month by the contract and a ceiling of 24% a year, then each interest is cut to 2% a month.
    found = told(fresh_db, date(2026, 2, 10))
    assert found.ceiling_ppm == 240_000 and not found.changed
    assert [line.excess for line in found.removed] == [1_000, 500]
    assert (found.today.due, found.charges[0].line.amount, found.charges[0].excess) == (52_000, 2_000, 1_000)


def test_a_ceiling_of_private_lending_does_not_bind_a_licensed_lender_and_says_so(book: None, fresh_db: str) -> None:
    words = document(told(fresh_db), LANGUAGES["en"])
    notes = next(table.notes for table in words.tables if table.id == "removed")
    assert any("private lending" in note and "does not bind this lender" in note for note in notes)


def test_what_was_given_up_is_a_line_so_that_the_charges_sum_to_what_is_owed(book: None, fresh_db: str) -> None:
    # Given a cost of 80.00, of which "5,000.00" is given up, then the waiver has a line of the 80.00 that it took.
    for event in (Charged("C1", DAY, Kind.COST, 8_000), Waived("W1", DAY, Kind.COST, 500_000)):
        post_one(Posting(1, event), DAY)
    found = told(fresh_db)
    assert [(each.kind, each.amount) for each in found.waivers] == [(Kind.COST, 8_000)]
    arisen = sum(each.line.amount for each in found.charges) - sum(each.amount for each in found.waivers)
    assert found.lent + arisen == found.today.due
    charges = next(table for table in document(found, LANGUAGES["en"]).tables if table.id == "charges")
    assert charges.rows[-1][1:] == ("Given up: Cost of enforcement", "–", "the lender's waiver", "-CN¥80.00")
    # Taken back, it is a line no more.
    post_one(Posting(1, Reversed("R1", DAY, "W1")), DAY)
    assert told(fresh_db).waivers == ()


@pytest.mark.parametrize("tag", LANGUAGES)
def test_the_footnote_explains_the_very_mark_of_the_lines(tag: str) -> None:
    _ = LANGUAGES[tag].catalogue.gettext
    note = _("“Not yet verified” marks a text that has still to be read by the lender's lawyers.")
    assert _("not yet verified") in note.lower()


def test_every_charge_is_its_formula_to_the_cent(book: None, fresh_db: str) -> None:
    for event in (Paid("P1", DAY - timedelta(days=30), 20_000), Paid("P2", DAY, 100)):
        post_one(Posting(1, event), event.on)
    rates = 0
    for each in told(fresh_db, DAY + timedelta(days=11)).charges:
        line = each.line
        if line.year:
            rates += 1
            exact = Decimal(line.base) * line.rate_ppm / 1_000_000 * line.days / line.year
            assert line.amount == int(exact.quantize(Decimal(1), ROUND_HALF_UP))
            assert line.days == (line.end - line.start).days
    assert rates >= 3


def test_charges_less_payments_and_principal_are_what_is_owed(book: None, fresh_db: str) -> None:
    post_one(Posting(1, Charged("F1", DAY, Kind.COST, 8_000)), DAY)
    post_one(Posting(1, Paid("P1", DAY, 30_000)), DAY)
    found = told(fresh_db)
    charges = sum(each.line.amount for each in found.charges)
    assert found.today.due == 100_000 + charges - 30_000
    assert found.today.due == sum(amount for _, amount in found.today.owed) - found.today.credit


def test_what_would_be_owed_on_a_day_is_what_the_statement_of_that_day_says(book: None, fresh_db: str) -> None:
    later = DAY + timedelta(days=17)
    assert told(fresh_db, DAY, later).then == told(fresh_db, later).today
    assert told(fresh_db, DAY, later).then.due > told(fresh_db).today.due


def test_payments_that_were_taken_back_stay_in_sight(book: None, fresh_db: str) -> None:
    post_one(Posting(1, Paid("P1", DAY, 30_000)), DAY)
    post_one(Posting(1, Paid("P2", DAY, 10_000)), DAY)
    before = told(fresh_db).today.due
    post_one(Posting(1, Reversed("R1", DAY, "P1")), DAY)
    post_one(Posting(1, ChargedBack("C1", DAY, "P2")), DAY)
    found = told(fresh_db)
    assert [(each.ref, each.taken_back) for each in found.payments] == [("P1", True), ("P2", True)]
    assert found.today.due == before + 40_000


def test_statement_posting_and_night_agree(book: None, fresh_db: str) -> None:
    stood = post_one(Posting(1, Paid("P1", DAY, 30_000)), DAY).standing
    nightly(DAY, load())
    with psycopg.connect(fresh_db) as connection:
        dpd = connection.execute("SELECT dpd FROM decision WHERE account_id = 1").fetchone()
    assert dpd == (stood.dpd,) == (told(fresh_db).today.dpd,)
    assert told(fresh_db).today.due == stood.owed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"account_id": 2}, "no instalment on file"),
        ({"account_id": 9}, "no such account"),
        ({"as_of": date(2025, 1, 1)}, "opened on 2026-01-10"),
        ({"pay_on": DAY - timedelta(days=1)}, "lies before"),
    ],
)
def test_what_can_not_be_told_is_one_line(book: None, fresh_db: str, change: dict[str, Any], said: str) -> None:
    with pytest.raises(StatementError, match=said) as refused:
        told(fresh_db, **change)
    assert "\n" not in str(refused.value)


def test_a_place_without_provisions_rests_on_the_contract(fresh_db: str, tmp_path: Path) -> None:
    taken_in(tmp_path / "gb", place="gb")
    found = told(fresh_db)
    assert found.removed == () and {each.basis for each in found.charges} == {None}
    assert "the contract" in render.text(document(found, LANGUAGES["en"]))


def test_what_is_cited_is_in_force_on_the_day(fresh_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 民法典 art. 1260: contract law and its interpretations end with 2020-12-31. Given a loan of 2020, then the
    # order of settlement and early repayment are cited by the statement's day, and each charge by its own.
    older = {table: text.replace("2026-", "2020-") for table, text in TABLES.items()}
    monkeypatch.setattr(sys.modules[__name__], "TABLES", older)
    taken_in(tmp_path / "own")
    for day, then in ((date(2020, 12, 31), "Contract Law"), (date(2021, 1, 1), "Civil Code (2020)")):
        found = told(fresh_db, day)
        assert found.early is not None and all(each.in_force(day) for each in (*found.order_basis, found.early))
        assert all(each.basis is None or each.basis.in_force(each.line.end) for each in found.charges)
        note = next(table.notes[-1] for table in document(found, LANGUAGES["en"]).tables if table.id == "payments")
        assert then in note and len(found.order_basis) == 2


def test_the_history_of_what_was_past_due_stands_on_the_statement_and_on_the_accounts_page(
    book: None, fresh_db: str, reader: TestClient
) -> None:
    # Given the first instalment paid ten days late, then it rolled on and was paid up; the second rolled on.
    post_one(Posting(1, Paid("P1", date(2026, 2, 20), 53_000)), DAY)
    words = document(told(fresh_db), LANGUAGES["en"])
    table = next(table for table in words.tables if table.id == "arrears")
    assert [(row[1], row[3]) for row in table.rows] == [
        ("1–30 days", "rolled on"),
        ("nothing past due", "all arrears paid"),
        ("1–30 days", "rolled on"),
        ("nothing past due", "–"),
    ]
    page = reader.get("/accounts/1", headers={"Accept-Language": "en"}).text
    assert "History of what was past due" in page and "all arrears paid" in page


@pytest.mark.parametrize("tag", LANGUAGES)
def test_the_three_forms_hold_the_same_words_in_each_language(book: None, fresh_db: str, tag: str) -> None:
    post_one(Posting(1, Paid("P1", DAY, 30_000)), DAY)
    words = document(told(fresh_db), LANGUAGES[tag])
    plain = render.text(words)
    html = TestClient(console(load()), base_url="http://127.0.0.1").get(
        "/accounts/1/statement", params={"lang": tag, "as_of": str(DAY)}
    )
    page = re.sub(r"\s+", " ", html.text.replace("&#39;", "'"))
    for table in words.tables:
        for row in (table.head, *table.rows):
            for cell in row:
                assert cell in plain and cell in page
    if tag != "en":
        assert "Penalty" not in plain and "contract" not in plain
    made = render.pdf(words)
    assert made.startswith(b"%PDF") and len(render.png(words)) >= 1


def test_a_pdf_without_a_font_is_one_line(book: None, fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_families", lambda: frozenset({"DejaVu Sans"}))
    words = document(told(fresh_db), LANGUAGES["zh-Hans"])
    with pytest.raises(NoFont, match="apt-get install fonts-noto-cjk"):
        render.pdf(words)
    assert render.text(replace(words, notes=()))
    answer = TestClient(console(load()), base_url="http://127.0.0.1").get("/accounts/1/statement.pdf")
    assert answer.status_code == 503 and "fonts-noto-cjk" in answer.text


@pytest.fixture
def reader(book: None) -> Iterator[TestClient]:
    with TestClient(console(load()), base_url="http://127.0.0.1") as found:
        yield found


def test_the_page_takes_a_day_and_refuses_what_is_none(reader: TestClient) -> None:
    page = reader.get("/accounts/1/statement?as_of=2026-03-20&pay_on=2026-04-20", headers={"Accept-Language": "en"})
    assert "Owed if paid on Apr 20, 2026" in page.text
    assert reader.get("/accounts/1/statement").status_code == 200  # today, on the borrower's clock
    for path in ("/accounts/9/statement", "/accounts/1/statement?as_of=2026-02-30", "/accounts/2/statement"):
        assert reader.get(path).status_code == 404
    made = reader.get("/accounts/1/statement.pdf?as_of=2026-03-20&lang=zh-Hant")
    assert made.headers["content-type"] == "application/pdf" and made.content.startswith(b"%PDF")


def test_the_command_prints_or_writes(book: None, tmp_path: Path) -> None:
    def forbear(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from forbear.cli import main; main()", "statement", "L1", *args]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)

    ended = forbear("--as-of", "2026-03-20", "--lang", "zh-Hans")
    assert ended.returncode == 0 and "罚息" in ended.stdout
    assert forbear("--as-of", "2026-03-20", "--pdf", str(tmp_path / "s.pdf")).returncode == 0
    assert (tmp_path / "s.pdf").read_bytes().startswith(b"%PDF")
    refused = forbear("--as-of", "2026-03-20", "--pdf", str(tmp_path / "no" / "s.pdf"))
    assert (refused.returncode, refused.stderr.strip().count("\n"), "can't be written" in refused.stderr) == (
        1,
        0,
        True,
    )
