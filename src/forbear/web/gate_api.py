"""The gate over HTTP, under /gate: permissions asked for, used, and the end of the contact reported. JSON only.

201 granted; 409 refused by a rule, for a missing fact, or for the state of the permission; 422 a field can't be
taken; 404 no such permission; 503 the database is away, nothing was granted. Addresses hold our own random ids only.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from forbear.contact import services
from forbear.contact.errors import Misasked, NoSuchPermission, NotUsable
from forbear.contact.misread import misread
from forbear.contact.models import Decision, Number, Outcome
from forbear.contact.models import Request as Wanted
from forbear.errors import WordedError
from forbear.locale import N_, negotiate
from forbear.rulebook.book import Rulebook
from forbear.rulebook.cite import cited
from forbear.store.errors import StoreError

Says = Literal["forbids", "unknown", "no_hours", "hours", "permits"]
_AGAINST: tuple[Says, ...] = ("forbids", "no_hours", "unknown")


class Reason(BaseModel):
    """One rule that spoke: against the contact, for want of a fact, or not against it."""

    rule: str
    says: Says
    text: str
    instrument: str
    article: str
    verified: bool


class PermissionOut(BaseModel):
    """Leave for one contact, once, before `expires_at`."""

    id: UUID
    expires_at: datetime


class Answer(BaseModel):
    """The gate's answer. `earliest`: when a refused contact becomes lawful, if nothing else happens; else null."""

    request: UUID
    verdict: Literal["permitted", "forbidden", "needs_human"]
    permission: PermissionOut | None
    earliest: datetime | None
    reasons: list[Reason]
    facts: dict[str, bool | int | str | None]
    asked_at: datetime
    rulebook_sha256: str
    decided_by: str | None


class MadeOut(BaseModel):
    """A contact that is on record from now on; its end is still to be reported."""

    permission: UUID
    account_id: int
    step: str
    at: datetime


class UseIn(BaseModel):
    """What is about to be done: the permission must be for exactly that."""

    model_config = ConfigDict(extra="forbid")

    account_id: int
    step: str
    text_sha256: str | None = None


class OutcomeIn(BaseModel):
    """How a contact ended, and the number of who says so."""

    model_config = ConfigDict(extra="forbid")

    outcome: Outcome
    reported_by: Number


class Wrong(BaseModel):
    """A field that can't be taken, why, and the remedy."""

    field: str
    message: str


class Problem(BaseModel):
    """Why nothing was done: the field or the state, and the remedy; where the contact ceased to be lawful, by what.

    fields: each field that can't be taken; `field` and `message` are the first one's.
    """

    problem: str
    field: str | None = None
    message: str
    fields: list[Wrong] | None = None
    request: UUID | None = None
    reasons: list[Reason] | None = None


