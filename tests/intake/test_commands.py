"""The commands as typed: every line in the reader's language, the walk of docs/intake.md, books that come and go."""

import re
import shutil
from datetime import date
from pathlib import Path

import psycopg
import pytest
from tests.conftest import Typed
from tests.intake.test_import import OWN, own_book
from tests.intake.test_newer import asked, waiting

from forbear.intake.errors import IntakeError
from forbear.intake.services import import_book, mend
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.synth.draw import Request
from forbear.synth.parameters import parameters
from forbear.synth.write import write

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "example-book"


# ---- the walk of the documentation ------------------------------------------------------------------


def steps(text: str) -> list[tuple[str, str]]:
    """The commands of a page with what it shows of their output: blocks that begin with `$ forbear`."""
    walk = text.split("## A small book, from end to end")[1].split("\n## ")[0]
    blocks = re.findall(r"^    \$ (forbear .*)\n((?:    .*\n|\n(?=    (?!\$)))*)", walk, re.MULTILINE)
    return [(command, re.sub(r"^    ", "", shown, flags=re.MULTILINE).strip()) for command, shown in blocks]


def test_the_example_book_goes_as_its_page_says(
    forbear: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given the example book, when the commands of docs/intake.md are typed in order, then each prints what the page
    # shows; "…" stands for what is left out.
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    walk = steps((ROOT / "docs" / "intake.md").read_text("utf-8"))
    assert len(walk) >= 6
    for command, shown in walk:
        _, out, err = forbear(*command.split()[1:])
        parts = [re.escape(part.strip()) for part in shown.split("…")]
        assert re.match(r"[\s\S]*?".join(parts), (out + err).strip()), f"{command}\n{out}{err}"


@pytest.mark.parametrize(("loan", "step"), [("L-101", "sms"), ("L-102", "none"), ("L-103", "hardship_hold")])
def test_each_loan_of_the_example_has_its_step(fresh_db: str, loan: str, step: str) -> None:
    import_book(EXAMPLE, "forbear")
    run = nightly(date(2026, 6, 30), load()).run_id
    query = f"SELECT step FROM decision d JOIN account a ON a.id = account_id WHERE run_id = {run} AND ref = '{loan}'"
    assert asked(fresh_db, query) == [(step,)]


def test_a_book_sent_again_ends_with_4_only_while_a_row_of_it_waits(forbear: Typed, fresh_db: str) -> None:
    sent = ("import", EXAMPLE, "--mapping", "forbear")
    assert [forbear(*sent)[0], forbear(*sent)[0]] == [4, 4]
    assert forbear("quarantine", "mend", "1", "paid_on=2026-06-30")[0] == 0
    code, out, _ = forbear(*sent)
    assert (code, "quarantine list" in out) == (0, False)


# ---- quarantine -------------------------------------------------------------------------------------


def test_a_row_that_waited_for_another_is_taken_in_as_it_is(forbear: Typed, fresh_db: str, tmp_path: Path) -> None:
    # Given instalments and payments of a loan that was refused, when the loan is mended, then they are taken in
    # without a change; the last instalment completes the schedule.
    import_book(own_book(tmp_path / "b", loans=OWN["loans"].replace(",open,", ",late,")), "forbear")
    first = waiting(fresh_db)
    loan = next(each for each in first if each.table == "loans")
    assert forbear("quarantine", "mend", str(loan.id), "status=open")[:2] == (0, "Taken in.\n")
    for kept in first:
        if kept.id != loan.id:
            assert forbear("quarantine", "mend", str(kept.id))[:2] == (0, "Taken in.\n")
    assert forbear("quarantine", "list")[:2] == (0, "Nothing waits in quarantine.\n")
    assert asked(fresh_db, "SELECT count(*) FROM instalment") == [(2,)]


def test_a_row_that_is_still_wrong_is_one_line_for_each_field(forbear: Typed, fresh_db: str, tmp_path: Path) -> None:
    import_book(own_book(tmp_path / "b", loans=OWN["loans"].replace(",open,", ",late,")), "forbear")
    [kept] = [each for each in waiting(fresh_db) if each.table == "loans"]
    code, _, err = forbear("quarantine", "mend", str(kept.id), "principal=x")
    assert (code, [line.split(":")[0] for line in err.splitlines()]) == (1, ["status", "principal"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("show", "7"), "7: nothing of that number waits in quarantine. See forbear quarantine list."),
        (("mend", "7"), "7: nothing of that number waits in quarantine."),
        (("drop", "7"), "7: nothing of that number waits in quarantine."),
        (("mend", "7", "x"), "Write each change as field=value."),
    ],
)
def test_a_number_that_does_not_wait_is_said_to_be_none(forbear: Typed, options: tuple[str, ...], said: str) -> None:
    code, out, err = forbear("quarantine", *options)
    assert (code, out, err.startswith(said)) == (1, "", True)


