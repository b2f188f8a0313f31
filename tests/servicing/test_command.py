"""The commands as typed: a receipt in three languages, the same key answered, what is wrong in one line."""

import re
from datetime import date
from pathlib import Path

import pytest
from tests.conftest import Typed
from typer.testing import CliRunner

from forbear.cli import app
from forbear.intake.services import import_book
from forbear.ledger.models import Paid, Reason, Sold
from forbear.locale import LANGUAGES
from forbear.servicing.errors import ServicingError
from forbear.servicing.post import Posting, post_one
from forbear.servicing.reschedule import rescheduled

PAY = ("pay", "L1", "400.00", "--on", "2026-02-15", "--key", "P1", "--as-of", "2026-02-15")


def test_a_payment_is_acknowledged_with_where_the_account_stands(forbear: Typed, book: Path) -> None:
    ended = forbear(*PAY)
    assert (ended.code, ended.out) == (
        0,
        "Posted: P1, counting from 2026-02-15.\n"
        "2026-02-15: 5 days past due (1–30), special mention; CN¥115.00 in arrears, CN¥116.85 owed now.\n",
    )
    again = forbear(*PAY, "--lang", "zh-Hans")
    assert again.out.splitlines() == [
        "P1 此前已入账；答复与当时相同，未写入任何内容。",
        "2026-02-15：逾期 5 天（1–30），关注类；逾期金额 ¥115.00，现应付 ¥116.85。",
    ]
    back = forbear("reverse", "L1", "P1", "--on", "2026-02-16", "--key", "R1", "--as-of", "2026-02-16")
    assert "6 days past due" in back.out and "CN¥515.00 in arrears" in back.out


def test_what_is_paid_ahead_is_told_and_what_is_left_when_the_loan_ends(book: Path) -> None:
    # Given an instalment of 515.00 due on 10 February, when 600.00 is paid on the 9th, all of it is held for it.
    def paid(amount: str, key: str, lang: str) -> str:
        typed = ["pay", "L1", amount, "--on", "2026-02-09", "--as-of", "2026-02-09", "--key", key, "--lang", lang]
        return CliRunner().invoke(app, typed).output.splitlines()[-1]

    assert paid("600.00", "P1", "en") == "Paid ahead: CN¥600.00, held for what falls due next."
    # 1,000.00 and 30 days at 18% end the loan (14.79; Civil Code art. 677): what is over is the borrower's.
    assert paid("500.00", "P2", "zh-HK") == "多付 CN¥85.21：貸款已還清，應退還借款人（forbear refund）。"


@pytest.mark.parametrize("on", [date(2026, 3, 20), date(2026, 3, 21)])
def test_a_debt_is_sold_once(book: Path, on: date) -> None:
    first = date(2026, 3, 20)
    post_one(Posting(1, Sold("S1", first, 40_000, "A-1")), first)
    with pytest.raises(ServicingError, match=r"^event S2: .*reverse it first\. Nothing of it was kept\.$"):
        post_one(Posting(1, Sold("S2", on, 40_000, "A-1")), on)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({1: "L9"}, "no account of that number"),
        ({2: "4,00"}, "is no number"),
        ({2: "400.005"}, "more decimals than CNY has"),
        ({2: "0.00"}, "Check its sign"),
        ({2: "NaN"}, "is no number"),
        ({2: "1e2"}, "is no number"),
        ({4: "2026-02-16"}, "Post it on that day"),
        ({1: "L3"}, "import its schedule first"),
    ],
)
def test_what_is_wrong_is_one_line(forbear: Typed, book: Path, changed: dict[int, str], said: str) -> None:
    ended = forbear(*(changed.get(k, word) for k, word in enumerate(PAY)))
    assert (ended.code, said in ended.err, ended.err.strip().count("\n")) == (1, True, 0), ended.err


