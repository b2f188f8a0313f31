"""Posts what happened to the journal: the event, the transactions that it makes or restates, the state, in one commit.

The account's row is locked first, so that two postings to one account follow each other. A payment that comes after
all that happened goes on from there (carried.py). For anything else the ledger's fold works out every transaction
anew; what stands in the journal and differs is reversed and posted again.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import orjson
import psycopg
from psycopg.types.json import Json, Jsonb

from forbear.errors import WordedError
from forbear.ledger import accrual
from forbear.ledger.arrears import FFIEC, MONTHLY, Category, category_on, classing_of, instalments_paid, reage_refusals
from forbear.ledger.card import CardState
from forbear.ledger.carry import Carried, replay
from forbear.ledger.filed import OPENED, detail, event_key, event_ref, fold, kind_of, payment_key, payment_ref, sent_key
from forbear.ledger.models import (
    CardTerms,
    Charged,
    ChargedBack,
    Event,
    Forborne,
    Kind,
    LedgerError,
    Paid,
    Reason,
    Refunded,
    Rescheduled,
    Reversed,
    Sold,
    Transaction,
    WrittenOff,
)
from forbear.ledger.state import State
from forbear.locale import N_
from forbear.servicing import carried as kept
from forbear.servicing.errors import KeyUsed, ServicingError
from forbear.servicing.loan import LIVE, Loan, no_schedule, read
from forbear.servicing.owing import held, refuse_unless_held, refuse_unless_owing, sold_on
from forbear.servicing.repaid import follows
from forbear.store import journal
from forbear.store.errors import one_line
from forbear.store.journal import Draft, Posted
from forbear.store.server import database_url

#: What a lender charges by an event; all else is worked out from the contract.
CHARGED = (Kind.FEE, Kind.COST)


@dataclass(frozen=True, slots=True)
class Posting:
    """One event for one account; the event's key is as the sender gave it, unique among the account's payments
    (or among its other events)."""

    account_id: int
    event: Event


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stood at the end of a day, as derived from its events. Amounts in minor units.

    owed: what is due; of a card what is still to be paid of its minimums, with late fees and costs.
    """

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
    again: it had been posted before, and nothing was written. card: the account is one; balance: all that is owed on
    it, None of a loan, and where it had been posted before. out_of_held: what of a charge was settled at once out of
    what was held for the borrower.
    held: what is held for them after it (owing.held). ended: nothing is owed and nothing is to come, where something is
    held. Both None where it had been posted before.
    """

    account_id: int
    key: str
    value_on: date
    booked_at: datetime
    entries: journal.Entries
    standing: Standing
    again: bool
    card: bool = False
    balance: int | None = None
    out_of_held: int = 0
    held: int | None = None
    ended: bool | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A posting that was not kept, and why; the others of its batch were."""

    posting: Posting
    error: ServicingError


def connect() -> psycopg.Connection[Any]:
    """A connection to post on, again and again: its few statements are planned once, not at each commit."""
    options = "-c plan_cache_mode=force_generic_plan -c synchronous_commit=on -c forbear.posting=on"
    with one_line():
        return psycopg.connect(database_url(), options=options, prepare_threshold=0)


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
    """Bring accounts up to what is on file of them now: whether they ended early, and their journal, if they have one.

    The caller commits. Raises ServicingError where what is on file can't be: the caller keeps nothing of it.
    """
    ids = sorted(account_ids)
    lock(connection, ids)
    loans = read(connection, ids)
    work = _Work(connection, loans)
    for loan in loans.values():
        try:
            grown, more = _grown(loan)
            if loan.posted_to is not None:
                work.add(grown, date.min, "restated", *_replay(grown, loan.posted_to))
            work.events += more
        except LedgerError as error:
            if loan.posted_to is None:  # what contradicts itself is a person's to see to
                continue
            raise ServicingError(
                N_("account %(id)s: %(why)s. Nothing of it was kept."), id=loan.id, why=_of_sender(error)
            ) from error
    work.write()


