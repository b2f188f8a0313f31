"""The search for the earliest lawful time passes over days on which a rule must go on to stand: same answer, faster."""

from datetime import date
from typing import Any

import psycopg
import pytest
from tests.contact.conftest import FACTS

from forbear.contact import reads
from forbear.contact.facts import facts_by_day, quiet_days
from forbear.rulebook.book import Rulebook
from forbear.rulebook.compile import compile_for
from forbear.rulebook.earliest import earliest_lawful
from forbear.synth.draw import Request as Draw
from forbear.synth.parameters import parameters
from forbear.synth.write import write

DAY = date(2026, 6, 30)


@pytest.mark.parametrize(("place", "accounts"), [("cn", 200), ("us", 120)])
def test_the_search_that_passes_over_days_finds_what_a_search_of_each_day_finds(
    store: Any, book: Rulebook, place: str, accounts: int
) -> None:
    # Given a book in which persons have several loans, and contacts of today, of before, and not yet counted.
    write(Draw(accounts, 23, DAY, parameters(place)))
    store.clock("2026-06-30T12:00:00+08:00" if place == "cn" else "2026-06-30T12:00:00-04:00")
    store.sql("UPDATE borrower SET same_as = id - 1 WHERE id % 5 = 0")
    store.sql("UPDATE borrower SET opted_out_sms = false, sms_consent = true, vulnerable = false")
    store.sql("UPDATE account SET promise_due_on = '2026-07-04' WHERE id % 6 = 0")
    store.sql("UPDATE borrower SET hardship_until = '2026-07-20' WHERE id % 9 = 0")
    store.sql("UPDATE account SET validation_sent_on = date '2026-06-20' + (id % 40)::int")
    store.sql(
        "INSERT INTO contact (account_id, ref, at, step, outcome) SELECT id, 'now', gate_now() + make_interval("
        "hours => (id % 97)::int - 80), (ARRAY['call','sms','letter','reminder'])[1 + id % 4], 'pending' FROM account"
    )
    found = []
    for (account_id,) in store.sql("SELECT id FROM account"):
        with psycopg.connect(store.url) as connection:
            rows = connection.execute(reads.GATHER, {"account_id": account_id, "mine": None}, binary=True).fetchall()
        record = reads.record(rows, account_id)
        assert record is not None
        quiet, asked = quiet_days(record, book, reads.AHEAD_DAYS), []
        for each in compile_for(book, place, DAY, "gate").contacts:

            def known(day: date, record: Any = record, asked: Any = asked) -> Any:
                asked.append(day)
                return facts_by_day(record, FACTS | {"purpose": "collect"}, False, book)(day)

            case = (book, place, each.id, known, record.at, record.asked.zones, record.asked.agreed, reads.AHEAD_DAYS)
            slow, days = earliest_lawful(*case), len(asked)
            assert earliest_lawful(*case, quiet) == slow, (account_id, each.id)
            found.append((slow, days, len(asked) - days))
            asked.clear()
    # It found some and not others, and looked at a fraction of the days.
    assert {slow is None for slow, _, _ in found} == {True, False}
    assert sum(fast for _, _, fast in found) < sum(days for _, days, _ in found) / 2
