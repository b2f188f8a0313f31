"""Posts what happened to the journal: the event, the transactions that it makes or restates, the state, in one commit.

The account's row is locked first, so that two postings to one account follow each other. The ledger's fold
then works out every transaction anew; what stands in the journal and differs is reversed and posted again.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from forbear.ledger.arrears import MONTHLY, Category, category_on
from forbear.ledger.models import ChargedBack, Event, LedgerError, Paid, Reversed, Transaction
from forbear.ledger.state import State, fold
from forbear.servicing.errors import KeyUsed, ServicingError
from forbear.servicing.loan import (
    OPENED,
    Loan,
    detail,
    event_key,
    kind_of,
    no_schedule,
    payment_key,
    payment_ref,
    read,
)
from forbear.store import journal
from forbear.store.errors import one_line
from forbear.store.journal import Draft, Posted
from forbear.store.server import database_url


@dataclass(frozen=True, slots=True)
class Posting:
    """One event for one account; the event's key is as the sender gave it, unique among the account's payments
    (or among its other events)."""

    account_id: int
    event: Event


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stood at the end of a day, as derived from its events. Amounts in minor units."""

    as_of: date
    dpd: int
    oldest_due_on: date | None
    bucket: str
    category: str
    arrears: int
    owed: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was posted. Given only after the commit; the same key and content answers with the same receipt.

    entries: (ledger account, signed minor units) of the event's own transaction, empty where it makes none.
    again: it had been posted before, and nothing was written.
    """

    account_id: int
    key: str
    value_on: date
    booked_at: datetime
    entries: journal.Entries
    standing: Standing
    again: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A posting that was not kept, and why; the others of its batch were."""

    posting: Posting
    error: ServicingError


def connect() -> psycopg.Connection[Any]:
    """A connection to post on, again and again: its few statements are planned once, not at each commit."""
    with one_line():
        return psycopg.connect(database_url(), options="-c plan_cache_mode=force_generic_plan", prepare_threshold=0)


def post_one(posting: Posting, as_of: date, connection: psycopg.Connection[Any] | None = None) -> Receipt:
    """Post one event and commit. Raises ServicingError (nothing kept), StoreError (ask again by the same key)."""
    (found,) = post([posting], as_of, connection)
    if isinstance(found, Refusal):
        raise found.error
    return found


def post(
    postings: Sequence[Posting], as_of: date, connection: psycopg.Connection[Any] | None = None
) -> list[Receipt | Refusal]:
    """Post events, all in one commit, and answer for each in its place after that commit.

    A posting that is refused is left out and the rest is kept. When the call raises or the process dies, no
    posting was acknowledged: send all again under the same keys, none will count twice.

    Args:
        as_of: the local day on which the events became known; the state is derived for its end.
        connection: of `connect`, holding no transaction, to be used again; without it, one of its own.
    """
    with one_line():
        if connection is not None:
            return _post(connection, postings, as_of)
        with connect() as own:
            return _post(own, postings, as_of)


def restate(connection: psycopg.Connection[Any], account_ids: Iterable[int]) -> None:
    """Bring the journal of accounts that are in it up to what is on file of them now. The caller commits.

    Raises ServicingError where what is on file can't be: the caller keeps nothing of it.
    """
    loans = _lock_and_read(connection, sorted(account_ids))
    work = _Work(connection, loans)
    for loan in loans.values():
        if loan.posted_to is None:
            continue
        try:
            work.add(loan, date.min, "restated", _fold(loan, loan.posted_to))
        except LedgerError as error:
            raise ServicingError(f"account {loan.id}: {error}. Nothing of it was kept.") from error
    work.write()


