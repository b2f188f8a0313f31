"""Faults that other lending systems had to mend, each through the database: posted, then read where it is kept."""

import json
from datetime import date, timedelta
from pathlib import Path

from tests.conftest import Asked
from typer.testing import CliRunner

from forbear.cli import app
from forbear.ledger.models import Charged, ChargedBack, Event, Kind, Paid
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.servicing.history import history
from forbear.servicing.post import Posting, Standing, post_one

FEB, MAR = date(2026, 2, 10), date(2026, 3, 10)
STATE = "SELECT dpd, bucket, class, arrears_minor FROM account_state WHERE account_id = 1 ORDER BY id DESC LIMIT 1"


def on(days: int) -> date:
    """So many days after the first instalment fell due."""
    return FEB + timedelta(days=days)


def posted(event: Event, as_of: date) -> Standing:
    return post_one(Posting(1, event), as_of).standing


def night(asked: Asked, as_of: date) -> tuple[int, int]:
    """Days past due and arrears among the facts of a night."""
    nightly(as_of, load())
    found = asked(
        "SELECT d.dpd, d.arrears FROM decision d JOIN run r ON r.id = run_id"
        f" WHERE account_id = 1 AND as_of = '{as_of}' ORDER BY run_id DESC LIMIT 1"
    )
    return found[0][0], found[0][1]


def test_a_backdated_payment_restates_days_past_due_of_days_on_record(book: Path, asked: Asked) -> None:
    posted(Charged("F1", on(20), Kind.FEE, 100), on(20))
    assert night(asked, on(20)) == (20, 51_500)
    posted(Paid("P1", FEB, 51_500), on(25))
    assert asked("SELECT dpd FROM account_state WHERE account_id = 1 AND as_of = '2026-03-02' ORDER BY id") == [
        (20,),
        (0,),
    ]
    assert asked(STATE)[0][0] == 0 and night(asked, on(20)) == (0, 0)


def test_a_payment_of_the_newest_day_on_record_that_is_known_a_day_later_restates_it(book: Path, asked: Asked) -> None:
    # Given a part of what is 20 days past due, posted on its day, when the rest of that day is known on the next one.
    posted(Paid("P1", on(20), 100), on(20))
    posted(Paid("P2", on(20), 51_400), on(21))
    assert asked("SELECT as_of::text, dpd FROM account_state WHERE account_id = 1 ORDER BY id") == [
        ("2026-03-02", 20),
        ("2026-03-02", 0),
        ("2026-03-03", 0),
    ]


def test_the_class_follows_a_payment_at_once_without_a_night(book: Path, asked: Asked) -> None:
    assert posted(Charged("F1", on(80), Kind.FEE, 100), on(80)).category == "special_mention"
    assert posted(Paid("P1", on(80), 200_000), on(80)).category == "normal"
    assert asked(STATE) == [(0, "current", "normal", 0)]


def test_a_chargeback_brings_the_arrears_back_with_their_age(book: Path, asked: Asked) -> None:
    posted(Paid("P1", FEB, 51_500), FEB)
    posted(ChargedBack("C1", on(20), "P1"), on(20))
    assert asked(STATE) == [(20, "1-30", "special_mention", 51_500)]
    assert night(asked, on(20)) == (20, 51_500)


def test_not_only_the_oldest_open_instalment_is_looked_at(book: Path, asked: Asked) -> None:
    # Given both instalments past due, when the oldest is paid, then the next one's age and amount stand.
    posted(Paid("P1", on(48), 51_500), on(48))
    assert asked(STATE) == [(20, "1-30", "special_mention", 50_750)]
    assert night(asked, on(48)) == (20, 50_750)


def test_the_last_open_ended_bucket_is_reached(book: Path, asked: Asked) -> None:
    for days, bucket in ((180, "151-180"), (181, "181+"), (4_000, "181+")):
        posted(Charged(f"F{days}", on(days), Kind.FEE, 100), on(days))
        assert asked(STATE)[0][:2] == (days, bucket)
    assert night(asked, on(181))[0] == 181


