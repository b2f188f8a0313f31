"""One contact at one instant, and when a forbidden one becomes lawful: clocks, leap days, changes of law."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forbear.rulebook.compile import Compiled, compile_for
from forbear.rulebook.earliest import earliest_lawful, local_date, moved
from forbear.rulebook.examples import plain_facts
from forbear.rulebook.language import Names, parse
from forbear.rulebook.load import Rulebook, load
from forbear.rulebook.models import FactValue, Hours

BOOK = load()
#: An account in arrears, of whom nothing stands against a call or a letter.
CASE: Mapping[str, FactValue] = (
    plain_facts(BOOK.vocabulary)
    | {
        "law_known": True,
        "place_known": True,
        "lead_account": True,
        "can_sms": True,
        "can_call": True,
        "can_write": True,
        "sms_consent": True,
        "collector": "agency",
        "dpd": 20,
        "arrears": 10_000,
        "owed": 10_500,
        "letters_episode": 1,
        "history_days": 200,
        "message_opt_out": True,
        "message_identifies": True,
        "staff_trained": True,
        "recorded": True,
        "validation_sent": True,
        "agent_announced": True,
        "staff_approved": True,
    }
    | dict.fromkeys(
        (
            "days_since_sms",
            "days_since_contact",
            "days_since_letter",
            "days_since_visit",
            "days_since_visit_notice",
            "days_since_validation",
        ),
        9999,
    )
)


def own(folder: Path, rules: str, place: str = "cn") -> Rulebook:
    """The rulebook with a pack of a lender's own that holds these rules."""
    head = f'[instrument]\nid = "own"\njurisdiction = "{place}"\nkind = "policy"\ncitation = "own"\nfrom = 2020-01-01\n'
    text = '{ zh-Hans = "a", zh-Hant = "b", en = "c" }'
    rules = rules.replace("[[rule]]", f'[[rule]]\narticle = "1"\nverified = true\nsource = "s"\ntext = {text}')
    (folder / "own.toml").write_text(f"{head}title = {text}\n{rules}", "utf-8")
    return load(folder)


def ask(
    step: str,
    at: str,
    place: str = "cn",
    zones: str | None = "Asia/Shanghai",
    agreed: Hours | None = None,
    book: Rulebook = BOOK,
    **given: FactValue,
) -> tuple[str, dict[str, str]]:
    """The verdict, and what each rule says."""
    moment = datetime.fromisoformat(at)
    compiled = compile_for(book, place, local_date(zones, moment), "gate")
    answer = compiled.answer(step, {**CASE, **given}, moment, zones, agreed)
    return answer.verdict, {spoken.rule.id: spoken.says for spoken in answer.spoke}


def test_a_call_is_lawful_by_day_and_every_rule_that_governs_it_speaks() -> None:
    verdict, says = ask("call", "2026-06-30T10:00:00+08:00")
    assert verdict == "permitted"
    assert says["cn.hours"] == "hours" and says["cn.call.daily"] == "permits"
    assert set(says) == {r.id for r in compile_for(BOOK, "cn", date(2026, 6, 30), "gate").rules if "call" in r.steps}


@pytest.mark.parametrize(
    ("at", "verdict"),
    [("07:59:59", "forbidden"), ("08:00:00", "permitted"), ("20:59:59", "permitted"), ("21:00:00", "forbidden")],
)
def test_hours_are_kept_to_the_second(at: str, verdict: str) -> None:
    # GB/T 45251-2025: from 08:00; the house ends an hour before the standard's 22:00.
    assert ask("call", f"2026-06-30T{at}+08:00")[0] == verdict


def test_only_the_rule_whose_hours_are_broken_forbids() -> None:
    verdict, says = ask("call", "2026-06-30T21:30:00+08:00")
    assert verdict == "forbidden"
    assert (says["policy.reminder-hours"], says["cn.hours"]) == ("forbids", "hours")


