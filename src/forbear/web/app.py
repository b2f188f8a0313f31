"""The console: tonight, the work list, an account, the gate, the law. Read only; a reader's language on every page.

It has no login yet: `forbear.web.serve` keeps it on this machine.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp

from forbear.errors import ForbearError
from forbear.nightly.errors import RulebookChanged
from forbear.nightly.explain import Explanation, FactShown, explain
from forbear.nightly.report import BUCKETS, Bucket, unrecorded
from forbear.rulebook.load import Rulebook
from forbear.servicing.happened import name_of
from forbear.statement.document import Document, arrears_table, document
from forbear.statement.errors import NoFont, StatementError
from forbear.statement.render import pdf
from forbear.statement.services import Statement, arrears, statement
from forbear.store.errors import StoreError
from forbear.web import charts, gate_reads, reads
from forbear.web.gate_api import gate_api
from forbear.web.gate_pages import gate_pages
from forbear.web.guard import LOOPBACK, Guard, form
from forbear.web.law import law_pages
from forbear.web.pages import NO_DAY, Pages, day_of
from forbear.web.reads import Filter, Origin, Place, Run
from forbear.web.summary import OUTCOMES, Held, Outcome, grid, held_back, matching, outcomes
from forbear.web.timeline import timeline

_HERE = Path(__file__).parent
#: Lines of a page of the work list.
PAGE_LINES = 50
#: Requests to the gate in an account's timeline; all of them are a click away.
TIMELINE_REQUESTS = 200
#: Longest account number that the search box takes, in bytes of its form.
_MOST_BYTES = 2_000
#: The parameters of an address that are days.
_DAYS = frozenset({"on", "as_of", "pay_on"})

# A number that PostgreSQL can hold; an empty choice of a form is the text "".
Number = Annotated[int, InPath(ge=1, le=2**63 - 1)]
Choice = Annotated[str, Query(pattern=r"^[0-9]{0,18}$")]
Word = Annotated[str, Query(pattern=r"^[a-z0-9_-]{0,40}$")]
Day = Annotated[str, Query(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]
After = Annotated[str, Query(pattern=r"^([0-9]{1,9}\.[0-9]{1,18})?$")]


def console(rulebook: Rulebook, hosts: tuple[str, ...] = LOOPBACK) -> ASGIApp:
    """The console as an application.

    Args:
        rulebook: the rules by which decisions are explained.
        hosts: the names under which it answers.
    """
    app = FastAPI(title="Forbear", docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=_HERE / "static"))
    app.mount("/gate", gate_api(rulebook))
    pages = Pages(rulebook)
    steps = rulebook.vocabulary.steps
    quiet = [step.id for step in steps.values() if not step.contact]
    contact = [step.id for step in steps.values() if step.contact and step.asked == "night"]

    @app.get("/")
    def tonight(request: Request, run: Choice = "", book: Choice = "") -> HTMLResponse:
        """One run in figures."""
        with reads.reading() as connection:
            runs, books, chosen = reads.runs(connection), reads.books(connection), _run(connection, run)
            without = unrecorded(connection, chosen.as_of) if chosen else []
        if chosen is None:
            return pages.render(request, "empty.html", books=books)
        one = next((b for b in books if str(b.id) == book), None)
        if book and one is None:
            raise HTTPException(404)
        counted = reads.tally(chosen)
        tally = counted.of_book(one.id if one else None)
        shown = [b for b in ([one] if one else books) if b.id in counted.books]
        to, _ = pages.formats(request), pages.gettext(request)
        parts = outcomes(tally, rulebook.vocabulary, len(BUCKETS))
        counts = grid(tally)
        held = held_back(tally, rulebook.vocabulary)
        names: Mapping[Outcome, str] = {
            "contact": _("To contact"),
            "hold": _("On hardship hold"),
            "left_alone": _("Past due, no contact"),
            "not_due": _("Nothing past due"),
        }

        def label(line: Held) -> str:
            rule = rulebook.by_id.get(line.rule)
            words = to.text(rule.text) if rule else line.rule
            missing = _("a fact is missing")
            return f"{words} [{missing}]" if line.says == "unknown" else words

        return pages.render(
            request,
            "tonight.html",
            run=chosen,
            runs=runs if chosen in runs else (chosen, *runs),
            books=books,
            book=one,
            synthetic=[b for b in shown if b.synthetic],
            without=[each.told(_, to.day, chosen.as_of) for each in without if each.book in {b.name for b in shown}],
            parts=parts,
            sums={outcome: sum(part[outcome] for part in parts) for outcome in OUTCOMES},
            outcome_names=names,
            counts=counts,
            held=held,
            bars=charts.MOST_BARS,
            charts={
                "steps": charts.steps_chart(counts, rulebook.vocabulary, to, _),
                "arrears": charts.arrears_chart(parts, names, to),
                "held": charts.held_chart(held, label, _),
            },
        )

    @app.get("/work")
    def work(
        request: Request,
        run: Choice = "",
        book: Choice = "",
        step: Word = "",
        bucket: Word = "",
        jurisdiction: Word = "",
        after: After = "",
    ) -> HTMLResponse:
        """The accounts with a contact step."""
        span = _bucket(bucket)
        if step and step not in contact:
            raise HTTPException(404)
        only = Filter(int(book) if book else None, jurisdiction or None, span, step or None)
        with reads.reading() as connection:
            books, chosen = reads.books(connection), _run(connection, run)
            if chosen is None:
                return pages.render(request, "empty.html", books=books)
            # One line more than is shown tells whether there is a next page.
            found = reads.work(connection, chosen, quiet, only, _place(after), PAGE_LINES + 1)
        lines = found[:PAGE_LINES]
        chosen_words = {"run": run, "book": book, "step": step, "bucket": bucket, "jurisdiction": jurisdiction}
        more = None
        if len(found) > PAGE_LINES:
            last = lines[-1].place
            words = {name: word for name, word in chosen_words.items() if word}
            more = "/work?" + urlencode(words | {"after": f"{last.dpd}.{last.account_id}"})
        if request.headers.get("hx-request") == "true" and after:
            return pages.render(request, "work_lines.html", run=chosen, lines=lines, more=more)
        tally = reads.tally(chosen)
        place_of_bucket = BUCKETS.index(span) if span else None
        return pages.render(
            request,
            "work.html",
            run=chosen,
            books=[b for b in books if b.id in tally.books],
            jurisdictions=tally.jurisdictions,
            contact_steps=contact,
            only=chosen_words,
            total=matching(tally, [step] if step else contact, only.book, only.jurisdiction, place_of_bucket),
            lines=lines,
            more=more,
            later=bool(after),
        )

    @app.get("/accounts/{account_id}")
    def account(request: Request, account_id: Number, run: Choice = "") -> HTMLResponse:
        """One account: what was decided, why, and what came before."""
        found: Explanation | None = None
        changed = False
        with reads.reading() as connection:
            one = reads.account(connection, account_id)
            if one is None:
                raise HTTPException(404)
            history = reads.history(connection, account_id)
            origins = reads.origins(connection, account_id)
            plain = connection.connection.driver_connection
            assert plain is not None
            past_due = arrears(plain, account_id, reads.today(connection, account_id))
            mine = gate_reads.Filter(account=account_id)
            asked, _ = gate_reads.asked(connection, gate_reads.now(connection), mine, None, TIMELINE_REQUESTS)
            decided = next((d for d in history.decided if run in ("", str(d.run_id))), None)
            if run and decided is None:
                raise HTTPException(404)
            if decided:
                try:
                    found = explain(connection, account_id, decided.run_id, pages.language(request).tag, rulebook)
                except RulebookChanged:
                    changed = True
        return pages.render(
            request,
            "account.html",
            account=one,
            decided=decided,
            newest=history.decided[:1] == (decided,),
            found=found,
            changed=changed,
            against_all=_against_all(found, contact),
            kinds=_kinds(origins),
            fact_groups=_fact_groups(found.facts, origins) if found else (),
            asked=bool(asked),
            happened_name=lambda each: name_of(each, pages.gettext(request), pages.formats(request).day),
            timeline=timeline(history, asked, decided.as_of if decided else None),
            arrears=arrears_table(past_due, pages.language(request)) if past_due else None,
        )

    def worked_out(request: Request, account_id: int, as_of: str, pay_on: str) -> tuple[Statement, Document]:
        with reads.reading() as connection:
            if reads.account(connection, account_id) is None:
                raise HTTPException(404)
            day = day_of(as_of) or reads.today(connection, account_id)
            plain = connection.connection.driver_connection
            assert plain is not None
            found = statement(plain, account_id, day, max(day_of(pay_on) or day, day), rulebook)
        return found, document(found, pages.language(request))

    @app.get("/accounts/{account_id}/statement")
    def statement_page(request: Request, account_id: Number, as_of: Day = "", pay_on: Day = "") -> HTMLResponse:
        """What an account owes, line by line, and what it would owe on a day of the reader's choice."""
        try:
            found, told = worked_out(request, account_id, as_of, pay_on)
        except StatementError:
            return pages.render(request, "error.html", status=404, problem="statement")
        return pages.render(request, "statement.html", found=found, told=told)

    @app.get("/accounts/{account_id}/statement.pdf")
    def statement_pdf(request: Request, account_id: Number, as_of: Day = "", pay_on: Day = "") -> Response:
        """The same as a PDF."""
        try:
            _, told = worked_out(request, account_id, as_of, pay_on)
        except StatementError:
            return pages.render(request, "error.html", status=404, problem="statement")
        try:
            made = pdf(told)
        except NoFont:
            return pages.render(request, "error.html", status=503, problem="font")
        name = {"Content-Disposition": 'inline; filename="statement.pdf"'}
        return Response(made, media_type="application/pdf", headers=name)

    @app.post("/find")
    async def find(request: Request) -> Any:
        """The account with a lender's number. By POST, so that the number is in no address and no log."""
        given = (await form(request, _MOST_BYTES)).get("ref", "").strip()
        found = await run_in_threadpool(_called, given)
        if len(found) == 1:
            return RedirectResponse(f"/accounts/{found[0].id}", status_code=303)
        return pages.render(request, "found.html", given=given, found=found, status=200 if found else 404)

    app.include_router(gate_pages(rulebook, pages))
    app.include_router(law_pages(rulebook, pages))

    @app.exception_handler(StarletteHTTPException)
    def _refused(request: Request, error: StarletteHTTPException) -> HTMLResponse:
        problem = "day" if error.detail == NO_DAY else "missing"
        return pages.render(request, "error.html", status=error.status_code, problem=problem)

    @app.exception_handler(RequestValidationError)
    def _misread(request: Request, error: RequestValidationError) -> HTMLResponse:
        of_day = {each["loc"][-1] for each in error.errors()} <= _DAYS
        return pages.render(request, "error.html", status=404, problem="day" if of_day else "missing")

    @app.exception_handler(StoreError)
    def _away(request: Request, error: StoreError) -> HTMLResponse:
        return pages.render(request, "error.html", status=503, problem="database")

    @app.exception_handler(ForbearError)
    @app.exception_handler(Exception)
    def _fault(request: Request, error: Exception) -> HTMLResponse:
        return pages.render(request, "error.html", status=500, problem="fault")

    return Guard(app, hosts)


