"""Compiles the rules in force in one place on one day: to Ibis for a book, to a closure for one case.

The answer to each rule is a bit in one of two whole numbers: `forbids` (the rule forbids the steps
that it governs) and `unknown` (a fact is missing, so that it can't be told; that never permits).
Both are small, the same in the batch and for one case, and can be turned back into words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, reduce
from typing import Any

import ibis
import ibis.expr.types as ir

from forbear.rulebook.errors import PackError
from forbear.rulebook.hours import instant, local_day
from forbear.rulebook.language import Arith, Compare, Const, FactRef, Logic, Node, Not, ValueRef, facts_read
from forbear.rulebook.load import Rulebook
from forbear.rulebook.models import Facts, Hours, Rule, Vocabulary, at

#: Bits in a signed 64-bit column.
MAX_RULES = 63
_DAY = Hours(0, 24 * 60)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the rules say of one case: bit k belongs to rule k; bit s of no_hours to step s."""

    forbids: int
    unknown: int
    no_hours: int
    #: The first and last lawful instants of each contact step; None where the place is not known.
    windows: Mapping[str, tuple[datetime, datetime] | None]


@dataclass(frozen=True, eq=False)
class Compiled:
    """The rules of one jurisdiction on one day, ready to be asked."""

    jurisdiction: str
    day: date
    vocabulary: Vocabulary
    rules: tuple[Rule, ...]  # in the order of their bits

    @cached_property
    def step_masks(self) -> Mapping[str, int]:
        """For each step, the bits of the rules that govern it."""
        return {
            step: sum(1 << bit for bit, rule in enumerate(self.rules) if step in rule.steps)
            for step in self.vocabulary.steps
        }

    # ---- a book ------------------------------------------------------------------------------------

    def masks(self, facts: ir.Table) -> tuple[ir.IntegerValue, ir.IntegerValue]:
        """The columns `forbids` and `unknown` over a table with a column for each fact."""
        forbids, unknown = [ibis.literal(0, "int64")], [ibis.literal(0, "int64")]
        for bit, rule in enumerate(self.rules):
            if rule.forbid is None:
                continue
            weight = ibis.literal(1 << bit, "int64")
            condition, values = self._condition(rule), self._values(rule)
            forbids.append(ibis.ifelse(_ibis(condition, facts, values), weight, 0))
            if self._may_be_unknown(rule):
                # Ibis 12 writes `NOT x IS NULL` for (not x) IS NULL, which SQL reads as NOT (x IS NULL);
                # a negation is unknown just where its part is.
                while isinstance(condition, Not):
                    condition = condition.part
                unknown.append(ibis.ifelse(_ibis(condition, facts, values).isnull(), weight, 0))
        return (
            reduce(lambda a, b: a + b, forbids).cast("int64"),
            reduce(lambda a, b: a + b, unknown).cast("int64"),
        )

    def minutes(self, step: str, facts: ir.Table) -> tuple[ir.IntegerValue, ir.IntegerValue]:
        """The lawful minutes of the local day of a step: the columns from and to.

        The table also holds agreed_from_min and agreed_to_min, the hours agreed with the borrower.
        """
        # Rules that bind the same accounts, with the same exception, are one span: the narrowest.
        alike: dict[tuple[Any, ...], Hours] = {}
        for rule, hours in self._hours(step):
            key = (self._scope(rule), rule.unless, tuple(sorted(self._values(rule).items())))
            so_far = alike.get(key, _DAY)
            alike[key] = Hours(max(so_far.opens, hours.opens), min(so_far.closes, hours.closes))
        opens, closes = [], []
        for (scope, unless, values), hours in alike.items():
            own_opens, own_closes = ibis.literal(hours.opens, "int64"), ibis.literal(hours.closes, "int64")
            if unless is not None:
                agreed = _ibis(unless, facts, dict(values))
                own_opens = ibis.ifelse(agreed, facts["agreed_from_min"], own_opens)
                own_closes = ibis.ifelse(agreed, facts["agreed_to_min"], own_closes)
            if scope != Const(True):
                bound = _ibis(scope, facts, dict(values))
                own_opens = ibis.ifelse(bound, own_opens, _DAY.opens)
                own_closes = ibis.ifelse(bound, own_closes, _DAY.closes)
            opens.append(own_opens)
            closes.append(own_closes)
        if not alike:
            return ibis.literal(_DAY.opens, "int64"), ibis.literal(_DAY.closes, "int64")
        if len(alike) == 1:
            return opens[0], closes[0]
        return ibis.greatest(*opens), ibis.least(*closes)

    # ---- one case ----------------------------------------------------------------------------------

    @cached_property
    def ask_one(self) -> Callable[[Facts], tuple[int, int]]:
        """A closure from facts to (forbids, unknown)."""
        lines = ["def ask(f):", "    forbids = unknown = 0"]
        used = sorted({name for rule in self.rules for name in facts_read(self._condition(rule))})
        lines += [f"    {name} = f[{name!r}]" for name in used]
        for bit, rule in enumerate(self.rules):
            source = _python(self._condition(rule), self._values(rule), self.vocabulary)
            lines += [f"    said = {source}", f"    if said: forbids |= {1 << bit}"]
            if self._may_be_unknown(rule):
                lines += [f"    elif said is None: unknown |= {1 << bit}"]
        lines += ["    return forbids, unknown"]
        scope: dict[str, Any] = {"_all": _all, "_any": _any}
        # The source comes out of the tree of this module alone: no text of a pack gets into it but by repr.
        exec("\n".join(lines), scope)
        ask: Callable[[Facts], tuple[int, int]] = scope["ask"]
        return ask

    def find(self, facts: Facts, zones: str | None, agreed: Hours | None) -> Findings:
        """What the rules say of one case, with the lawful hours of each contact step on the day."""
        forbids, unknown = self.ask_one(facts)
        windows: dict[str, tuple[datetime, datetime] | None] = {}
        no_hours = 0
        for step in self.vocabulary.steps.values():
            if not step.contact:
                continue
            if zones is None:
                windows[step.id] = None
                continue
            local = local_day(zones, self.day)
            span = self.minutes_one(step.id, facts, agreed)
            first, last = span.opens + local.first, span.closes + local.last
            if first >= last:
                no_hours |= 1 << step.bit
            windows[step.id] = instant(self.day, first), instant(self.day, last)
        return Findings(forbids, unknown, no_hours, windows)

    def minutes_one(self, step: str, facts: Facts, agreed: Hours | None) -> Hours:
        """The lawful minutes of the local day of a step, for one case; they may be none (opens >= closes)."""
        span = _DAY
        for rule, hours in self._hours(step):
            if not _evaluate(self._scope(rule), facts, self._values(rule)):
                continue
            if rule.unless is not None and _evaluate(rule.unless, facts, self._values(rule)) and agreed is not None:
                hours = agreed
            span = Hours(max(span.opens, hours.opens), min(span.closes, hours.closes))
        return span

    def hours_rules(self, step: str) -> tuple[Rule, ...]:
        """The rules that set the hours of a step."""
        return tuple(rule for rule, _ in self._hours(step))

    # ---- what both share ---------------------------------------------------------------------------

    def _hours(self, step: str) -> list[tuple[Rule, Hours]]:
        found = []
        for rule in self.rules:
            if step in rule.steps and (hours := at(rule.hours, self.day)) is not None:
                found.append((rule, hours))
        return found

    def _values(self, rule: Rule) -> Mapping[str, int]:
        values = {name: at(dated, self.day) for name, dated in rule.values.items()}
        for name, value in values.items():
            if value is None:
                raise PackError(
                    f"{rule.instrument.file}: {rule.id}: the value {name} has no entry for {self.day}, a day on"
                    " which the rule is in force. Give it a value from the rule's first day on."
                )
        return values  # type: ignore[return-value]

    def _scope(self, rule: Rule) -> Node:
        """Whom the rule binds: its lender types and its `when`."""
        parts: list[Node] = []
        if rule.lenders:
            parts.append(Logic("or", tuple(Compare("==", FactRef("lender_type"), Const(x)) for x in rule.lenders)))
        if rule.scope is not None:
            parts.append(rule.scope)
        return _every(parts)

    def _condition(self, rule: Rule) -> Node:
        """When the rule forbids: bound, the default speaks, and no exception does.

        A rule of hours forbids by its clock alone, so its own bit stays unset; where the place is
        not known, the pack's rule on place_known speaks.
        """
        if rule.forbid is None:
            return Const(False)
        parts = [self._scope(rule), rule.forbid]
        if rule.unless is not None:
            parts.append(Not(rule.unless))
        return _every(parts)

    def _may_be_unknown(self, rule: Rule) -> bool:
        return any(not self.vocabulary.facts[name].known for name in facts_read(self._condition(rule)))


