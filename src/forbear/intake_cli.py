"""The commands that take books in: `forbear import`, `quarantine …`, `books …`, `synth`. Thin rims, as in cli.py."""

from collections.abc import Callable
from datetime import datetime, time
from pathlib import Path
from typing import Annotated

import typer

from forbear.intake.assumed import SENTENCES
from forbear.intake.books import books as books_on_file
from forbear.intake.books import remove
from forbear.intake.models import Refused, columns_of, told
from forbear.intake.services import Kept, Report, drop, import_book, mend, nothing_waits, quarantined
from forbear.store.engine import copy_connection, migrate
from forbear.store.errors import one_line
from forbear.synth.draw import DEFAULT_AS_OF, MAX_ACCOUNTS, Request
from forbear.synth.parameters import jurisdictions, parameters
from forbear.synth.write import write as write_synthetic
from forbear.telling import Lang, UserError, counting, say, spoken, typed_day

quarantine = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Rows that were kept aside, and how to settle them."
)
books = typer.Typer(no_args_is_help=True, add_completion=False, help="The books on file.")
KeptId = Annotated[
    int, typer.Argument(metavar="ID", help="the ID that its line in `forbear quarantine list` begins with")
]
Gettext = Callable[[str], str]


# ---- import -----------------------------------------------------------------------------------------


def import_(
    file: Annotated[Path, typer.Argument(help="a CSV or Parquet file, or a folder in Forbear's own format")],
    mapping: Annotated[str, typer.Option("--mapping", help="a shipped mapping's name, or a mapping file")],
    lang: Lang = "en",
) -> None:
    """Take a loan book in. Bad rows are kept aside: see `forbear quarantine list`."""
    migrate()
    print_import(take_in(file, mapping, lang), lang)


def take_in(file: Path, mapping: str, lang: str) -> Report:
    """Take a book in behind a progress bar."""
    _ = spoken(lang).gettext
    with counting(_("rows")) as progress:
        return import_book(file, mapping, progress)


_ENCODINGS = {"utf-8-sig": "UTF-8", "gb18030": "GB18030", "parquet": "Parquet"}


def print_import(report: Report, lang: str) -> None:
    """What was taken in, in words. Ends with 4 where rows were kept aside."""
    _, ngettext, count = spoken(lang)
    if report.again:
        say(_("%(book)s: this file was taken in before by this mapping; nothing was changed.") % {"book": report.book})
    else:
        read = ngettext(
            "%(book)s: %(n)s row read (%(encodings)s), %(bad)s kept aside.",
            "%(book)s: %(n)s rows read (%(encodings)s), %(bad)s kept aside.",
            report.rows,
        )
        encodings = ", ".join(_ENCODINGS[each] for each in report.encodings)
        told = {"book": report.book, "encodings": encodings, "bad": count(report.bad)}
        say(read % (told | {"n": count(report.rows)}))
    if report.older:
        older = ngettext(
            "%(n)s row changed nothing: a newer file has told of it.",
            "%(n)s rows changed nothing: a newer file has told of them.",
            report.older,
        )
        say(older % {"n": count(report.older)})
    if report.recorded_until is None:
        say(
            _(
                "Borrowers, loans, payments and contacts were not all taken in yet, so nobody is contacted. A heading"
                " alone says that there is nothing to tell."
            )
        )
    else:
        until = _("The book is on record until %(day)s: nights of later days contact nobody.")
        say(until % {"day": report.recorded_until})
    for table, column in report.assumed:
        say(_(SENTENCES[column]) % {"table": table, "column": column})
    if report.without_schedule:
        without = ngettext(
            "%(n)s open loan has no instalment on file: what it owes is not known yet.",
            "%(n)s open loans have no instalment on file: what they owe is not known yet.",
            report.without_schedule,
        )
        say(without % {"n": count(report.without_schedule)})
    if report.bad:
        say(_("Good rows were kept. See what waits: forbear quarantine list"))
        raise typer.Exit(4)


# ---- quarantine -------------------------------------------------------------------------------------


@quarantine.command("list")
def quarantine_list(lang: Lang = "en") -> None:
    """List what waits: row, field, reason and remedy, a line for each field; what a waiting loan holds, under it."""
    migrate()
    _ = spoken(lang).gettext
    if not (waiting := _waiting()):
        say(_("Nothing waits in quarantine."))
    for kept in waiting:
        say(("  " if kept.follows else "") + _line(kept, _))


@quarantine.command("show")
def quarantine_show(kept_id: KeptId, lang: Lang = "en") -> None:
    """Show why a row waits, as the list does, and the row itself. It may hold personal data."""
    migrate()
    _ = spoken(lang).gettext
    kept = next((kept for kept in _waiting() if kept.id == kept_id), None)
    if kept is None:
        raise nothing_waits(kept_id)
    say(_line(kept, _))
    if not kept.row:
        say(_("The row could not be read: it has more or fewer fields than the heading."))
    order = columns_of(kept.table)  # the database keeps no order of a row's fields
    for name in sorted(kept.row, key=lambda name: order.index(name) if name in order else len(order)):
        say(f"{name} = {kept.row[name]}")


def _waiting() -> list[Kept]:
    with one_line(), copy_connection() as connection:
        return quarantined(connection)


