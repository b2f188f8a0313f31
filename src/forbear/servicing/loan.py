"""One account as the ledger's fold takes it: terms, schedule and events, read from the tables; and what may be written.

A payment is a row of `payment`, under its own number; every other event is a row of `account_event`. The key
of an event within the ledger tells which, so that numbers of both can never meet.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import psycopg

from forbear.ledger import card, state
from forbear.ledger.filed import CARD, CEILING, card_terms_of, events_of, late_of, terms_of
from forbear.ledger.models import CardTerms, Event, Forborne, Instalment, LedgerError, Rescheduled, Terms, Waived
from forbear.locale import N_


@dataclass(frozen=True, slots=True)
class Loan:
    """An account with all that happened to it.

    schedule: what is demanded: the contract's less `removed`, what the ceiling on the yearly cost takes off the
    interest of each line (demand.py); `numbers` are the lines' own.
    terms: None where it has no schedule on file, so that what it owes is not known, and for a card whose statements are
    not told; a CardTerms for one whose are. posted_to: the
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
    status: str = "open"

    @property
    def contract(self) -> tuple[Instalment, ...]:
        """The schedule as it was contracted."""
        return tuple(
            replace(line, interest=line.interest + minor)
            for line, minor in zip(self.schedule, self.removed, strict=True)
        )


#: Of a row `e` of account_event: no reversal has taken it back.
LIVE = (
    "NOT EXISTS (SELECT FROM account_event r WHERE r.account_id = e.account_id AND r.kind = 'reversed'"
    " AND r.detail ->> 'of' = 'event:' || e.key)"
)

_READ = f"""
    SELECT a.id, a.ref, a.opened_on, coalesce(a.annual_rate_ppm, 0),
           a.penalty_rate_ppm, a.late_fee_minor, a.late_fee_ppm, a.grace_days, b.currency,
           i.due, i.principal, i.interest, p.refs, p.days, p.amounts, e.rows,
           (SELECT max(as_of) FROM account_state s WHERE s.account_id = a.id), now(), i.numbers, i.removed,
           coalesce(a.allocation_order, b.allocation_order), a.product, a.status,
           {CEILING},
           (SELECT to_jsonb(c) FROM card_terms c WHERE c.account_id = a.id),
           b.jurisdiction = 'cn' AND b.lender_type = 'bank'
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
    refs, days, amounts, others, posted_to, now, numbers, removed, order, product, status, ceiling, kept, cn_bank = row[
        12:
    ]
    schedule = tuple(map(Instalment, due or (), principal or (), interest or ()))
    late = late_of(penalty, fee, fee_ppm, grace, ceiling)
    terms: Terms | None
    if kept is not None:
        terms = card_terms_of(currency, rate, opened_on, late, order, kept, cn_bank, days or (), others or ())
    else:
        # A card's lines are what is past due of its bills, not a schedule.
        lines = schedule if product != CARD else ()
        terms = terms_of(currency, rate, opened_on, late, order, lines, any(removed or ()), days or ())
    payments = zip(refs or (), days or (), amounts or (), strict=True)
    return Loan(
        id_,
        ref,
        currency,
        terms,
        schedule,
        events_of(terms, payments, others or ()),
        posted_to,
        now,
        tuple(numbers or ()),
        tuple(removed or ()),
        product,
        status,
    )


def dues(connection: psycopg.Connection[Any], account_id: int, as_of: date) -> list[tuple[date, int, int]]:
    """What falls due when: the day, the number, and the minor units of each instalment or minimum, in order of days.

    As it stands on a day: where a plan took the place of what was to come, its lines; of each line what is asked for,
    without what frozen days spare and what went with principal that was given up. The schedule on file where the ledger
    can't tell more: before the loan, or where what was posted contradicts itself.
    """
    loan = read(connection, [account_id]).get(account_id)
    if loan is None:
        return []
    lines = [(line.due_on, n, line.amount) for n, line in zip(loan.numbers, loan.schedule, strict=True)]
    if loan.terms is None or as_of < loan.terms.opened_on:
        return lines
    with contextlib.suppress(LedgerError):
        if isinstance(loan.terms, CardTerms):
            return [(x.due_on, x.n, x.minimum) for x in card.fold(loan.terms, loan.events, as_of).statements]
        if any(isinstance(event, Rescheduled | Forborne | Waived) for event in loan.events):
            found = state.fold(loan.terms, loan.schedule, loan.events, as_of)
            contract = zip(loan.numbers, found.asked(loan.schedule), strict=True)
            lines = [(line.due_on, n, line.amount) for n, line in contract]
            for plan in found.plans:
                then = enumerate(found.asked(plan.lines, plan.first), plan.first)
                (on, n, first), *rest = ((line.due_on, n, line.amount) for n, line in then)
                lines = [line for line in lines if line[0] <= plan.on] + [(on, n, first + plan.carried), *rest]
    return lines


def no_schedule(loan: Loan) -> LedgerError:
    """Said of an account whose schedule is not on file, and of a card whose statements are not told."""
    if loan.product == CARD:
        return LedgerError(
            N_(
                "the account is a card, and the terms of its statements are not on file, so what it owes is not known;"
                " import first_statement_on, due_days and minimum_rate with its loan"
            )
        )
    return LedgerError(
        N_("the account has no instalment on file, so what it owes is not known; import its schedule first")
    )
