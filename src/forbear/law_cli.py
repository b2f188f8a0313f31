"""The commands that speak of the law: `forbear law …`, `forbear why`, `forbear replay`. Thin rims, as in cli.py."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from babel.dates import format_date

from forbear.errors import WordedError, raise_all
from forbear.home import own_packs
from forbear.locale import LANGUAGES, N_, Marks
from forbear.rulebook.cite import citation
from forbear.rulebook.hours import within_reach
from forbear.rulebook.models import Cap, Dated, Hours, Keep, Rule, Within, at
from forbear.telling import Lang, UserError, say, spoken, told, typed_day

if TYPE_CHECKING:  # each command imports what it uses when it is run
    from forbear.nightly.report import Unrecorded
    from forbear.rulebook.book import Rulebook

Day = Annotated[
    datetime | None,
    typer.Option("--as-of", parser=typed_day, metavar="YYYY-MM-DD", help="the day, YYYY-MM-DD; else today"),
]
Place = Annotated[str | None, typer.Option("--place", help="a place's code, such as cn; else all")]


def rulebook() -> "Rulebook":
    """The shipped packs and the lender's own under FORBEAR_HOME/packs."""
    from forbear.rulebook.load import load

    return load(*own_packs())


#: What the commands say: {key: {language: text}}.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "citation": {"zh-Hans": "当地引称", "zh-Hant": "當地引稱", "en": "cited there as"},
    "in_english": {"zh-Hans": "（英文说明）", "zh-Hant": "（英文說明）", "en": ""},
    "recalled": {"zh-Hans": "凭记忆，未查阅", "zh-Hant": "憑記憶，未查閱", "en": "recalled, not read"},
    "the house": {"zh-Hans": "本机构", "zh-Hant": "本機構", "en": "the house"},
    "force": {"zh-Hans": "施行期间", "zh-Hant": "施行期間", "en": "in force"},
    "since": {"zh-Hans": "{day}起", "zh-Hant": "{day}起", "en": "from {day}"},
    "until": {"zh-Hans": "{day}起，至{end}（不含）", "zh-Hant": "{day}起，至{end}（不含）",
              "en": "from {day} up to, not including, {end}"},
    "governs": {"zh-Hans": "事项", "zh-Hant": "事項", "en": "governs"},
    "steps": {"zh-Hans": "方式", "zh-Hant": "方式", "en": "steps"},
    "lenders": {"zh-Hans": "放贷人类型", "zh-Hant": "放貸人類型", "en": "lenders"},
    "when": {"zh-Hans": "适用于", "zh-Hant": "適用於", "en": "binds where"},
    "forbid": {"zh-Hans": "禁止，若", "zh-Hant": "禁止，若", "en": "forbids where"},
    "unless": {"zh-Hans": "除非", "zh-Hant": "除非", "en": "unless"},
    "hours": {"zh-Hans": "合法时段", "zh-Hant": "合法時段", "en": "lawful hours"},
    "cap": {"zh-Hans": "成本上限", "zh-Hant": "成本上限", "en": "cap"},
    "keep": {"zh-Hans": "留存", "zh-Hant": "留存", "en": "kept"},
    "within": {"zh-Hans": "期限", "zh-Hant": "期限", "en": "deadline"},
    "months": {"zh-Hans": "{after}后 {n} 个月", "zh-Hant": "{after}後 {n} 個月", "en": "{n} months after {after}"},
    "days": {"zh-Hans": "{after}后 {n} 天内：{do}", "zh-Hant": "{after}後 {n} 天內：{do}",
             "en": "{do} within {n} days of {after}"},
    "workdays": {"zh-Hans": "{after}后 {n} 个工作日内：{do}", "zh-Hant": "{after}後 {n} 個工作日內：{do}",
                 "en": "{do} within {n} working days of {after}"},
    "define": {"zh-Hans": "其中", "zh-Hant": "其中", "en": "where"},
    "tightens": {"zh-Hans": "收紧", "zh-Hant": "收緊", "en": "tightens"},
    "source": {"zh-Hans": "来源", "zh-Hant": "來源", "en": "source"},
    "verified": {"zh-Hans": "条文已核对", "zh-Hant": "條文已核對", "en": "text verified"},
    "unverified": {"zh-Hans": "条文未核对", "zh-Hant": "條文未核對", "en": "text not yet verified"},
    "now": {"zh-Hans": "当日有效", "zh-Hant": "當日有效", "en": "in force that day"},
    "policy": {"zh-Hans": "机构政策", "zh-Hant": "機構政策", "en": "policy"},
    "law": {"zh-Hans": "法规", "zh-Hant": "法規", "en": "law"},
    "begins": {"zh-Hans": "施行", "zh-Hant": "施行", "en": "begins"},
    "ends": {"zh-Hans": "失效", "zh-Hant": "失效", "en": "ends"},
    "changes": {"zh-Hans": "变更", "zh-Hant": "變更", "en": "changes"},
    "no_change": {"zh-Hans": "其间没有变更。", "zh-Hant": "其間沒有變更。", "en": "Nothing changes between them."},
    "count": {"zh-Hans": "{day}：{n} 条规则有效，其中 {u} 条条文未核对。",
              "zh-Hant": "{day}：{n} 條規則有效，其中 {u} 條條文未核對。",
              "en": "{day}: {n} rules in force, {u} of them not yet verified."},
    "clean": {"zh-Hans": "未发现问题。", "zh-Hant": "未發現問題。", "en": "No fault found."},
    "permitted": {"zh-Hans": "可以", "zh-Hant": "可以", "en": "permitted"},
    "forbidden": {"zh-Hans": "不可", "zh-Hant": "不可", "en": "forbidden"},
    "needs_human": {"zh-Hans": "情况不明，须人工判断", "zh-Hant": "情況不明，須人工判斷",
                    "en": "not known to be allowed; a person decides"},
    "forbids": {"zh-Hans": "禁止", "zh-Hant": "禁止", "en": "forbids"},
    "unknown": {"zh-Hans": "情况不明", "zh-Hant": "情況不明", "en": "can't be told"},
    "no_hours": {"zh-Hans": "当日无合法时段", "zh-Hant": "當日無合法時段", "en": "no lawful hour that day"},
    "hours_kept": {"zh-Hans": "时段合法", "zh-Hant": "時段合法", "en": "within its hours"},
    "permits": {"zh-Hans": "不禁止", "zh-Hant": "不禁止", "en": "does not forbid"},
    "silent": {"zh-Hans": "另有 {n} 条规则不禁止：加 --all 列出。", "zh-Hant": "另有 {n} 條規則不禁止：加 --all 列出。",
               "en": "Rules that do not forbid it: {n}; --all lists them."},
    "window": {"zh-Hans": "当日合法时段：{hours}", "zh-Hant": "當日合法時段：{hours}",
               "en": "Lawful hours of that day: {hours}"},
    "give": {"zh-Hans": "不知道此次联系本身的下列事实，就无法判断是否合法、何时合法。请补充：",
             "zh-Hant": "不知道此次聯繫本身的下列事實，就無法判斷是否合法、何時合法。請補充：",
             "en": "Whether and when it is lawful can't be told without these facts of the contact itself. Give them:"},
    "earliest": {"zh-Hans": "最早合法时间：{at}", "zh-Hant": "最早合法時間：{at}", "en": "Lawful from: {at}"},
    "not_within": {"zh-Hans": "{n} 天内没有合法时间。", "zh-Hant": "{n} 天內沒有合法時間。",
                   "en": "At no time within {n} days is it lawful, as things stand."},
    "replayed": {"zh-Hans": "批次 {run}（{day}，规则 {sha}{same}）：{n} 项决定重算，{agree} 项一致。",
                 "zh-Hant": "批次 {run}（{day}，規則 {sha}{same}）：{n} 項決定重算，{agree} 項一致。",
                 "en": "Run {run} ({day}, rulebook {sha}{same}): {n} decisions replayed, {agree} agree."},
    "asked_again": {"zh-Hans": "请求 {id}（{at}，规则 {sha}{same}）：{verdict}。",
                    "zh-Hant": "請求 {id}（{at}，規則 {sha}{same}）：{verdict}。",
                    "en": "Request {id} ({at}, rulebook {sha}{same}): {verdict}."},
    "lifted": {"zh-Hans": "由另一人决定准许", "zh-Hant": "由另一人決定准許", "en": "granted as another person decided"},
    "agrees": {"zh-Hans": "与当时的答复及理由一致。", "zh-Hant": "與當時的答覆及理由一致。",
               "en": "The kept answer and its reasons agree."},
    "other_file": {"zh-Hans": "，现行文件已变更", "zh-Hant": "，現行檔案已變更", "en": ", no longer the one on file"},
    "touched": {"zh-Hans": "{day}至{then}：批次 {run} 的 {n} 个账户中，{k} 个会受影响。",
                "zh-Hant": "{day}至{then}：批次 {run} 的 {n} 個帳戶中，{k} 個會受影響。",
                "en": "From {day} to {then}: of the {n} accounts of run {run}, {k} would be touched."},
    "gate_only": {"zh-Hans": "仅准入口核对，下列账户不计", "zh-Hant": "僅准入口核對，下列帳戶不計",
                  "en": "the gate alone asks it: not in the accounts below"},
    "unpublished": {"zh-Hans": "公布值未收录", "zh-Hant": "公布值未收錄", "en": "published value not on file"},
    "more": {"zh-Hans": "……另有 {n} 个。", "zh-Hant": "……另有 {n} 個。", "en": "… and {n} more."},
}  # fmt: skip


