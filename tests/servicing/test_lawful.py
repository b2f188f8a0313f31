"""What the law takes off beside the contract's ceiling: by accrual, in a respite; and where no rule covers a loan."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import write_book
from typer.testing import CliRunner

from forbear.cli import app
from forbear.intake.services import import_book, mend
from forbear.ledger.arrears import MONTHLY
from forbear.ledger.models import Charged, Forborne, Kind, Paid, Reason, Reversed, WrittenOff
from forbear.locale import LANGUAGES
from forbear.nightly.report import BUCKETS
from forbear.nightly.run import nightly
from forbear.rulebook.cap import find_cap, lowest_known, respite_rule
from forbear.rulebook.load import load
from forbear.servicing.command import told as receipt_in_words
from forbear.servicing.errors import ServicingError
from forbear.servicing.history import history
from forbear.servicing.post import Posting, Receipt, Standing, post_one
from forbear.servicing.reschedule import rescheduled
from forbear.statement.document import document
from forbear.statement.render import text
from forbear.statement.services import Statement, statement

Asked = Callable[..., list[tuple[Any, ...]]]
RULES = load()
BOOK = """name = "own"
jurisdiction = "{place}"
lender_type = "{lender}"
collector = "creditor"
currency = "{currency}"
history_from = 2020-01-01
"""


def taken_in(folder: Path, place: str, lender: str, currency: str, **tables: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "book.toml").write_text(BOOK.format(place=place, lender=lender, currency=currency), "utf-8")
    for table, rows in tables.items():
        (folder / f"{table}.csv").write_text(rows, "utf-8")
    assert import_book(folder, "forbear").bad == 0


def posted(event: Any, as_of: date) -> Receipt:
    return post_one(Posting(1, event), as_of)


def told(url: str, day: date) -> Statement:
    with psycopg.connect(url) as connection:
        return statement(connection, 1, day, day, RULES)


def words(url: str, day: date, language: str = "en") -> str:
    return text(document(told(url, day), LANGUAGES[language]))


# ---- Taiwan: Civil Code 205 with 10-1 of its Enforcement Act; Banking Act 47-1 -----------------------

TW = {
    "borrowers": "ref,zones\nB1,Asia/Taipei\n",
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,penalty_rate\n"
    "L1,B1,instalment,open,2021-05-20,4000.00,18,30\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nL1,1,2021-06-20,1000.00,60.00\n"
    "L1,2,2021-07-20,1000.00,45.00\nL1,3,2021-08-20,1000.00,30.00\nL1,4,2021-09-20,1000.00,15.00\n",
}


def test_taiwan_s_ceilings_follow_the_day_of_accrual_and_a_bank_s_card_has_its_own() -> None:
    day = date(2019, 1, 1)
    assert lowest_known(RULES, "tw", "bank", day) == ((day, 200_000), (date(2021, 7, 20), 160_000))
    assert lowest_known(RULES, "tw", "bank", day, "card") == ((day, 150_000),)
    old = date(2010, 1, 1)
    assert lowest_known(RULES, "tw", "bank", old, "card") == ((old, 200_000), (date(2015, 9, 1), 150_000))
    # The gate judges an older contract by what binds what arises today.
    cap = find_cap(RULES, "tw", "bank", day, on=date(2026, 1, 5))
    assert cap is not None and cap.ppm == 160_000


def test_an_older_taiwanese_loan_is_demanded_at_16_percent_since_the_day(
    fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    taken_in(tmp_path / "tw", "tw", "bank", "TWD", **TW)
    # Through 07-19 the 18% stand under the 20%; since 07-20 a month on 2,000 costs 26.66 at 16%, on 1,000 13.33.
    assert asked("SELECT removed_minor FROM instalment ORDER BY n") == [(0,), (0,), (334,), (167,)]
    day = date(2021, 7, 29)
    stood = posted(Paid("P1", date(2021, 6, 20), 1), day).standing
    found = told(fresh_db, day)
    late = [(c.line.rate_ppm, c.line.days) for c in found.charges if c.line.kind is Kind.PENALTY]
    assert late == [(200_000, 29), (160_000, 10), (160_000, 9)]
    # The night folds such a loan, and says what the journal says.
    nightly(day, RULES)
    assert asked("SELECT dpd, arrears, owed FROM decision") == [(stood.dpd, stood.arrears, stood.owed)]
    assert "at most 20% a year, and 16% of what arises since" in words(fresh_db, day)
    assert not found.changed


# ---- United Kingdom: SI 2020/1311 regs 6, 7, 26 -----------------------------------------------------

LAST = date(2026, 4, 10)
GB = {
    "borrowers": f"ref,zones,respite_until\nB1,Europe/London,{LAST}\n",
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,penalty_rate\n"
    "L1,B1,instalment,open,2026-01-10,1000.00,18,18.25\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nL1,1,2026-02-10,500.00,15.00\nL1,2,2026-03-12,500.00,7.50\n",
}


def test_in_a_breathing_space_nothing_accrues_and_no_fee_is_charged(
    fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    taken_in(tmp_path / "gb", "gb", "other", "GBP", **GB)
    # Regulation 26: sixty days; the record tells the last one, so it began at the end of 02-09.
    (rule, on) = asked("SELECT detail ->> 'rule', value_on FROM account_event")[0]
    assert (rule, on) == ("gb.respite.freeze", LAST - timedelta(days=60))
    day = date(2026, 3, 31)
    stood = posted(Paid("P1", date(2026, 2, 10), 1), day).standing
    # Regulation 7(6)(a): no penalty interest on 500.00, nor the second instalment's 7.50, all within it; of the
    # first one's 15.00 for 31 days the last day.
    assert (stood.dpd, stood.owed) == (49, 50_000 + 1_452 + 50_000 - 1)
    with pytest.raises(ServicingError, match="nothing is charged"):
        posted(Charged("F1", date(2026, 3, 1), Kind.FEE, 1_000), day)
    found = told(fresh_db, day)
    assert [(n, cut.excess) for n, cut in found.spared] == [(1, 48), (2, 750)]
    page = words(fresh_db, day)
    assert "Days on which nothing accrues" in page and "7(6)(a), (b)" in page and "not yet verified" in page
    # After it interest runs again, on the days since alone: 1,000.00 at 18.25% is 0.50 a day.
    assert told(fresh_db, LAST + timedelta(days=10)).today.due == stood.owed + 10 * 50
    nightly(day, RULES)
    assert asked("SELECT dpd, owed FROM decision") == [(stood.dpd, stood.owed)]


def test_a_respite_that_ends_sooner_or_later_keeps_its_beginning(fresh_db: str, asked: Asked, tmp_path: Path) -> None:
    taken_in(tmp_path / "gb", "gb", "other", "GBP", **GB)
    for until in (date(2026, 3, 1), date(2026, 4, 20)):
        rows = f"ref,zones,respite_until\nB1,Europe/London,{until}\n"
        taken_in(tmp_path / "gb", "gb", "other", "GBP", **(GB | {"borrowers": rows}))
        live = asked(
            "SELECT value_on, detail ->> 'until' FROM account_event e WHERE kind = 'forborne' AND NOT EXISTS (SELECT"
            " FROM account_event r WHERE r.kind = 'reversed' AND r.detail ->> 'of' = 'event:' || e.key)"
        )
        assert live == [(LAST - timedelta(days=60), str(until))]
    assert respite_rule(RULES, "gb", LAST) and not respite_rule(RULES, "cn", LAST)


def test_a_respite_that_is_known_to_be_open_freezes_from_the_day_on_which_it_is_known(
    fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    # A mental health crisis moratorium lasts as long as the treatment (SI 2020/1311 Part 3), longer than sixty days. On
    # 1 March the record tells one through 31 August, so that 1 March is frozen, whatever sixty days before its end is.
    picture = f"{BOOK}snapshot_on = 2026-03-01\n"
    rows = "ref,zones,respite_until\nB1,Europe/London,2026-08-31\n"
    folder = write_book(
        tmp_path / "gb", picture.format(place="gb", lender="other", currency="GBP"), GB | {"borrowers": rows}
    )
    for _ in range(2):  # a picture of a later day moves nothing
        assert import_book(folder, "forbear").bad == 0
        assert asked("SELECT kind, value_on FROM account_event") == [("forborne", date(2026, 2, 28))]
        write_book(folder, (folder / "book.toml").read_text().replace("2026-03-01", "2026-04-01"), {})
    # The 500.00 past due since 10 February bear 18 days of penalty interest and no more.
    (late,) = [each.line for each in told(fresh_db, date(2026, 6, 30)).charges if each.line.kind is Kind.PENALTY]
    assert (late.end, late.amount) == (date(2026, 2, 28), 450)


def test_a_respite_told_in_another_book_freezes_at_once_what_the_person_owes_here(
    fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    # In a moratorium interest stops on each debt of the person's that is in it (SI 2020/1311 reg 7), whoever tells it.
    key = "cd" * 32
    told_of = f"ref,zones,respite_until,person_key\nB1,Europe/London,{{until}},{key}\n"
    for name, until in (("one", ""), ("two", str(LAST))):
        text = BOOK.format(place="gb", lender="other", currency="GBP").replace('"own"', f'"{name}"')
        folder = write_book(tmp_path / name, text, GB | {"borrowers": told_of.format(until=until)})
        assert import_book(folder, "forbear").bad == 0
    frozen = asked("SELECT account_id, detail ->> 'until' FROM account_event ORDER BY 1")
    assert frozen == [(1, str(LAST)), (2, str(LAST))]


LIVE_FREEZES = (
    "SELECT value_on, detail ->> 'until' FROM account_event e WHERE kind = 'forborne' AND NOT EXISTS (SELECT"
    " FROM account_event r WHERE r.kind = 'reversed' AND r.detail ->> 'of' = 'event:' || e.key)"
)


def of_borrower(first: str, until: object = LAST) -> dict[str, str]:
    return GB | {"borrowers": f"ref,zones,respite_from,respite_until\nB1,Europe/London,{first},{until}\n"}


def test_a_respite_whose_first_day_is_told_freezes_from_that_day(fresh_db: str, asked: Asked, tmp_path: Path) -> None:
    # Given a moratorium from 20 February, as its notice says, then penalty interest on the 500.00 past due since the
    # 10th runs for nine days, and stops (SI 2020/1311 reg 7): nobody need count sixty days back.
    taken_in(tmp_path / "gb", "gb", "other", "GBP", **of_borrower("2026-02-20"))
    assert asked(LIVE_FREEZES) == [(date(2026, 2, 19), str(LAST))]
    (late,) = [each.line for each in told(fresh_db, LAST).charges if each.line.kind is Kind.PENALTY]
    assert (late.start, late.end, late.amount) == (date(2026, 2, 10), date(2026, 2, 19), 225)
    assert "Feb 20, 2026 – Apr 10, 2026" in words(fresh_db, LAST)


def test_a_first_day_that_is_told_later_takes_the_place_of_the_one_that_was_counted_back(
    fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    taken_in(tmp_path / "gb", "gb", "other", "GBP", **GB)
    posted(Paid("P1", date(2026, 2, 10), 1), LAST)
    for first in ("2026-02-20", "2026-02-15", ""):  # a file that no longer tells it leaves it as it was
        taken_in(tmp_path / "gb", "gb", "other", "GBP", **of_borrower(first))
        begun = date.fromisoformat(first or "2026-02-15")
        assert asked(LIVE_FREEZES) == [(begun - timedelta(days=1), str(LAST))]
    # The journal follows: four days of penalty interest at 0.25, and four of the second period's 30 days for 7.50.
    assert told(fresh_db, LAST).today.due == 100_000 + 1_500 - 1 + 100 + 100


def test_a_loan_made_in_a_respite_is_no_debt_of_it(fresh_db: str, asked: Asked, tmp_path: Path) -> None:
    # Regulation 6(b): a moratorium debt was owed when the moratorium was asked for; L1 was lent on 10 January.
    for first, freezes in (("2026-01-11", 1), ("2026-01-10", 0)):
        taken_in(tmp_path / "gb", "gb", "other", "GBP", **of_borrower(first))
        assert len(asked(LIVE_FREEZES)) == freezes


def test_another_respite_leaves_the_one_before_as_it_was(fresh_db: str, asked: Asked, tmp_path: Path) -> None:
    # A mental health crisis moratorium may follow a breathing space: each freezes its own days.
    for first, until in (("2026-02-20", "2026-03-01"), ("2026-04-01", "2026-04-20")):
        taken_in(tmp_path / "gb", "gb", "other", "GBP", **of_borrower(first, until))
    assert asked(LIVE_FREEZES) == [(date(2026, 2, 19), "2026-03-01"), (date(2026, 3, 31), "2026-04-20")]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_every_respite_that_any_record_of_the_person_tells_freezes_every_loan(
    fresh_db: str, asked: Asked, tmp_path: Path, order: tuple[int, int]
) -> None:
    # SI 2020/1311 reg 7: given two books that tell of two respites of one person, in whatever order they come, then
    # both freeze what is owed in both.
    key, told_of = "cd" * 32, [("2026-02-20", "2026-03-01"), ("2026-04-01", "2026-04-20")]
    for k in order:
        text_ = BOOK.format(place="gb", lender="other", currency="GBP").replace('"own"', f'"book{k}"')
        people = "ref,zones,respite_from,respite_until,person_key\nB1,Europe/London,{},{},{}\n"
        tables = GB | {"borrowers": people.format(*told_of[k], key)}
        assert import_book(write_book(tmp_path / f"book{k}", text_, tables), "forbear").bad == 0
    days = [(date.fromisoformat(first) - timedelta(days=1), until) for first, until in told_of]
    by_account = asked(LIVE_FREEZES.replace("SELECT value_on", "SELECT account_id, value_on", 1))
    assert sorted(by_account) == [(account, *each) for account in (1, 2) for each in days]


def picture_of(folder: Path, day: date, first: object, until: object) -> None:
    text_ = BOOK.format(place="gb", lender="other", currency="GBP") + f"snapshot_on = {day}\n"
    write_book(folder, text_, of_borrower(str(first), until))
    assert import_book(folder, "forbear").bad == 0


@pytest.mark.parametrize(("day", "stays"), [(date(2026, 3, 20), 0), (LAST + timedelta(days=1), 1)])
def test_a_respite_recorded_by_mistake_is_taken_back_by_a_newer_record_without_it(
    fresh_db: str, asked: Asked, tmp_path: Path, day: date, stays: int
) -> None:
    # Given a respite that the next picture tells no more, then it was a mistake, and interest ran; one that was over
    # by then stays, since its days may have been emptied for that.
    picture_of(tmp_path / "gb", date(2026, 3, 1), "2026-02-20", LAST)
    posted(Paid("P1", date(2026, 2, 10), 1), LAST)
    picture_of(tmp_path / "gb", day, "", "")
    assert len(asked(LIVE_FREEZES)) == stays
    frozen = [line for line in told(fresh_db, LAST).charges if line.line.kind is Kind.PENALTY]
    assert (frozen[0].line.end == date(2026, 2, 19)) is bool(stays)


def test_a_respite_that_comes_to_light_after_the_loan_was_repaid_gives_back_what_was_taken(
    fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    # Given 1,022.81 paid on 2 March, which ended the loan, when a respite from 20 February on becomes known, then what
    # ran from that day on, interest and penalty interest, was taken in breach of SI 2020/1311 reg 7: the borrower's.
    day = date(2026, 3, 2)
    picture_of(tmp_path / "gb", day, "", "")
    whole = told(fresh_db, day).today.payoff
    posted(Paid("P1", day, whole), day)
    assert asked("SELECT status FROM account") == [("paid_off",)]
    picture_of(tmp_path / "gb", day + timedelta(days=1), "2026-02-20", LAST)
    found = told(fresh_db, day + timedelta(days=1))
    assert asked("SELECT status FROM account") == [("paid_off",)] and found.today.payoff == 0
    # Of the 500.00 past due eleven days at 0.25; of the second period's 7.50 for thirty days eleven days, by 18%.
    assert found.today.credit == 11 * 25 + (round(50_000 * 0.18 * 20 / 365) - round(50_000 * 0.18 * 9 / 365))


def test_a_cost_of_enforcement_needs_something_to_enforce(fresh_db: str, tmp_path: Path) -> None:
    # Given nothing due and unpaid, then no "cost" goes round the ceiling; the day after the due date it may.
    picture_of(tmp_path / "gb", date(2026, 3, 1), "", "")
    with pytest.raises(ServicingError, match="nothing to enforce"):
        posted(Charged("C1", date(2026, 2, 9), Kind.COST, 8_000), date(2026, 2, 9))
    posted(Charged("C1", date(2026, 2, 11), Kind.COST, 8_000), date(2026, 2, 11))


def test_a_mended_row_holds_what_its_own_person_owes_elsewhere_and_no_others(
    fresh_db: str, asked: Asked, tmp_path: Path
) -> None:
    # Given two persons, each with a loan in two books, of whom the second book comes to tell a respite by rows that are
    # mended one by one, then each mending freezes what its own person owes in the first.
    keys = {"B1": "ab" * 32, "B2": "cd" * 32}
    head = "ref,zones,respite_until,person_key\n"
    loans = GB["loans"] + "L2,B2,instalment,open,2026-01-10,1000.00,18,18.25\n"
    lines = GB["instalments"] + GB["instalments"].split("\n", 1)[1].replace("L1", "L2")
    for name, until in (("one", ""), ("two", "2026-13-01")):
        text_ = BOOK.format(place="gb", lender="other", currency="GBP").replace('"own"', f'"{name}"')
        people = head + "".join(f"{ref},Europe/London,{until},{key}\n" for ref, key in keys.items())
        folder = write_book(tmp_path / name, text_, {"borrowers": people, "loans": loans, "instalments": lines})
        import_book(folder, "forbear")
    waiting = dict(asked("SELECT borrower_ref, id FROM quarantine WHERE table_name = 'borrowers'"))
    frozen = "SELECT a.ref FROM account_event e JOIN account a ON a.id = e.account_id WHERE a.book_id = 1 ORDER BY 1"
    with psycopg.connect(fresh_db) as connection:  # as if nothing had looked at it yet: the night does, for all
        connection.execute("UPDATE borrower SET respite_until = %s WHERE ref = 'B1' AND book_id = 1", (LAST,))
    assert asked(frozen) == []
    for ref, so_far in (("B2", ["L2"]), ("B1", ["L1", "L2"])):
        assert mend(waiting[ref], {"respite_until": str(LAST)}) == []
        assert asked(frozen) == [(each,) for each in so_far]


def test_what_the_law_gives_is_reversed_by_no_sender(fresh_db: str, asked: Asked, tmp_path: Path) -> None:
    taken_in(tmp_path / "gb", "gb", "other", "GBP", **GB)
    ((key,),) = asked("SELECT key FROM account_event")
    with pytest.raises(ServicingError, match=r"gb\.respite\.freeze.*mend respite_from and respite_until"):
        posted(Reversed("R1", date(2026, 3, 1), key), date(2026, 3, 1))
    # What the lender granted it may take back.
    posted(Forborne("G1", date(2026, 4, 20), date(2026, 4, 30), freezes=True), date(2026, 4, 20))
    posted(Reversed("R2", date(2026, 4, 21), "G1"), date(2026, 4, 21))


def test_no_day_stands_among_the_frozen_ones_and_those_that_are_charged(fresh_db: str, tmp_path: Path) -> None:
    taken_in(tmp_path / "gb", "gb", "other", "GBP", **GB)
    page = words(fresh_db, LAST + timedelta(days=10))
    # Sixty days through 10 April are frozen; penalty interest is of the ten days after it.
    assert "Feb 10, 2026 – Apr 10, 2026" in page and "Apr 11, 2026 – Apr 20, 2026" in page
    assert "Apr 10, 2026 – Apr 20, 2026" not in page


def test_granted_a_freeze_means_what_it_says(fresh_db: str, tmp_path: Path) -> None:
    plain = GB | {"borrowers": "ref,zones,respite_until\nB1,Europe/London,\n"}
    taken_in(tmp_path / "gb", "gb", "other", "GBP", **plain)
    day = date(2026, 3, 12)
    posted(Forborne("H1", date(2026, 2, 10), day, freezes=True), day)
    found = told(fresh_db, day)
    assert found.today.due == 50_000 + 1_500 + 50_000  # nothing ran from 02-11 through 03-12
    assert "forbearance granted by the lender" in words(fresh_db, day)


# ---- China: where no rule covers lender and day -----------------------------------------------------

CN = {
    "borrowers": "ref,zones\nB1,Asia/Shanghai\n",
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,penalty_rate\n"
    "L1,B1,instalment,open,2017-07-04,1000.00,{rate},0\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nL1,1,2017-08-04,1000.00,{interest}\n",
}


@pytest.mark.parametrize(("lender", "day"), [("bank", date(2017, 8, 3)), ("micro_lender", date(2020, 12, 31))])
def test_in_china_no_ceiling_on_file_is_no_ceiling_unknown(lender: str, day: date) -> None:
    # 法发〔2017〕22号 covers banks from 2017-08-04, 法释〔2020〕27号 micro-lenders from 2021: before, nothing.
    found = find_cap(RULES, "cn", lender, day)
    assert found is not None and found.exists is None and found.rule is None
    # The lowest that was known at the time: 24% (2015), or four times the LPR of 2020-12-31.
    assert found.ppm == {"bank": 240_000, "micro_lender": 154_000}[lender]
    assert lowest_known(RULES, "cn", lender, day) == ()
    assert find_cap(RULES, "us", "bank", day) is None
    # Before all of them it is that of the first, of 2015-09-01.
    long_ago = find_cap(RULES, "cn", lender, date(2010, 1, 1))
    assert long_ago is not None and (long_ago.exists, long_ago.ppm) == (None, 240_000)


@pytest.mark.parametrize(("rate", "interest", "held"), [("24", "20.00", False), ("36", "30.00", True)])
def test_such_a_loan_goes_to_a_person_only_above_what_was_known_of_the_time(
    fresh_db: str, asked: Asked, tmp_path: Path, rate: str, interest: str, held: bool
) -> None:
    tables = {name: rows.format(rate=rate, interest=interest) for name, rows in CN.items()}
    taken_in(tmp_path / "cn", "cn", "bank", "CNY", **tables)
    nightly(date(2017, 9, 4), RULES)
    (run,) = asked("SELECT rule_bits -> 'cn' FROM run")[0]
    (unknown,) = asked("SELECT unknown FROM decision")[0]
    assert bool(unknown & 1 << run.index("policy.over-cap")) is held
    found = told(fresh_db, date(2017, 9, 4))
    assert found.uncovered and found.unknown and not found.removed
    assert "a lawyer must say" in words(fresh_db, date(2017, 9, 4))


# ---- a plan, a fee, a write-off ---------------------------------------------------------------------

LOAN = {
    "borrowers": "ref,zones\nB1,Asia/Shanghai\n",
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,penalty_rate\n"
    "L1,B1,instalment,open,2026-01-10,1000.00,18,18\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nL1,1,2026-02-10,500.00,15.00\nL1,2,2026-03-10,500.00,7.50\n",
}


@pytest.fixture
def loan(fresh_db: str, tmp_path: Path) -> None:
    taken_in(tmp_path / "cn", "cn", "bank", "CNY", **LOAN)


def test_the_lines_of_a_plan_tell_its_terms_formula_and_days(loan: None, fresh_db: str) -> None:
    on, due = date(2026, 3, 20), date(2026, 4, 20)
    posted(rescheduled(1, "A1", on, due, 2, Reason.PLAN), on)
    found = told(fresh_db, due)
    (plan,) = (each.plan for each in found.plans)
    assert (plan.on, [line.due_on for line in plan.lines]) == (on, [due, date(2026, 5, 20)])
    charge = next(c for c in found.charges if c.line.n == plan.first)
    # 1,000.00 × 18% × 31/365 = 15.29, by the plan and not by the contract's schedule.
    assert charge.line.amount == 1_529 and charge.worked is not None
    page = words(fresh_db, due)
    assert "Plan agreed on Mar 20, 2026" in page and "× 18% × 31/365" in page and "the plan of Mar 20, 2026" in page
    assert all("Plan" not in words(fresh_db, due, tag) for tag in ("zh-Hans", "zh-Hant"))
    # What is printed for the first day is what falls due on it: with the interest that was unpaid before.
    first = plan.lines[0].amount + plan.carried
    assert plan.carried > 0 and f"{first / 100:,.2f}" in page
    assert posted(Paid("P9", due, first), due).standing.arrears == 0


def test_a_fee_above_the_ceiling_is_owed_in_part_and_one_without_room_refused(loan: None, fresh_db: str) -> None:
    day = date(2026, 3, 10)
    receipt = posted(Charged("F1", day, Kind.FEE, 50_000), day)
    (cut,) = told(fresh_db, day).refused
    assert 0 < cut.lawful < 50_000 and dict(receipt.entries)["owed:fee"] == cut.lawful
    assert "part of the yearly cost" in words(fresh_db, day)
    with pytest.raises(ServicingError, match="leaves no room"):
        posted(Charged("F2", day, Kind.FEE, 100), day)


def test_after_a_write_off_days_past_due_go_on_at_night_and_in_the_history(
    loan: None, fresh_db: str, asked: Asked
) -> None:
    day = date(2026, 3, 20)
    posted(WrittenOff("W1", day), day)
    nightly(date(2026, 3, 30), RULES)
    assert asked("SELECT status, dpd, step FROM decision") == [("charged_off", 48, "none")]
    newest = history(1)[0]
    assert (newest.on, newest.dpd, newest.restated) == (date(2026, 3, 30), 48, 0)
    assert "by the lender on Mar 20, 2026, which does not end the debt" in words(fresh_db, date(2026, 3, 30))


def test_the_history_says_where_only_the_sum_in_arrears_was_restated(loan: None) -> None:
    # Given a payment that comes to light a day late and does not end the arrears, then the days past due of the day
    # before are as first known.
    day = date(2026, 2, 20)
    posted(Paid("P1", day, 100), day)
    posted(Paid("P2", date(2026, 2, 19), 100), date(2026, 2, 21))
    (_, older) = history(1)
    assert (older.dpd, older.restated, older.dpd_first) == (10, True, 10)
    told_ = CliRunner().invoke(app, ["history", "L1"])
    assert "the sum in arrears was restated" in told_.output and "first known as" not in told_.output


def test_a_receipt_of_a_card_names_minimum_and_balance_apart() -> None:
    stood = Standing(date(2026, 3, 1), 0, None, "current", "normal", 0, 5_000)
    posted_on = datetime(2026, 3, 1, tzinfo=UTC)
    line = receipt_in_words(Receipt(1, "P", stood.as_of, posted_on, (), stood, False, True, 90_000), "CNY", "en")[1]
    assert "minimum payment due CN¥50.00" in line and "Balance in all: CN¥900.00" in line and "owed now" not in line


def test_night_and_statement_count_by_the_same_buckets() -> None:
    assert [(b.least, b.most) for b in BUCKETS] == [(b.first, b.last) for b in MONTHLY.ladder]
