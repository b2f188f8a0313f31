"""The lawyers' pages: what they say is what the rulebook says, and a case is answered as the gate would answer it."""

import re
from datetime import date
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from forbear.locale import LANGUAGES
from forbear.locale.words import word
from forbear.rulebook.changes import changes
from forbear.rulebook.cite import cited
from forbear.rulebook.load import load
from forbear.rulebook.models import Rule
from forbear.web.app import console

BOOK = load()
PLACES = sorted({rule.instrument.jurisdiction for rule in BOOK.rules} - {"*"})
TODAY = date(2026, 11, 24)
#: An agency in the United States calls a debtor of whom nothing stands against it.
AGENCY = {"place": "us", "step": "call", "on": "2026-11-24", "at": "10:00", "zone": "America/New_York"}
NOTHING_AGAINST = {
    "f.collector": "agency",
    "f.can_call": "yes",
    "f.message_identifies": "yes",
    "f.validation_sent": "yes",
    "f.days_since_validation": "40",
    "f.staff_trained": "yes",
}


@pytest.fixture(scope="module")
def reader() -> TestClient:
    """A reader without a browser, and without a database: these pages need none."""
    return TestClient(console(BOOK), base_url="http://127.0.0.1", headers={"Accept-Language": "en"})


def text(html: str) -> str:
    """What a reader sees of a page, in one line."""
    shown = re.sub(r"<head.*?</head>", "", html, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "\n", shown)))


def page(reader: TestClient, address: str) -> str:
    answer = reader.get(address)
    assert answer.status_code == 200, answer.text
    return answer.text


def listed(html: str, day: date = TODAY) -> set[str]:
    """The rules that a page of a day's law leads to, what changes next aside."""
    return set(re.findall(rf'href="/law/rules/([^"?]+)\?on={day}"', html))


def tried(reader: TestClient, status: int = 200, **given: str) -> str:
    """The answer to a case in which every flag that is not given is "no"."""
    case = AGENCY | {name.replace("__", "."): value for name, value in given.items()}
    form = page(reader, f"/law/try?place={case['place']}&step={case['step']}&on={case['on']}")
    flags = re.findall(r'<select id="(f\.\w+)"[^>]*>\s*<option value="">', form)
    answer = reader.post("/law/try", data=dict.fromkeys(flags, "no") | NOTHING_AGAINST | case)
    assert answer.status_code == status, text(answer.text)
    return text(answer.text)


def in_force(place: str, day: date = TODAY) -> tuple[Rule, ...]:
    return BOOK.in_force(place, day)


# ---- the law of a day -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("day", [date(2015, 9, 1), TODAY, date(2027, 1, 1)])
def test_the_law_of_a_day_is_every_rule_in_force_and_no_other(reader: TestClient, place: str, day: date) -> None:
    html = page(reader, f"/law?place={place}&on={day}")

    assert listed(html, day) == {rule.id for rule in in_force(place, day)}
    for rule in in_force(place, day):
        assert rule.text["en"] in unescape(html) and rule.instrument.citation in unescape(html)


def test_rules_stand_under_their_instruments_in_the_order_of_their_articles(reader: TestClient) -> None:
    html = page(reader, f"/law?place=us&on={TODAY}")

    heading = html.index("Debt Collection Practices (Regulation F)")
    section = html[heading : html.index("</section>", heading)]
    articles = [unescape(a) for a in re.findall(r'<a href="/law/rules/[^"]+">([^<]+)</a>', section)]
    assert sorted(articles) == sorted(r.article for r in in_force("us") if r.instrument.id == "us.reg-f")
    sections = [int(article.split(".")[1].split("(")[0]) for article in articles]
    assert sections == sorted(sections) and min(sections) < 10 <= max(sections)


def test_only_what_is_not_yet_verified(reader: TestClient) -> None:
    html = page(reader, f"/law?place=in&on={TODAY}&unverified=1")

    wanted = {rule.id for rule in in_force("in") if not rule.verified}
    assert listed(html) == wanted != set()
    assert html.count("not yet verified</span>") == len(wanted)


def test_only_what_governs_a_visit(reader: TestClient) -> None:
    wanted = {rule.id for rule in in_force("cn") if rule.governs == "visit"}

    assert listed(page(reader, f"/law?place=cn&on={TODAY}&governs=visit")) == wanted != set()


@pytest.mark.parametrize(
    ("words", "lang", "found"),
    [
        ("1006.6(b)(1)(i)", "en", "us.hours"),
        ("BEFORE 8 inconvenient", "en", "us.hours"),
        ("不便联系", "zh-Hans", "us.hours"),
    ],
)
def test_every_word_is_looked_for_in_the_readers_language(
    reader: TestClient, words: str, lang: str, found: str
) -> None:
    answer = reader.get("/law", params={"place": "us", "on": f"{TODAY}", "q": words}, headers={"Accept-Language": lang})

    assert found in listed(answer.text)
    assert len(listed(answer.text)) < 10


