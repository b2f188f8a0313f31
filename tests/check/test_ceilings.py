"""Which ceilings there are on the day of a contract, whether they bind, and why: the law's own dates."""

import re
import tomllib
from datetime import date
from pathlib import Path

import forbear.check
from forbear.check.ceilings import Ceiling, ceilings
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
    for key, entry in [*leaves, *(("ceilings.toml", text) for text in texts)]:
        assert set(entry) == set(LANGUAGES), key
        names = {language: set(re.findall(r"{(\w+)(?:!r)?}", text)) for language, text in entry.items()}
        assert names["zh-Hans"] == names["zh-Hant"] == names["en"], key
