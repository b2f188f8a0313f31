"""Each rule on file, asked with its own examples, one case at a time and in a batch."""

import json
from datetime import date
from pathlib import Path

import ibis
import pytest

from forbear.calendars import add_working_days, public_holiday, working_day
from forbear.errors import CalendarUnknown
from forbear.rulebook.cap import find_cap, published
from forbear.rulebook.cite import citation, cited
from forbear.rulebook.compile import Compiled, compile_for
from forbear.rulebook.errors import PackError
from forbear.rulebook.examples import disagreement, due_on, example_facts, keep_until, plain_facts
from forbear.rulebook.load import load
from forbear.rulebook.models import Example, Facts, Rule

BOOK = load()
EXAMPLES = [(rule, example) for rule in BOOK.rules for example in rule.examples]


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=[f"{r.id}-{k}" for k, (r, _) in enumerate(EXAMPLES)])
def test_a_rule_says_what_its_example_says(rule: Rule, example: Example) -> None:
    # Given a rule alone and the facts of its example, when it is asked, then it says what the pack says.
    assert disagreement(BOOK, rule, example) is None
    if rule.forbid is not None:
        alone = Compiled("cn", example.on or rule.since, BOOK.vocabulary, (rule,), "gate")
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


@pytest.mark.parametrize(
    ("article", "hans"),
    [
        ("arts. 14(1)(1)-(2), 14(3) as numbered in 2019", "第14(1)(1)-(2)、14(3)条（2019年条号）"),
        ("art. 205, with art. 10-1 of its Enforcement Act (民法債編施行法)", "第205条，并民法债编施行法第10-1条"),
        ("paras. 454Z(1), (3), (5)-(7)", "第454Z(1)、(3)、(5)-(7)段"),
        ("as para. 410(2) of the banks' Directions", "同银行指令第410(2)段"),
        ("1006.22(f)(1)-(2), (4)", "1006.22(f)(1)-(2)、(4)"),
    ],
)
def test_an_article_is_written_as_its_reader_writes_it(article: str, hans: str) -> None:
    assert (cited(article, "zh-Hans"), cited(article, "en")) == (hans, article)
    assert citation("标题", article, "zh-Hans") == f"标题{hans}" and citation("Act", article, "en") == f"Act {article}"


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


# ---- the house, at the gate ---------------------------------------------------------------------------


def test_the_house_asks_of_every_place_what_the_night_cannot_know() -> None:
    # Given a place without such a rule of its own, when the night asks, the house's rules on the contact are silent.
    conduct = {rule.id for rule in BOOK.rules if rule.instrument.id == "policy.ladder" and rule.article[:2] == "7."}
    conduct -= {"policy.sms-refused"}  # what is known of texts, the night is told, too
    assert len(conduct) == 21
    for place in ("cn", "us", "gb", "zz"):
        assert not conduct & {rule.id for rule in compile_for(BOOK, place, date(2026, 6, 30)).rules}
        assert conduct <= {rule.id for rule in compile_for(BOOK, place, date(2026, 6, 30), asked="gate").rules}


@pytest.mark.parametrize(("fact", "value"), [("opted_out_sms", True), ("sms_consent", False)])
def test_a_text_against_the_debtors_will_is_refused_and_one_of_which_it_is_not_known_waits(
    fact: str, value: bool
) -> None:
    gate = compile_for(BOOK, "zz", date(2026, 6, 30), asked="gate")
    ids = [rule.id for rule in gate.rules]
    refused, unsure = (1 << ids.index(rule) for rule in ("policy.sms-refused", "policy.sms-consent"))
    both = refused | unsure
    plain = {**plain_facts(BOOK.vocabulary), "sms_consent": True}
    for given, wanted in ((value, (both, 0)), (not value, (0, 0)), (None, (0, unsure))):
        forbids, unknown = gate.ask_one({**plain, fact: given})
        assert (forbids & both, unknown & both) == wanted


def test_a_voice_message_is_bound_by_every_house_rule_on_calls() -> None:
    house = [rule for rule in BOOK.rules if rule.instrument.id == "policy.ladder"]
    assert [rule.id for rule in house if "call" in rule.steps and "voice_message" not in rule.steps] == []


