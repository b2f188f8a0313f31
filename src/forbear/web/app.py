"""The console's pages: tonight's run, the work list, an account. Read only, on this machine only, no login yet."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException as PageError

from forbear.errors import ForbearError
from forbear.nightly.errors import NoDecision, RulebookChanged
from forbear.nightly.explain import explain, local_span, locale, money
from forbear.nightly.report import BUCKETS
from forbear.rulebook.load import Rulebook
from forbear.store.engine import engine
from forbear.store.errors import StoreError, one_line
from forbear.store.tables import account, decision
from forbear.web import queries
from forbear.web.charts import held_back_chart, steps_chart
from forbear.web.i18n import LOCALES, NAMES, translator, wanted

_HERE = Path(__file__).parent
_COOKIE = "forbear_lang"
#: Scripts and all else come from this host alone, and no script stands in a page. Vega's SVG sets
#: style attributes, hence that one exception.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:;"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def _connection() -> Iterator[sa.Connection]:
    with one_line(), engine().connect() as connection:
        connection.execute(sa.text("SET TRANSACTION READ ONLY"))
        yield connection


Connection = Annotated[sa.Connection, Depends(_connection)]
Number = Annotated[int | None, Query(ge=1)]
#: A form sends an empty text for "all books".
BookNumber = Annotated[str | None, Query(pattern="^[0-9]{0,15}$")]


def console(rulebook: Rulebook) -> FastAPI:
    """The console as an application, with the rulebook by which it explains."""
    app = FastAPI(title="Forbear", docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    templates = Jinja2Templates(directory=_HERE / "templates")
    steps = rulebook.vocabulary.steps

    @app.middleware("http")
    async def _guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers.update(_HEADERS)
        if (asked := request.query_params.get("lang")) in LOCALES:
            response.set_cookie(_COOKIE, str(asked), samesite="lax", httponly=True)
        return response

    def page(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        asked, kept = request.query_params.get("lang"), request.cookies.get(_COOKIE)
        lang = wanted(asked, kept, request.headers.get("accept-language"))
        here = locale(lang)

        def span(row: Any) -> str:
            """The lawful hours by the borrower's clock; the first zone's reading, where there are several."""
            zone = ZoneInfo(row.zones.split("|")[0])
            times = (format_datetime(at, "HH:mm", tzinfo=zone, locale=here) for at in (row.earliest, row.latest))
            return " – ".join(times)

        def address(**changes: object) -> str:
            return str(request.url.include_query_params(**changes).replace(scheme="", netloc=""))

        return templates.TemplateResponse(
            request,
            name,
            {
                "_": translator(lang),
                "lang": lang,
                "names": NAMES,
                "steps": steps,
                "buckets": BUCKETS,
                "rules": rulebook.by_id,
                "money": lambda minor, currency: money(minor, currency, lang),
                "number": lambda n: format_decimal(n, locale=here),
                "day": lambda on: format_date(on, "medium", locale=here),
                "span": span,
                "address": address,
                **values,
            },
            status_code=status,
        )

    def chosen(connection: sa.Connection, run_id: int | None) -> tuple[list[queries.Run], queries.Run | None]:
        found = list(queries.runs(connection))
        if run_id is None:
            return found, found[0] if found else None
        one = next((run for run in found if run.id == run_id), None)
        if one is None:
            raise HTTPException(404)
        return found, one

    @app.get("/")
    def tonight(request: Request, connection: Connection, run: Number = None, book: BookNumber = None) -> HTMLResponse:
        runs, one = chosen(connection, run)
        if one is None:
            return page(request, "empty.html")
        book_id = int(book) if book else None
        counts = queries.counts(connection, one.id, book_id)
        held = queries.held_back(connection, one.id, book_id)
        lang = wanted(
            request.query_params.get("lang"), request.cookies.get(_COOKIE), request.headers.get("accept-language")
        )
        return page(
            request,
            "tonight.html",
            runs=runs,
            run=one,
            books=queries.books(connection),
            book=book_id,
            counts=counts,
            held=held,
            charts={
                "steps": steps_chart(counts, steps, lang, translator(lang)),
                "held": held_back_chart(held, steps, rulebook.by_id, lang, translator(lang)),
            },
        )

    @app.get("/work")
    def work(
        request: Request,
        connection: Connection,
        run: Number = None,
        book: BookNumber = None,
        step: str | None = None,
        bucket: str | None = None,
        after: Annotated[int, Query(ge=0)] = 0,
    ) -> HTMLResponse:
        _, one = chosen(connection, run)
        if one is None:
            return page(request, "empty.html")
        if (step and step not in steps) or (bucket and bucket not in {b.id for b in BUCKETS}):
            raise HTTPException(404)
        book_id = int(book) if book else None
        rows = queries.work_list(connection, one.id, book_id, step or None, bucket or None, after)
        more = rows[-1].account_id if len(rows) == queries.PAGE_ROWS else None
        name = "work_rows.html" if request.headers.get("hx-request") else "work.html"
        books = queries.books(connection)
        return page(
            request,
            name,
            run=one,
            books=books,
            book=book_id,
            step=step,
            bucket=bucket,
            rows=rows,
            more=more,
        )

    @app.get("/accounts/{account_id}")
    def one_account(request: Request, connection: Connection, account_id: int, run: Number = None) -> HTMLResponse:
        lang = wanted(
            request.query_params.get("lang"), request.cookies.get(_COOKIE), request.headers.get("accept-language")
        )
        if connection.execute(sa.select(account.c.id).where(account.c.id == account_id)).first() is None:
            raise HTTPException(404)
        try:
            found = explain(connection, account_id, run, lang, rulebook)
        except NoDecision:
            return page(request, "empty.html")
        except RulebookChanged:
            return page(request, "error.html", status=409, problem="rules")
        currency = connection.execute(
            sa.text("SELECT b.currency FROM book b JOIN account a ON a.book_id = b.id WHERE a.id = :id"),
            {"id": account_id},
        ).scalar_one()
        arrears = connection.execute(
            sa.select(decision.c.arrears, decision.c.owed, decision.c.dpd).where(
                decision.c.account_id == account_id, decision.c.run_id == found.run_id
            )
        ).one()
        return page(
            request,
            "account.html",
            found=found,
            hours=local_span(found, lang),
            currency=currency,
            standing=arrears,
            events=queries.timeline(connection, account_id, found.as_of),
        )

    @app.exception_handler(PageError)
    @app.exception_handler(RequestValidationError)
    def _missing(request: Request, error: Exception) -> HTMLResponse:
        return page(request, "error.html", status=404, problem="missing")

    @app.exception_handler(ForbearError)
    def _away(request: Request, error: ForbearError) -> HTMLResponse:
        return page(request, "error.html", status=503, problem="database" if isinstance(error, StoreError) else "rules")

    return app
