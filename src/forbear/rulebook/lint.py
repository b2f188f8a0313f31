"""What is wrong with rules that can be read: examples that disagree, conditions that settle nothing, no hour left.

Each fault is one line: file, rule, what is wrong, what to do. `read.py` finds what can't be read at all.
"""

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from forbear.errors import WordedError
from forbear.locale import N_
from forbear.rulebook.book import Rulebook
from forbear.rulebook.compile import Compiled
from forbear.rulebook.errors import Fault
from forbear.rulebook.examples import disagreement, plain_facts
from forbear.rulebook.language import Arith, ByLender, Compare, Const, Known, Logic, Node, Not, facts_read
from forbear.rulebook.models import Fact, FactValue, Rule, Vocabulary

#: Cases tried of one condition; beyond it, as many are drawn, always the same.
_MOST_CASES = 20_000


def faults_of(book: Rulebook, files: frozenset[str] | None = None) -> list[Fault]:
    """Every fault of the rules of these files (None: of all)."""
    faults: list[Fault] = []
    for rule in book.rules:
        if files is None or rule.instrument.file in files:
            faults += [Fault(f"{rule.instrument.file}: {rule.id}", what) for what in _of_rule(book, rule)]
    for place in sorted({rule.instrument.jurisdiction for rule in book.rules}):
        for rule, what in _no_hour(book, place, files or frozenset()):
            if files is None or rule.instrument.file in files:
                faults.append(Fault(f"{rule.instrument.file}: {rule.id}", what))
    return faults


def _of_rule(book: Rulebook, rule: Rule) -> Iterator[WordedError]:
    try:
        for day in sorted(day for day in rule.changes() if rule.in_force(day)):
            if rule.steps:
                alone = _alone(book.vocabulary, rule, day)
                alone.condition(rule), alone.scope(rule), alone.exception(rule)
    except Fault as error:
        yield error.what
        return
    yield from _examples(book, rule)
    if rule.instrument.kind == "law" and any(map(_takes_unknown_for_no, (rule.scope, rule.forbid, rule.unless))):
        yield WordedError(N_("asks with `is`, which takes the unknown for no: law never does. Write the fact alone."))
    if rule.forbid is not None:
        said = _sayings(book.vocabulary, rule)
        if said == {True}:
            yield WordedError(
                N_("forbids whatever the facts are: a contradiction, nothing could permit. Mend the condition.")
            )
        elif said == {False}:
            yield WordedError(N_("never forbids, whatever the facts are. Mend the condition, or take the rule out."))


def _examples(book: Rulebook, rule: Rule) -> Iterator[WordedError]:
    for k, example in enumerate(rule.examples, 1):
        if (differs := disagreement(book, rule, example)) is not None:
            yield WordedError(
                N_("example %(n)s: the rule %(differs)s. Mend the rule or the example."), n=k, differs=differs
            )
    if rule.tightens is not None:
        return
    if rule.steps:
        said = {example.says for example in rule.examples}
        if rule.forbid is not None and not ("forbids" in said and said & {"permits", "unknown"}):
            yield WordedError(N_("has no examples on both sides. Add one that forbids and one that does not."))
        elif rule.hours and not said >= {"forbids", "permits"}:
            yield WordedError(N_("has no examples on both sides. Add a time that it forbids and one that it permits."))
    elif not rule.examples:
        yield WordedError(N_("has no example. Add one."))


def _alone(vocabulary: Vocabulary, rule: Rule, day: date) -> Compiled:
    return Compiled(rule.instrument.jurisdiction, day, vocabulary, (rule,), "gate")


def _sayings(vocabulary: Vocabulary, rule: Rule) -> set[bool]:
    """Whether a rule forbids, over the boundary values of all facts that it reads."""
    alone = _alone(vocabulary, rule, rule.since)
    said = set()
    for facts in _cases(vocabulary, [alone.condition(rule)]):
        said.add(bool(alone.ask_one(facts)[0]))
        if len(said) == 2:
            break
    return said


