"""The gate's pages: what it was asked and answered, what is outstanding, one request whole and asked again."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from forbear.contact.replay import Again
from forbear.nightly.errors import NoDecision, RulebookChanged
from forbear.nightly.explain import fact_text
from forbear.nightly.history import kept, replayed
from forbear.rulebook.answer import Says, Spoken, Verdict
from forbear.rulebook.load import Rulebook
from forbear.rulebook.models import FactValue
from forbear.web import gate_reads, reads
from forbear.web.gate_reads import STATES, VERDICTS, Filter, Place, State, Whole
from forbear.web.pages import Pages, day_of

#: Lines of a page of requests.
PAGE_LINES = 50
#: What rules can say, those against the contact first.
_SAYS: tuple[Says, ...] = ("forbids", "no_hours", "unknown", "hours", "permits")

Number = Annotated[str, Query(pattern=r"^([1-9][0-9]{0,17})?$")]
Word = Annotated[str, Query(pattern=r"^[a-z0-9_-]{0,40}$")]
Day = Annotated[str, Query(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]
After = Annotated[str, Query(pattern=r"^([0-9T:.+-]{19,32}_[0-9a-f-]{36})?$")]


def gate_pages(book: Rulebook, pages: Pages) -> APIRouter:
    """The pages under /requests, explained by the rulebook of each answer, else by its ids alone."""
    router = APIRouter()
    contact = [step.id for step in book.vocabulary.steps.values() if step.contact]

    @router.get("/requests")
    def requests(
        request: Request,
        on: Day = "",
        account: Number = "",
        step: Word = "",
        verdict: Literal["", Verdict] = "",
        state: Literal["", State] = "",
        after: After = "",
    ) -> HTMLResponse:
        """What the gate was asked, newest first."""
        if step and step not in contact:
            raise HTTPException(404)
        with reads.reading() as connection:
            at = gate_reads.now(connection)
            day = day_of(on)
            if not (day or account or state == "outstanding"):
                # A day is the borrower's: ahead of UTC's clock it may have begun, and have been asked about.
                day = at.date()
                begun, _ = gate_reads.asked(connection, at, Filter(day + timedelta(days=1)), None, 1)
                day += timedelta(days=len(begun))
            about = reads.account(connection, int(account)) if account else None
            if account and about is None:
                raise HTTPException(404)
            only = Filter(day, int(account) if account else None, step or None, verdict or None, state or None)
            # One line more than is shown tells whether there is a next page.
            found, counted = gate_reads.asked(connection, at, only, _place(after), PAGE_LINES + 1)
        chosen = {
            "on": day.isoformat() if day else "",
            "account": account,
            "step": step,
            "verdict": verdict,
            "state": state,
        }
        more = None
        if len(found) > PAGE_LINES:
            last = found[PAGE_LINES - 1].place
            words = {name: word for name, word in chosen.items() if word}
            more = "/requests?" + urlencode(words | {"after": f"{last.at.isoformat()}_{last.id}"})
        return pages.render(
            request,
            "requests.html",
            day=day,
            about=about,
            only=chosen,
            contact_steps=contact,
            verdicts=VERDICTS,
            states=STATES,
            counted=counted,
            lines=found[:PAGE_LINES],
            more=more,
            later=bool(after),
        )

    @router.get("/requests/{request_id}")
    def one(request: Request, request_id: UUID) -> HTMLResponse:
        """One request: its answer, the rules that spoke, the facts, the answer asked again, the permission."""
        with reads.reading() as connection:
            whole = gate_reads.one(connection, request_id)
            if whole is None:
                raise HTTPException(404)
            rules = _rules(connection, whole, book)
            again = _again(connection, request_id, book)
        tag, by = pages.language(request).tag, rules or book
        facts = by.vocabulary.facts

        def written(name: str, value: FactValue) -> str:
            return fact_text(facts[name], value, whole.currency, tag, by.vocabulary.never)

        return pages.render(
            request,
            "request.html",
            whole=whole,
            line=whole.line,
            spoke=_spoke(rules, whole) if rules else None,
            by_id=whole.line.spoke,
            says=_SAYS,
            facts=facts,
            written=written,
            again=again,
            differs=_differs(again) if again else (),
        )

    return router


def _rules(connection: sa.Connection, whole: Whole, on_file: Rulebook) -> Rulebook | None:
    """The rules by which it was answered; None where they were not kept."""
    try:
        return kept(connection, whole.rulebook_sha256, on_file)
    except RulebookChanged:
        return None


def _again(connection: sa.Connection, request: UUID, on_file: Rulebook) -> Again | None:
    """The same request answered again by its own rules; None where what that takes was not kept."""
    try:
        return replayed(connection, request, on_file)
    except (NoDecision, RulebookChanged):
        return None


def _spoke(rules: Rulebook, whole: Whole) -> list[Spoken]:
    """Each rule that spoke, those against the contact first."""
    return [Spoken(rules.by_id[rule], says) for says in _SAYS for rule in whole.line.spoke.get(says, ())]


def _differs(again: Again) -> list[tuple[str, str | None, str | None]]:
    """The rules of which it was said otherwise: what was said, and what is said anew; None: it did not speak."""
    then, anew = ({rule: says for says, ids in said.spoke.items() for rule in ids} for said in (again.kept, again.anew))
    return [
        (rule, then.get(rule), anew.get(rule))
        for rule in sorted(then.keys() | anew.keys())
        if then.get(rule) != anew.get(rule)
    ]


def _place(after: str) -> Place | None:
    if not after:
        return None
    at, _, request = after.partition("_")
    try:
        found = Place(datetime.fromisoformat(at), UUID(request))
    except ValueError:
        raise HTTPException(404) from None
    if found.at.tzinfo is None:
        raise HTTPException(404)
    return found
