"""What is the borrower's stays theirs when the loan has ended, and nothing is demanded of what was given up."""

import json
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from tests.conftest import Asked

from forbear.ledger.models import Forborne, Kind, Paid, Refunded, Reversed, Sold, Waived, WrittenOff
from forbear.locale import LANGUAGES
from forbear.rulebook.load import load
from forbear.servicing.errors import ServicingError
from forbear.servicing.happened import happened
from forbear.servicing.history import history
from forbear.servicing.loan import dues
from forbear.statement.document import document
from forbear.statement.render import text
from forbear.statement.services import statement

from .test_repaid import DAY, FEB, LATER, held, posted, replayed, said, told_of

MARCH = date(2026, 3, 10)


def dated(day: date, key: str) -> tuple[str, ...]:
    return "--on", str(day), "--key", key, "--as-of", str(day)


@pytest.fixture
def ended(book: Path) -> None:
    """1,000.00 repaid early on 20 February, with 10.00 above what ends it (Civil Code art. 677)."""
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Paid("P2", DAY, 51_247), DAY)


@pytest.mark.parametrize("day", [DAY, date(2026, 2, 25)])
def test_nothing_is_charged_to_a_loan_that_has_ended(ended: None, fresh_db: str, day: date) -> None:
    # Given 10.00 held for the borrower, then a fee or a cost of that day or a later one would take it: it is refused.
    for kind in ("fee", "cost"):
        told = said("charge", "L1", "5.00", "--kind", kind, *dated(day, "F1"))
        assert "nothing is charged" in told and "forbear refund" in told
    assert held(fresh_db)["credit"] == -1_000


def test_nothing_is_charged_after_the_last_line_was_paid(book: Path) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Paid("P2", MARCH, 50_750), MARCH)
    assert "nothing is charged" in said(
        "charge", "L1", "5.00", "--kind", "cost", *dated(MARCH + timedelta(days=1), "F")
    )


def test_a_charge_that_is_settled_out_of_what_was_paid_ahead_says_so(book: Path, fresh_db: str) -> None:
    # Given a book that settles by Civil Code art. 561, where costs come first and nothing waits for an instalment.
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE book SET allocation_order = 'cn_civil_code'")
    posted(Paid("P1", date(2026, 2, 1), 10_000), date(2026, 2, 1))
    command = ("charge", "L1", "80.00", "--kind", "fee", *dated(date(2026, 2, 2), "F1"))
    for _ in range(2):  # the same again is answered as before
        assert "Settled at once out of what was held for the borrower: CN¥80.00." in said(*command)


def test_of_no_debt_there_is_nothing_to_forbear_from_to_write_off_or_to_sell(ended: None) -> None:
    for event in (Forborne("X", LATER, LATER, freezes=True), WrittenOff("X", LATER), Sold("X", LATER, 1, "A-7")):
        with pytest.raises(ServicingError, match="nothing is owed on 2026-06-01"):
            posted(event)


def test_what_is_held_when_a_debt_is_sold_stays_the_borrowers_and_goes_back_once(book: Path, fresh_db: str) -> None:
    # Given 100.00 paid ahead, when the debt is sold (Civil Code (cn) art. 545, 546), then the claim that goes to the
    # assignee is of what is owed; the 100.00 are held here, and are paid back, after the sale too, and once.
    posted(Paid("P1", FEB, 61_500), FEB)
    given = json.loads(said("sell", "L1", "400.00", "--to", "A-7", *dated(DAY, "S1")))
    assert given["owed"] == {"principal": 50_000} and "credit" not in given
    page = told_of(fresh_db, DAY)
    assert "to A-7 on Feb 20, 2026: what was owed then is paid to them" in page
    assert "Held for you here, to be paid back" in page and "CN¥100.00" in page
    later = date(2026, 2, 25)
    assert "Of what is held then CNY 100.00 can go back" in said("refund", "L1", "100.01", *dated(later, "B0"))
    told = said("refund", "L1", "60.00", *dated(later, "B1"))
    assert "Paid back to the borrower: CN¥60.00." in told and "Still held for them: CN¥40.00." in told
    with pytest.raises(ServicingError, match=r"CNY 40\.00 can go back"):
        posted(Refunded("B2", later, 4_001), later)
    posted(Refunded("B3", later, 4_000), later)
    assert held(fresh_db) == replayed(fresh_db) and "credit" not in held(fresh_db)


def test_the_statement_of_a_debt_that_was_written_off_says_so(book: Path, fresh_db: str) -> None:
    posted(WrittenOff("W1", LATER))
    assert "by the lender on Jun 1, 2026, which does not end the debt" in told_of(fresh_db, LATER)


# ---- principal that is given up ---------------------------------------------------------------------


