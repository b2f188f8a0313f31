"""The `forbear` command. Each subcommand is a thin rim: it reads options, calls one room, prints.

Exit codes: 0 done; 1 the input was wrong (said in one line on stderr); 2 the command was misused;
3 the database is away or full; 4 the import ended with rows in quarantine.
"""

import os
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from forbear import __version__, law_cli
from forbear.errors import ForbearError, WordedError, of_system
from forbear.home import home
from forbear.law_cli import rulebook
from forbear.lazy import add_later
from forbear.locale import N_
from forbear.rulebook.hours import within_reach
from forbear.telling import Lang, UserError, out, say, spoken, told, typed_day

if TYPE_CHECKING:
    from forbear.nightly.explain import Explanation
    from forbear.nightly.report import Summary
    from forbear.nightly.run import Night


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "The life of an overdue consumer loan: each step lawful, fair, effective and provable.\n\n"
        "Exit codes: 0 done; 1 the input was wrong (said in one line); 2 the command was misused; "
        "3 the database is away or full; 4 the import ended with rows in quarantine."
    ),
)
Day = Annotated[
    datetime,
    typer.Option("--as-of", parser=typed_day, metavar="YYYY-MM-DD", help="the local day to decide, YYYY-MM-DD"),
]
#: A day has come somewhere 14 hours before it comes in UTC.
_AHEAD = timedelta(hours=14)


def _version(asked: bool) -> None:
    if asked:
        say(f"forbear {__version__}")
        raise typer.Exit


@app.callback()
def _forbear(
    asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="the version, alone")
    ] = False,
) -> None:
    pass


@app.command()
def nightly(
    as_of: Day,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="take synthetic books in, though a lender's book is on file")
    ] = False,
    lang: Lang = "en",
) -> None:
    """Decide the next step of every account for one day that has begun, and write the decisions."""
    from forbear.intake_cli import say_left_out
    from forbear.nightly.run import nightly as run_night
    from forbear.store.engine import migrate

    if within_reach(as_of.date()) > (datetime.now(UTC) + _AHEAD).date():
        raise UserError(
            N_(
                "%(day)s has not begun: what is done and paid until then is not known. Give today or an earlier day;"
                " what a change of law will do is told by forbear law preview."
            ),
            day=as_of.date(),
        )
    migrate()
    _print_night(run_night(as_of.date(), rulebook(), real_only=not synthetic), lang, real_only=not synthetic)
    if not synthetic:
        say_left_out(lang)


@app.command()
def explain(
    account_ref: Annotated[str, typer.Argument(metavar="ACCOUNT", help="the lender's own number of the account")],
    book_name: Annotated[str | None, typer.Option("--book", help="its book, where several have that number")] = None,
    run_id: Annotated[int | None, typer.Option("--run", help="a run; without it, the newest")] = None,
    lang: Lang = "en",
) -> None:
    """Say in words what was decided for an account, and why nothing milder or harsher was."""
    from forbear.nightly.explain import explain as explained
    from forbear.servicing.find import find
    from forbear.store.engine import engine, migrate
    from forbear.store.errors import one_line

    migrate()
    account_id = find(account_ref, book_name).id
    with one_line(), engine().connect() as connection:
        _print_explanation(explained(connection, account_id, run_id, lang, rulebook()), lang)