def word(key: str, lang: str, **values: object) -> str:
    """A sentence of these commands; days and counts are written as the language has them."""
    told = {name: day_text(value, lang) if isinstance(value, date) else value for name, value in values.items()}
    count = spoken(lang).number
    told |= {name: count(value) for name, value in told.items() if name in _COUNTS and isinstance(value, int)}
    return _WORDS[key][lang].format(**told)


#: The values of these sentences that count something; others are numbers by which something is called.
_COUNTS = frozenset({"n", "u", "k", "agree"})


def marks(lang: str) -> Marks:
    """The punctuation of a language."""
    return LANGUAGES[lang].marks


def day_text(day: date, lang: str) -> str:
    """A day as every page and command writes it (`web.format.Formats.day`, which is not waited for here)."""
    return format_date(day, "medium", LANGUAGES[lang].locale)


def say_unrecorded(each: "Unrecorded", on: date, lang: str) -> None:
    """Say why nobody of a book is contacted to collect on a day that its record of contacts does not reach."""
    say(each.told(LANGUAGES[lang].catalogue.gettext, lambda day: day_text(day, lang), on))


def in_words(name: str, lang: str) -> str:
    """One of the rulebook's identifiers in words."""
    from forbear.locale.words import word as named

    return named(name, lang)


_GOVERNS: Mapping[str, Mapping[str, str]] = {
    "contact": {"zh-Hans": "联系", "zh-Hant": "聯繫", "en": "contact"},
    "content": {"zh-Hans": "内容", "zh-Hant": "內容", "en": "content"},
    "person": {"zh-Hans": "联系对象", "zh-Hant": "聯繫對象", "en": "the person contacted"},
    "visit": {"zh-Hans": "上门", "zh-Hant": "上門", "en": "visit"},
    "cost": {"zh-Hans": "成本", "zh-Hant": "成本", "en": "cost"},
    "record": {"zh-Hans": "记录", "zh-Hant": "紀錄", "en": "record"},
    "deadline": {"zh-Hans": "期限", "zh-Hant": "期限", "en": "deadline"},
}

law = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The law on file: show, compare and check it, and look ahead."
)


@law.command("show")
def show(
    rule_id: Annotated[str | None, typer.Argument(metavar="RULE", help="a rule's id; else all of --place")] = None,
    as_of: Day = None,
    place: Place = None,
    lang: Lang = "en",
) -> None:
    """Print a rule as a page beside its article: text, condition, figures, dates, source, verified or not."""
    found = rulebook()
    day = _day(as_of)
    if rule_id is not None:
        if rule_id not in found.by_id:
            raise UserError(N_("There is no rule %(rule)s. forbear law as-of lists the ids."), rule=repr(rule_id))
        _print_rule(found.by_id[rule_id], found, day, lang)
        return
    for rule in _in_force(found, place, day):
        _print_rule(rule, found, day, lang)
        say()


@law.command("as-of")
def as_of_day(
    day: Annotated[datetime, typer.Argument(parser=typed_day, metavar="YYYY-MM-DD", help="YYYY-MM-DD")],
    place: Place = None,
    lang: Lang = "en",
) -> None:
    """List the rules in force on a day."""
    rules = _in_force(rulebook(), place, _day(day))
    for rule in rules:
        mark = "" if rule.verified else f"  [{word('unverified', lang)}]"
        say(f"{rule.id}  {_cited(rule, lang)}{mark}")
        say(f"    {rule.text[lang]}")
    say(word("count", lang, day=_day(day), n=len(rules), u=sum(not rule.verified for rule in rules)))