def _post(connection: psycopg.Connection[Any], postings: Sequence[Posting], as_of: date) -> list[Receipt | Refusal]:
    # The begin goes with the first statement and the commit with the last, so that a posting is two round trips.
    try:
        with connection.pipeline():
            answers = post_within(connection, postings, as_of)
            told = [answer or _told(connection, posting) for answer, posting in zip(answers, postings, strict=True)]
            connection.commit()
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE, "not committed"
    except BaseException:
        if not connection.closed:
            connection.rollback()
        raise
    return told


def post_within(
    connection: psycopg.Connection[Any], postings: Sequence[Posting], as_of: date
) -> list[Receipt | Refusal | None]:
    """Post events within the caller's transaction: what this answers holds once the caller has committed.

    Arguments are those of `post`. None: the same was posted before, and nothing was written.
    """
    answers: list[Receipt | Refusal | None] = []
    ids = sorted({posting.account_id for posting in postings})
    lock(connection, ids)
    going = kept.read(connection, [(posting.account_id, posting.event) for posting in postings], as_of)
    rest = [id_ for id_ in ids if id_ not in going]
    loans = read(connection, rest) if rest else {}
    work = _Work(connection, loans)
    for posting in postings:
        try:
            if posting.account_id in going:
                answers.append(work.go_on(going[posting.account_id], posting, as_of))
            else:
                answers.append(_replayed(work, loans, posting, as_of))
        except (LedgerError, ServicingError) as error:
            told = error if isinstance(error, ServicingError) else _refused(posting, error)
            answers.append(Refusal(posting, told))
    work.write()
    return answers


def _replayed(work: "_Work", loans: dict[int, Loan], posting: Posting, as_of: date) -> Receipt | None:
    """Post an event by a replay of its loan; None where it was posted before."""
    loan, event = _checked(loans, posting, as_of)
    known = event in loan.events
    if known and loan.posted_to is not None:
        return None
    grown, more = _grown(loan if known else replace(loan, events=(*loan.events, event)))
    state, carried = _replay(grown, max(as_of, loan.posted_to or as_of))
    for refused in state.refused:
        if refused.key == event.key and not refused.lawful:
            raise ServicingError(_FROZEN if refused.frozen else _NO_ROOM, event=posting.event.key, on=event.on)
    if not known:
        work.events.append((posting, event))
    work.events += more
    since = min(_since(grown, each) for each in (event, *(each for _, each in more)))
    stood = work.add(grown, since if loan.posted_to else date.min, event.key, state, carried)
    loans[loan.id] = replace(grown, posted_to=state.as_of)
    return _receipt(posting, event, loan.booked_at, state, stood)


def _grown(loan: Loan) -> tuple[Loan, list[tuple[Posting, Event]]]:
    """A loan with what follows of its payments (repaid.py), and that as postings with the ledger's events."""
    added = follows(loan)
    postings = [(Posting(loan.id, replace(event, key=event_ref(event.key))), event) for event in added]
    return (replace(loan, events=(*loan.events, *added)) if added else loan), postings


_FROZEN = N_(
    "event %(event)s: %(on)s is a day on which nothing is charged: a freeze, or a statutory respite, is in force."
    " Charge nothing for these days."
)
_NO_ROOM = N_(
    "event %(event)s: the ceiling on the yearly cost leaves no room for a fee: the loan costs as much already. Do not"
    " charge it."
)


def _receipt(posting: Posting, event: Event, booked_at: datetime, state: State, stood: Standing) -> Receipt:
    entries: journal.Entries = next((t.entries for t in state.transactions if t.key == event.key), ())
    card = isinstance(state, CardState)
    balance = state.payoff if isinstance(state, CardState) else None
    used, left = 0, held(state)
    if isinstance(event, Charged):
        used = next((t.entries[0].amount for t in state.transactions if t.key == f"credit:{event.key}"), 0)
    return Receipt(
        posting.account_id,
        posting.event.key,
        event.on,
        booked_at,
        entries,
        stood,
        False,
        card,
        balance,
        used,
        left,
        not state.whole if left else None,
    )


def lock(connection: psycopg.Connection[Any], account_ids: Sequence[int]) -> None:
    """Lock the accounts in the order of their numbers, so that no two wait for each other; read them after this."""
    connection.execute("SELECT FROM account WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", (list(account_ids),))


