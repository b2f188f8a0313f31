"""The double-entry journal: transactions are appended and read, never changed; what must hold, the database holds.

Generic: it knows accounts and entries, not loans. Amounts are signed minor units. A transaction counts from
its value date; `booked_at` is the instant at which the database took it in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

import orjson
import psycopg
from psycopg.types.json import Json

Entries = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction to be appended: (ledger account, signed minor units) that sum to zero, in one currency.

    `key` is unique in its account. `reverses`: the id of the transaction that it undoes, whose entries it has
    with the opposite sign.
    """

    account_id: int
    key: str
    kind: str
    value_on: date
    currency: str
    entries: Entries
    reverses: int | None = None
    memo: str | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """A transaction of the journal."""

    id: int
    account_id: int
    key: str
    kind: str
    value_on: date
    booked_at: datetime
    reverses: int | None
    memo: str | None
    currency: str
    entries: Entries


#: An entry may be a named tuple.
_dumps = partial(orjson.dumps, default=tuple)

# One value, the drafts as JSON: a tenth of the driver's time of as many arrays.
_APPEND = """
    WITH draft AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%s) AS d (account_id bigint, key text, kind text, value_on date,
                                                  currency text, entries json, reverses bigint, memo text)),
    made AS (
        INSERT INTO journal_transaction (account_id, key, kind, value_on, reverses, memo)
        SELECT account_id, key, kind, value_on, reverses, memo FROM draft RETURNING id, account_id, key)
    INSERT INTO journal_entry (transaction_id, line, ledger_account, amount_minor, currency)
    SELECT made.id, e.line, e.entry ->> 0, (e.entry ->> 1)::bigint, draft.currency
    FROM made JOIN draft USING (account_id, key),
         json_array_elements(draft.entries) WITH ORDINALITY AS e (entry, line)"""

_READ = """
    SELECT t.id, t.account_id, t.key, t.kind, t.value_on, t.booked_at, t.reverses, t.memo, min(e.currency),
           array_agg(e.ledger_account ORDER BY e.line), array_agg(e.amount_minor ORDER BY e.line)
    FROM journal_transaction t JOIN journal_entry e ON e.transaction_id = t.id
    WHERE t.account_id = ANY(%s) AND t.value_on >= coalesce(%s, '-infinity'::date)
    GROUP BY t.id ORDER BY t.id"""


def append(connection: psycopg.Connection[Any], drafts: Sequence[Draft]) -> None:
    """Append transactions, all in one statement. The caller commits.

    Raises psycopg.errors.CheckViolation where entries do not sum to zero or a reversal is none, and
    UniqueViolation where the key is taken or the transaction was reversed before.
    """
    if not drafts:
        return
    connection.execute(_APPEND, (Json(drafts, _dumps),))


def read(connection: psycopg.Connection[Any], account_ids: Sequence[int], since: date | None = None) -> list[Posted]:
    """The transactions of accounts, in the order of booking; only those of value date `since` or later, if given."""
    rows = connection.execute(_READ, (list(account_ids), since))
    return [
        Posted(id_, account_id, key, kind, value_on, at, reverses, memo, currency, tuple(zip(names, sums, strict=True)))
        for id_, account_id, key, kind, value_on, at, reverses, memo, currency, names, sums in rows
    ]


def live(posted: Iterable[Posted]) -> list[Posted]:
    """Those that stand: no reversal, and not reversed. Pure; all reversals must be among `posted`."""
    all_ = list(posted)
    undone = {each.reverses for each in all_}
    return [each for each in all_ if each.reverses is None and each.id not in undone]


def balances(
    connection: psycopg.Connection[Any], account_id: int, on: date | None = None, known_at: datetime | None = None
) -> Mapping[tuple[str, str], int]:
    """{(ledger account, currency): minor units}, as sums of entries; a sum of zero is left out.

    Args:
        on: count what has this value date or an earlier one; None for all.
        known_at: count what was booked by this instant; None for all.
    """
    rows = connection.execute(
        "SELECT e.ledger_account, e.currency, sum(e.amount_minor)::bigint"
        " FROM journal_transaction t JOIN journal_entry e ON e.transaction_id = t.id"
        " WHERE t.account_id = %s AND t.value_on <= coalesce(%s, 'infinity'::date)"
        " AND t.booked_at <= coalesce(%s, 'infinity'::timestamptz)"
        " GROUP BY 1, 2 HAVING sum(e.amount_minor) <> 0",
        (account_id, on, known_at),
    )
    return {(name, currency): minor for name, currency, minor in rows}
