"""What the record says of a person or a loan speaks by night as at the gate; and what the law demands has its way."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.contact.conftest import DAY, FACTS

from forbear.contact.models import Decision, Request
from forbear.contact.services import ask
from forbear.intake.services import import_book
from forbear.nightly.run import nightly
from forbear.rulebook.book import Rulebook

Wanted = Callable[..., Request]
IN_NEW_YORK = "2026-06-30T12:00:00-04:00"
IN_LONDON = "2026-06-30T12:00:00+01:00"


def planned(store: Any, book: Rulebook, *loans: int, day: date = DAY) -> list[str]:
    """The steps that a night takes about these loans."""
    run = nightly(day, book).run_id
    steps = dict(store.sql("SELECT account_id, step FROM decision WHERE run_id = %s", run))
    return [steps[loan] for loan in loans]


def joined(store: Any, one: int, other: int) -> None:
    """Both loans are one person's."""
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(one), store.borrower_of(other))


def against(answer: Decision) -> set[str]:
    return {*answer.spoke.get("forbids", ()), *answer.spoke.get("unknown", ()), *answer.spoke.get("no_hours", ())}


# ---- texts and hours: of the person -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "step", "rules"),
    [
        ({"opted_out_sms": True}, "call", {"policy.sms-refused", "policy.sms-consent"}),
        ({"sms_consent": False}, "call", {"policy.sms-refused", "policy.sms-consent"}),
        ({"sms_consent": None}, "sms", {"policy.sms-consent"}),  # a person finds out: house rule 7.12
        ({}, "sms", set()),
    ],
)
def test_a_text_that_was_refused_is_not_planned_and_the_next_lawful_step_is(
    store: Any, book: Rulebook, wanted: Wanted, given: dict[str, Any], step: str, rules: set[str]
) -> None:
    # House rule 7.11: given a debtor on the sixth day past due who refused texts, the night plans a call, and the gate
    # says of a text what the night said.
    loan = store.lend(dpd=6, **given)
    assert planned(store, book, loan) == [step]
    assert against(ask(book, wanted(loan, "sms"))) == rules


@pytest.mark.parametrize("told", [{"opted_out_sms": True}, {"sms_consent": False}])
def test_texts_refused_on_one_loan_are_refused_on_every_loan_of_the_person(
    store: Any, book: Rulebook, wanted: Wanted, told: dict[str, Any]
) -> None:
    # 47 CFR 64.1200(a)(10), house rule 7.11. Another record that merely does not know takes no consent away.
    loan, other = store.lend(dpd=6), store.lend(store.book(name="another"), dpd=0, **told)
    silent, unsaid = store.lend(dpd=6), store.lend(store.book(name="another"), dpd=0, sms_consent=None)
    joined(store, loan, other), joined(store, silent, unsaid)
    assert planned(store, book, loan, silent) == ["call", "sms"]
    assert "policy.sms-refused" in ask(book, wanted(loan, "sms")).spoke["forbids"]
    assert ask(book, wanted(silent, "sms")).granted


@pytest.mark.parametrize(
    ("own", "other", "window"),
    [
        ((None, None), (1080, 1200), ("10:00", "12:00")),  # agreed about another loan: within them, and the usual hours
        ((480, 600), (540, 720), ("01:00", "02:00")),  # both agreed: what is in both
        ((None, None), (420, 510), ("00:00", "00:30")),  # what was agreed about another loan widens nothing
        ((420, 510), (None, None), ("23:00", "00:30")),  # its own agreement does: GB/T 45251-2025
        ((480, 540), (600, 660), None),  # they exclude each other: a person sees to it
    ],
)
def test_hours_agreed_about_any_loan_bind_every_contact_with_the_person(
    store: Any, book: Rulebook, wanted: Wanted, own: Any, other: Any, window: tuple[str, str] | None
) -> None:
    def hours(span: Any) -> dict[str, Any]:
        return dict(zip(("agreed_from_min", "agreed_to_min"), span, strict=True))

    loan, second = store.lend(dpd=6, **hours(own)), store.lend(store.book(name="another"), dpd=0, **hours(other))
    joined(store, loan, second)
    run = nightly(DAY, book).run_id
    [(step, *ends)] = store.sql(
        "SELECT step, to_char(earliest AT TIME ZONE 'UTC', 'HH24:MI'), to_char(latest AT TIME ZONE 'UTC', 'HH24:MI')"
        " FROM decision WHERE run_id = %s AND account_id = %s", run, loan,
    )  # fmt: skip
    assert (step, *ends) == (("sms", *window) if window else ("none", None, None))
    # At the gate, at noon in Shanghai, 04:00 UTC: none of these.
    assert ask(book, wanted(loan, "sms")).verdict == "forbidden"