@law.command("diff")
def diff(
    first: Annotated[datetime, typer.Argument(parser=typed_day, metavar="YYYY-MM-DD", help="YYYY-MM-DD")],
    last: Annotated[datetime, typer.Argument(parser=typed_day, metavar="YYYY-MM-DD", help="YYYY-MM-DD")],
    place: Place = None,
    lang: Lang = "en",
) -> None:
    """Say what comes in force, ends, or changes a figure after the first day, up to and including the last."""
    from forbear.rulebook.changes import changes

    found = rulebook()
    if last <= first:
        raise UserError(N_("The second day is not after the first. Give the earlier day first."))
    listed = {
        (change.day, change.rule.id): change
        for each in _places(found, place)
        for change in changes(found, each, _day(first), _day(last))
    }
    for change in (listed[key] for key in sorted(listed)):
        cited_at = marks(lang).aside.format(_cited(change.rule, lang)).strip()
        say(f"{day_text(change.day, lang)}  {word(change.what, lang)}  {change.rule.id}  {cited_at}")
        if change.what == "changes":
            eve = change.day - timedelta(days=1)
            before, after = (_figures(change.rule, day, lang, found) for day in (eve, change.day))
            say(f"    {before} → {after}")
        else:
            say(f"    {change.rule.text[lang]}")
    if not listed:
        say(word("no_change", lang))


@law.command("lint")
def lint_packs(
    path: Annotated[Path | None, typer.Argument(help="a pack or a folder of packs; else the lender's own")] = None,
    lang: Lang = "en",
) -> None:
    """Check the shipped packs, and those given or the lender's own: every fault with its file, rule and remedy."""
    from forbear.rulebook.load import lint

    extra = (path,) if path is not None else own_packs()
    faults = lint(*extra)
    for fault in faults:
        say(told(fault))
    if faults:
        raise typer.Exit(1)
    say(word("clean", lang))


