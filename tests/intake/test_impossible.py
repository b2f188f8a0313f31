"""What can't be is refused: schedules that are not the loan's, days that have not come, clocks of elsewhere."""

from datetime import date
from pathlib import Path

import psycopg
import pytest
from tests.intake.test_import import OWN, lc_file, own_book
from tests.intake.test_newer import asked, sent, waiting

from forbear.intake.errors import IntakeError
from forbear.intake.place import suits
from forbear.intake.services import drop, import_book, mend
from forbear.locale import LANGUAGES
from forbear.nightly.run import nightly
from forbear.rulebook.load import load

PEOPLE = "ref,zones,can_sms,can_call,can_write,stop_contact,attorney,bankrupt,incapable\n"
PEOPLE += "B1,Asia/Shanghai,true,true,true,false,false,false,false\n"
LOANS = OWN["loans"].replace("currency", "dispute_open").replace("CNY", "false")
#: A loan ten days past due, of a person who may be texted: nothing stands against it but what a test adds.
WORKED = {"borrowers": PEOPLE, "loans": LOANS, "payments": "loan_ref,ref,paid_on,amount\n"}
DAY = "2026-02-20"


def step(url: str) -> str:
    """The loan's step on the night of the picture."""
    run = nightly(date.fromisoformat(DAY), load()).run_id
    [(found,)] = asked(url, f"SELECT step FROM decision WHERE run_id = {run}")
    return str(found)


# ---- a schedule that is not the loan's --------------------------------------------------------------


def test_a_loan_whose_schedule_is_whole_is_worked(fresh_db: str, tmp_path: Path) -> None:
    assert sent(tmp_path / "b", DAY, **WORKED).bad == 0
    assert step(fresh_db) == "sms"


@pytest.mark.parametrize(
    ("table", "old", "new", "field"),
    [
        ("loans", "1000.00", "900.00", "principal"),
        ("instalments", "L1,2,2026-03-10,500.00", "L1,2,2026-03-10,499.99", "principal"),
        ("instalments", "L1,2,2026-03-10,500.00,7.50\n", "L1,2,2026-03-10,700.00,7.50\n", "principal"),
    ],
)
def test_a_loan_that_its_instalments_do_not_pay_back_is_held_until_a_person_has_decided(
    fresh_db: str, tmp_path: Path, table: str, old: str, new: str, field: str
) -> None:
    # Given a loan of another principal than its instalments', then it waits by the row of the loan, and nobody is
    # contacted: what is owed and what the loan costs rest on figures that contradict each other.
    changed = (OWN | WORKED)[table].replace(old, new)
    assert sent(tmp_path / "b", DAY, **(WORKED | {table: changed})).bad == 1
    [kept] = waiting(fresh_db)
    assert (kept.table, kept.row_number, kept.field) == ("loans", 2, field)
    assert step(fresh_db) == "none"
    # It can't be waved through: not as it is, not by dropping the row, and not by making it another loan's.
    assert mend(kept.id, {})[0].refused.field == field
    assert mend(kept.id, {"ref": "L9"}) != []
    with pytest.raises(IntakeError, match="can't be dropped"):
        drop(kept.id)
    assert [each.id for each in waiting(fresh_db)] == [kept.id]
    # A person who knows better mends the principal; or a newer file is right.
    [(whole,)] = asked(fresh_db, "SELECT sum(principal_minor)::int FROM instalment")
    assert mend(kept.id, {"principal": f"{whole // 100}.{whole % 100:02}"}) == []
    assert step(fresh_db) == "sms"


def test_a_newer_file_that_is_right_settles_a_doubt_and_one_that_is_wrong_holds_on(
    fresh_db: str, tmp_path: Path
) -> None:
    wrong = LOANS.replace("1000.00", "900.00")
    sent(tmp_path / "b", "2026-02-18", **(WORKED | {"loans": wrong}))
    sent(tmp_path / "b", "2026-02-19", **(WORKED | {"loans": wrong}))
    assert len(waiting(fresh_db)) == 1
    assert sent(tmp_path / "b", DAY, **WORKED).bad == 0
    assert waiting(fresh_db) == [] and step(fresh_db) == "sms"