def _fold(loan: Loan, as_of: date) -> State:
    if loan.terms is None:
        raise no_schedule(loan)
    return fold(loan.terms, loan.schedule, loan.events, as_of)


def _replay(loan: Loan, as_of: date) -> tuple[State, Carried | None]:
    if loan.terms is None:
        raise no_schedule(loan)
    if isinstance(loan.terms, CardTerms):
        return fold(loan.terms, (), loan.events, as_of), None
    return replay(loan.terms, loan.schedule, loan.events, as_of)


def _refused(posting: Posting, error: LedgerError) -> ServicingError:
    """The ledger's refusal, naming the event once and by the sender's own key."""
    why = _of_sender(error)
    if "event" in why.values:
        return ServicingError(N_("%(why)s. Nothing of it was kept."), why=why)
    return ServicingError(N_("event %(event)s: %(why)s. Nothing of it was kept."), event=posting.event.key, why=why)


def _of_sender(error: LedgerError) -> WordedError:
    """The ledger's line with the keys as they were sent."""
    keys = {name: sent_key(str(error.values[name])) for name in ("event", "of") if name in error.values}
    return WordedError(error.text, **(error.values | keys))


def _internal(event: Event) -> Event:
    if isinstance(event, Paid):
        return Paid(payment_key(event.key), event.on, event.amount)
    return replace(event, key=event_key(event.key))


def _checked(loans: Mapping[int, Loan], posting: Posting, as_of: date) -> tuple[Loan, Event]:
    """The loan and the event as the ledger knows it. Raises ServicingError."""
    event, name = _internal(posting.event), posting.event.key
    loan = loans.get(posting.account_id)
    if loan is None:
        raise ServicingError(
            N_("event %(event)s: there is no account %(id)s. See the console's work list."),
            event=name,
            id=posting.account_id,
        )
    if isinstance(event, Reversed | ChargedBack):
        event = _of_what(loan, event, name)
    known = next((each for each in loan.events if each.key == event.key), None)
    if known is not None and known != event:
        raise KeyUsed(
            N_(
                "event %(event)s: this key is on file for something else, or for another day or amount."
                " Nothing is edited: send what is new under a key of its own, or reverse the first."
            ),
            event=name,
        )
    if event.on > as_of:
        raise ServicingError(
            N_("event %(event)s: its day %(on)s lies after %(day)s. Post it on that day."),
            event=name,
            on=event.on,
            day=as_of,
        )
    if isinstance(event, Charged) and event.kind not in CHARGED:
        raise ServicingError(
            N_(
                "event %(event)s: interest, penalty, late fees and principal are worked out from the contract, within"
                " its ceiling; they are not charged. Charge a fee or a cost of enforcement."
            ),
            event=name,
        )
    if getattr(event, "amount", 1) <= 0:
        raise ServicingError(
            N_("event %(event)s: its amount is not more than nothing. A payment taken back is a reversal."), event=name
        )
    if known is None and isinstance(event, Paid) and _is_the_assignees(loan, event.on):
        raise ServicingError(
            N_(
                "event %(event)s: the debt was sold, so the payment belongs to the assignee. Pass it on to them, or"
                " give it back; if the sale was booked by mistake, reverse it first."
            ),
            event=name,
        )
    if known is None and isinstance(event, Refunded):
        refuse_unless_held(loan, event, max(as_of, loan.posted_to or as_of))
    if known is None:
        refuse_unless_owing(loan, event)
    if isinstance(event, Forborne) and event.until < event.on:
        raise ServicingError(
            N_("event %(event)s: its last day %(until)s lies before its first, %(on)s. Give that day or a later one."),
            event=name,
            until=event.until,
            on=event.on,
        )
    if known is None and isinstance(event, Rescheduled) and event.reason is Reason.REAGE and loan.terms is not None:
        paid = instalments_paid(loan.schedule, loan.events, event.on)
        if against := reage_refusals(loan.terms, loan.events, event.on, paid):
            raise ServicingError(
                _NO_REAGE[against[0]],
                event=name,
                months=FFIEC.least_age_months,
                payments=FFIEC.payments,
                source=FFIEC.source,
            )
    return loan, event


