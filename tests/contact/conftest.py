"""Fixtures of the gate: a small record, the gate's clock set to an hour, and a request with all its facts."""

import itertools
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from forbear.contact.models import WRITTEN, Request
from forbear.contact.services import text_hash
from forbear.rulebook.load import Rulebook, load

DAY = date(2026, 6, 30)
NOON = "2026-06-30T12:00:00+08:00"
#: What a caller who does everything right knows of the contact.
FACTS: dict[str, bool | int | str] = {
    "to_whom": "debtor", "discloses_debt": False, "third_party_before": False, "message_opt_out": True,
    "message_identifies": True, "message_false": False, "message_threat": False, "at_workplace": False,
    "public_view": False, "visitors": 2, "visit_appointed": True, "visit_identified": True, "staff_trained": True,
    "staff_violent_record": False, "recorded": True,
    "contact_refused": False,
    "bad_occasion": False,
    "message_suit": False,
    "time_barred": False,
    "message_overshadows": False,
    "message_validates": False,
    "agent_announced": True,
    "staff_approved": True,
    "third_party_refused": False,
    "enters_uninvited": False,
}  # fmt: skip
_numbers = itertools.count(1)


class Store:
    """The record of a test, written straight into the tables."""

    def __init__(self, url: str) -> None:
        self.url = url

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            done = connection.execute(query, values or None)
            return done.fetchall() if done.description else []

    def clock(self, at: str | datetime) -> None:
        """Set the gate's only clock."""
        self.sql(
            f"CREATE OR REPLACE FUNCTION gate_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''{at}''::timestamptz'"
        )

    def book(self, jurisdiction: str = "cn", name: str | None = None, collector: str = "agency") -> int:
        return int(
            self.sql(
                "INSERT INTO book (name, jurisdiction, lender_type, collector, currency, history_from, recorded_until)"
                " VALUES (%s, %s, 'bank', %s, 'CNY', '2024-01-01', '2100-01-01')"
                " ON CONFLICT (name) DO UPDATE SET currency = 'CNY' RETURNING id",
                name or jurisdiction, jurisdiction, collector,
            )[0][0]
        )  # fmt: skip

    def lend(
        self, book: int | None = None, *, dpd: int = 20, day: date = DAY, borrower: int | None = None, **given: Any
    ) -> int:
        """A loan `dpd` days past due on `day`; `given` are columns of borrower or account."""
        book = book or self.book()
        who: dict[str, Any] = dict.fromkeys(("can_sms", "can_call", "can_write", "sms_consent"), True)
        who |= dict.fromkeys(
            ("stop_contact", "attorney", "bankrupt", "incapable", "unreachable", "workplace_forbidden", "opted_out_sms",
             "vulnerable"), False
        )  # fmt: skip
        who |= {"zones": "Asia/Shanghai"}
        loan: dict[str, Any] = {"dispute_open": False, "all_in_ppm": 180_000, "opened_on": day - timedelta(days=200)}
        loan |= {
            "status": "open",
            "product": "instalment",
            "principal_minor": 100_000,
            "validation_sent_on": day - timedelta(days=90),
        }
        for name, value in given.items():
            (loan if name in (*loan, "promise_due_on", "plan_until") else who)[name] = value
        number = next(_numbers)
        borrower = borrower or self._insert("borrower", {"book_id": book, "ref": f"B{number}", **who})
        loan_id = self._insert("account", {"book_id": book, "borrower_id": borrower, "ref": f"A{number}", **loan})
        self.sql(
            "INSERT INTO instalment VALUES (%s, 1, %s, 10000, 500), (%s, 2, %s, 10000, 500)",
            loan_id, day - timedelta(days=dpd), loan_id, day + timedelta(days=60),
        )  # fmt: skip
        return loan_id

    def borrower_of(self, loan_id: int) -> int:
        return int(self.sql("SELECT borrower_id FROM account WHERE id = %s", loan_id)[0][0])

    def _insert(self, table: str, row: dict[str, Any]) -> int:
        query = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))}) RETURNING id"
        return int(self.sql(query, *row.values())[0][0])

    def contacted(self, loan_id: int, step: str, at: str | datetime, outcome: str = "connected") -> None:
        self.sql(
            "INSERT INTO contact (account_id, ref, at, step, outcome) VALUES (%s, %s, %s, %s, %s)",
            loan_id, str(next(_numbers)), at, step, outcome,
        )  # fmt: skip

    def set_aside(self, loan_id: int, taken_on: str = "2026-06-20") -> None:
        """Of the loan, a row waits in quarantine, and a contact of an import of `taken_on` was dropped."""
        number = next(_numbers)
        self.sql(
            "WITH i AS (INSERT INTO import (book_id, file_name, file_sha256, mapping_name, mapping_sha256, mapping,"
            " taken_on, finished_at)"
            " SELECT book_id, 'f', %s, 'm', 'm', 'm', %s, now() FROM account WHERE id = %s RETURNING id)"
            " INSERT INTO quarantine (import_id, table_name, row_number, field, reason, remedy, row, loan_ref,"
            " settled_at, settled_how)"
            " SELECT i.id, 'contacts', n, 'at', 'r', 'r', '{}', a.ref, CASE n WHEN 1 THEN now() END,"
            " CASE n WHEN 1 THEN 'dropped' END"
            " FROM i, account a, generate_series(1, 2) n WHERE a.id = %s",
            f"f{number}", taken_on, loan_id, loan_id,
        )  # fmt: skip


@pytest.fixture
def store(fresh_db: str) -> Store:
    """An empty record, at noon in Shanghai."""
    made = Store(fresh_db)
    made.clock(NOON)
    return made


@pytest.fixture(scope="session")
def book() -> Rulebook:
    """The whole rulebook, the house's ladder in it."""
    return load()


@pytest.fixture(scope="session")
def law() -> Rulebook:
    """The law alone: the house's ladder is far stricter, and would hide the law's own caps."""
    whole = load()
    return replace(whole, rules=tuple(rule for rule in whole.rules if rule.instrument.kind == "law"))


@pytest.fixture(scope="session")
def wanted() -> Callable[..., Request]:
    """A request for one contact, a call unless a step is named; further words are its fields."""

    def request(account_id: int, step: str = "call", **given: Any) -> Request:
        text = {"text_sha256": text_hash("a text")} if step in WRITTEN else {}
        return Request(
            account_id=account_id,
            step=step,
            **{"key": uuid.uuid4(), "requested_by": "dialer-1", "facts": FACTS, **text, **given},
        )

    return request