def test_instalments_that_come_alone_and_make_a_doubt_hold_the_loan_that_is_on_file(
    fresh_db: str, tmp_path: Path
) -> None:
    # Given a loan on file, when a file of instalments alone does not pay it back, then the loan waits as it is on
    # file; when the instalments are right again, it is taken in as it is.
    sent(tmp_path / "b", "2026-02-19", **WORKED)
    folder = tmp_path / "more"
    own_book(folder)
    for table in ("borrowers", "loans", "payments", "contacts"):
        (folder / f"{table}.csv").unlink()
    lines = folder / "instalments.csv"
    lines.write_text(OWN["instalments"].replace("500.00,7.50", "400.00,7.50"), "utf-8")
    assert import_book(folder, "forbear").bad == 1
    [kept] = waiting(fresh_db)
    assert kept.row_number < 0 and kept.row["principal"] == "1000.00"
    lines.write_text(OWN["instalments"].replace("7.50", "7.49"), "utf-8")
    import_book(folder, "forbear")
    assert mend(kept.id, {}) == [] and waiting(fresh_db) == []


def test_a_missing_instalment_is_one_refusal_and_can_not_be_dropped_away(fresh_db: str, tmp_path: Path) -> None:
    # Given an instalment that can't be read, then it alone waits; dropped, it would leave a schedule that is not the
    # loan's, so it is not.
    lines = OWN["instalments"].replace("2026-03-10", "10.3.26")
    sent(tmp_path / "b", DAY, **(WORKED | {"instalments": lines}))
    [kept] = waiting(fresh_db)
    assert (kept.table, kept.field) == ("instalments", "due_on")
    with pytest.raises(IntakeError, match="whose principal is not the sum of the principal of its instalments") as held:
        drop(kept.id)
    assert "其 principal 不等于" in held.value.told(LANGUAGES["zh-Hans"].catalogue.gettext)
    assert step(fresh_db) == "none"
    assert mend(kept.id, {"due_on": "2026-03-10", "principal": "5.00"})[0].refused.field == "principal"
    assert mend(kept.id, {"due_on": "2026-03-10"}) == []
    assert step(fresh_db) == "sms"


def test_a_line_that_no_longer_stands_has_amounts_of_nothing(fresh_db: str, tmp_path: Path) -> None:
    # docs/intake.md: a newer schedule of fewer lines says so of those that went.
    sent(tmp_path / "b", "2026-02-19", **WORKED)
    lines = "loan_ref,n,due_on,principal,interest\nL1,1,2026-02-10,1000.00,15.00\nL1,2,2026-03-10,0.00,0.00\n"
    assert sent(tmp_path / "b", DAY, **(WORKED | {"instalments": lines})).bad == 0
    assert step(fresh_db) == "sms"


def test_a_card_has_no_principal_to_pay_back(fresh_db: str, tmp_path: Path) -> None:
    loans = LOANS.replace("instalment,open", "card,open").replace("1000.00", "1.00")
    assert sent(tmp_path / "b", DAY, **(WORKED | {"loans": loans})).bad == 0


def test_a_schedule_that_moves_as_a_whole_is_taken_in(fresh_db: str, tmp_path: Path) -> None:
    # Given a schedule on file, when a newer file brings all of it two months earlier, then each line moves.
    sent(tmp_path / "b", "2026-11-01", loans=OWN["loans"].replace("2026-01-10", "2025-10-10"))
    moved = OWN["instalments"].replace("2026-02-10", "2025-12-10").replace("2026-03-10", "2026-01-10")
    assert sent(tmp_path / "b", "2026-11-02", instalments=moved, loans=OWN["loans"].replace("2026", "2025", 1)).bad == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"loans": LOANS.replace("1000.00", "0.00"), "instalments": OWN["instalments"].replace("500.00", "0.00")},
        {"loans": LOANS.replace("instalment,open", "card,open")},
    ],
)
def test_no_way_round_the_cap_makes_a_contact(fresh_db: str, tmp_path: Path, changed: dict[str, str]) -> None:
    # Given a loan whose yearly cost can't be told (nothing was lent, or it is called a card), then nothing is demanded.
    sent(tmp_path / "b", DAY, **(WORKED | changed))
    assert step(fresh_db) == "none"


