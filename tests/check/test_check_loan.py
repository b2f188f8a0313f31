"""`forbear check-loan` as its users run it: typed, from a file, asked at a terminal; in words and as JSON."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

TYPED = ["--principal", "10000", "--opened", "2025-01-05", "--payment", "2025-02-05:1000x12", "--on", "2026-11-24"]


def run(*arguments: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "forbear", "check-loan", *arguments],
        stdin=stdin,
        env={**os.environ, "FORBEAR_HOME": "/nonexistent"},  # the shipped packs only
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_private_loan_is_held_to_four_times_the_rate_of_its_day() -> None:
    # Given 10,000.00 for twelve payments of 1,000.00 from a private lender on 2025-01-05, when it is checked, then it
    # costs 35.07% a year, and what passes 4 x 3.10% is told payment by payment.
    done = run(*TYPED, "--lender-type", "private", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rates = {rate["method"]: rate["percent"] for rate in found["rates"]}
    assert rates == {
        "irr_simple": "35.07",
        "irr_compound": "41.30",
        "appendix_j": "35.07",
        "aprc": "41.30",
        "effective": "41.51",
    }
    (binding,) = [each for each in found["ceilings"] if each["binds"]]
    assert binding["ppm"] == 124_000 and len(binding["lines"]) == 12
    for line in binding["lines"]:
        assert line["lawful_minor"] + line["excess_minor"] == line["contracted_minor"]
    assert sum(line["excess_minor"] for line in binding["lines"]) == binding["excess_minor"] == 129_297
    assert found["charge_minor"] == 200_000


def test_the_sample_file_that_the_documents_name_costs_what_they_say() -> None:
    docs = Path(__file__).parents[2] / "docs"
    for page in (docs / "cost.md", docs.parent / "README.md"):
        assert "forbear check-loan docs/example-loan.csv" in page.read_text("utf-8")
    done = run(str(docs / "example-loan.csv"), "--lender-type", "private", "--on", "2026-11-24")
    assert done.returncode == 0, done.stderr
    assert "you get 9,500.00 CNY; in 12 payments" in done.stdout and "45.49%" in done.stdout
    assert "45.49% a year" in (docs / "cost.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["The all-in yearly cost", "35.07%", "What is above 12.40%", "not legal advice"]),
        ("zh-Hans", ["年化综合成本", "35.07%", "超过 12.40% 的部分", "不是法律意见"]),
        ("zh-Hant", ["年化綜合成本", "35.07%", "超過 12.40% 的部分", "不是法律意見"]),
    ],
)
def test_the_report_in_each_language(language: str, words: list[str]) -> None:
    done = run(*TYPED, "--lender-type", "private", "--lang", language)
    assert done.returncode == 0, done.stderr
    assert [word for word in words if word not in done.stdout] == []


@pytest.mark.parametrize("lender", ["private", "micro_lender", "bank", "consumer_finance"])
def test_a_reader_of_the_traditional_script_reads_nothing_in_the_simplified(lender: str) -> None:
    done = run(*TYPED, "--received", "9000", "--lender-type", lender, "--lang", "zh-Hant")
    strange = {c for c in done.stdout if "\u4e00" <= c <= "\u9fff" and not c.encode("big5", "ignore")}
    assert (done.returncode, strange, "item" in done.stdout) == (0, set(), False)


def test_no_database_is_imported() -> None:
    # Given the command as a whole, when a loan is checked, then nothing of a database, of ibis or of pyarrow is loaded.
    program = (
        "import sys; sys.argv = ['forbear', 'check-loan', *sys.argv[1:]]\n"
        "from forbear.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *TYPED], capture_output=True, text=True, check=True)
    assert "'forbear'" in done.stderr
    for heavy in ("sqlalchemy", "psycopg", "duckdb", "ibis", "pyarrow", "fastapi"):
        assert f"'{heavy}'" not in done.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_file_in_the_encodings_that_banks_write(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "loan.csv"
    rows = ["日期,类型,金额", '2025/1/5,到账,"10,000.00"', "2025-01-05,费用,500"]
    rows += [f"2025年{month}月5日,还款,¥1000" for month in range(2, 13)]
    file.write_text("\n".join(rows) + "\n", encoding)
    done = run(str(file), "--json", "--lender-type", "private")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # The fee of the first day never reached the borrower: Civil Code art. 670.
    assert (found["received_minor"], found["contracted_minor"], found["paid_minor"]) == (950_000, 1_000_000, 1_100_000)
    assert any("670" in line for line in found["say"]["en"])


def test_every_bad_row_is_named_with_its_field_and_remedy(tmp_path: Path) -> None:
    file = tmp_path / "loan.csv"
    file.write_text(
        "date,kind,amount\n2025-01-05,received,10000\n05/02/2025,payment,900\n2025-03-05,given,900\n"
        "2025-04-05,payment,900.005\n2025-05-05,payment,-3\n2025-06-05,payment\n2025-07-05,payment,nan\n"
        "2025-08-05,payment,900\n"
    )
    done = run(str(file))
    assert done.returncode == 1 and done.stdout == ""
    lines = done.stderr.strip().splitlines()
    places = ["row 3, date:", "row 4, kind:", "row 5, amount:", "row 6, amount:", "row 7:", "row 8, amount:"]
    assert [line.startswith(place) for line, place in zip(lines, places, strict=False)] == [True] * 6
    assert "nothing was worked out" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--principal", "10000"], "--opened, --payment: not given"),
        ([*TYPED[:4], "--payment", "2025-02-05"], "has no colon"),
        ([*TYPED[:4], "--payment", "2025-02-05:900"], "less than was received"),
        ([*TYPED[:4], "--payment", "2024-02-05:90000"], "before the first advance"),
        ([*TYPED, "--lender-type", "pawnbroker"], "is no type of lender"),
        ([*TYPED, "--currency", "XX"], "is no ISO 4217 code"),
        ([*TYPED, "--received", "10001"], "more than the principal"),
        (["no-such.csv"], "there is no such file"),
        ([], "Give a CSV file"),
    ],
)
def test_a_mistake_is_one_line_with_a_remedy(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1 and said in done.stderr


def test_the_consumer_law_is_cited_to_lenders_by_trade_only() -> None:
    # Consumer law art. 8 is about those who do business with consumers; art. 14 is not about the right to know.
    for lender, cited in (("bank", True), ("private", False)):
        done = run(*TYPED, "--lender-type", lender, "--lang", "zh-Hans")
        assert ("消费者权益保护法第8条" in done.stdout) is cited
        assert "消费者权益保护法第14条" not in done.stdout


def test_a_mistake_is_told_in_the_readers_language(tmp_path: Path) -> None:
    file = tmp_path / "loan.csv"
    file.write_text("日期,类型,金额\n2025-01-05,到账,10000\n2025-02-05,还款,九百\n", "utf-8")
    done = run(str(file), "--lang", "zh-Hans")
    assert done.returncode == 1
    assert done.stderr.startswith("第 3 行，金额：“九百”不是金额。") and "没有计算任何结果" in done.stderr


def test_a_currency_without_minor_units() -> None:
    yen = ["--principal", "100000", "--opened", "2025-01-05", "--payment", "2025-02-05:9000x12", "--currency", "JPY"]
    done = run(*yen, "--jurisdiction", "jp")
    assert done.returncode == 0, done.stderr
    assert "100,000 JPY" in done.stdout and "No ceiling is on file" in done.stdout


def test_at_a_terminal_it_asks() -> None:
    # Given no argument and a terminal, when the questions are answered, one of them wrongly at first, then it checks.
    master, slave = pty.openpty()
    answers = "ten\n10000\n9500\n2025-01-05\n2025-02-05:1000x12\n\nprivate\n"
    os.write(master, answers.encode())
    done = run("--on", "2026-11-24", stdin=slave)
    os.close(slave)
    os.close(master)
    assert done.returncode == 0, done.stderr
    assert "'ten' is no amount" in done.stderr
    assert "9,500.00 CNY" in done.stdout and "500.00 CNY of it did not reach you" in done.stdout


def test_the_users_own_rate_table_is_read(tmp_path: Path) -> None:
    # Given a published rate added under FORBEAR_HOME/packs, then the ceiling that was unknown is known.
    typed = ["--principal", "10000", "--opened", "2025-07-25", "--payment", "2025-08-25:1000x12"]
    own = tmp_path / "packs" / "lpr-2025-07.toml"
    own.parent.mkdir()
    own.write_text(
        '[[series]]\nid = "cn.lpr-1y"\nknown_through = 2025-08-19\nsource = "made up for this test"\n'
        'title = { zh-Hans = "x", zh-Hant = "x", en = "x" }\n'
        "values = [{ from = 2025-06-20, ppm = 30000 }, { from = 2025-07-21, ppm = 30000 }]\n",
        "utf-8",
    )
    for home, wanted in ((tmp_path / "empty", None), (tmp_path, 120_000)):
        done = subprocess.run(
            [sys.executable, "-m", "forbear", "check-loan", *typed, "--lender-type", "private", "--json"],
            env={**os.environ, "FORBEAR_HOME": str(home)},
            capture_output=True,
            text=True,
            check=True,
        )
        binding = [each for each in json.loads(done.stdout)["ceilings"] if each["binds"]]
        assert [each["ppm"] for each in binding] == [wanted]
