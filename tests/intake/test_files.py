"""A file that is cut, misspelt or not known is refused whole, in one line that says what to do; nothing is taken in."""

import re
from pathlib import Path

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from tests.intake.test_import import BOOK, LC, LC_ROW, OWN, lc_file, own_book, table_rows

from forbear.intake.errors import IntakeError
from forbear.intake.mapping import SHIPPED, read_mapping
from forbear.intake.services import import_book


def refused(path: Path, mapping: str, url: str) -> str:
    """What is said of a book that is not taken in; nothing of it is on file."""
    before = table_rows(url)
    with pytest.raises(IntakeError) as told:
        import_book(path, mapping)
    assert table_rows(url) == before and "\n" not in str(told.value)
    return str(told.value)


# ---- cut --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\r\n\r\n"])
def test_a_file_with_a_last_end_of_line_is_whole(fresh_db: str, tmp_path: Path, end: str) -> None:
    path = tmp_path / "loans.csv"
    path.write_bytes((LC + LC_ROW.format(n=1)).strip().replace("\n", "\r" if end == "\r" else "\n").encode())
    path.write_bytes(path.read_bytes() + end.encode())
    report = import_book(path, "lendingclub")
    assert (report.rows, report.bad) == (1, 0)


def test_a_file_that_is_cut_anywhere_within_a_row_is_refused(fresh_db: str, tmp_path: Path) -> None:
    # Given a file cut after any number of bytes but between two rows, then it is refused: 1328.56 cut to 13 is a good
    # number, so a last row without its end of line is never taken for whole.
    whole = lc_file(tmp_path, 2).read_bytes().replace(b",0\n", b",15.00\n")
    path = tmp_path / "loans.csv"
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        if whole[length - 1 : length] != b"\n":
            assert re.search("missing|is cut", refused(path, "lendingclub", fresh_db)), length
    for length in (len(whole) - 1, len(whole) - 3):
        path.write_bytes(whole[:length])
        assert "add an end of line" in refused(path, "lendingclub", fresh_db)


def test_a_parquet_file_that_is_cut_anywhere_is_refused(fresh_db: str, tmp_path: Path) -> None:
    path = tmp_path / "loans.parquet"
    pq.write_table(pacsv.read_csv(lc_file(tmp_path, 3)), path)
    whole = path.read_bytes()
    for length in range(4, len(whole), 97):
        path.write_bytes(whole[:length])
        assert "no whole Parquet file" in refused(path, "lendingclub", fresh_db)


def test_text_in_utf_16_is_refused_by_its_first_nul(fresh_db: str, tmp_path: Path) -> None:
    path = tmp_path / "loans.csv"
    path.write_bytes((LC + LC_ROW.format(n=1)).encode("utf-16-le"))
    assert "byte 1 is NUL" in refused(path, "lendingclub", fresh_db)


def test_an_empty_line_is_no_row_and_keeps_the_numbers_of_the_others(fresh_db: str, tmp_path: Path) -> None:
    folder = own_book(tmp_path / "b", payments="loan_ref,ref,paid_on,amount\n\nL1,P1,2026-02-12,x\n\n")
    assert import_book(folder, "forbear").bad == 1
    assert ("payments", 3, "amount", "is no number") in table_rows(fresh_db)["quarantine"]


# ---- misspelt ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "old", "new", "said"),
    [
        ("borrowers", "can_sms", "can_smss", "can_smss is no column of borrowers. (can_sms?) Rename it"),
        ("borrowers", "place", "Stop_Contact", "Stop_Contact is no column of borrowers. (stop_contact?)"),
        ("borrowers", "place", "remark", "remark is no column of borrowers. Rename it, or take it out."),
        ("loans", "currency", "derived", "derived is no column of loans."),
        ("loans", "annual_rate", "anual_rate", "(annual_rate?)"),
        ("contacts", "outcome", "outcomes", "(outcome?)"),
    ],
)
def test_a_column_that_is_not_known_is_named_with_the_one_that_was_meant(
    fresh_db: str, tmp_path: Path, table: str, old: str, new: str, said: str
) -> None:
    # A misspelt stop_contact that is passed over would be a stop that nobody hears.
    folder = own_book(tmp_path / "b", **{table: OWN[table].replace(old, new, 1)})
    found = refused(folder, "forbear", fresh_db)
    assert said in found and f"{table}.csv" in found


