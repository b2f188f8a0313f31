"""What a contact is for and whom it goes to: no word of the asker opens a way to collect, nor shuts a lawful one."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from tests.contact.conftest import DAY, FACTS
from tests.contact.test_lawful_ways import against, asked_for, joined, planned
from tests.contact.test_same_facts import _by_gate, _compare

from forbear.contact.models import Outcome, Request
from forbear.contact.services import ask, report, use
from forbear.rulebook.book import Rulebook

Wanted = Callable[..., Request]
NOON = {
    "cn": ("Asia/Shanghai", "+08:00"),
    "us": ("America/New_York", "-04:00"),
    "gb": ("Europe/London", "+01:00"),
    "in": ("Asia/Kolkata", "+05:30"),
    "sg": ("Asia/Singapore", "+08:00"),
    "tw": ("Asia/Taipei", "+08:00"),
}


def at_noon(store: Any, place: str, day: date = DAY) -> str:
    """Sets the clock to noon of a place; its zone."""
    zones, offset = NOON[place]
    store.clock(f"{day}T12:00:00{offset}")
    return zones


def lent(store: Any, place: str, lender: str = "bank", collector: str = "agency", **given: Any) -> int:
    """A loan of such a lender in a place, where it is noon."""
    book = store.book(place, f"{place} {lender} {collector}", collector)
    store.sql("UPDATE book SET lender_type = %s WHERE id = %s", lender, book)
    return int(store.lend(book, zones=at_noon(store, place), **given))


def make(book: Rulebook, request: Request, outcome: Outcome = "delivered") -> None:
    """Ask for a contact, which is granted, make it, and say how it ended."""
    answer = ask(book, request)
    assert answer.permission is not None, answer.spoke
    use(book, answer.permission.id)
    report(book, answer.permission.id, outcome, "staff-1")


# ---- whom it goes to ----------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["contact_person", "employer", "third_party"])
@pytest.mark.parametrize(
    ("place", "lender", "collector", "rules"),
    [
        ("us", "bank", "agency", {"us.fdcpa.third-party", "us.third-party"}),  # 15 U.S.C. 1692c(b), 12 CFR 1006.6(d)
        ("gb", "bank", "creditor", {"gb.tell-others"}),  # CONC 7.9.6R
        ("in", "bank", "creditor", {"in.bank.privacy"}),  # RBI Directions 2025, 445
        ("in", "consumer_finance", "creditor", {"in.others.privacy"}),
        ("in", "micro_lender", "creditor", {"in.microfinance.harsh"}),
        ("sg", "bank", "creditor", {"sg.tell-others"}),  # S 724/2023
        ("tw", "bank", "agency", set()),
    ],
)
def test_nobody_outside_of_the_debt_is_collected_from_though_the_debtor_is_lost(
    store: Any, book: Rulebook, wanted: Wanted, place: str, lender: str, collector: str, rules: set[str], to: str
) -> None:
    # House rule 7.13: given a debtor who can't be reached, who else is contacted is asked where they are.
    loan = lent(store, place, lender, collector, unreachable=True)
    facts = {name: value for name, value in FACTS.items() if name != "purpose"} | {"to_whom": to}
    assert against(ask(book, wanted(loan, "letter", facts=facts))) >= rules | {"policy.others-only-if-lost"}
    locating = against(ask(book, asked_for(wanted, loan, "letter", "locate", to_whom=to)))
    assert not locating & (rules | {"policy.others-only-if-lost"})


@pytest.mark.parametrize("step", ["sms", "email", "call"])
@pytest.mark.parametrize("lender", ["bank", "consumer_finance", "micro_lender"])
def test_the_spouse_of_a_debtor_is_not_collected_from_by_any_lender_in_india(
    store: Any, book: Rulebook, wanted: Wanted, lender: str, step: str
) -> None:
    # RBI Directions 2025, 410(3) and 445; house rule 7.13.
    loan = lent(store, "in", lender, "creditor")
    answer = ask(book, wanted(loan, step, facts=FACTS | {"to_whom": "spouse"}))
    assert answer.verdict == "forbidden" and "policy.others-only-if-lost" in against(answer)
    assert any(rule.startswith("in.") for rule in answer.spoke["forbids"])


@pytest.mark.parametrize("place", ["cn", "us"])
def test_who_acts_for_a_dead_debtor_a_contact_person_may_be_asked(
    store: Any, book: Rulebook, wanted: Wanted, place: str
) -> None:
    # GB/T 45251-2025, 5.3; 15 U.S.C. 1692b with the FTC's statement of policy, 76 FR 44915.
    loan = lent(store, place, incapable=True, unreachable=False)
    assert ask(book, asked_for(wanted, loan, "letter", "locate", to_whom="contact_person")).granted
    assert not ask(book, asked_for(wanted, loan, "letter", "collect", to_whom="contact_person")).granted


def test_who_was_asked_once_is_not_asked_again_by_another_word(store: Any, book: Rulebook, wanted: Wanted) -> None:
    # 15 U.S.C. 1692b(3), 12 CFR 1006.10(c): the mother was asked as a contact person.
    loan = lent(store, "us", unreachable=True)
    make(book, asked_for(wanted, loan, "letter", "locate", to_whom="contact_person"))
    at_noon(store, "us", DAY + timedelta(days=8))
    for word in ("contact_person", "third_party", "employer"):
        again = ask(book, asked_for(wanted, loan, "letter", "locate", to_whom=word, third_party_before=False))
        assert {"us.fdcpa.location.once", "us.location.once"} <= against(again)


@pytest.mark.parametrize("place", ["us", "tw"])
def test_no_asker_makes_the_law_known_by_naming_an_agency(
    store: Any, book: Rulebook, wanted: Wanted, place: str
) -> None:
    # House rule 1.1: no law on file of these places was written for such a creditor; the book says that it collects.
    loan = lent(store, place, "bank" if place == "us" else "consumer_finance", "creditor", all_in_ppm=100_000)
    for agency in (None, "anything"):
        answer = ask(book, wanted(loan, "call", agency=agency))
        assert answer.permission is None and "policy.law-known" in against(answer)


# ---- what it is for -----------------------------------------------------------------------------------


def test_an_answer_answers_what_is_on_record_or_goes_to_a_person(store: Any, book: Rulebook, wanted: Wanted) -> None:
    # House rule 7.17. Nothing was asked; what a dispute or a plea of hardship asked, may be answered.
    loan, disputed, pleaded = store.lend(), store.lend(dispute_open=True), store.lend(hardship_until="2026-08-01")
    answer = ask(book, asked_for(wanted, loan, "email", "answer"))
    assert answer.verdict == "needs_human" and against(answer) == {"policy.answer-asked"}
    found_out = asked_for(wanted, loan, "email", "answer").model_copy(
        update={"decided_by": "boss", "reason": "asked by telephone", "overrides": answer.request_id}
    )
    assert ask(book, found_out).granted
    for asked in (disputed, pleaded):
        assert ask(book, asked_for(wanted, asked, "email", "answer")).granted
    # House rule 7.19: an offer of a plan answers who pleaded hardship.
    assert against(ask(book, asked_for(wanted, disputed, "plan_offer", "answer"))) == {
        "policy.plan-asked", "policy.notice-spacing", "policy.answer-asked",
    }  # fmt: skip


@pytest.mark.parametrize("place", ["cn", "in", "sg", "tw"])
@pytest.mark.parametrize(("dpd", "verdict"), [(-5, "forbidden"), (0, "forbidden"), (3, "needs_human")])
def test_no_notice_is_demanded_of_a_loan_with_nothing_past_due_nor_where_no_such_law_is_on_file(
    store: Any, book: Rulebook, wanted: Wanted, place: str, dpd: int, verdict: str
) -> None:
    # House rule 7.18: no law on file of these places demands a notice; a person finds out which it is.
    answer = ask(book, asked_for(wanted, lent(store, place, dpd=dpd, all_in_ppm=100_000), "email", "required_notice"))
    assert (answer.verdict, against(answer)) == (verdict, {"policy.notice-due"})


@pytest.mark.parametrize(
    ("given", "says", "refused"),
    [
        ({"validation_sent_on": None}, {"message_validates": True}, set()),  # 15 U.S.C. 1692g(a)
        ({"validation_sent_on": None}, {"message_validates": False}, {"us.fdcpa.notice"}),
        ({}, {"message_validates": True}, {"us.fdcpa.notice"}),  # it was sent: no second one
        ({"dispute_open": True}, {"message_validates": True}, {"us.fdcpa.notice"}),  # 1692g(b): cease
    ],
)
def test_the_notice_of_validation_is_demanded_once(
    store: Any, book: Rulebook, wanted: Wanted, given: dict[str, Any], says: dict[str, bool], refused: set[str]
) -> None:
    loan = lent(store, "us", **given)
    answer = ask(book, asked_for(wanted, loan, "letter", "required_notice", **says))
    assert against(answer) == refused and answer.granted is not bool(refused)
    if not refused:
        make(book, asked_for(wanted, lent(store, "us", **given), "letter", "required_notice", **says))
        again = lent(store, "us", **given)
        make(book, asked_for(wanted, again, "letter", "required_notice", **says))
        at_noon(store, "us", DAY + timedelta(days=20))
        assert "us.fdcpa.notice" in against(ask(book, asked_for(wanted, again, "letter", "required_notice", **says)))


def two_behind(store: Any, loan: int) -> None:
    """The second of the two payments fell due five days ago, too."""
    store.sql("UPDATE instalment SET due_on = %s WHERE account_id = %s AND n = 2", DAY - timedelta(days=5), loan)


def test_a_notice_of_arrears_is_given_after_two_payments_missed_and_again_within_six_months(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    # Consumer Credit Act 1974, s. 86B(1)(c), (2)(b), in a breathing space too (SI 2020/1311, reg. 11).
    one, two = (lent(store, "gb", respite_until="2027-12-01") for _ in range(2))
    two_behind(store, two)
    assert against(ask(book, asked_for(wanted, one, "letter", "required_notice"))) == {"gb.arrears-notice.due"}
    make(book, asked_for(wanted, two, "letter", "required_notice"))
    for days, due in ((8, False), (151, False), (152, True)):
        at_noon(store, "gb", DAY + timedelta(days=days))
        answer = ask(book, asked_for(wanted, two, "email", "required_notice"))
        assert (against(answer), answer.granted) == (set() if due else {"gb.arrears-notice.due"}, due)


@pytest.mark.parametrize(("paid", "behind"), [(0, 2), (10_499, 1), (10_500, 1), (10_501, 0)])
def test_the_shortfall_is_measured_by_the_last_payments_due(store: Any, book: Rulebook, paid: int, behind: int) -> None:
    loan = store.lend(store.book("gb"))  # of two payments of 10,500 (s. 86B(1)(c)): what is short makes up so many
    two_behind(store, loan)
    if paid:
        store.sql("INSERT INTO payment VALUES (%s, 'P1', %s, %s)", loan, DAY - timedelta(days=3), paid)
    assert _by_gate(store.url, loan, book)["payments_behind"] == behind


def test_a_barred_debt_gets_no_notice_of_arrears(store: Any, book: Rulebook, wanted: Wanted) -> None:
    # CONC 7.15.4R; Limitation Act 1980, s. 5.
    loan = lent(store, "gb", dpd=2_300, opened_on=DAY - timedelta(days=2_500))
    two_behind(store, loan)
    assert "gb.time-barred.on-record" in against(ask(book, asked_for(wanted, loan, "letter", "required_notice")))


def test_an_answer_ends_what_it_answers_by_night_and_at_the_gate(store: Any, book: Rulebook, wanted: Wanted) -> None:
    # House rule 7.17: given a plea and a dispute, each is answered once; whether more was asked, a person finds out.
    pleaded, disputed = store.lend(hardship_until="2026-12-01"), store.lend(dispute_open=True)
    lost = store.lend(dispute_open=True)
    make(book, asked_for(wanted, pleaded, "plan_offer", "answer"))
    make(book, asked_for(wanted, disputed, "letter", "answer"))
    make(book, asked_for(wanted, lost, "letter", "answer"), "failed")  # one that did not arrive answered nothing
    assert _compare(store.url, book) == 3
    at_noon(store, "cn", DAY + timedelta(days=9))
    for loan, step in ((pleaded, "plan_offer"), (disputed, "letter")):
        again = ask(book, asked_for(wanted, loan, step, "answer"))
        assert (again.verdict, against(again)) == ("needs_human", {"policy.answer-asked"})
    assert ask(book, asked_for(wanted, lost, "letter", "answer")).granted


def test_what_does_not_press_comes_four_times_in_thirty_days(store: Any, book: Rulebook, wanted: Wanted) -> None:
    loan, other = store.lend(), store.lend(store.book(name="another"))  # house rule 7.20
    joined(store, loan, other)
    for day in (0, 7, 14, 21):
        at_noon(store, "cn", DAY + timedelta(days=day))
        make(book, asked_for(wanted, other, "letter", "end_of_collection"))
    at_noon(store, "cn", DAY + timedelta(days=28))
    again = ask(book, asked_for(wanted, loan, "email", "end_of_collection"))
    assert against(again) == {"policy.notice-spacing"}
    assert again.earliest is not None and again.earliest.isoformat() == "2026-07-30T00:00:00+00:00"


# ---- consent and clock are those of who is contacted -------------------------------------------------


@pytest.mark.parametrize("who", ["guarantor", "attorney"])
@pytest.mark.parametrize(
    ("step", "rules"),
    [
        ("sms", {"us.sms.consent.theirs", "policy.their-consent", "policy.their-clock"}),
        ("call", {"policy.their-clock"}),
        ("letter", set()),
    ],
)
def test_the_debtor_s_consent_and_clock_are_not_another_s(
    store: Any, book: Rulebook, wanted: Wanted, who: str, step: str, rules: set[str]
) -> None:
    # 47 CFR 64.1200(a)(1)(iii): the called party's consent; house rules 7.21 and 7.22. A person finds out and decides.
    loan = lent(store, "us", attorney=who == "attorney", dpd=6)
    request = wanted(loan, step, facts=FACTS | {"to_whom": who})
    answer = ask(book, request)
    theirs = {rule for rule in against(answer) if "their" in rule}
    assert theirs == rules
    assert not theirs & set(answer.spoke.get("forbids", ()))


def test_hours_agreed_with_the_debtor_open_none_towards_another(store: Any, law: Rulebook, wanted: Wanted) -> None:
    # 12 CFR 1006.6(b)(1)(i): 21:30 was agreed with the debtor; a guarantor has the hours of the law.
    loan = lent(store, "us", agreed_from_min=21 * 60, agreed_to_min=22 * 60, dpd=6)
    store.clock(f"{DAY}T21:30:00-04:00")
    assert ask(law, wanted(loan, "call")).granted
    assert "us.hours" in against(ask(law, wanted(loan, "call", facts=FACTS | {"to_whom": "guarantor"})))


# ---- what day it is where the zone is not known ------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "rule"),
    [("hardship_until", "policy.hardship"), ("promise_due_on", "policy.promise"), ("plan_until", "policy.plan-kept"),
     ("respite_until", "policy.respite")],
)  # fmt: skip
def test_without_a_zone_a_day_ends_when_it_ends_everywhere_in_the_place(
    store: Any, book: Rulebook, wanted: Wanted, until: str, rule: str
) -> None:
    # Given an American of no known zone, held through 30 June; at 20:30 in New York it is July by UTC, not by theirs.
    loan = lent(store, "us", **{until: str(DAY)})
    store.sql("UPDATE borrower SET zones = NULL")
    store.clock("2026-06-30T20:30:00-04:00")
    refused = ask(book, wanted(loan, "letter"))
    assert rule in refused.spoke["forbids"]
    # Then July begins for them when it has begun in Samoa, UTC-11.
    assert refused.earliest is not None and refused.earliest.isoformat() == "2026-07-01T11:00:00+00:00"
    store.clock("2026-07-01T11:00:00Z")
    assert ask(book, wanted(loan, "letter")).granted


def test_without_a_zone_a_second_notice_an_hour_later_is_of_the_same_day(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    loan = lent(store, "us")  # house rule 7.20
    store.sql("UPDATE borrower SET zones = NULL")
    store.clock("2026-06-30T19:30:00-04:00")
    make(book, asked_for(wanted, loan, "letter", "end_of_collection"))
    store.clock("2026-06-30T20:30:00-04:00")
    assert against(ask(book, asked_for(wanted, loan, "email", "end_of_collection"))) >= {"policy.notice-spacing"}


def test_what_does_not_press_comes_once_a_day_and_three_times_a_week_over_all_loans(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    # House rule 7.20: given a person with two loans, one of them in dispute, asked about in turn.
    loan, other = store.lend(dispute_open=True), store.lend(store.book(name="another"), dpd=40)
    joined(store, loan, other)
    for day, asked, purpose in (
        (0, loan, "answer"),
        (1, other, "end_of_collection"),
        (2, loan, "end_of_collection"),
    ):
        at_noon(store, "cn", DAY + timedelta(days=day))
        make(book, asked_for(wanted, asked, "letter", purpose))
        again = ask(book, asked_for(wanted, other, "email", "end_of_collection"))
        assert against(again) == {"policy.notice-spacing"}
    assert again.earliest is not None and again.earliest.isoformat() == "2026-07-07T00:00:00+00:00"
    at_noon(store, "cn", DAY + timedelta(days=6))
    assert not ask(book, asked_for(wanted, other, "letter", "end_of_collection")).granted
    at_noon(store, "cn", DAY + timedelta(days=7))
    assert ask(book, asked_for(wanted, other, "letter", "end_of_collection")).granted


@pytest.mark.parametrize("purpose", ["answer", "end_of_collection"])
def test_what_was_not_made_to_collect_opens_no_harsher_step(
    store: Any, book: Rulebook, wanted: Wanted, purpose: str
) -> None:
    # House rules 4.10 and 5.1: given three texts and a letter that did not press, neither call nor notice of a visit.
    loan = store.lend(dpd=40, dispute_open=purpose == "answer")
    for day in (1, 4, 7):
        store.contacted(loan, "sms", f"2026-06-{day:02}T10:00:00+08:00", "delivered")
    make(book, asked_for(wanted, loan, "letter", purpose))
    at_noon(store, "cn", DAY + timedelta(days=3))
    facts = _by_gate(store.url, loan, book)
    assert (facts["tries_made_episode"], facts["letters_made_episode"], facts["letters_episode"]) == (3, 0, 1)
    assert "policy.letter-before-call" in against(ask(book, wanted(loan, "call")))
    assert "policy.visit-after-milder" in against(ask(book, wanted(loan, "visit_notice")))
    assert _compare(store.url, book) == 1


def test_after_the_word_that_collection_ends_that_loan_is_collected_no_more(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    # 15 U.S.C. 1692c(c)(1), house rule 1.15: by night and at the gate; another loan of the person may be spoken of.
    loan, other = store.lend(dpd=40), store.lend(store.book(name="another"), dpd=6)
    joined(store, loan, other)
    make(book, asked_for(wanted, loan, "letter", "end_of_collection"))
    later = DAY + timedelta(days=2)
    at_noon(store, "cn", later)
    assert planned(store, book, loan, other, day=later) == ["none", "sms"]
    refused = ask(book, wanted(loan, "sms"))
    assert against(refused) == {"policy.collection-ended", "policy.one-voice"} and refused.earliest is None
    assert ask(book, wanted(other, "sms")).granted


def test_a_word_that_collection_ends_which_did_not_arrive_ended_nothing(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    loan = store.lend(dpd=40)
    make(book, asked_for(wanted, loan, "letter", "end_of_collection"), "failed")
    assert _by_gate(store.url, loan, book)["collection_ended"] is False
    assert _compare(store.url, book) == 1


def test_night_and_gate_count_purposes_alike_over_zones_and_books(store: Any, book: Rulebook) -> None:
    one = store.lend(zones="Asia/Shanghai|America/Anchorage")
    other = store.lend(store.book(name="another"), dpd=40, dispute_open=True, zones="Asia/Shanghai")
    joined(store, one, other)
    for n, loan in enumerate((one, other, one, other)):
        for hours in (2, 30, 160, 190):
            store.contacted(loan, "letter", f"2026-06-30T{n + 4:02}:00:00Z", "delivered")
            store.sql(
                "UPDATE contact SET at = at - make_interval(hours => %s), purpose = %s WHERE ref ="
                " (SELECT max(ref::int)::text FROM contact)",
                hours, ("collect", "answer", "required_notice", "end_of_collection")[n],
            )  # fmt: skip
    assert _compare(store.url, book) == 2
    facts = _by_gate(store.url, one, book)
    assert facts["notices_today"] > 0 and facts["notices_7d"] > facts["notices_today"] and facts["answer_due"] is None
    assert _by_gate(store.url, other, book)["collection_ended"] is True


# ---- and what is lawful has its way ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "lender", "given", "rule"),
    [
        ("in", "bank", {"dispute_open": True}, "in.bank.complaint"),  # RBI Directions 2025, 442(6)
        ("cn", "bank", {"plan_until": "2026-12-31", "dispute_open": True}, "cn.card.plan"),  # card measures, art. 70
        ("tw", "bank", {"respite_until": "2026-07-30", "dispute_open": True}, "tw.respite"),  # art. 19(1)
        ("cn", "bank", {"status": "charged_off", "dispute_open": True}, "policy.open-only"),
        ("cn", "bank", {"status": "paid_off", "dispute_open": True}, "policy.open-only"),
        ("cn", "bank", {"status": "sold", "dispute_open": True}, "policy.open-only"),
    ],
)
def test_a_dispute_is_answered_where_the_loan_may_not_be_collected(
    store: Any, book: Rulebook, wanted: Wanted, place: str, lender: str, given: dict[str, Any], rule: str
) -> None:
    loan = lent(store, place, lender, all_in_ppm=100_000, **given)
    assert rule in against(ask(book, wanted(loan, "letter")))
    assert rule not in against(ask(book, asked_for(wanted, loan, "letter", "answer")))


@pytest.mark.parametrize("held", [{"dispute_open": True}, {"dpd": 100}])
def test_a_good_loan_is_reminded_of_while_another_of_the_person_is_in_dispute_or_in_arrears(
    store: Any, book: Rulebook, wanted: Wanted, held: dict[str, Any]
) -> None:
    # House rule 3.1: one loan is collected; a reminder before another falls due collects nothing.
    loan, good = store.lend(**held), store.lend(store.book(name="another"), dpd=-2)
    joined(store, loan, good)
    assert planned(store, book, good) == ["reminder"]
    assert ask(book, wanted(good, "reminder")).granted
    assert "policy.one-voice" in against(ask(book, wanted(good, "letter")))


@pytest.mark.parametrize(
    ("product", "told", "held"), [("card", True, True), ("card", False, False), ("instalment", False, False)]
)
def test_a_card_above_the_ceiling_is_collected_to_it(
    store: Any, book: Rulebook, wanted: Wanted, product: str, told: bool, held: bool
) -> None:
    # 法发〔2017〕22号 art. 2, house rule 1.7: a card has no schedule to cut; where its terms are on file, the ledger
    # makes its statements and holds their charges to the ceiling.
    loan = store.lend(dpd=6, all_in_ppm=300_000, product=product)
    store.sql(
        "INSERT INTO ceiling (book_id, opened_on, product, ppm) SELECT book_id, opened_on, product, 240000 FROM account"
    )
    if told:
        store.sql(
            "INSERT INTO card_terms (account_id, first_statement_on, due_days, minimum_ppm)"
            " SELECT id, opened_on + 30, 20, 100000 FROM account"
        )
        store.sql("UPDATE account SET annual_rate_ppm = 300000")
    assert _compare(store.url, book) == 1
    assert _by_gate(store.url, loan, book)["demand_held"] is held
    assert ("policy.over-cap" not in against(ask(book, wanted(loan, "sms")))) is held