#: What stands against making an account current again, by the ledger's code.
_NO_REAGE = {
    "too_young": N_(
        "event %(event)s: the account can't be re-aged before it is %(months)s months old (%(source)s). Agree a plan"
        " instead: it moves the due dates and leaves the days past due."
    ),
    "too_few_payments": N_(
        "event %(event)s: to be re-aged, %(payments)s instalments' worth must have been paid in the last %(payments)s"
        " months (%(source)s). Post it once they are, or agree a plan."
    ),
    "too_often": N_(
        "event %(event)s: an account is re-aged at most once in 12 months and twice in 5 years (%(source)s), and this"
        " one was. Agree a plan instead: it leaves the days past due."
    ),
}


def _is_the_assignees(loan: Loan, on: date) -> bool:
    """Is what is paid on a day the assignee's? What came to light late, of the day of the sale or before, is not."""
    sold = sold_on(loan.events)
    return on > sold if sold else loan.status == "sold"


def _of_what(loan: Loan, event: Reversed | ChargedBack, name: str) -> Event:
    """The event with the ledger's key of what it takes back: a payment of that key, else another event."""
    keys = {each.key for each in loan.events}
    of = payment_key(event.of)
    if of not in keys and isinstance(event, Reversed):
        of = event_key(event.of)
    if of not in keys:
        raise ServicingError(
            N_("event %(event)s: there is no %(of)s on this account that it could take back. Check the key."),
            event=name,
            of=event.of,
        )
    what = next(each for each in loan.events if each.key == of)
    if isinstance(what, Forborne) and what.rule:
        raise ServicingError(
            N_(
                "event %(event)s: %(of)s is a respite that the law gives (%(rule)s), so it can't be reversed. If its"
                " days are wrong, mend respite_from and respite_until of the person's record and import it."
            ),
            event=name,
            of=event.of,
            rule=what.rule,
        )
    if isinstance(what, Rescheduled) and what.by:
        raise ServicingError(
            N_(
                "event %(event)s: %(of)s follows of payment %(by)s, which covered all that ended the loan on its day,"
                " so it can't be reversed alone. If that payment is wrong, reverse it."
            ),
            event=name,
            of=event.of,
            by=payment_ref(what.by),
        )
    for other in loan.events:
        if isinstance(other, Reversed | ChargedBack) and other.of == of and other.key != event.key:
            raise ServicingError(
                N_("event %(event)s: %(of)s was taken back before. It is taken back once."), event=name, of=event.of
            )
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
        self._going: dict[int, kept.Going] = {}
        self._changed: dict[int, tuple[Loan, date, State, Carried | None]] = {}
        self._standings: list[tuple[int, str, Standing]] = []

    def go_on(self, going: kept.Going, posting: Posting, as_of: date) -> Receipt:
        """Post a payment that comes after all that happened to its account."""
        event = _internal(posting.event)
        assert isinstance(event, Paid)
        state = going.add(event, as_of)
        self._going[going.id] = going
        self.events.append((posting, event))
        found = standing(state)
        self._standings.append((going.id, event.key, found))
        return _receipt(posting, event, going.booked_at, state, found)

    def add(self, loan: Loan, since: date, cause: str, state: State, carried: Carried | None) -> Standing:
        """Note what a replayed loan has come to, and where it stands."""
        earlier = self._changed.get(loan.id)
        self._changed[loan.id] = (loan, min(since, earlier[1]) if earlier else since, state, carried)
        found = standing(state)
        self._standings.append((loan.id, cause, found))
        return found

    def write(self) -> None:
        """Write all of it. Reads first: what stands of the accounts that were replayed."""
        drafts, carried = self._compare() if self._changed else ([], {})
        for going in self._going.values():
            drafts += _onward(going)
        if drafts or self._standings or self.events:
            self._put(drafts)
            self._carry(carried)

    def _compare(self) -> tuple[list[Draft], dict[int, Carried | None]]:
        """What makes the journal of the replayed accounts say what the ledger says, and where each may go on."""
        drafts: list[Draft] = []
        carried: dict[int, Carried | None] = {}
        posted: dict[int, list[Posted]] = {id_: [] for id_ in self._changed}
        known = {id_: posted_to for id_ in self._changed if (posted_to := self._posted_to[id_]) is not None}
        if known:
            for each in journal.read(self._connection, list(known)):
                posted[each.account_id].append(each)
        back = {id_: self._changed[id_][1] for id_, posted_to in known.items() if self._changed[id_][1] <= posted_to}
        if back:
            self._standings[:0] = self._restated(back)
        for id_, (loan, _, state, going_on) in self._changed.items():
            made = _difference(loan, state, posted[id_])
            undone: list[Draft | Posted] = [*made, *posted[id_]]
            drafts += made
            # What was undone of the last day has a key that an account that goes on may need for another version.
            again = any(each.reverses is not None and each.value_on >= state.as_of for each in undone)
            carried[id_] = None if again else going_on
        return drafts, carried

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
            loan, _, state, _ = self._changed[account_id]
            now = standing(_fold(loan, as_of)) if as_of < state.as_of else None
            if now and now != Standing(as_of, dpd, oldest, bucket, category, arrears, owed):
                found.append((account_id, "restated", now))
        return found

    def _close_or_reopen(self) -> None:
        """A status tells what the journal tells: a debt sold, written off or repaid early is not open, until it is."""
        for posting, event in self.events:
            if closes := _closes(event):
                status, of = closes
                self._connection.execute(_CLOSE, {"id": posting.account_id, "status": status, "of": list(of)})
            elif isinstance(event, Reversed):
                self._connection.execute(_REOPEN, {"id": posting.account_id, "of": event_ref(event.of)})

    def _put(self, drafts: Sequence[Draft]) -> None:
        payments, others, back = [], [], []
        for posting, event in self.events:
            row = {"account_id": posting.account_id, "key": posting.event.key, "on": event.on}
            if isinstance(event, Paid):
                payments.append(row | {"amount": event.amount})
                continue
            others.append(row | {"kind": kind_of(event), "detail": detail(event)})
            if isinstance(event, Reversed | ChargedBack):
                back.append((event.on if isinstance(event, ChargedBack) else None, posting.account_id, event.of))
        standings = [
            {
                "account_id": account_id,
                "as_of": stood.as_of,
                "cause": cause,
                "dpd": stood.dpd,
                "oldest_due_on": stood.oldest_due_on,
                "bucket": stood.bucket,
                "class": stood.category,
                "arrears_minor": stood.arrears,
                "owed_minor": stood.owed,
            }
            for account_id, cause, stood in self._standings
        ]
        if others:
            self._connection.execute(_WRITE_OTHERS, (Jsonb(others, orjson.dumps),))
            self._close_or_reopen()
        self._connection.execute(_WRITE, (Json(payments, orjson.dumps), Json(standings, orjson.dumps)))
        for until, account_id, of in back:
            # A mistake never counted, a chargeback counted until it came.
            self._connection.execute(
                "UPDATE payment SET taken_back_on = coalesce(%s, paid_on) WHERE account_id = %s AND ref = %s",
                (until, account_id, payment_ref(of)),
            )
        journal.append(self._connection, drafts)

    def _carry(self, replayed: Mapping[int, Carried | None]) -> None:
        """Keep where each account goes on. Last: in a session that is none of `connect`, triggers have dropped it."""
        if gone := [id_ for id_, carried in replayed.items() if carried is None]:
            self._connection.execute("DELETE FROM account_carried WHERE account_id = ANY(%s)", (gone,))
        if anew := [(id_, carried) for id_, carried in replayed.items() if carried]:
            told = [(kept.terms_text(each.terms), kept.text(each), kept.far_text(each)) for _, each in anew]
            self._connection.execute(_CARRY, ([id_ for id_, _ in anew], *map("\n".join, zip(*told, strict=True))))
        if on := list(self._going.values()):
            # Most payments leave alone what is far.
            texts = "\n".join([kept.text(each.now) for each in on])
            fars = "\n".join([kept.far_text(each.now) for each in on])
            self._connection.execute(_CARRY_ON, ([each.id for each in on], texts, fars))


