"""The command as a whole: what it loads before it runs, and what it says to a mistake."""

import errno
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forbear.cli import app
from forbear.errors import of_system
from forbear.locale import LANGUAGES
from forbear.telling import UserError
from forbear.telling import told as worded

#: What one command or another uses, and takes a second or more to import.
HEAVY = {
    "adbc_driver_postgresql", "alembic", "duckdb", "fastapi", "ibis", "numpy", "pandas", "psycopg", "pyarrow",
    "sqlalchemy", "typst", "uvicorn",
}  # fmt: skip


def loaded(*typed: str) -> set[str]:
    """The packages that stand loaded when a command has run."""
    program = (
        "import sys; sys.argv = ['forbear', *sys.argv[1:]]\n"
        "from forbear.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *typed], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "typed",
    [
        ("--help",),
        ("nightly", "--help"),
        ("law", "show", "us.hours"),
        ("law", "as-of", "2026-01-01"),
        ("law", "diff", "2025-01-01", "2026-01-01"),
        ("check-loan", "--help"),
    ],
    ids=" ".join,
)
def test_a_command_waits_for_nothing_that_it_does_not_use(typed: tuple[str, ...]) -> None:
    found = loaded(*typed)
    assert "forbear" in found
    assert found & HEAVY == set()


@pytest.mark.parametrize("name", ["gate", "pay", "write-off", "statement", "check-loan", "synth"])
def test_a_command_of_another_room_is_listed_and_reads_its_own_options(name: str) -> None:
    run = CliRunner()
    listed = run.invoke(app, ["--help"], terminal_width=200).output
    [line] = [line for line in listed.splitlines() if line.startswith(f"│ {name} ")]

    own = run.invoke(app, [name, "--help"], terminal_width=200).output

    said = line.removeprefix(f"│ {name} ").strip(" │")
    assert said and said in own
    assert f"{name} [OPTIONS]" in own


def told(*typed: str, code: int, **env: str) -> str:
    """What a command says to a mistake: one line on stderr, and its exit code."""
    program = "import sys; sys.argv = ['forbear', *sys.argv[1:]]; from forbear.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *typed], capture_output=True, text=True, check=False, env=os.environ | env
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_a_night_that_no_clock_knows_is_refused_in_one_line(fresh_db: str, day: str) -> None:
    assert f"{day}: no clock is known of that day. Give one from 1900-01-01" in told("nightly", "--as-of", day, code=1)


def test_a_night_of_a_day_to_come_is_refused_with_what_to_do_instead() -> None:
    """What is done and paid until then is not known: a night by it would decide on half a record."""
    refused = CliRunner().invoke(app, ["nightly", "--as-of", "2199-01-01"]).exception
    assert isinstance(refused, UserError)
    assert "2199-01-01 has not begun" in str(refused) and "forbear law preview" in str(refused)


def test_the_version_is_that_of_the_project() -> None:
    done = CliRunner().invoke(app, ["--version"])
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
    assert (done.exit_code, done.output) == (0, f"forbear {project['version']}\n")


def test_an_amount_below_nothing_is_told_as_one() -> None:
    done = CliRunner().invoke(app, ["pay", "L1", "-5", "--on", "2026-01-01", "--key", "P1"], terminal_width=200)
    assert done.exit_code == 2 and "-5 is less than nothing" in done.output


@pytest.mark.parametrize(
    ("tag", "said"), [("zh-CN", "没有规则 'x'"), ("zh-HK", "沒有規則 'x'"), ("en-GB", "There is no rule 'x'")]
)
def test_a_language_is_found_by_any_tag_of_it(tag: str, said: str) -> None:
    refused = CliRunner().invoke(app, ["law", "show", "x", "--lang", tag]).exception
    assert isinstance(refused, UserError) and said in worded(refused)


def test_what_the_system_says_of_a_file_is_told_in_the_readers_language() -> None:
    said = told("check-loan", "x" * 300, "--lang", "zh-Hans", code=1)
    assert said.endswith("：名称过长。请另指定一个，或予以修正。\n")
    for number in (errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR, errno.EROFS, errno.ENOSPC):
        own = of_system(OSError(number, os.strerror(number)))
        for tag in ("zh-Hans", "zh-Hant"):
            assert not re.search("[A-Za-z]", own.told(LANGUAGES[tag].catalogue.gettext))
    assert str(of_system(OSError(errno.EIO, "x"))) == "the system says EIO"


@pytest.mark.parametrize("address", ["nonsense", "mysql://root:secret@localhost/x", "postgresql://localhost:port/x"])
def test_an_address_of_no_postgresql_is_refused_in_one_line_that_does_not_repeat_it(address: str) -> None:
    said = told("nightly", "--as-of", "2026-06-30", code=3, FORBEAR_DATABASE_URL=address)
    assert "Write it as postgresql://" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("law", "show", "nope"), "没有规则 'nope'"),
        (("law", "as-of", "2026-01-01", "--place", "fr"), "没有 'fr' 的法律在册"),
        (("serve", "--host", "0.0.0.0"), "控制台尚无登录"),
        (("nightly", "--as-of", "2026-06-30"), "请先导入账册"),
        (("why", "X", "--step", "call"), "没有该编号的账户"),
        (("explain", "X"), "没有该编号的账户"),
        (("replay", "1"), "尚无批次"),
        (("replay", "00000000-0000-4000-8000-000000000000"), "准入口没有该编号的请求"),
        (("gate", "ask", "X", "--step", "call", "--by", "s1"), "没有该编号的账户"),
        (("law", "lint", "nope"), "没有这样的文件或文件夹"),
        (("nightly", "--as-of", "0001-01-01"), "该日的时钟无从得知"),
    ],
    ids=lambda typed: " ".join(typed[:2]) if isinstance(typed, tuple) else "",
)
def test_a_refusal_is_told_in_the_readers_language(fresh_db: str, typed: tuple[str, ...], words: str) -> None:
    assert words in told(*typed, "--lang", "zh-Hans", code=1)


def test_a_database_that_is_away_is_told_of_in_the_readers_language() -> None:
    asked = ("nightly", "--as-of", "2026-06-30", "--lang", "zh-Hant")
    assert "資料庫沒有應答" in told(*asked, code=3, FORBEAR_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
