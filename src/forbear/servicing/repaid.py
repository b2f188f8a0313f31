"""Early repayment: a payment that covers all that would end the loan ends it, in the transaction that posts it.

What was agreed of a part (reschedule.py) lapses when the payment that covered it is taken back: nobody owes it.

Nobody need say so: who pays what ends the loan on its day owes no interest of later days (China: Civil Code art. 677).
The early repayment is an event of its own beside the payment (`Rescheduled.by`) and follows of what is on file: a
payment that comes to light, is reversed or charged back makes it, or takes it back. So no sender reverses it alone.
"""

from dataclasses import replace

from forbear.ledger.early import ended, lapsed
from forbear.ledger.filed import event_key, payment_ref
from forbear.ledger.models import CardTerms, Event, Rescheduled, Reversed
from forbear.servicing.loan import LIVE, Loan

#: Of a row `e` of account_event: a payment ended the loan by it, and still does.
ENDED = f"e.kind = 'rescheduled' AND coalesce(e.detail ->> 'by', '') <> '' AND {LIVE}"

#: The loans of a book that may have ended early without it being on file, or be on file so and not have: open ones
#: with instalments to come whose payments reach the principal and the interest due by the last of them (where other
#: events may have moved that, the principal), and ended ones whose payments do not.
MAYBE = f"""
    WITH p AS MATERIALIZED (
        SELECT a.id, a.status, a.principal_minor AS principal, sum(amount_minor) AS paid, max(paid_on) AS last
        FROM account a JOIN payment ON account_id = a.id AND taken_back_on IS NULL
        WHERE a.book_id = %(book)s AND (%(only)s::bigint[] IS NULL OR a.id = ANY(%(only)s))
            AND a.product = 'instalment' AND a.status = 'open'
        GROUP BY a.id)
    SELECT p.id FROM p, LATERAL (
        SELECT max(due_on) AS ends, sum(interest_minor - removed_minor) FILTER (WHERE due_on <= p.last) AS due
        FROM instalment WHERE account_id = p.id) i
    WHERE p.paid >= p.principal AND (p.paid >= p.principal + coalesce(i.due, 0) AND i.ends > p.last
        OR EXISTS (SELECT FROM account_event WHERE account_id = p.id))
    UNION
    SELECT a.id FROM account a JOIN account_event e ON e.account_id = a.id AND {ENDED}
    WHERE a.book_id = %(book)s AND (%(only)s::bigint[] IS NULL OR a.id = ANY(%(only)s))
        AND (%(only)s::bigint[] IS NOT NULL OR a.status = 'open' OR a.principal_minor > (
            SELECT coalesce(sum(amount_minor), 0) FROM payment
            WHERE account_id = a.id AND taken_back_on IS NULL AND paid_on <= e.value_on))"""


def follows(loan: Loan) -> list[Event]:
    """What is to be added to a loan's events, so that they say what its payments have repaid early.

    Keys are the ledger's. Raises LedgerError where what is on file can't be.
    """
    if loan.terms is None or isinstance(loan.terms, CardTerms):
        return []
    made = {event.key: event for event in loan.events if isinstance(event, Rescheduled) and event.by}
    gone = {event.of for event in loan.events if isinstance(event, Reversed)}
    live = [event for key, event in made.items() if key not in gone]
    rest = [event for event in loan.events if event.key not in made and getattr(event, "of", "") not in made]
    added: list[Event] = [_undone(each) for each in lapsed(loan.terms, loan.schedule, rest)]
    found = ended(loan.terms, loan.schedule, [*rest, *added])
    if found is not None and any(replace(each, key="", by=found.by) == found for each in live):
        return added
    added += map(_undone, live)
    if found is not None:
        key = f"repaid/{len(made) + 1}/{payment_ref(found.by)}"
        added.append(replace(found, key=event_key(key)))
    return added


def _undone(event: Event) -> Reversed:
    return Reversed(f"{event.key}/undone", event.on, event.key)