def _closes(event: Event) -> tuple[str, tuple[str, ...]] | None:
    """The status that an event gives its account, and those in whose place it comes; None where it closes nothing."""
    match event:
        case Sold():
            return "sold", ("open", "paid_off", "charged_off")
        case WrittenOff():
            return "charged_off", ("open",)
        case Rescheduled(by=by) if by:
            return "paid_off", ("open", "charged_off")
    return None


# What closes an account keeps the status of before: a reversal brings it back.
_CLOSING = "(%(row)s.kind IN ('sold', 'written_off') OR coalesce(%(row)s.detail ->> 'by', '') <> '')"
_WRITE_OTHERS = f"""
    INSERT INTO account_event (account_id, key, kind, value_on, detail)
    SELECT r.account_id, r.key, r.kind, r."on", r.detail || CASE WHEN {_CLOSING % {"row": "r"}}
        THEN jsonb_build_object('status_before', a.status) ELSE '{{}}' END
    FROM jsonb_to_recordset(%s) AS r (account_id bigint, key text, kind text, "on" date, detail jsonb)
    JOIN account a ON a.id = r.account_id"""

_CLOSE = "UPDATE account SET status = %(status)s WHERE id = %(id)s AND status = ANY(%(of)s)"

_REOPEN = f"""
    UPDATE account a SET status = coalesce(
        (SELECT CASE WHEN bool_or(e.kind = 'sold') THEN 'sold'
                     WHEN bool_or(e.kind = 'rescheduled' AND {_CLOSING % {"row": "e"}}) THEN 'paid_off'
                     WHEN bool_or(e.kind = 'written_off') THEN 'charged_off' END
         FROM account_event e WHERE e.account_id = a.id AND {LIVE}),
        t.detail ->> 'status_before', 'open')
    FROM account_event t
    WHERE a.id = %(id)s AND t.account_id = a.id AND t.key = %(of)s AND {_CLOSING % {"row": "t"}}
        AND (a.status IN ('sold', 'charged_off') OR a.status = 'paid_off' AND t.kind = 'rescheduled')"""

