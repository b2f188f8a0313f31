"""What may be done in mainland China, Taiwan and Hong Kong, as examples of the law: given, when, then."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from forbear.rulebook.answer import Answer
from forbear.rulebook.cap import find_cap
from forbear.rulebook.compile import compile_for
from forbear.rulebook.examples import plain_facts
from forbear.rulebook.load import load
from forbear.rulebook.models import FactValue, Hours

BOOK = load()
ZONES = {"cn": "Asia/Shanghai", "tw": "Asia/Taipei", "hk": "Asia/Hong_Kong"}
#: A contact that breaks nothing: a loan past due, a trained person who says who calls, and records it.
FAIR: dict[str, FactValue] = {
    "law_known": True,
    "place_known": True,
    "lead_account": True,
    "dpd": 40,
    "arrears": 10_000,
    "can_sms": True,
    "can_call": True,
    "can_write": True,
    "history_days": 9999,
    "days_since_contact": 9999,
    "days_since_sms": 9999,
    "letters_episode": 1,
    "letters_made_episode": 1,
    "message_identifies": True,
    "recorded": True,
    "staff_trained": True,
    "agent_announced": True,
}


def ask(place: str, step: str, clock: str, agreed: Hours | None = None, **given: FactValue) -> Answer:
    """The answer in 2026 to one contact at a clock time of the place, all else being fair."""
    day = date(2026, 3, 10)
    local = datetime.combine(day, datetime.strptime(clock, "%H:%M").time(), UTC)  # noqa: DTZ007
    facts = plain_facts(BOOK.vocabulary) | FAIR | given
    compiled = compile_for(BOOK, place, day, asked="gate")
    return compiled.answer(step, facts, local - timedelta(hours=8), ZONES[place], agreed)


def against(answer: Answer) -> set[str]:
    """The rules of law that stand against a contact, or can't tell."""
    return {s.rule.id for s in answer.spoke if s.says in ("forbids", "unknown") and s.rule.instrument.kind == "law"}


def test_a_fair_call_by_day_is_permitted_in_each_place() -> None:
    for place in ZONES:
        for lender in ("bank", "consumer_finance", "micro_lender", "private"):
            for collector in ("creditor", "agency"):
                answer = ask(place, "call", "10:00", lender_type=lender, collector=collector)
                assert answer.verdict == "permitted", (place, lender, collector, against(answer))


def test_in_china_ten_at_night_is_too_late_for_a_visit_too() -> None:
    # GB/T 45251-2025, 5.3: no collecting at all between 22:00 and 08:00.
    assert "cn.hours" in against(ask("cn", "visit", "22:00"))
    assert "cn.hours" in against(ask("cn", "email", "07:59"))
    assert "cn.hours" not in against(ask("cn", "email", "21:59"))


def test_in_china_a_contact_person_is_rung_only_when_the_debtor_is_lost_and_is_told_nothing() -> None:
    # GB/T 45251-2025, 5.3; PIPL arts. 10, 13, 29. The lender is private: a bank may not (card measures, 68).
    reachable = ask("cn", "call", "10:00", lender_type="private", to_whom="contact_person")
    assert "cn.debtor-only" in against(reachable)
    lost: dict[str, Any] = {"lender_type": "private", "to_whom": "contact_person", "unreachable": True}
    assert against(ask("cn", "call", "10:00", **lost)) == set()
    assert "cn.contact-person.no-debt" in against(ask("cn", "call", "10:00", discloses_debt=True, **lost))
    assert "cn.contact-person.stop" in against(ask("cn", "call", "10:00", third_party_refused=True, **lost))
    assert "cn.card.debtor-guarantor" in against(ask("cn", "call", "10:00", **lost | {"lender_type": "bank"}))


def test_in_china_a_bank_stops_collecting_while_a_plan_is_kept() -> None:
    # Measures on credit card business, art. 70.
    assert "cn.card.plan" in against(ask("cn", "letter", "10:00", lender_type="bank", plan_active=True))
    assert "cn.card.plan" not in against(ask("cn", "letter", "10:00", lender_type="micro_lender", plan_active=True))


@pytest.mark.parametrize(("visitors", "stands"), [(1, True), (2, False), (None, True)])
def test_in_china_a_bank_visits_in_twos(visitors: int | None, stands: bool) -> None:
    # China Banking Association, guideline of 2026-01-30, art. 22; how many come must be known.
    answer = ask("cn", "visit", "10:00", lender_type="bank", visitors=visitors)
    assert ("cn.cba.visit.two" in against(answer)) is stands


def test_no_single_consumer_finance_loan_is_capped_at_20_percent() -> None:
    # 法发〔2017〕22号, art. 2: 24%. The 20% that the press reports is a target for the average of new loans.
    cap = find_cap(BOOK, "cn", "consumer_finance", date(2026, 4, 1))
    assert cap is not None and (cap.rule.id, cap.ppm) == ("cn.cap.financial-2017", 240_000)


