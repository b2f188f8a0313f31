"""One contact explained: the facts of its account on a local day, as a night would have them, and the answer."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from forbear.nightly.errors import NoDecision
from forbear.nightly.run import facts_of, read_borrower
from forbear.rulebook.answer import Answer
from forbear.rulebook.compile import compile_for
from forbear.rulebook.earliest import earliest_lawful, local_date
from forbear.rulebook.load import Rulebook
from forbear.rulebook.models import FactValue, Hours, Vocabulary
from forbear.store.engine import engine
from forbear.store.errors import one_line
from forbear.store.tables import account, book, borrower

#: Local days to look ahead for the first lawful one.
HORIZON_DAYS = 62


@dataclass(frozen=True, slots=True)
class Why:
    """The answer to one contact, and the first lawful instant from then on; None where none was found.

    missing: facts of the contact itself that were not given and without which a rule can't answer. No other day
    would tell them, so none is then looked for. zones: the borrower's, joined by "|".
    """

    answer: Answer
    earliest: datetime | None
    currency: str
    zones: str | None
    missing: tuple[str, ...]


def why(account_id: int, step: str, at: datetime, given: Mapping[str, FactValue], rulebook: Rulebook) -> Why:
    """What the gate's rules say of a contact about an account at an aware instant.

    Args:
        given: facts of the contact itself; those left out are unknown, but for to_whom: the debtor.

    Raises StoreError, NoDecision for a day before the loan. The facts of later days take it that nothing else
    happens until then.
    """
    query = (
        sa.select(borrower.c.id, borrower.c.zones, book.c.jurisdiction, book.c.currency)
        .select_from(account)
        .join(borrower, borrower.c.id == account.c.borrower_id)
        .join(book, book.c.id == account.c.book_id)
        .where(account.c.id == account_id)
    )
    with one_line(), engine().connect() as connection:
        borrower_id, zones, jurisdiction, currency = connection.execute(query).one()
    today = local_date(zones, at)
    read = read_borrower(borrower_id, at, today, HORIZON_DAYS)
    contact = {f.id: given.get(f.id) for f in rulebook.vocabulary.facts.values() if f.asked == "gate"}
    contact["to_whom"] = given.get("to_whom", "debtor")

    @functools.cache
    def row_on(day: date) -> dict[str, Any]:
        row = next((row for row in facts_of(read, day, rulebook) if row["account_id"] == account_id), None)
        if row is None:
            raise NoDecision(f"The loan was not yet open on {day}. Ask about a day from its opening on.")
        return row

    def facts_on(day: date) -> dict[str, FactValue]:
        return {**row_on(day), **contact}

    first = row_on(today)
    agreed = None if first["agreed_from_min"] is None else Hours(first["agreed_from_min"], first["agreed_to_min"])
    place = zones if first["place_known"] else None
    answer = compile_for(rulebook, jurisdiction, today, "gate").answer(step, facts_on(today), at, place, agreed)
    missing = _missing(answer, rulebook.vocabulary)
    earliest = None
    if not missing:
        earliest = earliest_lawful(rulebook, jurisdiction, step, facts_on, at, place, agreed, HORIZON_DAYS)
    return Why(answer, earliest, currency, place, missing)


def _missing(answer: Answer, vocabulary: Vocabulary) -> tuple[str, ...]:
    read = [spoken.facts for spoken in answer.spoke if spoken.says == "unknown"]
    gate = [fact.id for fact in vocabulary.facts.values() if fact.asked == "gate"]
    return tuple(name for name in gate if any(facts.get(name, False) is None for facts in read))