def test_agreed_hours_take_the_place_of_the_usual_but_not_of_the_houses_own_night() -> None:
    late = {"step": "call", "at": "2026-06-30T21:30:00+08:00", "hours_agreed": True}
    assert ask(**late, agreed=Hours(21 * 60, 22 * 60))[0] == "permitted"  # type: ignore[arg-type]
    assert ask("call", "2026-06-30T10:00:00+08:00", agreed=Hours(21 * 60, 22 * 60), hours_agreed=True)[0] == "forbidden"
    verdict, says = ask("call", "2026-06-30T22:30:00+08:00", agreed=Hours(0, 1440), hours_agreed=True)
    assert (verdict, says["policy.outer-hours"], says["cn.hours"]) == ("forbidden", "forbids", "hours")


def test_forbidden_beats_needs_human_and_what_is_unknown_never_permits() -> None:
    at = "2026-06-30T10:00:00+08:00"
    assert ask("call", at, dispute_open=None)[0] == "needs_human"
    assert ask("call", at, dispute_open=None, stop_contact=True)[0] == "forbidden"
    # Another person than the debtor is asked of at the gate alone; a fact that was left out is unknown.
    facts = {name: value for name, value in CASE.items() if name != "dispute_open"}
    compiled = compile_for(BOOK, "cn", date(2026, 6, 30), "gate")
    answer = compiled.answer("call", facts, datetime.fromisoformat(at), "Asia/Shanghai", None)
    assert answer.verdict == "needs_human"
    unknown = [spoken for spoken in answer.spoke if spoken.says == "unknown"]
    assert unknown[0].read(answer.record)["dispute_open"] is None


def test_each_rule_tells_the_facts_that_it_read_by_name() -> None:
    # Then the same question has the same answer, in the same order, in every process: none hangs on how Python hashes.
    answer = compile_for(BOOK, "cn", date(2026, 6, 30), "gate").answer(
        "call", CASE, datetime(2026, 6, 30, 4, tzinfo=UTC), "Asia/Shanghai", None
    )
    read = [list(each.read(answer.record)) for each in answer.spoke]
    assert read == [sorted(names) for names in read] and max(map(len, read)) > 3


def test_without_a_place_no_hour_is_lawful_but_a_letter_needs_none() -> None:
    verdict, says = ask("call", "2026-06-30T10:00:00+08:00", zones=None)
    assert verdict == "needs_human" and says["cn.hours"] == "unknown"
    assert ask("letter", "2026-06-30T10:00:00+08:00", zones=None)[0] == "permitted"


def test_a_contact_of_another_day_than_the_rules_is_refused() -> None:
    compiled = compile_for(BOOK, "cn", date(2026, 6, 30), "gate")
    with pytest.raises(ValueError, match="compile the rules for its local day"):
        compiled.answer("call", CASE, datetime(2026, 6, 30, 17, tzinfo=UTC), "Asia/Shanghai", None)
    with pytest.raises(KeyError, match="does not ask about the step 'email'"):
        compile_for(BOOK, "cn", date(2026, 6, 30)).answer("email", CASE, datetime.now(UTC), None, None)


def test_a_figure_differs_by_type_of_lender(tmp_path: Path) -> None:
    rules = """[[rule]]
id = "own.daily"
governs = "contact"
steps = ["call"]
forbid = "connected_today >= most"
values.most = [{ from = 2020-01-01, is = 3 }, { from = 2020-01-01, is = 1, lenders = ["micro_lender"] }]
examples = [
  { facts = { connected_today = 2 }, says = "permits" },
  { facts = { connected_today = 1, lender_type = "micro_lender" }, says = "forbids" },
]
"""
    book = own(tmp_path, rules)
    at = "2026-06-30T10:00:00+08:00"
    assert ask("call", at, book=book, connected_today=2)[1]["own.daily"] == "permits"
    assert ask("call", at, book=book, connected_today=2, lender_type="micro_lender")[1]["own.daily"] == "forbids"


# ---- when it becomes lawful -------------------------------------------------------------------------


def first(
    step: str,
    at: str,
    zones: str | None = "America/New_York",
    place: str = "us",
    book: Rulebook = BOOK,
    **given: FactValue,
) -> str | None:
    """The earliest lawful instant in the first zone, for a case in which nothing else happens."""
    moment = datetime.fromisoformat(at)
    today = local_date(zones, moment)

    def facts_on(day: date) -> dict[str, FactValue]:
        return moved(BOOK.vocabulary, {**CASE, **given}, (day - today).days)

    found = earliest_lawful(book, place, step, facts_on, moment, zones, None)
    return found and found.astimezone(ZoneInfo((zones or "UTC").split("|")[0])).isoformat()


