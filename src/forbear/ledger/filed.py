"""A loan as tables keep it: its terms and events out of rows, and where one stands that had more than payments.

The night and the gate both ask here, so that a waiver, a fee, a plan or forbearance says the same to each.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pydantic import TypeAdapter

from forbear.ledger import card, state
from forbear.ledger.daycount import YEAR
from forbear.ledger.models import (
    CardTerms,
    Charged,
    ChargedBack,
    DayCount,
    Disbursed,
    Event,
    Forborne,
    Instalment,
    Late,
    Paid,
    Product,
    Purchased,
    RateChanged,
    Reason,
    Refunded,
    Rescheduled,
    Reversed,
    Sold,
    Terms,
    Waived,
    WrittenOff,
)
from forbear.ledger.position import Position, of_state
from forbear.ledger.state import State, place

#: The kinds of event that a row of account_event can hold.
KINDS: Mapping[str, type[Event]] = {
    "purchased": Purchased,
    "charged": Charged,
    "waived": Waived,
    "reversed": Reversed,
    "charged_back": ChargedBack,
    "refunded": Refunded,
    "written_off": WrittenOff,
    "sold": Sold,
    "rescheduled": Rescheduled,
    "forborne": Forborne,
    "rate_changed": RateChanged,
}
_NAMES = {kind: name for name, kind in KINDS.items()}
_CODECS: Mapping[type[Event], TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in KINDS.values()}
#: The product of an account whose lines on file, if any, are what is past due of its bills, not a schedule.
CARD = "card"
#: For the days through 2020 no issuer of China charged more than 0.05% a day (银发〔2016〕111号; before it the Measures
#: of 1999); since then the rate is agreed on (银发〔2020〕327号). Read in quotations.
_CN_LIMIT_THROUGH, _CN_LIMIT_PPM_A_DAY = date(2020, 12, 31), 500
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


def event_ref(key: str) -> str:
    """The key of any other event as it was sent, from the ledger's; of a payment, none."""
    return key.removeprefix(_EVENT) if key.startswith(_EVENT) else ""


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


#: A row of the table `ceiling` as one value of SQL: [ppm, [[day, ppm], ...]], for `late_of`.
CEILING = """(SELECT jsonb_build_array(c.ppm, c.later) FROM ceiling c
            WHERE c.book_id = a.book_id AND c.opened_on = a.opened_on AND c.product = a.product)"""


def late_of(
    penalty_rate_ppm: int, fee_minor: int, fee_ppm: int, grace_days: int, ceiling: Sequence[Any] | None
) -> Late:
    """What being late costs, out of the columns of an account and its CEILING."""
    ppm, later = ceiling or (None, ())
    steps = tuple((date.fromisoformat(day), then) for day, then in later)
    return Late(penalty_rate_ppm, fee_minor, fee_ppm, grace_days, ceiling_ppm=ppm, later=steps)


def terms_of(
    currency: str,
    annual_rate_ppm: int,
    opened_on: date,
    late: Late,
    order: str,
    schedule: Sequence[Instalment],
    cut: bool,
    paid_on: Iterable[date],
) -> Terms | None:
    """The terms of a loan by instalments; None where it has no schedule on file.

    cut: does a ceiling on the yearly cost take off interest of the schedule? late: as it is demanded.
    """
    lent = sum(line.principal for line in schedule)
    if lent <= 0:
        return None
    return Terms(
        Product.EQUAL_INSTALMENTS,
        currency,
        lent,
        annual_rate_ppm,
        # Some books tell the day of opening as the month's first or last; interest can't run before it.
        min(opened_on, schedule[0].due_on - timedelta(days=1), *paid_on),
        schedule[0].due_on,
        len(schedule),
        # Repaid early, a line that was cut owes its own interest by days, not the contract's rate.
        day_count=DayCount.MONTHLY if cut else DayCount.ACT_365,
        late=late,
        order=order,
    )


