"""What the record does not show is never taken for done, and never for not done: findings of a compliance officer."""

import pytest
from tests.nightly.test_night import contacted, decided, lend


def escalated(url: str, dpd: int = 20, letter: str = "delivered", notice: str | None = None, **given: object) -> int:
    """A loan after texts, calls, a letter and a plan offer; and notice of a visit four days ago, with that outcome."""
    loan = lend(url, dpd=dpd, **given)
    for day, step in ((12, "sms"), (14, "sms"), (16, "call"), (18, "call"), (20, "call")):
        contacted(url, loan, step, f"2026-06-{day}T10:00:00+08:00", "no_answer" if step == "call" else "delivered")
    contacted(url, loan, "letter", "2026-06-22T10:00:00+08:00", letter)
    contacted(url, loan, "plan_offer", "2026-06-24T10:00:00+08:00")
    if notice:
        contacted(url, loan, "visit_notice", "2026-06-26T10:00:00+08:00", notice)
    return loan


# ---- what failed was not done -----------------------------------------------------------------------


@pytest.mark.parametrize(("notice", "step"), [("delivered", "visit"), ("failed", "none")])
def test_a_notice_that_failed_is_no_notice(fresh_db: str, notice: str, step: str) -> None:
    # Given notice of a visit four days ago, then a visit only if it arrived; a failed one still spaces the next.
    row = decided(fresh_db, escalated(fresh_db, notice=notice))
    assert (row["step"], row["days_since_visit_notice"]) == (step, 4)


def test_steps_that_failed_were_not_tried_but_still_count_against_the_limit(fresh_db: str) -> None:
    # Given three calls that failed, then they are the three of the episode, and no milder step for a visit.
    loan = lend(fresh_db, dpd=20)
    for day in (16, 18, 20):
        contacted(fresh_db, loan, "call", f"2026-06-{day}T10:00:00+08:00", "failed")
    row = decided(fresh_db, loan)
    assert (row["calls_episode"], row["tries_made_episode"]) == (3, 0)


def test_from_thirty_days_a_letter_that_failed_has_stated_nothing(fresh_db: str) -> None:
    told, untold = (lend(fresh_db, dpd=40, can_sms=False) for _ in range(2))
    contacted(fresh_db, told, "letter", "2026-06-22T10:00:00+08:00", "delivered")
    contacted(fresh_db, untold, "letter", "2026-06-22T10:00:00+08:00", "failed")
    assert decided(fresh_db, told)["step"] == "call"
    assert decided(fresh_db, untold)["step"] == "plan_offer"


def test_a_notice_of_an_earlier_episode_allows_no_visit(fresh_db: str) -> None:
    # Given notice twenty-eight days ago, and arrears that began fifteen days ago, then nobody comes.
    loan = lend(fresh_db, dpd=15)
    done = ((16, "sms"), (17, "sms"), (18, "call"), (19, "call"), (20, "call"), (22, "letter"), (24, "plan_offer"))
    for day, step in done:
        contacted(fresh_db, loan, step, f"2026-06-{day}T10:00:00+08:00")
    contacted(fresh_db, loan, "visit_notice", "2026-06-02T10:00:00+08:00")
    row = decided(fresh_db, loan)
    assert (row["step"], row["days_since_visit_notice"], row["days_since_notice_given"]) == ("none", 28, 9999)


def test_the_due_date_itself_is_no_day_of_the_episode_by_any_clock(fresh_db: str) -> None:
    # Past due begins the day after the due date, 2026-06-10: a text at 23:30 of that day in Chicago, which is the
    # 11th in New York where the borrower may also be, opens no way to a harsher step; it still counts as a text.
    loan = lend(fresh_db, "us", dpd=20, zones="America/New_York|America/Chicago")
    contacted(fresh_db, loan, "sms", "2026-06-10T23:30:00-05:00")
    contacted(fresh_db, loan, "sms", "2026-06-11T12:00:00-05:00")
    row = decided(fresh_db, loan)
    assert (row["sms_episode"], row["tries_made_episode"]) == (2, 1)


def test_a_call_of_which_it_is_not_said_that_it_was_a_conversation_counts_as_one(fresh_db: str) -> None:
    # 12 CFR 1006.14(b)(2)(i)(B): no call within seven days after a conversation; `connected` may have been one.
    loan = lend(fresh_db, "us", dpd=9, zones="America/New_York", can_sms=False)
    contacted(fresh_db, loan, "call", "2026-06-26T12:00:00-04:00", "connected")
    row = decided(fresh_db, loan)
    assert (row["step"], row["conversations_7d"]) == ("none", 1)
