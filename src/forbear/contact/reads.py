"""The gate's SQL: the lock on a person, then the whole record of the person in one statement after it.

READ COMMITTED gives each statement its own snapshot. A statement that waits for a lock keeps the one that it began
with, so the record must be read by a statement that begins when the lock is held.
"""

from datetime import UTC, date
from typing import Any

from forbear.contact.models import PENDING, Loan, Record, Touch
from forbear.ledger.models import Instalment, Late
from forbear.rulebook.models import Hours

#: Local days ahead for which the earliest lawful time is looked for.
AHEAD_DAYS = 62

#: How the gate's connections are opened: a worker that stops answering while it holds a person loses it after ten
#: seconds (one that is killed loses it at once). Set once a connection: for each transaction it would cost as much as
#: the lock. The server counts only after a Sync, not within a pipeline. All is read by key: a plan that was made while
#: a table was empty would go on to read it whole as it grows.
OPTIONS = "-c idle_in_transaction_session_timeout=10s -c enable_seqscan=off"

#: Locks the person of an account (its first borrower) until the transaction ends.
LOCK = """
    SELECT p.id FROM borrower p
    WHERE p.id = (SELECT coalesce(b.same_as, b.id) FROM account a JOIN borrower b ON b.id = a.borrower_id
                  WHERE a.id = %(account_id)s)
    FOR NO KEY UPDATE OF p"""

_PLAIN = (
    "can_sms", "can_call", "can_write", "sms_consent", "stop_contact", "attorney", "bankrupt", "incapable",
    "unreachable", "workplace_forbidden", "opted_out_sms", "vulnerable",
)  # fmt: skip
_PLAIN_OF_ACCOUNT = ("all_in_ppm", "dispute_open", "penalty_rate_ppm")
_DAYS = ("hardship_until", "respite_until")
_DAYS_OF_ACCOUNT = ("promise_due_on", "plan_until", "validation_sent_on")

#: The country of a borrower `b`, out of a place such as GB or US-NY; '' where a place is given and it can't be told.
COUNTRY = """CASE WHEN octet_length(left(b.place, 2)) = 2 AND substr(b.place, 3, 1) IN ('', '-')
            THEN lower(left(b.place, 2)) WHEN b.place IS NOT NULL THEN '' END"""

#: What holds for a person as soon as one record says so: the law protects the person, not the row of a book.
OF_PERSON = (
    "stop_contact", "attorney", "bankrupt", "incapable", "unreachable", "workplace_forbidden", "opted_out_sms",
    "vulnerable",
)  # fmt: skip
#: Days until which something holds for a person: the latest of all records.
DAYS_OF_PERSON = _DAYS


def _of_borrower(name: str) -> str:
    return f"who.{name}" if name in OF_PERSON else f"b.{name}"


#: One row for each loan of the person. Days are sent as days since 1970-01-01, instants as seconds. A permission
#: `mine`, which is about to be used, is not outstanding.
GATHER = f"""
    WITH clock AS MATERIALIZED (SELECT gate_now() AS at)
    SELECT clock.at, coalesce(b.same_as, b.id), a.id, k.jurisdiction, k.lender_type, k.collector, who.country,
        CASE WHEN h.gap_until > r.history_from THEN h.gap_until ELSE r.history_from END, r.recorded_until,
        r.rows_waiting OR coalesce(h.rows_waiting, false),
        a.status, a.opened_on, a.penalty_rate_ppm - a.removed_penalty_ppm, a.late_fee_minor, a.late_fee_ppm,
        a.grace_days, coalesce(a.allocation_order, k.allocation_order),
        who.zones, b.agreed_from_min, b.agreed_to_min,
        i.due, i.principal, i.interest, p.days, p.amounts, p.back, c.seconds, c.steps, c.outcomes,
        {", ".join(map(_of_borrower, _PLAIN))}, {", ".join(f"a.{name}" for name in _PLAIN_OF_ACCOUNT)},
        {", ".join(f"who.{name}" for name in _DAYS)}, {", ".join(f"a.{name}" for name in _DAYS_OF_ACCOUNT)}
    FROM clock CROSS JOIN account one JOIN borrower self ON self.id = one.borrower_id
    CROSS JOIN LATERAL (
        SELECT string_agg(b.zones, '|' ORDER BY b.id) AS zones,
            CASE WHEN min(b.country) = max(b.country) THEN min(b.country)
                 WHEN min(b.country) IS NOT NULL THEN '' END AS country,
            {
    ", ".join(
        f"CASE WHEN bool_or(b.{n}) THEN true WHEN bool_and(b.{n} IS NOT NULL) THEN false END AS {n}" for n in OF_PERSON
    )
},
            {", ".join(f"max(b.{n}) AS {n}" for n in DAYS_OF_PERSON)}
        FROM (SELECT b.*, {COUNTRY} AS country FROM borrower b
              WHERE coalesce(b.same_as, b.id) = coalesce(self.same_as, self.id)) b) who
    JOIN borrower b ON coalesce(b.same_as, b.id) = coalesce(self.same_as, self.id)
    JOIN account a ON a.borrower_id = b.id
    JOIN book k ON k.id = a.book_id
    JOIN book_record r ON r.book_id = a.book_id
    LEFT JOIN account_held h ON h.account_id = a.id
    CROSS JOIN LATERAL (
        SELECT array_agg(due_on - DATE '1970-01-01') AS due, array_agg(principal_minor) AS principal,
               array_agg(interest_minor - removed_minor) AS interest
        FROM (SELECT * FROM instalment WHERE account_id = a.id ORDER BY n) schedule) i
    CROSS JOIN LATERAL (
        SELECT array_agg(paid_on - DATE '1970-01-01') AS days, array_agg(amount_minor) AS amounts,
               array_agg(taken_back_on - DATE '1970-01-01') AS back
        FROM payment WHERE account_id = a.id) p
    CROSS JOIN LATERAL (
        SELECT array_agg(floor(date_part('epoch', at))::bigint) AS seconds, array_agg(step) AS steps,
               array_agg(outcome) AS outcomes
        FROM (SELECT at, step, outcome FROM contact WHERE account_id = a.id
              UNION ALL
              SELECT granted_at, step, '{PENDING}' FROM permission
              WHERE account_id = a.id AND used_at IS NULL AND voided_at IS NULL AND expires_at > clock.at
                  AND id IS DISTINCT FROM %(mine)s::uuid) made) c
    WHERE one.id = %(account_id)s"""

