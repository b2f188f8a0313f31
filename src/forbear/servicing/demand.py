"""Holds loans to what the law lets them demand: what it takes off is written beside the contract, for all who demand.

Two laws speak here. The ceiling on the yearly cost: the table `ceiling` keeps the lowest whose figure is on file, for
each day on which a book's loans, or cards, were made, and what takes its place later where a rule binds by accrual; to
it the ledger holds the penalty rate, the late fee beside it, a fee that is charged and the interest of a new schedule
(ledger/state.py). The contract's schedule is held to it here (ledger/excess.py): `instalment.removed_minor` is what it
takes off `interest_minor`. And a statutory respite in which nothing accrues: where the law of a book's place gives one,
it becomes an event of each loan of the person, in whichever book, forbearance that freezes, with the rule's id.
Journal, statement, night and gate all read these, so that they can't disagree. What a loan may demand decides whether
its payments have ended it, which is looked at last (repaid.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from forbear.ledger.excess import Capped, Part, held
from forbear.ledger.filed import detail, event_key
from forbear.ledger.models import Forborne, LedgerError, Reversed
from forbear.rulebook.book import Rulebook
from forbear.rulebook.cap import Steps, knows_respite, lowest_known, respite_rule
from forbear.rulebook.models import Rule, at
from forbear.servicing.loan import LIVE, Loan, read
from forbear.servicing.post import restate
from forbear.servicing.repaid import ENDED, MAYBE
from forbear.store.engine import copy_connection
from forbear.store.errors import one_line

#: Loans asked about, and of these loans read, at a time.
_PART, _CHUNK = 100_000, 2_000


def keep_lawful(rulebook: Rulebook) -> int:
    """Hold every book that was not yet held by this very rulebook, and every respite on record; a commit a book.

    Returns how many loans may demand something else than before. Raises StoreError.
    """
    changed = 0
    with one_line(), copy_connection() as connection:
        books = connection.execute(
            "SELECT id, held_sha256 IS DISTINCT FROM %s FROM book ORDER BY id", (rulebook.sha256,)
        ).fetchall()
        for book_id, other in books:
            if other:
                changed += hold_book(connection, book_id, rulebook)
            elif ids := _keep_respites(connection, book_id, None, rulebook):
                _restate(connection, ids, set())
                changed += len(ids)
            connection.commit()
    return changed


def hold_book(connection: psycopg.Connection[Any], book_id: int, rulebook: Rulebook) -> int:
    """Hold the loans of a book, and restate those in the journal that now demand something else. The caller commits.

    Returns how many loans may demand something else than before.
    """
    connection.execute("SELECT FROM book WHERE id = %s FOR NO KEY UPDATE", (book_id,))
    changed = _hold(connection, book_id, None, rulebook)
    connection.execute("UPDATE book SET held_sha256 = %s WHERE id = %s", (rulebook.sha256, book_id))
    return changed


def hold_loans(
    connection: psycopg.Connection[Any], book_id: int, account_ids: Sequence[int], rulebook: Rulebook
) -> int:
    """As `hold_book`, for a few loans of a book whose others are as they were, and those of their person elsewhere."""
    return _hold(connection, book_id, list(account_ids), rulebook)


def _hold(connection: psycopg.Connection[Any], book_id: int, only: list[int] | None, rulebook: Rulebook) -> int:
    changed = _keep_ceilings(connection, book_id, only, rulebook)
    changed |= _keep_respites(connection, book_id, only, rulebook)
    changed |= _keep_elsewhere(connection, book_id, only, rulebook)
    ids = only
    if ids is None:
        rows = connection.execute("SELECT id FROM account WHERE book_id = %s ORDER BY id", (book_id,))
        ids = [id_ for (id_,) in rows]
    for start in range(0, len(ids), _PART):
        changed.update(hold(connection, ids[start : start + _PART]))
    maybe = connection.execute(MAYBE, {"book": book_id, "only": only}).fetchall()
    _restate(connection, changed, {id_ for (id_,) in maybe})
    return len(changed)


def _restate(connection: psycopg.Connection[Any], changed: set[int], ended: set[int]) -> None:
    """Restate what is in the journal of the changed accounts, or ended early, and those that may have ended early."""
    rows = connection.execute(
        "SELECT account_id FROM account_state WHERE account_id = ANY(%(ids)s)"
        f" UNION SELECT e.account_id FROM account_event e WHERE e.account_id = ANY(%(ids)s) AND {ENDED}",
        {"ids": sorted(changed)},
    )
    ids = sorted({id_ for (id_,) in rows} | ended)
    for start in range(0, len(ids), _CHUNK):
        restate(connection, ids[start : start + _CHUNK])


# ---- ceilings ---------------------------------------------------------------------------------------


def _keep_ceilings(
    connection: psycopg.Connection[Any], book_id: int, only: list[int] | None, rulebook: Rulebook
) -> set[int]:
    """Keep the ceilings of a book's loans; the accounts that may demand something else by them, schedules aside."""
    days = connection.execute(
        "SELECT b.jurisdiction, b.lender_type, d.opened_on, d.product, c.ppm, c.later FROM book b"
        " CROSS JOIN LATERAL (SELECT DISTINCT opened_on, product FROM account WHERE book_id = b.id"
        "  AND (%(only)s::bigint[] IS NULL OR id = ANY(%(only)s))) d"
        " LEFT JOIN ceiling c ON c.book_id = b.id AND c.opened_on = d.opened_on AND c.product = d.product"
        " WHERE b.id = %(id)s",
        {"id": book_id, "only": only},
    ).fetchall()
    moved, now = [], []
    for place, lender_type, opened_on, product, before, later in days:
        ppm, then = _as_kept(lowest_known(rulebook, place, lender_type, opened_on, product), opened_on)
        if (ppm, then) == (before, later or []):
            continue
        figures = (before, ppm, *(each for _, each in (*(later or ()), *then)))
        moved.append((opened_on, product, min((each for each in figures if each is not None), default=0)))
        if ppm is not None or then:
            now.append((book_id, opened_on, ppm, product, Jsonb(then)))
    columns = [list(column) for column in zip(*moved, strict=True)] or [[], [], []]
    changed = " JOIN unnest(%s::date[], %s::text[], %s::bigint[]) AS m (opened_on, product, lowest)"
    connection.execute(
        "DELETE FROM ceiling c USING unnest(%s::date[], %s::text[]) AS m (opened_on, product)"
        " WHERE c.book_id = %s AND c.opened_on = m.opened_on AND c.product = m.product",
        (*columns[:2], book_id),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ceiling (book_id, opened_on, ppm, product, later) VALUES (%s, %s, %s, %s, %s)", now
        )
    # A card has no schedule to cut: its charges are held to the ceiling as they arise (ledger/card.py).
    rows = connection.execute(
        f"SELECT a.id FROM account a{changed} USING (opened_on, product) WHERE a.book_id = %s AND"
        " (a.late_fee_minor > 0 OR a.late_fee_ppm > 0 OR a.penalty_rate_ppm > m.lowest OR EXISTS (SELECT FROM"
        "  account_event e WHERE e.account_id = a.id AND e.kind IN ('rescheduled', 'rate_changed', 'charged'))"
        "  OR EXISTS (SELECT FROM card_terms c WHERE c.account_id = a.id))",
        (*columns, book_id),
    )
    return {id_ for (id_,) in rows}


