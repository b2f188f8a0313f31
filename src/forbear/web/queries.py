"""What the console asks of the database: figures of a run, the work list, an account's timeline. Read only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from forbear.nightly.report import BUCKETS, bucket_of
from forbear.store.tables import account, book, contact, decision, finding, instalment, payment, run

PAGE_ROWS = 50
#: What a decision shares with its entry in the run's dictionary of findings.
_FINDING_KEY = ("jurisdiction", "forbids", "unknown", "no_hours")


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as the pages name it."""

    id: int
    as_of: date
    accounts: int
    finished_at: datetime
    sha256: str


def runs(connection: sa.Connection) -> Sequence[Run]:
    """The newest runs first."""
    query = (
        sa.select(run.c.id, run.c.as_of, run.c.accounts, run.c.finished_at, run.c.decisions_sha256)
        .order_by(run.c.id.desc())
        .limit(50)
    )
    return [Run(*row) for row in connection.execute(query)]


def books(connection: sa.Connection) -> Sequence[Any]:
    """Every book: id, name, jurisdiction, synthetic."""
    return connection.execute(
        sa.select(book.c.id, book.c.name, book.c.jurisdiction, book.c.synthetic).order_by(book.c.name)
    ).all()


def _of_book(query: Any, book_id: int | None) -> Any:
    """Narrow a query of decisions to one book."""
    if book_id is None:
        return query
    return query.join(account, account.c.id == decision.c.account_id).where(account.c.book_id == book_id)


def counts(connection: sa.Connection, run_id: int, book_id: int | None) -> dict[tuple[str, str], int]:
    """{(step, bucket): accounts}."""
    bucket = bucket_of(decision.c.dpd).label("bucket")
    query = sa.select(decision.c.step, bucket, sa.func.count()).where(decision.c.run_id == run_id)
    rows = connection.execute(_of_book(query, book_id).group_by(decision.c.step, bucket))
    return {(step, name): n for step, name, n in rows}


def held_back(connection: sa.Connection, run_id: int, book_id: int | None) -> list[tuple[str, str, int]]:
    """(step, rule, accounts past due that the rule kept from the step), most first.

    Counted for accounts in arrears that got no contact: the rules that stood between them and each step.
    """
    grouped = (
        sa.select(
            decision.c.jurisdiction,
            decision.c.forbids,
            decision.c.unknown,
            decision.c.no_hours,
            sa.func.count().label("n"),
        )
        .where(decision.c.run_id == run_id, decision.c.dpd > 0, decision.c.step.in_(("none", "hardship_hold")))
        .group_by(decision.c.jurisdiction, decision.c.forbids, decision.c.unknown, decision.c.no_hours)
    )
    inner = _of_book(grouped, book_id).subquery()
    same = sa.and_(finding.c.run_id == run_id, *(finding.c[name] == inner.c[name] for name in _FINDING_KEY))
    totals: dict[tuple[str, str], int] = {}
    for reasons, n in connection.execute(sa.select(finding.c.reasons, inner.c.n).join_from(inner, finding, same)):
        for step, lines in reasons.items():
            for line in lines:
                totals[step, line["rule"]] = totals.get((step, line["rule"]), 0) + n
    return sorted(((*key, n) for key, n in totals.items()), key=lambda row: (-row[2], row[0], row[1]))


def work_list(
    connection: sa.Connection, run_id: int, book_id: int | None, step: str | None, bucket: str | None, after: int
) -> Sequence[Any]:
    """A page of the accounts with a contact step, in the order of their numbers, behind `after`."""
    query = (
        sa.select(
            decision.c.account_id,
            account.c.ref,
            decision.c.step,
            decision.c.dpd,
            decision.c.arrears,
            decision.c.earliest,
            decision.c.latest,
            decision.c.zones,
            book.c.name.label("book"),
            book.c.currency,
            book.c.synthetic,
        )
        .join_from(decision, account, account.c.id == decision.c.account_id)
        .join(book, book.c.id == account.c.book_id)
        .where(decision.c.run_id == run_id, decision.c.account_id > after, decision.c.earliest.is_not(None))
        .order_by(decision.c.account_id)
        .limit(PAGE_ROWS)
    )
    if book_id is not None:
        query = query.where(account.c.book_id == book_id)
    if step:
        query = query.where(decision.c.step == step)
    if bucket:
        span = next(b for b in BUCKETS if b.id == bucket)
        query = query.where(decision.c.dpd >= span.least)
        if span.most is not None:
            query = query.where(decision.c.dpd <= span.most)
    return connection.execute(query).all()


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an account's timeline; `minor` is an amount, `detail` a word of the vocabulary."""

    on: date
    kind: str  # due | payment | contact | decision
    minor: int | None
    detail: str | None
    outcome: str | None = None


def timeline(connection: sa.Connection, account_id: int, until: date) -> list[Event]:
    """What happened about an account up to `until`, the newest first; due dates of the month ahead too."""
    ahead = sa.literal(until, sa.Date) + 31
    events = [
        Event(row.due_on, "due", row.amount, None)
        for row in connection.execute(
            sa.select(
                instalment.c.due_on, (instalment.c.principal_minor + instalment.c.interest_minor).label("amount")
            ).where(instalment.c.account_id == account_id, instalment.c.due_on <= ahead)
        )
    ]
    paid = sa.select(payment.c.paid_on, payment.c.amount_minor).where(payment.c.account_id == account_id)
    events += [Event(on, "payment", amount, None) for on, amount in connection.execute(paid)]
    done = sa.select(contact.c.at, contact.c.step, contact.c.outcome).where(contact.c.account_id == account_id)
    events += [Event(at.date(), "contact", None, step, end) for at, step, end in connection.execute(done)]
    decided = (
        sa.select(run.c.as_of, decision.c.step)
        .join(run, run.c.id == decision.c.run_id)
        .where(decision.c.account_id == account_id)
    )
    events += [Event(on, "decision", None, step) for on, step in connection.execute(decided)]
    return sorted(events, key=lambda event: event.on, reverse=True)
