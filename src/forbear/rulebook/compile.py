"""Compiles the rules in force in one place on one day: to Ibis for a book, to a closure for one case.

The answer to each rule is a bit in one of two whole numbers: `forbids` (the rule forbids the steps
that it governs) and `unknown` (a fact is missing, so that it can't be told; that never permits).
Both are small, the same in the batch and for one case, and can be turned back into words.
"""

import bisect
import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from functools import cached_property, reduce
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir

from forbear.errors import WordedError
from forbear.locale import N_
from forbear.rulebook.answer import Answer
from forbear.rulebook.book import Rulebook
from forbear.rulebook.errors import Fault, PackError
from forbear.rulebook.hours import LocalDay, instant, local_day
from forbear.rulebook.language import (
    Arith,
    ByLender,
    Compare,
    Const,
    FactRef,
    Known,
    Logic,
    Node,
    Not,
    assume,
    facts_read,
    with_values,
)
from forbear.rulebook.models import Asked, Facts, Hours, Rule, Step, Vocabulary, at
from forbear.rulebook.source import passing, said

#: Bits in a signed 64-bit column: as many rules may forbid at night.
MAX_RULES = 63
_DAY = Hours(0, 24 * 60)
_COLLECTING = frozenset(("sms", "call", "letter"))


class Findings(NamedTuple):
    """What the rules say of one case: bit k belongs to rule k; bit s of no_hours to step s.

    `spans` are the lawful minutes of the local day, from and to, of each contact step.
    """

    compiled: "Compiled"
    forbids: int
    unknown: int
    no_hours: int
    spans: tuple[tuple[int, int], ...]
    local: LocalDay | None

    @property
    def windows(self) -> dict[str, tuple[datetime, datetime] | None]:
        """The first and last lawful instants of each contact step; None where the place is not known."""
        steps, day, local = self.compiled.contacts, self.compiled.day, self.local
        if local is None:
            return dict.fromkeys(step.id for step in steps)
        return {
            step.id: (instant(day, opens + local.first), instant(day, closes + local.last))
            for step, (opens, closes) in zip(steps, self.spans, strict=True)
        }


