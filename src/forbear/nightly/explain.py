"""A decision in words, out of what its run wrote: the step, its hours, each other step and why not.

The rules are asked again, one case at a time, with the facts that the run kept; an answer that differs
from the run's bits is an error, never shown (the batch and the single case have one meaning).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import sqlalchemy as sa
from babel import Locale
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_precision

from forbear.ledger import card
from forbear.ledger.filed import CARD
from forbear.ledger.models import CardTerms, LedgerError
from forbear.locale import LANGUAGES, N_
from forbear.locale.words import word
from forbear.nightly.errors import NoDecision
from forbear.nightly.facts import RECORDED
from forbear.nightly.history import as_asked, kept, run_on_file
from forbear.nightly.report import NEWEST_FIRST
from forbear.rulebook.cite import cited
from forbear.rulebook.compile import Compiled
from forbear.rulebook.load import Rulebook
from forbear.rulebook.models import Fact, FactValue, Hours, Rule
from forbear.servicing.loan import read
from forbear.store.tables import account, book, decision, derivation, run
from forbear.strategy.ladder import permitted

Said = Literal["forbids", "unknown", "no_hours", "hours", "permits"]
VerdictWord = Literal["chosen", "permitted", "forbidden", "unknown", "no_hours"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that spoke on a step. `text` is the rule's paraphrase in the language asked for."""

    rule_id: str
    says: Said
    text: str
    instrument: str
    article: str
    kind: Literal["law", "policy"]
    verified: bool
    in_force_from: date
    in_force_to: date | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one step; `permitted` means that it was allowed, but a milder one goes first."""

    step: str
    step_name: str
    verdict: VerdictWord
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class FactShown:
    """One fact that the rules read, as text, and `how` it came to be.

    observed: it stands in the lender's record; computed: by us, from that record; derived or assumed: by the book's
    mapping, which says how in `how_text`.
    """

    id: str
    name: str
    value: str
    how: Literal["observed", "computed", "derived", "assumed"]
    how_text: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision in one language. `earliest` and `latest` are aware UTC instants, None for no contact."""

    account_id: int
    account_ref: str
    book: str
    synthetic: bool
    run_id: int
    as_of: date
    jurisdiction: str
    step: str
    step_name: str
    earliest: datetime | None
    latest: datetime | None
    zones: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    facts: tuple[FactShown, ...]