def test_a_field_that_the_row_has_not_is_named_with_the_one_that_was_meant(fresh_db: str, tmp_path: Path) -> None:
    import_book(own_book(tmp_path / "b", loans=OWN["loans"].replace(",open,", ",late,")), "forbear")
    [kept] = [each for each in waiting(fresh_db) if each.table == "loans"]
    with pytest.raises(IntakeError, match=r"statsu: the row has no such field\. \(status\?\)"):
        mend(kept.id, {"statsu": "open"})


@pytest.mark.parametrize("lang", ["zh-Hans", "zh-Hant"])
def test_everything_is_said_in_the_readers_language(forbear: Typed, fresh_db: str, tmp_path: Path, lang: str) -> None:
    # Given one bad row of each kind, then no line that is printed holds an English sentence: but for names of fields,
    # files and commands, what is read is Chinese.
    english = re.compile(r"\b(is|the|of|not|has|with|was|there|no)\b")
    folder = own_book(
        tmp_path / "b",
        loans=OWN["loans"].replace("1000.00", "999.00") + "L3,B9,card\nL2,B1,lease,late,x,-1,18,XXZ\n",
        contacts=OWN["contacts"] + "L1,C2,2026-02-11T10:00:00,sms,delivered\nL1,C3,2026-02-11,call,delivered\n",
    )
    typed = [
        ("import", folder, "--mapping", "forbear"),
        ("import", folder, "--mapping", "forbear"),
        ("import", tmp_path / "x", "--mapping", "forbear"),
        ("import", folder, "--mapping", "nothing"),
        ("quarantine", "list"),
        ("quarantine", "mend", "1"),
        ("quarantine", "drop", "999"),
        ("books", "list"),
        ("books", "remove", "own"),
        ("synth", "--accounts", "1", "--seed", "1", "--jurisdiction", "xx"),
        ("synth", "--accounts", "1", "--seed", "1", "--jurisdiction", "cn"),
    ]
    for options in typed:
        _, out, err = forbear(*options, "--lang", lang)
        lines = [
            line for line in (out + err).replace(str(tmp_path), "").splitlines() if line.strip() and "━" not in line
        ]
        assert lines, options
        for line in lines:
            assert re.search("[\u4e00-\u9fff]", line) and not english.search(line), line


# ---- books ------------------------------------------------------------------------------------------


def draw(name: str = "x") -> None:
    write(Request(110, 7, date(2026, 6, 30), parameters("cn")), name)


def test_a_synthetic_book_is_left_out_of_the_nights_of_a_real_one(forbear: Typed, fresh_db: str) -> None:
    # Given a synthetic book alone, then the night decides it; beside a lender's book, only where it is asked to.
    draw()
    forbear("nightly", "--as-of", "2026-06-30")
    import_book(EXAMPLE, "forbear")
    counted = "SELECT accounts FROM run ORDER BY id"
    _, out, _ = forbear("nightly", "--as-of", "2026-06-30")
    assert "synthetic-x is synthetic and was left out; --synthetic takes it in." in out
    _, out, _ = forbear("nightly", "--as-of", "2026-06-30", "--synthetic")
    assert "left out" not in out
    assert asked(fresh_db, counted) == [(110,), (4,), (114,)]