def _post(connection: psycopg.Connection[Any], postings: Sequence[Posting], as_of: date) -> list[Receipt | Refusal]:
    answers: list[Receipt | Refusal | None] = [None] * len(postings)
    # In a pipeline: the commit is answered, and its error raised, where the pipeline ends.
    with connection.pipeline(), connection.transaction():
        loans = _lock_and_read(connection, sorted({posting.account_id for posting in postings}))
        work = _Work(connection, loans)
        for place, posting in enumerate(postings):
            try:
                loan, event = _checked(loans, posting, as_of)
                if loan.posted_to is not None and event in loan.events:
                    continue  # told below, from what was written then
                grown = loan if event in loan.events else replace(loan, events=(*loan.events, event))
                state = _fold(grown, max(as_of, loan.posted_to or as_of))
            except (LedgerError, ServicingError) as error:
                told = error if isinstance(error, ServicingError) else ServicingError(_said(posting, error))
                answers[place] = Refusal(posting, told)
                continue
            since = _since(grown, event) if loan.posted_to else date.min
            if event not in loan.events:
                work.events.append((posting, event))
            standing = work.add(grown, since, event.key, state)
            loans[loan.id] = replace(grown, posted_to=state.as_of)
            made = next((t.entries for t in state.transactions if t.key == event.key), ())
            entries = tuple((str(entry.account), entry.amount) for entry in made)
            answers[place] = Receipt(
                loan.id, posting.event.key, event.on, loan.booked_at, entries, standing, again=False
            )
        work.write()
        for place, posting in enumerate(postings):
            if answers[place] is None:
                answers[place] = _told(connection, posting)
    return [answer for answer in answers if answer is not None]


def _lock_and_read(connection: psycopg.Connection[Any], account_ids: Sequence[int]) -> dict[int, Loan]:
    """Lock the accounts in the order of their numbers, so that no two wait for each other; then read them afresh."""
    connection.execute("SELECT FROM account WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", (list(account_ids),))
    return read(connection, account_ids)


def _fold(loan: Loan, as_of: date) -> State:
    if loan.terms is None:
        raise no_schedule(loan)
    return fold(loan.terms, loan.schedule, loan.events, as_of)


def _said(posting: Posting, error: LedgerError) -> str:
    """The ledger's line with the sender's own key."""
    text = str(error).replace(_internal(posting.event).key, posting.event.key)
    return f"{kind_of(posting.event)} {posting.event.key}: {text}. Nothing of it was kept."


def _internal(event: Event) -> Event:
    return replace(event, key=(payment_key if isinstance(event, Paid) else event_key)(event.key))


def _checked(loans: Mapping[int, Loan], posting: Posting, as_of: date) -> tuple[Loan, Event]:
    """The loan and the event as the ledger knows it. Raises ServicingError."""
    event, name = _internal(posting.event), f"{kind_of(posting.event)} {posting.event.key}"
    loan = loans.get(posting.account_id)
    if loan is None:
        raise ServicingError(f"{name}: there is no account {posting.account_id}. See the console's work list.")
    if isinstance(event, Reversed | ChargedBack):
        event = _of_what(loan, event, name)
    known = next((each for each in loan.events if each.key == event.key), None)
    if known is not None and known != event:
        what = "of another day or amount" if isinstance(event, Paid) else "of other content"
        raise KeyUsed(
            f"{name}: this key is on file for a {kind_of(known).replace('_', ' ')} {what}."
            " Nothing is edited: send what is new under a key of its own, or reverse the first."
        )
    if event.on > as_of:
        raise ServicingError(f"{name}: its day {event.on} lies after {as_of}. Post it on that day.")
    if getattr(event, "amount", 1) <= 0:
        raise ServicingError(f"{name}: its amount is not more than nothing. A payment taken back is a reversal.")
    return loan, event


def _of_what(loan: Loan, event: Reversed | ChargedBack, name: str) -> Event:
    """The event with the ledger's key of what it takes back: a payment of that key, else another event."""
    keys = {each.key for each in loan.events}
    of = payment_key(event.of)
    if of not in keys and isinstance(event, Reversed):
        of = event_key(event.of)
    if of not in keys:
        raise ServicingError(f"{name}: there is no {event.of} on this account that it could take back. Check the key.")
    for other in loan.events:
        if isinstance(other, Reversed | ChargedBack) and other.of == of and other.key != event.key:
            raise ServicingError(f"{name}: {event.of} was taken back before. It is taken back once.")
    return replace(event, of=of)


def _since(loan: Loan, event: Event) -> date:
    """The first value date whose transactions an event can change."""
    if isinstance(event, Reversed):
        return min(each.on for each in loan.events if each.key in (event.key, event.of))
    return event.on


# ---- writing ----------------------------------------------------------------------------------------


