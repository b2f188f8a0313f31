"""Which ceilings there are on the day of a contract, whether they bind, and why: the law's own dates."""

import re
import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

import forbear.check
from forbear.check.ceilings import Ceiling, ceilings
from forbear.check.read import Loan
from forbear.check.render import data, text
from forbear.check.services import check
from forbear.ledger.cost import Flows
from forbear.rulebook.cite import in_script
from forbear.rulebook.load import load
from forbear.rulebook.models import LANGUAGES

BOOK = load()
ASKED = date(2026, 11, 24)


def found(lender: str | None, opened_on: date) -> list[Ceiling]:
    return list(ceilings(BOOK, "cn", lender, opened_on, ASKED))


def binding(lender: str, opened_on: date) -> list[tuple[int | None, str]]:
    return [(each.ppm, each.effect) for each in found(lender, opened_on) if each.binds]


def test_private_lending_before_2020_08_20_has_two_lines() -> None:
    # 法释〔2015〕18号 art. 26: up to 24% is protected, above 36% is void.
    two = [(240_000, "refused"), (360_000, "void")]
    assert binding("private", date(2015, 8, 31)) == []
    assert binding("private", date(2015, 9, 1)) == two
    assert binding("private", date(2020, 8, 19)) == two
    # From 2020-08-20 one line: four times the rate of the day of the contract, 3.85%.
    assert binding("private", date(2020, 8, 20)) == [(154_000, "refused")]


def test_the_multiple_follows_the_published_rate() -> None:
    assert binding("private", date(2024, 10, 20)) == [(4 * 33_500, "refused")]
    assert binding("private", date(2024, 10, 21)) == [(4 * 31_000, "refused")]


def test_a_rate_that_is_not_on_file_is_unknown_and_never_extrapolated() -> None:
    through = BOOK.series["cn.lpr-1y"].known_through
    (known,) = [each for each in found("private", through) if each.binds]
    assert known.ppm is not None
    (unknown,) = [each for each in found("private", through.replace(year=through.year + 1)) if each.binds]
    assert unknown.ppm is None and unknown.known_through == through and unknown.multiple is not None


def test_private_lending_law_does_not_bind_licensed_lenders() -> None:
    # 法释〔2020〕27号 for micro-loan companies and six others; art. 1(2) of the provisions for banks.
    for lender, citation in (("micro_lender", "法释〔2020〕27号"), ("bank", "法释〔2020〕17号")):
        private = [each for each in found(lender, date(2024, 1, 5)) if each.id.startswith("cn.cap.private")]
        assert private and all(each.binds is False and each.exempt is not None for each in private)
        assert all(each.exempt is not None and citation in each.exempt.citation for each in private)


def test_every_mainland_citation_can_be_told_in_the_traditional_script() -> None:
    citations = {rule.instrument.citation for rule in BOOK.rules}
    told = "".join(in_script(citation, "zh-Hant") for citation in citations)
    assert [c for c in told if "\u4e00" <= c <= "\u9fff" and not c.encode("big5", "ignore")] == []
    # Big5 has these too, but as other words.
    assert not set(told) & set("于适")


def test_one_article_is_marked_alike_as_a_ceiling_and_as_an_exemption() -> None:
    # Given art. 1 of 法释〔2020〕27号, that gives micro-lenders their ceiling and exempts them from another: one mark.
    reply = "法释〔2020〕27号"
    sources = [s for each in found("micro_lender", date(2024, 1, 5)) for s in (each.source, each.exempt) if s]
    marks = {(source.article.removeprefix("art. ").partition(",")[0], source.verified)
             for source in sources if source.citation == reply}  # fmt: skip
    assert marks == {("1", False)}


def test_before_the_reply_no_exemption_is_told_for_micro_lenders() -> None:
    # 法释〔2020〕27号 is in force from 2021-01-01.
    for asked_on, exempt in ((date(2020, 12, 31), False), (date(2021, 1, 1), True)):
        (private,) = [
            each
            for each in ceilings(BOOK, "cn", "micro_lender", date(2020, 9, 1), asked_on)
            if each.id.startswith("cn.cap.private")
        ]
        assert (private.binds, private.exempt is not None) == (False, exempt)


def test_where_the_lender_is_not_told_it_depends() -> None:
    assert {each.binds for each in found(None, date(2024, 1, 5))} == {None}


def test_every_word_stands_in_every_language() -> None:
    here = Path(forbear.check.__file__).parent
    words = tomllib.loads((here / "words.toml").read_text("utf-8"))
    texts = [
        entry["text"] for kind in tomllib.loads((here / "ceilings.toml").read_text("utf-8")).values() for entry in kind
    ]
    leaves = [(key, entry) for key, entry in words.items() if "en" in entry]
    leaves += [
        (f"{key}.{name}", text) for key, entry in words.items() if "en" not in entry for name, text in entry.items()
    ]
    for key, entry in [*leaves, *(("ceilings.toml", each) for each in texts)]:
        assert set(entry) == set(LANGUAGES), key
        names = {language: set(re.findall(r"{(\w+)(?:!r)?}", text)) for language, text in entry.items()}
        assert names["zh-Hans"] == names["zh-Hant"] == names["en"], key


# ---- the day on which the ceiling of private lending changed: 2020-08-20 ------------------------------------------

#: 1,000.00 at 3% a month, interest monthly, from 2020-06-20 on; repaid after six months.
DEAR = Loan(
    Flows.of(
        [(date(2020, 6, 20), 100_000)],
        [(date(2020, month, 20), 3_000 + 100_000 * (month == 12)) for month in range(7, 13)],
    ),
    lender_type="private",
)