@dataclass(frozen=True, eq=False)
class Compiled:
    """The rules of one jurisdiction on one day, ready to be asked by the night or by the gate."""

    jurisdiction: str
    day: date
    vocabulary: Vocabulary
    rules: tuple[Rule, ...]  # in the order of their bits: those that forbid, then those of hours
    asked: Asked = "night"
    #: The closures made so far; days between which no law changes share them.
    code: dict[str, Callable[..., Any]] = field(default_factory=dict, repr=False)
    #: When each rule forbids, likewise.
    conditions: dict[str, Node] = field(default_factory=dict, repr=False)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps that are asked about, in the vocabulary's order."""
        return tuple(step for step in self.vocabulary.steps.values() if step.asked in ("night", self.asked))

    @cached_property
    def step_masks(self) -> Mapping[str, int]:
        """For each step, the bits of the rules that govern it."""
        return {
            step: sum(1 << bit for bit, rule in enumerate(self.rules) if step in rule.steps)
            for step in self.vocabulary.steps
        }

    @cached_property
    def ladder(self) -> tuple[tuple[str, int, int], ...]:
        """The steps, mildest first, each with the bits of the rules that govern it and its bit in `no_hours`."""
        return tuple((step.id, self.step_masks[step.id], 1 << step.bit) for step in self.steps)

    def of_loan(self, facts: frozenset[str]) -> "Compiled":
        """The rules that forbid every way of collecting by what these facts say of a loan, and by nothing else."""
        rules = tuple(
            rule
            for rule in self.rules
            if rule.forbid is not None
            and rule.steps.issuperset(_COLLECTING)
            and facts_read(self.condition(rule)) <= facts
        )
        return Compiled(self.jurisdiction, self.day, self.vocabulary, rules, self.asked)

    # ---- a book ------------------------------------------------------------------------------------

    def masks(self, facts: ir.Table) -> tuple[ir.IntegerValue, ir.IntegerValue]:
        """The columns `forbids` and `unknown` over a table with a column for each fact.

        Raises PackError where more rules forbid than a column has bits.
        """
        forbidding = [rule for rule in self.rules if rule.forbid is not None]
        if len(forbidding) > MAX_RULES:
            raise _too_many(len(forbidding), self.jurisdiction, self.day)
        forbids, unknown = [ibis.literal(0, "int64")], [ibis.literal(0, "int64")]
        for bit, rule in enumerate(self.rules):
            if rule.forbid is None:
                continue
            weight = ibis.literal(1 << bit, "int64")
            condition = self.condition(rule)
            forbids.append(ibis.ifelse(_ibis(condition, facts), weight, 0))
            if self.may_be_unknown(rule):
                # Not x is unknown where x is. (Ibis writes NOT x IS NULL, which SQL reads as NOT (x IS NULL).)
                while isinstance(condition, Not):
                    condition = condition.part
                unknown.append(ibis.ifelse(_ibis(condition, facts).isnull(), weight, 0))
        return (
            reduce(lambda a, b: a + b, forbids).cast("int64"),
            reduce(lambda a, b: a + b, unknown).cast("int64"),
        )

    def minutes(self, step: str, facts: ir.Table) -> tuple[ir.IntegerValue, ir.IntegerValue]:
        """The lawful minutes of the local day of a step: the columns from and to.

        The table also holds agreed_from_min and agreed_to_min, the hours agreed with the borrower: they narrow what the
        rules leave, and take the place of a rule's own hours where its `unless` says so.
        """
        spans = self._spans(self.hours_of(step))
        opens, closes = [], []
        for scope, exception, hours, _ in spans:
            agreed_opens, agreed_closes = facts["agreed_from_min"], facts["agreed_to_min"]
            # Agreed hours narrow every span; where its exception says so, they stand alone.
            own_opens = ibis.greatest(agreed_opens.fill_null(hours.opens), hours.opens)
            own_closes = ibis.least(agreed_closes.fill_null(hours.closes), hours.closes)
            if exception != Const(False):
                instead = _ibis(exception, facts) & agreed_opens.notnull()
                own_opens = ibis.ifelse(instead, agreed_opens, own_opens)
                own_closes = ibis.ifelse(instead, agreed_closes, own_closes)
            if scope != Const(True):
                # Where it is not known whether the rule binds, it does.
                bound = _ibis(scope, facts)
                if any(not self.vocabulary.facts[name].known for name in facts_read(scope)):
                    bound = bound.fill_null(True)
                own_opens = ibis.ifelse(bound, own_opens, _DAY.opens)
                own_closes = ibis.ifelse(bound, own_closes, _DAY.closes)
            opens.append(own_opens)
            closes.append(own_closes)
        if not spans:
            return ibis.literal(_DAY.opens, "int64"), ibis.literal(_DAY.closes, "int64")
        if len(spans) == 1:
            return opens[0], closes[0]
        return ibis.greatest(*opens), ibis.least(*closes)

    # ---- one case ----------------------------------------------------------------------------------

    def answer(self, step: str, facts: Facts, at: datetime, zones: str | None, agreed: Hours | None) -> Answer:
        """What the rules say of one contact at one instant.

        Args:
            facts: every fact of the vocabulary that a rule reads; one that is left out is unknown. The mapping
                is kept by the answer, not copied: it must not change afterwards.
            at: an aware instant of the local day `day`; in one of the zones, where the place is not certain.
            zones: IANA names joined by "|", or None where the borrower's place is not known.
            agreed: the hours agreed with the borrower.

        Raises ValueError where `at` is not of that day, and KeyError for a fact that the record can't lack.
        """
        forbids, unknown, opens, closes, bound = (self.code.get(step) or self._closure(step))(facts, agreed)
        local, minute = None, 0
        if zones is None:
            unknown |= bound  # without a place no hour is known to be lawful
            off = False
        else:
            local = local_day(zones, self.day)
            since = at - self._midnight
            minute = since.days * 1440 + since.seconds // 60
            if not local.last <= minute < 1440 + local.first:
                raise ValueError(f"{at} is not of {self.day} in {zones}: compile the rules for its local day")
            off = bound and not opens + local.first <= minute < closes + local.last
        return Answer(
            "forbidden" if forbids or off else "needs_human" if unknown else "permitted",
            self, step, facts, agreed, forbids, unknown, bound, opens, closes, local, minute,
        )  # fmt: skip

    def find(self, facts: Facts, zones: str | None, agreed: Hours | None) -> Findings:
        """What the rules say of one case, with the lawful hours of each contact step on the day."""
        local = None if zones is None else local_day(zones, self.day)
        # What the place, and a change of its clock, take from a span of hours; without a place, nothing is taken.
        lost = -1440 if local is None else local.first - local.last
        forbids, unknown, no_hours, spans = (self.code.get("*") or self._closure("*"))(facts, agreed, lost)
        return Findings(self, forbids, unknown, no_hours, spans, local)

    def ask_one(self, facts: Facts) -> tuple[int, int]:
        """What the rules forbid of one case, and what they can't tell."""
        found = self.find(facts, None, None)
        return found.forbids, found.unknown

    def own_hours(self, rule: Rule, facts: Facts, agreed: Hours | None) -> Hours:
        """The lawful minutes of the local day by one rule that binds, for one case."""
        key = f"hours of {rule.id}"
        if key not in self.code:
            hours = at(rule.hours, self.day)
            assert hours is not None
            lines, read = self._hours_source([(rule, hours)], 0)
            self._made(key, [*lines, "return _opens0, _closes0"], read)
        return Hours(*self.code[key](facts, agreed))

    def stands(self, rule: Rule, facts: Facts, most: int, quiet: Callable[[str], int]) -> int:
        """For how many further days, at most `most`, a rule that stands against a case must go on to.

        quiet: for how many days a fact changes by the passing of days alone, as the vocabulary's `moves` says. Of
        later days it can't be told: then the rule must stand whatever the fact is.
        """
        key = f"days of {rule.id}"
        if key not in self.code:
            condition = self.condition(rule)
            told, read = said(condition, self._nothing_sure), sorted(facts_read(condition))
            moves = {name: each for name in read if (each := self.vocabulary.facts[name].moves)}
            untold = [name for name, each in moves.items() if each.how == "unknown"]
            lines = [f"_of_{name} = {0 if name in untold else f'_quiet({name!r})'}" for name in read]
            lines += [f"_told = min([{', '.join(['_most', *(f'_of_{name}' for name in read)])}])"]
            lines += ["for _day in range(_most):"]
            lines += [f"    if _day >= _told and _day == _of_{name}: {name} = None" for name in read]
            lines += [f"    {passing(name, each, self.vocabulary.never)}" for name, each in moves.items()]
            lines += [f"    if not ({told.true}) and (_day >= _told or {told.false}): return _day", "return _most"]
            self._made(key, lines, read, "_most", "_quiet")
        found: int = self.code[key](facts, None, most, quiet)
        return found

    # A closure's own names begin with an underscore, which no fact's does.

    def _closure(self, step: str) -> Callable[..., Any]:
        """The closure that answers for one step, or, for "*", for all rules and the hours of each step."""
        if step != "*" and step not in {each.id for each in self.steps}:
            raise KeyError(f"the {self.asked} does not ask about the step {step!r}")
        lines = ["_forbids = _unknown = 0"]
        read: set[str] = set()
        for bit, rule in enumerate(self.rules):
            if rule.forbid is None or step not in ("*", *rule.steps):
                continue
            condition = self.condition(rule)
            read |= facts_read(condition)
            told = said(condition, self.vocabulary)
            lines.append(f"if {told.true}: _forbids |= {1 << bit}")
            if not told.sure:
                lines.append(f"elif not ({told.false}): _unknown |= {1 << bit}")
        if step != "*":
            more, names = self._hours_source(self.hours_of(step), 0)
            lines += [*more, "return _forbids, _unknown, _opens0, _closes0, _bound0"]
            return self._made(step, lines, read | names)
        lines.append("_no_hours = 0")
        # Steps that the same rules give their hours share one span.
        alike: dict[tuple[str, ...], int] = {}
        kinds = []
        for each in self.contacts:
            hours = self.hours_of(each.id)
            kind = alike.setdefault(tuple(rule.id for rule, _ in hours), len(alike))
            if kind not in kinds:
                more, names = self._hours_source(hours, kind)
                lines += more
                read |= names
            kinds.append(kind)
        for kind in sorted(set(kinds)):
            bits = sum(1 << each.bit for each, k in zip(self.contacts, kinds, strict=True) if k == kind)
            lines.append(f"if _closes{kind} - _opens{kind} <= _lost: _no_hours |= {bits}")
        spans = "".join(f"(_opens{kind}, _closes{kind})," for kind in kinds)
        lines.append(f"return _forbids, _unknown, _no_hours, ({spans})")
        return self._made(step, lines, read, "_lost")

    def _hours_source(self, hours: list[tuple[Rule, Hours]], k: int) -> tuple[list[str], frozenset[str]]:
        """Lines that work out the lawful minutes by these rules, and the bits of those that bind."""
        lines = [f"_opens{k}, _closes{k}, _bound{k} = 0, 1440, 0"]
        read: set[str] = set()
        for scope, exception, span, bits in self._spans(hours):
            read |= facts_read(scope) | facts_read(exception)
            own = [
                f"if _opens{k} < {span.opens}: _opens{k} = {span.opens}",
                f"if _closes{k} > {span.closes}: _closes{k} = {span.closes}",
            ]
            if exception != Const(False):
                stands = said(exception, self.vocabulary).true
                own = [f"if _agreed is None or not {stands}:", *(f"    {line}" for line in own)]
            # Agreed hours narrow every span; where its exception says so, they stand alone.
            own += [
                "if _agreed is not None:",
                f"    if _opens{k} < _agreed.opens: _opens{k} = _agreed.opens",
                f"    if _closes{k} > _agreed.closes: _closes{k} = _agreed.closes",
            ]
            # Where it is not known whether a rule binds, it does.
            lines += [f"if not ({said(scope, self.vocabulary).false}):", f"    _bound{k} |= {bits}"]
            lines += [f"    {line}" for line in own]
        return lines, frozenset(read)

    def _made(self, key: str, lines: list[str], read: Iterable[str], *more: str) -> Callable[..., Any]:
        """The closure of these lines over the facts that they read, kept under `key`."""
        names = sorted(read)
        facts = [
            f"{name} = _f[{name!r}]" if self.vocabulary.facts[name].known else f"{name} = _f.get({name!r})"
            for name in names
        ]
        scope: dict[str, Any] = {}
        if len(names) > 1:  # most records have them all, and then they are read at one go
            scope["_all"] = operator.itemgetter(*names)
            facts = [f"try: {', '.join(names)} = _all(_f)", "except KeyError:", *(f"    {line}" for line in facts)]
        body = "".join(f"    {line}\n" for line in [*facts, *lines])
        # The source comes out of trees alone: no text of a pack gets into it but by repr.
        exec(f"def ask({', '.join(('_f', '_agreed', *more))}):\n{body}", scope)
        self.code[key] = scope["ask"]
        return self.code[key]

    @cached_property
    def contacts(self) -> tuple[Step, ...]:
        """Those of the steps that reach out."""
        return tuple(step for step in self.steps if step.contact)

    @cached_property
    def _midnight(self) -> datetime:
        return datetime.combine(self.day, time(), UTC)

    @cached_property
    def _nothing_sure(self) -> Vocabulary:
        """The vocabulary, where any fact may be unknown."""
        facts = {name: replace(fact, known=False) for name, fact in self.vocabulary.facts.items()}
        return replace(self.vocabulary, facts=facts)

    # ---- what both share ---------------------------------------------------------------------------

    def hours_of(self, step: str) -> list[tuple[Rule, Hours]]:
        """The rules that set the hours of a step, with the hours of the day."""
        found = []
        for rule in self.rules:
            if step in rule.steps and (hours := at(rule.hours, self.day)) is not None:
                found.append((rule, hours))
        return found

    def _spans(self, hours: list[tuple[Rule, Hours]]) -> list[tuple[Node, Node, Hours, int]]:
        """Whom each span binds, its exception, the hours, the bits of its rules.

        Rules that bind the same accounts, with the same exception, are one span: the narrowest.
        """
        alike: dict[tuple[Node, Node], tuple[Hours, int]] = {}
        for rule, own in hours:
            key = self.scope(rule), self.exception(rule)
            so_far, bits = alike.get(key, (_DAY, 0))
            span = Hours(max(so_far.opens, own.opens), min(so_far.closes, own.closes))
            alike[key] = span, bits | 1 << self.rules.index(rule)
        return [(*key, *span) for key, span in alike.items()]

    def scope(self, rule: Rule) -> Node:
        """Whom the rule binds: its lender types and its `when`, with the figures of the day."""
        each = tuple(Compare("==", FactRef("lender_type"), Const(x)) for x in rule.lenders)
        lenders = Logic("or", each) if len(each) > 1 else each[0] if each else Const(True)
        return self._dated(rule, _every([lenders, rule.scope or Const(True)]))

    def exception(self, rule: Rule) -> Node:
        """The rule's `unless`, with the figures of the day."""
        return Const(False) if rule.unless is None else self._dated(rule, rule.unless)

    def condition(self, rule: Rule) -> Node:
        """When the rule forbids: bound, the default speaks, and no exception does. Figures are those of the day.

        A rule of hours forbids by its clock alone, so its own bit stays unset; where the place is
        not known, the pack's rule on place_known speaks.
        """
        if rule.forbid is None:
            return Const(False)
        if rule.id not in self.conditions:
            excepted = Const(True) if rule.unless is None else Not(self.exception(rule))
            stands = _every([self.scope(rule), self._dated(rule, rule.forbid), excepted])
            self.conditions[rule.id] = assume(stands, {})
        return self.conditions[rule.id]

    def may_be_unknown(self, rule: Rule) -> bool:
        """May a fact that the rule reads be unknown?"""
        return any(not self.vocabulary.facts[name].known for name in facts_read(self.condition(rule)))

    def _dated(self, rule: Rule, node: Node) -> Node:
        return assume(with_values(node, lambda name: self._figure(rule, name)), self._taken)

    @cached_property
    def _taken(self) -> dict[str, bool | int | str]:
        """What the night takes facts of the contact for."""
        facts = self.vocabulary.facts.values() if self.asked == "night" else ()
        return {fact.id: fact.night for fact in facts if fact.night is not None}

    def _figure(self, rule: Rule, name: str) -> Node:
        value = rule.values[name]
        bound = rule.lenders or self.vocabulary.facts["lender_type"].values
        figures = {lender: value.on(self.day, lender) for lender in bound}
        if None in figures.values():
            what = WordedError(
                N_(
                    "the value %(name)s has no entry for %(day)s, a day on which the rule is in force. Give it a value"
                    " from the rule's first day on."
                ),
                name=name,
                day=self.day,
            )
            raise Fault(f"{rule.instrument.file}: {rule.id}", what)
        general = value.on(self.day)
        if len(set(figures.values())) == 1:
            return Const(next(iter(figures.values())) or 0)
        own = tuple((lender, figure) for lender, figure in figures.items() if figure is not None and figure != general)
        return ByLender(own, general or 0)