def test_words_that_no_rule_has_are_said_to_match_none(reader: TestClient) -> None:
    assert "No rule matches. Widen the choice above." in text(page(reader, "/law?place=us&q=zeppelin"))


def test_the_next_change_is_told_with_its_rules(reader: TestClient) -> None:
    """Given India in November 2026, then the next day of change is 2027-01-01, when the banks' new rules begin."""
    html = page(reader, f"/law?place=in&on={TODAY}")

    then = date(2027, 1, 1)
    wanted = {change.rule.id for change in changes(BOOK, "in", TODAY, then)}
    assert 'href="/law?place=in&amp;on=2027-01-01">Jan 1, 2027</a>' in html
    assert listed(html, then) == wanted != set()
    assert "No later change is on file." in text(page(reader, "/law?place=in&on=2030-01-01"))


# ---- one rule ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_rule_has_its_page_in_every_language(reader: TestClient, tag: str) -> None:
    for rule in BOOK.rules:
        answer = reader.get(f"/law/rules/{rule.id}?on={TODAY}", headers={"Accept-Language": tag})
        html = unescape(answer.text)
        assert answer.status_code == 200
        assert rule.text[tag] in html and cited(rule.article, tag) in html and rule.instrument.citation in html
        assert not rule.note or rule.note[tag] in html
        assert rule.source in ("recalled", "the house") or rule.source in html
        for condition in rule.conditions.values():
            assert f"<code>{condition}</code>" in html
        assert html.count("<li>\n    <div>") == len(rule.examples), rule.id


def test_every_word_that_the_rulebook_has_as_an_identifier_is_put_into_words() -> None:
    """Values of facts, events and duties: each stands in the list of words, which the catalogues translate."""
    told = {value for fact in BOOK.vocabulary.facts.values() for value in fact.values}
    told |= {keep.value.after for rule in BOOK.rules for keep in rule.keep}
    told |= {word for rule in BOOK.rules for each in rule.within for word in (each.value.after, each.value.do)}

    assert [name for name in sorted(told) if word(name, "zh-Hant") == name] == []


def test_a_rule_of_hours_shows_them_beside_its_article(reader: TestClient) -> None:
    said = text(page(reader, f"/law/rules/us.hours?on={TODAY}"))

    assert "1006.6(b)(1)(i)" in said and "in force from Nov 30, 2021" in said
    assert "lawful hours every one bound Nov 30, 2021 08:00–21:00" in said
    assert "permits 20:59 · who collects: a collection agency" in said
    assert "forbids 21:00 · who collects: a collection agency" in said


OWN = """
[instrument]
id = "own"
jurisdiction = "cn"
kind = "policy"
citation = "House rules"
from = 2025-03-01
title = { zh-Hans = "a", zh-Hant = "b", en = "Own rules" }
[[rule]]
id = "own.calls"
tightens = "cn.call.daily"
article = "1"
values.most = [{ from = 2025-03-01, is = 2 }, { from = 2025-03-01, is = 1, lenders = ["bank"] }]
verified = true
source = "the house"
text = { zh-Hans = "a", zh-Hant = "b", en = "Fewer calls." }
"""


def test_a_lenders_own_figures_are_shown_by_date_and_by_type_of_lender(tmp_path: Path) -> None:
    """Given a house that lets banks call once a day, all others twice, then its page says both and what it tightens."""
    (tmp_path / "own.toml").write_text(OWN, "utf-8")
    mine = TestClient(console(load(tmp_path)), base_url="http://127.0.0.1", headers={"Accept-Language": "en"})

    html = page(mine, f"/law/rules/own.calls?on={TODAY}")

    assert "most every other Mar 1, 2025 2 most bank Mar 1, 2025 1 " in text(html)
    assert f'<a href="/law/rules/cn.call.daily?on={TODAY}">cn.call.daily</a>' in html
    assert "own.calls" in listed(page(mine, f"/law?place=cn&on={TODAY}&q=fewer+house"))


def test_a_rule_that_is_not_in_force_that_day_says_so(reader: TestClient) -> None:
    assert "Not in force on Nov 24, 2026." in text(page(reader, f"/law/rules/cn.cap.private-2015?on={TODAY}"))
    said = text(page(reader, "/law/rules/cn.cap.private-2015?on=2020-08-19"))
    assert "Not in force" not in said
    assert "in force from Sep 1, 2015 up to, not including, Aug 20, 2020" in said


# ---- a case -----------------------------------------------------------------------------------------


def test_a_call_is_permitted_up_to_nine_in_the_evening_and_forbidden_from_then(reader: TestClient) -> None:
    """Regulation F, 1006.6(b)(1)(i): given an agency's call in New York, it becomes lawful at eight next morning."""
    early, late = tried(reader, at="20:59"), tried(reader, at="21:00")

    assert "✓ Permitted" in early and "Lawful from" not in early
    assert "✗ Forbidden Lawful hours of that day 08:00–21:00" in late
    assert "Lawful from Nov 25, 2026 08:00 (Eastern Standard Time)" in late
    forbids = late[: late.index("that do not stand against it")]
    assert "1006.6(b)(1)(i)" in forbids and "who collects: a collection agency" in forbids


