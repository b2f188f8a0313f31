"""A debt that was sold or written off is not collected: the journal, the night and the gate say so."""

import hashlib
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import Asked
from typer.testing import CliRunner

from forbear.cli import app
from forbear.contact.models import Request
from forbear.contact.services import ask
from forbear.intake.services import import_book
from forbear.ledger.models import Paid, Reversed, Sold, WrittenOff
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.servicing.errors import ServicingError
from forbear.servicing.post import Posting, post_one

FEB = date(2026, 2, 10)
DAY = FEB + timedelta(days=20)


def posted(*events: Any) -> None:
    for event in events:
        post_one(Posting(1, event), DAY)


def says(url: str, asked: Asked) -> tuple[str, str, bool]:
    """The status of loan 1, what a night's facts say of it, and whether the gate holds that it is not open."""
    nightly(DAY, load())
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION gate_now() RETURNS timestamptz LANGUAGE sql"
            f" AS 'SELECT ''{DAY}T12:00:00+08:00''::timestamptz'"
        )
    text = hashlib.sha256(b"a text").hexdigest()
    request = Request(key=uuid.uuid4(), account_id=1, step="sms", requested_by="d", text_sha256=text, facts=FACTS)
    answer = ask(load(), request)
    night = asked("SELECT status FROM decision WHERE account_id = 1 ORDER BY run_id DESC LIMIT 1")[0][0]
    kept = asked("SELECT status FROM account WHERE id = 1")[0][0]
    return kept, night, "policy.open-only" in answer.spoke.get("forbids", ())


FACTS = {"to_whom": "debtor", "visitors": 2}


def test_an_import_does_not_open_a_debt_again_that_was_sold(book: Path, asked: Asked, fresh_db: str) -> None:
    # Given a sale (Civil Code (cn) art. 545, 546: the claim is the assignee's), when the lender's next file still says
    # that the loan is open, then it stays sold, and no row waits for it.
    posted(Sold("S1", DAY, 40_000, "A-7"))
    assert says(fresh_db, asked) == ("sold", "sold", True)
    for told in ("27", "28"):  # the same row, and one that changed
        loans = (book / "loans.csv").read_text("utf-8").replace(",27\n", f",{told}\n")
        (book / "loans.csv").write_text(loans, "utf-8")
        assert import_book(book, "forbear").bad == 0
        assert asked("SELECT id, status FROM account ORDER BY id")[:2] == [(1, "sold"), (2, "open")]
    assert asked("SELECT penalty_rate_ppm FROM account WHERE id = 1") == [(280_000,)]  # what else it tells is taken
    assert says(fresh_db, asked) == ("sold", "sold", True)


def test_what_is_paid_after_the_sale_is_the_assignees_and_is_refused_in_one_line(book: Path, asked: Asked) -> None:
    posted(Sold("S1", FEB + timedelta(days=10), 40_000, "A-7"))
    given = ["pay", "L1", "100.00", "--on", str(DAY), "--key", "P1", "--as-of", str(DAY)]
    told = CliRunner().invoke(app, given)
    assert told.exit_code != 0 and "belongs to the assignee" in str(told.exception)
    assert asked("SELECT count(*) FROM payment WHERE account_id = 1") == [(0,)]
    # What was paid before the sale and comes to light late was paid to who owned the debt then.
    posted(Paid("P2", FEB, 100))
    # So it is where the book alone says that the debt is sold; once the sale is taken back, the payment is good.
    posted(Reversed("R1", DAY, "S1"), Paid("P3", DAY, 100))
    assert asked("SELECT status FROM account WHERE id = 1") == [("open",)]
    (book / "loans.csv").write_text((book / "loans.csv").read_text("utf-8").replace(",open,", ",sold,"), "utf-8")
    assert import_book(book, "forbear").bad == 0
    with pytest.raises(ServicingError, match="belongs to the assignee"):
        posted(Paid("P4", DAY, 100))
    posted(Paid("P3", DAY, 100))  # sent again, it is answered as it was


def test_a_write_off_here_says_the_same_as_one_that_was_imported_and_its_reversal_takes_it_back(
    book: Path, asked: Asked, fresh_db: str
) -> None:
    # Given a loan past due (house rule 1.3: what is charged off is not collected here), when it is written off,
    # then the account, the night and the gate say so, and so do they after a file that tells of it as open.
    assert says(fresh_db, asked) == ("open", "open", False)
    posted(WrittenOff("X1", DAY))
    assert says(fresh_db, asked) == ("charged_off", "charged_off", True)
    told = CliRunner().invoke(app, ["explain", "L1"]).output
    assert "An account that is paid off, charged off or sold is not collected here;" in " ".join(told.split()), told
    assert import_book(book, "forbear").bad == 0
    assert says(fresh_db, asked) == ("charged_off", "charged_off", True)
    # The debt does not end by it: what is paid is taken, and a sale that is taken back leaves it written off.
    posted(Paid("P1", DAY, 100), Sold("S1", DAY, 1, "A-7"), Reversed("R1", DAY, "S1"))
    assert says(fresh_db, asked) == ("charged_off", "charged_off", True)
    posted(Reversed("R2", DAY, "X1"))
    assert says(fresh_db, asked) == ("open", "open", False)
