"""A number tells of one row: no mended row overwrites in silence what another row of its file has told."""

from datetime import date
from pathlib import Path

import pytest
from tests.intake.test_import import LC, LC_ROW, OWN
from tests.intake.test_newer import FLAGS, FREE, HELD, B, asked, sent, waiting

from forbear.intake.services import drop, import_book, mend
from forbear.nightly.run import nightly
from forbear.rulebook.load import load

STOPPED = [(True, date(2026, 12, 31))]
FREED = FREE.removeprefix(B)


@pytest.mark.parametrize("changes", [{}, {"ref": "B1"}, {"ref": "B2"}, {"ref": " B2 "}])
def test_a_duplicate_lifts_no_stop(fresh_db: str, tmp_path: Path, changes: dict[str, str]) -> None:
    # Given a file whose first row of B1, and of B2, asks for no contact, and whose second row of B1 does not,
    # when the second is mended as it is or to a number that is there, then it is refused and the stop stands.
    twice = HELD + HELD.removeprefix(B).replace("B1", "B2") + FREED
    sent(tmp_path / "b", borrowers=twice)
    [kept] = waiting(fresh_db)
    assert kept.row_number == 4
    [bad] = mend(kept.id, changes)
    assert "drop it" in bad.refused.remedy
    assert asked(fresh_db, FLAGS + " ORDER BY ref") == STOPPED * 2
    # Under a number of its own it is another borrower's; dropped, it is nobody's.
    assert mend(kept.id, {"ref": "B3"}) == []
    assert asked(fresh_db, FLAGS + " WHERE ref < 'B3' ORDER BY ref") == STOPPED * 2


def test_of_two_rows_that_come_twice_the_first_is_the_one_even_where_it_can_not_be_read(
    fresh_db: str, tmp_path: Path
) -> None:
    # Given a first row that asks for no contact and can't be read, then the second does not take its place: both wait.
    sent(tmp_path / "b", borrowers=HELD.replace("Shanghai", "Shangai") + FREED)
    first, second = (kept for kept in waiting(fresh_db) if kept.table == "borrowers")
    assert (first.field, second.reason) == ("zones", "stands in this file twice")
    assert asked(fresh_db, FLAGS) == []
    assert mend(first.id, {"zones": "Asia/Shanghai"}) == []
    assert mend(second.id, {}) != []
    assert asked(fresh_db, FLAGS) == STOPPED


def test_a_row_that_was_never_a_duplicate_is_not_mended_onto_another(fresh_db: str, tmp_path: Path) -> None:
    # Given B1, whom an older file holds, and a row of B9 that can't be read in a newer file that does not tell of B1,
    # when the row is mended to be B1's, then it is refused: nobody said so in the file.
    sent(tmp_path / "b", "2026-11-01", borrowers=HELD)
    sent(tmp_path / "b", "2026-11-10", borrowers=FREE.replace("B1,Asia/Shanghai", "B9,Asia/Shangai"))
    kept = next(each for each in waiting(fresh_db) if each.table == "borrowers")
    assert mend(kept.id, {"ref": "B1", "zones": "Asia/Shanghai"})[0].refused.field == "ref"
    assert asked(fresh_db, FLAGS) == STOPPED


def test_a_newer_row_that_was_refused_brings_its_own_number_up_to_date(fresh_db: str, tmp_path: Path) -> None:
    # Given B1 on file, whose row in a newer file can't be read, when it is mended, then it holds: it is B1's own.
    sent(tmp_path / "b", "2026-11-01", borrowers=HELD)
    sent(tmp_path / "b", "2026-11-10", borrowers=FREE.replace("Shanghai", "Shangai"))
    [kept] = waiting(fresh_db)
    assert mend(kept.id, {"zones": "Asia/Shanghai"}) == []
    assert asked(fresh_db, FLAGS) == [(False, None)]


@pytest.mark.parametrize(("changes", "status"), [({}, "open"), ({"ref": "L2"}, "open"), ({"ref": "L3"}, "open")])
def test_a_duplicate_loan_overwrites_none(fresh_db: str, tmp_path: Path, changes: dict[str, str], status: str) -> None:
    head, row = OWN["loans"].splitlines(True)
    loans = head + row + row.replace("L1,", "L2,") + row.replace(",open,", ",sold,")
    sent(tmp_path / "b", loans=loans)
    [kept] = waiting(fresh_db)
    assert bool(mend(kept.id, changes)) is (changes != {"ref": "L3"})
    assert asked(fresh_db, "SELECT status FROM account WHERE ref IN ('L1', 'L2')") == [(status,)] * 2


@pytest.mark.parametrize("n", ["2", "02", "2.0"])
def test_a_duplicate_instalment_overwrites_none(fresh_db: str, tmp_path: Path, n: str) -> None:
    # 2, 02 and 2.0 are one number.
    sent(tmp_path / "b", instalments=OWN["instalments"] + f"L1,{n},2026-04-10,1.00,0.00\n")
    [kept] = waiting(fresh_db)
    assert mend(kept.id, {}) != []
    assert mend(kept.id, {"n": "1"}) != []
    drop(kept.id)
    assert asked(fresh_db, "SELECT sum(principal_minor)::int FROM instalment") == [(100_000,)]


def test_a_duplicate_holds_its_borrower_until_it_is_settled(fresh_db: str, tmp_path: Path) -> None:
    # Given a borrower of whom two rows say different things, then nobody is contacted until a person has decided.
    sent(tmp_path / "b", borrowers=FREE + HELD.removeprefix(B))
    run = nightly(date(2026, 2, 20), load()).run_id
    assert asked(fresh_db, f"SELECT step, rows_waiting FROM decision WHERE run_id = {run}") == [("none", True)]


def test_a_newer_file_that_tells_of_it_once_settles_a_duplicate(fresh_db: str, tmp_path: Path) -> None:
    sent(tmp_path / "b", "2026-11-01", borrowers=HELD + FREED)
    assert len(waiting(fresh_db)) == 1
    sent(tmp_path / "b", "2026-11-02", borrowers=FREE)
    assert waiting(fresh_db) == []
    assert asked(fresh_db, FLAGS) == [(False, None)]


def test_a_row_of_the_public_data_set_that_stands_twice_overwrites_none(fresh_db: str, tmp_path: Path) -> None:
    path = tmp_path / "loans.csv"
    path.write_text(LC + LC_ROW.format(n=1) + LC_ROW.format(n=1).replace("1328.56", "996.42"), "utf-8")
    import_book(path, "lendingclub")
    [kept] = waiting(fresh_db)
    assert mend(kept.id, {}) != []
    assert asked(fresh_db, "SELECT amount_minor FROM payment") == [(132_856,)]