@functools.lru_cache(maxsize=8192)
def compile_for(book: Rulebook, jurisdiction: str, day: date, asked: Asked = "night") -> Compiled:
    """The contact rules in force in a place on a day: its law, and the policies of every place.

    The night is not asked rules that read a fact that only the gate reads, unless it takes it for something
    (`Fact.night`), rules that are the gate's (`asked`), nor about steps that only the gate knows.
    Made once for each span of days between which no rule of the place begins, ends, or changes a figure.
    Raises PackError where the night has more rules that forbid than a column has bits.
    """
    changes = _changes(book, jurisdiction)
    k = bisect.bisect_right(changes, day)
    return replace(_compiled(book, jurisdiction, changes[k - 1] if k else date.min, asked), day=day)


def days_to_change(book: Rulebook, jurisdiction: str, day: date) -> int:
    """Days from `day` to the next day on which the law of a place changes."""
    changes = _changes(book, jurisdiction)
    k = bisect.bisect_right(changes, day)
    return (changes[k] - day).days if k < len(changes) else (date.max - day).days


@functools.lru_cache(maxsize=512)
def _changes(book: Rulebook, jurisdiction: str) -> tuple[date, ...]:
    """The days on which the law of a place changes, oldest first."""
    rules = (rule for rule in book.rules if rule.instrument.jurisdiction in (jurisdiction, "*"))
    return tuple(sorted(frozenset().union(*(rule.changes() for rule in rules))))


