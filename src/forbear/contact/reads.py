"""The gate's SQL: the lock on a person, then the whole record of the person in one statement after it.

READ COMMITTED gives each statement its own snapshot. A statement that waits for a lock keeps the one that it began
with, so the record must be read by a statement that begins when the lock is held.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date
from typing import Any

from forbear.contact.models import COLLECT, PENDING, Apart, Loan, Record, Touch
from forbear.ledger.filed import CARD, CEILING, card_terms_of, events_of, late_of, terms_of
from forbear.ledger.models import Instalment, Late, Terms
from forbear.rulebook.models import Hours

#: Local days ahead for which the earliest lawful time is looked for.
AHEAD_DAYS = 62

#: How the gate's connections are opened: a worker that stops answering while it holds a person loses it after ten
#: seconds (one that is killed loses it at once). Set once a connection: for each transaction it would cost as much as
#: the lock. The server counts only after a Sync, not within a pipeline. All is read by key, by a plan that is made
#: once: one made while a table was empty would go on to read it whole as it grows, and planning takes ten times as long
#: as reading.
OPTIONS = (
    "-c idle_in_transaction_session_timeout=10s -c enable_seqscan=off -c plan_cache_mode=force_generic_plan -c jit=off"
)

#: Locks the person of an account (its first borrower) until the transaction ends.
LOCK = """
    SELECT p.id FROM borrower p
    WHERE p.id = (SELECT coalesce(b.same_as, b.id) FROM account a JOIN borrower b ON b.id = a.borrower_id
                  WHERE a.id = %(account_id)s)
    FOR NO KEY UPDATE OF p"""

#: Locks those persons of several accounts whom nobody else holds.
LOCK_FREE = LOCK.replace("p.id = (", "p.id IN (").replace("= %(account_id)s", "= ANY(%(account_ids)s::bigint[])")
LOCK_FREE += " SKIP LOCKED"

_PLAIN = ("can_sms", "can_call", "can_write", "sms_consent")
_PLAIN_OF_ACCOUNT = ("all_in_ppm", "dispute_open", "penalty_rate_ppm")
_DAYS_OF_ACCOUNT = ("promise_due_on", "plan_until", "validation_sent_on")

#: The country of a borrower `b`, out of a place such as GB or US-NY; '' where a place is given and it can't be told.
COUNTRY = """CASE WHEN octet_length(left(b.place, 2)) = 2 AND substr(b.place, 3, 1) IN ('', '-')
            THEN lower(left(b.place, 2)) WHEN b.place IS NOT NULL THEN '' END"""

#: Has a loan left the lender's book? Not known where the newest whole picture of the book, the import `whole`, does not
#: have it: `shown` is the import that told of it last.
LEFT_BOOK = """CASE WHEN whole.id IS NULL OR (shown.taken_on, shown.id) >= (whole.taken_on, whole.id)
            THEN false END"""

#: What a contact of gate_request is for.
PURPOSE = f"coalesce(given ->> 'purpose', '{COLLECT}')"

#: What holds for a person as soon as one record says so: the law protects the person, not the row of a book.
OF_PERSON = (
    "stop_contact", "attorney", "bankrupt", "incapable", "unreachable", "workplace_forbidden", "opted_out_sms",
    "vulnerable",
)  # fmt: skip
#: Of these, what opens a way that is otherwise closed: it holds only where all records say so.
ONLY_IF_ALL = frozenset({"unreachable"})
#: Days until which something holds for a person: the latest of all records.
DAYS_OF_PERSON = ("hardship_until", "respite_until")


#: One row for each loan of the person, and for each of their records that has none. Days are sent as days since
#: 1970-01-01, instants as seconds. A permission `mine`, which is about to be used, is not outstanding. What waits of a
#: loan, and since when contacts are on record, is what the views book_record and account_held say, which are made for
#: whole books: here only the rows are looked at that may be of this borrower, by its own number or by
#: the person's key, which may stand in a row of any book (not by an EXISTS, for which all that waits might be hashed).
_GATHER = f"""
    WITH clock AS MATERIALIZED (SELECT gate_now() AS at)
    SELECT one.id, clock.at, coalesce(b.same_as, b.id), b.id, a.id, k.jurisdiction, k.lender_type, k.collector,
        CASE WHEN coalesce(k.history_from, k.recorded_from, q.anybodys) IS NOT NULL
            THEN greatest(coalesce(k.history_from, k.recorded_from), q.anybodys, q.own) END,
        k.recorded_until,
        q.waits IS TRUE OR coalesce((
            SELECT true FROM quarantine w WHERE w.person_key = b.person_key AND w.settled_at IS NULL LIMIT 1), false)
        OR EXISTS (
            SELECT FROM import o WHERE o.book_id = b.book_id AND o.finished_at IS NULL AND NOT EXISTS (
                SELECT FROM import n WHERE n.book_id = b.book_id AND n.finished_at IS NOT NULL
                AND (n.taken_on, n.id) > (o.taken_on, o.id) AND n.tables @> o.tables)),
        a.status, a.opened_on, a.penalty_rate_ppm, a.late_fee_minor, a.late_fee_ppm, a.grace_days,
        {CEILING}, a.product,
        coalesce(a.allocation_order, k.allocation_order),
        b.agreed_from_min, b.agreed_to_min,
        i.due, i.principal, i.interest, p.days, p.amounts, p.back, c.seconds, c.steps, c.outcomes, c.to_whom,
        c.purposes,
        (SELECT jsonb_build_array(k.currency, a.product, coalesce(a.annual_rate_ppm, 0),
                EXISTS (SELECT FROM instalment WHERE account_id = a.id AND removed_minor > 0),
                (SELECT jsonb_agg(jsonb_build_array(ref, paid_on, amount_minor)) FROM payment WHERE account_id = a.id),
                jsonb_agg(jsonb_build_array(key, kind, value_on, detail)),
                (SELECT to_jsonb(c) FROM card_terms c WHERE c.account_id = a.id))
         FROM account_event WHERE account_id = a.id HAVING bool_or(kind <> 'reversed')),
        b.zones, {COUNTRY}, k.respite_untold,
        {", ".join(f"b.{name}" for name in (*OF_PERSON, *DAYS_OF_PERSON, *_PLAIN))},
        {", ".join(f"a.{name}" for name in (*_PLAIN_OF_ACCOUNT, *_DAYS_OF_ACCOUNT))}, {LEFT_BOOK},
        i.cut OR a.annual_rate_ppm >= 0 AND EXISTS (SELECT FROM card_terms WHERE account_id = a.id)
    FROM clock CROSS JOIN account one JOIN borrower self ON self.id = one.borrower_id
    JOIN borrower b ON coalesce(b.same_as, b.id) = coalesce(self.same_as, self.id)
    LEFT JOIN account a ON a.borrower_id = b.id
    JOIN book k ON k.id = b.book_id
    LEFT JOIN import shown ON shown.id = a.import_id
    LEFT JOIN import whole ON whole.id = k.whole_import_id
    CROSS JOIN LATERAL (
        SELECT bool_or(q.settled_at IS NULL) waits,
            max(i.taken_on) FILTER (WHERE q.settled_how = 'dropped' AND q.loan_ref IS NULL) anybodys,
            max(i.taken_on) FILTER (WHERE q.settled_how = 'dropped') own
        FROM quarantine q JOIN import i ON i.id = q.import_id
        WHERE i.book_id = b.book_id
            AND (q.settled_at IS NULL OR (q.settled_how = 'dropped' AND q.table_name = 'contacts'))
            AND (q.loan_ref = ANY (ARRAY(SELECT ref FROM account WHERE borrower_id = b.id))
                OR q.borrower_ref = b.ref
                OR (q.loan_ref IS NULL AND q.settled_how IS NULL AND q.borrower_ref IS NULL)
                OR (q.loan_ref IS NULL AND q.settled_how = 'dropped'))) q
    CROSS JOIN LATERAL (
        SELECT array_agg(due_on - DATE '1970-01-01') due, array_agg(principal_minor) principal,
               array_agg(interest_minor - removed_minor) interest, bool_or(removed_minor > 0) cut
        FROM (SELECT * FROM instalment WHERE account_id = a.id ORDER BY n) s) i
    CROSS JOIN LATERAL (
        SELECT array_agg(paid_on - DATE '1970-01-01') days, array_agg(amount_minor) amounts,
               array_agg(taken_back_on - DATE '1970-01-01') back
        FROM payment WHERE account_id = a.id) p
    CROSS JOIN LATERAL (
        SELECT array_agg(floor(date_part('epoch', at))::bigint) seconds, array_agg(step) steps,
               array_agg(outcome) outcomes, array_agg(to_whom) to_whom, array_agg(purpose) purposes
        FROM (SELECT at, step, outcome, to_whom, purpose FROM contact WHERE account_id = a.id
              UNION ALL
              SELECT requested_at, step, '{PENDING}', given ->> 'to_whom', {PURPOSE} FROM gate_request
              WHERE account_id = a.id AND expires_at > clock.at AND used_at IS NULL AND voided_at IS NULL
                  AND id IS DISTINCT FROM %(mine)s::uuid) m) c
    WHERE one.id = %(account_id)s"""


def _short(sql: str) -> str:
    """Without blanks that nobody needs: psycopg reads a statement of more than 4,096 characters anew each time."""
    return re.sub(r" ?([(),=<>|-]+) ?", r"\1", " ".join(sql.split()))  # no literal in it has blanks


GATHER = _short(_GATHER)

#: GATHER as if it were the instant `at`. What was done since is still in it.
GATHER_AT = _short(_GATHER.replace("gate_now()", "coalesce(%(at)s::timestamptz, gate_now())"))

#: GATHER for several accounts.
GATHER_MANY = _short(_GATHER.replace("= %(account_id)s", "= ANY(%(account_ids)s::bigint[])"))

#: The columns of GATHER that are the person's: what their records say goes for all of them.
_WHO = slice(34, 37 + len(OF_PERSON) + len(DAYS_OF_PERSON))
_AGREED, _CONSENT = 20, _WHO.stop + _PLAIN.index("sms_consent")
_EPOCH = date(1970, 1, 1).toordinal()


def records(rows: Iterable[tuple[Any, ...]]) -> dict[int, Record]:
    """The rows of GATHER_MANY as records, by the account asked about."""
    apart: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows:
        apart.setdefault(row[0], []).append(row)
    return {account_id: _record(own, account_id) for account_id, own in apart.items()}


def record(rows: list[tuple[Any, ...]], account_id: int) -> Record | None:
    """The rows of GATHER as a record; None where there is no such account."""
    return _record(rows, account_id) if rows else None


def _record(rows: list[tuple[Any, ...]], account_id: int) -> Record:
    first = rows[0]
    who = first[_WHO]
    if any(row[3] != first[3] for row in rows):
        who = _of_all(each for _, each in sorted({row[3]: row[_WHO] for row in rows}.items()))
    # What waits of one record, though it has no loan, may be a stop of the person's.
    waits = any(row[10] for row in rows)
    # Hours agreed in any record of the person narrow those of all; texts refused in one are refused in all.
    spans = [Hours(row[_AGREED], row[_AGREED + 1]) for row in rows if row[_AGREED] is not None]
    agreed = Hours(max(s.opens for s in spans), min(s.closes for s in spans)) if spans else None
    refused = any(row[_CONSENT] is False for row in rows)
    loans = tuple([_loan(row, who, waits, agreed, refused) for row in rows if row[4] is not None])
    asked = next(loan for loan in loans if loan.account_id == account_id)
    return Record(first[1].astimezone(UTC), first[2], asked, loans)


def _of_all(records: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """What several records say of one person: a flag holds where one says so, and where one lacks it, is unknown.

    Zones are those of all records, so that the hour is lawful wherever one of them has the person; where one lacks
    them, they may be anywhere, and the place is unknown.
    """
    zones, country, *columns = (tuple(column) for column in zip(*records, strict=True))
    flags = zip(("respite_untold", *OF_PERSON), columns[: 1 + len(OF_PERSON)], strict=True)
    days = columns[1 + len(OF_PERSON) :]
    places = {each for each in country if each is not None}
    return (
        None if None in zones else "|".join(zones),
        None if not places else places.pop() if len(places) == 1 else "",
        *(_of_flags(flag, name not in ONLY_IF_ALL) for name, flag in flags),
        *(max((day for day in each if day is not None), default=None) for each in days),
    )


def _of_flags(said: tuple[bool | None, ...], decides: bool) -> bool | None:
    """What several records say of a person: one that says `decides` decides, else all have to say the contrary."""
    return decides if decides in said else None if None in said else not decides


_NAMES_OF_PERSON = (*OF_PERSON, *DAYS_OF_PERSON)
_NAMES = (*_PLAIN, *_PLAIN_OF_ACCOUNT, *_DAYS_OF_ACCOUNT, "left_book", "cut")


def _loan(row: tuple[Any, ...], who: tuple[Any, ...], waits: bool, agreed: Hours | None, refused: bool) -> Loan:
    (_, _, _, _, account_id, jurisdiction, lender_type, collector, history_from, recorded_until, _, status, opened_on,
     rate, fee, fee_ppm, grace, ceiling, product, order, agreed_from, _, due, principal, interest, paid_on,
     amounts, back, seconds, steps, outcomes, to_whom, purposes, more) = row[: _WHO.start]  # fmt: skip
    zones, country, respite_untold, *of_person = who
    plain = dict(zip(_NAMES_OF_PERSON, of_person, strict=True))
    plain.update(zip(_NAMES, row[_WHO.stop :], strict=True))
    if refused:
        plain["sms_consent"] = False
    cut = bool(plain.pop("cut"))
    days = {name: plain.pop(name) for name in (*DAYS_OF_PERSON, *_DAYS_OF_ACCOUNT)}
    late = late_of(rate, fee, fee_ppm, grace, ceiling)
    schedule = tuple(
        [Instalment(_day(on), p, i) for on, p, i in zip(due or (), principal or (), interest or (), strict=True)]
    )
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
        late,
        order,
        zones,
        agreed,
        plain,
        days,
        schedule,
        tuple(
            [
                (_day(on), amount, None if until is None else _day(until))
                for on, amount, until in zip(paid_on or (), amounts or (), back or (), strict=True)
            ]
        ),
        tuple(map(Touch, seconds or (), steps or (), outcomes or (), to_whom or (), purposes or ())),
        None
        if more is None
        else _apart(more, opened_on, late, order, schedule, (jurisdiction, lender_type) == ("cn", "bank")),
        respite_untold,
        product,
        agreed_from is not None,
        cut,
    )


def _apart(
    more: list[Any], opened_on: date, late: Late, order: str, schedule: tuple[Instalment, ...], cn_bank: bool
) -> Apart | None:
    """What the ledger folds of a loan that had more than payments; None where it has no schedule on file."""
    currency, product, rate, cut, paid, others, card = more
    payments = [(ref, date.fromisoformat(on), amount) for ref, on, amount in paid or ()]
    days = [on for _, on, _ in payments]
    terms: Terms | None
    if card is not None:
        terms = card_terms_of(currency, rate, opened_on, late, order, card, cn_bank, days, others)
    else:
        terms = terms_of(currency, rate, opened_on, late, order, schedule if product != CARD else (), cut, days)
    return None if terms is None else Apart(terms, events_of(terms, payments, others))


def _day(since_epoch: int) -> date:
    return date.fromordinal(_EPOCH + since_epoch)


_KEPT_AS = {
    "id": "uuid", "account_id": "bigint", "step": "text", "agency": "text", "requested_by": "text",
    "text_sha256": "text", "asked_sha256": "bytea", "requested_at": "timestamptz", "verdict": "text",
    "spoke": "jsonb", "facts": "jsonb", "rulebook_sha256": "text", "earliest": "timestamptz", "decided_by": "text",
    "reason": "text", "expires_at": "timestamptz", "given": "jsonb", "jurisdiction": "text", "zones": "text",
    "agreed_from_min": "smallint", "agreed_to_min": "smallint", "other_days": "jsonb", "overrides": "uuid",
    "at_use_of": "uuid",
}  # fmt: skip
#: The columns of an answer that is kept, in order.
KEPT_COLUMNS = tuple(_KEPT_AS)

#: Keeps the answers of a JSON array of rows, and grants with them; no row comes back where a key was used before.
KEEP = f"""
    INSERT INTO gate_request ({", ".join(KEPT_COLUMNS)})
    SELECT {", ".join(KEPT_COLUMNS)}
    FROM json_to_recordset(%s) AS row ({", ".join(f"{name} {kind}" for name, kind in _KEPT_AS.items())})
    ON CONFLICT (id) DO NOTHING RETURNING id, account_id"""

#: The answer that a key got before.
KEPT = """
    SELECT asked_sha256, account_id, step, requested_at, verdict, spoke, facts, rulebook_sha256, expires_at, earliest,
           decided_by
    FROM gate_request WHERE id = %s"""

#: What was answered to an earlier request, whether another lifted it, and whether the key `mine` was answered before.
EARLIER = """
    SELECT e.account_id, e.step, e.agency, e.text_sha256, e.given, e.verdict, e.expires_at IS NOT NULL, e.requested_by,
           e.requested_at, coalesce(e.spoke -> 'unknown', '[]'),
           EXISTS (SELECT FROM gate_request WHERE overrides = e.id AND id <> %(mine)s)
    FROM gate_request e WHERE e.id = %(id)s"""
ANSWERED = "SELECT EXISTS (SELECT FROM gate_request WHERE id = %s)"

#: Locks the person of a permission, as LOCK does: what was outstanding becomes a contact, or lapses, but not both.
LOCK_OF_PERMISSION = LOCK.replace("%(account_id)s", "(SELECT account_id FROM permission WHERE id = %(id)s)")

#: The request that a permission was granted for, and the state that it is in, once the lock is held.
GRANTED = """
    SELECT account_id, step, agency, requested_by, text_sha256, given, decided_by, reason, overrides, asked_sha256,
           CASE WHEN decided_by IS NOT NULL THEN coalesce(spoke -> 'unknown', '[]') END,
           used_at IS NOT NULL, voided_at IS NOT NULL, expires_at <= gate_now() OR requested_at > gate_now()
    FROM gate_request WHERE id = %(id)s AND expires_at IS NOT NULL"""

#: GATHER for the person of a permission, as if that permission were not outstanding.
GATHER_OF_PERMISSION = _short(
    _GATHER.replace("%(account_id)s", "(SELECT account_id FROM gate_request WHERE id = %(id)s)").replace(
        "%(mine)s", "%(id)s"
    )
)

#: Uses a permission and writes its contact, both or neither. The clock is read once the lock is held.
USE = f"""
    WITH clock AS MATERIALIZED (SELECT gate_now() AS at),
    used AS (
        UPDATE permission SET used_at = clock.at FROM clock
        WHERE id = %(id)s AND used_at IS NULL AND voided_at IS NULL AND expires_at > clock.at
            AND granted_at <= clock.at
        RETURNING id, account_id, step, agency, used_at)
    INSERT INTO contact (account_id, ref, at, step, outcome, agency, permission_id, to_whom, purpose)
    SELECT used.account_id, 'gate:' || id, used.used_at, used.step, '{PENDING}', used.agency, id,
           asked.given ->> 'to_whom', {PURPOSE}
    FROM used JOIN gate_request asked USING (id)
    RETURNING account_id, step, at"""

VOID = "UPDATE permission SET voided_at = coalesce(voided_at, gate_now()) WHERE id = %(id)s AND used_at IS NULL"

#: The step of a permission, and the outcome of its contact so far (NULL: it was not used). One report at a time.
END = """
    SELECT p.step, c.outcome FROM permission p LEFT JOIN contact c ON c.permission_id = p.id
    WHERE p.id = %(id)s FOR UPDATE OF p"""

#: How a contact ended, and who said so, both or neither.
REPORT = """
    WITH said AS (UPDATE contact SET outcome = %(outcome)s WHERE permission_id = %(id)s RETURNING permission_id)
    INSERT INTO contact_report (permission_id, outcome, reported_by, reported_at)
    SELECT permission_id, %(outcome)s, %(by)s, gate_now() FROM said"""