@law.command("preview")
def look_ahead(
    as_of: Annotated[
        datetime, typer.Option("--as-of", parser=typed_day, metavar="YYYY-MM-DD", help="a day after the newest run's")
    ],
    most: Annotated[int, typer.Option("--list", min=0, help="how many accounts to list")] = 20,
    lang: Lang = "en",
) -> None:
    """Show which accounts a change of law will touch that comes into force after the newest run, up to a day."""
    from forbear.nightly.history import preview
    from forbear.store.engine import migrate

    migrate()
    found = rulebook()
    seen = preview(_day(as_of), found, most)
    steps, colon = found.vocabulary.steps, marks(lang).colon
    for change in seen.changes:
        facts = found.vocabulary.facts
        gate = change.rule.asked == "gate" or any(facts[name].asked == "gate" for name in change.rule.facts_read())
        mark = f"  [{word('gate_only', lang)}]" if gate else ""
        say(
            f"{day_text(change.day, lang)}  {word(change.what, lang)}  {change.rule.id}{mark}  {change.rule.text[lang]}"
        )
    say(word("touched", lang, day=seen.as_of, then=seen.then, run=seen.run_id, n=seen.decisions, k=seen.touched))
    for (step, then), count in sorted(seen.by_step.items(), key=lambda item: -item[1]):
        say(f"  {steps[step].name[lang]} → {steps[then].name[lang]}{colon}{spoken(lang).number(count)}")
    for each in seen.first:
        hours = f"{_clock(each.hours)} → {_clock(each.hours_then)}" if each.hours != each.hours_then else ""
        turned = f"{steps[each.step].name[lang]} → {steps[each.step_then].name[lang]}"
        say(f"  {each.account_ref}{colon}{turned} {hours}".rstrip())
    if seen.touched > len(seen.first):
        say("  " + word("more", lang, n=seen.touched - len(seen.first)))


def replay_run(
    what: Annotated[
        str, typer.Argument(metavar="RUN|REQUEST", help="a run's number, or that of a request to the gate")
    ],
    lang: Lang = "en",
) -> None:
    """Ask again, by the kept rules over the kept facts: every decision of a run, or one answer of the gate."""
    from forbear.nightly.history import replay_request
    from forbear.store.engine import migrate

    migrate()
    if what.isdecimal():
        _replay_run(int(what), lang)
        return
    try:
        request_id = UUID(what)
    except ValueError:
        raise UserError(
            N_("%(given)s is neither the number of a run nor that of a request, which is a UUID."), given=repr(what)
        ) from None
    done = replay_request(request_id, rulebook())
    same = "" if done.on_file else word("other_file", lang)
    verdict = word(done.anew.verdict, lang) + (
        marks(lang).aside.format(word("lifted", lang)) if done.anew.granted else ""
    )
    verdict = word(done.anew.verdict, lang) if done.anew.verdict == "permitted" else verdict
    at = borrowers_clock(done.requested_at, None, lang)
    say(word("asked_again", lang, id=what, at=at, sha=done.rulebook_sha256[:12], same=same, verdict=verdict))
    for says in ("forbids", "no_hours", "unknown"):
        for rule_id in done.anew.spoke.get(says, ()):
            say(f"  {rule_id}{marks(lang).colon}{word(says, lang)}")
    if not done.agrees:
        differ = _differences(done.kept.spoke, done.anew.spoke, lang) or [
            f"{word(done.kept.verdict, lang)} → {word(done.anew.verdict, lang)}"
        ]
        raise UserError(N_("The answer that was kept differs: %(rules)s."), rules=marks(lang).semicolon.join(differ))
    say(word("agrees", lang))


def _differences(then: Mapping[str, tuple[str, ...]], now: Mapping[str, tuple[str, ...]], lang: str) -> list[str]:
    """Rules that said other things then than they say now, each with both."""
    one, other = ({rule: says for says, rules in spoke.items() for rule in rules} for spoke in (then, now))

    def said(says: str | None) -> str:
        return "–" if says is None else word("hours_kept" if says == "hours" else says, lang)

    return [
        f"{rule}{marks(lang).colon}{said(one.get(rule))} → {said(other.get(rule))}"
        for rule in sorted(one.keys() | other.keys())
        if one.get(rule) != other.get(rule)
    ]


def _replay_run(run_id: int, lang: str) -> None:
    from forbear.nightly.history import replay

    done = replay(run_id, rulebook())
    same = "" if done.on_file else word("other_file", lang)
    sha = done.rulebook_sha256[:12]
    say(word("replayed", lang, run=run_id, day=done.as_of, sha=sha, same=same, n=done.decisions, agree=done.agree))
    if done.differ:
        raise UserError(
            N_("Decisions that differ, by our number of the account: %(accounts)s."),
            accounts=", ".join(map(str, done.differ)),
        )


