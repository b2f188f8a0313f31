"""A check's report in words, and as JSON. Amounts are in the currency's own digits, percents half up."""

import unicodedata
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from forbear.check.ceilings import Ceiling, Source, Then
from forbear.check.services import Held, Report
from forbear.check.words import say, table
from forbear.ledger.excess import Capped
from forbear.ledger.models import PPM, LedgerError, minor_digits
from forbear.ledger.provisions import Provision, provision
from forbear.locale import LANGUAGES as SPOKEN
from forbear.rulebook.cite import cited, in_script
from forbear.rulebook.models import LANGUAGES


def text(report: Report, language: str) -> str:
    """The whole report as lines of plain text."""
    words = _Words(report, language)
    return "\n".join(
        [
            *words.summary(),
            "",
            *words.rates(),
            "",
            *words.ceilings(),
            *words.excesses(),
            "",
            *words.sayings(),
            "",
            words.say("not_advice"),
        ]
    )


def data(report: Report) -> dict[str, Any]:
    """The report for machines: minor units as whole numbers, rates as decimal strings, texts by language."""
    loan, flows = report.loan, report.loan.flows
    return {
        "currency": loan.currency,
        "minor_digits": minor_digits(loan.currency),
        "place": loan.place,
        "lender_type": loan.lender_type,
        "opened_on": loan.opened_on.isoformat(),
        "asked_on": report.asked_on.isoformat(),
        "received_minor": flows.advanced,
        "contracted_minor": loan.contracted or flows.advanced,
        "paid_minor": flows.paid,
        "charge_minor": flows.paid - flows.advanced,
        "rates": [
            {
                "method": rate.method.value,
                "percent": f"{rate.percent():f}",
                "ppm": rate.ppm,
                "yearly": str(rate.yearly),
                "unit_period": {"name": rate.unit.name, "count": rate.unit.count},
                "formula": _each(f"formula.{rate.method}"),
            }
            for rate in report.rates
        ],
        "measured_by": report.method.value,
        "ceilings": [_ceiling(held) for held in report.held],
        "which_binds_known": any(held.ceiling.binds is not False for held in report.held),
        "say": {language: [line for line in _Words(report, language).sayings()[1:]] for language in LANGUAGES},
        "not_advice": _each("not_advice"),
    }


def _ceiling(held: Held) -> dict[str, Any]:
    ceiling, capped = held.ceiling, held.capped
    return {
        "rule": ceiling.id,
        "title": ceiling.title,
        **_source(ceiling.source),
        "ppm": ceiling.ppm,
        "multiple": None if ceiling.multiple is None else dict(zip(("times", "series"), ceiling.multiple, strict=True)),
        "known_through": None if ceiling.known_through is None else ceiling.known_through.isoformat(),
        "binds": ceiling.binds,
        "lenders": list(ceiling.lenders),
        "exempt": None if ceiling.exempt is None else _source(ceiling.exempt),
        "effect": ceiling.effect,
        "note": ceiling.note,
        "then": None
        if ceiling.then is None
        else {
            "since": ceiling.then.since.isoformat(),
            "ppm": ceiling.then.ppm,
            "ends": ceiling.then.ends,
            **_source(ceiling.then.source),
        },
        "excess_minor": None if ceiling.binds is False or ceiling.ppm is None else capped.excess if capped else 0,
        "lines": [
            {
                "due_on": line.due_on.isoformat(),
                "contracted_minor": line.contracted,
                "lawful_minor": line.lawful,
                "excess_minor": line.excess,
            }
            for line in (capped.lines if capped else ())
        ],
    }


def _source(source: Source) -> dict[str, Any]:
    return {
        "citation": source.citation,
        "article": source.article,
        "text": source.text,
        "verified": source.verified,
    }


def _each(key: str) -> dict[str, str]:
    return {language: say(language, key) for language in LANGUAGES}


