"""Repaid early, a loan ends: by a payment that is posted and by one that is imported (Civil Code art. 677)."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import write_book
from typer.testing import CliRunner

from forbear.cli import app
from forbear.intake.services import import_book
from forbear.ledger.models import ChargedBack, Event, Paid, Refunded, Reversed
from forbear.locale import LANGUAGES
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.servicing.errors import ServicingError
from forbear.servicing.post import Posting, Receipt, post_one
from forbear.statement.document import document
from forbear.statement.render import text
from forbear.statement.services import statement

from .conftest import BOOK, TABLES
from .test_post import held, replayed

Asked = Callable[..., list[tuple[Any, ...]]]
FEB, DAY, LATER = date(2026, 2, 10), date(2026, 2, 20), date(2026, 6, 1)
STATUS = "SELECT status FROM account WHERE id = 1"


def posted(event: Event, as_of: date = LATER) -> Receipt:
    return post_one(Posting(1, event), as_of)


def named(url: str, day: date, as_of: date = FEB) -> int:
    """What the statement names to repay all of it on a day."""
    with psycopg.connect(url) as connection:
        return statement(connection, 1, as_of, day, load()).then.payoff


def test_who_pays_what_the_statement_names_owes_nothing_afterwards(book: Path, fresh_db: str, asked: Asked) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    # 500.00 at 18% for ten days: 2.47, not the 7.50 of the whole period.
    whole = named(fresh_db, DAY)
    assert whole == 50_247
    receipt = posted(Paid("P2", DAY, whole), DAY)
    assert dict(receipt.entries) == {"cash": 50_247, "owed:interest": -247, "owed:principal": -50_000}
    assert asked(STATUS) == [("paid_off",)]
    with psycopg.connect(fresh_db) as connection:
        told = statement(connection, 1, LATER, LATER, load())
    assert (told.today.due, told.today.payoff, told.today.dpd, told.status) == (0, 0, 0, "paid_off")
    assert held(fresh_db) == replayed(fresh_db)
    nightly(LATER, load())
    assert asked("SELECT count(*) FROM decision WHERE account_id = 1 AND (arrears > 0 OR owed > 0)") == [(0,)]
    said = CliRunner().invoke(app, ["history", "L1", "--lang", "zh-Hant"])
    assert "提前全部清償 · 編號 repaid/1/P2" in said.output, said.output
    # The same again is answered as before; a newer picture that calls it open does not open it.
    assert posted(Paid("P2", DAY, whole), DAY).again
    loans = TABLES["loans"] + "\n"
    write_book(book, BOOK, TABLES | {"loans": loans})
    import_book(book, "forbear")
    assert asked(STATUS) == [("paid_off",)]


@pytest.mark.parametrize("back", [Reversed("R", date(2026, 3, 1), "P2"), ChargedBack("C", date(2026, 3, 1), "P2")])
def test_taken_back_the_loan_runs_on_as_contracted(book: Path, fresh_db: str, asked: Asked, back: Event) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Paid("P2", DAY, 50_247), DAY)
    receipt = posted(back, date(2026, 3, 20))
    assert (receipt.standing.dpd, receipt.standing.arrears) == (10, 50_750)
    assert asked(STATUS) == [("open",)]
    assert held(fresh_db) == replayed(fresh_db)
    # Paid again, it ends again.
    posted(Paid("P3", date(2026, 3, 20), receipt.standing.owed), date(2026, 3, 20))
    assert held(fresh_db) == replayed(fresh_db)


def test_a_payment_that_comes_to_light_ends_the_loan_on_its_own_day(book: Path, fresh_db: str, asked: Asked) -> None:
    posted(Paid("P2", DAY, 50_247), DAY)
    assert asked(STATUS) == [("open",)]
    posted(Paid("P1", FEB, 51_500))
    assert asked(STATUS) == [("paid_off",)]
    assert asked("SELECT value_on FROM account_event WHERE detail ->> 'by' = 'payment:P2'") == [(DAY,)]
    assert held(fresh_db) == replayed(fresh_db)


def test_a_part_repaid_early_is_paid_ahead(book: Path, fresh_db: str, asked: Asked) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Paid("P2", DAY, 50_246), DAY)
    assert asked(STATUS) == [("open",)]
    assert asked("SELECT count(*) FROM account_event") == [(0,)]
    assert held(fresh_db)["credit"] == -50_246


def test_what_follows_of_a_payment_is_not_reversed_alone(book: Path, asked: Asked) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Paid("P2", DAY, 50_247), DAY)
    ((key,),) = asked("SELECT key FROM account_event")
    with pytest.raises(ServicingError, match="reverse it"):
        posted(Reversed("R", LATER, key))


def test_an_imported_loan_that_was_repaid_early_is_found_and_closed(
    fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    # L1 and its payments as a core system tells them, which has left it open; L2 is a cent short.
    paid = "loan_ref,ref,paid_on,amount\nL1,P1,2026-02-10,515.00\nL1,P2,2026-02-20,502.47\n"
    paid += "L2,P1,2026-02-10,515.00\nL2,P2,2026-02-20,502.46\n"
    folder = write_book(tmp_path / "own", BOOK, TABLES | {"payments": paid})
    assert import_book(folder, "forbear").bad == 0
    assert asked("SELECT ref, status FROM account ORDER BY id") == [("L1", "paid_off"), ("L2", "open"), ("L3", "open")]
    nightly(LATER, load())
    assert asked("SELECT a.ref FROM decision d JOIN account a ON a.id = d.account_id WHERE d.arrears > 0") == [("L2",)]
    # The same picture again finds nothing new, and a payment that it brings of the second loan ends that.
    for more in ("", "L2,P3,2026-02-20,0.01\n"):
        write_book(folder, BOOK, TABLES | {"payments": paid + more})
        import_book(folder, "forbear")
    assert asked("SELECT a.ref, e.key FROM account_event e JOIN account a ON a.id = e.account_id ORDER BY 1") == [
        ("L1", "repaid/1/P2"),
        ("L2", "repaid/1/P3"),
    ]


# ---- a part repaid early ----------------------------------------------------------------------------

EARLY = ("reschedule", "L1", "--reason", "prepayment", "--on", str(DAY), "--key", "A1", "--as-of", str(DAY))


def said(*words: str) -> str:
    """What a command says; it ends in order, or it says why not."""
    found = CliRunner().invoke(app, list(words))
    return found.output + (str(found.exception) if found.exit_code else "")


def told_of(url: str, day: date) -> str:
    with psycopg.connect(url) as connection:
        return text(document(statement(connection, 1, day, day, load()), LANGUAGES["en"]))


@pytest.mark.parametrize("then", ["smaller", "shorter"])
def test_what_is_paid_ahead_repays_principal_where_the_parties_agree(
    book: Path, fresh_db: str, asked: Asked, then: str
) -> None:
    # Given 500.00 left at 18% when 202.47 come on the tenth day, then 2.47 are the interest of ten days (Civil Code
    # art. 677) and 200.00 repay principal; the 300.00 left bear 2.89 for the other 18 days, not 7.50 on all of it.
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Paid("P2", DAY, 20_247), DAY)
    answer = said(*EARLY, "--then", then)
    assert "Repaid early: CN¥200.00 of the principal, with CN¥2.47 of interest" in answer
    assert "Instalments left: 1, the next of CN¥302.89 on 2026-03-10" in answer
    assert held(fresh_db) == replayed(fresh_db)
    assert "credit" not in held(fresh_db)
    assert "was posted before" in said(*EARLY, "--then", then)
    page = told_of(fresh_db, DAY)
    assert "A part repaid early on Feb 20, 2026" in page and "By it CN¥2.14 less" in page
    assert "for the days until it was repaid early" in page and "art. 677" in page
    history = said("history", "L1", "--lang", "zh-Hans")
    assert "提前归还部分本金：剩余 1 期，下期 2026-03-10 到期 · 编号 A1" in history
    # The night demands what is left, and a payment of it ends the loan.
    nightly(date(2026, 3, 20), load())
    assert asked("SELECT dpd, arrears FROM decision WHERE account_id = 1") == [(10, 30_289)]
    posted(Paid("P3", date(2026, 3, 10), 30_289), date(2026, 3, 20))
    assert held(fresh_db) == replayed(fresh_db)
    with psycopg.connect(fresh_db) as connection:
        assert statement(connection, 1, LATER, LATER, load()).today.payoff == 0


@pytest.mark.parametrize("back", [Reversed("R", date(2026, 3, 1), "P2"), ChargedBack("C", date(2026, 3, 1), "P2")])
def test_a_part_whose_payment_is_taken_back_was_never_agreed_to(
    book: Path, fresh_db: str, asked: Asked, back: Event
) -> None:
    # Nobody owes an early repayment: without the money the loan runs on as contracted.
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Paid("P2", DAY, 20_247), DAY)
    said(*EARLY, "--then", "smaller")
    receipt = posted(back, date(2026, 3, 9))
    assert (receipt.standing.dpd, receipt.standing.owed) == (0, 0)
    assert asked("SELECT kind, key FROM account_event WHERE key LIKE 'A1%' ORDER BY key") == [
        ("rescheduled", "A1"),
        ("reversed", "A1/undone"),
    ]
    assert held(fresh_db) == replayed(fresh_db)
    nightly(date(2026, 3, 20), load())
    assert asked("SELECT dpd, arrears FROM decision WHERE account_id = 1") == [(10, 50_750)]


@pytest.mark.parametrize(
    ("paid", "options", "why"),
    [
        (20_247, (), "--then shorter or --then smaller"),
        (20_247, ("--then", "smaller", "--instalments", "3"), "neither --first-due nor --instalments"),
        (247, ("--then", "smaller"), "Post the payment first"),
        (0, ("--then", "smaller"), "Post the payment first"),
        (50_247, ("--then", "smaller"), "no instalment is to come"),
    ],
)
def test_what_can_not_be_repaid_early_is_one_line(book: Path, paid: int, options: tuple[str, ...], why: str) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    if paid:
        posted(Paid("P2", DAY, paid), DAY)
    assert why in said(*EARLY, *options)


# ---- what is the borrower's goes back ---------------------------------------------------------------


def test_what_was_paid_above_what_ends_the_loan_goes_back(book: Path, fresh_db: str, asked: Asked) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(Paid("P2", DAY, 51_247), DAY)
    assert "CN¥10.00 more was paid than is owed: it is the borrower's" in told_of(fresh_db, DAY)
    back = ("refund", "L1", "10.00", "--on", "2026-02-25", "--key", "B1", "--as-of", "2026-02-25")
    assert "Posted: B1" in said(*back)
    assert asked("SELECT ledger_account, amount_minor FROM journal_entry n JOIN journal_transaction t ON"
                 " t.id = n.transaction_id WHERE t.key = 'event:B1' ORDER BY line") == [
        ("cash", -1_000), ("credit", 1_000),
    ]  # fmt: skip
    assert held(fresh_db) == replayed(fresh_db) and "credit" not in held(fresh_db)
    # The same again is answered and counts once; a cent more is not held.
    assert "was posted before" in said(*back)
    assert "so much is not held" in said("refund", "L1", "0.01", "--on", "2026-02-25", "--key", "B2")
    assert asked(STATUS) == [("paid_off",)]
    page = told_of(fresh_db, LATER)
    assert "Paid back to the borrower" in page and "more was paid than is owed" not in page
    assert "退還借款人 · CN¥10.00 · 編號 B1" in said("history", "L1", "--lang", "zh-Hant")
    # Booked by mistake, it is reversed, and held again.
    posted(Reversed("R", LATER, "B1"))
    assert held(fresh_db)["credit"] == -1_000


def test_a_refund_takes_nothing_that_has_settled_something_since(book: Path, fresh_db: str) -> None:
    # Given 100.00 held in February, which paid for March, and 50.00 held since, then of these 50.00 alone can go back,
    # and not as of a day before they came.
    march = date(2026, 3, 10)
    for n, (day, amount) in enumerate([(FEB, 61_500), (march, 40_750), (date(2026, 3, 12), 5_000)]):
        posted(Paid(f"P{n}", day, amount), day)
    today = date(2026, 3, 13)
    for day, amount in ((today, 5_001), (DAY, 5_000)):
        with pytest.raises(ServicingError, match="so much is not held"):
            posted(Refunded("B1", day, amount), today)
    assert posted(Refunded("B1", today, 5_000), today).standing.dpd == 0
    assert held(fresh_db) == replayed(fresh_db)


def test_a_payment_that_bounces_after_it_was_paid_back_is_owed_again(book: Path, fresh_db: str) -> None:
    posted(Paid("P1", FEB, 61_500), FEB)
    posted(Refunded("B1", DAY, 10_000), DAY)
    # The bank takes back 615.00 of which 100.00 went back: the instalment's 515.00 are owed, and the 100.00 can't be
    # booked as a debt of the loan.
    with pytest.raises(ServicingError, match="more would have gone back"):
        posted(ChargedBack("C", date(2026, 2, 25), "P1"), date(2026, 2, 25))
    posted(Paid("P2", date(2026, 2, 25), 10_000), date(2026, 2, 25))
    stood = posted(ChargedBack("C", date(2026, 2, 26), "P1"), date(2026, 2, 26)).standing
    assert (stood.dpd, stood.arrears) == (16, 51_500)
    assert held(fresh_db) == replayed(fresh_db)