def _run(connection: Any, given: str) -> Run | None:
    """The run asked for, or tonight's. A number that no run has is an address that no page has."""
    found = reads.run(connection, int(given) if given else None)
    if given and found is None:
        raise HTTPException(404)
    return found


def _called(ref: str) -> tuple[reads.Account, ...]:
    with reads.reading() as connection:
        return reads.accounts_called(connection, ref)


def _bucket(given: str) -> Bucket | None:
    if not given:
        return None
    for bucket in BUCKETS:
        if bucket.id == given:
            return bucket
    raise HTTPException(404)


def _place(after: str) -> Place | None:
    if not after:
        return None
    dpd, _, account_id = after.partition(".")
    return Place(int(dpd), int(account_id))


def _against_all(found: Explanation | None, contact: list[str]) -> frozenset[str]:
    """The rules that stand against every step that would reach out, where no such step was taken."""
    if found is None or found.step in contact:
        return frozenset()
    against = [
        {reason.rule_id for reason in verdict.reasons if reason.says not in ("permits", "hours")}
        for verdict in found.verdicts
        if verdict.step in contact
    ]
    return frozenset(set.intersection(*against)) if against else frozenset()


def _kinds(origins: Sequence[Origin]) -> dict[str, list[str]]:
    """For each fact that is not observed, how it came to be: derived, assumed, or both."""
    kinds: dict[str, list[str]] = {}
    for origin in origins:
        for fact in origin.facts:
            if origin.kind not in kinds.setdefault(fact, []):
                kinds[fact].append(origin.kind)
    return kinds


def _fact_groups(
    facts: Sequence[FactShown], origins: Sequence[Origin]
) -> list[tuple[tuple[Origin, ...], list[FactShown]]]:
    """The facts observed, then those that rest on the same sentences of the mapping, under these sentences."""
    groups: dict[tuple[int, ...], list[FactShown]] = {(): []}
    for fact in facts:
        groups.setdefault(tuple(k for k, origin in enumerate(origins) if fact.id in origin.facts), []).append(fact)
    return [(tuple(origins[k] for k in key), group) for key, group in groups.items() if group]