class _Words:
    """The report's paragraphs in one language."""

    def __init__(self, report: Report, language: str) -> None:
        self.report = report
        self.language = language
        self.marks = SPOKEN[language].marks
        self.currency = report.loan.currency

    def say(self, key: str, **values: object) -> str:
        return say(self.language, key, **values)

    def money(self, minor: int) -> str:
        digits = minor_digits(self.currency)
        return f"{Decimal(minor).scaleb(-digits):,.{digits}f}"

    def summary(self) -> Iterable[str]:
        loan, flows = self.report.loan, self.report.loan.flows
        yield self.say(
            "summary",
            opened=loan.opened_on,
            received=self.money(flows.advanced),
            currency=self.currency,
            count=len(flows.payments),
            paid=self.money(flows.paid),
            last=flows.payments[-1][0],
            charge=self.money(flows.paid - flows.advanced),
        )
        if kept := self.kept():
            assert loan.contracted is not None
            yield self.say(
                "contracted", contracted=self.money(loan.contracted), kept=self.money(kept), currency=self.currency
            )

    def kept(self) -> int:
        """What of the contract's sum did not arrive."""
        loan = self.report.loan
        return max(0, (loan.contracted or 0) - loan.flows.advanced)

    def rates(self) -> Iterable[str]:
        yield self.say("rates")
        for rate in self.report.rates:
            yield f"  {rate.percent():,f}%  {self.say(f'name.{rate.method}')}"
            yield f"      {self.say(f'formula.{rate.method}')}"

    def ceilings(self) -> Iterable[str]:
        report = self.report
        if not report.held:
            yield self.say("no_ceilings")
            return
        yield self.say("ceilings", opened=report.loan.opened_on, method=self.say(f"name.{report.method}"))
        for held in report.held:
            ceiling = held.ceiling
            figure = self.say("ppm_unknown") if ceiling.ppm is None else f"{percent(ceiling.ppm)}%"
            multiple = "" if ceiling.multiple is None else f" = {self.multiple(*ceiling.multiple)}"
            yield f"  {figure}{multiple}{self.marks.colon}{self.standing(held)}"
            yield f"      {self.rule(ceiling)}"
            if ceiling.note is not None:
                yield f"      {ceiling.note[self.language]}"
            if ceiling.then is not None:
                yield f"      {self.then(ceiling.then)}"
        if all(held.ceiling.binds is False for held in report.held):
            yield self.say("none_binds")

    def then(self, then: Then) -> str:
        """What takes a ceiling's place, and by which rule."""
        figure = self.say("ppm_unknown") if then.ppm is None else f"{percent(then.ppm)}%"
        key = "then_ends" if then.ends else "then_accrues" if then.accrues else "then"
        since, asked = then.since, self.report.asked_on
        return self.say(key, since=since, asked=asked, figure=figure, why=self.source(then.source))

    def standing(self, held: Held) -> str:
        """Whether a ceiling binds, why, and whether it is passed."""
        ceiling, lender = held.ceiling, self.lender(self.report.loan.lender_type or "other")
        if ceiling.binds is None:
            return self.say("depends", lenders=self.lenders(ceiling))
        if ceiling.exempt is not None:
            return self.say("exempt", lender=lender, why=self.source(ceiling.exempt))
        if not ceiling.binds:
            return self.say("other_lender", lender=lender, lenders=self.lenders(ceiling))
        bound = self.say("binds", lender=lender) if ceiling.lenders else self.say("binds_all")
        return bound if held.capped or ceiling.ppm is None else f"{bound}{self.marks.semicolon}{self.say('within')}"

    def lender(self, lender_type: str) -> str:
        """The name of a type of lender; a type that has none here is its own name."""
        return self.say(f"lender.{lender_type}") if lender_type in table()["lender"] else lender_type

    def lenders(self, ceiling: Ceiling) -> str:
        return self.marks.pause.join(map(self.lender, ceiling.lenders))

    def multiple(self, times: int, series: Any) -> str:
        return self.say("multiple", times=times, series=series[self.language])

    def rule(self, ceiling: Ceiling) -> str:
        return self.say("rule", title=ceiling.title[self.language], **self._of(ceiling.source))

    def source(self, source: Source) -> str:
        return self.say("source", **self._of(source))

    def _of(self, source: Source) -> dict[str, str]:
        state = self.say("verified" if source.verified else "unverified")
        return {
            "text": source.text[self.language].rstrip("。."),
            "citation": in_script(source.citation, self.language),
            "article": cited(source.article, self.language),
            "state": state,
        }

    def over(self) -> Iterable[tuple[Capped, list[Ceiling]]]:
        """What is above, once for each figure, with the rules that set it; those that surely bind stand first."""
        grouped: dict[tuple[int, str, bool | None], tuple[Capped, list[Ceiling]]] = {}
        for held in self.report.over:
            assert held.capped is not None
            key = (held.capped.cap_ppm, held.ceiling.effect, held.ceiling.binds)
            grouped.setdefault(key, (held.capped, []))[1].append(held.ceiling)
        return grouped.values()

    def excesses(self) -> Iterable[str]:
        for capped, rules in self.over():
            yield ""
            yield self.say(
                "excess",
                cap=percent(capped.cap_ppm),
                count=len(capped.lines),
                total=self.money(capped.excess),
                currency=self.currency,
            )
            for ceiling in rules:
                yield f"  {self.rule(ceiling)}"
                if ceiling.binds is None:
                    yield f"  {self.say('depends', lenders=self.lenders(ceiling))}"
            if capped.factor is None:
                yield f"  {self.say('excess_by_stretches')}"
            else:
                factor = capped.factor.quantize(Decimal("0.000001"), ROUND_HALF_UP)
                yield f"  {self.say('excess_method', factor=factor)}"
            yield f"  {self.say(f'effect_{rules[0].effect}')}"
            yield from self.table(capped)

    def table(self, capped: Capped) -> Iterable[str]:
        head = [self.say(key) for key in ("date", "contract", "lawful", "above")]
        body = [
            [line.due_on.isoformat(), *map(self.money, (line.contracted, line.lawful, line.excess))]
            for line in capped.lines
        ]
        sums = [sum(getattr(line, name) for line in capped.lines) for name in ("contracted", "lawful", "excess")]
        yield from aligned([head, *body, [self.say("total"), *map(self.money, sums)]])

    def sayings(self) -> list[str]:
        """The heading, and what the borrower may say."""
        report, loan = self.report, self.report.loan
        found = []
        # Neither binds someone who lends without making it a business.
        if loan.place == "cn" and loan.lender_type != "private":
            right = provision("right-to-know", report.asked_on)
            found.append(self.say("say_breakdown", **self.cite(right)))
            found.append(self.say("say_rate"))
        else:
            found.append(self.say("say_breakdown_plain"))
        if (kept := self.kept()) and loan.place == "cn":
            try:
                law = provision("interest-not-deducted", loan.opened_on)
            except LedgerError:
                law = provision("interest-not-deducted", report.asked_on)
            found.append(self.say("say_kept", kept=self.money(kept), currency=self.currency, **self.cite(law)))
        for capped, rules in self.over():
            rule = next((each for each in rules if each.source.verified), rules[0])
            key = "say_void" if rule.effect == "void" else "say_excess"
            found.append(
                self.say(
                    key if rule.binds else "say_excess_if",
                    citation=in_script(rule.source.citation, self.language),
                    article=cited(rule.source.article, self.language),
                    cap=percent(capped.cap_ppm),
                    total=self.money(capped.excess),
                    currency=self.currency,
                    lenders=self.lenders(rule),
                )
            )
        found += [
            self.say(
                "say_unknown",
                figure=self.multiple(*held.ceiling.multiple),
                opened=loan.opened_on,
                through=held.ceiling.known_through,
            )
            for held in report.held
            if held.ceiling.ppm is None and held.ceiling.multiple and held.ceiling.binds is not False
        ]
        return [self.say("say"), *(f"  - {line}" for line in found)]

    def cite(self, found: Provision) -> dict[str, str]:
        return {
            "cites": self.say(
                "article" if found.verified else "article_unverified",
                instrument=found.title["en"] if self.language == "en" else in_script(found.instrument, self.language),
                articles=self.marks.pause.join(found.articles),
            ),
            "concept": found.name[self.language],
        }


def percent(ppm: int) -> str:
    """Parts per million as percent, with two decimals or as many as it takes."""
    value = Decimal(ppm * 100) / PPM
    return f"{value:.2f}" if value == round(value, 2) else str(value)


def aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Rows as columns, numbers to the right; a wide character takes two places."""
    widths = [max(_width(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        first, *rest = (_pad(cell, width, k > 0) for k, (cell, width) in enumerate(zip(row, widths, strict=True)))
        yield ("  " + "  ".join([first, *rest])).rstrip()


def _width(cell: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in cell)


def _pad(cell: str, width: int, right: bool) -> str:
    blank = " " * (width - _width(cell))
    return blank + cell if right else cell + blank
