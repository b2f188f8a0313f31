"""A statement in words: one document of plain text values, which the page, the PDF and the command each set."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from forbear.check.ceilings import Ceiling
from forbear.ledger.arrears import Category, Move, Stretch
from forbear.ledger.excess import Line as Cut
from forbear.ledger.models import Kind, Line, Reason
from forbear.ledger.provisions import Provision
from forbear.locale import Language
from forbear.rulebook.cite import citation
from forbear.rulebook.models import Rule
from forbear.servicing.happened import NAMES_OF_KINDS
from forbear.statement.services import Charge, Payment, Statement
from forbear.web.format import Formats


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns' names and its rows as text; the last `figures` columns are numbers. `total`: the last row
    is a sum. `wide`: the column with the longest texts."""

    id: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: int
    total: bool = False
    notes: tuple[str, ...] = ()
    wide: int = 2


@dataclass(frozen=True, slots=True)
class Document:
    """A statement as text in one language. `facts` are pairs of name and value, the most asked for first."""

    language: str
    title: str
    subtitle: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """The document as plain values."""
        return asdict(self)


def document(found: Statement, language: Language) -> Document:
    """The statement in words."""
    return _Writer(found, language).document()


def arrears_table(history: Sequence[Stretch], language: Language) -> Table:
    """The history of days past due: a row for each stretch of days in one bucket and class, the newest first."""
    _, to = language.catalogue.gettext, Formats(language)
    moves = {Move.ROLLED: _("rolled on"), Move.BACK: _("rolled back"), Move.PAID_UP: _("all arrears paid")}
    classes = {
        Category.NORMAL: _("normal"),
        Category.SPECIAL_MENTION: _("special mention"),
        Category.SUBSTANDARD: _("substandard"),
        Category.DOUBTFUL: _("doubtful"),
        Category.LOSS: _("loss"),
    }
    classed = any(each.category for each in history)
    rows = []
    for each in reversed(history):
        bucket = (
            _("nothing past due")
            if each.bucket == "current"
            else _("%(days)s days") % {"days": each.bucket.replace("-", "–")}
        )
        category = [classes[each.category]] if each.category else ["–"] if classed else []
        change = moves[each.move] if each.move else _("class changed") if each.first != history[0].first else "–"
        days = to.day(each.first) if each.first == each.last else f"{to.day(each.first)} – {to.day(each.last)}"
        rows.append((days, bucket, *category, change, to.count(each.dpd)))
    head = (
        _("Days"),
        _("Past due"),
        *([_("Class")] if classed else []),
        _("What changed"),
        _("Days past due at the end"),
    )
    notes = [
        _("As it is known now: a payment that came to light late, or was taken back, has changed the days before.")
    ]
    if classed:
        notes.append(
            _("What was past due over 90 days is watched for six months after all was paid before its class is raised.")
        )
    return Table("arrears", _("History of what was past due"), head, tuple(rows), 1, False, tuple(notes), wide=0)


