"""Keeps where the ledger goes on with an account (`ledger.carry`), so that a payment of today replays nothing.

A row is made from what is on file of the account, under its lock, by whoever posts; whatever else changes that drops it
(triggers of the migration 0009). Without one the loan is replayed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import orjson
import psycopg
from pydantic import TypeAdapter

from forbear.ledger.carry import Carried, resume
from forbear.ledger.filed import payment_key
from forbear.ledger.models import Event, Paid, Terms, Transaction
from forbear.ledger.state import State

_TERMS: TypeAdapter[Terms] = TypeAdapter(Terms)
#: Contracts that differ in nothing but the borrower are many.
_terms = lru_cache(10_000)(_TERMS.validate_json)


@dataclass(slots=True)
class Going:
    """An account that goes on from where it was carried, with the payments that it has got in this batch.

    booked_at: the instant of the transaction.
    """

    id: int
    start: Carried
    booked_at: datetime
    payments: list[Paid]
    now: Carried
    state: State | None = None

    def add(self, payment: Paid, as_of: date) -> State:
        """Go on with one payment more. Its key is the ledger's."""
        self.payments.append(payment)
        self.state, self.now = resume(self.start, self.payments, as_of)
        return self.state


# The keys are looked up in the same statement; the account's lock was taken by an earlier one. A book's order of
# allocation may have changed since.
_READ = """
    SELECT c.account_id, c.terms::text, c.carried::text, now()
    FROM account_carried c JOIN account a ON a.id = c.account_id JOIN book b ON b.id = a.book_id
    WHERE c.account_id = ANY(%(ids)s) AND c.terms ->> 'order' = coalesce(a.allocation_order, b.allocation_order)
    AND a.status <> 'sold'
    AND c.account_id NOT IN (
        SELECT p.account_id FROM unnest(%(ids)s::bigint[], %(refs)s::text[]) AS s (account_id, ref)
        JOIN payment p ON p.account_id = s.account_id AND p.ref = s.ref)"""

_READ_FAR = "SELECT account_id, far::text FROM account_carried WHERE account_id = ANY(%s)"


def read(connection: psycopg.Connection[Any], sent: Sequence[tuple[int, Event]], as_of: date) -> dict[int, Going]:
    """The accounts, locked by the caller, that can go on with all that is sent to them: (account, event) each.

    That is: new payments only, each after all that happened and after the day through which was posted (or of it, where
    it is still the newest), and in all too little to end the loan early.
    """
    by_account: dict[int, list[Event]] = defaultdict(list)
    for account_id, event in sent:
        by_account[account_id].append(event)
    likely = [pair for pair in sent if isinstance(pair[1], Paid)]
    ids, refs = [id_ for id_, _ in likely], [event.key for _, event in likely]
    found = {}
    for id_, terms, text, booked_at in connection.execute(_READ, {"ids": ids, "refs": refs}):
        events = by_account[id_]
        start = Carried(_terms(terms), *orjson.loads(text))
        keys = {event.key for event in events}
        follow = len(keys) == len(events) and all(_follows(start, event, as_of) for event in events)
        if follow and not start.may_end(sum(event.amount for event in events if isinstance(event, Paid))):
            found[id_] = Going(id_, start, booked_at, [], start)
    if wanting := [id_ for id_, going in found.items() if going.start.wants_far(as_of)]:
        for id_, far in connection.execute(_READ_FAR, (wanting,)):
            found[id_].start = replace(found[id_].start, far=orjson.loads(far))
    return found


def _follows(start: Carried, event: Event, as_of: date) -> bool:
    if not isinstance(event, Paid) or event.amount <= 0:
        return False
    # Of the day through which was posted it restates that day's row, unless that day is still the newest.
    if event.on.toordinal() < start.as_of + (as_of.toordinal() > start.as_of):
        return False
    return event.on <= as_of and start.precedes(Paid(payment_key(event.key), event.on, event.amount))


def terms_text(terms: Terms) -> str:
    """Terms as they are kept."""
    return _TERMS.dump_json(terms).decode()


def text(carried: Carried) -> str:
    """A loan that was set down, as it is kept, without its terms and the instalments that are far."""
    kept = [carried.as_of, carried.last, carried.loan, carried.since, carried.near, carried.beyond]
    return orjson.dumps(kept).decode()


def far_text(carried: Carried) -> str:
    """The instalments that are far, as they are kept; empty where they stay as they are."""
    return "" if carried.far is None else orjson.dumps(carried.far).decode()


def since(going: Going) -> list[tuple[Transaction, int]]:
    """What the payments made that is not in the journal: a transaction, and how much of its first entry."""
    assert going.state is not None
    was: Mapping[str, int] = going.start.since
    found, met = [], 0
    for transaction in going.state.transactions:
        amount = transaction.entries[0].amount
        posted = was.get(transaction.key, 0)
        met += transaction.key in was
        assert 0 <= posted <= amount or posted == amount, f"account {going.id}: {transaction.key} was more before"
        if amount != posted:
            found.append((transaction, amount - posted))
    assert met == len(was), f"account {going.id}: what was posted did not come out again"
    return found
