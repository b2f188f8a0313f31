"""The `forbear` command. Each subcommand is a thin rim: it reads options, calls one room, prints.

Exit codes: 0 done; 1 the input was wrong (said in one line on stderr); 2 the command was misused;
3 the database is away or full; 4 the import ended with rows in quarantine.
"""

import sys
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
import typer
from rich.console import Console
from rich.table import Table

from forbear.errors import ForbearError
from forbear.nightly import explain as explaining
from forbear.nightly.report import BUCKETS, Summary, summary
from forbear.nightly.run import Night
from forbear.nightly.run import nightly as run_night
from forbear.rulebook.load import Rulebook, load
from forbear.rulebook.models import LANGUAGES
from forbear.store.engine import engine, migrate
from forbear.store.errors import one_line
from forbear.store.server import home
from forbear.store.tables import account, book

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
out = Console()
err = Console(stderr=True)


class UserError(ForbearError):
    """A mistake in what the user gave; the message is one line that names the place and the remedy."""


def _language(given: str) -> str:
    if given not in LANGUAGES:
        raise typer.BadParameter(f"there is no text in {given!r}; the languages are {', '.join(LANGUAGES)}")
    return given


Lang = Annotated[str, typer.Option("--lang", envvar="FORBEAR_LANG", callback=_language, help="zh-Hans, zh-Hant or en")]
Day = Annotated[datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="the local day to decide, YYYY-MM-DD")]


def rulebook() -> Rulebook:
    """The shipped packs and the lender's own under FORBEAR_HOME/packs."""
    own = home() / "packs"
    return load(own) if own.is_dir() else load()


@app.command()
def nightly(as_of: Day, lang: Lang = "en") -> None:
    """Decide the next step of every account for one day, and write the decisions."""
    migrate()
    night = run_night(as_of.date(), rulebook())
    _print_night(night, lang)


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
        account_id = _account(connection, account_ref, book_name)
        _print_explanation(explaining.explain(connection, account_id, run_id, lang, rulebook()), lang)


def _account(connection: sa.Connection, ref: str, book_name: str | None) -> int:
    query = sa.select(account.c.id, book.c.name).join(book, book.c.id == account.c.book_id).where(account.c.ref == ref)
    found = [row for row in connection.execute(query) if book_name in (None, row.name)]
    if not found:
        raise UserError("There is no account of that number. The console's work list shows the numbers on file.")
    if len(found) > 1:
        names = ", ".join(sorted(row.name for row in found))
        raise UserError(f"Several books have an account of that number: add --book, one of {names}.")
    return int(found[0].id)


# ---- printing ---------------------------------------------------------------------------------------


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
        line(f"\n{verdict.step_name}: {say(verdict.verdict)}")
        for reason in verdict.reasons:
            source = f"{reason.instrument} {reason.article}"
            marks = [say("policy")] if reason.kind == "policy" else [say("since", day=reason.in_force_from)]
            marks += [] if reason.verified else [say("unverified")]
            sign = "✓" if reason.says in ("permits", "hours") else "✗"
            line(f"  {sign} {reason.text} ({source}; {'; '.join(marks)})")
    line(f"\n{say('facts')}")
    for fact in found.facts:
        origin = "" if fact.how == "observed" else f"  [{say(fact.how)}: {fact.how_text}]"
        line(f"  {fact.name}: {fact.value}{origin}")


def main() -> None:
    """Run the command; an expected error becomes one line and an exit code, never a traceback."""
    try:
        app()
    except ForbearError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
