"""Synthetic books: drawn again the same, money conserved, the fitted chain reproduced, always labelled."""

from datetime import date

import numpy as np
import psycopg
import pytest

from forbear.synth.draw import Request
from forbear.synth.parameters import parameters
from forbear.synth.write import write

DAY = date(2026, 6, 30)


def drawn(url: str, jurisdiction: str, seed: int, name: str, accounts: int = 2_000) -> None:
    write(Request(accounts, seed, DAY, parameters(jurisdiction)), name, None, None)


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


CONTENT = """SELECT a.ref, a.opened_on, a.principal_minor, count(i.n), sum(i.interest_minor),
    (SELECT sum(amount_minor) FROM payment p WHERE p.account_id = a.id),
    (SELECT string_agg(step || outcome || at, ',' ORDER BY at, step) FROM contact c WHERE c.account_id = a.id)
    FROM account a JOIN book b ON b.id = a.book_id JOIN instalment i ON i.account_id = a.id
    WHERE b.name = 'synthetic-{}' GROUP BY a.id ORDER BY a.ref"""


def test_the_same_seed_draws_the_same_book_and_another_seed_another(fresh_db: str) -> None:
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        drawn(fresh_db, "cn", seed, name, 500)
    one, again, two = (rows(fresh_db, CONTENT.format(name)) for name in ("one", "again", "two"))
    assert one == again and one != two and len(one) == 500


@pytest.mark.parametrize("jurisdiction", ["cn", "us"])
def test_money_is_conserved_and_the_book_says_that_it_is_synthetic(fresh_db: str, jurisdiction: str) -> None:
    drawn(fresh_db, jurisdiction, 3, "x")
    assert rows(fresh_db, "SELECT name, synthetic FROM book") == [("synthetic-x", True)]
    principal = "SELECT a.id FROM account a JOIN instalment i ON i.account_id = a.id GROUP BY a.id"
    assert rows(fresh_db, f"{principal} HAVING sum(i.principal_minor) <> min(a.principal_minor)") == []
    paid = """SELECT a.id FROM account a JOIN payment p ON p.account_id = a.id GROUP BY a.id
        HAVING sum(p.amount_minor) >
               (SELECT sum(principal_minor + interest_minor) FROM instalment i WHERE i.account_id = a.id)"""
    assert rows(fresh_db, paid) == []
    assert rows(fresh_db, "SELECT 1 FROM payment WHERE paid_on > '2026-06-30'") == []
    assert rows(fresh_db, "SELECT 1 FROM contact WHERE at > '2026-07-01'") == []


def test_the_share_that_falls_behind_is_the_fitted_one(fresh_db: str) -> None:
    # Given loans whose first instalment fell due, then the share that had not paid it by that day is the fitted
    # chain's from C to M1, within four standard errors.
    drawn(fresh_db, "cn", 5, "x", 20_000)
    found = rows(
        fresh_db,
        """SELECT count(*) FILTER (WHERE coalesce(paid, 0) < due), count(*) FROM (
             SELECT i.principal_minor + i.interest_minor AS due,
                    (SELECT sum(amount_minor) FROM payment p
                      WHERE p.account_id = i.account_id AND p.paid_on <= i.due_on) AS paid
               FROM instalment i WHERE i.n = 1 AND i.due_on < '2026-06-30') AS firsts""",
    )
    behind, all_ = (int(str(x)) for x in found[0])
    wanted = 1 - float(parameters("cn").chain.moves[0][0])
    assert abs(behind / all_ - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / all_)