app.add_typer(law_cli.law, name="law")
app.command("why")(law_cli.why)
app.command("replay")(law_cli.replay_run)
for _name, _place in {
    "import": "forbear.intake_cli:import_",
    "quarantine": "forbear.intake_cli:quarantine",
    "books": "forbear.intake_cli:books",
    "gate": "forbear.gate_cli:gate",
    "pay": "forbear.servicing.command:pay",
    "pay-file": "forbear.intake.bank_command:pay_file",
    "refund": "forbear.servicing.command:refund",
    "reverse": "forbear.servicing.command:reverse",
    "charge": "forbear.servicing.command:charge",
    "draw": "forbear.servicing.command:draw",
    "waive": "forbear.servicing.command:waive",
    "write-off": "forbear.servicing.command:write_off",
    "grant": "forbear.servicing.command:grant",
    "reschedule": "forbear.servicing.command:reschedule",
    "sell": "forbear.servicing.command:sell",
    "history": "forbear.servicing.command:history",
    "statement": "forbear.statement.command:statement",
    "check-loan": "forbear.check.command:check_loan",
    "synth": "forbear.intake_cli:synth",
}.items():
    add_later(app, _name, _place)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8018,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="also listen for other machines: behind a proxy that has a login")
    ] = False,
    lang: Lang = "en",
) -> None:
    """Serve the console. It has no login yet, so it listens on this machine only, unless told otherwise."""
    from forbear.store.engine import migrate
    from forbear.web import serve as console

    console.end_in_order()
    listening = console.listen(host, port, allow_remote)
    migrate()
    _ = spoken(lang).gettext
    told = _("The console is at %(address)s (it has no login yet; Ctrl-C ends it).")
    say(told % {"address": console.address(listening)})
    console.run(listening, rulebook(), allow_remote)


#: The demo's day: that of the picture of its book.
_DEMO_DAY = date(2018, 6, 30)


@app.command()
def demo(
    serve_it: Annotated[bool, typer.Option("--serve/--no-serve", help="serve the console afterwards")] = True,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8018,
    lang: Lang = "en",
) -> None:
    """Take in 10,000 real loans, decide one night, print it, and serve the console."""
    from forbear import intake_cli
    from forbear.intake.services import demo_book
    from forbear.nightly.run import nightly as run_night
    from forbear.store.engine import migrate

    if not {"FORBEAR_HOME", "FORBEAR_DATABASE_URL"} & os.environ.keys():
        # A place of its own, so that the demo never stands among a lender's own books.
        os.environ["FORBEAR_HOME"] = str(home() / "demo")
    migrate()
    with tempfile.TemporaryDirectory() as folder:
        report = intake_cli.take_in(demo_book(Path(folder)), "lendingclub", lang)
    intake_cli.print_import(report, lang)
    _print_night(run_night(_DEMO_DAY, rulebook()), lang)
    if serve_it:
        serve(port=port, host="127.0.0.1", allow_remote=False, lang=lang)


# ---- printing ---------------------------------------------------------------------------------------


def _print_night(night: "Night", lang: str, real_only: bool = False) -> None:
    from forbear.nightly.report import summary, unrecorded
    from forbear.store.engine import engine
    from forbear.store.errors import one_line

    _, ngettext, count = spoken(lang)
    with one_line(), engine().connect() as connection:
        _print_summary(summary(connection, night.run_id), lang)
        without = unrecorded(connection, night.as_of, real_only)
    for each in without:
        law_cli.say_unrecorded(each, night.as_of, lang)
    done = ngettext(
        "Run %(id)s for %(day)s: %(n)s account decided (read %(read)s s, decide %(decide)s s, write %(write)s s).",
        "Run %(id)s for %(day)s: %(n)s accounts decided (read %(read)s s, decide %(decide)s s, write %(write)s s).",
        night.accounts,
    )
    times = {stage: f"{getattr(night.stages, stage):.1f}" for stage in ("read", "decide", "write")}
    say(done % (times | {"id": night.run_id, "day": law_cli.day_text(night.as_of, lang), "n": count(night.accounts)}))
    if night.again:
        again = _("Unchanged: the same decisions as before, byte for byte. Run %(id)s stands, nothing was written.")
        say(again % {"id": night.run_id})
    say(_("sha256 of the decisions: %(digest)s") % {"digest": night.decisions_sha256})