class _Work:
    """What a batch writes: gathered loan by loan, written by sets."""

    def __init__(self, connection: psycopg.Connection[Any], loans: Mapping[int, Loan]) -> None:
        self._connection = connection
        self._posted_to = {loan.id: loan.posted_to for loan in loans.values()}
        self.events: list[tuple[Posting, Event]] = []
        self._changed: dict[int, tuple[Loan, date, State]] = {}
        self._standings: list[tuple[int, str, Standing]] = []

    def add(self, loan: Loan, since: date, cause: str, state: State) -> Standing:
        """Note what the loan has come to, and where it stands."""
        earlier = self._changed.get(loan.id)
        self._changed[loan.id] = (loan, min(since, earlier[1]) if earlier else since, state)
        found = standing(state)
        self._standings.append((loan.id, cause, found))
        return found

    def write(self) -> None:
        """Write all of it. Reads first: what stands of the value dates that may have changed."""
        if not self._changed:
            return
        # What accrues was posted through the last day derived, and is posted anew: from that day at the latest.
        since = {id_: min(day, self._posted_to[id_] or day) for id_, (_, day, _) in self._changed.items()}
        known = {id_: posted_to for id_ in since if (posted_to := self._posted_to[id_]) is not None}
        posted: dict[int, list[Posted]] = {}
        if known:
            for each in journal.read(self._connection, list(known), min(since[id_] for id_ in known)):
                posted.setdefault(each.account_id, []).append(each)
        back = {id_: self._changed[id_][1] for id_, posted_to in known.items() if self._changed[id_][1] <= posted_to}
        if back:
            self._standings[:0] = self._restated(back)
        drafts: list[Draft] = []
        for loan, _, state in self._changed.values():
            drafts += _difference(loan, since[loan.id], state.transactions, posted.get(loan.id, ()))
        self._write_events_and_standings()
        journal.append(self._connection, drafts)

    def _restated(self, back: Mapping[int, date]) -> list[tuple[int, str, Standing]]:
        """Days past due, bucket and class of the days on record that a backdated event has changed."""
        rows = self._connection.execute(
            "SELECT DISTINCT ON (s.account_id, s.as_of) s.account_id, s.as_of, s.oldest_due_on, s.dpd, s.bucket,"
            " s.class, s.arrears_minor, s.owed_minor FROM account_state s"
            " JOIN unnest(%s::bigint[], %s::date[]) AS b (id, since) ON s.account_id = b.id AND s.as_of >= b.since"
            " ORDER BY s.account_id, s.as_of, s.id DESC",
            (list(back), list(back.values())),
        ).fetchall()
        found = []
        for account_id, as_of, oldest, dpd, bucket, category, arrears, owed in rows:
            loan, _, state = self._changed[account_id]
            now = standing(_fold(loan, as_of)) if as_of < state.as_of else None
            if now and now != Standing(as_of, dpd, oldest, bucket, category, arrears, owed):
                found.append((account_id, "restated", now))
        return found

    def _write_events_and_standings(self) -> None:
        payments, others, back = [], [], []
        for posting, event in self.events:
            row = {"account_id": posting.account_id, "key": posting.event.key, "on": str(event.on)}
            if isinstance(event, Paid):
                payments.append(row | {"amount": event.amount})
                continue
            others.append(row | {"kind": kind_of(event), "detail": detail(event)})
            if isinstance(event, Reversed | ChargedBack):
                back.append((event.on if isinstance(event, ChargedBack) else None, posting.account_id, event.of))
        standings = [
            {
                "account_id": account_id,
                "as_of": str(stood.as_of),
                "cause": cause,
                "dpd": stood.dpd,
                "oldest_due_on": stood.oldest_due_on and str(stood.oldest_due_on),
                "bucket": stood.bucket,
                "class": stood.category,
                "arrears_minor": stood.arrears,
                "owed_minor": stood.owed,
            }
            for account_id, cause, stood in self._standings
        ]
        self._connection.execute(_WRITE, (Jsonb(payments), Jsonb(others), Jsonb(standings)))
        for until, account_id, of in back:
            # A mistake never counted, a chargeback counted until it came.
            self._connection.execute(
                "UPDATE payment SET taken_back_on = coalesce(%s, paid_on) WHERE account_id = %s AND ref = %s",
                (until, account_id, payment_ref(of)),
            )


