"""A column of days that a book never had is not an empty cell: it is taken as none, and that is said."""

from datetime import date
from pathlib import Path

import pytest
from tests.intake.test_import import OWN, own_book

from forbear.intake.assumed import FACTS
from forbear.intake.services import import_book
from forbear.intake_cli import print_import
from forbear.nightly.explain import explain
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.store.engine import engine
from forbear.web.reads import origins

DAY = date(2026, 3, 1)
#: The same book with the columns of borrowers, and none on record.
TOLD = "ref,zones,can_sms,can_call,can_write,place,hardship_until,respite_until\nB1,Asia/Shanghai,true,true,true,CN,,\n"
OF_LOANS = tuple(key for key in FACTS if key[0] == "loans")


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "taken as none on record; add the column, with empty cells where there is none"),
        ("zh-Hans", "视为在册无此项"),
        ("zh-Hant", "視為在冊無此項"),
    ],
)
def test_an_import_names_each_column_of_days_that_the_book_never_had(
    fresh_db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str, said: str
) -> None:
    report = import_book(own_book(tmp_path / "b"), "forbear")
    assert report.assumed == tuple(FACTS)
    print_import(report, lang)
    lines = [line for line in capsys.readouterr().out.splitlines() if said in line]
    assert [[column for _, column in FACTS if column in line] for line in lines] == [[column] for _, column in FACTS]


def test_what_was_assumed_is_shown_beside_the_fact_until_the_column_comes(fresh_db: str, tmp_path: Path) -> None:
    # SI 2020/1311 and policy.respite read respite_open: false for want of a column is no figure of the record.
    def shown() -> dict[str, str]:
        nightly(DAY, load())
        with engine().connect() as connection:
            facts = {each.id: each.how for each in explain(connection, 1, None, "en", load()).facts}
            resting = {fact for origin in origins(connection, 1) for fact in origin.facts}
        found = {name: facts[name] for name in FACTS.values() if name in facts}
        assert {name for name, how in found.items() if how == "assumed"} == resting & set(found)
        return found

    import_book(own_book(tmp_path / "b"), "forbear")
    assert set(shown().values()) == {"assumed"}
    assert import_book(own_book(tmp_path / "b", borrowers=TOLD), "forbear").assumed == OF_LOANS
    found = shown()
    assert found["respite_open"] == "computed" and found["promise_open"] == "assumed"
    # A later file without the columns says nothing of them, and changes nothing.
    again = own_book(tmp_path / "b", payments=OWN["payments"] + "L1,P2,2026-02-20,1.00\n")
    assert import_book(again, "forbear").assumed == OF_LOANS


def test_a_book_that_has_the_columns_assumes_nothing(fresh_db: str) -> None:
    assert import_book(Path(__file__).parents[2] / "docs" / "example-book", "forbear").assumed == ()
