"""One contact explained: what the gate would say of it, by the gate's own function, with nothing locked or kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import sqlalchemy as sa

from forbear.contact import reads
from forbear.contact.models import Record, Request
from forbear.contact.services import answers_of, connected, decide, gravest, zones_of
from forbear.locale import N_
from forbear.nightly.errors import NoDecision
from forbear.nightly.report import Unrecorded, unrecorded_of
from forbear.rulebook.answer import Answer
from forbear.rulebook.language import assume, facts_read
from forbear.rulebook.load import Rulebook
from forbear.rulebook.models import Facts, FactValue, Rule, Vocabulary
from forbear.store.engine import engine
from forbear.store.errors import one_line
from forbear.store.tables import account, book

#: Local days to look ahead for the first lawful one.
HORIZON_DAYS = reads.AHEAD_DAYS


@dataclass(frozen=True, slots=True)
class Why:
    """The answer to one contact at an instant, and the first lawful one from then on; None where none was found.

    missing: facts of the contact itself that were not given and without which a rule can't answer. No other day
    would tell them, so none is then looked for. zones: the borrower's, joined by "|". unrecorded: where that
    stands against it, the books of the person's loans whose record of contacts does not reach the day.
    """

    at: datetime
    answer: Answer
    earliest: datetime | None
    currency: str
    zones: str | None
    missing: tuple[str, ...]
    unrecorded: tuple[Unrecorded, ...]


def why(
    account_id: int,
    step: str,
    at: datetime | None,
    given: Mapping[str, FactValue],
    rulebook: Rulebook,
    agency: str | None = None,
) -> Why:
    """What the gate would say of a contact about an account at an aware instant, or (None) now, by its own clock.

    The record is that of today, without what was done after `at`: a request that the gate did answer is replayed
    from what was kept of it (`nightly.history.replay_request`).

    Args:
        given: facts of the contact itself; those left out are unknown, but for to_whom: the debtor.
        agency: who makes the contact, if not who collects the book.

    Raises StoreError, NoDecision for a day before the loan.
    """
    query = sa.select(book.c.currency).join(account, account.c.book_id == book.c.id).where(account.c.id == account_id)
    with one_line(), engine().connect() as connection:
        currency = connection.execute(query).scalar_one()
    with connected() as gate:
        rows = gate.cursor(binary=True).execute(reads.GATHER_AT, {"account_id": account_id, "mine": None, "at": at})
        record = reads.record(rows.fetchall(), account_id)
    assert record is not None, "the account was there just now"
    record = _as_of(record)
    facts = {"to_whom": "debtor"} | {name: value for name, value in given.items() if value is not None}
    # Not a request of anybody's: nothing is kept, so that who asks and what text it is for say nothing.
    request = Request.model_construct(
        key=uuid4(), account_id=account_id, step=step, requested_by="why", agency=agency, facts=facts
    )
    decision = decide(rulebook, request, record)
    answer = gravest(answers_of(rulebook, request, record)[0])
    if answer.compiled.day < record.asked.opened_on:
        raise NoDecision(
            N_("The loan was not yet open on %(day)s. Ask about a day from its opening on."), day=answer.compiled.day
        )
    unknown = (each.rule for each in answer.spoke if each.says == "unknown")
    missing = missing_of_contact(unknown, answer.record, rulebook.vocabulary)
    earliest = record.at if decision.granted else None if missing else decision.earliest
    with one_line(), engine().connect() as connection:
        against = (each.rule for each in answer.spoke if each.says in ("forbids", "unknown"))
        behind = unrecorded_of(connection, account_id, answer.compiled.day, against)
    return Why(record.at, answer, earliest, currency, zones_of(record), missing, behind)


def _as_of(record: Record) -> Record:
    """The record without contacts made, and permissions granted, after its instant."""
    now = record.at.timestamp()
    loans = tuple(x._replace(touches=tuple(t for t in x.touches if t.second <= now)) for x in record.loans)
    asked = next(x for x in loans if x.account_id == record.asked.account_id)
    return record._replace(asked=asked, loans=loans)


def missing_of_contact(unknown: Iterable[Rule], facts: Facts, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The facts of the contact itself, in order, on which the answer of rules that have none still hangs."""
    known = {name: value for name, value in facts.items() if value is not None}
    parts = (part for rule in unknown for part in (rule.scope, rule.forbid, rule.unless) if part)
    hangs = frozenset[str]().union(*(facts_read(assume(part, known)) for part in parts))
    return tuple(fact.id for fact in vocabulary.facts.values() if fact.asked == "gate" and fact.id in hangs)
