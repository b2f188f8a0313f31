"""The commands that speak of the law, as a lawyer or a clerk types them."""

import re
from datetime import date
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from forbear.cli import app
from forbear.errors import ForbearError
from forbear.nightly.run import nightly
from forbear.nightly.why import missing_of_contact
from forbear.rulebook.language import Const, Names, assume, parse
from forbear.rulebook.load import load

RUN = CliRunner()
_GOOD = {"message_opt_out", "message_identifies", "visit_appointed", "visit_identified", "staff_trained", "recorded",
         "agent_announced", "staff_approved"}  # fmt: skip
#: Every fact of a contact that is made as it should be.
CONDUCT = [
    word
    for fact in load().vocabulary.facts.values()
    if fact.asked == "gate" and fact.type == "bool"
    for word in ("--fact", f"{fact.id}={'true' if fact.id in _GOOD else 'false'}")
]


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORBEAR_HOME", str(tmp_path))


def said(*typed: str) -> str:
    """What a command prints. A mistake of the user is raised as main() would print it."""
    done = RUN.invoke(app, typed, terminal_width=200)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_a_rule_prints_as_a_page_beside_its_article() -> None:
    page = said("law", "show", "us.hours", "--as-of", "2026-06-30")
    for part in ("12 CFR part 1006", "1006.6(b)(1)(i)", "from Nov 30, 2021", "08:00–21:00", "collector == 'agency'"):
        assert part in page
    assert load().by_id["us.hours"].text["en"] in page


@pytest.mark.parametrize("lang", ["zh-Hans", "zh-Hant", "en"])
def test_every_rule_prints_in_every_language(lang: str) -> None:
    for rule in load().rules:
        assert rule.text[lang] in said("law", "show", rule.id, "--lang", lang)


def test_days_and_the_houses_own_source_are_written_in_the_readers_language() -> None:
    [own] = [rule.id for rule in load().rules if rule.source == "the house"][:1]
    assert "    來源：本機構" in said("law", "show", own, "--lang", "zh-Hant")
    assert "2021年11月30日起" in said("law", "show", "us.hours", "--lang", "zh-Hant")
    assert said("law", "as-of", "2026-06-30", "--lang", "zh-Hant").splitlines()[-1].startswith("2026年6月30日：")


def test_where_a_text_was_read_is_said_to_be_told_in_english() -> None:
    read = load().by_id["us.hours"].source
    assert f"    来源（英文说明）：{read}" in said("law", "show", "us.hours", "--lang", "zh-Hans")
    assert f"    source: {read}" in said("law", "show", "us.hours")


def test_the_rules_of_a_day_and_what_changes_between_two() -> None:
    assert "cn.nifa.hours" in said("law", "as-of", "2025-02-27", "--place", "cn")
    assert "cn.nifa.hours" not in said("law", "as-of", "2025-02-28", "--place", "cn")
    turned = said("law", "diff", "2025-02-27", "2025-02-28", "--place", "cn")
    assert "Feb 28, 2025  ends  cn.nifa.hours" in turned and "Feb 28, 2025  begins  cn.hours" in turned
    assert said("law", "diff", "2025-03-01", "2025-03-02", "--place", "us").strip() == "Nothing changes between them."


def test_what_a_published_rate_changes_is_told_too() -> None:
    # 4 x one-year LPR: the rate went from 3.35% to 3.10% on 2024-10-21.
    turned = said("law", "diff", "2024-10-20", "2024-10-21", "--place", "cn")
    assert "Oct 21, 2024  changes  cn.cap.private-2020" in turned and "= 13.4% → 4 × cn.lpr-1y = 12.4%" in turned


def test_a_mistake_is_one_line_that_says_what_to_do() -> None:
    for typed, remedy in (
        (("law", "show", "nope"), "forbear law as-of lists the ids"),
        (("law", "as-of", "2026-01-01", "--place", "atlantis"), "The places are cn"),
        (("law", "diff", "2026-01-02", "2026-01-01"), "Give the earlier day first"),
        (("nightly", "--as-of", "2026-06-31"), "'2026-06-31' is no day. Write one as 2026-01-31."),
        (("why", "1", "--step", "call", "--at", "2026-01-01T10:00:00"), "has no offset from UTC"),
        (("why", "1", "--step", "hug"), "'hug' is no contact"),
        (("why", "1", "--step", "sms", "--fact", "dpd=3"), "is no fact of a contact"),
        (("why", "1", "--step", "sms", "--fact", "to_whom=cat"), "the value is debtor, spouse"),
    ):
        with pytest.raises(ForbearError, match=remedy) as told:
            said(*typed)
        assert "\n" not in str(told.value)