def lawful_interest(loan: Loan, asked_on: date, effect: str = "refused") -> list[int] | None:
    """What of each payment's interest the ceiling that binds leaves, were the action brought on that day."""
    (held,) = [
        each for each in check(loan, BOOK, asked_on).held if each.ceiling.binds and each.ceiling.effect == effect
    ]
    return None if held.capped is None else [line.lawful - line.principal for line in held.capped.lines]


def test_an_older_contract_is_held_to_two_ceilings_when_sued_later() -> None:
    # 法释〔2020〕17号 art. 31(2): through 2020-08-19 by the 24% of its time, 2% a month; from 2020-08-20 on by four
    # times the rate of the day of the action, 2021-03-01: 15.4% a year, 12.83 a month.
    assert lawful_interest(DEAR, date(2021, 3, 1)) == [2_000, 2_000, 1_283, 1_283, 1_283, 1_283]
    # The line of 36%, above which interest was void, ends on that day too: 3% a month is not above it.
    assert lawful_interest(DEAR, date(2021, 3, 1), "void") is None


def test_a_period_in_which_the_ceiling_changes_is_divided_by_days() -> None:
    # 1,000.00 for a year from 2020-02-20 at 30%: 182 days at 24% and 184 at 15.4%, of 366: 119.34 + 77.42 = 196.76.
    loan = Loan(Flows.of([(date(2020, 2, 20), 100_000)], [(date(2021, 2, 20), 130_000)]), lender_type="private")
    assert lawful_interest(loan, date(2021, 3, 1)) == [19_676]


def test_sued_in_the_autumn_of_2020_the_new_ceiling_holds_from_the_first_day() -> None:
    # 法释〔2020〕6号 art. 32: 4 × 3.85% of the contract's day, 15.4% a year.
    assert lawful_interest(DEAR, date(2020, 10, 15)) == [1_283] * 6
    # A loan of before the rate was published, 2019-08-20, is held to the rate of the day of the action: 4 × 3.85%.
    older = Loan(Flows.of([(date(2019, 5, 20), 100_000)], [(date(2020, 5, 20), 130_000)]), lender_type="private")
    assert lawful_interest(older, date(2020, 10, 15)) == [15_400]


def test_sued_before_the_new_provisions_the_old_ones_hold() -> None:
    assert lawful_interest(DEAR, date(2020, 8, 19)) == [2_000] * 6


def test_where_the_rate_of_the_action_is_not_on_file_only_the_days_before_are_held() -> None:
    (held,) = [h for h in check(DEAR, BOOK, ASKED).held if h.ceiling.binds and h.ceiling.effect == "refused"]
    assert held.ceiling.then is not None and held.ceiling.then.ppm is None and held.capped is not None
    assert [line.excess for line in held.capped.lines] == [1_000, 1_000, 0, 0, 0, 0]
    assert "figure not on file" in text(check(DEAR, BOOK, ASKED), "en")


@pytest.mark.parametrize("tag", LANGUAGES)
def test_the_report_tells_both_ceilings_and_that_no_licensed_lender_is_bound(tag: str) -> None:
    told = text(check(DEAR, BOOK, date(2021, 3, 1)), tag)
    assert "24.00%" in told and "15.40%" in told and "2020-08-20" in told
    bank = check(replace(DEAR, lender_type="bank"), BOOK, date(2021, 3, 1))
    private = [each for each in bank.held if each.ceiling.id.startswith("cn.cap.private")]
    assert private and all(each.capped is None and each.ceiling.binds is False for each in private)
    assert all(each.ceiling.exempt is not None for each in private)


def test_a_loan_that_ended_before_the_change_is_held_as_ever() -> None:
    short = Loan(Flows.of([(date(2020, 6, 20), 100_000)], [(date(2020, 7, 20), 103_000)]), lender_type="private")
    assert lawful_interest(short, date(2021, 3, 1)) == [2_000]


# ---- what arises since a day, and where nothing on file binds --------------------------------------------------------


def test_an_older_taiwanese_contract_is_held_to_16_percent_of_what_arises_since() -> None:
    # 民法 art. 205 with 民法債編施行法 art. 10-1: 1,000.00 at 1.6% a month stands under 20%; since 2021-07-20 a month
    # costs no more than 13.33.
    due = [(date(2021, month, 20), 1_600 + 100_000 * (month == 9)) for month in range(6, 10)]
    loan = Loan(Flows.of([(date(2021, 5, 20), 100_000)], due), lender_type="bank", place="tw")
    assert lawful_interest(loan, ASKED) == [1_600, 1_600, 1_333, 1_333]
    for tag in LANGUAGES:
        told = text(check(loan, BOOK, ASKED), tag)
        assert "20.00%" in told and "16.00%" in told and "2021-07-20" in told
    # A loan is no card: the 15% of 銀行法 art. 47-1(2) is not among its ceilings.
    assert [each.ceiling.id for each in check(loan, BOOK, ASKED).held] == ["tw.cap.civil"]


@pytest.mark.parametrize(("lender", "opened_on"), [("bank", date(2017, 8, 3)), ("micro_lender", date(2020, 12, 31))])
def test_where_no_ceiling_on_file_binds_the_report_says_that_a_lawyer_must_say(lender: str, opened_on: date) -> None:
    # Banks before 法发〔2017〕22号, micro-loan companies before 法释〔2020〕27号: never silently "none".
    loan = Loan(Flows.of([(opened_on, 100_000)], [(opened_on.replace(year=2023), 900_000)]), lender_type=lender)
    report = check(loan, BOOK, ASKED)
    assert not report.over and data(report)["which_binds_known"] is False
    for tag, word in (("en", "a lawyer must say"), ("zh-Hans", "须由律师判断"), ("zh-Hant", "須由律師判斷")):
        assert word in text(report, tag)