def test_seven_calls_in_seven_days_bar_the_next_until_they_are_over(reader: TestClient) -> None:
    """Regulation F, 1006.14(b)(2)(i)(A): at most seven calls in seven consecutive days about one debt."""
    said = tried(reader, f__calls_7d="7")

    assert "✗ Forbidden" in said and "1006.14(b)(2)(i)(A)" in said
    assert "calls placed in 7 consecutive days about this debt: 7" in said
    assert "Lawful from Dec 1, 2026 08:00 (Eastern Standard Time)" in said


def test_a_fact_that_is_not_known_never_permits(reader: TestClient) -> None:
    said = tried(reader, f__bankrupt="")

    assert "? Needs a human" in said
    assert "Lawful from can't be told while a fact is missing" in said
    assert "in bankruptcy: not known" in said and "362(a)(6)" in said


def test_hours_agreed_with_the_borrower_take_the_place_of_the_rules_own(reader: TestClient) -> None:
    said = tried(reader, at="21:30", agreed_from="18:00", agreed_to="22:00")

    assert "✓ Permitted Lawful hours of that day 18:00–22:00" in said


def test_without_a_place_no_hour_is_known_to_be_lawful(reader: TestClient) -> None:
    said = tried(reader, zone="")

    assert "✗ Forbidden" in said and "the borrower's time zone is known: no" in said
    assert "Nov 24, 2026 10:00 UTC" in said


@pytest.mark.parametrize("place", PLACES)
def test_every_step_of_every_place_can_be_tried_as_the_form_comes(reader: TestClient, place: str) -> None:
    """What the form does not know is unknown: no contact is permitted before somebody has said what it is."""
    for step in (step for step in BOOK.vocabulary.steps.values() if step.contact):
        html = page(reader, f"/law/try?place={place}&step={step.id}&on={TODAY}")
        fields = dict(re.findall(r'<input id="(f\.\w+)"[^>]*? value="([^"]*)"', html))

        answer = reader.post(
            "/law/try", data=fields | {"place": place, "step": step.id, "on": f"{TODAY}", "at": "10:00"}
        )

        assert answer.status_code == 200
        assert "a fact is missing" in answer.text and "Permitted" not in answer.text


def test_the_facts_of_a_case_are_in_no_address(reader: TestClient) -> None:
    answer = reader.post("/law/try", data=AGENCY | NOTHING_AGAINST | {"f.dpd": "4711"})

    assert 'value="4711"' in answer.text and re.search(r"<title>(Permitted|Forbidden|Needs a human) · ", answer.text)
    assert not [
        link for link in re.findall(r'(?:href|action)="([^"]+)"', answer.text) if "4711" in link or "f." in link
    ]
    assert 'href="/law/try?place=us&amp;step=call&amp;on=2026-11-24&amp;lang=zh-Hans"' in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"f__dpd": "-3"}, "days past due: this can't be read."),
        ({"f__dpd": ""}, "days past due: this can't be read."),
        ({"f__dpd": "1.5"}, "days past due: this can't be read."),
        ({"f__arrears": "1.005"}, "arrears: this can't be read."),
        ({"f__collector": "pirate"}, "who collects: this can't be read."),
        ({"at": "25:00"}, "Time: write it as 09:30."),
        ({"on": "2026-03-08", "at": "02:30"}, "Time: on that day the clock is put forward over this time."),
        ({"agreed_from": "10:00"}, "Agreed hours: give both, the first before the last, or neither."),
        ({"agreed_from": "10:00", "agreed_to": "09:00"}, "Agreed hours: give both"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_answered(
    reader: TestClient, given: dict[str, str], line: str
) -> None:
    said = tried(reader, status=422, **given)

    assert f"The case was not asked {line}" in said
    assert "Lawful hours of that day" not in said


@pytest.mark.parametrize(
    "address",
    [
        "/law?place=xx",
        "/law?place=*",
        "/law?on=2026-02-30",
        "/law?on=0001-01-01",
        "/law?on=tomorrow",
        "/law?governs=weather",
        "/law?unverified=2",
        "/law/rules/nothing",
        "/law/rules/us.hours?on=9999-12-31",
        "/law/try?step=none",
        "/law/try?step=shout",
        "/law/try?place=xx",
    ],
)
def test_an_address_that_no_page_has_is_refused_in_words(reader: TestClient, address: str) -> None:
    answer = reader.get(address)

    assert answer.status_code == 404
    # A wrong day is told as one.
    assert ("That is no day" if "on=" in address else "There is no such page") in answer.text


def test_a_case_of_another_places_clock_or_a_body_without_end_is_refused(reader: TestClient) -> None:
    assert reader.post("/law/try", data=AGENCY | {"zone": "Asia/Shanghai"}).status_code == 404
    assert reader.post("/law/try", data=AGENCY | {"f.dpd": "1" * 20_000}).status_code == 413