_EPOCH = date(1970, 1, 1).toordinal()


def record(rows: list[tuple[Any, ...]], account_id: int) -> Record | None:
    """The rows of GATHER as a record; None where there is no such account."""
    loans = tuple(map(_loan, rows))
    for loan in loans:
        if loan.account_id == account_id:
            return Record(rows[0][0].astimezone(UTC), rows[0][1], loan, loans)
    return None


def _loan(row: tuple[Any, ...]) -> Loan:
    (_, _, account_id, jurisdiction, lender_type, collector, country, history_from, recorded_until, waits, status,
     opened_on, rate, fee, fee_ppm, grace, order, zones, agreed_from, agreed_to, due, principal, interest, paid_on,
     amounts, back, seconds, steps, outcomes, *rest) = row  # fmt: skip
    plain = (*_PLAIN, *_PLAIN_OF_ACCOUNT)
    return Loan(
        account_id,
        jurisdiction,
        lender_type,
        collector,
        country,
        history_from,
        recorded_until,
        waits,
        status,
        opened_on,
        Late(rate, fee, fee_ppm, grace),
        order,
        zones,
        None if agreed_from is None else Hours(agreed_from, agreed_to),
        dict(zip(plain, rest, strict=False)),
        dict(zip((*_DAYS, *_DAYS_OF_ACCOUNT), rest[len(plain) :], strict=True)),
        tuple(Instalment(_day(on), p, i) for on, p, i in zip(due or (), principal or (), interest or (), strict=True)),
        tuple(
            (_day(on), amount, None if until is None else _day(until))
            for on, amount, until in zip(paid_on or (), amounts or (), back or (), strict=True)
        ),
        tuple(map(Touch, seconds or (), steps or (), outcomes or ())),
    )


def _day(since_epoch: int) -> date:
    return date.fromordinal(_EPOCH + since_epoch)


#: Keeps the answer, and grants with it; no row comes back where the key was used before.
KEEP = """
    INSERT INTO gate_request (id, account_id, step, agency, requested_by, text_sha256, asked_sha256, requested_at,
                              verdict, spoke, facts, rulebook_sha256, earliest, decided_by, reason, expires_at, given)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (id) DO NOTHING RETURNING true"""

#: The answer that a key got before.
KEPT = """
    SELECT asked_sha256, account_id, step, requested_at, verdict, spoke, facts, rulebook_sha256, expires_at, earliest,
           decided_by
    FROM gate_request WHERE id = %s"""

#: Locks the person of a permission, as LOCK does: what was outstanding becomes a contact, or lapses, but not both.
LOCK_OF_PERMISSION = LOCK.replace("%(account_id)s", "(SELECT account_id FROM permission WHERE id = %(id)s)")

#: The request that a permission was granted for, and the state that it is in, once the lock is held.
GRANTED = """
    SELECT account_id, step, agency, requested_by, text_sha256, given, decided_by, reason,
           used_at IS NOT NULL, voided_at IS NOT NULL, expires_at <= gate_now() OR requested_at > gate_now()
    FROM gate_request WHERE id = %(id)s AND expires_at IS NOT NULL"""

#: GATHER for the person of a permission, as if that permission were not outstanding.
GATHER_OF_PERMISSION = GATHER.replace(
    "%(account_id)s", "(SELECT account_id FROM gate_request WHERE id = %(id)s)"
).replace("%(mine)s", "%(id)s")

#: Uses a permission and writes its contact, both or neither. The clock is read once the lock is held.
USE = f"""
    WITH clock AS MATERIALIZED (SELECT gate_now() AS at),
    used AS (
        UPDATE permission SET used_at = clock.at FROM clock
        WHERE id = %(id)s AND used_at IS NULL AND voided_at IS NULL AND expires_at > clock.at
            AND granted_at <= clock.at
        RETURNING id, account_id, step, agency, used_at)
    INSERT INTO contact (account_id, ref, at, step, outcome, agency, permission_id)
    SELECT account_id, 'gate:' || id, used_at, step, '{PENDING}', agency, id FROM used
    RETURNING account_id, step, at"""

VOID = "UPDATE permission SET voided_at = coalesce(voided_at, gate_now()) WHERE id = %(id)s AND used_at IS NULL"

#: The step of a permission, and the outcome of its contact so far (NULL: it was not used). One report at a time.
END = """
    SELECT p.step, c.outcome FROM permission p LEFT JOIN contact c ON c.permission_id = p.id
    WHERE p.id = %(id)s FOR UPDATE OF p"""
