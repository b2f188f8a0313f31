"""The gate by example: what counts, what a permission is good for, what time it is, and who may say otherwise."""

import ast
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError
from tests.contact.conftest import FACTS, NOON

from forbear.contact import reads, services
from forbear.contact.channels import Outbox
from forbear.contact.errors import Misasked, NoSuchPermission, NotUsable
from forbear.contact.models import Decision, Request
from forbear.contact.services import ask, report, text_hash, use, void
from forbear.nightly.errors import NoDecision
from forbear.nightly.history import replay_request
from forbear.nightly.why import why
from forbear.rulebook.book import Rulebook

Wanted = Callable[..., Request]


# ---- granting and counting --------------------------------------------------------------------------


def test_a_lawful_call_is_granted_for_minutes_and_its_answer_is_kept(store: Any, law: Rulebook, wanted: Wanted) -> None:
    answer = ask(law, wanted(store.lend()))
    assert answer.granted and answer.verdict == "permitted" and answer.earliest is None
    assert answer.permission is not None
    assert answer.permission.expires_at == answer.requested_at + timedelta(minutes=5)
    assert "cn.hours" in answer.spoke["hours"] and "cn.call.daily" in answer.spoke["permits"]
    kept = store.sql("SELECT verdict, spoke -> 'hours' ? 'cn.hours', facts ->> 'connected_today', rulebook_sha256"
                     " FROM gate_request")  # fmt: skip
    assert kept == [("permitted", True, "0", law.sha256)]
    # The rules of that answer are kept whole with it.
    assert store.sql("SELECT count(*) FROM rulebook WHERE sha256 = %s", law.sha256) == [(1,)]


def test_the_fourth_connected_call_of_a_day_is_refused_until_the_next_morning(
    store: Any, law: Rulebook, wanted: Wanted
) -> None:
    # GB/T 45251-2025: at most three connected calls a day to one debtor, all loans and agencies counted together.
    one = store.lend()
    other = store.lend(borrower=store.borrower_of(one))
    elsewhere = store.lend(store.book(name="an agency's book"))
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(one), store.borrower_of(elsewhere))
    for hour, loan in ((9, one), (10, other), (11, elsewhere)):
        store.contacted(loan, "call", f"2026-06-30T{hour:02}:00:00+08:00")
    answer = ask(law, wanted(other))
    assert not answer.granted and answer.spoke["forbids"] == ("cn.call.daily",)
    assert answer.facts["connected_today"] == 3
    assert answer.earliest == datetime.fromisoformat("2026-07-01T08:00:00+08:00")
    # A text is no call.
    assert ask(law, wanted(other, "sms")).granted


def test_a_permission_counts_as_a_connected_call_until_its_end_is_known(
    store: Any, law: Rulebook, wanted: Wanted
) -> None:
    loan = store.lend()
    granted = [ask(law, wanted(loan, agency=agency)) for agency in (None, "alpha", "beta")]
    assert all(answer.granted for answer in granted)
    assert not ask(law, wanted(loan)).granted
    # Used, it still counts; known not to have been answered, it counts no more.
    first = granted[0].permission
    assert first is not None
    use(law, first.id)
    assert not ask(law, wanted(loan)).granted
    report(law, first.id, "no_answer", "staff-3")
    assert ask(law, wanted(loan)).granted


def test_what_was_not_used_lapses(store: Any, law: Rulebook, wanted: Wanted) -> None:
    loan = store.lend()
    first, *_ = [ask(law, wanted(loan)).permission for _ in range(3)]
    assert first is not None
    store.clock(first.expires_at - timedelta(microseconds=1))
    assert not ask(law, wanted(loan)).granted
    store.clock(first.expires_at)
    with pytest.raises(NotUsable, match="expired"):
        use(law, first.id)
    assert ask(law, wanted(loan)).granted


def test_what_is_given_back_counts_no_more(store: Any, law: Rulebook, wanted: Wanted) -> None:
    loan = store.lend()
    granted = [ask(law, wanted(loan)).permission for _ in range(3)]
    assert granted[0] is not None
    void(granted[0].id)
    assert ask(law, wanted(loan)).granted
    with pytest.raises(NotUsable, match="given back"):
        use(law, granted[0].id)


def test_after_a_conversation_an_agency_does_not_call_for_seven_days(store: Any, law: Rulebook, wanted: Wanted) -> None:
    # 12 CFR 1006.14(b)(2)(i)(B): the day of the conversation is the first of the seven.
    store.clock("2026-06-30T12:00:00-04:00")
    loan = store.lend(store.book("us"), zones="America/New_York")
    granted = ask(law, wanted(loan)).permission
    assert granted is not None
    use(law, granted.id)
    report(law, granted.id, "conversation", "staff-3")
    answer = ask(law, wanted(loan))
    assert answer.spoke["forbids"] == ("us.call.after-conversation",)
    assert answer.earliest == datetime.fromisoformat("2026-07-07T08:00:00-04:00")


def test_the_house_s_ladder_binds_at_the_gate(store: Any, book: Rulebook, wanted: Wanted) -> None:
    # Given a text yesterday, then the house's two days of quiet stand until tomorrow.
    loan = store.lend(dpd=9)
    store.contacted(loan, "sms", "2026-06-29T10:00:00+08:00", "delivered")
    answer = ask(book, wanted(loan))
    assert answer.spoke["forbids"] == ("policy.spacing",) and answer.facts["days_since_contact"] == 1
    assert answer.earliest == datetime.fromisoformat("2026-07-01T08:00:00+08:00")


@pytest.mark.parametrize("given", [{"stop_contact": True}, {"dispute_open": True}, {"status": "sold"}])
def test_what_waiting_does_not_mend_has_no_earliest_time(
    store: Any, book: Rulebook, wanted: Wanted, given: dict[str, Any]
) -> None:
    answer = ask(book, wanted(store.lend(**given)))
    assert answer.verdict == "forbidden" and answer.earliest is None


# ---- what is unknown --------------------------------------------------------------------------------


def test_an_unknown_fact_is_a_refusal_that_a_named_person_may_lift(store: Any, book: Rulebook, wanted: Wanted) -> None:
    loan = store.lend(dispute_open=None)
    answer = ask(book, wanted(loan))
    assert answer.verdict == "needs_human" and not answer.granted
    lifted = _lifted(book, wanted, loan)
    assert lifted.granted and lifted.verdict == "needs_human"
    assert store.sql("SELECT decided_by, reason, overrides FROM gate_request WHERE id = %s", lifted.request_id) == [
        ("staff-7", "asked the court today", store.sql("SELECT min(id::text)::uuid FROM gate_request"
                                                      " WHERE expires_at IS NULL AND requested_by = 'clerk'")[0][0])
    ]  # fmt: skip
    assert lifted.permission is not None and use(book, lifted.permission.id)
    with pytest.raises(ValidationError, match="another than requested_by"):
        wanted(loan, decided_by="dialer-1", reason="I lift my own", overrides=answer.request_id)