def why(
    account_ref: Annotated[str, typer.Argument(metavar="ACCOUNT", help="the lender's own number of the account")],
    step: Annotated[str, typer.Option("--step", help="the contact that is asked about, such as call")],
    at: Annotated[str | None, typer.Option("--at", help="an instant with its offset; else now")] = None,
    given: Annotated[list[str] | None, typer.Option("--fact", help="a fact of the contact itself, NAME=VALUE")] = None,
    book_name: Annotated[str | None, typer.Option("--book", help="its book, where several have that number")] = None,
    agency: Annotated[str | None, typer.Option("--agency", help="the agency that makes it; else the creditor")] = None,
    everything: Annotated[bool, typer.Option("--all", help="the rules that do not forbid it, too")] = False,
    lang: Lang = "en",
) -> None:
    """Explain one contact at one instant: what the gate would say, each rule that spoke, and when it is lawful."""
    from forbear.nightly import why as asking
    from forbear.nightly.explain import fact_text
    from forbear.servicing.find import find
    from forbear.store.engine import migrate
    from forbear.web.format import Formats

    found = rulebook()
    moment = _instant(at)
    if step not in found.vocabulary.steps or not found.vocabulary.steps[step].contact:
        names = ", ".join(s.id for s in found.vocabulary.steps.values() if s.contact)
        raise UserError(N_("%(step)s is no contact. It is one of %(known)s."), step=repr(step), known=names)
    facts = typed_facts(found, given or [])
    migrate()
    account_id = find(account_ref, book_name).id
    told = asking.why(account_id, step, moment, facts, found, agency)
    answer, to, zones = told.answer, Formats(LANGUAGES[lang]), told.zones.split("|") if told.zones else []

    def clock(instant: datetime) -> str:
        return borrowers_clock(instant, told.zones, lang)

    say(f"{found.vocabulary.steps[step].name[lang]}{to.comma}{clock(told.at)}{to.colon}{word(answer.verdict, lang)}")
    for each_said in answer.spoke:
        if each_said.says == "permits" and not everything:
            continue
        rule = each_said.rule
        mark = "" if rule.verified else to.semicolon + word("unverified", lang)
        says = word("hours_kept" if each_said.says == "hours" else each_said.says, lang)
        say(f"  {_SIGNS.get(each_said.says, '✓')} {says}{to.colon}{rule.text[lang]}")
        say(f"      {rule.id}  {_cited(rule, lang)}{to.semicolon}{_force(rule, lang)}{mark}")
        for name, value in each_said.read(answer.record).items():
            fact = found.vocabulary.facts[name]
            shown = fact_text(fact, value, told.currency, lang, found.vocabulary.never)
            say(f"      {fact.name[lang]}{to.colon}{shown}")
    silent = sum(each_said.says == "permits" for each_said in answer.spoke)
    if silent and not everything:
        say("  " + word("silent", lang, n=silent))
    if answer.window is not None:
        first, last = answer.window
        spans = to.local_hours(first, last, zones, answer.compiled.day) if first < last else ()
        hours = " / ".join(f"{span.hours} {span.place}" for span in spans) or word("no_hours", lang)
        say(word("window", lang, hours=hours))
    if told.missing:
        say_missing(told.missing, found, lang)
    elif told.earliest is not None:
        say(word("earliest", lang, at=clock(told.earliest)))
    else:
        say(word("not_within", lang, n=asking.HORIZON_DAYS))
    for each in told.unrecorded:
        say_unrecorded(each, answer.compiled.day, lang)


def borrowers_clock(instant: datetime, zones: str | None, lang: str) -> str:
    """An instant on the clock of each zone of a borrower; in UTC, saying so, where none is known."""
    from forbear.web.format import Formats

    to = Formats(LANGUAGES[lang])
    clocks = (to.on_clock(instant, zone) for zone in (zones.split("|") if zones else ()))
    return " / ".join(dict.fromkeys(clocks)) or to.instant(instant)