@pytest.mark.parametrize("tag", ["zh-Hans", "zh-Hant"])
def test_what_is_refused_is_told_in_the_language_asked_for(forbear: Typed, book: Path, tag: str) -> None:
    day = ("--on", "2026-02-15", "--as-of", "2026-02-15", "--lang", tag)
    for typed in (
        ("pay", "L9", "1", "--key", "P1", *day),
        ("pay", "L1", "0", "--key", "P1", *day),
        ("pay", "L3", "1", "--key", "P1", *day),
        ("reverse", "L2", "P0", "--key", "R1", "--on", "2026-02-11", *day[2:]),
        ("charge", "L1", "1", "--key", "F1", "--on", "2020-02-11", *day[2:]),
        ("grant", "L1", "--until", "2026-02-01", "--key", "H1", *day),
        ("statement", "L1", "--as-of", "2020-01-01", "--lang", tag),
    ):
        ended = forbear(*typed)
        words = re.findall("[a-z]{2,}", ended.err.removeprefix("amount："))  # a column keeps its name
        assert (ended.code, words, ended.err.count("\n")) == (1, [], 1), (typed, ended.err)


def test_fee_waiver_and_write_off_are_commands(forbear: Typed, book: Path) -> None:
    day = ("--on", "2026-03-20", "--as-of", "2026-03-20")
    assert "owed now" in forbear("charge", "L1", "80", "--kind", "cost", "--key", "F1", *day).out
    waived = forbear("waive", "L1", "5000", "--kind", "cost", "--key", "W1", *day).out
    assert (
        "Given up (Cost of enforcement): CN¥80.00, not CN¥5,000.00: no more was owed of it." in waived
        and "owed now" in waived
    )
    assert "owed now" in forbear("write-off", "L1", "--key", "X1", *day).out


def test_a_plan_is_a_command_and_leaves_the_days_past_due(forbear: Typed, book: Path) -> None:
    plan = ("reschedule", "L1", "--reason", "plan", "--first-due", "2026-04-20", "--instalments", "3", "--key", "A1")
    ended = forbear(*plan, "--on", "2026-03-20", "--as-of", "2026-03-21")
    assert ended.code == 0 and "39 days past due" in ended.out, ended.err
    assert forbear(*plan, "--on", "2026-04-20", "--as-of", "2026-04-20").code == 1


@pytest.mark.parametrize(
    ("paid", "on", "said"),
    [
        # 65 FR 36903: nine months old,
        ((), "2026-09-30", "before it is 9 months old"),
        # three instalments' worth paid in the last three months,
        (("2026-07-11", "2026-08-11"), "2026-11-10", "3 instalments' worth"),
        # once in twelve months.
        (("2026-08-11", "2026-09-11", "2026-10-11"), "2026-11-10", None),
    ],
)
def test_a_re_ageing_has_limits(book: Path, paid: tuple[str, ...], on: str, said: str | None) -> None:
    # Given ten instalments of 105.00, of which few were paid, when the account is to be made current again, then by the
    # limits only.
    lines = "".join(f"L1,{n},2026-{n + 1:02}-10,100.00,5.00\n" for n in range(1, 11))
    (book / "instalments.csv").write_text("loan_ref,n,due_on,principal,interest\n" + lines, "utf-8")
    assert import_book(book, "forbear").bad == 0
    for k, day in enumerate(map(date.fromisoformat, paid)):
        post_one(Posting(1, Paid(f"P{k}", day, 10_500)), day)
    today = date.fromisoformat(on)

    def reage(key: str) -> int:
        event = rescheduled(1, key, today, date(2026, 12, 10), 3, Reason.REAGE)
        return post_one(Posting(1, event), today).standing.dpd

    if said:
        with pytest.raises(ServicingError, match=said) as refused:
            reage("A1")
        for language in LANGUAGES.values():
            told = refused.value.told(language.catalogue.gettext)
            assert "65 FR 36903" in told and "\n" not in told
            assert (told == str(refused.value)) == (language.tag == "en")
        return
    # The same again is answered as before; another within twelve months is refused.
    event = rescheduled(1, "A1", today, date(2026, 12, 10), 3, Reason.REAGE)
    assert [post_one(Posting(1, event), today).again for _ in range(2)] == [False, True]
    assert post_one(Posting(1, event), today).standing.dpd == 0
    with pytest.raises(ServicingError, match="at most once in 12 months"):
        reage("A2")


def test_a_database_that_is_away_is_one_line(forbear: Typed, book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORBEAR_DATABASE_URL", "postgresql://x@127.0.0.1:1/x")
    ended = forbear(*PAY)
    assert (ended.code, ended.err.strip().count("\n"), "does not answer" in ended.err) == (3, 0, True)
