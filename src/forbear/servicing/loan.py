"""One account as the ledger's fold takes it: terms, schedule and events, read from the tables; and what may be written.

A payment is a row of `payment`, under its own number; every other event is a row of `account_event`. The key
of an event within the ledger tells which, so that numbers of both can never meet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from pydantic import TypeAdapter

from forbear.ledger.models import (
    Charged,
    ChargedBack,
    DayCount,
    Disbursed,
    Event,
    Forborne,
    Instalment,
    Late,
    LedgerError,
    Paid,
    Product,
    RateChanged,
    Rescheduled,
    Reversed,
    Sold,
    Terms,
    Waived,
    WrittenOff,
)
from forbear.locale import N_

#: The kinds of event that a row of account_event can hold.
KINDS: Mapping[str, type[Event]] = {
    "charged": Charged,
    "waived": Waived,
    "reversed": Reversed,
    "charged_back": ChargedBack,
    "written_off": WrittenOff,
    "sold": Sold,
    "rescheduled": Rescheduled,
    "forborne": Forborne,
    "rate_changed": RateChanged,
}
_NAMES = {kind: name for name, kind in KINDS.items()}
_CODECS: Mapping[type[Event], TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in KINDS.values()}
#: The key of the loan's own disbursement.
OPENED = "opened"
_PAYMENT, _EVENT = "payment:", "event:"


def payment_key(ref: str) -> str:
    """The ledger's key of a payment."""
    return _PAYMENT + ref


def event_key(key: str) -> str:
    """The ledger's key of any other event."""
    return _EVENT + key


def payment_ref(key: str) -> str:
    """The number of a payment, from the ledger's key."""
    return key.removeprefix(_PAYMENT)


def sent_key(key: str) -> str:
    """The key as the sender gave it, from the ledger's."""
    return key.removeprefix(_PAYMENT) if key.startswith(_PAYMENT) else key.removeprefix(_EVENT)


def kind_of(event: Event) -> str:
    """The word for the kind of an event, in a row and in the journal."""
    return "payment" if isinstance(event, Paid) else _NAMES[type(event)]


def detail(event: Event) -> Mapping[str, Any]:
    """What a row of account_event keeps of an event beside its key, kind and value date."""
    kept: dict[str, Any] = _CODECS[type(event)].dump_python(event, mode="json")
    return {name: value for name, value in kept.items() if name not in ("key", "on")}


def event_of(key: str, kind: str, value_on: date, kept: Mapping[str, Any]) -> Event:
    """The event of a row of account_event."""
    event: Event = _CODECS[KINDS[kind]].validate_python({"key": event_key(key), "on": value_on, **kept})
    return event


@dataclass(frozen=True, slots=True)
class Loan:
    """An account with all that happened to it.

    schedule: what is demanded: the contract's less `removed`, what the ceiling on the yearly cost takes off the
    interest of each line (demand.py); `numbers` are the lines' own.
    terms: None where it has no schedule on file, so that what it owes is not known, and for a card. posted_to: the
    last day for which its state was derived, None where it is not in the journal; no transaction has a later value
    date. booked_at: the instant of the reading transaction, which is that of the booking of all that it writes.
    """

    id: int
    ref: str
    currency: str
    terms: Terms | None
    schedule: tuple[Instalment, ...]
    events: tuple[Event, ...]
    posted_to: date | None
    booked_at: datetime
    numbers: tuple[int, ...]
    removed: tuple[int, ...]
    product: str = "instalment"

    @property
    def contract(self) -> tuple[Instalment, ...]:
        """The schedule as it was contracted."""
        return tuple(
            replace(line, interest=line.interest + minor)
            for line, minor in zip(self.schedule, self.removed, strict=True)
        )


CARD = "card"

_READ = """
    SELECT a.id, a.ref, a.opened_on, coalesce(a.annual_rate_ppm, 0),
           a.penalty_rate_ppm - a.removed_penalty_ppm, a.late_fee_minor, a.late_fee_ppm, a.grace_days, b.currency,
           i.due, i.principal, i.interest, p.refs, p.days, p.amounts, e.rows,
           (SELECT max(as_of) FROM account_state s WHERE s.account_id = a.id), now(), i.numbers, i.removed,
           coalesce(a.allocation_order, b.allocation_order), a.product
    FROM account a JOIN book b ON b.id = a.book_id,
    LATERAL (SELECT array_agg(due_on ORDER BY n) AS due, array_agg(principal_minor ORDER BY n) AS principal,
                    array_agg(interest_minor - removed_minor ORDER BY n) AS interest,
                    array_agg(n ORDER BY n) AS numbers, array_agg(removed_minor ORDER BY n) AS removed
             FROM instalment WHERE account_id = a.id) i,
    LATERAL (SELECT array_agg(ref) AS refs, array_agg(paid_on) AS days, array_agg(amount_minor) AS amounts
             FROM payment WHERE account_id = a.id) p,
    LATERAL (SELECT jsonb_agg(jsonb_build_array(key, kind, value_on, detail)) AS rows
             FROM account_event WHERE account_id = a.id) e
    WHERE a.id = ANY(%s)"""


def read(connection: psycopg.Connection[Any], account_ids: Sequence[int]) -> dict[int, Loan]:
    """The loans of these accounts; an account that is not there is left out."""
    rows = connection.cursor(binary=True).execute(_READ, (list(account_ids),))
    return {row[0]: _loan(row) for row in rows}


def _loan(row: Sequence[Any]) -> Loan:
    id_, ref, opened_on, rate, penalty, fee, fee_ppm, grace, currency, due, principal, interest = row[:12]
    refs, days, amounts, others, posted_to, now, numbers, removed, order, product = row[12:]
    schedule = tuple(map(Instalment, due or (), principal or (), interest or ()))
    lent = sum(line.principal for line in schedule)
    events: list[Event] = []
    terms = None
    # A card's lines are its billed months, not a schedule.
    if product != CARD and schedule and lent > 0:
        # Some books tell the day of opening as the month's first or last; interest can't run before it.
        opened_on = min(opened_on, schedule[0].due_on - timedelta(days=1), *(days or ()))
        terms = Terms(
            Product.EQUAL_INSTALMENTS,
            currency,
            lent,
            rate,
            opened_on,
            schedule[0].due_on,
            len(schedule),
            # Repaid early, a line that was cut owes its own interest by days, not the contract's rate.
            day_count=DayCount.MONTHLY if any(removed) else DayCount.ACT_365,
            late=Late(penalty, fee, fee_ppm, grace),
            order=order,
        )
        events.append(Disbursed(OPENED, opened_on, lent))
    events += map(Paid, map(payment_key, refs or ()), days or (), amounts or ())
    events += [event_of(key, kind, date.fromisoformat(on), kept) for key, kind, on, kept in others or ()]
    return Loan(
        id_,
        ref,
        currency,
        terms,
        schedule,
        tuple(events),
        posted_to,
        now,
        tuple(numbers or ()),
        tuple(removed or ()),
        product,
    )


def no_schedule(loan: Loan) -> LedgerError:
    """Said of an account whose schedule is not on file, and of a card, which has none."""
    if loan.product == CARD:
        return LedgerError(
            N_("the account is a card, and the journal does not hold cards yet; import its payments instead")
        )
    return LedgerError(
        N_("the account has no instalment on file, so what it owes is not known; import its schedule first")
    )
