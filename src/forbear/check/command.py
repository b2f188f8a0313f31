"""`forbear check-loan`: reads options, a CSV or answers, checks, prints. No lender, no database."""

import json
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from forbear.check.errors import CheckError
from forbear.check.read import Loan, amount, day, from_csv, payments, typed
from forbear.check.render import data, text
from forbear.check.services import METHODS, check
from forbear.check.words import say
from forbear.home import home
from forbear.ledger.cost import Method
from forbear.rulebook.load import Rulebook, load
from forbear.telling import Lang, typed_day


def check_loan(
    file: Annotated[
        Path | None, typer.Argument(help="a CSV with the columns date, kind (received or payment) and amount")
    ] = None,
    principal: Annotated[str | None, typer.Option(help="the sum of the contract")] = None,
    received: Annotated[str | None, typer.Option(help="what reached you, where it was less")] = None,
    opened: Annotated[str | None, typer.Option(help="the day on which it reached you, YYYY-MM-DD")] = None,
    payment: Annotated[
        list[str] | None,
        typer.Option(help="DATE:AMOUNT, or DATE:AMOUNTxN for N monthly payments; may be given many times"),
    ] = None,
    lender_type: Annotated[
        str | None, typer.Option(help="bank, consumer_finance, micro_lender, private or other; leave out if unknown")
    ] = None,
    place: Annotated[str, typer.Option("--jurisdiction", help="whose law: cn, us, ...")] = "cn",
    currency: Annotated[str, typer.Option(help="three letters of ISO 4217")] = "CNY",
    method: Annotated[Method, typer.Option(help="what the ceilings are measured by")] = METHODS[0],
    on: Annotated[
        datetime | None,
        typer.Option(parser=typed_day, metavar="YYYY-MM-DD", help="the day on which you ask; today if left out"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, with the texts in every language")] = False,
    lang: Lang = "en",
) -> None:
    """Check a loan of your own: what it costs a year, which ceilings apply, what is above them. See docs/cost.md."""
    book = rulebook()
    lenders = book.vocabulary.facts["lender_type"].values
    try:
        if lender_type is not None and lender_type not in lenders:
            raise CheckError(
                "no_lender_type", ("option", "--lender-type"), given=lender_type, choices=", ".join(lenders)
            )
        given = {"--principal": principal, "--opened": opened, "--payment": payment}
        if file is not None:
            if any(given.values()) or received:
                raise CheckError("both")
            loan = from_csv(file, currency, place, lender_type)
        elif principal and opened and payment:
            loan = typed(
                principal, opened, payment, received=received, currency=currency, place=place, lender_type=lender_type
            )
        elif any(given.values()) or received:
            raise CheckError("not_given", names=", ".join(name for name, value in given.items() if not value))
        elif sys.stdin.isatty():
            loan = _asked(lang, currency, place, lenders)
        else:
            raise CheckError("nothing_given")
    except CheckError as error:
        typer.secho(error.told(lang), fg="red", err=True)
        raise typer.Exit(error.exit_code) from None
    report = check(loan, book, on.date() if on else date.today(), method)  # noqa: DTZ011 (the asker's own day)
    typer.echo(json.dumps(data(report), ensure_ascii=False, indent=2) if as_json else text(report, lang))


def rulebook() -> Rulebook:
    """The shipped packs and the user's own under FORBEAR_HOME/packs."""
    own = home() / "packs"
    return load(own) if own.is_dir() else load()


def _asked(lang: str, currency: str, place: str, lenders: tuple[str, ...]) -> Loan:
    """A loan asked for at the terminal; a wrong answer is said, and asked for again."""

    def ask(key: str, default: str | None = None, **values: object) -> str:
        answer: str = typer.prompt(say(lang, f"ask.{key}", **values), default=default, show_default=bool(default))
        return answer

    def until(key: str, read: Callable[[str], object], default: str | None = None) -> str:
        while True:
            answer = ask(key, default)
            try:
                read(answer)
            except CheckError as error:
                typer.echo(error.told(lang), err=True)
                continue
            return answer

    contracted = until("principal", lambda given: amount(given, currency, ("option", "--principal")))
    received = until("received", lambda given: amount(given, currency, ("option", "--received")), contracted)
    opened = until("opened", lambda given: day(given, ("option", "--opened")))
    paid: list[str] = []
    while answer := until("payment", lambda given: given and payments([given], currency), ""):
        paid.append(answer)
    choices = ", ".join(lenders)
    while (lender := ask("lender", "", choices=choices)) not in ("", *lenders):
        typer.echo(choices, err=True)
    return typed(
        contracted, opened, paid, received=received, currency=currency, place=place, lender_type=lender or None
    )
