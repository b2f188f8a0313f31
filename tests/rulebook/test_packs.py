"""Each rule on file, asked with its own examples, one case at a time and in a batch."""

from datetime import date
from pathlib import Path

import ibis
import pytest

from forbear.rulebook.cap import find_cap, published
from forbear.rulebook.compile import Compiled, compile_for
from forbear.rulebook.errors import CalendarUnknown, PackError
from forbear.rulebook.examples import disagreement, example_facts
from forbear.rulebook.load import load
from forbear.rulebook.models import Example, Facts, Rule

BOOK = load()
EXAMPLES = [(rule, example) for rule in BOOK.rules for example in rule.examples]


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=[f"{r.id}-{k}" for k, (r, _) in enumerate(EXAMPLES)])
def test_a_rule_says_what_its_example_says(rule: Rule, example: Example) -> None:
    # Given a rule alone and the facts of its example, when it is asked, then it says what the pack says.
    assert disagreement(BOOK, rule, example) is None
    if rule.forbid is not None:
        alone = Compiled("cn", example.on or rule.since, BOOK.vocabulary, (rule,))
        assert in_words(*in_a_batch(alone, example_facts(BOOK.vocabulary, rule, example))) == example.says


def in_words(forbids: int, unknown: int) -> str:
    return "forbids" if forbids else "unknown" if unknown else "permits"


def in_a_batch(compiled: Compiled, facts: Facts) -> tuple[int, int]:
    kinds = {"bool": "boolean", "int": "int64", "money": "int64", "enum": "string"}
    schema = {fact.id: kinds[fact.type] for fact in BOOK.vocabulary.facts.values()}
    table = ibis.memtable([dict(facts)], schema=schema)
    forbids, unknown = compiled.masks(table)
    row = ibis.duckdb.connect().to_pyarrow(table.select(forbids=forbids, unknown=unknown)).to_pylist()[0]
    return row["forbids"], row["unknown"]


def test_every_rule_on_contacts_has_examples_on_both_sides() -> None:
    bare = [r.id for r in BOOK.rules if r.steps and len({e.says for e in r.examples}) < 2]
    assert bare == []


def test_before_regulation_f_its_rules_do_not_speak() -> None:
    # 12 CFR 1006 as amended came into force on 2021-11-30.
    before = {rule.id for rule in compile_for(BOOK, "us", date(2021, 11, 29)).rules}
    after = {rule.id for rule in compile_for(BOOK, "us", date(2021, 11, 30)).rules}
    assert "us.call.frequency" in after - before


def test_the_standard_takes_over_from_the_guidelines_on_its_day() -> None:
    # GB/T 45251-2025 is in force from 2025-02-28; the association's guidelines end with it.
    assert "cn.nifa.hours" in {rule.id for rule in compile_for(BOOK, "cn", date(2025, 2, 27)).rules}
    assert "cn.nifa.hours" not in {rule.id for rule in compile_for(BOOK, "cn", date(2025, 2, 28)).rules}
    assert "cn.hours" in {rule.id for rule in compile_for(BOOK, "cn", date(2025, 2, 28)).rules}


def test_a_private_loan_is_capped_at_four_times_the_rate_of_its_day() -> None:
    # SPC provisions on private lending as revised in 2020: 4 x 3.85% on 2020-08-20.
    cap = find_cap(BOOK, "cn", "private", date(2020, 8, 20))
    assert cap is not None and cap.ppm == 4 * 38_500


def test_a_rate_that_is_not_published_yet_is_refused_not_guessed() -> None:
    series = BOOK.series["cn.lpr-1y"]
    assert published(series, date(2025, 6, 19)) == 30_000
    with pytest.raises(CalendarUnknown, match="no published value is on file for 2025-06-20"):
        published(series, date(2025, 6, 20))
    cap = find_cap(BOOK, "cn", "private", date(2026, 1, 5))
    assert cap is not None and cap.ppm is None and cap.why_unknown


def test_the_operator_adds_a_published_rate(tmp_path: Path) -> None:
    # Given the rate of 2025-06-20 in the lender's own folder, when a loan of that day is asked about, it is known.
    (tmp_path / "lpr.toml").write_text(
        '[[series]]\nid = "cn.lpr-1y"\nknown_through = 2025-07-20\nsource = "PBoC"\n'
        'title = { zh-Hans = "a", zh-Hant = "b", en = "c" }\nvalues = [{ from = 2025-06-20, ppm = 30000 }]\n',
        "utf-8",
    )
    cap = find_cap(load(tmp_path), "cn", "private", date(2025, 7, 1))
    assert cap is not None and cap.ppm == 120_000


HEAD = """[instrument]
id = "x"
jurisdiction = "cn"
kind = "law"
citation = "x"
title = { zh-Hans = "a", zh-Hant = "b", en = "c" }
"""
RULE = (
    HEAD
    + """[[rule]]
id = "x.1"
governs = "contact"
article = "1"
from = 2020-01-01
steps = ["call"]
forbid = "dpd < 3"
verified = false
source = "s"
text = { zh-Hans = "a", zh-Hant = "b", en = "c" }
"""
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("dpd < 3", "days_late < 3", "names 'days_late', which is neither a fact"),
        ("dpd < 3", "dpd <", "can't be read"),
        ("dpd < 3", "dpd + 3", "is not a condition"),
        ("dpd < 3", "status < 'open'", "orders what has no order"),
        ("dpd < 3", "status == 'late'", "it may be open, paid_off, charged_off, sold"),
        ("dpd < 3", "__import__('os')", "which the condition language does not have"),
        ('article = "1"\n', "", "article is missing"),
        (', en = "c" }', " }", "has no text in en"),
        ('["call"]', '["phone"]', "names the step 'phone'"),
        ("from = 2020-01-01\n", "", "from is missing"),
        ("verified", "values.n = [{from=2021-01-01,is=1},{from=2020-01-01,is=2}]\nverified", "the dates overlap"),
        ("verified", "colour = 1\nverified", "has the key 'colour'"),
    ],
)
def test_a_wrong_pack_is_refused_by_file_rule_and_remedy(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(RULE[: len(HEAD)] + RULE[len(HEAD) :].replace(old, new), "utf-8")
    with pytest.raises(PackError) as told:
        load(path)
    assert said in str(told.value) and str(told.value).startswith("wrong.toml") and "\n" not in str(told.value)