def compile_for(book: Rulebook, jurisdiction: str, day: date) -> Compiled:
    """The contact rules in force in a place on a day: its law, and the policies of every place."""
    rules = tuple(
        rule
        for rule in book.rules
        if rule.steps and rule.instrument.jurisdiction in (jurisdiction, "*") and rule.in_force(day)
    )
    if len(rules) > MAX_RULES:
        raise PackError(
            f"{len(rules)} contact rules are in force in {jurisdiction} on {day}; the limit is {MAX_RULES}."
            " Join rules that share an article and steps."
        )
    return Compiled(jurisdiction, day, book.vocabulary, rules)


def _every(parts: Sequence[Node]) -> Node:
    """The conjunction of conditions, without those that are always true."""
    spoken = tuple(part for part in parts if part != Const(True))
    if len(spoken) > 1:
        return Logic("and", spoken)
    return spoken[0] if spoken else Const(True)


# ---- the tree, three ways ---------------------------------------------------------------------------


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


def _ibis(node: Node, facts: ir.Table, values: Mapping[str, int]) -> Any:
    """The node as an Ibis expression. SQL's NULL is Kleene's unknown, so the meaning carries over."""
    match node:
        case Const(value=value):
            return ibis.literal(value)
        case FactRef(id=name):
            return facts[name]
        case ValueRef(id=name):
            return ibis.literal(values[name])
        case Not(part=part):
            return ~_ibis(part, facts, values)
        case Logic(op=op, parts=parts):
            each = [_ibis(part, facts, values) for part in parts]
            return reduce((lambda a, b: a & b) if op == "and" else (lambda a, b: a | b), each)
        case Compare(op=op, left=left, right=right) | Arith(op=op, left=left, right=right):
            return _OPERATORS[op](_ibis(left, facts, values), _ibis(right, facts, values))