def test_a_partnered_bank_loan_names_its_own_notice() -> None:
    # 金规〔2025〕9号 from 2025-10-01; before, the opinions of 2017.
    before, after = (find_cap(BOOK, "cn", "bank", date(2025, *day)) for day in ((9, 30), (10, 1)))
    assert before is not None and before.rule.id == "cn.cap.financial-2017"
    assert after is not None and after.rule.id == "cn.cap.bank"


def test_taiwan_gives_hours_to_agencies_and_none_to_a_bank_of_its_own() -> None:
    # Outsourcing regulations, 14(1)(3): 7 to 22. The house's 8 to 21 bind on top.
    agency, bank = (ask("tw", "call", "22:00", lender_type="bank", collector=who) for who in ("agency", "creditor"))
    assert "tw.agency.hours" in against(agency) and against(bank) == set()
    assert bank.verdict == "forbidden"  # by the house policy


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ({"message_threat": True}, "tw.agency.no-threat"),
        ({"message_false": True}, "tw.agency.no-false"),
        ({"public_view": True}, "tw.agency.no-public"),
        ({"recorded": False}, "tw.agency.recorded"),
        ({"staff_trained": False}, "tw.agency.staff"),
        ({"staff_violent_record": True}, "tw.agency.staff"),
        ({"agent_announced": False}, "tw.agency.told"),
        ({"to_whom": "contact_person", "unreachable": True, "discloses_debt": True}, "tw.agency.third-person.no-debt"),
        ({"respite_open": True}, "tw.respite"),
        ({"bankrupt": True}, "tw.insolvency"),
    ],
)
def test_taiwan_forbids_an_agency_each_of_these(fault: dict[str, Any], rule: str) -> None:
    # Outsourcing regulations, 13, 14, 16; Consumer Debt Clearance Act, 19, 28, 48.
    assert rule in against(ask("tw", "call", "10:00", collector="agency", **fault))


def test_taiwan_caps_a_loan_by_the_day_on_which_it_was_made() -> None:
    # Civil Code, 205: 20% until 2021-07-19, 16% from 2021-07-20.
    for day, ppm in ((date(2021, 7, 19), 200_000), (date(2021, 7, 20), 160_000)):
        cap = find_cap(BOOK, "tw", "bank", day)
        assert cap is not None and cap.ppm == ppm


def test_taiwan_of_2005_is_not_on_file() -> None:
    # The UCI card accounts are of 2005: the rules on contacts that are on file are younger.
    assert "tw" not in BOOK.lawful_places(date(2005, 9, 30))


def test_hong_kong_fixes_no_hours_so_the_house_does() -> None:
    # Code of Banking Practice, 43.2: no calls at unreasonable hours, and it fixes none.
    late = ask("hk", "call", "21:30", lender_type="bank")
    assert late.verdict == "forbidden" and against(late) == set()
    assert not [rule.id for rule in BOOK.rules if rule.instrument.jurisdiction == "hk" and rule.hours]


def test_hong_kong_leaves_referees_alone() -> None:
    # Code of Banking Practice, 43.2 and 43.3; money lenders' licence condition 13.
    assert "hk.code.third-person" in against(ask("hk", "call", "10:00", lender_type="bank", to_whom="contact_person"))
    referee = ask("hk", "call", "10:00", lender_type="micro_lender", to_whom="contact_person")
    assert "hk.licence.referee" in against(referee)
    assert against(ask("hk", "call", "10:00", lender_type="bank", to_whom="guarantor")) == set()


def test_hong_kong_caps_money_lenders_by_ordinance_and_banks_by_their_code() -> None:
    # Money Lenders Ordinance, 24(1); authorized institutions are exempt by s. 3.
    cap = find_cap(BOOK, "hk", "micro_lender", date(2022, 12, 30))
    assert cap is not None and cap.ppm == 480_000
    # Code of Banking Practice, 12.3: a bank keeps to the Ordinance's limit, unless it can justify more.
    bank = find_cap(BOOK, "hk", "bank", date(2022, 12, 30))
    assert bank is not None and bank.rule is not None and (bank.rule.id, bank.ppm) == ("hk.cap.code", 480_000)


def test_what_is_not_known_of_a_contact_never_permits_it() -> None:
    # Asked about a call to someone else with nothing told of it, a person decides.
    answer = ask("hk", "call", "10:00", lender_type="private", to_whom="guarantor", message_threat=None)
    assert answer.verdict == "needs_human"


@pytest.mark.parametrize(
    ("collector", "is_card", "bound"),
    [("creditor", True, True), ("creditor", False, False), ("agency", True, False)],
)
def test_taiwan_s_rule_on_cards_binds_the_issuer_s_own_collecting_of_cards(
    collector: str, is_card: bool, bound: bool
) -> None:
    # 信用卡業務機構管理辦法, art. 51; an agency has its own exception (outsourcing regulations, 14(1)(4)-(5)).
    lost: dict[str, Any] = {"to_whom": "contact_person", "unreachable": True, "is_card": is_card}
    found = against(ask("tw", "letter", "10:00", lender_type="bank", collector=collector, **lost))
    assert found == ({"tw.card.who"} if bound else set())
