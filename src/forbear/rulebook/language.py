"""The condition language: a small typed part of Python's own expression syntax.

Facts and values by name, whole numbers, "texts", True, False; `and or not`, comparisons, `in (…)`,
`+` and `-`, and `is True`, `is False` of a fact. Python's own parser reads it (docs/decisions/0002), and nothing but
these nodes comes out. It has three values: what needs an unknown fact is unknown, unless the rest already settles it;
`is` alone asks what is known, and is never unknown (docs/decisions/0012).
"""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from forbear.errors import WordedError
from forbear.locale import N_

Type = Literal["bool", "int", "enum"]


@dataclass(frozen=True, slots=True)
class Const:
    """A literal."""

    value: bool | int | str


@dataclass(frozen=True, slots=True)
class FactRef:
    """A fact about the account."""

    id: str


@dataclass(frozen=True, slots=True)
class ValueRef:
    """A dated value of the rule, fixed when the rulebook is compiled for a day."""

    id: str


@dataclass(frozen=True, slots=True)
class Logic:
    """Conjunction or disjunction of two or more conditions."""

    op: Literal["and", "or"]
    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """Negation: of unknown, unknown."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class Known:
    """Is it known that a fact is this? False where it is not, and where it is not known: never unknown."""

    fact: FactRef
    value: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of two operands of one type."""

    op: Literal["==", "!=", "<", "<=", ">", ">="]
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Arith:
    """Sum or difference of whole numbers."""

    op: Literal["+", "-"]
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class ByLender:
    """A figure of a day that differs by type of lender: what a ValueRef becomes when it is compiled."""

    figures: tuple[tuple[str, int], ...]
    otherwise: int


Node = Const | FactRef | ValueRef | ByLender | Logic | Not | Known | Compare | Arith