class _Writer:
    def __init__(self, found: Statement, language: Language) -> None:
        self.found, self.language = found, language
        self.to = Formats(language)

    def money(self, minor: int) -> str:
        return self.to.money(minor, self.found.currency)

    def document(self) -> Document:
        _, found, to = self.language.catalogue.gettext, self.found, self.to
        place = to.place(found.jurisdiction)
        if found.synthetic:
            place += " · " + _("synthetic: no such person exists")
        return Document(
            self.language.tag,
            _("Statement of account %(ref)s") % {"ref": found.ref},
            f"{found.book} · {place}",
            (*self.closed(), *(self.of_card() if found.bills is not None else self.of_loan())),
            (
                self.sums(),
                *self.card(),
                *self.plans(),
                self.charges(),
                self.payments(),
                arrears_table(found.arrears, self.language),
                self.removed(),
                *self.spared(),
            ),
            self.notes(),
        )

    def plans(self) -> tuple[Table, ...]:
        """The schedules that took the place of the contract's, and the days on which nothing accrues."""
        _, found, to = self.language.catalogue.gettext, self.found, self.to
        made = []
        for k, each in enumerate(found.plans, 1):
            plan = each.plan
            rows = []
            for n, line in enumerate(plan.lines, plan.first):
                whole = line.amount + (plan.carried if n == plan.first else 0)
                rows.append(
                    (to.count(n), to.day(line.due_on), *map(self.money, (line.principal, line.interest, whole)))
                )
            title = {
                Reason.PLAN: _("Plan agreed on %(day)s"),
                Reason.REAGE: _("Re-aged on %(day)s"),
                Reason.PREPAYMENT: _("A part repaid early on %(day)s"),
            }[plan.reason]
            notes = [
                _("In the place of the contract's instalments: what was unpaid is due on these days instead."),
                _("Interest is what is then unpaid of the principal × %(rate)s × the days since the line before ÷ 365.")
                % {"rate": self.rate(plan.ppm)},
            ]
            if plan.reason is Reason.PREPAYMENT:
                notes = [
                    _(
                        "The first line is what was repaid early, with the interest of the days until then. The others"
                        " take the place of what was to come; their interest is that of before, in proportion to what"
                        " is left of the principal."
                    ),
                    _("By it %(sum)s less of interest and fees is to be paid.")
                    % {"sum": self.money(plan.replaced - plan.charge - each.less)},
                ]
            if each.less:
                notes.append(
                    _("The interest is %(sum)s less than was agreed, for frozen days or principal that was given up.")
                    % {"sum": self.money(each.less)}
                )
            if each.cancelled:
                notes.append(
                    _("By it %(sum)s of interest and fees of the period that ran until then is given up.")
                    % {"sum": self.money(each.cancelled)}
                )
            if plan.carried:
                notes.append(
                    _("The first amount holds %(sum)s of interest and fees that were unpaid before.")
                    % {"sum": self.money(plan.carried)}
                )
            if k < len(found.plans):
                notes.append(_("A later plan has taken the place of what was still to come of it."))
            head = (_("Instalment"), _("To be paid by"), _("Principal"), _("Interest"), _("Amount"))
            made.append(
                Table(f"plan-{k}", title % {"day": to.day(plan.on)}, head, tuple(rows), 3, False, tuple(notes), wide=1)
            )
        if found.freezes:
            spans = tuple((self.span(each.first, each.last), self.frozen_by(each.rule)) for each in found.freezes)
            note = _(
                "For these days no interest, no penalty interest and no fee is charged, nor is it asked for afterwards."
                " Days past due go on."
            )
            title = _("Days on which nothing accrues")
            made.append(Table("frozen", title, (_("Days"), _("Rests on")), spans, 0, False, (note,), wide=1))
        return tuple(made)

    def frozen_by(self, rule: Rule | None) -> str:
        _, tag = self.language.catalogue.gettext, self.language.tag
        if rule is None:
            return _("forbearance granted by the lender")
        mark = "" if rule.verified else " [" + _("not yet verified") + "]"
        return f"{citation(rule.instrument.title[tag], rule.article, tag)}{mark}"

    def rate(self, ppm: int) -> str:
        return f"{Decimal(ppm).scaleb(-4).normalize():f}%"

    def span(self, first: date, last: date) -> str:
        return self.to.day(first) if first == last else f"{self.to.day(first)} – {self.to.day(last)}"

    def of_loan(self) -> tuple[tuple[str, str], ...]:
        _, found, to = self.language.catalogue.gettext, self.found, self.to
        return (
            (_("Owed on %(day)s") % {"day": to.day(found.today.on)}, self.money(found.today.due)),
            (_("Owed if paid on %(day)s") % {"day": to.day(found.then.on)}, self.money(found.then.due)),
            (_("To repay all of it on %(day)s") % {"day": to.day(found.then.on)}, self.money(found.then.payoff)),
            (_("Days past due"), to.count(found.today.dpd)),
            (_("Lent on %(day)s") % {"day": to.day(found.opened_on)}, self.money(found.lent)),
        )

    def of_card(self) -> tuple[tuple[str, str], ...]:
        _, found, to = self.language.catalogue.gettext, self.found, self.to
        then = {"day": to.day(found.then.on)}
        return (
            (_("Balance on %(day)s") % {"day": to.day(found.today.on)}, self.money(found.today.due)),
            (_("To repay all of it on %(day)s") % then, self.money(found.then.payoff)),
            (_("Still to be paid of the minimum on %(day)s") % then, self.money(found.then.minimum)),
            (_("Days past due"), to.count(found.today.dpd)),
            (_("Drawn so far"), self.money(found.lent)),
        )

    def closed(self) -> Iterator[tuple[str, str]]:
        """Of a debt that was sold to whom it is paid now, and of one that was written off that it was."""
        _, found, to = self.language.catalogue.gettext, self.found, self.to
        if sold := found.sold:
            words = {"assignee": sold.assignee, "day": to.day(sold.on)}
            yield (
                _("Sold"),
                _("to %(assignee)s on %(day)s: what was owed then is paid to them, and nothing of it here") % words,
            )
            if found.held:
                yield _("Held for you here, to be paid back"), self.money(found.held)
        if found.written_off_on:
            day = {"day": to.day(found.written_off_on)}
            yield _("Written off"), _("by the lender on %(day)s, which does not end the debt") % day
        elif found.status == "charged_off":
            yield _("Written off"), _("by the lender, which does not end the debt")

    def card(self) -> tuple[Table, ...]:
        """Of a card: its monthly statements, and what was drawn; nothing of a loan."""
        _, found, to = self.language.catalogue.gettext, self.found, self.to
        if found.bills is None:
            return ()
        bills = tuple(
            (to.count(bill.n), to.day(bill.on), to.day(bill.due_on), self.money(bill.minimum), self.money(bill.balance))
            for bill in found.bills
        )
        drawn = tuple(
            (to.day(each.on), each.ref, _("Cash") if each.cash else _("Purchase"), self.money(each.amount))
            for each in found.drawn
        )
        none = (_("None yet."),)
        minimum = _(
            "A minimum is its share of the purchases and cash, the interest, the fees, and what is unpaid of earlier"
            " ones."
        )
        bill_head = (_("Monthly statement"), _("Made on"), _("To be paid by"), _("Minimum"), _("Balance"))
        drawn_head = (_("Day"), _("Number"), _("What"), _("Amount"))
        return (
            Table("bills", _("Every statement"), bill_head, bills, 2, False, (minimum,) if bills else none),
            Table("drawn", _("Every purchase"), drawn_head, drawn, 1, False, () if drawn else none),
        )

    def kind(self, kind: Kind) -> str:
        return self.language.catalogue.gettext(NAMES_OF_KINDS[kind])

    def sums(self) -> Table:
        _, now, then = self.language.catalogue.gettext, self.found.today, self.found.then
        rows = []
        for kind in Kind:
            both = dict(now.owed).get(kind, 0), dict(then.owed).get(kind, 0)
            if any(both):
                rows.append((self.kind(kind), *map(self.money, both)))
        if now.unbilled or then.unbilled:
            rows.append((_("Accrued, billed with the next statement"), *map(self.money, (now.unbilled, then.unbilled))))
        if now.credit or then.credit:
            rows.append((_("Paid ahead"), self.money(-now.credit), self.money(-then.credit)))
        rows.append((_("Owed in all"), self.money(now.due), self.money(then.due)))
        notes = [
            _("What has fallen due by the end of the day, and every charge. If nothing more is paid before.")
            if self.found.bills is None
            else _("All that is owed at the end of the day. If nothing more is drawn or paid before."),
        ]
        if now.overpaid and not self.found.sold:
            words = {"sum": self.money(now.overpaid)}
            notes.append(_("%(sum)s more was paid than is owed: it is the borrower's, and is paid back.") % words)
        if self.found.early:
            basis = self.basis(self.found.early)
            notes.append(_("Repaid early, interest runs for the days until then only: %(basis)s.") % {"basis": basis})
        head = (_("What is owed"), self.to.day(now.on), self.to.day(then.on))
        return Table("owed", _("What you owe"), head, tuple(rows), 2, True, tuple(notes))

    def charges(self) -> Table:
        _ = self.language.catalogue.gettext
        rows = tuple(
            (
                self.days(each.line),
                self.what(each.line),
                self.formula(each),
                self.rests_on(each),
                self.money(each.line.amount),
            )
            for each in self.found.charges
        )
        rows += tuple(
            (
                self.to.day(each.on),
                _("Given up: %(kind)s") % {"kind": self.kind(each.kind)},
                "–",
                _("the lender's waiver"),
                self.money(-each.amount),
            )
            for each in self.found.waivers
        )
        head = (_("Day"), _("Charge"), _("How it is worked out"), _("Rests on"), _("Amount"))
        notes = (_("Each is rounded to the nearest minor unit once; a half goes up."),) if rows else (_("None yet."),)
        return Table("charges", _("Every charge"), head, rows, 1, False, notes)

    def days(self, line: Line) -> str:
        """The days that a charge is for: one that runs begins the day after `start`, as a freeze begins and ends."""
        return self.span(min(line.start + timedelta(days=1), line.end), line.end)

    def what(self, line: Line) -> str:
        _ = self.language.catalogue.gettext
        if not line.n:
            return self.kind(line.kind)
        if self.found.bills is not None:
            return _("%(kind)s, statement %(n)s") % {"kind": self.kind(line.kind), "n": line.n}
        return _("%(kind)s, instalment %(n)s") % {"kind": self.kind(line.kind), "n": line.n}

    def formula(self, each: Charge) -> str:
        _, line = self.language.catalogue.gettext, each.line
        if line.year:
            rate = f"{Decimal(line.rate_ppm).scaleb(-4).normalize():f}%"
            days = "" if (line.days, line.year) == (1, 1) else f" × {line.days}/{line.year}"
            if line.at_most is not None and line.amount == line.at_most:
                words = {"sum": f"{self.money(line.base)} × {rate}{days}", "left": self.money(line.at_most)}
                return _("%(sum)s, but no more than is left of the contract's fee = %(left)s") % words
            return f"{self.money(line.base)} × {rate}{days} = {self.money(line.amount)}"
        of_plan = each.plan is not None and each.plan.reason in (Reason.PLAN, Reason.REAGE)
        if each.given_up:
            words = {
                "whole": self.money(line.amount + each.given_up + each.spared),
                "given": self.money(each.given_up),
                "spared": self.money(each.spared),
                "left": self.money(line.amount),
            }
            if not each.spared:
                return _("%(whole)s by the schedule − %(given)s with principal that was given up = %(left)s") % words
            return (
                _(
                    "%(whole)s by the schedule − %(given)s with principal that was given up − %(spared)s for the frozen"
                    " days = %(left)s"
                )
                % words
            )
        if of_plan and each.worked is not None:
            run = each.worked
            whole = f"{self.money(run.base)} × {self.rate(run.rate_ppm)} × {run.days}/{run.year}"
            if not each.excess:
                return f"{whole} = {self.money(line.amount)}"
            words = {"whole": whole, "cut": self.money(each.excess), "left": self.money(line.amount)}
            return _("%(whole)s − %(cut)s removed by the ceiling = %(left)s") % words
        if each.excess or each.spared:
            words = {
                "whole": self.money(line.amount + each.excess + each.spared),
                "cut": self.money(each.excess),
                "spared": self.money(each.spared),
                "left": self.money(line.amount),
            }
            if not each.spared:
                return _("%(whole)s by the contract − %(cut)s removed by the ceiling = %(left)s") % words
            if not each.excess:
                return _("%(whole)s by the schedule − %(spared)s for the frozen days = %(left)s") % words
            text = _("%(whole)s by the schedule − %(cut)s by the ceiling − %(spared)s for the frozen days = %(left)s")
            return text % words
        if of_plan and line.n:
            return _("as the plan has it")
        if each.plan is not None and line.n:
            if line.end == each.plan.on:
                return _("for the days until it was repaid early")
            return _("as the schedule after the early repayment has it")
        scheduled = line.n and self.found.bills is None
        return _("as the contract's schedule has it") if scheduled else _("a single charge")

    def rests_on(self, each: Charge) -> str:
        """What a charge rests on: of a plan's instalment the plan, before the article that allows the charge."""
        _ = self.language.catalogue.gettext
        plan = each.plan
        if plan is None or plan.reason not in (Reason.PLAN, Reason.REAGE) or each.line.kind is not Kind.INTEREST:
            return self.basis(each.basis)
        agreed = _("the plan of %(day)s") % {"day": self.to.day(plan.on)}
        return agreed if each.basis is None else f"{agreed}{self.to.semicolon}{self.basis(each.basis)}"

    def basis(self, basis: Provision | None) -> str:
        _ = self.language.catalogue.gettext
        if basis is None:
            return _("the contract")
        mark = "" if basis.verified else " [" + _("not yet verified") + "]"
        tag = self.language.tag
        return citation(basis.title[tag], f"art. {', '.join(basis.articles)}", tag) + mark

    def bases(self, bases: Sequence[Provision]) -> str:
        return self.to.semicolon.join(map(self.basis, bases or (None,)))

    def payments(self) -> Table:
        _, order = self.language.catalogue.gettext, self.found.order
        rows = tuple(
            (self.to.day(each.on), each.ref, self.settled(each), self.money(each.amount))
            for each in self.found.payments
        )
        dated = [(each.on, row) for each, row in zip(self.found.payments, rows, strict=True)]
        for back in self.found.refunds:
            row = (self.to.day(back.on), back.ref, _("Paid back to the borrower"), self.money(-back.amount))
            dated.append((back.on, row))
        rows = tuple(row for _on, row in sorted(dated, key=lambda each: each[0]))
        names = {
            "cn_credit_card": _(
                "Payments settle what is billed before the rest: interest and fees, then what was drawn; from 91 days"
                " past due what was drawn comes first: Measures on credit card business, art. 57 [not yet verified]."
            ),
            "instalments_first": _(
                "Payments settle instalments first, the oldest first, in each interest before principal; then penalty"
                " interest, late fees and costs: the lender's own policy, the mildest for the borrower."
            ),
            "cn_civil_code": _(
                "Payments settle the instalment that fell due first; in it costs, fees, interest and penalty interest,"
                " then principal, a late fee last: %(basis)s."
            )
            % {"basis": self.bases(self.found.order_basis)},
            "us_no_pyramiding": _(
                "Payments settle instalments first, the oldest first, so that no late fee comes of an earlier late fee"
                " alone: 16 CFR 444.4."
            ),
        }
        note = names.get(order.id) or _("Payments settle debts in the order of: %(source)s.") % {"source": order.source}
        head = (_("Day"), _("Payment"), _("What it settled"), _("Amount"))
        return Table("payments", _("Every payment"), head, rows, 1, False, (note,) if rows else (_("None yet."), note))

    def settled(self, each: Payment) -> str:
        _ = self.language.catalogue.gettext
        parts = [f"{self.kind(kind)} {self.money(amount)}" for kind, amount in each.settled]
        if each.credit > 0:
            parts.append(_("Paid ahead") + f" {self.money(each.credit)}")
        if each.taken_back:
            parts.append(_("taken back"))
        return self.to.semicolon.join(parts) or "–"

    def removed(self) -> Table:
        _, found = self.language.catalogue.gettext, self.found
        lines = [(str(n), line) for n, line in enumerate(found.removed, 1)]
        lines += [(_("%(n)s, of the new schedule") % {"n": n}, line) for n, line in found.replaced]
        lines += [(_("%(kind)s, instalment %(n)s") % {"kind": self.kind(Kind.LATE_FEE), "n": n}, line)
                  for n, line in found.late_fees]  # fmt: skip
        lines += self.refused(frozen=False)
        rows = self.cuts(lines)
        unit = _("Instalment") if found.bills is None else _("Monthly statement")
        head = (unit, _("By the contract"), _("Lawful"), _("Removed"))
        notes = tuple(self.ceiling(each) for each in found.ceilings) or (_("No ceiling is on file for this place."),)
        notes = (*self.what_was_removed(), *notes)
        return Table("removed", _("What the ceiling on the yearly cost removed"), head, rows, 3, bool(rows), notes)

    def spared(self) -> tuple[Table, ...]:
        """What is not asked for because of the days on which nothing accrues; nothing where there were none."""
        _, found = self.language.catalogue.gettext, self.found
        lines = [*((str(n), line) for n, line in found.spared), *self.refused(frozen=True)]
        if not lines:
            return ()
        head = (_("Instalment"), _("By the schedule"), _("Owed"), _("Spared"))
        notes = [_("What frozen days spare is never asked for.")]
        if any(each.frozen for each in found.refused):
            notes.append(_("A fee that was charged on a frozen day is not owed."))
        title = _("What the frozen days spared")
        return (Table("spared", title, head, self.cuts(lines), 3, True, tuple(notes)),)

    def refused(self, frozen: bool) -> list[tuple[str, Cut]]:
        """The fees and costs that were charged and are not owed, or not whole."""
        kept = (each for each in self.found.refused if each.frozen is frozen)
        return [(self.kind(each.kind), Cut(each.on, 0, each.amount, each.lawful)) for each in kept]

    def cuts(self, lines: Sequence[tuple[str, Cut]]) -> tuple[tuple[str, ...], ...]:
        """Rows of what was removed, and their sum."""
        _ = self.language.catalogue.gettext
        rows: list[tuple[str, ...]] = []
        for name, line in lines:
            figures = map(self.money, (line.contracted, line.lawful, line.excess))
            rows.append((f"{name} · {self.to.day(line.due_on)}", *figures))
        if rows:
            sums = (sum(getattr(line, name) for _name, line in lines) for name in ("contracted", "lawful", "excess"))
            rows.append((_("In all"), *map(self.money, sums)))
        return tuple(rows)

    def what_was_removed(self) -> Iterator[str]:
        _, found = self.language.catalogue.gettext, self.found
        ceiling = found.ceiling_ppm
        less_penalty = ceiling is not None and found.penalty_rate_ppm > ceiling
        if ceiling is not None and less_penalty:
            rates = (found.penalty_rate_ppm, ceiling)
            whole, left = (f"{Decimal(rate).scaleb(-4).normalize():f}%" for rate in rates)
            words = {"whole": whole, "left": left}
            yield _("Penalty interest runs at %(left)s a year, not at the contract's %(whole)s.") % words
        if found.late_fees:
            yield _(
                "A late fee comes to be owed day by day, as far as the ceiling leaves room over penalty interest; the"
                " rest of it is not owed."
            )
        above = any(not each.frozen for each in found.refused)
        if above:
            yield _(
                "A fee that is charged is part of the yearly cost: it is owed as far as the ceiling leaves room for it."
            )
        if found.removed or found.replaced or found.late_fees or above or less_penalty:
            yield _("What is removed is never demanded. What was paid of it counts towards what is owed otherwise.")
        else:
            yield _("Nothing was removed.")
        if found.changed:
            yield _("The ceilings on file have changed since: the next night works out anew what is removed.")
        if found.uncovered:
            yield _(
                "No rule on file says which ceiling binds such a lender's loan of that day: it is not known, and a"
                " lawyer must say. So nothing was removed for it."
            )
        elif found.unknown:
            yield _("A ceiling that may bind can't be told, so more may have to be removed than is shown here.")

    def ceiling(self, each: Ceiling) -> str:
        _, tag = self.language.catalogue.gettext, self.language.tag
        source = citation(each.title[tag], each.source.article, tag)
        if not each.source.verified:
            source += " [" + _("not yet verified") + "]"
        if each.binds is False:
            return _("%(source)s: does not bind this lender.") % {"source": source}
        if each.ppm is None:
            return _("%(source)s: the rate of that day is not on file, so this ceiling can't be told.") % {
                "source": source
            }
        words = {"source": source, "rate": self.rate(each.ppm)}
        then = each.then
        if then is not None and then.accrues and then.ppm is not None:
            words |= {"then": self.rate(then.ppm), "day": self.to.day(then.since)}
            return _("%(source)s: at most %(rate)s a year, and %(then)s of what arises since %(day)s.") % words
        return _("%(source)s: at most %(rate)s a year.") % words

    def notes(self) -> tuple[str, ...]:
        _ = self.language.catalogue.gettext
        return (
            _("Anyone can work these figures out again from the dates, amounts and formulas above."),
            _("“Not yet verified” marks a text that has still to be read by the lender's lawyers."),
        )