_WRITE = """
    WITH paid AS (
        INSERT INTO payment (account_id, ref, paid_on, amount_minor) SELECT account_id, key, "on", amount
        FROM jsonb_to_recordset(%s) AS r (account_id bigint, key text, "on" date, amount bigint)),
    other AS (
        INSERT INTO account_event (account_id, key, kind, value_on, detail) SELECT account_id, key, kind, "on", detail
        FROM jsonb_to_recordset(%s) AS r (account_id bigint, key text, kind text, "on" date, detail jsonb))
    INSERT INTO account_state (account_id, as_of, cause, dpd, oldest_due_on, bucket, class, arrears_minor, owed_minor)
    SELECT * FROM jsonb_to_recordset(%s) AS r (account_id bigint, as_of date, cause text, dpd int,
        oldest_due_on date, bucket text, class text, arrears_minor bigint, owed_minor bigint)"""


def standing(state: State) -> Standing:
    """Where a loan stands at the end of the state's day."""
    oldest = min((span.aged_from for span in state.spans if span.end is None), default=None)
    return Standing(
        state.as_of,
        state.dpd,
        oldest if state.dpd else None,
        MONTHLY.of(state.dpd).id,
        Category(category_on(state, state.as_of)).name.lower(),
        state.arrears,
        state.due,
    )


#: A transaction that was posted again has its version before its key; no key of the ledger begins with a digit.
_VERSION = re.compile(r"^\d+/")


def _difference(loan: Loan, since: date, wanted: Sequence[Transaction], posted: Sequence[Posted]) -> list[Draft]:
    """What makes the journal of a loan, from a value date on, say what the ledger says: reversals first."""
    kinds = {event.key: kind_of(event) for event in loan.events if event.key != OPENED} | {OPENED: "disbursed"}
    versions: dict[str, int] = {}
    for each in posted:
        if each.reverses is None:
            base = _VERSION.sub("", each.key)
            versions[base] = versions.get(base, 0) + 1
    left = {
        # What the ledger works out may move to another day, so its day is part of its key.
        t.key if t.key in kinds else f"{t.key}:{t.on}": (t, tuple((str(e.account), e.amount) for e in t.entries))
        for t in wanted
        if t.on >= since
    }
    drafts = []
    for each in journal.live(posted):
        if each.value_on < since:
            continue
        base = _VERSION.sub("", each.key)
        if base in left and (left[base][0].on, left[base][1]) == (each.value_on, each.entries):
            del left[base]
            continue
        undone = tuple((name, -minor) for name, minor in each.entries)
        drafts.append(Draft(loan.id, f"reversal/{each.key}", "reversal", each.value_on, each.currency, undone, each.id))
    for key, (t, entries) in left.items():
        version = versions.get(key, 0) + 1
        named = key if version == 1 else f"{version}/{key}"
        kind = kinds.get(key) or key.partition(":")[0]
        drafts.append(Draft(loan.id, named, kind, t.on, loan.currency, entries))
    return drafts


def _told(connection: psycopg.Connection[Any], posting: Posting) -> Receipt:
    """The receipt that was given for a posting when it was posted first."""
    key = _internal(posting.event).key
    row = connection.execute(
        "SELECT s.as_of, s.dpd, s.oldest_due_on, s.bucket, s.class, s.arrears_minor, s.owed_minor,"
        " coalesce(t.booked_at, s.recorded_at), e.names, e.sums FROM account_state s"
        " LEFT JOIN journal_transaction t ON t.account_id = s.account_id AND t.key = %(key)s,"
        " LATERAL (SELECT array_agg(ledger_account ORDER BY line) AS names,"
        "  array_agg(amount_minor ORDER BY line) AS sums FROM journal_entry WHERE transaction_id = t.id) e"
        # One that came with the account's first posting has no state of its own: the first on record tells.
        " WHERE s.account_id = %(id)s ORDER BY s.cause = %(key)s DESC, s.id LIMIT 1",
        {"id": posting.account_id, "key": key},
    ).fetchone()
    assert row is not None, f"account {posting.account_id} is in the journal without a state"
    entries = tuple(zip(row[8] or (), row[9] or (), strict=True))
    on = posting.event.on
    return Receipt(posting.account_id, posting.event.key, on, row[7], entries, Standing(*row[:7]), again=True)