def _evaluate(node: Node, facts: Facts, values: Mapping[str, int]) -> Any:
    """The node's value for one case, node by node; None is unknown."""
    match node:
        case Const(value=value):
            return value
        case FactRef(id=name):
            return facts[name]
        case ValueRef(id=name):
            return values[name]
        case Not(part=part):
            said = _evaluate(part, facts, values)
            return None if said is None else not said
        case Logic(op=op, parts=parts):
            return (_all if op == "and" else _any)([_evaluate(part, facts, values) for part in parts])
        case Compare(op=op, left=left, right=right) | Arith(op=op, left=left, right=right):
            a, b = _evaluate(left, facts, values), _evaluate(right, facts, values)
            return None if a is None or b is None else _OPERATORS[op](a, b)


def _python(node: Node, values: Mapping[str, int], vocabulary: Vocabulary) -> str:
    """The node as Python source over local variables named as the facts; None is unknown."""

    def known(each: Node) -> bool:
        return all(vocabulary.facts[name].known for name in facts_read(each))

    match node:
        case Const(value=value):
            return repr(value)
        case FactRef(id=name):
            return name
        case ValueRef(id=name):
            return repr(values[name])
        case Not(part=part):
            inner = _python(part, values, vocabulary)
            return f"(not {inner})" if known(part) else f"(None if (x := {inner}) is None else not x)"
        case Logic(op=op, parts=parts):
            each = [_python(part, values, vocabulary) for part in parts]
            if known(node):
                return "(" + f" {op} ".join(each) + ")"
            return f"{'_all' if op == 'and' else '_any'}(({', '.join(each)},))"
        case Compare(op=op, left=left, right=right) | Arith(op=op, left=left, right=right):
            a, b = _python(left, values, vocabulary), _python(right, values, vocabulary)
            if known(node):
                return f"({a} {op} {b})"
            tests = " or ".join(
                f"{name} is None" for name in sorted(facts_read(node)) if not vocabulary.facts[name].known
            )
            return f"(None if {tests} else {a} {op} {b})"


def _all(parts: Any) -> bool | None:
    """Kleene's conjunction: one False settles it, whatever is unknown."""
    if False in parts:
        return False
    return None if None in parts else True


def _any(parts: Any) -> bool | None:
    """Kleene's disjunction: one True settles it, whatever is unknown."""
    if True in parts:
        return True
    return None if None in parts else False