@pytest.mark.parametrize(
    ("at", "lawful"),
    [
        # 12 CFR 1006.6(b)(1)(i): from 8 o'clock where the consumer is.
        ("2026-06-30T12:00:30-04:00", "2026-06-30T12:00:30-04:00"),
        ("2026-06-30T07:59:59-04:00", "2026-06-30T08:00:00-04:00"),
        ("2026-06-30T21:00:00-04:00", "2026-07-01T08:00:00-04:00"),
        # Into the leap day, over midnight of the year, and over both changes of the clock.
        ("2028-02-28T21:30:00-05:00", "2028-02-29T08:00:00-05:00"),
        ("2028-02-29T21:30:00-05:00", "2028-03-01T08:00:00-05:00"),
        ("2026-12-31T23:59:59-05:00", "2027-01-01T08:00:00-05:00"),
        # On the day of a change, by both readings of the clock: 8 o'clock of winter time is 9 of summer time.
        ("2026-03-07T22:00:00-05:00", "2026-03-08T09:00:00-04:00"),
        ("2026-10-31T22:00:00-04:00", "2026-11-01T08:00:00-05:00"),
    ],
)
def test_a_call_becomes_lawful_when_the_day_opens(at: str, lawful: str) -> None:
    assert first("call", at) == lawful


def test_where_two_zones_are_possible_it_opens_in_both() -> None:
    assert first("call", "2026-06-30T06:00:00-04:00", "America/New_York|America/Chicago") == "2026-06-30T09:00:00-04:00"


def test_seven_days_after_a_conversation_the_call_is_lawful_again() -> None:
    # 12 CFR 1006.14(b)(2)(i)(B): the count falls to nothing once all seven days are over.
    assert first("call", "2026-06-30T12:00:00-04:00", conversations_7d=1) == "2026-07-07T08:00:00-04:00"


def test_a_letter_waits_for_midnight_alone() -> None:
    # House policy 3.2: two days between contacts.
    assert first("letter", "2026-06-30T12:00:00-04:00", days_since_contact=1) == "2026-07-01T00:00:00-04:00"


def test_what_never_becomes_lawful_has_no_time() -> None:
    assert first("call", "2026-06-30T12:00:00-04:00", stop_contact=True) is None
    assert first("call", "2026-06-30T12:00:00-04:00", zones=None) is None


def test_the_law_of_the_day_itself_counts_when_it_changes_in_between(tmp_path: Path) -> None:
    rules = """[[rule]]
id = "own.until-july"
governs = "contact"
to = 2026-07-02
steps = ["call"]
forbid = "dpd > 0"
examples = [{ facts = { dpd = 1 }, says = "forbids" }, { facts = { dpd = 0 }, says = "permits" }]
[[rule]]
id = "own.from-july"
governs = "contact"
from = 2026-07-02
steps = ["call"]
hours = [{ from = 2026-07-02, opens = "11:00", closes = "12:00" }]
examples = [{ at = "10:59", says = "forbids" }, { at = "11:00", says = "permits" }]
"""
    book = own(tmp_path, rules, "us")
    assert first("call", "2026-06-30T12:00:00-04:00", book=book) == "2026-07-02T11:00:00-04:00"