def _lifted(book: Rulebook, wanted: Wanted, loan: int, step: str = "call", **given: Any) -> Decision:
    """A contact that a clerk was refused, asked for again with what another person decided on that answer."""
    first = ask(book, wanted(loan, step, requested_by="clerk", **given))
    said = {"decided_by": "staff-7", "reason": "asked the court today", "overrides": first.request_id}
    return ask(book, wanted(loan, step, **said, **given))


def test_a_person_decides_on_an_earlier_answer_about_this_very_contact_and_once(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    loan, other = store.lend(dispute_open=None), store.lend(dispute_open=None)
    first = ask(book, wanted(loan)).request_id

    def refused(**given: Any) -> str:
        said = {"account_id": loan, "decided_by": "staff-7", "reason": "seen", "overrides": first} | given
        with pytest.raises(Misasked) as told:
            ask(book, wanted(**said))
        assert told.value.field == "overrides" and told.value.remedy
        return told.value.reason

    assert "no request on file" in refused(overrides=uuid.uuid4())
    assert "another contact" in refused(account_id=other)
    assert "another contact" in refused(step="letter")
    assert "another contact" in refused(agency="alpha")
    assert "another contact" in refused(facts=FACTS | {"recorded": False})
    # Neither who asks now nor who asked then decides.
    assert "who decides now" in refused(decided_by="dialer-1", requested_by="dialer-2")
    assert "who decides now" in refused(decided_by="Dialer-1", requested_by="dialer-2")
    with pytest.raises(ValueError, match="another than requested_by"):
        wanted(loan, requested_by="alice", decided_by="Alice", reason="seen", overrides=first)
    permitted = ask(book, wanted(store.lend())).request_id
    assert "another contact" in refused(overrides=permitted)
    assert store.sql("SELECT count(*) FROM gate_request") == [(2,)]
    # What lacks now must have lacked when it was decided on.
    store.sql("UPDATE borrower SET attorney = NULL, unreachable = NULL; UPDATE account SET all_in_ppm = NULL")
    assert "lacked less" in refused()
    store.sql("UPDATE borrower SET attorney = false, unreachable = false; UPDATE account SET all_in_ppm = 180000")
    lifts = wanted(loan, decided_by="staff-7", reason="seen", overrides=first)
    granted = ask(book, lifts)
    assert granted.granted and ask(book, lifts) == granted  # the same key, the same answer
    assert granted.permission is not None
    void(granted.permission.id)
    assert "decided on before" in refused()
    # A day later it is another question.
    late = ask(book, wanted(loan)).request_id
    store.clock("2026-07-01T12:00:01+08:00")
    assert "of the last 24 hours" in refused(overrides=late)


def test_what_a_person_did_not_decide_on_voids_the_permission_when_it_is_used(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    loan = store.lend(dispute_open=None)
    granted = _lifted(book, wanted, loan).permission
    assert granted is not None
    store.sql("UPDATE account SET all_in_ppm = NULL")
    with pytest.raises(NotUsable, match="not permitted any more"):
        use(book, granted.id)


@pytest.mark.parametrize(
    ("step", "on_file", "facts"),
    [
        ("call", {"stop_contact": None}, FACTS),
        ("call", {"incapable": None}, FACTS),
        ("call", {}, {"to_whom": "debtor"}),
        ("email", {"zones": None}, FACTS),
        ("email", {"zones": None, "dispute_open": None}, FACTS),
    ],
)
def test_a_stop_the_content_and_the_place_are_never_lifted(
    store: Any, book: Rulebook, wanted: Wanted, step: str, on_file: dict[str, Any], facts: dict[str, Any]
) -> None:
    answer = _lifted(book, wanted, store.lend(**on_file), step, facts=facts)
    assert answer.verdict == "needs_human" and not answer.granted and answer.decided_by is None


def test_nobody_lifts_what_a_rule_forbids(store: Any, book: Rulebook, wanted: Wanted) -> None:
    loan = store.lend(incapable=True)
    with pytest.raises(Misasked, match="not answered with needs_human"):
        _lifted(book, wanted, loan)
    # Nor what came to be forbidden since it was decided on.
    loan = store.lend(dispute_open=None)
    said = {"decided_by": "staff-7", "reason": "seen", "overrides": ask(book, wanted(loan)).request_id}
    store.sql("UPDATE account SET dispute_open = true")
    answer = ask(book, wanted(loan, **said))
    assert answer.verdict == "forbidden" and not answer.granted and answer.decided_by is None


# ---- use, report, channels --------------------------------------------------------------------------


def test_a_permission_serves_one_contact(store: Any, law: Rulebook, wanted: Wanted) -> None:
    loan = store.lend()
    granted = ask(law, wanted(loan, agency="alpha")).permission
    assert granted is not None
    made = use(law, granted.id)
    assert (made.account_id, made.step) == (loan, "call")
    with pytest.raises(NotUsable, match="was used"):
        use(law, granted.id)
    assert store.sql("SELECT step, outcome, agency, permission_id FROM contact") == [
        ("call", "pending", "alpha", granted.id)
    ]
    with pytest.raises(NoSuchPermission):
        use(law, uuid.uuid4())


@pytest.mark.parametrize(
    "since",
    [
        "UPDATE borrower SET stop_contact = true",
        "UPDATE borrower SET incapable = NULL",
        "UPDATE account SET dispute_open = true",
        "UPDATE account SET status = 'paid_off'",
        "INSERT INTO payment (account_id, ref, paid_on, amount_minor) SELECT id, 'x', '2026-06-30', 20500 FROM account",
    ],
)
def test_what_ceased_to_be_lawful_since_it_was_granted_is_not_used(
    store: Any, book: Rulebook, wanted: Wanted, since: str
) -> None:
    granted = ask(book, wanted(store.lend())).permission
    assert granted is not None
    store.sql(since)
    with pytest.raises(NotUsable) as refused:
        use(book, granted.id)
    assert refused.value.why == "unlawful" and store.sql("SELECT 1 FROM contact") == []
    # What stood against it is told, and kept with its reasons beside the permission.
    assert refused.value.decision is not None and not refused.value.decision.granted
    kept = store.sql("SELECT id, verdict, spoke FROM gate_request WHERE at_use_of = %s", granted.id)
    spoke = {says: list(ids) for says, ids in refused.value.decision.spoke.items()}
    # The number that is told is that of the refusal, by which it can be replayed.
    told = refused.value.decision
    assert kept == [(told.request_id, told.verdict, spoke)] and spoke.get("forbids", spoke.get("unknown"))
    assert store.sql("SELECT used_at IS NULL, voided_at IS NOT NULL FROM permission") == [(True, True)]


def test_a_decision_of_a_person_does_not_outlive_a_prohibition(store: Any, book: Rulebook, wanted: Wanted) -> None:
    granted = _lifted(book, wanted, store.lend(dispute_open=None)).permission
    assert granted is not None
    store.sql("UPDATE account SET dispute_open = true")
    with pytest.raises(NotUsable, match="not permitted any more"):
        use(book, granted.id)


def test_a_report_only_gets_graver_and_fits_the_step(store: Any, law: Rulebook, wanted: Wanted) -> None:
    granted = ask(law, wanted(store.lend())).permission
    assert granted is not None
    with pytest.raises(NotUsable, match="Use it first"):
        report(law, granted.id, "no_answer", "staff-3")
    use(law, granted.id)
    # A call that is told as "delivered" would escape the count of those connected.
    with pytest.raises(Misasked, match="no end of a call"):
        report(law, granted.id, "delivered", "staff-3")
    assert store.sql("SELECT outcome FROM contact") == [("pending",)]  # counts as a conversation until it is told
    for outcome in ("no_answer", "connected", "connected", "conversation"):
        report(law, granted.id, outcome, "staff-3")  # type: ignore[arg-type]
    with pytest.raises(Misasked, match="milder"):
        report(law, granted.id, "no_answer", "staff-3")
    # Who said what is kept: each report that changed it.
    assert store.sql("SELECT outcome, reported_by FROM contact_report ORDER BY id") == [
        (outcome, "staff-3") for outcome in ("no_answer", "connected", "conversation")
    ]


def test_a_channel_takes_that_message_with_that_permission_and_no_other(
    store: Any, law: Rulebook, wanted: Wanted
) -> None:
    loan, text, box = store.lend(), "您的分期款已逾期，请联系我们。退订回 T", Outbox()
    granted = ask(law, wanted(loan, "sms", text_sha256=text_hash(text))).permission
    assert granted is not None
    for account, step, words in ((loan + 1, "sms", text), (loan, "email", text), (loan, "sms", text + "!")):
        with pytest.raises(NotUsable, match="another account, step or text"):
            box.send(law, granted.id, account, step, words)
    with pytest.raises(Misasked, match="not carried"):
        box.send(law, granted.id, loan, "call", text)
    assert store.sql("SELECT count(*) FROM outbox") == [(0,)]
    box.send(law, granted.id, loan, "sms", text)
    assert store.sql("SELECT account_id, step, text FROM outbox") == [(loan, "sms", text)]
    with pytest.raises(NotUsable, match="was used"):
        box.send(law, granted.id, loan, "sms", text)
    # What sends a text is not asked for without it.
    with pytest.raises(Misasked) as missing:
        ask(law, wanted(loan, "sms", text_sha256=None))
    assert missing.value.field == "text_sha256"


def test_a_message_that_is_not_delivered_does_not_use_its_permission(store: Any, law: Rulebook, wanted: Wanted) -> None:
    class Broken(Outbox):
        def deliver(self, *_: Any) -> None:
            raise RuntimeError("the line is down")

    loan = store.lend()
    granted = ask(law, wanted(loan, "sms", text_sha256=text_hash("x"))).permission
    assert granted is not None
    with pytest.raises(RuntimeError):
        Broken().send(law, granted.id, loan, "sms", "x")
    assert store.sql("SELECT used_at FROM permission") == [(None,)] and store.sql("SELECT 1 FROM contact") == []
    Outbox().send(law, granted.id, loan, "sms", "x")


# ---- the request ------------------------------------------------------------------------------------


def test_the_same_key_gets_the_same_answer_whatever_has_changed(store: Any, book: Rulebook, wanted: Wanted) -> None:
    loan = store.lend()
    request = wanted(loan)
    first = ask(book, request)
    store.sql("UPDATE borrower SET incapable = true")
    assert ask(book, request) == first
    assert not ask(book, wanted(loan)).granted
    assert store.sql("SELECT count(*) FROM permission") == [(1,)]
    with pytest.raises(Misasked, match="another request"):
        ask(book, wanted(loan, "sms", key=request.key))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"step": "none"}, "step"),
        ({"step": "smoke_signal"}, "step"),
        ({"account_id": 999}, "account_id"),
        ({"facts": {}}, "facts.to_whom"),
        ({"facts": {"to_whom": "the dog"}}, "facts.to_whom"),
        ({"facts": {"to_whom": "debtor", "visitors": True}}, "facts.visitors"),
        ({"facts": {"to_whom": "debtor", "dpd": 3}}, "facts"),
    ],
)
def test_a_request_that_can_t_be_read_names_the_field_and_keeps_nothing(
    store: Any, law: Rulebook, wanted: Wanted, given: dict[str, Any], field: str
) -> None:
    loan = store.lend()
    with pytest.raises(Misasked) as refused:
        ask(law, wanted(**{"account_id": loan, **given}))
    assert refused.value.field == field and refused.value.remedy
    assert store.sql("SELECT count(*) FROM gate_request") == [(0,)]


