"""What is cited on a day: replaced instruments before and after, and articles that say something else."""

import re
import tomllib
from datetime import date, timedelta
from pathlib import Path

import pytest

import forbear.ledger.provisions as provisions
from forbear.ledger.models import LedgerError
from forbear.ledger.provisions import cited, mistaken, provision, repealed

CODE = date(2021, 1, 1)
EVE = CODE - timedelta(days=1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("合同法", "54"), ("147", "152")),  # gross misunderstanding, and the time for rescission
        (("合同法", "40"), ("496", "497", "498")),  # standard terms
        (("合同法", "80"), ("546",)),  # notice of an assignment
        (("合同法", "114"), ("585",)),  # agreed damages too high
        (("合同法", "200"), ("670",)),  # interest kept back
        (("合同法", "207"), ("676",)),  # overdue interest
        (("民法总则", "188"), ("188",)),  # limitation
        (("法释〔2009〕5号", "21"), ("561",)),  # costs, interest, principal
    ],
)
def test_the_civil_code_takes_over_on_its_day(before: tuple[str, str], after: tuple[str, ...]) -> None:
    # Given an article that the Civil Code replaced, then it is cited up to 2020-12-31, and the Code from 2021-01-01;
    # and the Code's article, asked about an earlier day, gives what stood there then.
    (old,) = cited(*before, EVE)
    assert old.instrument == before[0] and before[1] in old.articles
    (new,) = cited(*before, CODE)
    assert (new.instrument, new.articles) == ("民法典", after)
    assert before[0] in [found.instrument for found in cited("民法典", after[0], EVE)]


def test_the_general_principles_passed_through_the_general_provisions() -> None:
    # 民法通则 art. 135, two years; 民法总则 art. 188, three, from 2017-10-01; then the Code.
    days = [date(2017, 9, 30), date(2017, 10, 1), CODE]
    assert [cited("民法通则", "135", day)[0].instrument for day in days] == ["民法通则", "民法总则", "民法典"]


def test_the_provisions_on_private_lending_were_replaced_twice_in_2020() -> None:
    days = [date(2020, 8, 19), date(2020, 8, 20), CODE]
    found = [cited("法释〔2015〕18号", "26", day)[0] for day in days]
    assert [(each.instrument, each.articles) for each in found] == [
        ("法释〔2015〕18号", ("26",)),
        ("法释〔2020〕6号", ("26",)),
        ("法释〔2020〕17号", ("25",)),
    ]


def test_the_right_to_know_is_article_8_and_not_14() -> None:
    # Consumer law: art. 8 is the right to know; art. 14 dignity, and since 2014-03-15 personal information.
    day = date(2025, 1, 1)
    assert provision("right-to-know", day).articles == ("8",)
    assert mistaken("right-to-know", "消费者权益保护法", "14")
    assert not mistaken("right-to-know", "消费者权益保护法", "8")
    (dignity,) = cited("消费者权益保护法", "14", day)
    assert dignity.concept == "consumer-dignity-and-data"
    (earlier,) = cited("消费者权益保护法", "14", date(2014, 3, 14))
    assert earlier.concept == "consumer-dignity"


def test_what_was_not_in_force_or_is_not_on_file_is_refused_in_words() -> None:
    with pytest.raises(LedgerError, match="nothing that it stands for was in force on 1980-01-01"):
        cited("合同法", "54", date(1980, 1, 1))
    with pytest.raises(LedgerError, match="add its concept to"):
        cited("合同法", "999", CODE)
    # Between the old interpretation's end and the new one's beginning no text held the thirty per cent.
    with pytest.raises(LedgerError, match="was in force on 2022-01-01"):
        cited("法释〔2009〕5号", "29", date(2022, 1, 1))


def test_what_a_text_names_that_is_repealed_on_a_day() -> None:
    # 民法典 art. 1260: contract law, guarantee law and others end with 2020-12-31. Labour contract law stays.
    assert repealed("依《合同法》第五十四条", EVE) == ()
    assert repealed("依《合同法》第五十四条", CODE) == ("合同法",)
    assert repealed("《劳动合同法》 and the Property Law (2007)", CODE) == ("物权法",)
    assert repealed("法释〔2015〕18号 art. 26", date(2020, 8, 20)) == ("法释〔2015〕18号",)


TODAY = date(2026, 11, 29)
SRC = Path(provisions.__file__).parents[1]
#: Files whose citations stand beside their own dates; each is held to these dates below, or is the table itself.
DATED = ("ceilings.toml", "provisions.toml")
SHIPPED = sorted(
    path
    for kind in ("toml", "po", "html", "typ", "js", "py")
    for path in SRC.rglob(f"*.{kind}")
    if path.name not in DATED and "vendor" not in path.parts
)


def test_no_shipped_text_names_what_is_repealed() -> None:
    # Rules, statements, help, words in three languages: what they name, they name today.
    assert len(SHIPPED) > 100
    named = {str(path.relative_to(SRC)): repealed(path.read_text("utf-8"), TODAY) for path in SHIPPED}
    assert {path: found for path, found in named.items() if found} == {}


def test_what_a_dated_text_names_was_in_force_through_its_last_day() -> None:
    # Exemptions and lines hold from a day up to another, transitions for actions brought up to a day.
    data = tomllib.loads((SRC / "check" / "ceilings.toml").read_text("utf-8"))
    entries = [*data["exempt"], *data["line"], *data["transition"]]
    assert any("法释〔2015〕18号" in entry["citation"] for entry in entries)
    for entry in entries:
        ends = entry.get("to") or (entry["sued"][1] if len(entry.get("sued", ())) > 1 else None)
        last = ends - timedelta(days=1) if ends else TODAY
        said = " ".join([entry["citation"], *entry["text"].values()])
        assert repealed(said, last) == (), entry["citation"]


def test_where_the_documents_name_what_is_repealed_they_say_when() -> None:
    docs = Path(__file__).parents[2]
    for path in (*docs.glob("*.md"), *(docs / "docs").glob("*.md")):
        for line in path.read_text("utf-8").splitlines():
            if path.name != "CHANGELOG.md" and repealed(line, TODAY):
                assert re.search(r"(19|20)\d\d-\d\d-\d\d", line), f"{path.name}: {line}"


def test_the_table_is_in_order_and_in_three_languages() -> None:
    data = tomllib.loads(Path(provisions.__file__).with_name("data").joinpath("provisions.toml").read_text("utf-8"))
    for entry in data["instrument"]:
        assert set(entry["title"]) == {"zh-Hans", "zh-Hant", "en"}
    for entry in data["concept"]:
        assert set(entry["name"]) == {"zh-Hans", "zh-Hant", "en"}
        begins = [version["from"] for version in entry["versions"]]
        assert begins == sorted(set(begins)), entry["id"]