_WRITE = """
    WITH paid AS (
        INSERT INTO payment (account_id, ref, paid_on, amount_minor) SELECT account_id, key, "on", amount
        FROM json_to_recordset(%s) AS r (account_id bigint, key text, "on" date, amount bigint))
    INSERT INTO account_state (account_id, as_of, cause, dpd, oldest_due_on, bucket, class, arrears_minor, owed_minor)
    SELECT * FROM json_to_recordset(%s) AS r (account_id bigint, as_of date, cause text, dpd int,
        oldest_due_on date, bucket text, class text, arrears_minor bigint, owed_minor bigint)"""

# JSON as a line each: as an array, the driver would quote every sign of it.
_CARRY = """
    INSERT INTO account_carried (account_id, terms, carried, far)
    SELECT id, terms::json, carried::json, far::json
    FROM unnest(%s::bigint[], string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n'))
        AS n (id, terms, carried, far)
    ON CONFLICT (account_id) DO UPDATE
    SET terms = excluded.terms, carried = excluded.carried, far = excluded.far"""

_CARRY_ON = """
    UPDATE account_carried c SET carried = n.carried::json, far = coalesce(nullif(n.far, '')::json, c.far)
    FROM unnest(%s::bigint[], string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n')) AS n (id, carried, far)
    WHERE c.account_id = n.id"""


def standing(state: State) -> Standing:
    """Where a loan stands at the end of the state's day."""
    dpd = state.dpd
    oldest = min((span.aged_from for span in state.spans if span.end is None), default=None) if dpd else None
    return Standing(
        state.as_of,
        dpd,
        oldest,
        MONTHLY.of(dpd).id,
        Category(category_on(state, state.as_of, classing_of(state))).name.lower(),
        state.arrears,
        state.due,
    )


#: A transaction that was posted again has its version before its key; no key of the ledger begins with a digit.
_VERSION = re.compile(r"^\d+/")


def _onward(going: kept.Going) -> list[Draft]:
    """What an account that goes on adds to its journal. Nothing of what was posted changes."""
    keys = {payment.key for payment in going.payments}
    currency = going.start.terms.currency
    drafts = []
    for t, amount in kept.since(going):
        whole = amount == t.entries[0].amount
        entries = t.entries if whole else _part(t, amount)
        if t.key in keys:
            drafts.append(Draft(going.id, t.key, "payment", t.on, currency, entries))
        else:
            drafts.append(Draft(going.id, f"{t.key}:{t.on}", t.key.partition(":")[0], t.on, currency, entries))
    return drafts