def test_of_principal_that_was_given_up_whole_no_interest_is_demanded(book: Path, fresh_db: str) -> None:
    # Given 500.00 to come on 10 March with 7.50 of interest, when they are given up, then no interest comes of them: on
    # no statement, in no timeline, and nothing ends up past due.
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Waived("W1", DAY, Kind.PRINCIPAL, 50_000), DAY)
    with psycopg.connect(fresh_db) as connection:
        found = statement(connection, 1, DAY, LATER, load())
        assert (found.then.due, found.then.payoff, found.then.dpd) == (0, 0, 0)
        assert dues(connection, 1, DAY)[1] == (MARCH, 2, 50_000)
    assert posted(Paid("P2", LATER, 100), LATER).standing.arrears == 0
    assert held(fresh_db) == replayed(fresh_db)


def test_of_principal_that_was_given_up_in_part_interest_comes_in_proportion(book: Path, fresh_db: str) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Waived("W1", DAY, Kind.PRINCIPAL, 20_000), DAY)
    # 300.00 of 500.00 are left: 4.50 of the 7.50.
    assert posted(Paid("P2", MARCH, 30_450), MARCH).standing.arrears == 0
    assert "CN¥7.50 by the schedule − CN¥3.00 with principal that was given up = CN¥4.50" in told_of(fresh_db, MARCH)


# ---- what is told -----------------------------------------------------------------------------------


def test_a_plan_in_a_freeze_is_told_as_it_is_asked_for(book: Path, fresh_db: str) -> None:
    # Given a plan of 20 February, whose first line bears interest of 28 days, when 14 of them are frozen, then half of
    # it is asked for: the plan's table and the timeline say that, and the frozen days have a heading of their own.
    posted(Paid("P1", FEB, 51_500), FEB)
    due = DAY + timedelta(days=28)
    told = said(
        "reschedule", "L1", "--reason", "plan", "--first-due", str(due), "--instalments", "1", *dated(DAY, "A1")
    )
    # By the plan the ten days since 10 February cost nothing (docs/decisions/0013): 500.00 × 18% × 10/365 = 2.47.
    assert "Given up by the new schedule: CN¥2.47" in told
    posted(Forborne("H1", DAY, DAY + timedelta(days=14), freezes=True), DAY)
    with psycopg.connect(fresh_db) as connection:
        (plan,) = statement(connection, 1, DAY, DAY, load()).plans
        assert (plan.plan.lines[0].interest, plan.less, plan.cancelled) == (345, 345, 247)
        assert dues(connection, 1, DAY)[-1] == (due, 3, 50_345)
        page = document(statement(connection, 1, due, due, load()), LANGUAGES["en"])
    assert "By it CN¥2.47 of interest and fees of the period that ran until then is given up." in text(page)
    tables = {table.id: table for table in page.tables}
    assert tables["spared"].rows[-1][-1] == "CN¥3.45" and tables["removed"].rows == ()


def test_a_waiver_of_nothing_is_told_as_nothing(book: Path) -> None:
    posted(Waived("W1", DAY, Kind.COST, 5_000), DAY)
    assert "Waived: Cost of enforcement · CN¥0.00" in said("history", "L1")


def test_of_one_day_what_follows_of_a_payment_stands_above_it(ended: None) -> None:
    lines = said("history", "L1").splitlines()
    assert lines.index(next(line for line in lines if "Repaid early, whole" in line)) < lines.index(
        next(line for line in lines if "no. P2" in line and "Paid" in line)
    )


def test_a_day_is_restated_by_later_news_alone(book: Path, asked: Asked) -> None:
    # Given two payments of one day, then both are its own course; one that comes to light later restates it.
    for key in ("P1", "P2"):
        posted(Paid(key, DAY, 100), DAY)
    assert not history(1)[0].restated
    posted(Paid("P3", DAY - timedelta(days=1), 100), DAY + timedelta(days=1))
    day = history(1)[1]
    assert (day.on, day.restated, day.dpd, day.dpd_first) == (DAY, True, 10, 10)
    posted(Reversed("R1", DAY + timedelta(days=1), "P3"), DAY + timedelta(days=1))
    assert not history(1)[1].restated  # as it was known first


def test_a_respite_is_told_on_its_first_day_with_its_rule(book: Path, fresh_db: str) -> None:
    with psycopg.connect(fresh_db) as connection:
        connection.execute(
            "INSERT INTO account_event (account_id, key, kind, value_on, detail) VALUES (1, 'respite/1', 'forborne',"
            """ '2026-02-19', '{"until": "2026-03-01", "freezes": true, "rule": "gb.respite.freeze"}')"""
        )
        (event,) = happened(connection, 1)
    assert event.on == DAY
    assert f"{DAY} · Respite that the law gives, until 2026-03-01 (gb.respite.freeze)" in said("history", "L1")
