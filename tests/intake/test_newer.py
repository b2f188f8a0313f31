"""Of two files that tell different things of one row, the newer holds; nothing that was sent is dropped in silence."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.intake.test_import import BOOK, OWN, own_book

from forbear.intake.errors import IntakeError
from forbear.intake.services import Kept, Report, drop, import_book, mend, quarantined

B = "ref,zones,can_sms,stop_contact,hardship_until\n"
HELD = B + "B1,Asia/Shanghai,true,true,2026-12-31\n"
FREE = B + "B1,Asia/Shanghai,true,false,\n"


def sent(folder: Path, snapshot: str | None = None, book: str = BOOK, **changed: str) -> Report:
    """Take the book in, as it stood on the day of the picture."""
    own_book(folder, **changed)
    (folder / "book.toml").write_text(book + (f"snapshot_on = {snapshot}\n" if snapshot else ""), "utf-8")
    return import_book(folder, "forbear")


def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def waiting(url: str) -> list[Kept]:
    with psycopg.connect(url) as connection:
        return quarantined(connection)


FLAGS = "SELECT stop_contact, hardship_until FROM borrower"


def test_an_older_file_that_comes_later_overwrites_nothing(fresh_db: str, tmp_path: Path) -> None:
    # Given the picture of 20 November, which holds a borrower, when that of the 1st is taken in after it,
    # then the hold stays, and the import says what it passed over.
    sent(tmp_path / "b", "2026-11-20", borrowers=HELD)
    report = sent(tmp_path / "b", "2026-11-01", borrowers=FREE)
    assert asked(fresh_db, FLAGS) == [(True, date(2026, 12, 31))]
    assert report.older == 4  # borrower, loan and the two lines of its schedule
    assert asked(fresh_db, "SELECT snapshot_on, recorded_until FROM book") == [(date(2026, 11, 20),) * 2]


def test_of_two_files_without_a_day_that_which_came_later_holds(fresh_db: str, tmp_path: Path) -> None:
    sent(tmp_path / "b", borrowers=HELD)
    assert sent(tmp_path / "b", borrowers=FREE).older == 0
    assert asked(fresh_db, FLAGS) == [(False, None)]


def test_a_mended_row_is_as_old_as_its_file(fresh_db: str, tmp_path: Path) -> None:
    # Given a row refused on the 1st and mended after the picture of the 20th, then the mend is refused.
    sent(tmp_path / "b", "2026-11-01", borrowers=FREE)
    sent(tmp_path / "b", "2026-11-10", borrowers=FREE.replace("Shanghai", "Shangai"))
    kept = waiting(fresh_db)[0]
    with psycopg.connect(fresh_db) as connection:  # the newer file, but for what it settles
        connection.execute("UPDATE borrower SET stop_contact = true")
        connection.execute(
            "INSERT INTO import (book_id, file_name, file_sha256, mapping_name, mapping_sha256, mapping, taken_on)"
            " SELECT book_id, 'x', 'x', 'x', 'x', mapping, '2026-11-20' FROM import LIMIT 1"
        )
        connection.execute("UPDATE borrower SET import_id = (SELECT max(id) FROM import)")
    assert "a newer file has told" in mend(kept.id, {"zones": "Asia/Shanghai"})[0].refused.reason
    assert asked(fresh_db, FLAGS) == [(True, None)]
    assert [each.id for each in waiting(fresh_db)] == [kept.id]


def test_a_newer_good_row_settles_what_waits_of_an_older_file(fresh_db: str, tmp_path: Path) -> None:
    sent(tmp_path / "b", "2026-11-01", borrowers=HELD.replace("Shanghai", "Shangai"))
    assert {each.table for each in waiting(fresh_db)} == {"borrowers", "loans", "instalments", "payments", "contacts"}
    sent(tmp_path / "b", "2026-11-20", borrowers=HELD)
    assert waiting(fresh_db) == []


def test_a_column_that_a_newer_file_lacks_clears_nothing(fresh_db: str, tmp_path: Path) -> None:
    # Given a hold on file, when a file without the column hardship_until comes, then it holds on;
    # an empty field in the column ends it.
    sent(tmp_path / "b", "2026-11-01", borrowers=HELD)
    sent(tmp_path / "b", "2026-11-10", borrowers="ref,zones\nB1,Asia/Chongqing\n")
    assert asked(fresh_db, "SELECT zones, stop_contact, hardship_until FROM borrower") == [
        ("Asia/Chongqing", True, date(2026, 12, 31))
    ]
    sent(tmp_path / "b", "2026-11-11", borrowers=FREE)
    assert asked(fresh_db, FLAGS) == [(False, None)]


def test_a_loan_that_another_owes_now_is_moved(fresh_db: str, tmp_path: Path) -> None:
    sent(tmp_path / "b", "2026-11-01")
    sent(
        tmp_path / "b",
        "2026-11-10",
        borrowers=OWN["borrowers"] + "B2,Asia/Shanghai,true,true,true,\n",
        loans=OWN["loans"].replace("L1,B1", "L1,B2"),
    )
    assert asked(fresh_db, "SELECT b.ref FROM account a JOIN borrower b ON b.id = a.borrower_id") == [("B2",)]


def test_of_two_statements_since_when_contacts_are_on_record_the_later_holds(fresh_db: str, tmp_path: Path) -> None:
    for day in ("2026-02-01", "2026-01-15"):
        sent(tmp_path / "b", book=BOOK.replace("2026-01-01", day))
    assert asked(fresh_db, "SELECT history_from FROM book") == [(date(2026, 2, 1),)]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [(",delivered", ",failed", "outcome"), (",sms,", ",letter,", "step"), ("T10:00", "T11:00", "at")],
)
def test_a_contact_is_never_edited(fresh_db: str, tmp_path: Path, old: str, new: str, field: str) -> None:
    # Given a contact on file, when it comes again under its number with another end, then it waits in quarantine,
    # and under a number of its own it is taken in.
    sent(tmp_path / "b", "2026-11-01")
    sent(tmp_path / "b", "2026-11-02", contacts=OWN["contacts"].replace(old, new))
    [kept] = waiting(fresh_db)
    assert (kept.field, "number of its own" in kept.remedy) == (field, True)
    assert mend(kept.id, {})[0].refused.field == field
    assert mend(kept.id, {"ref": "C2"}) == [] and waiting(fresh_db) == []
    assert asked(fresh_db, "SELECT count(*) FROM contact") == [(2,)]


def test_a_number_that_stands_twice_in_a_file_is_not_mended_by_taking_it_in_again(
    fresh_db: str, tmp_path: Path
) -> None:
    twice = OWN["contacts"] + "L1,C1,2026-02-12T10:00:00+08:00,call,conversation\n"
    sent(tmp_path / "b", "2026-11-01", contacts=twice)
    [kept] = waiting(fresh_db)
    assert mend(kept.id, {})[0].refused.field == "at"
    assert mend(kept.id, {"ref": "C2"}) == []


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("L1,C2,2026-11-03T10:00:00+08:00,sms,delivered", "at"),
        ("L1,C2,2026-02-12T10:00:00+08:00,call,delivered", "outcome"),
        ("L1,C2,2026-02-12T10:00:00+08:00,sms,conversation", "outcome"),
        ("L1,C2,2026-02-12T10:00:00+08:00,letter,no_answer", "outcome"),
    ],
)
def test_what_cannot_have_been_is_refused(fresh_db: str, tmp_path: Path, row: str, field: str) -> None:
    # The picture is of 1 November: it shows no contact of the 3rd. A text does not end in a conversation.
    sent(tmp_path / "b", "2026-11-01", contacts=OWN["contacts"] + row + "\n")
    assert [each.field for each in waiting(fresh_db)] == [field]


def test_a_contact_still_to_come_is_refused_where_the_picture_has_no_day(fresh_db: str, tmp_path: Path) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    sent(tmp_path / "b", contacts=OWN["contacts"] + f"L1,C2,{ahead},sms,delivered\n")
    assert [each.field for each in waiting(fresh_db)] == ["at"]


def test_a_picture_of_a_day_to_come_is_refused(fresh_db: str, tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="has not come yet"):
        sent(tmp_path / "b", str((datetime.now(UTC) + timedelta(days=3)).date()))
    assert asked(fresh_db, "SELECT count(*) FROM import") == [(0,)]


def test_contacts_are_on_record_until_the_last_picture_that_held_them(fresh_db: str, tmp_path: Path) -> None:
    assert sent(tmp_path / "b", "2026-11-01").recorded_until == date(2026, 11, 1)
    (tmp_path / "b" / "contacts.csv").unlink()
    folder = tmp_path / "b"
    (folder / "book.toml").write_text(BOOK + "snapshot_on = 2026-11-09\n", "utf-8")
    assert import_book(folder, "forbear").recorded_until == date(2026, 11, 1)


@pytest.mark.parametrize("table", ["borrowers", "loans", "payments", "contacts"])
def test_a_book_is_on_record_no_further_than_each_table_that_a_night_needs(
    fresh_db: str, tmp_path: Path, table: str
) -> None:
    # Given a whole picture of the 1st, when that of the 9th lacks payments (or stops, or disputes), then a night of
    # the 9th would not know of what came since; when they come by themselves, it does.
    folder = tmp_path / "b"
    sent(folder, "2026-11-01")
    (own_book(folder) / "book.toml").write_text(BOOK + "snapshot_on = 2026-11-09\n", "utf-8")
    missing = (folder / f"{table}.csv").rename(tmp_path / f"{table}.csv")
    assert import_book(folder, "forbear").recorded_until == date(2026, 11, 1)
    for each in folder.glob("*.csv"):
        each.unlink()
    missing.rename(folder / missing.name)
    assert import_book(folder, "forbear").recorded_until == date(2026, 11, 9)


def test_a_dropped_row_is_settled(fresh_db: str, tmp_path: Path) -> None:
    sent(tmp_path / "b", contacts=OWN["contacts"].replace(",sms,", ",telegram,"))
    drop(waiting(fresh_db)[0].id)
    assert waiting(fresh_db) == []