def _as_kept(steps: Steps, opened_on: date) -> tuple[int | None, list[list[Any]]]:
    """The ceiling of the day of the contract, and those after it, as a row of `ceiling` holds them."""
    first = next((ppm for since, ppm in steps if since == opened_on), None)
    return first, [[str(since), ppm] for since, ppm in steps if since > opened_on]


def hold(connection: psycopg.Connection[Any], account_ids: Sequence[int]) -> list[int]:
    """Write what the ceilings take off the schedules of these accounts; the numbers of those whose schedule changed."""
    changed = set()
    # A loan whose all-in cost is known and no more than its ceiling has nothing to be removed.
    asked = connection.execute(
        "SELECT a.id FROM account a LEFT JOIN ceiling c USING (book_id, opened_on, product), LATERAL (SELECT"
        "  least(c.ppm, (SELECT min((step ->> 1)::bigint) FROM jsonb_array_elements(c.later) step)) AS ppm) low"
        " WHERE a.id = ANY(%s) AND a.product = 'instalment' AND (coalesce(a.all_in_ppm, low.ppm + 1) > low.ppm"
        "  OR EXISTS (SELECT FROM instalment i WHERE i.account_id = a.id AND i.removed_minor > 0)) ORDER BY a.id",
        (list(account_ids),),
    ).fetchall()
    for start in range(0, len(asked), _CHUNK):
        rows = []
        for loan in read(connection, [id_ for (id_,) in asked[start : start + _CHUNK]]).values():
            found = ceiling_of(loan, loan.terms.late.ceilings(loan.terms.opened_on)) if loan.terms else None
            removed = [line.excess for line in found.lines] if found else [0] * len(loan.schedule)
            if removed != list(loan.removed):
                rows += [(loan.id, n, minor) for n, minor in zip(loan.numbers, removed, strict=True)]
                changed.add(loan.id)
        connection.execute(
            "UPDATE instalment i SET removed_minor = r.removed"
            " FROM unnest(%s::bigint[], %s::int[], %s::bigint[]) AS r (id, n, removed)"
            " WHERE i.account_id = r.id AND i.n = r.n AND i.removed_minor <> r.removed",
            [list(column) for column in zip(*rows, strict=True)] or [[]] * 3,
        )
    return sorted(changed)