_COMPARE: dict[type[ast.cmpop], Literal["==", "!=", "<", "<=", ">", ">="]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


_HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class ConditionError(WordedError):
    """A condition that can't be read: what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a condition may name: facts with their types and texts, the rule's values, the pack's definitions."""

    facts: Mapping[str, Type]
    texts: Mapping[str, tuple[str, ...]]
    values: frozenset[str] = frozenset()
    defined: Mapping[str, "Node"] = field(default_factory=dict)


def parse(source: str, names: Names) -> Node:
    """The tree of a condition, typed bool. Raises ConditionError."""
    try:
        tree = ast.parse(source, mode="eval").body
    except SyntaxError as error:
        if not error.offset:  # Python has no place for what is missing at the end
            raise ConditionError(N_("ends where more must follow: %(given)s"), given=repr(source)) from None
        raise ConditionError(
            N_("can't be read at character %(at)s: %(given)s"), at=error.offset, given=repr(source)
        ) from None
    node = _node(tree, names)
    if _type(node, names) != "bool":
        raise ConditionError(N_("is not a condition (true or false): %(given)s"), given=repr(source))
    return node


def _node(tree: ast.expr, names: Names) -> Node:
    match tree:
        case ast.Constant(value=bool() | int() | str() as value):
            return Const(value)
        case ast.Name(id=name):
            if name in names.values:
                return ValueRef(name)
            if name in names.defined:
                return names.defined[name]
            if name in names.facts:
                return FactRef(name)
            raise ConditionError(
                N_("names %(name)s, which is neither a fact of vocabulary.toml, nor a value of the rule, nor defined"),
                name=repr(name),
            )
        case ast.BoolOp(op=op, values=parts):
            nodes = tuple(_node(part, names) for part in parts)
            for node in nodes:
                _want(node, "bool", names)
            return Logic("and" if isinstance(op, ast.And) else "or", nodes)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(_want(_node(operand, names), "bool", names))
        case ast.BinOp(op=(ast.Add() | ast.Sub()) as op, left=left, right=right):
            sides = (_want(_node(side, names), "int", names) for side in (left, right))
            return Arith("+" if isinstance(op, ast.Add) else "-", *sides)
        case ast.Compare(left=left, ops=[ast.In()], comparators=[ast.Tuple(elts=items)]) if items:
            return Logic("or", tuple(_compare("==", _node(left, names), _node(item, names), names) for item in items))
        case ast.Compare(left=left, ops=[ast.Is()], comparators=[ast.Constant(value=bool() as value)]):
            fact = _node(left, names)
            if not isinstance(fact, FactRef) or _type(fact, names) != "bool":
                raise ConditionError(N_("asks with `is` of what is no fact that is true or false"))
            return Known(fact, value)
        case ast.Compare(left=left, ops=ops, comparators=rights) if all(type(op) in _COMPARE for op in ops):
            operands = [_node(each, names) for each in (left, *rights)]
            links = tuple(_compare(_COMPARE[type(op)], operands[k], operands[k + 1], names) for k, op in enumerate(ops))
            return links[0] if len(links) == 1 else Logic("and", links)
    raise ConditionError(
        N_("uses %(given)s, which the condition language does not have"), given=repr(ast.unparse(tree))
    )


def _compare(op: Literal["==", "!=", "<", "<=", ">", ">="], left: Node, right: Node, names: Names) -> Node:
    kind = _type(left, names)
    _want(right, kind, names)
    if kind != "int" and op not in ("==", "!="):
        raise ConditionError(N_("orders what has no order, with %(op)s"), op=op)
    for fact, const in ((left, right), (right, left)):
        if isinstance(fact, FactRef) and isinstance(const, Const) and isinstance(const.value, str):
            allowed = names.texts.get(fact.id, ())
            if const.value not in allowed:
                raise ConditionError(
                    N_("compares %(fact)s with %(given)s; it may be %(known)s"),
                    fact=fact.id,
                    given=repr(const.value),
                    known=", ".join(allowed),
                )
    if any(isinstance(side, Logic | Not | Known | Compare) for side in (left, right)):
        # Two conditions are the same where both hold or both do not: no engine is asked to compare truths.
        same = Logic("or", (Logic("and", (left, right)), Logic("and", (Not(left), Not(right)))))
        return same if op == "==" else Not(same)
    return Compare(op, left, right)


def _want(node: Node, kind: Type, names: Names) -> Node:
    if (found := _type(node, names)) != kind:
        raise ConditionError(N_("has a part of type %(given)s where %(known)s is needed"), given=found, known=kind)
    return node


def _type(node: Node, names: Names) -> Type:
    match node:
        case Const(value=bool()) | Logic() | Not() | Known() | Compare():
            return "bool"
        case Const(value=str()):
            return "enum"
        case FactRef(id=name):
            return names.facts[name]
        case _:
            return "int"


def names_in(source: str) -> frozenset[str]:
    """The names that a condition's text mentions; none where it can't be read."""
    try:
        return frozenset(node.id for node in ast.walk(ast.parse(source, mode="eval")) if isinstance(node, ast.Name))
    except SyntaxError:
        return frozenset()


def with_values(node: Node, value: "Callable[[str], Node]") -> Node:
    """The tree with each ValueRef replaced by what `value` gives for its name."""
    match node:
        case ValueRef(id=name):
            return value(name)
        case Logic(op=op, parts=parts):
            return Logic(op, tuple(with_values(part, value) for part in parts))
        case Not(part=part):
            return Not(with_values(part, value))
        case Compare(op=op, left=left, right=right):
            return Compare(op, with_values(left, value), with_values(right, value))
        case Arith(op=sign, left=left, right=right):
            return Arith(sign, with_values(left, value), with_values(right, value))
        case _:
            return node


def assume(node: Node, known: Mapping[str, bool | int | str]) -> Node:
    """The tree where these facts are known, with all that they settle folded away."""
    match node:
        case FactRef(id=name) if name in known:
            return Const(known[name])
        case Known(fact=FactRef(id=name), value=value) if name in known:
            return Const(known[name] is value)
        case Not(part=part):
            inner = assume(part, known)
            return Const(not inner.value) if isinstance(inner, Const) else Not(inner)
        case Logic(op=op, parts=parts):
            settled, neutral = Const(op == "or"), Const(op == "and")
            left = tuple(part for each in parts if (part := assume(each, known)) != neutral)
            if settled in left:
                return settled
            return Logic(op, left) if len(left) > 1 else left[0] if left else neutral
        case Compare(op=op, left=left, right=right):
            one, other = assume(left, known), assume(right, known)
            if isinstance(one, Const) and isinstance(other, Const):
                return Const(_HOLDS[op](one.value, other.value))
            return Compare(op, one, other)
        case _:
            return node


def facts_read(node: Node | None) -> frozenset[str]:
    """The facts that a condition names."""
    match node:
        case ByLender():
            return frozenset(("lender_type",))
        case FactRef(id=name):
            return frozenset((name,))
        case Logic(parts=parts):
            return frozenset().union(*map(facts_read, parts))
        case Not(part=part):
            return facts_read(part)
        case Known(fact=fact):
            return facts_read(fact)
        case Compare(left=left, right=right) | Arith(left=left, right=right):
            return facts_read(left) | facts_read(right)
        case _:
            return frozenset()
