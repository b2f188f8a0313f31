"""A pack that is wrong: each fault is told by file, rule and remedy; all at once by the linter, the first at load."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from forbear.locale import LANGUAGES
from forbear.rulebook.errors import PackError
from forbear.rulebook.load import PACKS, VOCABULARY, lint, load, read
from forbear.rulebook.models import Source
from forbear.rulebook.read import read_files

HEAD = """[instrument]
id = "x"
jurisdiction = "cn"
kind = "law"
citation = "x"
title = { zh-Hans = "a", zh-Hant = "b", en = "c" }
"""
RULE = """[[rule]]
id = "x.1"
governs = "contact"
article = "1"
from = 2025-03-01
steps = ["call"]
forbid = "dpd < 3"
verified = false
source = "s"
text = { zh-Hans = "a", zh-Hant = "b", en = "c" }
examples = [{ facts = { dpd = 2 }, says = "forbids" }, { facts = { dpd = 3 }, says = "permits" }]
"""
HOURS = (
    RULE.replace('forbid = "dpd < 3"', 'hours = [{ from = 2025-03-01, opens = "22:00", closes = "23:00" }]')
    .replace("{ facts = { dpd = 2 }, says", '{ at = "21:59", says')
    .replace("{ facts = { dpd = 3 }, says", '{ at = "22:00", says')
)
CAP = """[[rule]]
id = "x.cap"
governs = "cost"
article = "1"
from = 2025-03-01
cap = [{ from = 2025-03-01, ppm = 240000 }]
verified = false
source = "s"
text = { zh-Hans = "a", zh-Hant = "b", en = "c" }
examples = [{ on = 2025-03-01, ppm = 240000 }]
"""
WITHIN = CAP.replace('"cost"', '"deadline"').replace(
    "cap = [{ from = 2025-03-01, ppm = 240000 }]",
    'within = [{ from = 2025-03-01, days = 1, after = "a", do = "b", workdays = true }]',
)
DEFINE = '[[define]]\nid = "NAME"\nis = "IS"\ntext = { zh-Hans = "a", zh-Hant = "b", en = "c" }\n'


def faults(folder: Path, rules: str, head: str = HEAD) -> list[str]:
    (folder / "wrong.toml").write_text(head + rules, "utf-8")
    found = lint(folder)
    for gettext in (LANGUAGES[tag].catalogue.gettext for tag in ("zh-Hans", "zh-Hant")):
        told = " ".join(fault.told(gettext) for fault in found)
        assert re.findall(r"\b(?:the|are|Mend|Write|Give|Add|Name|which)\b", told) == [], "told in another language"
    return [str(fault) for fault in found]


def test_the_shipped_packs_have_no_fault() -> None:
    assert lint() == []
    assert lint(PACKS / "us" / "reg-f.toml") == []


def test_a_sound_pack_has_no_fault(tmp_path: Path) -> None:
    defined = DEFINE.replace("NAME", "early").replace("IS", "dpd < 3")
    assert faults(tmp_path, defined + RULE.replace('forbid = "dpd < 3"', 'forbid = "early and not plan_active"')) == []
    assert load(tmp_path).by_id["x.1"].defines[0].id == "early"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (RULE.replace("dpd < 3", "days_late < 3"), "forbid names 'days_late', which is neither a fact"),
        (RULE.replace("dpd < 3", "dpd < 3)"), "can't be read at character 8: 'dpd < 3)'"),
        (RULE.replace("dpd < 3", "dpd <"), "forbid ends where more must follow: 'dpd <'. Mend the condition."),
        (RULE.replace("dpd < 3", "dpd + 3"), "is not a condition"),
        (RULE.replace("dpd < 3", "status < 'open'"), "orders what has no order"),
        (RULE.replace("dpd < 3", "status == 'late'"), "it may be open, paid_off, charged_off, sold"),
        (RULE.replace("dpd < 3", "__import__('os')"), "which the condition language does not have"),
        (RULE.replace('article = "1"\n', ""), "article is missing"),
        (RULE.replace('governs = "contact"\n', ""), "governs is missing"),
        (RULE.replace('"contact"', '"weather"'), "governs 'weather'. It is one of contact, content"),
        (RULE.replace(', en = "c" }', " }"), "text: has no text in en"),
        (RULE.replace('["call"]', '["phone"]'), "names the step 'phone'"),
        (RULE.replace("from = 2025-03-01\n", ""), "from is missing"),
        (RULE.replace("verified", "to = 2024-01-01\nverified"), "to (2024-01-01) is not after from (2025-03-01)"),
        (RULE.replace("verified", "colour = 1\nverified"), "has the key 'colour'"),
        (
            RULE.replace("verified", 'keep = [{ from = 2025-03-01, months = 1, after = "a" }]\nverified'),
            "exactly one of",
        ),
        (
            RULE.replace("verified", "values.n = [{from=2026-01-01,is=1},{from=2025-01-01,is=2}]\nverified"),
            "values.n: the dates overlap",
        ),
        (
            RULE.replace("verified", 'values.n = [{from=2025-01-01,is=1,lenders=["shop"]}]\nverified'),
            "names the lender type 'shop'",
        ),
        (RULE + RULE, "x.1: the id stands in wrong.toml too"),
        (RULE.replace("dpd = 2", "days = 2"), "an example names the fact 'days'"),
        # What can be read, but can't be right:
        (RULE.replace("dpd = 2", "dpd = 3"), "example 1: the rule says permits, where its example says forbids"),
        (RULE.replace(', { facts = { dpd = 3 }, says = "permits" }', ""), "has no examples on both sides"),
        (RULE.replace("dpd < 3", "dpd >= 0"), "forbids whatever the facts are: a contradiction"),
        (RULE.replace("dpd < 3", "dpd < 3 and dpd > 5"), "never forbids, whatever the facts are"),
        (
            RULE.replace("dpd < 3", "dpd < n").replace(
                "verified", "values.n = [{ from = 2026-01-01, is = 3 }]\nverified"
            ),
            "the value n has no entry for 2025-03-01",
        ),
        (HOURS, "x.1: with"),
        (HOURS, "it leaves no lawful minute for call on 2025-03-01: a contradiction"),
        (CAP.replace("ppm = 240000 }]\nver", 'times = 4, series = "x.rate" }]\nver'), "no series 'x.rate' is on file"),
        (
            CAP.replace("on = 2025-03-01, ppm = 240000", "on = 2025-03-01, ppm = 1"),
            "says 240000, where its example says 1",
        ),
        (CAP.replace('"cost"', '"record"'), "a rule of cap governs cost, not record"),
        (
            DEFINE.replace("NAME", "a").replace("IS", "b or dpd > 1")
            + DEFINE.replace("NAME", "b").replace("IS", "not a")
            + RULE,
            "define a: is defined by itself: a cycle",
        ),
        (DEFINE.replace("NAME", "dpd").replace("IS", "arrears > 1") + RULE, "define dpd: is no free name"),
        (RULE.replace("verified = false", 'verified = "no"'), "verified is 'no'. Write true or false, without quotes"),
        (RULE.replace("[[rule]]", "[[rules]]"), "has the table 'rules'. The tables are [instrument]"),
        (CAP.replace("verified", 'when = "dpd > 1"\nverified'), "when does not narrow a cap"),
        (WITHIN.replace("true", '"false"'), "workdays is 'false'. Write true or false, without quotes"),
        (RULE.replace("from = 2025-03-01", "from = 2025-03-01T00:00:00"), "from is 2025-03-01T00:00:00. Write a day"),
        (RULE.replace('article = "1"', "article = []"), "article is []. Write it as text, in quotes."),
        (RULE.replace('["call"]', '"call"'), "steps is 'call'. Write a list of one or more, in brackets."),
        (
            RULE.replace('forbid = "dpd < 3"', "hours = []"),
            "x.1: hours is []. Write a list of one or more, in brackets",
        ),
        (RULE.replace('en = "c" }', 'en = "c", zh-Hans = 1 }').replace('zh-Hans = "a", ', ""), "text.zh-Hans is 1"),
        (RULE.replace("verified", "note = { en = 'c' }\nverified"), "note: has no text in zh-Hans"),
        (DEFINE.replace(', en = "c"', "").replace("NAME", "a").replace("IS", "dpd > 1") + RULE, "has no text in en"),
        (
            HOURS.replace(
                'closes = "23:00" }', 'closes = "23:00" }, { from = 2025-03-01, opens = "09:00", closes = "20:00" }'
            ),
            "x.1: hours: the dates overlap or are out of order. List each day once, oldest first.",
        ),
        (
            CAP.replace("ppm = 240000 }]\nver", "ppm = 240000 }, { from = 2024-03-01, ppm = 1 }]\nver"),
            "x.cap: cap: the dates overlap",
        ),
        # What is unknown never permits: law does not ask what is known (decision 0012).
        (
            RULE.replace('"dpd < 3"', '"dpd < 3 or opted_out_sms is True"'),
            "x.1: asks with `is`, which takes the unknown for no: law never does. Write the fact alone.",
        ),
        (RULE.replace('"dpd < 3"', '"dpd is True"'), "asks with `is` of what is no fact that is true or false"),
    ],
)
def test_a_wrong_pack_is_told_by_file_rule_and_remedy(tmp_path: Path, rules: str, said: str) -> None:
    found = faults(tmp_path, rules)
    assert any(said in fault for fault in found), found
    assert all("wrong.toml: " in fault and "\n" not in fault and fault[-1] in ".)" for fault in found)
    # A rulebook with a fault is not used: it is told at load too, and nothing is loaded.
    with pytest.raises(PackError):
        load(tmp_path)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (HEAD.replace('"cn"', '"CN"'), "jurisdiction is 'CN'. It is two small letters"),
        (HEAD.replace('"cn"', '"cn-sh"'), "jurisdiction is 'cn-sh'"),
        (HEAD.replace('"cn"', '"*"'), "a cap of every place is not applied. Put it in a pack of its place"),
        (HEAD + "since = 2025-03-01\n", "instrument: has the key 'since'. The keys are citation, from, id"),
        (HEAD.replace('citation = "x"\n', ""), "wrong.toml: instrument: citation is missing. Add it."),
        (
            HEAD.replace(', en = "c"', ""),
            "instrument: title: has no text in en. Every text is given in zh-Hans, zh-Hant, en.",
        ),
        (HEAD.replace('id = "x"', "id = 7"), "wrong.toml: instrument: id is 7. Write it as text, in quotes."),
        ("", "has rules but no [instrument]"),
    ],
)
def test_a_wrong_instrument_is_told(tmp_path: Path, head: str, said: str) -> None:
    assert any(said in fault for fault in faults(tmp_path, CAP, head))


@pytest.mark.parametrize(
    ("through", "ppm", "said"),
    [
        ("2025-08-21", 30000, None),
        ("2025-08-22", 30000, "known_through is 2025-08-22. Write a day from 2025-06-20, its last value's, to 62 days"),
        ("2025-06-19", 30000, "known_through is 2025-06-19"),
        ('"2025-07-20"', 30000, "known_through is 2025-07-20"),
        ("2025-07-20", 45000, None),
        ("2025-07-20", 45001, "goes from 30000 to 45001 ppm on 2025-06-20, more than half of it. Mend the figure"),
        ("2025-07-20", 3, "goes from 30000 to 3 ppm"),
    ],
)
def test_a_rate_is_not_extrapolated_nor_mistyped(tmp_path: Path, through: str, ppm: int, said: str | None) -> None:
    # Given the shipped rate, 3.00% from 2025-05-20, when the operator adds one, it is near it and near its own day.
    found = faults(
        tmp_path,
        f'[[series]]\nid = "cn.lpr-1y"\nknown_through = {through}\nsource = "PBoC"\n'
        'title = { zh-Hans = "a", zh-Hant = "b", en = "c" }\n'
        f"values = [{{ from = 2025-06-20, ppm = {ppm} }}]\n",
        "",
    )
    assert found == [] if said is None else said in found[0], found


def test_a_series_has_no_days_between_two_files(tmp_path: Path) -> None:
    # Given the shipped rate, known through 2025-06-19, then one of August leaves two months of which nothing is known.
    found = faults(
        tmp_path,
        '[[series]]\nid = "cn.lpr-1y"\nknown_through = 2025-09-19\nsource = "PBoC"\n'
        'title = { zh-Hans = "a", zh-Hant = "b", en = "c" }\nvalues = [{ from = 2025-08-20, ppm = 30000 }]\n',
        "",
    )
    assert "leaves 2025-06-20 to 2025-08-19 without a value" in found[0]


@pytest.mark.parametrize("written", ['"banks"', '{ lenders = ["shop"] }', "{ lender = [] }", "{ lenders = [] }"])
def test_whom_an_instrument_is_written_for_is_told_in_the_vocabulary_s_words(tmp_path: Path, written: str) -> None:
    assert any(
        "written_for can't be read" in each for each in faults(tmp_path, CAP, f"{HEAD}written_for = {written}\n")
    )


def test_a_lenders_own_law_makes_no_place_lawful(tmp_path: Path) -> None:
    # Given law of a lender's own, for a place of which none ships, and in a folder of that name, too.
    (tmp_path / "zz").mkdir()
    elsewhere = HEAD.replace('"cn"', '"zz"')
    (tmp_path / "zz" / "own.toml").write_text(elsewhere.replace('"x"', '"y"') + RULE.replace("x.1", "y.1"), "utf-8")
    assert faults(tmp_path, RULE, elsewhere) == []
    book = load(tmp_path)
    # Then its rules bind, but nobody is contacted there; nor where the record of a past run is read again.
    day = date(2025, 3, 1)
    assert {"x.1", "y.1"} <= {rule.id for rule in book.in_force("zz", day)}
    assert "zz" not in book.lawful_places(day) and "zz" not in read(book.sources).lawful_places(day)
    assert {"cn", "us", "gb", "hk", "tw", "sg", "in"} <= book.lawful_places(day)


OTHERS = ("3", '"x"', "true", "[]", "{}", "[1]", "{ a = 1 }", "2025-01-01", "2025-01-01T00:00:00", "1.5", '""')
RATE = (
    '[[series]]\nid = "x.s"\nknown_through = 2025-03-20\nsource = "p"\n'
    'title = { zh-Hans = "a", zh-Hant = "b", en = "c" }\n'
    "values = [{ from = 2025-03-01, ppm = 30000 }]\n"
)
MORE = (
    'lenders = ["bank"]\nto = 2030-01-01\nwhen = "dpd > 0"\nasked = "gate"\n'
    "values.n = [{ from = 2025-03-01, is = 3 }]\n"
    'values_stricter.n = "lower"\nnote = { zh-Hans = "a", zh-Hant = "b", en = "c" }\nverified'
)


@pytest.mark.parametrize(
    "pack", [HEAD + RULE.replace("verified", MORE), HEAD + HOURS, HEAD + CAP, HEAD + WITHIN, HEAD + DEFINE, RATE]
)
def test_whatever_stands_in_a_key_a_pack_is_read_or_its_fault_is_told(pack: str) -> None:
    """Given a sound pack of which one value is replaced by one of another kind, then no traceback, and no silence
    but where the key takes what was written."""
    vocabulary = Source(VOCABULARY.name, VOCABULARY.read_bytes())
    lines = pack.splitlines()
    for k, line in enumerate(lines):
        key, is_, was = line.partition(" = ")
        for other in OTHERS if is_ else ():
            wrong = "\n".join([*lines[:k], f"{key} = {other}", *lines[k + 1 :]])
            told = read_files([vocabulary, Source("wrong.toml", wrong.encode())]).faults
            assert told or type(tomllib.loads(f"k = {was}")["k"]) is type(tomllib.loads(f"k = {other}")["k"]), wrong
            assert all(fault.file == "wrong.toml" and "\n" not in str(fault) for fault in told)


def test_several_faults_are_told_at_once_and_load_says_how_many_more(tmp_path: Path) -> None:
    two = RULE.replace("dpd < 3", "days_late < 3").replace('article = "1"\n', "")
    found = faults(tmp_path, two + RULE.replace('"x.1"', '"x.2"').replace('["call"]', '["phone"]'))
    assert [fault.split(": ")[1] for fault in found] == ["x.1", "x.1", "x.2"]
    with pytest.raises(PackError, match=r"^wrong.toml: x.1: article is missing.*\(2 more: forbear law lint\)$"):
        load(tmp_path)


def test_what_is_independent_is_told_at_once(tmp_path: Path) -> None:
    # Given a file with a table that there is none of, and a rule with two strange keys, a value of another kind and a
    # key too few, then all of it is told, as TOML writes it.
    rule = RULE.replace('article = "1"', "article = { a = [true] }").replace(
        'source = "s"\n', "colour = 1\nsmell = 2\n"
    )
    told = faults(tmp_path, rule + "[weather]\n")
    parts = (
        "has the table 'weather'",
        "article is { a = [true] }",
        "has the key 'colour', 'smell'",
        "source is missing",
    )
    assert len(told) == len(parts) and all(part in fault for part, fault in zip(parts, told, strict=True)), told


def test_a_fault_of_the_instrument_hides_none_of_its_rules(tmp_path: Path) -> None:
    # Given an instrument whose place and day can't be read, and rules with a fault each, one of them in its examples.
    head = HEAD.replace('"cn"', '"china"') + 'from = "soon"\n'
    text = 'text = { zh-Hans = "a", zh-Hant = "b", en = "c" }\n'
    untold = RULE.replace('"x.1"', '"x.2"').replace("from = 2025-03-01\n", "").replace(text, "")
    unlike = RULE.replace('"x.1"', '"x.3"').replace("dpd = 2", "dpd = 9")
    rules = RULE.replace("dpd < 3", "dpd <") + untold + unlike
    told = faults(tmp_path, rules, head)
    # Then each is told once, and none of a rule is told that only the instrument is to blame for.
    parts = (
        "from is 'soon'",
        "jurisdiction is 'china'",
        "x.1: forbid ends where",
        "x.2: text is missing",
        "x.3: example",
    )
    assert len(told) == len(parts) and all(part in fault for part, fault in zip(parts, told, strict=True)), told


def test_a_pack_tightens_a_rule_of_its_own_jurisdiction(tmp_path: Path) -> None:
    own = RULE.replace('forbid = "dpd < 3"', 'tightens = "policy.letter-due"').replace('steps = ["call"]\n', "")
    [fault] = faults(
        tmp_path, own.replace('governs = "contact"\n', "values.from_day = [{ from = 2025-03-01, is = 99 }]\n")
    )
    assert "tightens a rule of jurisdiction '*'. Put it in a pack of that jurisdiction." in fault


def test_a_file_that_is_no_pack_is_told(tmp_path: Path) -> None:
    (tmp_path / "torn.toml").write_bytes(b"[instrument\n")
    (tmp_path / "bare.toml").write_text(RULE, "utf-8")
    (tmp_path / "calendars").mkdir()
    (tmp_path / "calendars" / "2027.json").write_text('{"year": 2027}', "utf-8")
    said = " ".join(map(str, lint(tmp_path)))
    assert "torn.toml: is not TOML in UTF-8" in said and "bare.toml: has rules but no [instrument]" in said
    assert "calendars/2027.json: is no calendar in the JSON of holiday-cn" in said
    with pytest.raises(PackError, match="no such file or folder"):
        lint(tmp_path / "nowhere.toml")


# ---- a lender's own, stricter form of a rule ---------------------------------------------------------

POLICY = HEAD.replace('"law"', '"policy"').replace('id = "x"', 'id = "own"\nfrom = 2025-03-01')
STRICT = """[[rule]]
id = "own.1"
tightens = "cn.hours"
article = "1"
hours = [{ from = 2025-03-01, opens = "09:00", closes = "20:00" }]
verified = true
source = "the house"
text = { zh-Hans = "a", zh-Hant = "b", en = "c" }
"""


def tightened(target: str, figure: str) -> str:
    return STRICT.replace("cn.hours", target).replace(
        'hours = [{ from = 2025-03-01, opens = "09:00", closes = "20:00" }]', figure
    )


def test_a_stricter_form_binds_beside_the_rule_that_it_tightens(tmp_path: Path) -> None:
    most = "values.most = [{ from = 2025-03-01, is = 1 }]"
    assert faults(tmp_path, STRICT + tightened("cn.call.daily", most).replace("own.1", "own.2"), POLICY) == []
    book = load(tmp_path)
    assert {"cn.hours", "own.1", "own.2", "cn.call.daily"} <= {r.id for r in book.in_force("cn", date(2025, 3, 1))}
    assert book.by_id["own.2"].forbid == book.by_id["cn.call.daily"].forbid
    assert book.by_id["own.2"].values["most"].on(date(2025, 3, 1)) == 1


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (STRICT.replace("20:00", "22:30"), "its hours reach beyond those of the rule. Keep within them on 2025-03-01"),
        (tightened("cn.call.daily", "values.most = [{ from = 2025-03-01, is = 4 }]"), "most = 4 is looser than 3"),
        (
            tightened("cn.cap.bank", "cap = [{ from = 2025-03-01, ppm = 250000 }]"),
            "its cap is above the rule's. Lower it on 2025-10-01: it would break cn.cap.bank (金规〔2025〕9号",
        ),
        (
            tightened("cn.cap.bank", 'cap = [{ from = 2025-03-01, times = 4, series = "cn.lpr-1y" }]'),
            "can't be compared",
        ),
        (tightened("cn.call.daily", 'forbid = "dpd < 1"'), "has forbid, which comes from the rule that it tightens"),
        (tightened("cn.nothing", "values.most = [{ from = 2025-03-01, is = 4 }]"), "is no rule on file"),
        (
            tightened("us.hours", STRICT.splitlines()[4]),
            "tightens a rule of jurisdiction 'us'. Put it in a pack of that jurisdiction",
        ),
        (
            STRICT.replace("cn.hours", "own.2") + STRICT.replace("own.1", "own.2").replace("cn.hours", "own.1"),
            "a cycle. Tighten a law's rule",
        ),
    ],
)
def test_a_looser_form_is_refused_with_the_rule_that_it_would_break(tmp_path: Path, rules: str, said: str) -> None:
    found = faults(tmp_path, rules, POLICY)
    assert any(said in fault and fault.startswith("wrong.toml: own.") for fault in found), found
    with pytest.raises(PackError):
        load(tmp_path)
