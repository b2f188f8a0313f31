"""The `forbear` command. Each subcommand is a thin rim: it reads options, calls one room, prints.

Exit codes: 0 done; 1 the input was wrong (said in one line on stderr); 2 the command was misused;
3 the database is away or full; 4 the import ended with rows in quarantine.
"""

import os
import sys
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from forbear import gate_cli, intake_cli, law_cli
from forbear.errors import ForbearError
from forbear.intake.services import demo_book
from forbear.law_cli import Lang, find_account, rulebook
from forbear.nightly import explain as explaining
from forbear.nightly.report import BUCKETS, Summary, summary
from forbear.nightly.run import Night
from forbear.nightly.run import nightly as run_night
from forbear.servicing import command as servicing
from forbear.statement.command import statement
from forbear.store.engine import engine, migrate
from forbear.store.errors import one_line
from forbear.store.server import home
from forbear.web import serve as console

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
out = Console()
err = Console(stderr=True)
app.add_typer(law_cli.law, name="law")
app.add_typer(gate_cli.gate, name="gate")
app.command("why")(law_cli.why)
app.command("replay")(law_cli.replay_run)


Day = Annotated[datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="the local day to decide, YYYY-MM-DD")]


@app.command()
def nightly(
    as_of: Day,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="take synthetic books in, though a lender's book is on file")
    ] = False,
    lang: Lang = "en",
) -> None:
    """Decide the next step of every account for one day, and write the decisions."""
    migrate()
    night = run_night(as_of.date(), rulebook(), real_only=not synthetic)
    _print_night(night, lang)
    if not synthetic:
        intake_cli.say_left_out(lang)


@app.command()
def explain(
    account_ref: Annotated[str, typer.Argument(metavar="ACCOUNT", help="the lender's own number of the account")],
    book_name: Annotated[str | None, typer.Option("--book", help="its book, where several have that number")] = None,
    run_id: Annotated[int | None, typer.Option("--run", help="a run; without it, the newest")] = None,
    lang: Lang = "en",
) -> None:
    """Say in words what was decided for an account, and why nothing milder or harsher was."""
    migrate()
    with one_line(), engine().connect() as connection:
        account_id = find_account(connection, account_ref, book_name)
        _print_explanation(explaining.explain(connection, account_id, run_id, lang, rulebook()), lang)


servicing.add_to(app)
app.command()(statement)
intake_cli.add_to(app)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8018,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="also listen for other machines: behind a proxy that has a login")
    ] = False,
) -> None:
    """Serve the console. It has no login yet, so it listens on this machine only, unless told otherwise."""
    listening = console.listen(host, port, allow_remote)
    migrate()
    _say(f"The console is at {console.address(listening)} (it has no login yet; Ctrl-C ends it).")
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
    if not {"FORBEAR_HOME", "FORBEAR_DATABASE_URL"} & os.environ.keys():
        # A place of its own, so that the demo never stands among a lender's own books.
        os.environ["FORBEAR_HOME"] = str(home() / "demo")
    migrate()
    with tempfile.TemporaryDirectory() as folder:
        report = intake_cli.take_in(demo_book(Path(folder)), "lendingclub", lang)
    intake_cli.print_import(report, lang)
    _print_night(run_night(_DEMO_DAY, rulebook()), lang)
    if serve_it:
        serve(port=port, host="127.0.0.1", allow_remote=False)


# ---- printing ---------------------------------------------------------------------------------------


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_night(night: Night, lang: str) -> None:
    with one_line(), engine().connect() as connection:
        _print_summary(summary(connection, night.run_id), lang)
    stages = night.stages
    out.print(
        f"Run {night.run_id} for {night.as_of}: {night.accounts:,} accounts decided"
        f" (read {stages.read:.1f} s, decide {stages.decide:.1f} s, write {stages.write:.1f} s)."
    )
    if night.again:
        out.print(f"The same decisions as before, byte for byte; run {night.run_id} stands, nothing new was written.")
    out.print(f"sha256 of the decisions: {night.decisions_sha256}", soft_wrap=True)


def _print_summary(found: Summary, lang: str) -> None:
    steps = rulebook().vocabulary.steps
    table = Table(title=_TITLE[lang], title_justify="left")
    table.add_column(_STEP[lang])
    table.add_column(_ACCOUNTS[lang], justify="right")
    for bucket in BUCKETS:
        table.add_column(bucket.name[lang], justify="right")
    for step in steps.values():
        if step.asked != "night":
            continue
        by_bucket = found.counts.get(step.id, {})
        figures = [sum(by_bucket.values()), *(by_bucket.get(bucket.id, 0) for bucket in BUCKETS)]
        table.add_row(step.name[lang], *(f"{n:,}" if n else "·" for n in figures))
    out.print(table)