@pytest.mark.parametrize(
    ("changed", "demanded"),
    [
        # 528.41 / 1.02 + 501.42 / 1.02² = 1,000.00
        ({"instalments": OWN["instalments"].replace("15.00", "150.00")}, [528_41, 501_42]),
        ({"loans": LOANS.replace("2026-01-10", "2026-02-09")}, [506_49, 503_24]),
    ],
)
def test_above_the_cap_no_more_is_demanded_than_lies_within_it(
    fresh_db: str, tmp_path: Path, changed: dict[str, str], demanded: list[int]
) -> None:
    # Given a loan above the 24% of 金规〔2025〕9号 (dear instalments, or the same ones after a day), then what its
    # ceiling removes is not demanded, and the rest is: both instalments are cut by one factor.
    sent(tmp_path / "b", DAY, **(WORKED | changed))
    assert step(fresh_db) == "sms"
    with psycopg.connect(fresh_db) as connection:
        lawful = "SELECT principal_minor + interest_minor - removed_minor FROM instalment ORDER BY n"
        assert [minor for (minor,) in connection.execute(lawful)] == demanded
        assert connection.execute("SELECT arrears, demand_held FROM decision").fetchall() == [(demanded[0], True)]


# ---- days that can't be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "old", "new", "field"),
    [
        ("loans", "2026-01-10", "2026-02-21", "opened_on"),
        ("loans", "2026-01-10", "0", "opened_on"),
        ("loans", "2026-01-10", "1926-01-10", "opened_on"),
        ("loans", "2026-01-10", "2026-02-11", "due_on"),
        ("instalments", "2026-02-10", "2026-01-09", "due_on"),
        ("instalments", "2026-03-10", "9999-12-31", "due_on"),
        ("payments", "2026-02-12", "2026-02-21", "paid_on"),
        ("payments", "2026-02-12", "2026-01-09", "paid_on"),
        ("payments", "515.00", "900000000000.00", "amount"),
        ("contacts", "2026-02-11T10:00:00+08:00", "2026-02-22T10:00:00+08:00", "at"),
        ("contacts", "2026-02-11T10:00:00+08:00", "0001-01-01T00:00:00+08:00", "at"),
        ("contacts", "2026-02-11T10:00:00+08:00", "1770000000", "at"),
    ],
)
def test_a_day_or_an_amount_that_can_not_be_is_kept_aside(
    fresh_db: str, tmp_path: Path, table: str, old: str, new: str, field: str
) -> None:
    # Given the picture of 20 February: nothing in it was done later, nor paid or due before the loan was there.
    changed = OWN[table].replace(old, new, 1)
    sent(tmp_path / "b", DAY, **{table: changed})
    assert field in [each.field for each in waiting(fresh_db)]
    assert all(each.reason and each.remedy for each in waiting(fresh_db))


def test_a_notice_of_the_debt_that_is_still_to_be_sent_was_not_sent(fresh_db: str, tmp_path: Path) -> None:
    # 12 CFR 1006.34: the validation notice. A day to come is a plan.
    loans = LOANS.replace("dispute_open", "dispute_open,validation_sent_on").replace("false", "false,2026-03-01")
    sent(tmp_path / "b", DAY, **(WORKED | {"loans": loans}))
    assert "validation_sent_on" in [each.field for each in waiting(fresh_db)]


def test_a_public_loan_issued_after_the_picture_is_refused(fresh_db: str, tmp_path: Path) -> None:
    path = lc_file(tmp_path, 1)
    path.write_text(path.read_text("utf-8").replace("Feb-2018", "Feb-2019"), "utf-8")
    import_book(path, "lendingclub")
    assert [each.field for each in waiting(fresh_db)] == ["issue_month"]