def card_terms_of(
    currency: str,
    annual_rate_ppm: int,
    opened_on: date,
    late: Late,
    order: str,
    kept: Mapping[str, Any],
    bank_of_china: bool,
    paid_on: Iterable[date],
    others: Iterable[Sequence[Any]],
) -> CardTerms:
    """The terms of a card.

    kept: a row of card_terms, its day as text. bank_of_china: is the issuer a bank under the law of mainland China? Its
    rate is bounded for the days through 2020, and art. 57 of the card Measures gives its order of allocation where the
    general law would. others: rows of account_event, as `events_of` takes them.
    """
    first = date.fromisoformat(kept["first_statement_on"])
    count = DayCount.ACT_365
    drawn = [detail["amount"] for _, kind, _, detail in others if kind == "purchased"]
    return CardTerms(
        Product.REVOLVING,
        currency,
        sum(drawn),
        annual_rate_ppm,
        min(opened_on, first - timedelta(days=1), *paid_on),
        first + timedelta(days=kept["due_days"]),
        1,
        day_count=count,
        late=late,
        order="cn_credit_card" if bank_of_china and order == "cn_civil_code" else order,
        first_statement_on=first,
        due_days=kept["due_days"],
        minimum_ppm=kept["minimum_ppm"],
        minimum_floor=kept["minimum_floor_minor"],
        cash_minimum_ppm=kept["cash_minimum_ppm"],
        unpaid_only=kept["unpaid_only"],
        rate_limits=((_CN_LIMIT_THROUGH, _CN_LIMIT_PPM_A_DAY * YEAR[count]),) if bank_of_china else (),
    )


def fold(terms: Terms, schedule: Sequence[Instalment], events: Iterable[Event], as_of: date) -> State:
    """The state at the end of `as_of`, of a loan (state.fold) or of a card (card.fold), whichever its terms are of."""
    if isinstance(terms, CardTerms):
        return card.fold(terms, events, as_of)
    return state.fold(terms, schedule, events, as_of)


def events_of(
    terms: Terms | None,
    payments: Iterable[tuple[str, date, int]],
    others: Iterable[Sequence[Any]],
) -> tuple[Event, ...]:
    """What happened to a loan: payments are (number, day, amount), others rows of account_event, their day as text."""
    lent = terms is not None and not isinstance(terms, CardTerms)
    events: list[Event] = [Disbursed(OPENED, terms.opened_on, terms.principal)] if terms and lent else []
    events += [Paid(payment_key(ref), on, amount) for ref, on, amount in payments]
    events += [event_of(key, kind, date.fromisoformat(on), kept) for key, kind, on, kept in others]
    return tuple(events)


@dataclass(frozen=True, slots=True)
class Stood:
    """Where a loan stands by its whole fold, and what holds collection for it.

    forborne_until: the last day of the forbearance granted last. plan_until: the last due date of a repayment plan
    that is being kept; None once a line of it is past due, since what was agreed then binds no longer.
    next_due_on: when something falls due next, within the horizon.
    """

    position: Position
    forborne_until: date | None
    plan_until: date | None
    next_due_on: date | None


def stood(terms: Terms, schedule: Sequence[Instalment], events: Sequence[Event], as_of: date) -> Stood:
    """Where a loan stands at the end of `as_of`. Raises LedgerError, as the fold does."""
    found = fold(terms, schedule, events, as_of)
    at = of_state(found)
    due = None if at.days_to_due is None else as_of + timedelta(days=at.days_to_due)
    return Stood(at, found.forborne_until, _plan_until(events, found), due)


def _plan_until(events: Sequence[Event], found: State) -> date | None:
    gone = {event.of for event in events if isinstance(event, Reversed)}
    made = [
        event
        for event in events
        if isinstance(event, Rescheduled)
        and event.on <= found.as_of
        and event.key not in gone
        and event.reason in (Reason.PLAN, Reason.REAGE)
    ]
    if not made or max(made, key=place).reason is not Reason.PLAN or found.arrears:
        return None
    return max(
        (debt.due_on for debt in found.debts if debt.n and debt.unpaid + sum(debt.to_come.values())), default=None
    )