# ---- calendars --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "off"),
    [
        (date(2026, 4, 6), True),  # Easter Monday: England, Wales, Northern Ireland
        (date(2026, 8, 31), True),  # the last Monday of August: the same
        (date(2026, 1, 2), True),  # Scotland
        (date(2026, 11, 30), True),  # St Andrew's Day: Scotland
        (date(2026, 7, 13), True),  # Battle of the Boyne: Northern Ireland
        (date(2026, 6, 30), False),
    ],
)
def test_a_bank_holiday_of_one_country_of_the_united_kingdom_is_one_of_all(day: date, off: bool) -> None:
    # Banking and Financial Dealings Act 1971, schedule 1: nobody is visited on them (house rule 5.5).
    assert public_holiday({}, "gb", day) is off


def test_public_holidays_of_china_are_the_published_ones_and_a_weekend_is_none() -> None:
    # State Council's calendar of 2026: New Year's Day, and Saturday 2026-02-14 is worked.
    assert public_holiday({}, "cn", date(2026, 1, 1)) is True
    assert public_holiday({}, "cn", date(2026, 1, 10)) is False
    assert working_day({}, "cn", date(2026, 2, 14)) is True
    assert public_holiday({}, "us", date(2026, 7, 4)) is True and public_holiday({}, "gb", date(2026, 7, 4)) is False
    assert public_holiday({}, "zz", date(2026, 7, 4)) is None


def test_a_calendar_that_is_not_published_yet_is_unknown_until_the_operator_adds_it(tmp_path: Path) -> None:
    assert public_holiday({}, "cn", date(2099, 1, 1)) is None
    with pytest.raises(CalendarUnknown, match=r"the calendar of 2099 is not on file. Put the published one"):
        working_day({}, "cn", date(2099, 1, 5))
    (tmp_path / "calendars").mkdir()
    off = ["2099-01-01", "2099-04-04", "2099-05-01", "2099-10-01", "2099-10-02", "2099-10-05", "2099-10-06"]
    days = [{"date": day, "isOffDay": True} for day in off] + [{"date": "2099-01-03", "isOffDay": False}]
    own = tmp_path / "calendars" / "2099.json"
    # A file of a few days is no year: every other day would be taken for a working day.
    own.write_text(json.dumps({"year": 2099, "days": days[:1]}), "utf-8")
    with pytest.raises(PackError, match="no whole year"):
        load(tmp_path)
    load.cache_clear()
    own.write_text(json.dumps({"year": 2099, "days": days}), "utf-8")
    calendars = load(tmp_path).calendars
    assert public_holiday(calendars, "cn", date(2099, 1, 1)) is True
    assert working_day(calendars, "cn", date(2099, 1, 3)) is True  # a Saturday, worked in its stead
    assert add_working_days(calendars, "cn", date(2098 + 1, 1, 1), 2) == date(2099, 1, 3)


def test_a_deadline_and_a_record_are_counted_by_the_figure_of_their_day(tmp_path: Path) -> None:
    text = '{ zh-Hans = "a", zh-Hant = "b", en = "c" }'
    (tmp_path / "own.toml").write_text(
        f"""[instrument]
id = "own"
jurisdiction = "cn"
kind = "policy"
citation = "own"
from = 2020-01-01
title = {text}
[[rule]]
id = "own.decide"
governs = "deadline"
article = "1"
within = [
  {{ from = 2020-01-01, days = 15, after = "complaint_received", do = "decide" }},
  {{ from = 2026-01-01, days = 5, after = "complaint_received", do = "decide", workdays = true }},
]
verified = true
source = "s"
text = {text}
examples = [{{ after = 2025-01-05, until = 2025-01-20 }}, {{ after = 2026-02-13, until = 2026-02-27 }}]
[[rule]]
id = "own.keep"
governs = "record"
article = "2"
keep = [{{ from = 2020-01-01, months = 36, after = "last_activity" }}]
verified = true
source = "s"
text = {text}
examples = [{{ after = 2026-01-05, until = 2029-01-05 }}, {{ after = 2024-02-29, until = 2027-02-28 }}]
""",
        "utf-8",
    )
    # The pack is linted as it is loaded: its examples hold.
    book = load(tmp_path)
    assert due_on(book.by_id["own.decide"], date(2025, 12, 31), book.calendars) == date(2026, 1, 15)
    assert keep_until(book.by_id["own.keep"], date(2026, 1, 5)) == date(2029, 1, 5)
