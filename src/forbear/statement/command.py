"""`forbear statement`: reads options, works the statement out, prints it or writes the PDF."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from forbear.errors import of_system
from forbear.home import own_packs
from forbear.locale import LANGUAGES, N_
from forbear.rulebook.load import load
from forbear.servicing.find import find
from forbear.statement.document import document
from forbear.statement.errors import StatementError
from forbear.statement.render import pdf as pdf_of
from forbear.statement.render import text
from forbear.statement.services import statement as work_out
from forbear.store.engine import copy_connection, migrate
from forbear.store.errors import one_line
from forbear.telling import Lang

_DAY = ["%Y-%m-%d"]


def statement(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="the lender's own number of the account")],
    as_of: Annotated[datetime | None, typer.Option("--as-of", formats=_DAY, help="today if left out")] = None,
    pay_on: Annotated[
        datetime | None, typer.Option("--pay-on", formats=_DAY, help="what would be owed if it were paid on that day")
    ] = None,
    pdf: Annotated[Path | None, typer.Option("--pdf", help="write a PDF there instead of text")] = None,
    book: Annotated[str | None, typer.Option("--book", help="its book, where several have that number")] = None,
    lang: Lang = "en",
) -> None:
    """What an account owes: each line with its formula and article, what a ceiling removed, what paying later costs."""
    migrate()
    _tell(account, book, as_of, pay_on, pdf, lang)


def _tell(
    account: str, book: str | None, as_of: datetime | None, pay_on: datetime | None, pdf: Path | None, lang: str
) -> None:
    found = find(account, book)
    day: date = as_of.date() if as_of else found.today()
    then = pay_on.date() if pay_on else day
    with one_line(), copy_connection() as connection:
        told = work_out(connection, found.id, day, then, load(*own_packs()))
    words = document(told, LANGUAGES[lang])
    if pdf is None:
        typer.echo(text(words))
        return
    made = pdf_of(words)
    try:
        pdf.write_bytes(made)
    except OSError as error:
        raise StatementError(
            N_("%(path)s: can't be written (%(why)s). Name a file in a folder of yours."),
            path=pdf,
            why=of_system(error),
        ) from error
    typer.echo(str(pdf))