def test_who_asks_is_a_number_not_a_name(wanted: Wanted) -> None:
    with pytest.raises(ValidationError):
        wanted(1, requested_by="王 小明")
    with pytest.raises(ValidationError, match="belong together"):
        wanted(1, decided_by="staff-7", reason="without the answer that is decided on")


# ---- time -------------------------------------------------------------------------------------------


def test_a_call_at_2359_is_of_one_day_and_at_0001_of_the_next(store: Any, law: Rulebook, wanted: Wanted) -> None:
    # Given hours agreed for the whole day and three calls before midnight, then the next is lawful at midnight.
    loan = store.lend(agreed_from_min=0, agreed_to_min=1440)
    for minute in (50, 55, 59):
        store.contacted(loan, "call", f"2026-06-30T23:{minute}:00+08:00")
    store.clock("2026-06-30T23:59:30+08:00")
    late = ask(law, wanted(loan))
    assert not late.granted and late.earliest == datetime.fromisoformat("2026-07-01T00:00:00+08:00")
    store.clock("2026-07-01T00:01:00+08:00")
    early = ask(law, wanted(loan))
    assert early.granted and early.facts["connected_today"] == 0


def test_no_permission_outlives_the_lawful_hours_or_the_day(store: Any, law: Rulebook, wanted: Wanted) -> None:
    loan, free = store.lend(), store.lend(agreed_from_min=0, agreed_to_min=1440)
    store.clock("2026-06-30T21:58:00+08:00")
    granted = ask(law, wanted(loan)).permission
    assert granted is not None and granted.expires_at == datetime.fromisoformat("2026-06-30T22:00:00+08:00")
    store.clock("2026-06-30T22:00:00+08:00")
    with pytest.raises(NotUsable):
        use(law, granted.id)
    # At midnight the day's count and its law end, hence the permission too: also for a letter, which has no hours.
    store.clock("2026-06-30T23:58:00+08:00")
    for request in (wanted(free), wanted(loan, "letter")):
        until = ask(law, request).permission
        assert until is not None and until.expires_at == datetime.fromisoformat("2026-07-01T00:00:00+08:00")