def test_penalty_interest_is_posted_no_day_off(book: Path, asked: Asked) -> None:
    # 500.00 at 27% a year, actual/365: 0.37 on the day after the due date, and nothing on the due date itself.
    owed = "SELECT coalesce(sum(amount_minor), 0)::int FROM journal_balance WHERE account_id = 1"
    owed += " AND ledger_account = 'owed:penalty'"
    for days, minor in ((0, 0), (1, 37), (2, 74), (10, 370)):
        posted(Charged(f"F{days}", on(days), Kind.FEE, 100), on(days))
        assert asked(owed) == [(minor,)]
    days = "SELECT max(value_on) FROM journal_transaction WHERE account_id = 1 AND key LIKE '%penalty:1%'"
    assert asked(days) == [(on(10),)]


def test_the_history_of_buckets_is_kept_and_what_was_known_first_beside_it(book: Path, asked: Asked) -> None:
    # Given states of three days and a night, when a payment of the second day comes to light, then each day has its
    # bucket and class, and the day that was restated tells what was known first.
    for days in (5, 31, 61):
        posted(Charged(f"F{days}", on(days), Kind.FEE, 100), on(days))
    night(asked, on(31))
    posted(Paid("P1", on(31), 51_500), on(61))
    found = {day.on: day for day in history(1)}
    assert [(d.dpd, d.bucket, d.category) for d in (found[on(5)], found[on(31)], found[on(61)])] == [
        (5, "1-30", "special_mention"),
        (3, "1-30", "special_mention"),
        (33, "31-60", "special_mention"),
    ]
    middle = found[on(31)]
    assert (middle.restated, middle.dpd_first, middle.bucket_first) == (1, 31, "31-60") and middle.step is not None
    for lang, word in (("en", "restated since"), ("zh-Hans", "后经重述"), ("zh-Hant", "後經重述")):
        told = CliRunner().invoke(app, ["history", "L1", "--lang", lang])
        assert told.exit_code == 0 and word in told.output and len(told.output.splitlines()) == 3 + 4  # days, events


def test_a_day_that_a_night_alone_tells_of_is_restated_by_a_payment_that_comes_to_light(
    book: Path, asked: Asked
) -> None:
    # Given the night of 2 March, when a payment of that day is posted a day later, then the day shows what is known
    # now, and what the night held.
    night(asked, on(20))
    assert (history(1)[0].arrears, history(1)[0].restated) == (51_500, 0)
    posted(Paid("P1", on(20), 51_500), on(21))
    found = {day.on: day for day in history(1)}[on(20)]
    assert (found.dpd, found.arrears, found.restated, found.dpd_first, found.bucket_first) == (0, 0, 1, 20, "1-30")
    assert found.bucket == "current" and found.step is not None


def test_a_sale_hands_over_what_the_claim_takes_and_no_more(book: Path, asked: Asked) -> None:
    # PIPL art. 6: the least data. The account is sold, the night speaks of it no more, the same command says the same.
    command = ["sell", "L1", "400.00", "--to", "A-7", "--on", str(on(20)), "--key", "S1", "--as-of", str(on(20))]
    first = CliRunner().invoke(app, command)
    given = json.loads(first.output)
    assert first.exit_code == 0 and given["ref"] == "L1" and given["past_due_since"] == str(FEB)
    assert set(given) == {
        "ref", "currency", "opened_on", "principal", "annual_rate_ppm", "penalty_rate_ppm", "as_of", "owed",
        "past_due_since", "open_instalments", "amounts", "minor_digits",
    }  # fmt: skip
    assert asked("SELECT status FROM account WHERE id = 1") == [("sold",)] and night(asked, on(20)) == (0, 0)
    # What the figures are counted in is said beside them.
    assert (given["amounts"], given["minor_digits"]) == ("minor units of CNY", 2)
    assert CliRunner().invoke(app, command).output == first.output


def test_forbearance_is_granted_by_a_command_and_nothing_accrues_in_it(book: Path, asked: Asked) -> None:
    given = ["--on", str(FEB), "--until", str(on(30)), "--freeze", "--key", "H1", "--as-of", str(FEB)]
    assert CliRunner().invoke(app, ["grant", "L1", *given]).exit_code == 0
    posted(Charged("F1", on(40), Kind.FEE, 100), on(40))
    # 500.00 at 27% for the ten days after it: 3.70; of March, due within it, for ten days too.
    assert asked(
        "SELECT amount_minor FROM journal_balance WHERE account_id = 1 AND ledger_account = 'owed:penalty'"
    ) == [(740,)]
