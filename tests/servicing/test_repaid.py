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
from forbear.ledger.models import ChargedBack, Event, Paid, Reversed
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.servicing.errors import ServicingError
from forbear.servicing.post import Posting, Receipt, post_one
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