def test_a_change_of_law_at_midnight_decides_by_the_law_of_the_minute(
    store: Any, law: Rulebook, wanted: Wanted
) -> None:
    # The standard replaced the guidelines on 2025-02-28, at midnight in Shanghai.
    loan = store.lend(agreed_from_min=0, agreed_to_min=1440, opened_on=datetime(2024, 12, 1).date())  # noqa: DTZ001
    store.clock("2025-02-27T23:59:59+08:00")
    before = ask(law, wanted(loan))
    store.clock("2025-02-28T00:00:00+08:00")
    after = ask(law, wanted(loan))
    assert "cn.nifa.call-daily" in before.spoke["permits"] and "cn.call.daily" not in before.spoke["permits"]
    assert "cn.call.daily" in after.spoke["permits"]


def test_the_leap_day_is_a_day(store: Any, law: Rulebook, wanted: Wanted) -> None:
    # Three calls on 2028-02-29 fill that day, and neither the 28th nor 1 March.
    loan = store.lend(day=datetime(2028, 2, 29).date())  # noqa: DTZ001
    for hour in (9, 10, 11):
        store.contacted(loan, "call", f"2028-02-29T{hour:02}:00:00+08:00")
    store.clock("2028-02-29T12:00:00+08:00")
    answer = ask(law, wanted(loan))
    assert answer.spoke["forbids"] == ("cn.call.daily",)
    assert answer.earliest == datetime.fromisoformat("2028-03-01T08:00:00+08:00")
    store.clock("2028-03-01T12:00:00+08:00")
    assert ask(law, wanted(loan)).granted


@pytest.mark.parametrize(
    ("at", "granted"),
    [
        # 2026-03-08, New York: clocks go from 02:00 to 03:00, so 08:00 comes an hour sooner in UTC. Lawful by
        # both readings only: from 08:00 standard time (09:00 on the clock) to 21:00 daylight time.
        ("2026-03-08T08:30:00-04:00", False),
        ("2026-03-08T09:00:00-04:00", True),
        ("2026-03-08T20:59:00-04:00", True),
        ("2026-03-08T21:00:00-04:00", False),
        # 2026-11-01: the hour from 01:00 to 02:00 occurs twice. 08:00 standard time to 20:00 standard time.
        ("2026-11-01T07:59:00-05:00", False),
        ("2026-11-01T08:00:00-05:00", True),
        ("2026-11-01T19:59:00-05:00", True),
        ("2026-11-01T20:00:00-05:00", False),
    ],
)
def test_on_days_of_clock_change_an_hour_is_lawful_by_both_readings(
    store: Any, law: Rulebook, wanted: Wanted, at: str, granted: bool
) -> None:
    # 12 CFR 1006.6(b)(1)(i): 08:00 to 21:00 at the consumer's place.
    loan = store.lend(store.book("us"), zones="America/New_York", day=datetime.fromisoformat(at).date())
    store.clock(at)
    assert ask(law, wanted(loan)).granted is granted


def test_a_permission_ends_at_midnight_on_the_day_the_clocks_go_back(store: Any, law: Rulebook, wanted: Wanted) -> None:
    loan = store.lend(store.book("us"), zones="America/New_York", day=datetime(2026, 11, 1).date())  # noqa: DTZ001
    store.clock("2026-11-01T23:58:00-05:00")
    until = ask(law, wanted(loan, "letter")).permission
    assert until is not None and until.expires_at == datetime.fromisoformat("2026-11-02T00:00:00-05:00")


def test_both_passes_of_the_hour_that_occurs_twice_are_of_that_day(store: Any, law: Rulebook, wanted: Wanted) -> None:
    loan = store.lend(
        zones="America/New_York", agreed_from_min=0, agreed_to_min=1440, day=datetime(2026, 11, 1).date()  # noqa: DTZ001
    )  # fmt: skip
    for offset in ("-04:00", "-05:00"):
        store.contacted(loan, "call", f"2026-11-01T01:30:00{offset}")
    store.clock("2026-11-01T12:00:00-05:00")
    assert ask(law, wanted(loan)).facts["connected_today"] == 2


def test_where_the_borrower_may_be_in_two_zones_the_hour_suits_both(store: Any, law: Rulebook, wanted: Wanted) -> None:
    loan = store.lend(store.book("us"), zones="America/New_York|America/Los_Angeles")
    for at, granted in (("10:59", False), ("11:00", True), ("20:59", True), ("21:00", False)):
        store.clock(f"2026-06-30T{at}:00-04:00")
        answer = ask(law, wanted(loan, "sms"))
        assert answer.granted is granted
    # And a permission ends when the first of them reaches its evening.
    store.clock("2026-06-30T20:58:00-04:00")
    granted_at_last = ask(law, wanted(loan, "sms")).permission
    assert granted_at_last is not None
    assert granted_at_last.expires_at == datetime.fromisoformat("2026-06-30T21:00:00-04:00")


