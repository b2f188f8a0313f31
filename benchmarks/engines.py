"""The same rules on the same facts by four engines: DuckDB (ours), a Python loop, zen-engine, openfisca-core.

The conditions come out of the rulebook's own trees. Unknown facts: zen-engine and openfisca have no
third value, so each condition is given to them twice, as "is true" and as "is false"; neither is unknown.
They decide the step only; ours works out the lawful hours as well.
"""

import json
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import ibis
import numpy as np
import psycopg.rows
import zen
from openfisca_core import entities, periods, simulation_builder, taxbenefitsystems, variables

from forbear.nightly.run import DECISION_COLUMNS
from forbear.rulebook.compile import Compiled, compile_for
from forbear.rulebook.hours import local_day
from forbear.rulebook.language import Arith, Compare, Const, FactRef, Logic, Node, Not, ValueRef, facts_read
from forbear.rulebook.load import load
from forbear.rulebook.models import Hours
from forbear.store.engine import copy_connection
from forbear.strategy.ladder import choose, decide

SAMPLE_PYTHON, SAMPLE_ZEN, ROWS = 50_000, 3_000, 1_000_000


def compare(as_of: date, jurisdiction: str) -> dict[str, Any]:
    """Accounts a second of each engine, after all gave the same answers."""
    compiled = compile_for(load(), jurisdiction, as_of)
    rows = _facts(compiled)
    steps = [row["step"] for row in rows]

    def python() -> list[str]:
        return [_python(compiled, row) for row in rows[:SAMPLE_PYTHON]]

    seconds, got = _timed(python)
    assert got == steps[: len(got)]
    engines = {"plain Python loop": (len(got), len(got) / seconds)}

    ask = _zen(compiled)
    seconds, got = _timed(lambda: [ask(row) for row in rows[:SAMPLE_ZEN]])
    assert got == steps[: len(got)]
    engines["zen-engine"] = (len(got), len(got) / seconds)

    many = [rows[k % len(rows)] for k in range(ROWS)]
    wanted = [row["step"] for row in many]
    simulate = _openfisca(compiled, many)
    seconds, names = _timed(simulate)
    assert names == wanted
    engines["openfisca-core"] = (ROWS, ROWS / seconds)

    batch, count = _batch(compiled, many, wanted)
    engines["Forbear, DuckDB by Ibis"] = (count, batch)
    return {"rules": len(compiled.rules), "batch": batch, "engines": engines}


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def _facts(compiled: Compiled) -> list[dict[str, Any]]:
    """The facts that the night wrote, with the step that it took, and what the place adds to a minute."""
    with copy_connection() as connection, connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        columns = ", ".join(DECISION_COLUMNS)
        rows = cursor.execute(f"SELECT {columns} FROM decision ORDER BY account_id LIMIT 100000").fetchall()
    for row in rows:
        local = local_day(row["zones"], compiled.day) if row["place_known"] else None
        row["first_min"], row["last_min"] = (local.first, local.last) if local else (None, None)
    return rows


def _python(compiled: Compiled, row: dict[str, Any]) -> str:
    agreed = None if row["agreed_from_min"] is None else Hours(row["agreed_from_min"], row["agreed_to_min"])
    return choose(compiled, compiled.find(row, row["zones"] if row["place_known"] else None, agreed))


def _batch(compiled: Compiled, rows: list[dict[str, Any]], wanted: list[str]) -> tuple[float, int]:
    kinds = {"bool": "boolean", "int": "int32", "money": "int64", "enum": "string"}
    schema = {f.id: "int64" if f.unit == "ppm" else kinds[f.type] for f in compiled.vocabulary.facts.values()}
    schema |= dict.fromkeys(("agreed_from_min", "agreed_to_min"), "int16")
    schema |= dict.fromkeys(("first_min", "last_min"), "int64")
    duck = ibis.duckdb.connect()
    table = [{name: row[name] for name in schema} | {"at_row": k} for k, row in enumerate(rows)]
    facts = duck.create_table("facts", ibis.memtable(table, schema=schema | {"at_row": "int64"}))
    wishes = ["at_row", "forbids", "unknown", "no_hours", "step", "earliest_min", "latest_min"]
    query = duck.compile(decide(compiled, facts).select(*wishes))
    seconds = min(_timed(lambda: duck.con.execute(f"CREATE OR REPLACE TABLE made AS {query}"))[0] for _ in range(3))
    got = duck.con.execute("SELECT step FROM made ORDER BY at_row").fetchall()
    assert [step for (step,) in got] == wanted
    return len(rows) / seconds, len(rows)