def gate_api(rulebook: Rulebook) -> FastAPI:
    """The gate as an application, to be mounted at /gate."""
    app = FastAPI(title="Forbear gate", docs_url=None, redoc_url=None, openapi_url=None)
    problems: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (404, 422, 503)}

    @app.post("/permissions", status_code=201, responses={**problems, 409: {"model": Answer}})
    def ask(wanted: Wanted, accept_language: Annotated[str, Header()] = "") -> JSONResponse:
        """Ask for one contact now."""
        decision = services.ask(rulebook, wanted)
        answer = _answer(rulebook, decision, negotiate(accept_language).tag)
        return JSONResponse(answer.model_dump(mode="json"), 201 if decision.granted else 409)

    @app.post("/permissions/{permission_id}/use", responses={**problems, 409: {"model": Problem}})
    def use(permission_id: UUID, now: UseIn) -> MadeOut:
        """Use a permission, at the moment at which the contact is made."""
        made = services.use(
            rulebook, permission_id, account_id=now.account_id, step=now.step, text_sha256=now.text_sha256
        )
        return MadeOut(permission=made.permission_id, account_id=made.account_id, step=made.step, at=made.at)

    @app.post("/permissions/{permission_id}/outcome", status_code=204, responses={**problems, 409: {"model": Problem}})
    def outcome(permission_id: UUID, told: OutcomeIn) -> None:
        """Report how the contact ended."""
        services.report(rulebook, permission_id, told.outcome, told.reported_by)

    @app.exception_handler(RequestValidationError)
    def _misread(request: Request, error: RequestValidationError) -> JSONResponse:
        found, body = [misread(each) for each in error.errors()], error.body
        if request.scope["endpoint"] is ask and isinstance(body, dict):
            # What can't be read hides nothing of what can.
            found += services.misworded(rulebook, body.get("step"), body.get("facts"), body.get("text_sha256"))
        return _misasked(request, found)

    @app.exception_handler(Misasked)
    def _unknown_words(request: Request, error: Misasked) -> JSONResponse:
        return _misasked(request, error.all)

    @app.exception_handler(NoSuchPermission)
    def _missing(request: Request, error: NoSuchPermission) -> JSONResponse:
        return _problem(404, "no_such_permission", _told(request, error))

    @app.exception_handler(NotUsable)
    def _unusable(request: Request, error: NotUsable) -> JSONResponse:
        lang = negotiate(request.headers.get("accept-language", "")).tag
        said, decision = _told(request, error), error.decision
        if decision is None:
            return _problem(409, error.why, said)
        told = reasons(rulebook, decision.spoke, lang)
        return _problem(409, error.why, said, request=decision.request_id, reasons=told)

    @app.exception_handler(StoreError)
    def _away(request: Request, error: StoreError) -> JSONResponse:
        return _problem(503, "database", _told(request, error))

    @app.exception_handler(HTTPException)
    def _refused(request: Request, error: HTTPException) -> JSONResponse:
        said = WordedError(N_("There is no such address. POST to /gate/permissions: docs/gate.md"))
        return _problem(error.status_code, "no_such_address", _told(request, said))

    @app.exception_handler(Exception)
    def _fault(request: Request, error: Exception) -> JSONResponse:
        said = WordedError(N_("Forbear failed; nothing was granted. Ask again, and tell who runs it."))
        return _problem(500, "fault", _told(request, said))

    return app


def _told(request: Request, error: WordedError) -> str:
    return error.told(negotiate(request.headers.get("accept-language", "")).catalogue.gettext)


def _misasked(request: Request, found: Iterable[Misasked]) -> JSONResponse:
    wrong: dict[str, str] = {}
    for each in found:
        wrong.setdefault(each.field, _told(request, each))  # of a fact, each type that was tried is a fault
    fields = [Wrong(field=field, message=message) for field, message in wrong.items()]
    return _problem(422, "misasked", fields[0].message, fields[0].field, fields=fields)


def _problem(status: int, problem: str, message: str, field: str | None = None, **more: Any) -> JSONResponse:
    told = Problem(problem=problem, field=field, message=message, **more)
    return JSONResponse(told.model_dump(mode="json", exclude_none=True), status)


def _answer(rulebook: Rulebook, decision: Decision, lang: str) -> Answer:
    permission = decision.permission
    return Answer(
        request=decision.request_id,
        verdict=decision.verdict,
        permission=PermissionOut(id=permission.id, expires_at=permission.expires_at) if permission else None,
        earliest=decision.earliest,
        reasons=reasons(rulebook, decision.spoke, lang),
        facts=dict(decision.facts),
        asked_at=decision.requested_at,
        rulebook_sha256=decision.rulebook_sha256,
        decided_by=decision.decided_by,
    )


def reasons(rulebook: Rulebook, spoke: Mapping[str, tuple[str, ...]], lang: str) -> list[Reason]:
    """The rules that spoke, those against the contact first, in a reader's language.

    A key that is asked again may bring an answer by rules that are no longer on file: those keep their id alone.
    """
    found = []
    order: tuple[Says, ...] = (*_AGAINST, "hours", "permits")
    for says in order:
        for rule_id in spoke.get(says, ()):
            rule = rulebook.by_id.get(rule_id)
            found.append(
                Reason(
                    rule=rule_id,
                    says=says,
                    text=rule.text[lang] if rule else "",
                    instrument=rule.instrument.title[lang] if rule else "",
                    article=cited(rule.article, lang) if rule else "",
                    verified=rule.verified if rule else False,
                )
            )
    return found