@quarantine.command("mend")
def quarantine_mend(
    kept_id: KeptId,
    changes: Annotated[list[str] | None, typer.Argument(metavar="[FIELD=VALUE]...", help="what to change")] = None,
    lang: Lang = "en",
) -> None:
    """Take a row in again, with fields changed or as it is; where it is still wrong, nothing of it is kept."""
    migrate()
    _ = spoken(lang).gettext
    pairs = [change.partition("=") for change in changes or ()]
    if any(not sign for _name, sign, _value in pairs):
        raise UserError(_("Write each change as field=value."))
    if still := mend(kept_id, {name: value for name, _sign, value in pairs}):
        raise UserError("\n".join(f"{bad.refused.field}{_told(bad.refused, _)}" for bad in still))
    say(_("Taken in."))


@quarantine.command("drop")
def quarantine_drop(kept_id: KeptId, lang: Lang = "en") -> None:
    """Leave a row out for good: what is on file without it stands."""
    migrate()
    _ = spoken(lang).gettext
    drop(kept_id)
    say(_("Dropped."))


def _line(kept: Kept, _: Gettext) -> str:
    """A row that waits: its number, its book, table, row and field, why, and what to do."""
    # A row that can't be read has no field of its own.
    field = _("row") if kept.field == "row" and not kept.row else kept.field
    place = {"book": kept.book, "table": kept.table, "row": kept.row_number, "field": field}
    at_row = _("%(book)s, %(table)s row %(row)s, %(field)s")
    at = at_row if kept.row_number > 0 else _("%(book)s, %(table)s on file, %(field)s")
    return f"{kept.id}: {at % place}{_told(kept, _)}"


def _told(refused: Refused | Kept, gettext: Gettext) -> str:
    """What is said of a field, behind its name."""
    reason, remedy = told(refused.reason, gettext), told(refused.remedy, gettext)
    return f": {reason}. {remedy}" if reason == refused.reason else f"：{reason}。{remedy}"


# ---- books ------------------------------------------------------------------------------------------


@books.command("list")
def books_list(lang: Lang = "en") -> None:
    """List the books on file: loans, rows kept aside, and until when contacts are on record."""
    migrate()
    _, ngettext, count = spoken(lang)
    with one_line(), copy_connection() as connection:
        found = books_on_file(connection)
    if not found:
        say(_("No book is on file."))
    for each in found:
        loans = ngettext("%(n)s loan", "%(n)s loans", each.loans) % {"n": count(each.loans)}
        bad = ngettext("%(n)s row kept aside", "%(n)s rows kept aside", each.kept_aside) % {"n": count(each.kept_aside)}
        line = _("%(book)s (%(place)s): %(loans)s, %(bad)s, on record until %(day)s")
        told = {"loans": loans, "bad": bad, "day": each.recorded_until or _("no day")}
        say(line % {"book": each.name, "place": each.jurisdiction, **told})
        if each.synthetic:
            say("  " + _("Synthetic: no such person exists."))


@books.command("remove")
def books_remove(
    name: Annotated[str, typer.Argument(metavar="BOOK", help="a synthetic book")], lang: Lang = "en"
) -> None:
    """Remove a synthetic book of which no decision and no other record speaks."""
    migrate()
    _ = spoken(lang).gettext
    remove(name)
    say(_("%(book)s was removed.") % {"book": name})


def say_left_out(lang: str) -> None:
    """Name the synthetic books that a night leaves out, since a lender's book is on file."""
    _ = spoken(lang).gettext
    with one_line(), copy_connection() as connection:
        found = books_on_file(connection)
        if not all(each.synthetic for each in found):
            for each in found:
                if each.synthetic:
                    say(_("%(book)s is synthetic and was left out; --synthetic takes it in.") % {"book": each.name})


# ---- synth ------------------------------------------------------------------------------------------

_SYNTH_DAY = datetime.combine(DEFAULT_AS_OF, time())


def synth(
    accounts: Annotated[int, typer.Option("--accounts", min=1, max=MAX_ACCOUNTS, help="how many loans")],
    jurisdiction: Annotated[str, typer.Option("--jurisdiction", help=f"one of {', '.join(jurisdictions())}")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="the same seed gives the same rows")],
    as_of: Annotated[
        datetime,
        typer.Option(
            "--as-of", parser=typed_day, metavar="YYYY-MM-DD", help="the book as it stands at the start of this day"
        ),
    ] = _SYNTH_DAY,
    name: Annotated[str | None, typer.Option("--name", help="the book's name; 'synthetic-' goes before it")] = None,
    lender_type: Annotated[str | None, typer.Option("--lender-type", help="who lends; else the place's usual")] = None,
    collector: Annotated[str | None, typer.Option("--collector", help="creditor or agency")] = None,
    lang: Lang = "en",
) -> None:
    """Draw a synthetic book of any size: for scale only, no real borrower. See docs/synthetic-books.md."""
    _, _plural, count = spoken(lang)
    request = Request(accounts, seed, as_of.date(), parameters(jurisdiction))
    migrate()
    with counting(_("accounts"), transient=False) as progress:
        done = write_synthetic(
            request, name, lender_type, collector, progress=lambda written: progress(written, accounts)
        )
    if done.again:
        say(_("%(book)s is there already, drawn by the same options; nothing was changed.") % {"book": done.name})
        return
    told = _(
        "%(book)s (synthetic, no real borrower): borrowers %(borrower)s, loans %(account)s, instalments %(instalment)s,"
        " payments %(payment)s, contacts %(contact)s"
    )
    say(told % {"book": done.name, **{table: count(rows) for table, rows in done.rows.items()}})