# ---- the trees for two-valued engines ---------------------------------------------------------------


def _true_false(node: Node, values: dict[str, int], say: "Syntax") -> tuple[str, str]:
    """The node as two conditions: it is true, it is false. Both fail where it is unknown."""
    match node:
        case Not(part=part):
            true, false = _true_false(part, values, say)
            return false, true
        case Logic(op=op, parts=parts):
            each = [_true_false(part, values, say) for part in parts]
            every, some = say.every([t for t, _ in each]), say.some([t for t, _ in each])
            none, any_false = say.every([f for _, f in each]), say.some([f for _, f in each])
            return (every, any_false) if op == "and" else (some, none)
        case Const(value=value):
            return say.flag(bool(value)), say.flag(not value)
        case FactRef(id=name):
            return say.guarded(node, name), say.guarded(node, say.negated(name))
        case Compare(op=op, left=left, right=right):
            text = f"({_term(left, values)} {op} {_term(right, values)})"
            return say.guarded(node, text), say.guarded(node, say.negated(text))
    raise TypeError(node)


def _term(node: Node, values: dict[str, int]) -> str:
    match node:
        case Const(value=value):
            return repr(value)
        case FactRef(id=name):
            return name
        case ValueRef(id=name):
            return str(values[name])
        case Arith(op=op, left=left, right=right):
            return f"({_term(left, values)} {op} {_term(right, values)})"
    raise TypeError(node)


class Syntax:
    """zen-engine's way of writing conditions."""

    def __init__(self, compiled: Compiled) -> None:
        self.facts = compiled.vocabulary.facts

    def every(self, parts: list[str]) -> str:
        """All of them."""
        return "(" + " and ".join(parts) + ")"

    def some(self, parts: list[str]) -> str:
        """Any of them."""
        return "(" + " or ".join(parts) + ")"

    def negated(self, part: str) -> str:
        """Not it."""
        return f"(not {part})"

    def flag(self, value: bool) -> str:
        """A constant."""
        return "true" if value else "false"

    def guarded(self, node: Node, text: str) -> str:
        """The text where every fact that it reads is known."""
        known = [f"{name} != null" for name in sorted(facts_read(node)) if not self.facts[name].known]
        return self.every([*known, text]) if known else text


class Numpy(Syntax):
    """openfisca's formulas: NumPy over whole columns, a column `name_known` beside each that may be unknown."""

    def every(self, parts: list[str]) -> str:
        return "(" + " & ".join(parts) + ")"

    def some(self, parts: list[str]) -> str:
        return "(" + " | ".join(parts) + ")"

    def negated(self, part: str) -> str:
        return f"(~{part})"

    def flag(self, value: bool) -> str:
        return f"np.full(n, {value})"

    def guarded(self, node: Node, text: str) -> str:
        known = [f"{name}_known" for name in sorted(facts_read(node)) if not self.facts[name].known]
        return self.every([*known, text]) if known else text