@functools.lru_cache(maxsize=512)
def _compiled(book: Rulebook, jurisdiction: str, day: date, asked: Asked) -> Compiled:
    steps = {step.id for step in book.vocabulary.steps.values() if step.asked in ("night", asked)}
    gate = {fact.id for fact in book.vocabulary.facts.values() if fact.asked != "night" and fact.night is None}
    rules = [
        rule
        for rule in book.in_force(jurisdiction, day)
        if rule.steps & steps and (asked == "gate" or (rule.asked == "night" and not rule.facts_read() & gate))
    ]
    if asked == "night":  # what is settled by whom the night plans to contact is no question
        alone = Compiled(jurisdiction, day, book.vocabulary, ())
        rules = [rule for rule in rules if rule.forbid is None or alone.condition(rule) != Const(False)]
    rules.sort(key=lambda rule: (rule.forbid is None, rule.id))
    forbidding = sum(rule.forbid is not None for rule in rules)
    if asked == "night" and forbidding > MAX_RULES:
        raise _too_many(forbidding, jurisdiction, day)
    return Compiled(jurisdiction, day, book.vocabulary, tuple(rules), asked)


def _too_many(forbidding: int, place: str, day: date) -> PackError:
    return PackError(
        N_(
            "%(n)s rules that forbid are in force in %(place)s on %(day)s; the limit is %(most)s. Join rules that share"
            " an article and steps."
        ),
        n=forbidding,
        place=place,
        day=day,
        most=MAX_RULES,
    )


