"""The night end to end on a real database: each account one lawful step, the same bytes, whole or not at all."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import psycopg.rows
import pytest
import sqlalchemy as sa

from forbear.nightly.errors import NoDecision, NothingToDecide, RulebookChanged
from forbear.nightly.explain import explain
from forbear.nightly.history import preview, replay
from forbear.nightly.run import DECISION_COLUMNS, nightly
from forbear.nightly.why import why
from forbear.rulebook.load import load
from forbear.store.engine import engine

BOOK = load()
DAY = date(2026, 6, 30)
_OF_THE_LOAN = ("dispute_open", "all_in_ppm", "promise_due_on", "opened_on", "status", "validation_sent_on")


def lend(url: str, jurisdiction: str = "cn", dpd: int = 0, *, zones: str | None = "Asia/Shanghai", **given: Any) -> int:
    """A borrower with one loan, `dpd` days past due on DAY; `given` are columns of borrower or account."""
    borrower = {"can_sms": True, "can_call": True, "can_write": True, "sms_consent": True, "stop_contact": False}
    borrower |= {"attorney": False, "bankrupt": False, "incapable": False, "zones": zones}
    loan: dict[str, Any] = {"dispute_open": False, "all_in_ppm": 180_000, "opened_on": DAY - timedelta(days=200)}
    loan |= {"status": "open"}
    for name, value in given.items():
        (loan if name in _OF_THE_LOAN else borrower)[name] = value
    with psycopg.connect(url) as connection:
        book = connection.execute(
            "INSERT INTO book (name, jurisdiction, lender_type, collector, currency, history_from, recorded_until)"
            " VALUES (%s, %s, 'bank', 'agency', 'CNY', '2026-01-01', '2027-01-01')"
            " ON CONFLICT (name) DO UPDATE SET currency = 'CNY' RETURNING id",
            (jurisdiction, jurisdiction),
        ).fetchone()
        assert book is not None
        who = _insert(connection, "borrower", {"book_id": book[0], "ref": str(time.monotonic_ns()), **borrower})
        more = {"ref": f"A{who}", "product": "instalment", "principal_minor": 100_000}
        loan_id = _insert(connection, "account", {"book_id": book[0], "borrower_id": who, **more, **loan})
        connection.execute(
            "INSERT INTO instalment VALUES (%s, 1, %s, 10000, 500), (%s, 2, %s, 10000, 500)",
            (loan_id, DAY - timedelta(days=dpd), loan_id, DAY + timedelta(days=60)),
        )
        if dpd <= 0:
            connection.execute("INSERT INTO payment VALUES (%s, 'p', %s, 10500)", (loan_id, DAY))
    return loan_id


def _insert(connection: psycopg.Connection[Any], table: str, row: dict[str, Any]) -> int:
    found = connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))}) RETURNING id",
        list(row.values()),
    ).fetchone()
    assert found is not None
    return int(found[0])


def contacted(url: str, loan_id: int, step: str, at: str, outcome: str = "delivered") -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO contact (account_id, ref, at, step, outcome) VALUES (%s, %s, %s, %s, %s)",
            (loan_id, str(time.monotonic_ns()), at, step, outcome),
        )


def decided(url: str, loan_id: int, as_of: date = DAY) -> dict[str, Any]:
    night = nightly(as_of, BOOK)
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        row = connection.execute(
            "SELECT * FROM decision WHERE run_id = %s AND account_id = %s", (night.run_id, loan_id)
        ).fetchone()
    assert row is not None
    return row


def test_the_first_step_is_a_text_within_the_lawful_hours(fresh_db: str) -> None:
    # Given a loan one day past due in Shanghai, then a text, from 08:00 (GB/T 45251-2025) to 21:00 (house policy).
    row = decided(fresh_db, lend(fresh_db, dpd=1))
    assert (row["step"], row["dpd"], row["arrears"]) == ("sms", 1, 10_500)
    assert row["earliest"] == datetime.fromisoformat("2026-06-30T00:00:00+00:00")
    assert row["latest"] == datetime.fromisoformat("2026-06-30T13:00:00+00:00")


@pytest.mark.parametrize(("paid", "step"), [(10_253, "none"), (10_001, "none"), (10_000, "sms")])
def test_a_small_balance_is_not_collected(fresh_db: str, paid: int, step: str) -> None:
    # House policy 4.16: given 105.00 due, of which less than 5.00 is past due (2.47, 4.99), then nobody is contacted.
    loan = lend(fresh_db, dpd=3)
    with psycopg.connect(fresh_db) as connection:
        connection.execute("INSERT INTO payment VALUES (%s, 'p', %s, %s)", (loan, DAY, paid))
    assert decided(fresh_db, loan)["step"] == step


def test_agreed_hours_take_the_place_of_the_usual(fresh_db: str) -> None:
    # GB/T 45251-2025: none from 22:00 to 08:00 where no other time was agreed with the borrower.
    row = decided(fresh_db, lend(fresh_db, dpd=1, agreed_from_min=19 * 60, agreed_to_min=20 * 60))
    assert row["earliest"].isoformat() == "2026-06-30T11:00:00+00:00"
    assert row["latest"].isoformat() == "2026-06-30T12:00:00+00:00"


@pytest.mark.parametrize(
    ("given", "step"),
    [
        ({"dpd": 0}, "none"),
        ({"dpd": 3, "hardship_until": DAY}, "hardship_hold"),
        ({"dpd": 3, "hardship_until": DAY - timedelta(days=1)}, "sms"),
        ({"dpd": 3, "promise_due_on": DAY}, "none"),
        ({"dpd": 3, "dispute_open": True}, "none"),
        ({"dpd": 3, "dispute_open": None}, "none"),
        ({"dpd": 3, "stop_contact": None}, "none"),
        ({"dpd": 3, "status": "sold"}, "none"),
        ({"dpd": 3, "zones": None}, "none"),
        ({"dpd": 12, "zones": None}, "letter"),
        ({"dpd": 3, "can_sms": None}, "none"),
        ({"dpd": 6, "can_sms": None}, "call"),
        ({"dpd": 3, "jurisdiction": "tw"}, "none"),
        ({"dpd": 3, "all_in_ppm": 240_001}, "none"),
        ({"dpd": 3, "all_in_ppm": None}, "none"),
    ],
)
def test_what_is_unknown_or_in_the_way_never_permits(fresh_db: str, given: dict[str, Any], step: str) -> None:
    assert decided(fresh_db, lend(fresh_db, **given))["step"] == step


def test_in_a_place_whose_law_is_not_yet_in_force_on_file_nobody_is_contacted(fresh_db: str) -> None:
    # Nothing on file bound contacts in China before the card measures of 2011-01-13.
    loan = lend(fresh_db, dpd=9, opened_on=date(2010, 1, 1))
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE book SET history_from = '2010-01-01'")
        connection.execute("UPDATE instalment SET due_on = '2011-01-08' WHERE n = 1")
    assert decided(fresh_db, loan, date(2011, 1, 12))["law_known"] is False
    assert decided(fresh_db, loan, date(2011, 1, 12))["step"] == "none"
    assert decided(fresh_db, loan, date(2011, 1, 13))["step"] == "sms"


def test_contacts_that_are_not_on_record_are_not_taken_for_none(fresh_db: str) -> None:
    # Given a book whose contacts are on record since yesterday only, then nobody is contacted today.
    loan = lend(fresh_db, dpd=9)
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE book SET history_from = %s", (DAY - timedelta(days=1),))
    assert decided(fresh_db, loan)["step"] == "none"
    assert decided(fresh_db, loan, DAY + timedelta(days=1))["step"] == "sms"


def test_three_connected_calls_a_day_are_the_most_over_all_loans(fresh_db: str) -> None:
    # GB/T 45251-2025: at most three connected calls a day to one debtor, counted over the institution and its agencies.
    loan = lend(fresh_db, dpd=6, can_sms=False)
    for hour in (9, 11, 15):
        contacted(fresh_db, loan, "call", f"2026-06-30T{hour:02}:00:00+08:00", "connected")
    assert decided(fresh_db, loan)["connected_today"] == 3


def test_seven_days_after_a_conversation_no_call(fresh_db: str) -> None:
    # 12 CFR 1006.14(b)(2)(i)(B): the day of the conversation is the first of the seven.
    loan = lend(fresh_db, "us", dpd=9, zones="America/New_York", can_sms=False)
    contacted(fresh_db, loan, "call", "2026-06-24T12:00:00-04:00", "conversation")
    assert decided(fresh_db, loan)["step"] == "none"
    assert decided(fresh_db, loan, DAY + timedelta(days=1))["conversations_7d"] == 0


def test_a_visit_needs_day_14_the_milder_steps_and_notice(fresh_db: str) -> None:
    # Given texts, calls, a letter and a plan offer without effect and notice four days ago, then a visit on day 20.
    loan = lend(fresh_db, dpd=20)
    for day, step in ((12, "sms"), (14, "sms"), (16, "call"), (18, "call"), (20, "call"), (22, "letter")):
        contacted(fresh_db, loan, step, f"2026-06-{day}T10:00:00+08:00")
    contacted(fresh_db, loan, "plan_offer", "2026-06-24T10:00:00+08:00")
    assert decided(fresh_db, loan)["step"] == "visit_notice"
    contacted(fresh_db, loan, "visit_notice", "2026-06-26T10:00:00+08:00")
    row = decided(fresh_db, loan)
    assert (row["step"], row["dpd"]) == ("visit", 20)
    # By day only, and within the house's own hours: 09:00 to 19:00 in Shanghai.
    assert [row["earliest"].hour, row["latest"].hour] == [1, 11]
    # Before that day's notice is three days old, nobody comes.
    assert decided(fresh_db, loan, date(2026, 6, 28))["step"] != "visit"


def test_a_borrower_with_two_loans_hears_of_one(fresh_db: str) -> None:
    older, newer = lend(fresh_db, dpd=9), lend(fresh_db, dpd=3)
    with psycopg.connect(fresh_db) as connection:
        connection.execute(
            "UPDATE account SET borrower_id = (SELECT borrower_id FROM account WHERE id = %s) WHERE id = %s",
            (older, newer),
        )
    assert (decided(fresh_db, older)["step"], decided(fresh_db, newer)["step"]) == ("sms", "none")


def test_the_same_night_gives_the_same_bytes_and_sql_alone_can_check_them(fresh_db: str) -> None:
    for dpd in (0, 1, 8, 40):
        lend(fresh_db, dpd=dpd)
        lend(fresh_db, "us", dpd=dpd, zones="America/New_York|America/Chicago")
    first, second = nightly(DAY, BOOK), nightly(DAY, BOOK, threads=1)
    assert second.again and (second.run_id, second.decisions_sha256) == (first.run_id, first.decisions_sha256)
    digest = sha256()
    with psycopg.connect(fresh_db) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = f"SELECT {', '.join(DECISION_COLUMNS)} FROM decision WHERE run_id = {first.run_id}"
        copy = f'COPY ({query} ORDER BY jurisdiction COLLATE "C", account_id) TO STDOUT (FORMAT csv)'
        with connection.cursor().copy(copy) as rows:
            for block in rows:
                digest.update(block)
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (1,)
    assert digest.hexdigest() == first.decisions_sha256


def test_without_a_book_the_night_says_what_to_do(fresh_db: str) -> None:
    with pytest.raises(NothingToDecide, match="forbear import"):
        nightly(DAY, BOOK)


@pytest.mark.parametrize("lang", ["zh-Hans", "zh-Hant", "en"])
def test_every_decision_can_be_explained(fresh_db: str, lang: str) -> None:
    loan = lend(fresh_db, dpd=6)
    run_id = nightly(DAY, BOOK).run_id
    with engine().connect() as connection:
        found = explain(connection, loan, run_id, lang, BOOK)
    words = {verdict.step: verdict for verdict in found.verdicts}
    assert found.step == "sms" and words["sms"].verdict == "chosen" and words["call"].verdict == "permitted"
    assert {reason.rule_id for reason in words["sms"].reasons} >= {"cn.hours", "policy.spacing"}
    assert "policy.visit-not-before" in {reason.rule_id for reason in words["visit"].reasons}
    assert all(reason.article and reason.text for verdict in found.verdicts for reason in verdict.reasons)


TOMORROW = """[instrument]
id = "own.tomorrow"
jurisdiction = "cn"
kind = "policy"
citation = "own"
from = 2026-07-01
title = { zh-Hans = "a", zh-Hant = "b", en = "No texts from July on" }
[[rule]]
id = "own.no-texts"
governs = "contact"
article = "1"
steps = ["sms"]
forbid = "dpd < 4"
verified = true
source = "the house"
text = { zh-Hans = "a", zh-Hant = "b", en = "No text before the fourth day past due." }
examples = [{ facts = { dpd = 3 }, says = "forbids" }, { facts = { dpd = 4 }, says = "permits" }]
[[rule]]
id = "own.short-calls"
governs = "contact"
article = "2"
steps = ["sms"]
hours = [{ from = 2026-07-01, opens = "10:00", closes = "16:00" }]
verified = true
source = "the house"
text = { zh-Hans = "a", zh-Hant = "b", en = "Texts from ten to sixteen." }
examples = [{ at = "09:59", says = "forbids" }, { at = "10:00", says = "permits" }]
"""


def test_a_run_is_explained_by_its_own_rules_after_the_packs_have_changed(fresh_db: str, tmp_path: Path) -> None:
    # Given a run, when the lender's policy then changes, then the run still speaks by the rules that it used.
    loan = lend(fresh_db, dpd=3)
    first = nightly(DAY, BOOK)
    (tmp_path / "own.toml").write_text(TOMORROW.replace("2026-07-01", "2026-01-01"), "utf-8")
    changed = load(tmp_path)
    second = nightly(DAY, changed)
    with engine().connect() as connection:
        then, now = (explain(connection, loan, run.run_id, "en", changed) for run in (first, second))
        assert (then.step, now.step) == ("sms", "none")
        # A rulebook that was never kept is not made up.
        connection.execute(sa.text("DELETE FROM rulebook"))
        with pytest.raises(RulebookChanged, match="was not kept"):
            explain(connection, loan, first.run_id, "en", changed)


def test_a_run_replayed_gives_its_own_decisions_whatever_is_on_file(fresh_db: str, tmp_path: Path) -> None:
    loans = [lend(fresh_db, dpd=dpd) for dpd in (0, 1, 8, 40)]
    lend(fresh_db, "us", dpd=8, zones="America/New_York|America/Chicago")
    lend(fresh_db, dpd=12, zones=None, can_sms=None, agreed_from_min=600, agreed_to_min=660)
    night = nightly(DAY, BOOK)
    (tmp_path / "own.toml").write_text(TOMORROW.replace("2026-07-01", "2026-01-01"), "utf-8")
    again = replay(night.run_id, load(tmp_path))
    assert (again.decisions, again.agree, again.on_file) == (6, 6, False)
    # Given a decision that was changed by hand, then the replay names it.
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE decision SET step = 'call' WHERE account_id = %s", (loans[1],))
    again = replay(night.run_id, BOOK)
    assert (again.agree, again.differ, again.on_file) == (5, (loans[1],), True)


def test_a_change_of_law_that_comes_tomorrow_shows_today_whom_it_touches(fresh_db: str, tmp_path: Path) -> None:
    # Given texts for loans 3 and 6 days past due; from tomorrow none before day 4, and shorter hours.
    early, late, _ = (lend(fresh_db, dpd=dpd) for dpd in (3, 6, 0))
    (tmp_path / "own.toml").write_text(TOMORROW, "utf-8")
    book = load(tmp_path)
    nightly(DAY, book)
    assert preview(DAY, book).touched == 0
    seen = preview(date(2026, 7, 1), book)
    assert [(c.rule.id, c.day, c.what) for c in seen.changes] == [
        ("own.no-texts", date(2026, 7, 1), "begins"),
        ("own.short-calls", date(2026, 7, 1), "begins"),
    ]
    assert (seen.decisions, seen.touched) == (3, 2)
    assert seen.by_step == {("sms", "none"): 1, ("sms", "sms"): 1}
    assert [(t.account_ref, t.step_then, t.hours_then) for t in seen.first] == [
        (ref_of(fresh_db, early), "none", None),
        (ref_of(fresh_db, late), "sms", (600, 960)),
    ]


def test_a_preview_looks_ahead_of_the_newest_day_only(fresh_db: str) -> None:
    lend(fresh_db, dpd=3)
    with pytest.raises(NoDecision, match="no run yet"):
        preview(DAY, BOOK)
    newest = nightly(DAY, BOOK).run_id
    nightly(DAY - timedelta(days=1), BOOK)
    assert preview(DAY, BOOK).run_id == newest
    with pytest.raises(NoDecision, match=f"run {newest}, for {DAY}; .* Give a later day"):
        preview(DAY - timedelta(days=1), BOOK)


def test_the_newest_decision_is_that_of_the_newest_day_and_a_run_that_has_none_is_named(fresh_db: str) -> None:
    # Given a night, and then an older day run again, when no run is named, then the newest day's decision is told.
    loan = lend(fresh_db, dpd=3)
    with engine().connect() as connection, pytest.raises(NoDecision, match="No run has decided this account yet"):
        explain(connection, loan, None, "en", BOOK)
    newest = nightly(DAY, BOOK).run_id
    older = nightly(DAY - timedelta(days=1), BOOK).run_id
    with engine().connect() as connection:
        assert explain(connection, loan, None, "en", BOOK).run_id == newest
        assert explain(connection, loan, older, "en", BOOK).as_of == DAY - timedelta(days=1)
        with pytest.raises(NoDecision, match=rf"There is no run 99. The newest .* {newest} \({DAY}\), {older}"):
            explain(connection, loan, 99, "en", BOOK)
    # Given a loan that came later, when an older run is asked about it, then it is told why that run has nothing.
    late = lend(fresh_db, dpd=0)
    with (
        engine().connect() as connection,
        pytest.raises(NoDecision, match=rf"Run {newest}, for {DAY}, is of before the loan was taken in"),
    ):
        explain(connection, late, newest, "en", BOOK)


def test_a_night_that_changes_nothing_takes_no_number(fresh_db: str) -> None:
    lend(fresh_db, dpd=3)
    first = nightly(DAY, BOOK)
    assert nightly(DAY, BOOK).again
    assert nightly(DAY + timedelta(days=1), BOOK).run_id == first.run_id + 1


def ref_of(url: str, loan_id: int) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT ref FROM account WHERE id = %s", (loan_id,)).fetchone()
    assert row is not None
    return str(row[0])


def test_the_new_facts_of_the_record_reach_the_decision_and_what_is_not_on_file_stays_unknown(fresh_db: str) -> None:
    told = lend(fresh_db, dpd=3, respite_until=DAY, vulnerable=True, validation_sent_on=DAY - timedelta(days=4))
    silent = lend(fresh_db, dpd=3)
    contacted(fresh_db, told, "email", "2026-06-24T10:00:00+08:00")
    contacted(fresh_db, told, "letter", "2026-06-23T10:00:00+08:00")
    names = ("respite_open", "vulnerable", "validation_sent", "days_since_validation", "contacts_7d")
    row = decided(fresh_db, told)
    assert [row[name] for name in names] == [True, True, True, 4, 1]
    row = decided(fresh_db, silent)
    assert [row[name] for name in names] == [False, None, None, 9999, 0]


def test_a_killed_night_has_written_nothing_and_the_next_is_whole(fresh_db: str) -> None:
    with psycopg.connect(fresh_db) as connection:
        lend(fresh_db, dpd=6)
        connection.execute(
            "INSERT INTO borrower (book_id, ref, zones, can_sms, can_call, can_write, stop_contact, bankrupt,"
            " incapable) SELECT 1, 'x' || g, 'Asia/Shanghai', true, true, true, false, false, false"
            " FROM generate_series(1, 60000) g"
        )
        connection.execute(
            "INSERT INTO account (book_id, borrower_id, ref, product, status, opened_on, principal_minor, dispute_open)"
            " SELECT 1, id, ref, 'instalment', 'open', '2026-01-01', 100, false FROM borrower WHERE ref LIKE 'x%'"
        )
        connection.commit()
    body = "from forbear.cli import main; import sys; sys.argv[1:] = ['nightly', '--as-of', '2026-06-30']; main()"
    for wait in (0.2, 0.5, 0.9):
        running = subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.DEVNULL, env=os.environ)
        with psycopg.connect(fresh_db, autocommit=True) as connection:
            query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            while connection.execute(query).fetchone() == (0,) and running.poll() is None:
                time.sleep(0.01)
            time.sleep(wait / 2)
            running.send_signal(signal.SIGKILL)
            ended = running.wait()
            if ended == -signal.SIGKILL:
                time.sleep(0.3)
                left = [connection.execute(f"SELECT count(*) FROM {t}").fetchone() for t in ("run", "decision")]
                # Nothing, or (killed after its commit) all: never a part.
                assert left in ([(0,), (0,)], [(1,), (60_001,)])
    assert nightly(DAY, BOOK).accounts == 60_001


def test_the_night_plans_contacts_with_the_debtor_and_so_none_where_an_attorney_acts(fresh_db: str) -> None:
    # 15 U.S.C. 1692c(a)(2): the rule asks who is contacted, which the night takes to be the debtor.
    row = decided(
        fresh_db, lend(fresh_db, "us", dpd=3, zones="America/New_York", attorney=True, validation_sent_on=DAY)
    )
    assert row["step"] == "none"


def test_the_rules_of_a_run_are_those_of_its_rulebook_not_of_its_list(fresh_db: str) -> None:
    lend(fresh_db, dpd=3)
    run_id = nightly(DAY, BOOK).run_id
    assert replay(run_id, BOOK).differ == ()
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE run SET rule_bits = jsonb_set(rule_bits, '{cn,0}', '\"cn.debtor-only\"')")
    with pytest.raises(RulebookChanged, match="list of rules"):
        replay(run_id, BOOK)


@pytest.mark.parametrize(
    ("place", "lender", "collector", "known"),
    [
        ("cn", "bank", "creditor", True),
        ("cn", "private", "creditor", None),  # GB/T 45251 is not written for loans between persons
        ("us", "other", "agency", True),
        ("us", "bank", "creditor", None),  # 15 U.S.C. 1692a(6): not those who collect their own debts
        ("tw", "micro_lender", "creditor", None),  # card and outsourcing regulations are the banks'
        ("zz", "bank", "creditor", False),
    ],
)
def test_the_law_s_silence_about_a_lender_or_collector_permits_nothing(
    fresh_db: str, place: str, lender: str, collector: str, known: bool | None
) -> None:
    zone = {"cn": "Asia/Shanghai", "tw": "Asia/Taipei"}.get(place, "America/New_York")
    loan = lend(fresh_db, place, dpd=3, zones=zone, validation_sent_on=DAY, opted_out_sms=False)
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE book SET lender_type = %s, collector = %s", (lender, collector))
    row = decided(fresh_db, loan)
    assert row["law_known"] is known and (row["step"] != "none") is bool(known)
    # The gate says the same, and nobody lifts it.
    facts = {"to_whom": "debtor"}
    answer = why(loan, "sms", datetime(2026, 6, 30, 4, tzinfo=UTC), facts, BOOK).answer
    said = {spoken.rule.id: spoken.says for spoken in answer.spoke}
    assert said["policy.law-known"] == {True: "permits", None: "unknown", False: "forbids"}[known]