def _zen(compiled: Compiled) -> Callable[[dict[str, Any]], str]:
    """The rules as a decision of expressions, then the ladder: the first step that nothing stands against."""
    say = Syntax(compiled)
    lines, against = [], {}
    for bit, rule in enumerate(compiled.rules):
        true, false = _true_false(compiled._condition(rule), dict(compiled._values(rule)), say)
        lines.append({"id": f"e{bit}", "key": f"r{bit}", "value": f"not {false} or {true}".replace("'", '"')})
    for step in compiled.vocabulary.steps:
        bits = [bit for bit, rule in enumerate(compiled.rules) if step in rule.steps and rule.forbid is not None]
        against[step] = " or ".join(f"$.r{bit}" for bit in bits) or "false"
    ladder = "'none'"
    for step in reversed(list(compiled.vocabulary.steps)[:-1]):
        ladder = f"(not ({against[step]}) ? '{step}' : {ladder})"
    lines.append({"id": "step", "key": "step", "value": ladder.replace("'", '"')})
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode"},
        {"id": "x", "name": "x", "type": "expressionNode", "content": {"expressions": lines}},
        {"id": "out", "name": "out", "type": "outputNode"},
    ]
    edges = [{"id": f"{a}{b}", "sourceId": a, "targetId": b, "type": "edge"} for a, b in (("in", "x"), ("x", "out"))]
    decision = zen.ZenEngine().create_decision(json.dumps({"nodes": nodes, "edges": edges}))
    names = list(compiled.vocabulary.facts)

    def ask(row: dict[str, Any]) -> str:
        step: str = decision.evaluate({name: row[name] for name in names})["result"]["step"]
        return step

    return ask


def _openfisca(compiled: Compiled, rows: list[dict[str, Any]]) -> Callable[[], list[str]]:
    """The rules as Variables of a tax-benefit system, computed over whole columns."""
    say = Numpy(compiled)
    account = entities.build_entity(key="account", plural="accounts", label="", is_person=True)
    system = taxbenefitsystems.TaxBenefitSystem([account])
    month = periods.DateUnit.MONTH
    facts = compiled.vocabulary.facts
    words = {f.id: {word: k for k, word in enumerate(f.values)} for f in facts.values() if f.type == "enum"}

    def add(name: str, kind: type, formula: Any = None) -> None:
        body = {"value_type": kind, "entity": account, "definition_period": month}
        system.add_variable(type(name, (variables.Variable,), body | ({"formula": formula} if formula else {})))

    columns: dict[str, Any] = {}
    for fact in facts.values():
        raw = [row[fact.id] for row in rows]
        if fact.type == "enum":
            columns[fact.id] = np.array([words[fact.id][value] for value in raw], dtype=np.int32)
        else:
            kind = np.bool_ if fact.type == "bool" else np.float64 if fact.type == "money" else np.int32
            columns[fact.id] = np.array([0 if value is None else value for value in raw], dtype=kind)
        add(fact.id, bool if fact.type == "bool" else float if fact.type == "money" else int)
        if not fact.known:
            columns[f"{fact.id}_known"] = np.array([value is not None for value in raw])
            add(f"{fact.id}_known", bool)

    def formula(source: str, reads: list[str]) -> Any:
        for fact, codes in words.items():
            if fact in reads:
                for word, code in codes.items():
                    source = source.replace(f"'{word}'", str(code))
        lines = ["def formula(account, period, parameters):", "    n = account.count"]
        lines += [f"    {name} = account('{name}', period)" for name in reads]
        scope: dict[str, Any] = {"np": np}
        exec("\n".join([*lines, f"    return {source}"]), scope)
        return scope["formula"]

    for bit, rule in enumerate(compiled.rules):
        condition = compiled._condition(rule)
        true, false = _true_false(condition, dict(compiled._values(rule)), say)
        reads = sorted(facts_read(condition))
        reads += [f"{name}_known" for name in reads if not facts[name].known]
        add(f"r{bit}", bool, formula(f"(~{false}) | {true}", reads))
    order = list(compiled.vocabulary.steps)
    open_to = []
    bits = {s: [b for b, r in enumerate(compiled.rules) if s in r.steps and r.forbid is not None] for s in order}
    for step in order[:-1]:
        open_to.append("~(" + " | ".join(f"r{bit}" for bit in bits[step]) + ")")
    chosen = f"np.select([{', '.join(open_to)}], {list(range(len(order) - 1))}, {len(order) - 1})"
    add("step", int, formula(chosen, [f"r{bit}" for bit in range(len(compiled.rules))]))
    period = periods.period(compiled.day.strftime("%Y-%m"))

    def simulate() -> list[str]:
        builder = simulation_builder.SimulationBuilder()
        simulation = builder.build_default_simulation(system, count=len(rows))
        for name, column in columns.items():
            simulation.set_input(name, period, column)
        codes = simulation.calculate("step", period)
        return [order[code] for code in codes]

    return simulate