def test_lint_lists_the_faults_of_the_lenders_own_packs_and_ends_with_1(tmp_path: Path) -> None:
    assert said("law", "lint").strip() == "No fault found."
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "own.toml").write_text("[[rule]]\nid = 1\n", "utf-8")
    done = RUN.invoke(app, ["law", "lint"])
    assert done.exit_code == 1 and "own.toml: has rules but no [instrument]" in done.output


@pytest.mark.parametrize(
    ("name", "holds", "fault"),
    [
        ("read.md", "# a heading, which TOML takes for a comment", "is no pack: packs are *.toml"),
        ("empty.toml", "", "is no pack: it is empty"),
        ("project.toml", "[project]\nname = 'x'\n", "has the table 'project'"),
    ],
)
def test_lint_says_so_of_what_is_no_pack(tmp_path: Path, name: str, holds: str, fault: str) -> None:
    (tmp_path / name).write_text(holds, "utf-8")
    try:
        lines = said("law", "lint", str(tmp_path / name))
    except ForbearError as error:
        lines = str(error)
    assert f"{name}: " in lines and fault in lines


def test_lint_says_so_of_a_folder_without_packs(tmp_path: Path) -> None:
    with pytest.raises(ForbearError, match=r"holds no pack"):
        said("law", "lint", str(tmp_path))