def test_a_file_that_is_no_table_is_named_with_the_one_that_was_meant(fresh_db: str, tmp_path: Path) -> None:
    folder = own_book(tmp_path / "b")
    (folder / "borrowers.csv").rename(folder / "borrower.csv")
    assert "(borrowers?)" in refused(folder, "forbear", fresh_db)


def test_a_table_that_is_there_twice_is_refused(fresh_db: str, tmp_path: Path) -> None:
    folder = own_book(tmp_path / "b")
    pq.write_table(pacsv.read_csv(folder / "loans.csv"), folder / "loans.parquet")
    assert "Keep one of them" in refused(folder, "forbear", fresh_db)


def test_a_folder_that_is_not_there_is_said_to_be_so(fresh_db: str, tmp_path: Path) -> None:
    assert refused(tmp_path / "nosuch", "forbear", fresh_db).endswith("nosuch: there is no such file or folder.")


# ---- the book and the mapping -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"cn"', '"fr"', "book.toml: jurisdiction: no law of fr is on file. Use one of cn, gb, hk, in, sg, tw, us."),
        ('"cn"', '"CN"', "book.toml: jurisdiction: no law of CN is on file."),
        ('"CNY"', '"RMB"', "book.toml: currency: RMB is no currency of ISO 4217."),
        (
            '"bank"',
            '"shark"',
            "book.toml: lender_type is none of bank, consumer_finance, micro_lender, private,",
        ),
        ("collector", "colector", "book.toml: "),
        ('currency = "CNY"\n', "", "book.toml: currency is missing. Add it."),
        ("history_from", "history", "book.toml: history is no field of it. (history_from?)"),
        ("lender_type", "lender_typ", "book.toml: lender_typ is no field of it. (lender_type?)"),
        ("2026-01-01", "0", "book.toml: history_from can't be used as it is written."),
        ("2026-01-01", '"long ago"', "book.toml: history_from can't be used as it is written."),
        ('"CNY"', "CNY", "book.toml: is not TOML (at line 5, column 12)."),
    ],
)
def test_a_fault_of_the_book_names_its_file_the_field_and_the_remedy(
    fresh_db: str, tmp_path: Path, old: str, new: str, said: str
) -> None:
    folder = own_book(tmp_path / "b")
    (folder / "book.toml").write_text(BOOK.replace(old, new), "utf-8")
    assert refused(folder, "forbear", fresh_db).startswith(said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'ref = "rownames"',
            'reff = "rownames"',
            "own.toml: columns.reff is no field of the shape lendingclub. (ref?)",
        ),
        ('ref = "rownames"\n', "", "own.toml: columns.ref is missing."),
        ('code = "flags"', 'code = "flag"', "own.toml: the derivation flags is missing."),
        (
            '"place_known"',
            '"place_know"',
            "own.toml: derivation zones: place_know is no fact of the vocabulary. (",
        ),
        ("text.zh-Hans", "text.zh-Hams", "own.toml: derivation zones: no text in zh-Hans."),
        ('shape = "lendingclub"', 'shape = "lending"', "own.toml: shape is none of forbear, lendingclub, uci-card."),
        ("[columns]", "[column]", "own.toml: column is no field of it. (columns?)"),
        ('jurisdiction = "us"', 'jurisdiction = "usa"', "own.toml: jurisdiction: no law of usa is on file."),
    ],
)
def test_a_fault_of_a_mapping_names_its_file_the_field_and_the_remedy(
    fresh_db: str, tmp_path: Path, old: str, new: str, said: str
) -> None:
    # What a shape derives or assumes must be said: else it would be passed off as observed.
    mapping = tmp_path / "own.toml"
    mapping.write_text((SHIPPED / "lendingclub.toml").read_text("utf-8").replace(old, new, 1), "utf-8")
    assert refused(lc_file(tmp_path, 1), str(mapping), fresh_db).startswith(said)


def test_forbears_own_format_has_no_columns_to_map(tmp_path: Path) -> None:
    own_book(tmp_path / "b")
    mapping = tmp_path / "own.toml"
    mapping.write_text('shape = "forbear"\n[columns]\nref = "number"\n', "utf-8")
    with pytest.raises(IntakeError, match=r"columns\.ref is no field of the shape forbear"):
        read_mapping(str(mapping), tmp_path / "b")


@pytest.mark.parametrize("name", ["lendingclub", "uci-credit-card"])
def test_a_shipped_mapping_is_whole(name: str, tmp_path: Path) -> None:
    assert read_mapping(name, tmp_path).name == name