def say_missing(names: Sequence[str], found: "Rulebook", lang: str) -> None:
    """List the facts of the contact itself that are to be given, as they are typed."""
    say(word("give", lang))
    for name in names:
        fact = found.vocabulary.facts[name]
        may = "|".join(("true", "false") if fact.type == "bool" else fact.values) or "N"
        say(f"  --fact {name}={may}  {fact.name[lang]}")


_SIGNS = {"forbids": "✗", "no_hours": "✗", "unknown": "?"}


# ---- helpers ----------------------------------------------------------------------------------------


def _day(given: datetime | None) -> date:
    return within_reach(given.date()) if given is not None else datetime.now(UTC).date()


def _instant(given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise UserError(
            N_("%(given)s is no instant. Write it as 2026-01-31T09:30:00+08:00."), given=repr(given)
        ) from None
    if moment.tzinfo is None:
        raise UserError(
            N_("%(given)s has no offset from UTC. Write it as 2026-01-31T09:30:00+08:00."), given=repr(given)
        )
    within_reach(moment.date())
    return moment


_YES: Mapping[str, bool] = {"true": True, "yes": True, "false": False, "no": False}


def typed_facts(found: "Rulebook", given: Sequence[str]) -> dict[str, bool | int | str]:
    """Facts of the contact as they were typed. Raises a line for each that can't be taken."""
    facts: dict[str, bool | int | str] = {}
    of_contact = {fact.id: fact for fact in found.vocabulary.facts.values() if fact.asked == "gate"}
    wrong: list[WordedError] = []
    for each in given:
        name, sign, value = each.partition("=")
        fact = of_contact.get(name)
        if not sign or fact is None:
            text = N_("%(given)s is no fact of a contact. Write NAME=VALUE, with one of %(known)s.")
            wrong.append(UserError(text, given=repr(each), known=", ".join(of_contact)))
        elif fact.type == "bool" and value in _YES:
            facts[name] = _YES[value]
        elif fact.type == "enum" and value in fact.values:
            facts[name] = value
        elif fact.type == "int" and value.isdecimal():
            facts[name] = int(value)
        else:
            may = "true, false" if fact.type == "bool" else ", ".join(fact.values) or "0, 1, 2 …"
            wrong.append(UserError(N_("%(given)s: the value is %(known)s."), given=repr(each), known=may))
    raise_all(wrong)
    return facts


def _places(found: "Rulebook", place: str | None) -> list[str]:
    places = sorted({rule.instrument.jurisdiction for rule in found.rules})
    if place is not None and place not in places:
        raise UserError(
            N_("No law of %(place)s is on file. The places are %(known)s."),
            place=repr(place),
            known=", ".join(p for p in places if p != "*"),
        )
    return [place] if place is not None else places


def _in_force(found: "Rulebook", place: str | None, day: date) -> list[Rule]:
    rules = {rule.id: rule for each in _places(found, place) for rule in found.in_force(each, day)}
    return [rules[rule_id] for rule_id in sorted(rules)]


def _cited(rule: Rule, lang: str) -> str:
    return citation(rule.instrument.title[lang], rule.article, lang)


def _force(rule: Rule, lang: str) -> str:
    if rule.until is None:
        return word("since", lang, day=rule.since)
    return word("until", lang, day=rule.since, end=rule.until)


def _clock(hours: tuple[int, int] | None) -> str:
    return "–" if hours is None else "–".join(f"{minute // 60:02}:{minute % 60:02}" for minute in hours)


def _print_rule(rule: Rule, found: "Rulebook", day: date, lang: str) -> None:
    """A rule as a page: what the article says, then what the rulebook reads in it."""
    steps, to = found.vocabulary.steps, marks(lang)
    state = word("verified" if rule.verified else "unverified", lang)
    say(f"{rule.id}  [{word(rule.instrument.kind, lang)}{to.semicolon}{state}]")
    say(f"  {_cited(rule, lang)}")
    say(f"  {rule.text[lang]}")
    if rule.note:
        say(f"  {rule.note[lang]}")
    lines = {"force": _force(rule, lang) + (to.aside.format(word("now", lang)) if rule.in_force(day) else "")}
    lines["governs"] = _GOVERNS[rule.governs][lang]
    if rule.steps:
        lines["steps"] = to.pause.join(step.name[lang] for step in steps.values() if step.id in rule.steps)
    if rule.lenders:
        lines["lenders"] = to.pause.join(in_words(each, lang) for each in rule.lenders)
    lines |= rule.conditions
    for key, text in lines.items():
        say(f"    {word(key, lang)}{to.colon}{text}")
    for define in rule.defines:
        say(f"    {word('define', lang)} {define.id} = {define.condition}{to.colon}{define.text[lang]}")
    for line in _dated(rule, lang):
        say(f"    {line}")
    if rule.tightens:
        say(f"    {word('tightens', lang)}{to.colon}{rule.tightens}")
    say(f"    {word('citation', lang)}{to.colon}{rule.instrument.citation}")
    # Where a text was read is told in the packs' own language alone: said so to a reader of another.
    own = rule.source in ("recalled", "the house")
    name = word("source", lang) + ("" if own else word("in_english", lang))
    say(f"    {name}{to.colon}{word(rule.source, lang) if own else rule.source}")


def _dated(rule: Rule, lang: str) -> list[str]:
    """Each dated figure of a rule, a line each."""
    lines, to = [], marks(lang)
    for key in ("hours", "cap", "keep", "within"):
        entry: Dated[object]
        for entry in getattr(rule, key):
            since = word("since", lang, day=entry.since)
            lines.append(f"{word(key, lang)}{to.comma}{since}{to.colon}{_figure(entry.value, lang)}")
    for name, value in rule.values.items():
        for each in value.general:
            lines.append(f"{name}{to.comma}{word('since', lang, day=each.since)}{to.colon}{each.value}")
        for lender, own in value.by_lender.items():
            whose = name + to.aside.format(in_words(lender, lang))
            lines += [f"{whose}{to.comma}{word('since', lang, day=each.since)}{to.colon}{each.value}" for each in own]
    return lines


def _figures(rule: Rule, day: date, lang: str, found: "Rulebook") -> str:
    """The figures of a rule on a day, in one line; a cap that follows a series with what it then comes to."""
    dated = (at(getattr(rule, key), day) for key in ("hours", "cap", "keep", "within"))
    shown = [_figure(value, lang) for value in dated if value is not None]
    cap = at(rule.cap, day)
    if cap is not None and cap.series is not None and (rate := at(found.series[cap.series].values, day)) is not None:
        known = day <= found.series[cap.series].known_through
        rated = f" = {(cap.times or 0) * rate / 10_000:g}%"
        shown[0] += rated if known else marks(lang).aside.format(word("unpublished", lang))
    for name, value in rule.values.items():
        shown.append(f"{name} = {value.on(day)}")
        shown += [
            f"{name}{marks(lang).aside.format(in_words(lender, lang))} = {value.on(day, lender)}"
            for lender in value.by_lender
        ]
    return marks(lang).pause.join(shown) or "–"


def _figure(value: object, lang: str) -> str:
    match value:
        case Hours(opens=opens, closes=closes):
            return _clock((opens, closes))
        case Cap(ppm=int(ppm)):
            return f"{ppm / 10_000:g}%"
        case Cap(times=times, series=series):
            return f"{times} × {series}"
        case Keep(months=months, after=after):
            return word("months", lang, n=months, after=in_words(after, lang))
        case Within(days=days, after=after, do=do, workdays=workdays):
            told = {"after": in_words(after, lang), "do": in_words(do, lang)}
            return word("workdays" if workdays else "days", lang, n=days, **told)
    raise AssertionError(value)