def _print_summary(found: "Summary", lang: str) -> None:
    from rich.table import Table

    from forbear.nightly.report import BUCKETS

    _, _plural, count = spoken(lang)
    table = Table(title=_("The next step, by days past due"), title_justify="left")
    table.add_column(_("Next step"))
    table.add_column(_("Accounts"), justify="right")
    for bucket in BUCKETS:
        table.add_column(bucket.name[lang], justify="right")
    for step in rulebook().vocabulary.steps.values():
        if step.asked != "night":
            continue
        by_bucket = found.counts.get(step.id, {})
        figures = [sum(by_bucket.values()), *(by_bucket.get(bucket.id, 0) for bucket in BUCKETS)]
        table.add_row(step.name[lang], *(count(n) if n else "·" for n in figures))
    if out.measure(table, options=out.options.update_width(1000)).maximum <= out.width:
        out.print(table)
        return
    # Too narrow for a column a bucket: a line each, so that no figure is cut.
    lines = Table(_("Next step"), _("Days past due"), title=table.title, title_justify="left")
    lines.add_column(_("Accounts"), justify="right")
    for step in rulebook().vocabulary.steps.values():
        name = step.name[lang]
        for bucket in BUCKETS:
            if n := found.counts.get(step.id, {}).get(bucket.id):
                lines.add_row(name, bucket.name[lang], count(n))
                name = ""
    out.print(lines)


def _print_explanation(found: "Explanation", lang: str) -> None:
    from forbear.locale import LANGUAGES
    from forbear.web.format import Formats

    to, _ = Formats(LANGUAGES[lang]), LANGUAGES[lang].catalogue.gettext
    verdicts = {
        "chosen": _("chosen"),
        "permitted": _("allowed, but a milder step goes first"),
        "forbidden": _("not allowed"),
        "unknown": _("can't be told: a fact is missing"),
        "no_hours": _("no lawful hour left on that day"),
    }
    said = {
        "forbids": ("✗", _("forbids")),
        "no_hours": ("✗", _("no lawful hour that day")),
        "unknown": ("?", _("can't tell")),
        "hours": ("✓", _("within its hours")),
        "permits": ("✓", _("does not forbid")),
    }
    origins = {"computed": _("computed"), "derived": _("derived"), "assumed": _("assumed")}
    about = _("%(book)s, account %(ref)s, %(day)s: %(step)s")
    say(about % {"book": found.book, "ref": found.account_ref, "day": to.day(found.as_of), "step": found.step_name})
    if found.synthetic:
        say(_("synthetic: no such person exists"))
    for hours in to.local_hours(found.earliest, found.latest, found.zones, found.as_of):
        say(_("Lawful hours, the borrower's time") + f"{to.colon}{hours.hours} {hours.place}")
    for verdict in found.verdicts:
        if verdict.step == "none" != found.step:
            continue
        say(f"\n{verdict.step_name}{to.colon}{verdicts[verdict.verdict]}")
        for reason in verdict.reasons:
            marks = [_("lender's policy")] if reason.kind == "policy" else []
            marks += [_("in force from %(since)s") % {"since": to.day(reason.in_force_from)}]
            marks += [] if reason.verified else [_("not yet verified")]
            sign, says = said[reason.says]
            cited = to.semicolon.join([f"{reason.instrument}{to.comma}{reason.article}", *marks])
            say(f"  {sign} {says}{to.colon}{reason.text} [{cited}]")
    say(f"\n{_('The facts that were read')}")
    for fact in found.facts:
        how = f"{to.colon}{fact.how_text}" if fact.how_text else ""
        origin = "" if fact.how == "observed" else f"  [{origins[fact.how]}{how}]"
        say(f"  {fact.name}{to.colon}{fact.value}{origin}")


def main() -> None:
    """Run the command; an expected error becomes one line and an exit code, never a traceback."""
    try:
        app()
    except ForbearError as error:
        _end(error)
    except OSError as error:
        if error.filename is None:
            raise
        _end(WordedError(N_("%(path)s: %(why)s. Name another, or mend it."), path=error.filename, why=of_system(error)))


def _end(error: ForbearError) -> NoReturn:
    Console(stderr=True).print(told(error), style="red", markup=False, soft_wrap=True)
    sys.exit(error.exit_code)