@pytest.mark.parametrize(
    ("forbid", "given", "further"),
    [
        # Days since grow by one a day, days to a due date shrink; what never happened stays so.
        ("days_since_contact < 30", {"days_since_contact": 3}, 26),
        ("days_since_contact >= 30", {"days_since_contact": 9999}, 40),
        ("days_to_due > 3", {"days_to_due": 10}, 6),
        # Days past due go on where there are any; else until something falls due, which days alone don't tell.
        ("dpd < 5", {"dpd": 2}, 2),
        ("dpd < 5", {"dpd": 0}, 40),
        # What was done today is over with the day; who is counted in seven days stays until the first leaves.
        ("connected_today > 0", {"connected_today": 1}, 0),
        ("contacts_7d > 2", {"contacts_7d": 3}, 40),
        # What is not known does not permit tomorrow either.
        ("opted_out_sms", {"opted_out_sms": None}, 40),
        # Whether a coming day is a holiday can't be told, nor what is in arrears after 8 days: then only what holds
        # whatever it is.
        ("public_holiday", {"public_holiday": True}, 0),
        ("not public_holiday", {"public_holiday": None}, 0),
        ("arrears > 0", {"arrears": 1}, 8),
        ("public_holiday or days_since_contact < 5", {"public_holiday": True, "days_since_contact": 3}, 1),
        ("arrears > 0 or days_since_contact < 30", {"arrears": 1, "days_since_contact": 3}, 26),
        ("arrears > 0 and days_since_contact < 30", {"arrears": 1, "days_since_contact": 3}, 8),
        ("True", {}, 40),
        # One of two reasons is enough.
        ("days_since_contact < 5 or dpd < 9", {"days_since_contact": 3, "dpd": 2}, 6),
        ("days_since_contact < 5 and dpd < 9", {"days_since_contact": 3, "dpd": 2}, 1),
    ],
)
def test_a_rule_is_known_to_stand_for_days_ahead(forbid: str, given: Mapping[str, FactValue], further: int) -> None:
    vocabulary = BOOK.vocabulary
    types: dict[str, Any] = {fact.id: {"money": "int"}.get(fact.type, fact.type) for fact in vocabulary.facts.values()}
    rule = replace(BOOK.by_id["policy.spacing"], forbid=parse(forbid, Names(types, {})), values={})
    compiled = Compiled("cn", date(2026, 6, 30), vocabulary, (rule,), "gate")
    assert compiled.stands(rule, {**CASE, **given}, 40, lambda name: 8 if name == "arrears" else 40) == further


ZONES = ["Asia/Shanghai", "America/New_York", "America/New_York|America/Chicago", "Europe/London", "Pacific/Auckland"]
#: About the changes of the clock in each zone, a leap day, a new year, and days on which law on file begins.
DAYS = ["2026-03-07", "2026-03-28", "2026-04-04", "2026-09-26", "2026-10-24", "2026-10-31", "2028-02-28", "2026-12-31",
        "2021-11-28", "2025-02-26"]  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    place=st.sampled_from(["us", "cn"]),
    step=st.sampled_from(["call", "sms", "letter", "visit", "email", "voice_message"]),
    zones=st.sampled_from(ZONES),
    day=st.sampled_from(DAYS),
    minute=st.integers(0, 2 * 1440),
    seconds=st.sampled_from([0, 1, 59]),
    more=st.fixed_dictionaries(
        {
            "days_since_contact": st.sampled_from([0, 1, 9999]),
            "conversations_7d": st.sampled_from([0, 1]),
            "connected_today": st.sampled_from([0, 3]),
            "history_days": st.sampled_from([5, 6, 200]),
            "hours_agreed": st.booleans(),
        }
    ),
)
def test_the_instant_is_permitted_and_no_minute_before_it_is(
    place: str, step: str, zones: str, day: str, minute: int, seconds: int, more: dict[str, FactValue]
) -> None:
    at = datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(minutes=minute, seconds=seconds)
    today, agreed = local_date(zones, at), Hours(13 * 60 + 7, 14 * 60) if more["hours_agreed"] else None

    def facts_on(when: date) -> dict[str, FactValue]:
        return moved(BOOK.vocabulary, {**CASE, **more}, (when - today).days)

    def permitted(moment: datetime) -> bool:
        # Where it may be two days at once, both must permit; of the first moment the asker says which day it is.
        several = {moment.astimezone(ZoneInfo(zone)).date() for zone in zones.split("|")} if moment > at else {today}
        return all(
            compile_for(BOOK, place, when, "gate").answer(step, facts_on(when), moment, zones, agreed).verdict
            == "permitted"
            for when in several
        )

    found = earliest_lawful(BOOK, place, step, facts_on, at, zones, agreed, horizon_days=3)
    moments = [at] + [at.replace(second=0) + timedelta(minutes=k) for k in range(1, 4 * 1440)]
    brute = next((m for m in moments if (local_date(zones, m) - today).days < 3 and permitted(m)), None)
    assert found == brute