def explain(
    connection: sa.Connection, account_id: int, run_id: int | None, lang: str, rulebook: Rulebook
) -> Explanation:
    """The decision for an account in a run (None: that of the newest day), in `lang` (zh-Hans, zh-Hant or en).

    The rules are those of the run, though others be on file now. Raises NoDecision, and RulebookChanged
    where they were not kept.
    """
    query = (
        sa.select(
            decision,
            run.c.as_of,
            run.c.rulebook_sha256,
            run.c.rule_bits,
            account.c.ref,
            account.c.derived,
            account.c.book_id,
            account.c.product,
            book.c.name.label("book_name"),
            book.c.synthetic,
            book.c.currency,
        )
        .join(run, run.c.id == decision.c.run_id)
        .join(account, account.c.id == decision.c.account_id)
        .join(book, book.c.id == account.c.book_id)
        .where(decision.c.account_id == account_id)
        .order_by(*NEWEST_FIRST)
        .limit(1)
    )
    if run_id is not None:
        query = query.where(decision.c.run_id == run_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise _no_decision(connection, account_id, run_id)
    used = kept(connection, row["rulebook_sha256"], rulebook)
    compiled = as_asked(used, row["jurisdiction"], row["as_of"], row["rule_bits"])
    found = _explained(row, compiled, lang, _how(connection, row, lang))
    return replace(found, facts=(*found.facts, *_of_card(connection, row, lang)))


def _of_card(connection: sa.Connection, row: Any, lang: str) -> Iterator[FactShown]:
    """What no rule reads and every reader of a card's minimum asks: all that is owed on it, as it is known now."""
    if row["product"] != CARD:
        return
    plain = connection.connection.driver_connection
    assert plain is not None
    terms, events = next((loan.terms, loan.events) for loan in read(plain, [row["account_id"]]).values())
    if isinstance(terms, CardTerms):
        with contextlib.suppress(LedgerError):  # what is on file of it contradicts itself
            owed = money(card.fold(terms, events, row["as_of"]).payoff, row["currency"], lang)
            name = LANGUAGES[lang].catalogue.gettext(N_("balance of the card, as it is known now"))
            yield FactShown("balance", name, owed, "computed", None)


def _no_decision(connection: sa.Connection, account_id: int, run_id: int | None) -> NoDecision:
    opened = connection.execute(sa.select(account.c.opened_on).where(account.c.id == account_id)).scalar()
    if run_id is None:
        return NoDecision(
            N_("No run has decided this account yet. Run forbear nightly for a day from %(day)s on."), day=opened
        )
    day = run_on_file(connection, run_id).as_of
    if opened is not None and day < opened:
        why = N_("Run %(run)s, for %(day)s, is of before the loan was opened. Without --run, the newest speaks.")
    else:
        why = N_("Run %(run)s, for %(day)s, is of before the loan was taken in. Without --run, the newest speaks.")
    return NoDecision(why, run=run_id, day=day)


def _explained(row: Any, compiled: Compiled, lang: str, how: dict[str, tuple[str, str]]) -> Explanation:
    vocabulary = compiled.vocabulary
    facts: dict[str, FactValue] = {f.id: row[f.id] for f in vocabulary.facts.values() if f.asked == "night"}
    agreed = None if row["agreed_from_min"] is None else Hours(row["agreed_from_min"], row["agreed_to_min"])
    found = compiled.find(facts, row["zones"] if row["place_known"] else None, agreed)
    allowed = permitted(compiled, found)
    asked_again = (found.forbids, found.unknown, found.no_hours, allowed[0])
    written = (row["forbids"], row["unknown"], row["no_hours"], row["step"])
    assert asked_again == written, f"run {row['run_id']}, account {row['account_id']}: {asked_again} is not {written}"

    verdicts = []
    for step in compiled.steps:
        against: list[tuple[Rule, Said]] = []
        allowing: list[tuple[Rule, Said]] = []
        for bit, rule in enumerate(compiled.rules):
            if step.id not in rule.steps:
                continue
            if found.forbids >> bit & 1:
                against.append((rule, "forbids"))
            elif found.unknown >> bit & 1:
                against.append((rule, "unknown"))
            elif rule.hours and found.no_hours >> step.bit & 1:
                against.append((rule, "no_hours"))
            else:
                allowing.append((rule, "hours" if rule.hours else "permits"))
        verdict: VerdictWord
        if step.id == row["step"]:
            verdict = "chosen"
        elif step.id in allowed:
            verdict = "permitted"
        else:
            verdict = next(w for w, s in _WORDS if any(said == s for _, said in against))
        # A step that something stands against is explained by that alone.
        spoke = against or allowing
        reasons = tuple(_reason(rule, said, lang) for rule, said in spoke)
        verdicts.append(Verdict(step.id, step.name[lang], verdict, reasons))
    return Explanation(
        account_id=row["account_id"],
        account_ref=row["ref"],
        book=row["book_name"],
        synthetic=row["synthetic"],
        run_id=row["run_id"],
        as_of=row["as_of"],
        jurisdiction=row["jurisdiction"],
        step=row["step"],
        step_name=vocabulary.steps[row["step"]].name[lang],
        earliest=row["earliest"],
        latest=row["latest"],
        zones=tuple((row["zones"] or "").split("|")) if row["zones"] else (),
        verdicts=tuple(verdicts),
        facts=tuple(
            FactShown(
                fact.id,
                fact.name[lang],
                fact_text(fact, facts[fact.id], row["currency"], lang, vocabulary.never),
                *(how.get(fact.id) or ("observed" if fact.id in RECORDED else "computed", None)),
            )
            for fact in vocabulary.facts.values()
            if fact.asked == "night"
        ),
    )


_WORDS: tuple[tuple[VerdictWord, Said], ...] = (
    ("forbidden", "forbids"),
    ("unknown", "unknown"),
    ("no_hours", "no_hours"),
)


def _reason(rule: Rule, said: Said, lang: str) -> Reason:
    return Reason(
        rule_id=rule.id,
        says=said,
        text=rule.text[lang],
        instrument=rule.instrument.title[lang],
        article=cited(rule.article, lang),
        kind=rule.instrument.kind,
        verified=rule.verified,
        in_force_from=rule.since,
        in_force_to=rule.until,
        note=rule.note[lang] if rule.note else None,
    )


def _how(connection: sa.Connection, row: Any, lang: str) -> dict[str, tuple[str, str]]:
    """For each fact that was derived or assumed: which of both, and the sentence of the mapping or the import."""
    found: dict[str, tuple[str, str]] = {}
    query = sa.select(derivation).where(derivation.c.book_id == row["book_id"])
    for line in connection.execute(query).mappings():
        if line["of_all"] or line["code"] in row["derived"]:
            for fact in line["facts"]:
                found[fact] = (line["kind"], line["text"][lang])
    return found


# ---- figures as text --------------------------------------------------------------------------------

_YES = {"zh-Hans": ("是", "否"), "zh-Hant": ("是", "否"), "en": ("yes", "no")}
_UNKNOWN = {"zh-Hans": "未知", "zh-Hant": "未知", "en": "not known"}
_NEVER = {"zh-Hans": "无", "zh-Hant": "無", "en": "never"}


def locale(lang: str) -> Locale:
    """Babel's locale for one of our language tags."""
    return Locale.parse(lang, sep="-")


def money(minor: int, currency: str, lang: str) -> str:
    """An amount in minor units, as text with its currency."""
    return format_currency(Decimal(minor).scaleb(-get_currency_precision(currency)), currency, locale=locale(lang))


def fact_text(fact: Fact, value: FactValue, currency: str, lang: str, never: int) -> str:
    """The value of a fact as a reader of `lang` writes it."""
    if value is None:
        return _UNKNOWN[lang]
    if isinstance(value, bool):
        return _YES[lang][0 if value else 1]
    if isinstance(value, str):
        return word(value, lang)
    if fact.type == "money":
        return money(value, currency, lang)
    if fact.unit == "ppm":
        return str(format_percent(Decimal(value).scaleb(-6), "0.##%", locale=locale(lang)))
    if fact.unit == "days" and value == never:
        return _NEVER[lang]
    return str(format_decimal(value, locale=locale(lang)))