def _part(t: Transaction, amount: int) -> journal.Entries:
    """A part of what accrued: of its first account, and of the other one."""
    owed, income = t.entries
    return (owed.account, amount), (income.account, -amount)


def _difference(loan: Loan, state: State, posted: Sequence[Posted]) -> list[Draft]:
    """What makes the journal of a loan say what the ledger says: reversals first.

    What accrues day by day is in the journal in parts, each through the day of a posting and dated on it. A part
    stands while it is what the formula gives for its days; what follows the last such day is posted as a further part.
    """
    kinds = {event.key: kind_of(event) for event in loan.events if event.key != OPENED} | {OPENED: "disbursed"}
    versions: dict[str, int] = {}
    for each in posted:
        if each.reverses is None:
            base = _VERSION.sub("", each.key)
            versions[base] = versions.get(base, 0) + 1
    running = {f"{line.kind}:{line.n}:{line.start}": line for line in state.lines if line.start < line.end}
    accrued = dict.fromkeys(running, 0)
    # What the ledger works out may move to another day, so its day is part of its key.
    wanted = {t.key if t.key in kinds else f"{t.key}:{t.on}": t for t in state.transactions}
    by_key = {t.key: t for t in state.transactions}
    stands = set()
    drafts = []
    for each in sorted(journal.live(posted), key=lambda each: (each.value_on, each.id)):
        base = _VERSION.sub("", each.key)
        stretch = base.rpartition(":")[0]
        if line := running.get(stretch):
            assert loan.terms is not None
            count = loan.terms.day_count if line.kind is Kind.INTEREST else loan.terms.late.day_count
            if each.value_on <= line.end:
                part = accrual.by_days(
                    line.kind, line.n, line.base, line.rate_ppm, count, line.start, each.value_on, line.at_most
                )
                if each.entries == _part(by_key[stretch], part.amount - accrued[stretch]):
                    accrued[stretch] = part.amount
                    continue
        elif base in wanted and (wanted[base].on, wanted[base].entries) == (each.value_on, each.entries):
            stands.add(base)
            continue
        undone = tuple((name, -minor) for name, minor in each.entries)
        drafts.append(Draft(loan.id, f"reversal/{each.key}", "reversal", each.value_on, each.currency, undone, each.id))
    for key, t in wanted.items():
        entries: journal.Entries = t.entries
        if t.key in running:
            entries = _part(t, t.entries[0].amount - accrued[t.key])
        if key in stands or not any(minor for _, minor in entries):
            continue
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
        " coalesce(t.booked_at, s.recorded_at), e.names, e.sums,"
        " (SELECT product = 'card' FROM account a WHERE a.id = s.account_id),"
        " coalesce((SELECT n.amount_minor FROM journal_transaction c JOIN journal_entry n ON n.transaction_id = c.id"
        "  WHERE c.account_id = s.account_id AND c.key = 'credit:' || %(key)s || ':' || %(on)s"
        "  AND n.ledger_account = 'credit'), 0) FROM account_state s"
        " LEFT JOIN journal_transaction t ON t.account_id = s.account_id AND t.key = %(key)s,"
        " LATERAL (SELECT array_agg(ledger_account ORDER BY line) AS names,"
        "  array_agg(amount_minor ORDER BY line) AS sums FROM journal_entry WHERE transaction_id = t.id) e"
        # One that came with the account's first posting has no state of its own: the first on record tells.
        " WHERE s.account_id = %(id)s ORDER BY s.cause = %(key)s DESC, s.id LIMIT 1",
        {"id": posting.account_id, "key": key, "on": str(posting.event.on)},
    ).fetchone()
    assert row is not None, f"account {posting.account_id} is in the journal without a state"
    entries = tuple(zip(row[8] or (), row[9] or (), strict=True))
    on = posting.event.on
    stood, card, used = Standing(*row[:7]), row[10], row[11]
    return Receipt(posting.account_id, posting.event.key, on, row[7], entries, stood, True, card, None, used)