def _no_hour(book: Rulebook, place: str, files: frozenset[str]) -> Iterator[tuple[Rule, WordedError]]:
    """Law of one place that, taken together, leaves a step no lawful minute: told of the rule that came last.

    Of one in `files`, where there is one.
    """
    laws = [r for r in book.rules if r.instrument.jurisdiction == place and r.instrument.kind == "law" and r.hours]
    told: list[tuple[str, frozenset[str]]] = []
    for day in sorted(frozenset().union(*(rule.changes() for rule in laws))):
        rules = tuple(rule for rule in laws if rule.in_force(day))
        compiled = Compiled(place, day, book.vocabulary, rules, "gate")
        for step in sorted(frozenset().union(*(rule.steps for rule in rules))):
            for facts in _cases(book.vocabulary, [compiled.scope(rule) for rule in rules if step in rule.steps]):
                bound = [rule for rule in rules if step in rule.steps and _binds(compiled, rule, facts)]
                spans = [compiled.own_hours(rule, facts, None) for rule in bound]
                if bound and max(s.opens for s in spans) >= min(s.closes for s in spans):
                    last = max(bound, key=lambda rule: (rule.instrument.file in files, rule.since, rule.id))
                    others = tuple(rule.id for rule in bound if rule is not last)
                    ids = frozenset(rule.id for rule in bound)
                    # Told once, of the fewest: not again when more rules come to bind.
                    if not any(step == other and few <= ids for other, few in told):
                        told.append((step, ids))
                        yield (
                            last,
                            WordedError(
                                N_(
                                    "with %(others)s it leaves no lawful minute for %(step)s on %(day)s: a"
                                    " contradiction. Mend the hours of one."
                                ),
                                others=", ".join(others),
                                step=step,
                                day=day,
                            ),
                        )


def _binds(compiled: Compiled, rule: Rule, facts: Mapping[str, FactValue]) -> bool:
    own = compiled.own_hours(rule, facts, None)
    return (own.opens, own.closes) != (0, 1440)


def _cases(vocabulary: Vocabulary, conditions: Iterable[Node]) -> Iterator[dict[str, FactValue]]:
    """Whole sets of facts in which all that the conditions read stands at its boundaries."""
    conditions = list(conditions)
    read = sorted(frozenset().union(*map(facts_read, conditions)))
    numbers = sorted({n + d for node in conditions for n in _numbers(node) for d in (-1, 0, 1) if n + d >= 0} | {0, 1})
    values = [_boundary(vocabulary.facts[name], numbers) for name in read]
    plain = plain_facts(vocabulary)
    drawn: Iterable[tuple[FactValue, ...]] = itertools.product(*values)
    if math.prod(map(len, values)) > _MOST_CASES:
        chance = random.Random(0)
        drawn = (tuple(map(chance.choice, values)) for _ in range(_MOST_CASES))
    for case in drawn:
        yield plain | dict(zip(read, case, strict=True))


def _boundary(fact: Fact, numbers: list[int]) -> list[FactValue]:
    if fact.type == "bool":
        return [False, True]
    return list(fact.values) if fact.type == "enum" else list(numbers)


def _takes_unknown_for_no(node: Node | None) -> bool:
    match node:
        case Known():
            return True
        case Not(part=part):
            return _takes_unknown_for_no(part)
        case Logic(parts=parts):
            return any(map(_takes_unknown_for_no, parts))
        case _:
            return False


def _numbers(node: Node) -> set[int]:
    """The whole numbers that a condition compares with."""
    match node:
        case Const(value=bool() | str()):
            return set()
        case Const(value=int() as number):
            return {number}
        case ByLender(figures=figures, otherwise=otherwise):
            return {number for _, number in figures} | {otherwise}
        case Not(part=part):
            return _numbers(part)
        case Logic(parts=parts):
            return set().union(*map(_numbers, parts))
        case Compare(left=left, right=right) | Arith(left=left, right=right):
            return _numbers(left) | _numbers(right)
        case _:
            return set()
