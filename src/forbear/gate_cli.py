"""The commands of the gate: `forbear gate ask|use|outcome`. Thin rims, as in cli.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, get_args
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import typer
from pydantic import TypeAdapter, ValidationError

from forbear.contact import services
from forbear.contact.errors import Misasked, NotUsable
from forbear.contact.misread import misread
from forbear.contact.models import Decision, Number, Outcome, Request
from forbear.errors import WordedError, raise_all
from forbear.law_cli import borrowers_clock, marks, rulebook, say_missing, say_unrecorded, typed_facts
from forbear.locale import N_
from forbear.nightly.report import unrecorded_of
from forbear.nightly.why import missing_of_contact
from forbear.rulebook.book import Rulebook
from forbear.rulebook.cite import citation
from forbear.servicing.find import find
from forbear.store.engine import engine, migrate
from forbear.store.errors import one_line
from forbear.telling import Lang, UserError, say

gate = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Ask for one contact now; use the permission; say how it ended."
)
Id = Annotated[UUID, typer.Argument(metavar="PERMISSION", help="the id that `forbear gate ask` printed")]

_WORDS = {
    "granted": {"zh-Hans": "准许一次，{until}前有效：{id}", "zh-Hant": "准許一次，{until}前有效：{id}",
                "en": "Granted, once, before {until}: {id}"},
    "forbidden": {"zh-Hans": "不准许（请求 {id}）。", "zh-Hant": "不准許（請求 {id}）。",
                  "en": "Refused (request {id})."},
    "untold": {"zh-Hans": "情况不明，不准许（请求 {id}）。", "zh-Hant": "情況不明，不准許（請求 {id}）。",
               "en": "Refused: not known to be allowed (request {id})."},
    "needs_human": {"zh-Hans": "情况不明，须由另一人判断：--decided-by、--reason 与 --overrides {id}。",
                    "zh-Hant": "情況不明，須由另一人判斷：--decided-by、--reason 與 --overrides {id}。",
                    "en": "Not known to be allowed; another person decides: --decided-by, --reason, --overrides {id}."},
    "earliest": {"zh-Hans": "最早合法时间：{at}", "zh-Hant": "最早合法時間：{at}",
                 "en": "Lawful from, if nothing else happens: {at}"},
    "unverified": {"zh-Hans": "；条文未核对", "zh-Hant": "；條文未核對", "en": "; text not yet verified"},
    "used": {"zh-Hans": "已使用；请在联系后报告结果。", "zh-Hant": "已使用；請在聯繫後報告結果。",
             "en": "Used; report how it ended."},
    "reported": {"zh-Hans": "已记录。", "zh-Hant": "已記錄。", "en": "Noted."},
}  # fmt: skip


@gate.command()
def ask(
    account_ref: Annotated[str, typer.Argument(metavar="ACCOUNT", help="the lender's own number of the account")],
    step: Annotated[str, typer.Option("--step", help="call, sms, email, letter, visit …: a step of the vocabulary")],
    by: Annotated[str, typer.Option("--by", help="who asks: a staff number, never a name")],
    to: Annotated[str, typer.Option("--to", help="whom the contact is to reach")] = "debtor",
    fact: Annotated[list[str] | None, typer.Option("--fact", help="a fact of the contact, name=value; repeat")] = None,
    book_name: Annotated[str | None, typer.Option("--book", help="its book, where several have that number")] = None,
    agency: Annotated[str | None, typer.Option("--agency", help="the agency that makes it; else the creditor")] = None,
    text_sha256: Annotated[str | None, typer.Option("--text-sha256", help="of the text that the step sends")] = None,
    decided_by: Annotated[str | None, typer.Option("--decided-by", help="who else decides where a fact lacks")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="why; no name and no number of a person")] = None,
    overrides: Annotated[UUID | None, typer.Option("--overrides", help="the request that was decided on")] = None,
    lang: Lang = "en",
) -> None:
    """Ask for one contact now. Ends with 0 where it is granted, else with 1."""
    migrate()
    book = rulebook()
    account_id = find(account_ref, book_name).id
    wrong: list[WordedError] = []
    given: dict[str, bool | int | str] = {"to_whom": to}
    try:
        given |= typed_facts(book, fact or ())
    except WordedError as error:
        wrong.append(error)
    misasked: dict[str, Misasked] = {}
    try:
        request = Request(
            key=uuid4(), account_id=account_id, step=step, requested_by=by, agency=agency, facts=given,
            text_sha256=text_sha256, decided_by=decided_by, reason=reason, overrides=overrides,
        )  # fmt: skip
    except ValidationError as error:
        misasked |= {each.field: each for each in map(misread, error.errors(include_input=False))}
    for each in services.misworded(book, step, given, text_sha256):
        misasked.setdefault(each.field, each)
    raise_all([each.of(_typed(each.field)) for each in misasked.values()] + wrong)
    with _as_typed():
        answer = services.ask(book, request)
    if answer.permission is not None:
        until = borrowers_clock(answer.permission.expires_at, _zones(answer), lang)
        say(_word("granted", lang, until=until, id=answer.permission.id))
        return
    _say_refusal(book, answer, lang)
    raise typer.Exit(1)


def _say_refusal(book: Rulebook, answer: Decision, lang: str) -> None:
    rules = (book.by_id[rule_id] for rule_id in answer.spoke.get("unknown", ()))
    missing = missing_of_contact(rules, answer.facts, book.vocabulary)
    untold = (
        missing and answer.verdict == "needs_human"
    )  # what the contact will be like, its maker knows: nobody lifts it
    say(_word("untold" if untold else answer.verdict, lang, id=answer.request_id))
    for says in ("forbids", "no_hours", "unknown"):
        for rule_id in answer.spoke.get(says, ()):
            rule = book.by_id[rule_id]
            mark = "" if rule.verified else _word("unverified", lang)
            sign = "?" if says == "unknown" else "✗"
            source = citation(rule.instrument.title[lang], rule.article, lang)
            say(f"  {sign} {rule.text[lang]}{marks(lang).aside.format(source + mark)}")
    if missing:
        say_missing(missing, book, lang)
    if answer.earliest is not None:
        say(_word("earliest", lang, at=borrowers_clock(answer.earliest, _zones(answer), lang)))

    zones = _zones(answer)
    # Where it is two days at once, the later one: a record must reach it.
    day = max(answer.requested_at.astimezone(ZoneInfo(zone)).date() for zone in (zones or "UTC").split("|"))
    with one_line(), engine().connect() as connection:
        against = (book.by_id[rule_id] for says in ("forbids", "unknown") for rule_id in answer.spoke.get(says, ()))
        behind = unrecorded_of(connection, answer.account_id, day, against)
    for each in behind:
        say_unrecorded(each, day, lang)


def _zones(answer: Decision) -> str | None:
    return answer.basis.zones if answer.basis is not None else None


#: What a field of a request is called where it is typed, if not by an option of its own name.
_TYPED = {
    "account_id": "ACCOUNT", "outcome": "OUTCOME", "requested_by": "--by", "facts.to_whom": "--to", "facts": "--fact",
    "body": "--decided-by --reason --overrides",
}  # fmt: skip


def _typed(field: str) -> str:
    """A field of a request by the name of the option that gives it."""
    if field.startswith("facts.") and field not in _TYPED:
        return f"--fact {field.removeprefix('facts.')}"
    return _TYPED.get(field) or "--" + field.replace("_", "-")


@contextmanager
def _as_typed() -> Iterator[None]:
    """What is misasked is told of the option."""
    try:
        yield
    except Misasked as error:
        raise_all([each.of(_typed(each.field)) for each in error.all])


@gate.command()
def use(
    permission: Id,
    account_ref: Annotated[str, typer.Argument(metavar="ACCOUNT", help="the account that is about to be contacted")],
    step: Annotated[str, typer.Option("--step", help="the contact that is about to be made")],
    text_sha256: Annotated[str | None, typer.Option("--text-sha256", help="of the text that is about to go")] = None,
    book_name: Annotated[str | None, typer.Option("--book", help="its book, where several have that number")] = None,
    lang: Lang = "en",
) -> None:
    """Use a permission for exactly what it was given for: the contact is made now, and is on record."""
    migrate()
    book = rulebook()
    account_id = find(account_ref, book_name).id
    try:
        with _as_typed():
            services.use(book, permission, account_id=account_id, step=step, text_sha256=text_sha256)
    except NotUsable as refused:
        if refused.decision is not None:
            _say_refusal(book, refused.decision, lang)
        raise
    say(_word("used", lang))


@gate.command()
def outcome(
    permission: Id, ended: Annotated[str, typer.Argument(metavar="OUTCOME", help=", ".join(get_args(Outcome)))],
    by: Annotated[str, typer.Option("--by", help="who says so: a staff number, never a name")],
    lang: Lang = "en",
) -> None:  # fmt: skip
    """Say how a contact ended."""
    migrate()
    known: dict[str, Outcome] = {word: word for word in get_args(Outcome)}
    if ended not in known:
        raise UserError(N_("%(given)s: no such outcome. Give one of %(known)s."), given=ended, known=", ".join(known))
    try:
        TypeAdapter(Number).validate_python(by)
    except ValidationError:
        raise UserError(
            N_("%(field)s: give a number of letters, digits and ._:-, at most 64; never a name."), field="--by"
        ) from None
    with _as_typed():
        services.report(rulebook(), permission, known[ended], by)
    say(_word("reported", lang))


def _word(key: str, lang: str, **values: object) -> str:
    return _WORDS[key][lang].format(**values)