_TITLE = {
    "zh-Hans": "今晚的决定（按逾期天数）",
    "zh-Hant": "今晚的決定（按逾期天數）",
    "en": "Decisions of the night, by days past due",
}
_STEP = {"zh-Hans": "下一步", "zh-Hant": "下一步", "en": "Next step"}
_ACCOUNTS = {"zh-Hans": "账户数", "zh-Hant": "帳戶數", "en": "Accounts"}

#: The words of an explanation: {key: {language: text}}.
_WORDS = {
    "on": {"zh-Hans": "{book} 账户 {ref}，{day}：{step}", "zh-Hant": "{book} 帳戶 {ref}，{day}：{step}",
           "en": "{book}, account {ref}, {day}: {step}"},
    "hours": {"zh-Hans": "合法时段：{span}", "zh-Hant": "合法時段：{span}", "en": "Lawful hours: {span}"},
    "synthetic": {"zh-Hans": "（合成数据，并无此人）", "zh-Hant": "（合成資料，並無此人）",
                  "en": "(synthetic: no such person exists)"},
    "chosen": {"zh-Hans": "选定", "zh-Hant": "選定", "en": "chosen"},
    "permitted": {"zh-Hans": "可行，但有更温和的一步在先", "zh-Hant": "可行，但有更溫和的一步在先",
                  "en": "allowed, but a milder step goes first"},
    "forbidden": {"zh-Hans": "不可", "zh-Hant": "不可", "en": "not allowed"},
    "unknown": {"zh-Hans": "情况不明，须人工判断", "zh-Hant": "情況不明，須人工判斷",
                "en": "not known to be allowed; a person decides"},
    "no_hours": {"zh-Hans": "当日无合法时段", "zh-Hant": "當日無合法時段", "en": "no lawful hour on that day"},
    "unverified": {"zh-Hans": "［条文未核对］", "zh-Hant": "［條文未核對］", "en": "[text not yet verified]"},
    "since": {"zh-Hans": "自 {day} 起", "zh-Hant": "自 {day} 起", "en": "in force from {day}"},
    "policy": {"zh-Hans": "本机构政策", "zh-Hant": "本機構政策", "en": "house policy"},
    "facts": {"zh-Hans": "所依据的事实", "zh-Hant": "所依據的事實", "en": "The facts that were read"},
    "derived": {"zh-Hans": "推算", "zh-Hant": "推算", "en": "derived"},
    "computed": {"zh-Hans": "计算", "zh-Hant": "計算", "en": "computed"},
    "assumed": {"zh-Hans": "假定", "zh-Hant": "假定", "en": "assumed"},
}  # fmt: skip


def _print_explanation(found: explaining.Explanation, lang: str) -> None:
    def say(key: str, **values: object) -> str:
        return _WORDS[key][lang].format(**values)

    def line(text: str) -> None:
        out.print(text, markup=False, highlight=False, soft_wrap=True)

    line(say("on", book=found.book, ref=found.account_ref, day=found.as_of, step=found.step_name))
    if found.synthetic:
        line(say("synthetic"))
    if span := explaining.local_span(found, lang):
        line(say("hours", span=span))
    for verdict in found.verdicts:
        if verdict.step == "none" != found.step:
            continue
        line(f"\n{verdict.step_name}: {say(verdict.verdict)}")
        for reason in verdict.reasons:
            source = f"{reason.instrument} {reason.article}"
            marks = [say("policy")] if reason.kind == "policy" else [say("since", day=reason.in_force_from)]
            marks += [] if reason.verified else [say("unverified")]
            sign = "✓" if reason.says in ("permits", "hours") else "✗"
            line(f"  {sign} {reason.text} ({source}; {'; '.join(marks)})")
    line(f"\n{say('facts')}")
    for fact in found.facts:
        told = f": {fact.how_text}" if fact.how_text else ""
        origin = "" if fact.how == "observed" else f"  [{say(fact.how)}{told}]"
        line(f"  {fact.name}: {fact.value}{origin}")


def main() -> None:
    """Run the command; an expected error becomes one line and an exit code, never a traceback."""
    try:
        app()
    except ForbearError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