def lend(database: str) -> None:
    """A loan A1 of a person in New York, due on 2026-06-24, that an agency collects."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO book (name, jurisdiction, lender_type, collector, currency, history_from,"
            " recorded_until) VALUES ('b', 'us', 'bank', 'agency', 'USD', '2026-01-01', '2100-01-01')"
        )
        connection.execute(
            "INSERT INTO borrower (book_id, ref, zones, can_call, can_sms, can_write, sms_consent, stop_contact,"
            " attorney, bankrupt, incapable, unreachable, workplace_forbidden, opted_out_sms, vulnerable) VALUES (1,"
            " 'p', 'America/New_York', true, true, true, true, false, false, false, false, false, false, false, false)"
        )
        connection.execute(
            "INSERT INTO account (book_id, borrower_id, ref, product, status, opened_on, principal_minor, dispute_open,"
            " all_in_ppm, validation_sent_on) VALUES (1, 1, 'A1', 'instalment', 'open', '2026-01-05', 100000, false,"
            " 180000, '2026-02-01')"
        )
        connection.execute("INSERT INTO instalment VALUES (1, 1, '2026-06-24', 10000, 500)")
        connection.execute(
            "INSERT INTO contact (account_id, ref, at, step, outcome)"
            " VALUES (1, 'c', '2026-06-25T12:00:00-04:00', 'call', 'conversation')"
        )


def test_one_contact_is_explained_and_a_run_replayed(fresh_db: str) -> None:
    # Given a loan six days past due in New York, called by an agency at half past eleven at night.
    lend(fresh_db)
    asked = ("why", "A1", "--step", "call", "--at", "2026-06-30T23:30:00-04:00")
    with pytest.raises(ForbearError, match=r"not yet open on 2025-12-31. Ask about a day from its opening on"):
        said("why", "A1", "--step", "call", "--at", "2025-12-31T10:00:00-05:00")
    # What the contact itself will be like is not known: no time is lawful until it is told.
    untold = said(*asked)
    assert "At no time within 62 days" not in untold
    assert "Give them:" in untold and "  --fact message_identifies=true|false  " in untold
    night = said(*asked, *CONDUCT)
    assert "call, Jun 30, 2026 23:30 (Eastern Daylight Time): forbidden" in night
    assert "✗ forbids: " in night and "us.hours  Debt Collection Practices (Regulation F) 1006.6(b)(1)(i)" in night
    # What does not stand against it is told on demand.
    assert "--all lists them" in night and "does not forbid" not in night
    assert "✓ does not forbid: " in said(*asked, *CONDUCT, "--all")
    assert "telephone conversations in 7 consecutive days about this debt: 1" in night
    # Then, from 8 o'clock on 2 July: the conversation of 25 June was within seven days until then.
    assert "Lawful from: Jul 2, 2026 08:00 (Eastern Daylight Time)" in night

    run = nightly(date(2026, 6, 30), load()).run_id
    assert "1 decisions replayed, 1 agree." in said("replay", str(run))
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE decision SET step = 'visit'")
    with pytest.raises(ForbearError, match="Decisions that differ"):
        said("replay", str(run))
    assert "of the 1 accounts of run 1, 0 would be touched" in said("law", "preview", "--as-of", "2026-07-31")


def test_who_contacts_nobody_is_told_that_the_record_ends_before_the_day(fresh_db: str) -> None:
    # Given a book whose contacts are on record until 30 June, when the next day is asked about, then it is said why.
    lend(fresh_db)
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE book SET recorded_until = '2026-06-30'")
    remedy = "Import a newer picture: forbear import."
    line = "b: contacts are on record until Jun 30, 2026, so nobody is contacted to collect on Jul 1, 2026. " + remedy
    assert line not in said("nightly", "--as-of", "2026-06-30")
    assert line in said("nightly", "--as-of", "2026-07-01").splitlines()
    why = ("why", "A1", "--step", "call", *CONDUCT, "--at")
    assert remedy not in said(*why, "2026-06-30T10:00:00-04:00")
    assert line in said(*why, "2026-07-01T10:00:00-04:00").splitlines()

    # Given a book of which not all tables were taken in, then that is the reason.
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE book SET recorded_until = NULL")
    assert "b：借款人、贷款、还款和联系记录尚未全部导入" in said(
        "nightly", "--as-of", "2026-07-01", "--lang", "zh-Hans"
    )


def test_the_gate_lists_what_to_give_numbers_its_refusal_and_tells_the_borrowers_time(fresh_db: str) -> None:
    # Given ten in the morning in New York, a week after the last call,
    # when the README's line is typed, then each fact of the contact is asked for.
    lend(fresh_db)
    _now(fresh_db, "2026-07-07T10:00:00-04:00")
    ask = ("gate", "ask", "A1", "--step", "call", "--by", "s1", "--agency", "alpha")
    untold = said(*ask)
    lacking = [line.split("=")[0].strip() for line in untold.splitlines() if line.startswith("  --fact ")]
    assert "Refused: not known to be allowed (request " in untold and "--overrides" not in untold
    assert "--fact message_identifies" in lacking

    # When exactly those are given, as they should be, then the call is granted, until five minutes later there.
    told = [word for name in lacking for word in ("--fact", _conduct(name.removeprefix("--fact ")))]
    assert "Granted, once, before Jul 7, 2026 10:05 (Eastern Daylight Time): " in said(*ask, *told)

    # When it is late at night there, then the refusal has a number, which replay takes, and the morning is theirs.
    _now(fresh_db, "2026-07-07T23:30:00-04:00")
    late = said(*ask, *CONDUCT)
    assert "if nothing else happens: Jul 8, 2026 08:00 (Eastern Daylight Time)" in late
    [number] = re.findall(r"^Refused \(request ([0-9a-f-]{36})\)\.$", late, re.MULTILINE)
    assert "The kept answer and its reasons agree." in said("replay", number)


def test_only_facts_on_which_an_answer_still_hangs_are_asked_for() -> None:
    # Given a call to the debtor, of which it is not said whether others hear of it, nor how it will be made, then
    # whether it discloses the debt is not asked: to the debtor nothing is disclosed.
    book = load()
    rules = [book.by_id[name] for name in ("cn.micro.privacy", "cn.criminal.unlawful-debt", "cn.civil.data")]
    facts = {"to_whom": "debtor", "discloses_debt": None, "public_view": None, "message_threat": None}
    assert missing_of_contact(rules, facts, book.vocabulary) == ("message_threat", "public_view")
    others = facts | {"to_whom": "employer", "public_view": False, "message_threat": False}
    assert missing_of_contact(rules, others, book.vocabulary) == ("discloses_debt",)
    # What a comparison settles is settled: a day past due is not fewer than none.
    late = parse("dpd < 1 and message_threat", Names({"dpd": "int", "message_threat": "bool"}, {}))
    assert assume(late, {"dpd": 1}) == Const(False)
    # And no rule asks of a call, or of a message, what is of visits.
    of_visits = {"visitors", "visit_appointed", "visit_identified", "enters_uninvited"}
    assert [rule.id for rule in book.rules if rule.facts_read() & of_visits and rule.steps != {"visit"}] == []


def _conduct(name: str) -> str:
    return next(each for each in CONDUCT if each.startswith(f"{name}="))


def _now(database: str, at: str) -> None:
    """Let the gate's clock stand."""
    with psycopg.connect(database) as connection:
        connection.execute(
            f"CREATE OR REPLACE FUNCTION gate_now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '{at}' $$"
        )
