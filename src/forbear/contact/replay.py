"""An answer of the gate asked again: by the rules that were kept with it, over what was kept of the record. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from forbear.contact.facts import zones_or_all
from forbear.contact.services import days_of, gravest, may_be_lifted
from forbear.rulebook.answer import Verdict
from forbear.rulebook.book import Rulebook
from forbear.rulebook.compile import compile_for
from forbear.rulebook.models import Facts, Hours

#: What is kept of a request and its answer.
ANSWERED = """
    SELECT step, requested_at, verdict, spoke, facts, rulebook_sha256, jurisdiction, zones, agreed_from_min,
           agreed_to_min, coalesce(other_days, '{}') AS other_days,
           expires_at IS NOT NULL AS granted, decided_by IS NOT NULL AS lifted
    FROM gate_request WHERE id = :id"""


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict, whether the contact was granted, and for each word what rules said it, in order."""

    verdict: Verdict
    granted: bool
    spoke: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Again:
    """A request answered again: what was kept, and what the rules say anew of the same facts."""

    request_id: UUID
    requested_at: datetime
    step: str
    rulebook_sha256: str
    on_file: bool  # is that rulebook still the one on file?
    kept: Said
    anew: Said

    @property
    def agrees(self) -> bool:
        """The same verdict, for the same reasons?"""
        return self.kept == self.anew


def said(row: Any) -> Said:
    """What was answered, as a row of ANSWERED keeps it."""
    return Said(row.verdict, row.granted, {says: tuple(ids) for says, ids in row.spoke.items()})


def again(book: Rulebook, row: Any) -> Said:
    """What the rules of `book` say of the facts that a row of ANSWERED keeps: nothing of its answer is read.

    Where a second person had lifted it, the question is whether that was theirs to lift.
    """
    days = days_of(zones_or_all(row.zones, row.jurisdiction), row.requested_at)
    other: dict[str, Facts] = row.other_days
    agreed = None if row.agreed_from_min is None else Hours(row.agreed_from_min, row.agreed_to_min)
    answers = [
        compile_for(book, row.jurisdiction, day, "gate").answer(
            row.step, other.get(day.isoformat(), row.facts), row.requested_at, row.zones, agreed
        )
        for day in days
    ]
    answer = gravest(answers)
    lifted = row.lifted and all(a.verdict == "permitted" or may_be_lifted(book, a) for a in answers)
    granted = answer.verdict == "permitted" or (lifted and answer.verdict == "needs_human")
    return Said(answer.verdict, granted, dict(answer.said.ids))