def ceiling_of(loan: Loan, steps: Steps) -> Capped | None:
    """The contract's schedule held to the ceilings of its days; None where there are none, or it costs no more."""
    if not steps or loan.terms is None:
        return None
    opened_on = loan.terms.opened_on
    if steps[0][0] > opened_on:
        steps = ((opened_on, None), *steps)
    lines = [Part(line.due_on, line.principal, line.interest) for line in loan.contract]
    try:
        return held([(opened_on, loan.terms.principal)], lines, steps)
    except LedgerError:  # no cost can be told of it: a schedule that is not whole, or no loan
        return None


# ---- respites ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Given:
    """A respite that is an event of a loan already, or is to be (no key), by a rule's id."""

    key: str
    on: date
    until: date
    rule: str


#: Of an account `a`: a statutory respite is an event of it.
_FROZEN = (
    "EXISTS (SELECT FROM account_event e WHERE e.account_id = a.id AND e.kind = 'forborne'"
    f" AND coalesce(e.detail ->> 'rule', '') <> '' AND {LIVE})"
)

#: Every respite that any record of the person tells, by its last day, and the day of the newest picture of the person.
_RESPITES = f"""
    SELECT a.id, a.opened_on, p.told, p.newest,
        (SELECT count(*) FROM account_event e WHERE e.account_id = a.id AND coalesce(e.detail ->> 'rule', '') <> ''),
        (SELECT jsonb_agg(jsonb_build_array(e.key, e.value_on, e.detail ->> 'until', e.detail ->> 'rule'))
         FROM account_event e WHERE e.account_id = a.id AND e.kind = 'forborne' AND {LIVE})
    FROM account a JOIN borrower b ON b.id = a.borrower_id,
    LATERAL (SELECT max(each.newest) AS newest, jsonb_agg(jsonb_build_array(each.first, each.until, each.known_on)
                 ORDER BY each.until) FILTER (WHERE each.until IS NOT NULL) AS told
             FROM (SELECT min(o.respite_from) AS first, o.respite_until AS until, min(i.taken_on) AS known_on,
                       max(i.taken_on) AS newest
                   FROM borrower o LEFT JOIN import i ON i.id = o.import_id
                   WHERE coalesce(o.same_as, o.id) = coalesce(b.same_as, b.id) GROUP BY 2) each) p
    WHERE a.book_id = %(book)s AND a.status <> 'sold'
        AND (%(only)s::bigint[] IS NULL OR a.id = ANY(%(only)s))
        AND (coalesce(b.same_as, b.id) IN
                (SELECT coalesce(same_as, id) FROM borrower WHERE respite_until IS NOT NULL) OR {_FROZEN})"""


def _keep_respites(
    connection: psycopg.Connection[Any], book_id: int, only: list[int] | None, rulebook: Rulebook
) -> set[int]:
    """Make each statutory respite on record an event of the person's loans; the accounts that got or changed one.

    One that no record tells any more, before its last day was over, was never given. One that is over stays: a record
    may well be emptied then. A loan that was repaid gets it too, for what was paid for its days is the borrower's.
    """
    (place,) = connection.execute("SELECT jurisdiction FROM book WHERE id = %s", (book_id,)).fetchone() or ("",)
    if not knows_respite(rulebook, place):
        return set()
    rows = []
    found = connection.execute(_RESPITES, {"book": book_id, "only": only})
    for id_, opened_on, told, newest, known, live in found:
        given = [_Given(key, date.fromisoformat(on), date.fromisoformat(end), by) for key, on, end, by in live or ()]
        gone, made = _changes(rulebook, place, opened_on, _read(told), newest, [each for each in given if each.rule])
        for each in gone:
            event = Reversed(f"{each.key}/moved", each.on, event_key(each.key))
            rows.append((id_, event.key, "reversed", event.on, Jsonb(dict(detail(event)))))
        for n, each in enumerate(made, known + 1):
            begun = Forborne(f"respite/{n}/{each.until}", each.on, each.until, freezes=True, rule=each.rule)
            rows.append((id_, begun.key, "forborne", begun.on, Jsonb(dict(detail(begun)))))
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO account_event (account_id, key, kind, value_on, detail) VALUES (%s, %s, %s, %s, %s)", rows
        )
    return {row[0] for row in rows}