def test_a_refused_month_of_a_card_is_named_as_its_column(fresh_db: str, tmp_path: Path) -> None:
    names = ["row", "PAY_0", *(f"BILL_AMT{k}" for k in range(1, 7)), *(f"PAY_AMT{k}" for k in range(1, 7))]
    row = ["1", "x", "1", "2", "NaN", *["0"] * 9]
    (tmp_path / "cards.csv").write_text(",".join(names) + "\n" + ",".join(row) + "\n", "utf-8")
    import_book(tmp_path / "cards.csv", "uci-credit-card")
    assert [each.field for each in waiting(fresh_db)] == ["PAY_0", "BILL_AMT3"]


# ---- whose clock ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zones", "place", "fits"),
    [
        ("America/New_York", "US-NY", True),
        ("US/Eastern", "US-NY", True),  # another name of the same clock
        ("America/Los_Angeles", "US-NY", False),  # 21:00 there is midnight here
        ("America/Los_Angeles|America/New_York", "US-NY", True),  # lawful in both
        ("America/Chicago", "US-TN", True),  # one of the state's two
        ("Asia/Shanghai", None, False),  # the book's own country
        ("America/Denver", None, True),
        ("Asia/Urumqi", "CN-31", False),  # China keeps Beijing time
        ("Asia/Chongqing", "CN", True),
        ("Asia/Shanghai|Asia/Urumqi", "CN-65", True),
        ("Asia/Tokyo", "上海", True),  # such a place is of no known law: nobody is contacted
    ],
)
def test_hours_are_those_of_the_borrowers_place(zones: str, place: str | None, fits: bool) -> None:
    assert suits(zones, place, "us", 2026) is fits


def test_a_borrower_with_the_clock_of_elsewhere_is_kept_aside(fresh_db: str, tmp_path: Path) -> None:
    # 12 CFR 1006.6(b): the hours are those of the consumer's place, whatever zone a lender would rather have.
    sent(tmp_path / "b", DAY, **(WORKED | {"borrowers": PEOPLE.replace("Asia/Shanghai", "America/New_York")}))
    assert ("borrowers", "zones") in [(each.table, each.field) for each in waiting(fresh_db)]


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-04-11", "2026-04-10", "lies after respite_until. Mend the first day"),
        ("2026-02-20", "", "stands without respite_until. Give the last day"),
        ("2026-04-10", "2026-04-10", None),
    ],
)
def test_a_respite_begins_no_later_than_it_ends(
    fresh_db: str, tmp_path: Path, first: str, last: str, said: str | None
) -> None:
    rows = f"ref,zones,respite_from,respite_until\nB1,Asia/Shanghai,{first},{last}\n"
    sent(tmp_path / "b", DAY, borrowers=rows)
    told = [(k.field, f"{k.reason}. {k.remedy}") for k in waiting(fresh_db) if k.table == "borrowers"]
    assert [field for field, _ in told] == (["respite_from"] if said else [])
    assert all(said in text for _, text in told if said)


def test_a_language_that_there_is_not_is_kept_aside(fresh_db: str, tmp_path: Path) -> None:
    people = "ref,language\nB1,zh-Hans\nB2,xx\nB3,\nB4,en-US\nB5,not a tag\n"
    sent(tmp_path / "b", DAY, borrowers=people)
    assert [(each.row_number, each.field) for each in waiting(fresh_db)] == [(3, "language"), (6, "language")]


def test_a_row_with_several_faults_has_a_line_for_each(fresh_db: str, tmp_path: Path) -> None:
    row = "L1,B1,lease,late,x,-1,18,XXZ\n"
    sent(tmp_path / "b", DAY, loans=OWN["loans"].splitlines(True)[0] + row)
    said = [each for each in waiting(fresh_db) if each.table == "loans"]
    assert {each.field for each in said} == {"product", "status", "opened_on", "principal"}
    assert "Use one of these: open, paid_off, charged_off, sold" in [each.remedy for each in said]
    with psycopg.connect(fresh_db) as connection:
        assert connection.execute("SELECT count(*) FROM account").fetchone() == (0,)