def test_in_the_hours_that_are_two_days_at_once_both_days_must_permit(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    # 00:30 in New York is 23:30 of the day before in Chicago. A letter has no hours, but its quiet days are counted:
    # two days after a text in the one reading is but one day in the other.
    loan = store.lend(store.book("us"), zones="America/New_York|America/Chicago", dpd=20)
    store.contacted(loan, "sms", "2026-06-28T12:00:00-04:00", "delivered")
    store.clock("2026-06-30T00:30:00-04:00")
    answer = ask(book, wanted(loan, "letter"))
    assert answer.spoke["forbids"] == ("policy.spacing",)
    assert answer.earliest == datetime.fromisoformat("2026-06-30T00:00:00-05:00")
    store.clock(answer.earliest)
    assert ask(book, wanted(loan, "letter")).granted


def test_the_worker_s_clock_does_not_matter(store: Any, law: Rulebook, wanted: Wanted) -> None:
    # Given a database that is years away from this machine's clock, then the database's hour decides.
    loan = store.lend()
    store.clock("2026-06-30T03:00:00+08:00")
    assert not ask(law, wanted(loan)).granted
    store.clock("2026-06-30T09:00:00+08:00")
    answer = ask(law, wanted(loan))
    assert answer.granted and answer.requested_at == datetime.fromisoformat("2026-06-30T09:00:00+08:00")
    assert answer.permission is not None
    assert use(law, answer.permission.id).at == answer.requested_at


def test_a_clock_set_back_uses_nothing_before_it_was_granted(store: Any, law: Rulebook, wanted: Wanted) -> None:
    loan = store.lend()
    granted = ask(law, wanted(loan)).permission
    assert granted is not None
    store.clock("2026-06-30T11:59:00+08:00")
    with pytest.raises(NotUsable):
        use(law, granted.id)


def test_no_line_of_the_room_reads_the_worker_s_clock() -> None:
    for path in Path(services.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("now", "today", "utcnow", "time", "monotonic"), f"{path.name}:{node.lineno}"


def test_without_the_test_s_clock_the_database_s_own_is_asked(fresh_db: str) -> None:
    with psycopg.connect(fresh_db) as connection:
        row = connection.execute("SELECT gate_now() - clock_timestamp(), gate_now() <> gate_now()").fetchone()
    assert row is not None and abs(row[0]) < timedelta(seconds=1)


# ---- locks ------------------------------------------------------------------------------------------

_HOLD = """
import sys, time, psycopg
from forbear.contact import reads
with psycopg.connect(sys.argv[1]) as connection:
    connection.execute(reads.LOCK, {"account_id": int(sys.argv[2])})
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_worker_killed_while_it_holds_a_person_lets_go(store: Any, law: Rulebook, wanted: Wanted) -> None:
    loan = store.lend()
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, store.url, str(loan)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with psycopg.connect(store.url) as other, pytest.raises(psycopg.errors.LockNotAvailable):
        other.execute("SELECT FROM borrower FOR NO KEY UPDATE NOWAIT")
    holder.kill()
    holder.wait()
    assert ask(law, wanted(loan)).granted


def test_a_borrower_joined_to_another_person_meanwhile_is_locked_as_that_person(
    store: Any, law: Rulebook, wanted: Wanted
) -> None:
    one, other = store.lend(), store.lend()
    for hour in (9, 10, 11):
        store.contacted(one, "call", f"2026-06-30T{hour:02}:00:00+08:00")
    assert ask(law, wanted(other)).granted
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(one), store.borrower_of(other))
    assert not ask(law, wanted(other)).granted


def test_all_instants_are_utc(store: Any, law: Rulebook, wanted: Wanted) -> None:
    assert ask(law, wanted(store.lend())).requested_at.tzinfo is UTC


def test_a_worker_that_stops_answering_loses_the_person(
    store: Any, law: Rulebook, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    loan, decide = store.lend(), services.decide
    released: list[bool] = []

    def stops(*given: Any) -> Any:
        # It has read the record and holds the person; then it hangs, for longer than is granted to it.
        time.sleep(0.8)
        released.append(store.sql("SELECT 1 FROM borrower FOR UPDATE NOWAIT") == [(1,)])
        return decide(*given)

    monkeypatch.setattr(services, "decide", stops)
    with psycopg.connect(store.url, options=reads.OPTIONS.replace("10s", "200ms")) as connection:
        services.keep_rulebook(connection, law)
        with pytest.raises(psycopg.OperationalError):
            services.ask_on(connection, law, wanted(loan))
    assert released == [True] and store.sql("SELECT 1 FROM gate_request") == []


# ---- one person, several records --------------------------------------------------------------------


def _joined(store: Any, **other: Any) -> tuple[int, int]:
    """Two loans of one person in two books; `other` is what only the second book knows."""
    one, second = store.lend(dpd=30), store.lend(store.book(name="second"), dpd=6, **other)
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(one), store.borrower_of(second))
    return one, second


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ({}, "permitted"),
        *(({name: True}, "forbidden") for name in ("stop_contact", "incapable")),
        ({"stop_contact": None}, "needs_human"),
        ({"zones": "America/Los_Angeles"}, "forbidden"),
        ({"zones": None}, "forbidden"),  # policy.place-known: the other lender does not know where they are
        ({"place": "US-CA"}, "forbidden"),
    ],
)
def test_what_one_record_says_of_a_person_holds_for_all_loans(
    store: Any, book: Rulebook, wanted: Wanted, other: dict[str, Any], verdict: str
) -> None:
    one, _ = _joined(store, **{"place": None, **other})
    assert ask(book, wanted(one, "sms")).verdict == verdict


def test_a_gap_in_the_record_of_one_loan_is_a_gap_in_the_person_s(store: Any, book: Rulebook, wanted: Wanted) -> None:
    one, other = _joined(store)
    store.set_aside(other)
    answer = ask(book, wanted(one))
    assert not answer.granted and answer.facts["rows_waiting"] is True


@pytest.mark.parametrize(
    ("place", "granted"), [(None, True), ("CN", True), ("cn-31", True), ("New York", False), ("USA", False)]
)
def test_a_place_that_is_not_understood_is_of_no_known_law(
    store: Any, book: Rulebook, wanted: Wanted, place: str | None, granted: bool
) -> None:
    assert ask(book, wanted(store.lend(place=place))).granted is granted


# ---- why says what the gate says ----------------------------------------------------------------------


def _why(store: Any, book: Rulebook, loan: int, step: str = "call", at: str | None = None, **more: Any) -> Any:
    return why(loan, step, None if at is None else datetime.fromisoformat(at), FACTS, book, **more)


@pytest.mark.parametrize("step", ["sms", "call", "letter", "email", "visit"])
@pytest.mark.parametrize(
    "given",
    [{}, {"dpd": 3}, {"stop_contact": None}, {"zones": None}, {"zones": "Asia/Shanghai|America/Los_Angeles"},
     {"place": "TW"}, {"dispute_open": True}, {"vulnerable": True}],
)  # fmt: skip
def test_why_gives_the_gate_s_verdict_reasons_and_earliest_time(
    store: Any, book: Rulebook, wanted: Wanted, given: dict[str, Any], step: str
) -> None:
    loan = store.lend(**given)
    store.contacted(loan, "sms", "2026-06-28T10:00:00+08:00", "delivered")
    told, said = _why(store, book, loan, step), ask(book, wanted(loan, step))
    spoke = {says: tuple(s.rule.id for s in told.answer.spoke if s.says == says) for says in said.spoke}
    assert (told.answer.verdict, spoke) == (said.verdict, said.spoke)
    assert told.earliest == (said.requested_at if said.granted else said.earliest)


def test_why_counts_what_is_outstanding_and_knows_the_agency(store: Any, law: Rulebook, wanted: Wanted) -> None:
    # GB/T 45251-2025: three permissions not yet used may become the three connected calls of the day.
    loan = store.lend()
    for _ in range(3):
        ask(law, wanted(loan))
    assert [s.rule.id for s in _why(store, law, loan).answer.spoke if s.says == "forbids"] == ["cn.call.daily"]
    # At eleven they were not asked for yet.
    assert _why(store, law, loan, at="2026-06-30T11:00:00+08:00").answer.verdict == "permitted"
    # 12 CFR 1006.14(b)(2): the creditor itself is not bound, its agency is.
    own = store.lend(store.book("us", collector="creditor"), zones="America/New_York")
    store.contacted(own, "call", "2026-06-29T12:00:00-04:00", "conversation")
    noon = "2026-06-30T12:00:00-04:00"
    assert "us.call.after-conversation" not in {s.rule.id for s in _why(store, law, own, at=noon).answer.spoke
                                                if s.says == "forbids"}  # fmt: skip
    assert _why(store, law, own, at=noon, agency="alpha").answer.verdict == "forbidden"


# ---- answered again -----------------------------------------------------------------------------------


def test_an_answer_is_given_again_from_what_was_kept_of_it(store: Any, book: Rulebook, wanted: Wanted) -> None:
    # Given a permission, a refusal by hours, one for want of a fact and what a person decided on it, one in the hours
    # that are two days at once, and one at use; then the record changes, and all are answered as they were.
    loan = store.lend(agreed_from_min=600, agreed_to_min=1200)
    two = store.lend(store.book("us"), zones="America/New_York|America/Chicago", dpd=20)
    unsure = store.lend(dispute_open=None)
    asked = [ask(book, wanted(loan)), _lifted(book, wanted, unsure)]
    permission = asked[0].permission
    store.clock("2026-06-30T21:00:00+08:00")
    asked.append(ask(book, wanted(unsure)))
    store.contacted(two, "sms", "2026-06-28T12:00:00-04:00", "delivered")
    store.clock("2026-06-30T00:30:00-04:00")
    asked.append(ask(book, wanted(two, "letter")))
    store.clock(NOON)
    store.sql("UPDATE account SET dispute_open = true")
    assert permission is not None
    with pytest.raises(NotUsable):
        use(book, permission.id)
    store.sql("UPDATE borrower SET stop_contact = true, zones = NULL; DELETE FROM contact")
    ids = [row[0] for row in store.sql("SELECT id FROM gate_request")]
    assert len(ids) == 6 and {answer.request_id for answer in asked} < set(ids)
    for request_id in ids:
        again = replay_request(request_id, book)
        assert again.agrees and again.on_file, again
    # It is the rules that are asked, not the answer that is read.
    first = asked[0].request_id
    store.sql("UPDATE gate_request SET facts = facts || '{\"connected_today\": 3}' WHERE id = %s", first)
    changed = replay_request(first, book)
    assert not changed.agrees and changed.anew.spoke["forbids"] == ("cn.call.daily",)


def test_an_answer_from_before_its_basis_was_kept_is_refused_in_words(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    answer = ask(book, wanted(store.lend()))
    store.sql("UPDATE gate_request SET jurisdiction = NULL")
    with pytest.raises(NoDecision, match="before what it takes"):
        replay_request(answer.request_id, book)
    with pytest.raises(NoDecision, match="no request of that number"):
        replay_request(uuid.uuid4(), book)


# ---- what an agency owes a consumer in the United States ------------------------------------------------

NOON_US = "2026-06-30T12:00:00-04:00"


def _in_new_york(store: Any, **given: Any) -> int:
    """A loan at an agency in New York, opened after its contacts began to be recorded, at noon."""
    store.clock(NOON_US)
    return int(store.lend(store.book("us"), zones="America/New_York", **given))


@pytest.mark.parametrize(
    ("first", "outcome", "sent", "verdict"),
    [
        (None, "", None, "permitted"),  # nobody has heard of it yet: the notice may follow
        ("2026-06-25", "delivered", None, "permitted"),  # the fifth day
        ("2026-06-24", "delivered", None, "needs_human"),
        ("2026-06-24", "failed", None, "permitted"),  # what failed told nobody of the debt
        ("2026-06-24", "delivered", "2026-06-26", "permitted"),
    ],
)
def test_after_five_days_without_the_validation_notice_nothing_is_demanded(
    store: Any, law: Rulebook, wanted: Wanted, first: str | None, outcome: str, sent: str | None, verdict: str
) -> None:
    # 15 U.S.C. 1692g(a): within five days after the initial communication. Whether it was sent, no record denies.
    loan = _in_new_york(store, validation_sent_on=sent)
    if first:
        store.contacted(loan, "sms", f"{first}T12:00:00-04:00", outcome)
    call, letter = ask(law, wanted(loan)), ask(law, wanted(loan, "letter"))
    assert call.verdict == letter.verdict == verdict
    if verdict == "needs_human":
        assert call.spoke["unknown"] == ("us.fdcpa.validation",)
        # The notice itself may go out, late as it is.
        assert ask(law, wanted(loan, "letter", facts=FACTS | {"message_validates": True})).granted
        assert _lifted(law, wanted, loan).granted  # as another person found it in the file


def test_where_contacts_before_the_record_can_t_be_excluded_the_first_is_unknown(
    store: Any, law: Rulebook, wanted: Wanted
) -> None:
    loan = _in_new_york(store, validation_sent_on=None)
    store.sql("UPDATE book SET history_from = '2026-06-28'")
    answer = ask(law, wanted(loan))
    assert (answer.verdict, answer.facts["days_since_first_contact"]) == ("needs_human", None)


def test_a_message_that_hides_the_right_to_dispute_waits_for_the_end_of_a_period_that_is_known(
    store: Any, law: Rulebook, wanted: Wanted
) -> None:
    # 12 CFR 1006.38(b)(1)
    hides = FACTS | {"message_overshadows": True}
    for sent, verdict in ((None, "needs_human"), ("2026-05-21", "forbidden"), ("2026-05-20", "permitted")):
        assert ask(law, wanted(_in_new_york(store, validation_sent_on=sent), facts=hides)).verdict == verdict


@pytest.mark.parametrize(("to", "granted"), [("attorney", True), ("debtor", False), ("spouse", False)])
def test_the_attorney_is_contacted_and_the_consumer_is_not(
    store: Any, law: Rulebook, wanted: Wanted, to: str, granted: bool
) -> None:
    # 15 U.S.C. 1692c(a)(2), (b) and (d); 12 CFR 1006.6(b)(2)
    answer = ask(law, wanted(_in_new_york(store, attorney=True), facts=FACTS | {"to_whom": to}))
    assert answer.granted is granted
    assert granted or answer.spoke["forbids"] == ("us.attorney", "us.fdcpa.attorney")


@pytest.mark.parametrize(("at", "granted"), [("2026-11-05T12:00:00", False), ("2026-11-06T08:00:00", True)])
def test_seven_calls_in_seven_days_are_counted_by_days_though_the_clocks_went_back_among_them(
    store: Any, law: Rulebook, wanted: Wanted, at: str, granted: bool
) -> None:
    # 12 CFR 1006.14(b)(2)(i)(A): the two passes of 01:30 on 2026-11-01 are two calls of one day; that of 30 October
    # leaves the seven days on 6 November.
    loan = store.lend(store.book("us"), zones="America/New_York", day=datetime(2026, 11, 5).date())  # noqa: DTZ001
    for made in ("10-30T12:00:00-04:00", "10-31T12:00:00-04:00", "11-01T01:30:00-04:00", "11-01T01:30:00-05:00",
                 "11-02T12:00:00-05:00", "11-03T12:00:00-05:00", "11-04T12:00:00-05:00"):  # fmt: skip
        store.contacted(loan, "call", f"2026-{made}", "no_answer")
    store.clock(f"{at}-05:00")
    answer = ask(law, wanted(loan))
    assert answer.granted is granted
    assert granted or answer.earliest == datetime.fromisoformat("2026-11-06T08:00:00-05:00")


@pytest.mark.parametrize(("on", "granted"), [("2028-03-05", False), ("2028-03-06", True)])
def test_the_seven_days_after_a_conversation_hold_the_leap_day(
    store: Any, law: Rulebook, wanted: Wanted, on: str, granted: bool
) -> None:
    # 12 CFR 1006.14(b)(2)(i)(B): 28 and 29 February and 1 to 5 March 2028 are seven days.
    loan = store.lend(store.book("us"), zones="America/New_York", day=datetime(2028, 3, 5).date())  # noqa: DTZ001
    store.contacted(loan, "call", "2028-02-28T12:00:00-05:00", "conversation")
    store.clock(f"{on}T12:00:00-05:00")
    assert ask(law, wanted(loan)).granted is granted


def test_where_two_possible_clocks_are_a_day_apart_nobody_is_rung(store: Any, law: Rulebook, wanted: Wanted) -> None:
    # 12 CFR 1006.6(b)(1)(i): noon in Pago Pago is 13:00 of the next day in Kiritimati; no day is both's.
    loan = store.lend(store.book("us"), zones="Pacific/Kiritimati|Pacific/Pago_Pago")
    store.clock("2026-06-30T12:00:00-11:00")
    answer = ask(law, wanted(loan))
    assert answer.verdict == "forbidden" and answer.earliest is None


def test_a_permission_is_used_until_the_last_instant_of_the_lawful_hours_and_not_after(
    store: Any, law: Rulebook, wanted: Wanted
) -> None:
    # GB/T 45251-2025: none from 22:00. Two permissions of 21:58 end with the hours, not five minutes later.
    store.clock("2026-06-30T21:58:00+08:00")
    one, other = (ask(law, wanted(store.lend())).permission for _ in range(2))
    assert one is not None and other is not None
    store.clock("2026-06-30T21:59:59.999999+08:00")
    use(law, one.id)
    store.clock("2026-06-30T22:00:00+08:00")
    with pytest.raises(NotUsable, match="expired"):
        use(law, other.id)


@pytest.mark.parametrize(
    ("day", "step", "clock", "granted"),
    [
        ("2026-12-31", "visit", "19:00", True),  # until then only calls have hours (Directions of 2025-11-28)
        ("2026-12-31", "call", "19:00", False),
        ("2027-01-01", "visit", "18:59", True),
        ("2027-01-01", "visit", "19:00", False),
        ("2027-01-01", "sms", "07:59", False),
    ],
)
def test_the_hours_of_indian_banks_widen_to_visits_and_texts_on_new_year_s_day(
    store: Any, law: Rulebook, wanted: Wanted, day: str, step: str, clock: str, granted: bool
) -> None:
    at = datetime.fromisoformat(f"{day}T{clock}:00+05:30")
    loan = store.lend(store.book("in"), zones="Asia/Kolkata", day=at.date())
    store.clock(at)
    assert ask(law, wanted(loan, step)).granted is granted


# ---- the United Kingdom: who acts for a customer, barred debts, a respite that nobody told of --------------


def _in_london(store: Any, **given: Any) -> int:
    store.clock("2026-06-30T12:00:00+01:00")
    return int(store.lend(store.book("gb"), zones="Europe/London", **given))


@pytest.mark.parametrize(
    ("attorney", "to", "verdict"),
    [
        (True, "debtor", "forbidden"),
        (True, "attorney", "permitted"),
        (False, "debtor", "permitted"),
        (None, "debtor", "needs_human"),
    ],
)
def test_a_customer_with_an_adviser_is_not_contacted_past_the_adviser(
    store: Any, law: Rulebook, wanted: Wanted, attorney: bool | None, to: str, verdict: str
) -> None:
    # CONC 7.12.2R(4)
    answer = ask(law, wanted(_in_london(store, attorney=attorney), facts=FACTS | {"to_whom": to}))
    assert answer.verdict == verdict
    assert "gb.adviser" in answer.spoke[{"forbidden": "forbids", "needs_human": "unknown"}.get(verdict, "permits")]


@pytest.mark.parametrize(
    ("dpd", "given", "rules"),
    [
        (1825, {"time_barred": True}, {"gb.time-barred"}),  # CONC 7.15.4R, 7.15.8R
        (1824, {"time_barred": True}, set()),  # Scotland's five years have not passed: it can't be barred
        (1825, {"time_barred": True, "message_suit": True}, {"gb.time-barred", "gb.time-barred.suit"}),
        (100, {"time_barred": True, "message_suit": True}, {"gb.time-barred.suit"}),  # CONC 7.15.7G
        (1825, {"time_barred": False, "message_suit": True}, set()),
    ],
)
def test_a_statute_barred_debt_is_neither_collected_nor_sued_for(
    store: Any, law: Rulebook, wanted: Wanted, dpd: int, given: dict[str, Any], rules: set[str]
) -> None:
    answer = ask(law, wanted(_in_london(store, dpd=dpd, opened_on="2018-01-01"), facts=FACTS | given))
    assert set(answer.spoke.get("forbids", ())) == rules


def test_a_respite_that_nobody_told_of_waits_for_a_person_who_has_looked(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    # SI 2020/1311, regulation 11: a book without the column has not said that there is no breathing space.
    loan = _in_london(store)
    store.sql("UPDATE book SET respite_untold = true")
    answer = ask(book, wanted(loan, requested_by="clerk"))
    assert answer.verdict == "needs_human" and answer.spoke["unknown"] == ("gb.respite.contact", "policy.respite")
    assert _lifted(book, wanted, loan).granted
    assert not ask(book, wanted(store.lend())).spoke.get("unknown")  # China's law knows none


# ---- house rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on_record", "verdict"), [(True, "permitted"), (False, "forbidden"), (None, "needs_human")])
def test_nobody_is_an_attorney_by_the_asker_s_word_alone(
    store: Any, book: Rulebook, wanted: Wanted, on_record: bool | None, verdict: str
) -> None:
    # House rule 1.12; 15 U.S.C. 1692c(b) lets the consumer's attorney be told of the debt, and no third person.
    answer = ask(book, wanted(_in_new_york(store, attorney=on_record), "letter", facts=FACTS | {"to_whom": "attorney"}))
    assert answer.verdict == verdict


def _visitable(store: Any, **given: Any) -> int:
    """A loan after texts, calls, a letter, a plan offer and notice of a visit."""
    loan = store.lend(dpd=40, **given)
    for day, step in ((1, "sms"), (3, "sms"), (5, "call"), (10, "letter"), (20, "plan_offer"), (25, "visit_notice")):
        store.contacted(loan, step, f"2026-06-{day:02}T10:00:00+08:00", "no_answer" if step == "call" else "delivered")
    return int(loan)


def test_what_becomes_lawful_does_so_where_two_zones_are_two_days(store: Any, book: Rulebook, wanted: Wanted) -> None:
    # Given a borrower in London or in Kolkata, and a letter of 24 June, after which no other may follow soon.
    loan = store.lend(store.book("gb"), dpd=40, zones="Europe/London|Asia/Kolkata")
    store.contacted(loan, "letter", "2026-06-24T10:00:00+01:00", "delivered")
    store.clock("2026-06-30T08:34:00+01:00")
    refused = ask(book, wanted(loan, "letter"))
    assert not refused.granted and refused.earliest is not None
    # When it is asked again at that time, then it is granted: it is that day in both places.
    store.clock(refused.earliest - timedelta(minutes=1))
    assert not ask(book, wanted(loan, "letter")).granted
    store.clock(refused.earliest)
    assert ask(book, wanted(loan, "letter")).granted


def test_a_notice_given_to_the_guarantor_announces_no_visit_to_the_debtor(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    # House rule 5.4; FCA CONC 7.9.12R. Given the milder steps, and a notice that the gate let go to the guarantor.
    loan = _visitable(store)
    store.sql("DELETE FROM contact WHERE step = 'visit_notice'")
    store.clock("2026-06-26T12:00:00+08:00")
    granted = ask(book, wanted(loan, "visit_notice", facts=FACTS | {"to_whom": "guarantor"}))
    assert granted.permission is not None, granted.spoke
    use(book, granted.permission.id)
    report(book, granted.permission.id, "delivered", "staff-1")
    assert store.sql("SELECT to_whom FROM contact WHERE step = 'visit_notice'") == [("guarantor",)]
    # When the debtor is to be visited four days later, then nobody has told them.
    store.clock("2026-06-30T12:00:00+08:00")
    assert not ask(book, wanted(loan, "visit", facts=FACTS | {"visit_appointed": False})).granted


@pytest.mark.parametrize(
    ("at", "agreed", "appointed", "granted"),
    [
        ("12:00", None, False, True),
        ("19:30", None, True, False),  # no hour was agreed
        ("19:30", (19, 21), True, True),
        ("19:30", (19, 21), False, False),  # hours of contact were agreed, this visit was not
        ("18:00", (19, 21), True, False),  # another hour was agreed
        ("07:30", (7, 9), True, False),  # by daylight, whatever was agreed
        ("20:00", (19, 21), True, False),
    ],
)
def test_a_visit_at_an_agreed_hour_is_permitted_by_daylight(
    store: Any, book: Rulebook, wanted: Wanted, at: str, agreed: tuple[int, int] | None, appointed: bool, granted: bool
) -> None:
    # GB/T 45251-2025: none from 22:00 to 08:00 where no other time was agreed; house rules 6.1, 6.4 and 6.5.
    hours = {"agreed_from_min": agreed[0] * 60, "agreed_to_min": agreed[1] * 60} if agreed else {}
    loan = _visitable(store, **hours)
    store.clock(f"2026-06-30T{at}:00+08:00")
    answer = ask(book, wanted(loan, "visit", facts=FACTS | {"visit_appointed": appointed}))
    assert answer.granted is granted, answer.spoke


def test_nobody_is_visited_on_a_public_holiday(store: Any, book: Rulebook, wanted: Wanted) -> None:
    # The Dragon Boat Festival of 2026 is 19 June; the calendar of 2031 is not published.
    loan = _visitable(store)
    store.sql("DELETE FROM contact; UPDATE book SET history_from = '2020-01-01'")
    for day, verdict in (("2026-06-19", "forbidden"), ("2031-06-19", "needs_human")):
        store.clock(f"{day}T12:00:00+08:00")
        says = {rule: word for word, rules in ask(book, wanted(loan, "visit")).spoke.items() for rule in rules}
        assert says["policy.visit.holiday"] == ("forbids" if verdict == "forbidden" else "unknown")


def test_three_e_mails_in_an_episode_are_enough(store: Any, book: Rulebook, wanted: Wanted) -> None:
    loan, other = store.lend(dpd=20), store.lend(dpd=20)
    for day in ("12", "15"):
        store.contacted(loan, "email", f"2026-06-{day}T10:00:00+08:00", "delivered")
        store.contacted(other, "email", f"2026-06-{day}T10:00:00+08:00", "delivered")
    assert ask(book, wanted(other, "email")).granted
    store.contacted(loan, "email", "2026-06-18T10:00:00+08:00", "delivered")
    assert ask(book, wanted(loan, "email")).spoke["forbids"] == ("policy.email-spent",)


@pytest.mark.parametrize(
    ("on_file", "facts", "rule"),
    [
        ({"respite_until": "2026-07-30"}, {}, "policy.respite"),
        ({"bankrupt": True}, {}, "policy.insolvency"),
        ({}, {"to_whom": "employer"}, "policy.others-only-if-lost"),
        ({}, {"bad_occasion": True}, "policy.bad-occasion"),
        ({"workplace_forbidden": True}, {"at_workplace": True}, "policy.workplace"),
    ],
)
def test_what_no_decent_lender_does_is_forbidden_where_the_law_on_file_is_silent(
    store: Any, book: Rulebook, wanted: Wanted, on_file: dict[str, Any], facts: dict[str, Any], rule: str
) -> None:
    # CONC 7 names none of these for a creditor's call, but the house does, in every place.
    store.clock("2026-06-30T12:00:00+01:00")
    loan = store.lend(store.book("gb", collector="creditor"), dpd=20, zones="Europe/London", **on_file)
    assert rule in ask(book, wanted(loan, facts=FACTS | facts)).spoke["forbids"]
