"""Turns the tree of a condition into Python source: two plain conditions, "it is true" and "it is false".

Where a fact is unknown both fail, and what neither proves is unknown: this is Kleene's logic without a
third value, so that the closure made of it is as fast as Python written by hand.
"""

from dataclasses import dataclass

from forbear.rulebook.language import Arith, ByLender, Compare, Const, FactRef, Known, Logic, Node, Not, facts_read
from forbear.rulebook.models import Moves, Vocabulary

_CONTRARY = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Said:
    """Source of two conditions over local variables named as the facts; `sure`: one is the other's contrary."""

    true: str
    false: str
    sure: bool


def said(node: Node, vocabulary: Vocabulary) -> Said:
    """The source of a condition. No text of a pack gets into it but by repr."""
    sure = all(vocabulary.facts[name].known for name in facts_read(node))
    match node:
        case Const(value=value):
            return Said(repr(bool(value)), repr(not value), True)
        case FactRef(id=name):
            return Said(name, f"not {name}" if sure else f"{name} is False", sure)
        case Known(fact=FactRef(id=name), value=value):
            return Said(f"{name} is {value}", f"{name} is not {value}", True)
        case Not(part=part):
            inner = said(part, vocabulary)
            return Said(inner.false, inner.true, sure)
        case Logic(op=op, parts=parts):
            each = [said(part, vocabulary) for part in parts]
            contrary = "or" if op == "and" else "and"
            return Said(_join(op, [s.true for s in each]), _join(contrary, [s.false for s in each]), sure)
        case Compare(op=op, left=left, right=right):
            a, b = _term(left), _term(right)
            unsure = [name for name in sorted(facts_read(node)) if not vocabulary.facts[name].known]
            known = [f"{name} is not None" for name in unsure]
            # What is unknown equals nothing, so equality with a constant needs no test of its own.
            plain = op == "==" and len(unsure) == 1 and isinstance(right, Const)
            true = f"{a} {op} {b}" if plain else _join("and", [*known, f"{a} {op} {b}"])
            return Said(true, _join("and", [*known, f"{a} {_CONTRARY[op]} {b}"]), sure)
        case _:
            raise AssertionError(f"{node} is no condition")


def passing(name: str, moves: Moves, never: int) -> str:
    """The source of what one more day does to a fact, as long as days alone pass: no count of days is over."""
    match moves.how:
        case "up":
            return f"if {name} is not None and {name} < {never}: {name} += 1"
        case "down":
            return f"if {name} and {name} < {never}: {name} -= 1"
        case "after":
            return f"if {name}: {name} += 1"
        case "resets" if moves.days == 1:
            return f"{name} = {name} and 0"
        case _:
            return "pass"


def _join(op: str, parts: list[str]) -> str:
    return f"({f' {op} '.join(parts)})" if len(parts) > 1 else parts[0]


def _term(node: Node) -> str:
    match node:
        case FactRef(id=name):
            return name
        case Const(value=value):
            return repr(value)
        case ByLender(figures=figures, otherwise=otherwise):
            return f"{dict(figures)!r}.get(lender_type, {otherwise!r})"
        case Arith(op=op, left=left, right=right):
            return f"({_term(left)} {op} {_term(right)})"
        case _:
            raise AssertionError(f"{node} is no term")