#: What a record tells of a respite: its first day, if it does, its last, and the day of the picture that told it first.
_Told = tuple[date | None, date, date | None]


def _read(told: list[list[str | None]] | None) -> list[_Told]:
    days = ([each and date.fromisoformat(each) for each in one] for one in told or ())
    return [(first or None, until, known_on or None) for first, until, known_on in days if until]


def _changes(
    rulebook: Rulebook,
    place: str,
    opened_on: date,
    told: list[_Told],
    newest: date | None,
    given: list[_Given],
) -> tuple[list[_Given], list[_Given]]:
    """What of `given`, the respites that are events of a loan, is to go, and what is to come, by all that is told.

    newest: the day of the newest picture of the person.
    """
    if not told:
        return [each for each in given if newest is not None and each.until >= newest], []
    gone, made = [], []
    for first, until, known_on in told:
        rule = respite_rule(rulebook, place, until)
        if rule is None or until <= opened_on:
            continue
        # What another record tells is not moved by this one: each freezes its own days.
        others = {each for _, each, _ in told if each != until}
        mine = [each for each in given if each.rule == rule.id and each.until not in others and each not in gone]
        if first is not None:
            on, moved = _told(mine, first, until, opened_on)
        else:
            on, moved = _taken(mine, until, opened_on, known_on, _days(rule, until))
        gone += moved
        if on is not None:
            made.append(_Given("", on, until, rule.id))
    return gone, made


def _told(given: list[_Given], first: date, until: date, opened_on: date) -> tuple[date | None, list[_Given]]:
    """From the end of which day a respite whose first day is told freezes a loan, None: it does so already, or never;
    and what of `given`, the respites that do, it takes the place of.

    What was lent on its first day or later was not owed when the person asked for it, and is no debt of it.
    """
    on = first - timedelta(days=1) if opened_on < first else None
    same = [each for each in given if each.until >= first and each.on < until]
    if on is not None and any((each.on, each.until) == (on, until) for each in same):
        return None, []
    return on, same


def _taken(
    given: list[_Given], until: date, opened_on: date, known_on: date | None, days: int
) -> tuple[date | None, list[_Given]]:
    """`_told` of a respite whose last day alone is told.

    It begins as many days before as the rule lets it last, and no later than the day of the picture that tells it (a
    respite for a crisis lasts as long as that does), unless it is on file already: one whose end was moved keeps the
    beginning that it had first.
    """
    # It was in force on the day of the picture that tells it, so that day is one of its days.
    latest = max(known_on - timedelta(days=1), opened_on) if known_on else until
    if any(each.until == until and each.on <= latest for each in given):
        return None, []
    on = max(until - timedelta(days=days), opened_on)
    moved = [each for each in given if each.until >= min(on, latest) and each.on < until]
    return min(min((each.on for each in moved), default=on), latest), moved


def _keep_elsewhere(
    connection: psycopg.Connection[Any], book_id: int, only: list[int] | None, rulebook: Rulebook
) -> set[int]:
    """`_keep_respites` for what the persons with a respite in a book owe in other books, from the same day on."""
    others = connection.execute(
        "SELECT a.book_id, array_agg(a.id) FROM account a JOIN borrower b ON b.id = a.borrower_id"
        " WHERE a.book_id <> %(book)s AND (coalesce(b.same_as, b.id) IN (SELECT coalesce(same_as, id) FROM borrower"
        "  WHERE book_id = %(book)s AND respite_until IS NOT NULL) OR coalesce(b.same_as, b.id) IN (SELECT"
        f"  coalesce(same_as, id) FROM borrower WHERE book_id = %(book)s) AND {_FROZEN})"
        " AND (%(only)s::bigint[] IS NULL OR a.id = ANY(%(only)s)) GROUP BY 1 ORDER BY 1",
        {"book": book_id, "only": only},
    ).fetchall()
    changed = set()
    for other, ids in others:
        changed |= _keep_respites(connection, other, ids, rulebook)
    return changed


def _days(rule: Rule, day: date) -> int:
    cap = at(rule.cap, day)
    assert cap is not None and cap.respite_days is not None
    return cap.respite_days