# ---- loans of a person --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "held", [{"dispute_open": True}, {"dispute_open": None}, {"all_in_ppm": 300_000}, {"plan_until": "2026-12-31"}]
)
def test_where_the_loan_longest_past_due_is_held_another_may_be_spoken_of(
    store: Any, book: Rulebook, wanted: Wanted, held: dict[str, Any]
) -> None:
    # House rule 3.1: one loan is spoken of, among those that may be collected.
    loan, other = store.lend(dpd=40, **held), store.lend(store.book(name="another"), dpd=6)
    joined(store, loan, other)
    assert planned(store, book, loan, other) == ["none", "sms"]
    assert ask(book, wanted(other, "sms")).granted
    assert not ask(book, wanted(loan, "letter")).granted


def test_what_holds_the_person_holds_every_loan(store: Any, book: Rulebook, wanted: Wanted) -> None:
    loan, other = store.lend(dpd=40, dispute_open=True), store.lend(store.book(name="another"), dpd=6)
    joined(store, loan, other)
    store.sql("UPDATE borrower SET stop_contact = true WHERE id = %s", store.borrower_of(loan))
    assert planned(store, book, loan, other) == ["none", "none"]
    assert against(ask(book, wanted(other, "sms"))) == {"policy.stop-contact"}


def test_once_the_excess_is_off_the_demand_what_is_lawful_may_be_asked_for(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    # House rule 1.7, 法发〔2017〕22号 art. 2: given a loan at over 24% by its interest, and one that is so by something
    # else than its schedule shows. The night takes the excess off the first, and asks for the rest.
    loan, odd = (store.lend(dpd=6, all_in_ppm=900_000, principal_minor=20_000) for _ in range(2))
    store.sql("UPDATE instalment SET interest_minor = 6000 WHERE account_id = %s", loan)
    assert "policy.over-cap" in ask(book, wanted(loan, "sms")).spoke["forbids"]
    assert planned(store, book, loan, odd) == ["sms", "none"]
    answer = ask(book, wanted(loan, "sms"))
    assert answer.granted and answer.facts["demand_held"] is True and 10_000 <= answer.facts["arrears"] < 16_000
    assert against(ask(book, wanted(odd, "sms"))) == {"policy.over-cap"}


# ---- left out of a newer picture ----------------------------------------------------------------------


def take_in(folder: Path, day: date, refs: list[str], whole: bool) -> None:
    """A book of these loans, each ten days past due on the last picture's day, as it stood on `day`."""
    folder.mkdir()
    (folder / "book.toml").write_text(
        'name = "lender"\njurisdiction = "cn"\nlender_type = "bank"\ncollector = "creditor"\ncurrency = "CNY"\n'
        f"history_from = 2026-01-01\nsnapshot_on = {day}\nwhole = {str(whole).lower()}\n",
        "utf-8",
    )
    heads = {
        "borrowers": "ref,zones,can_sms,can_call,can_write,sms_consent,stop_contact,attorney,bankrupt,incapable,"
        "unreachable,workplace_forbidden,opted_out_sms,vulnerable",
        "loans": "ref,borrower_ref,product,status,opened_on,principal,dispute_open",
        "instalments": "loan_ref,n,due_on,principal,interest",
        "payments": "loan_ref,ref,paid_on,amount",
        "contacts": "loan_ref,ref,at,step,outcome",
    }
    rows: dict[str, list[str]] = {table: [] for table in heads}
    for ref in refs:
        rows["borrowers"].append(f"B{ref},Asia/Shanghai,true,true,true,true" + ",false" * 8)
        rows["loans"].append(f"{ref},B{ref},instalment,open,2026-01-20,1000,false")
        rows["instalments"] += [f"{ref},1,2026-06-20,500,10", f"{ref},2,2026-12-20,500,10"]
    for table, head in heads.items():
        (folder / f"{table}.csv").write_text("\n".join([head, *rows[table]]) + "\n", "utf-8")
    assert import_book(folder, "forbear").bad == 0


def test_a_loan_that_the_newest_whole_picture_lacks_is_held_until_it_is_told_of(
    store: Any, book: Rulebook, wanted: Wanted, tmp_path: Path
) -> None:
    # House rule 1.13. Given two loans, of which the next picture, which says that it is whole, has one.
    take_in(tmp_path / "a", DAY - timedelta(days=2), ["L1", "L2"], whole=True)
    (one,), (other,) = store.sql("SELECT id FROM account ORDER BY ref")
    take_in(tmp_path / "b", DAY - timedelta(days=1), ["L1"], whole=True)
    # When the night and the gate are asked, then both leave the other to a person, who may find out.
    assert planned(store, book, one, other, day=DAY - timedelta(days=1)) == ["sms", "none"]
    store.clock("2026-06-29T12:00:00+08:00")
    answer = ask(book, wanted(other, "sms"))
    assert answer.verdict == "needs_human" and against(answer) == {"policy.left-book"}
    assert ask(book, wanted(one, "sms")).granted
    # A file that holds some loans alone leaves none out, and frees whom it tells of.
    take_in(tmp_path / "c", DAY, ["L2"], whole=False)
    store.clock("2026-06-30T12:00:00+08:00")
    assert against(ask(book, wanted(other, "sms"))) == set()
    assert "policy.left-book" not in against(ask(book, wanted(one, "sms")))


# ---- what the law demands, and what the borrower asked ------------------------------------------------


def asked_for(wanted: Wanted, loan: int, step: str, purpose: str, **facts: Any) -> Request:
    return wanted(loan, step, facts=FACTS | {"purpose": purpose} | facts)


@pytest.mark.parametrize(
    ("place", "given", "purpose", "collecting"),
    [
        # 15 U.S.C. 1692g(a): the validation notice on the third day, the day after a text.
        ("us", {"dpd": 3, "validation_sent_on": None}, "required_notice", {"policy.letter-due", "policy.spacing"}),
        # 1692g(b): the proof of a debt in dispute. 1692c(c): the word that collection ends.
        ("us", {"dispute_open": True}, "answer", {"policy.dispute", "us.fdcpa.dispute", "us.dispute"}),
        ("us", {"stop_contact": True}, "end_of_collection", {"policy.stop-contact", "us.fdcpa.cease", "us.cease"}),
        # Consumer Credit Act 1974 s. 86B(2): the notice of arrears, in a breathing space, to a vulnerable customer.
        (
            "gb",
            {"respite_until": "2026-08-01", "vulnerable": True},
            "required_notice",
            {"policy.respite", "gb.respite.contact", "gb.vulnerable"},
        ),
        ("gb", {"dispute_open": True}, "answer", {"policy.dispute", "gb.dispute"}),
        ("gb", {"hardship_until": "2026-08-01"}, "required_notice", {"policy.hardship", "gb.plan-in-making"}),
        # An answer to who asked for a plan in hardship.
        ("cn", {"hardship_until": "2026-08-01"}, "answer", {"policy.hardship"}),
    ],
)
def test_what_the_law_demands_or_the_borrower_asked_goes_out_where_collecting_is_held(
    store: Any, book: Rulebook, wanted: Wanted, place: str, given: dict[str, Any], purpose: str, collecting: set[str]
) -> None:
    clock, zones = {
        "us": (IN_NEW_YORK, "America/New_York"),
        "gb": (IN_LONDON, "Europe/London"),
        "cn": ("2026-06-30T12:00:00+08:00", "Asia/Shanghai"),
    }[place]
    store.clock(clock)
    loan = store.lend(store.book(place), zones=zones, **{"dpd": 20} | given)
    if place == "gb" and purpose == "required_notice":  # two payments missed
        store.sql("UPDATE instalment SET due_on = %s WHERE n = 2", DAY - timedelta(days=5))
    if given.get("dpd") == 3:
        store.contacted(loan, "sms", "2026-06-29T12:00:00-04:00", "delivered")
    answer = ask(book, asked_for(wanted, loan, "letter", "collect", message_validates=True))
    assert against(answer) >= collecting and not answer.granted
    answer = ask(book, asked_for(wanted, loan, "letter", purpose, message_validates=True))
    assert against(answer) == set() and answer.granted
    # It is written, and to nobody outside of the debt: house rules 7.16 and 7.13.
    assert "policy.written-only" in against(ask(book, asked_for(wanted, loan, "call", purpose)))
    assert "policy.others-only-if-lost" in against(
        ask(book, asked_for(wanted, loan, "letter", purpose, to_whom="third_party"))
    )


def test_a_contact_that_does_not_say_what_it_is_for_is_collecting(store: Any, book: Rulebook, wanted: Wanted) -> None:
    answer = ask(book, wanted(store.lend(dispute_open=True), "letter"))
    assert "policy.dispute" in answer.spoke["forbids"] and answer.facts["purpose"] == "collect"


@pytest.mark.parametrize(("incapable", "lost"), [(False, True), (True, True), (True, False)])
def test_a_contact_person_may_be_asked_where_the_debtor_is_lost_dead_or_incapable(
    store: Any, book: Rulebook, wanted: Wanted, incapable: bool, lost: bool
) -> None:
    # GB/T 45251-2025 (5.3), CBA guideline 2026: asked where the debtor is; nobody outside of the debt is collected from
    # (card measures 2011, art. 68).
    loan = store.lend(incapable=incapable, unreachable=lost)
    # By telephone, a person decides: no record tells by what clock they live (house rule 7.22).
    by_telephone = ask(book, asked_for(wanted, loan, "call", "locate", to_whom="contact_person"))
    assert (by_telephone.verdict, against(by_telephone)) == ("needs_human", {"policy.their-clock"})
    assert ask(book, asked_for(wanted, loan, "letter", "locate", to_whom="contact_person")).granted
    refused = against(ask(book, asked_for(wanted, loan, "call", "collect", to_whom="contact_person")))
    assert "cn.card.debtor-guarantor" in refused
    found = store.lend(unreachable=False)
    refused = against(ask(book, asked_for(wanted, found, "call", "locate", to_whom="contact_person")))
    assert {"cn.debtor-only", "policy.others-only-if-lost"} <= refused


# ---- the record's word before the asker's -------------------------------------------------------------


def test_whether_a_third_person_was_asked_before_the_record_says(store: Any, book: Rulebook, wanted: Wanted) -> None:
    # 15 U.S.C. 1692b(3), 12 CFR 1006.10(c): where the consumer is, the same person is asked once.
    store.clock(IN_NEW_YORK)
    loan = store.lend(store.book("us"), zones="America/New_York", unreachable=True)
    request = asked_for(wanted, loan, "letter", "locate", to_whom="employer", third_party_before=False)
    assert ask(book, request).granted
    other = store.lend(store.book("us", name="another"), zones="America/New_York", unreachable=True, dpd=0)
    joined(store, loan, other)
    store.contacted(other, "call", "2026-05-01T12:00:00-04:00")
    store.sql("UPDATE contact SET to_whom = 'employer' WHERE account_id = %s", other)
    store.sql("UPDATE permission SET voided_at = gate_now()")
    again = ask(book, request.model_copy(update={"key": wanted(loan).key}))
    assert {"us.fdcpa.location.once", "us.location.once"} <= against(again)
    assert again.facts["third_party_before"] is True


@pytest.mark.parametrize(("paid", "barred"), [(None, True), ("2020-06-28", True), ("2020-07-01", False)])
def test_a_debt_that_the_record_shows_barred_is_not_planned_nor_granted_on_the_asker_s_word(
    store: Any, book: Rulebook, wanted: Wanted, paid: str | None, barred: bool
) -> None:
    # FCA CONC 7.15.4R; Limitation Act 1980 ss. 5, 29(5): six years from the due day, anew from a payment.
    store.clock(IN_LONDON)
    old = {"dpd": 2_300, "opened_on": DAY - timedelta(days=2_500), "zones": "Europe/London"}
    loan = store.lend(store.book("gb"), **old)
    if paid:
        store.sql("INSERT INTO payment VALUES (%s, 'P1', %s, 100)", loan, paid)
    assert (planned(store, book, loan) == ["none"]) is barred
    answer = ask(book, wanted(loan, "letter", facts=FACTS | {"time_barred": False}))
    assert ("gb.time-barred.on-record" in against(answer)) is barred


@pytest.mark.parametrize(("attorney", "step"), [(True, "none"), (False, "sms"), (None, "sms")])
def test_who_is_represented_is_not_contacted_where_the_law_says_nothing_of_it_either(
    store: Any, book: Rulebook, wanted: Wanted, attorney: bool | None, step: str
) -> None:
    # House rule 1.14; and a bank's loan in Hong Kong has a ceiling by its code (12.3): it is not held for want of one.
    loan = store.lend(store.book("hk"), zones="Asia/Hong_Kong", dpd=6, attorney=attorney)
    assert planned(store, book, loan) == [step]
    assert against(ask(book, wanted(loan, "sms"))) == ({"policy.represented"} if attorney else set())