def _every(parts: Iterable[Node]) -> Node:
    """The conjunction of conditions, without those that are always true."""
    spoken = tuple(part for part in parts if part != Const(True))
    if len(spoken) > 1:
        return Logic("and", spoken)
    return spoken[0] if spoken else Const(True)


# ---- the tree as an Ibis expression -----------------------------------------------------------------


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
}


def _ibis(node: Node, facts: ir.Table) -> Any:
    """The node as an Ibis expression. SQL's NULL is Kleene's unknown, so the meaning carries over."""
    match node:
        case Const(value=value):
            return ibis.literal(value)
        case FactRef(id=name):
            return facts[name]
        case ByLender(figures=figures, otherwise=otherwise):
            return ibis.cases(*((facts["lender_type"] == lender, n) for lender, n in figures), else_=otherwise)
        case Known(fact=FactRef(id=name), value=value):
            column = facts[name]
            return (column if value else ~column).fill_null(False)
        case Not(part=part):
            return ~_ibis(part, facts)
        case Logic(op=op, parts=parts):
            each = [_ibis(part, facts) for part in parts]
            return reduce((lambda a, b: a & b) if op == "and" else (lambda a, b: a | b), each)
        case Compare(op=op, left=left, right=right) | Arith(op=op, left=left, right=right):
            return _OPERATORS[op](_ibis(left, facts), _ibis(right, facts))
        case _:
            raise AssertionError(f"{node} was left without its figure")