def test_a_synthetic_book_is_removed_whole_and_a_real_one_never(forbear: Typed, fresh_db: str) -> None:
    # Given a lender's book and a synthetic one of which no decision speaks, when the second is removed, then all that
    # is left is the first.
    import_book(EXAMPLE, "forbear")
    tables = ("borrower", "account", "instalment", "payment", "contact", "import", "derivation", "quarantine", "book")
    whole = [asked(fresh_db, f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1") for table in tables]
    draw()
    _, out, _ = forbear("books", "list")
    assert "example (cn): 4 loans, " in out
    assert "synthetic-x (cn): 110 loans, 0 rows kept aside, on record until 2026-06-30" in out
    assert forbear("books", "remove", "synthetic-x")[:2] == (0, "synthetic-x was removed.\n")
    assert [asked(fresh_db, f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1") for table in tables] == whole
    code, _, err = forbear("books", "remove", "example")
    assert (code, "a lender's book, which is never removed" in err) == (1, True)
    assert "there is no such book" in forbear("books", "remove", "synthetic-x")[2]


def test_a_synthetic_book_that_was_decided_stays(forbear: Typed, fresh_db: str) -> None:
    # The record is append-only: what a run decided can be looked up for ever.
    draw()
    nightly(date(2026, 6, 30), load())
    code, _, err = forbear("books", "remove", "synthetic-x")
    assert (code, "and they stay" in err) == (1, True)
    assert asked(fresh_db, "SELECT count(*) FROM account") == [(110,)]


def test_a_synthetic_book_that_came_as_a_file_is_removed_with_its_imports(
    forbear: Typed, fresh_db: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "b"))
    (folder / "book.toml").write_text((EXAMPLE / "book.toml").read_text("utf-8") + "synthetic = true\n", "utf-8")
    import_book(folder, "forbear")
    assert forbear("books", "remove", "example")[0] == 0
    with psycopg.connect(fresh_db) as connection:
        for table in ("book", "import", "quarantine", "account", "borrower"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_row_that_waits_is_shown_with_its_place_and_reason(forbear: Typed, tmp_path: Path) -> None:
    folder = own_book(tmp_path / "b", loans=OWN["loans"].replace(",18,", ",-18,"))
    forbear("import", folder, "--mapping", "forbear")
    listed = forbear("quarantine", "list")[1].splitlines()
    [line] = [line for line in listed if "annual_rate" in line]
    shown = forbear("quarantine", "show", line.split(":")[0])[1].splitlines()
    assert shown[0] == line and "loans row 2, annual_rate: is too small. Write no less than: 0" in line
    assert "annual_rate = -18" in shown[1:]
    # And in the list of books, one is one.
    assert " loans, " in (books := forbear("books", "list")[1]) and "1 rows" not in books


def test_what_waits_is_listed_by_number_under_its_loan_and_once(forbear: Typed, fresh_db: str, tmp_path: Path) -> None:
    # Given a loan with a fault, of which the schedule and a payment then wait, too, and a borrower's row cut short,
    cut = OWN["borrowers"] + "B2\nB3,Asia/Shanghai,true,true,true,\n"
    faulty = OWN["loans"].replace("1000.00", "1000.0x")
    folder = own_book(tmp_path / "b", loans=faulty, borrowers=cut)
    forbear("import", folder, "--mapping", "forbear")
    first = [kept.id for kept in waiting(fresh_db)]
    _, shown, _ = forbear("quarantine", "list", "--lang", "zh-Hant")
    lines = shown.splitlines()
    # then the list goes by number, what the loan holds stands under it, and a row that can't be read is named as such.
    assert first == sorted(first) and len(first) > 3
    [loan] = [k for k, line in enumerate(lines) if "loans" in line]
    assert lines[loan + 1 :] and all(line.startswith("  ") for line in lines[loan + 1 :])
    assert not any(line.startswith(" ") for line in lines[: loan + 1])
    assert any("整列：" in line for line in lines)

    # When the same faults come again in a newer file, then each row waits once; a row that can't be read might be
    # another row, and waits again.
    (folder / "payments.csv").write_text(OWN["payments"] + "L1,P2,2026-03-12,1.00\n", "utf-8")
    forbear("import", folder, "--mapping", "forbear")
    again = waiting(fresh_db)
    keys = [(kept.table, kept.row_number, kept.field) for kept in again if kept.row]
    assert len(keys) == len(set(keys)) == len(first)
    assert len(again) - len(keys) == 2


def test_a_file_that_is_none_of_a_book_is_told_so(forbear: Typed) -> None:
    code, _, said = forbear("import", ROOT / "README.md", "--mapping", "forbear", "--lang", "zh-Hans")
    assert code == 1 and "README.md：不是 CSV 文件" in said
