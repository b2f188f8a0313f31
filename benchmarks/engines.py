"""The same rules on the same facts by four engines: DuckDB (ours), a Python loop, zen-engine, openfisca-core.

The conditions come out of the rulebook's own trees. Unknown facts: zen-engine and openfisca have no
third value, so each condition is given to them twice, as "is true" and as "is false"; neither is unknown.
Each gives the whole of a decision: what the rules forbid, what they can't tell, the steps without a lawful
hour, the step, its first and last lawful minute. All answers are compared; of several timings the best counts.
"""

import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from functools import reduce
from statistics import median
from typing import Any

import ibis
import numpy as np
import psycopg.rows
import zen
from openfisca_core import entities, periods, simulation_builder, taxbenefitsystems, variables

from forbear.nightly.run import DECISION_COLUMNS
from forbear.rulebook.compile import Compiled, Findings, compile_for
from forbear.rulebook.hours import local_day
from forbear.rulebook.language import Arith, ByLender, Compare, Const, FactRef, Known, Logic, Node, Not, facts_read
from forbear.rulebook.load import load
from forbear.rulebook.models import Fact, Hours
from forbear.store.engine import copy_connection
from forbear.strategy.ladder import choose, decide

SAMPLE_PYTHON, SAMPLE_ZEN, COPIES, REPEATS = 50_000, 3_000, 30, 9


#: forbids, unknown, no_hours, step, earliest_min, latest_min: see strategy.ladder.decide.
Answer = tuple[int, int, int, str, int | None, int | None]


def compare(as_of: date, jurisdiction: str) -> dict[str, Any]:
    """Accounts a second of each engine, after all gave the same answers."""
    compiled = compile_for(load(), jurisdiction, as_of)
    rows = _facts(compiled)
    wanted = [row["answer"] for row in rows]
    batch = _batch(compiled, rows, wanted)
    simulate, pack, read = _openfisca(compiled, rows)
    # In turns, so that whatever else the machine does falls on all alike.
    ours, theirs, packed = [], [], []
    for _ in range(REPEATS):
        ours.append(_timed(batch)[0])
        seconds, columns = _timed(simulate)
        theirs.append(seconds)
        packing, sets = _timed(lambda columns=columns: pack(columns))
        packed.append(seconds + packing)
    assert read(columns, sets) == wanted * COPIES
    count = COPIES * len(rows)
    best = count / min(ours)
    engines = {
        "Forbear, DuckDB by Ibis": (count, best),
        "openfisca-core": (count, count / min(theirs)),
        "openfisca-core, answers packed as ours": (count, count / min(packed)),
    }

    seconds, found = _timed(lambda: [_python(compiled, row) for row in rows[:SAMPLE_PYTHON]])
    assert [_minutes(compiled, *each) for each in found] == wanted[: len(found)]
    engines["plain Python loop"] = (len(found), len(found) / seconds)

    ask = _zen(compiled)
    seconds, answers = _timed(lambda: [ask(row) for row in rows[:SAMPLE_ZEN]])
    assert answers == wanted[: len(answers)]
    engines["zen-engine"] = (len(answers), len(answers) / seconds)

    # Of all turns, the middle one; the best of each is in the table.
    halves = {
        name: median(t / o for t, o in zip(each, ours, strict=True))
        for name, each in (("columns", theirs), ("packed", packed))
    }
    return {"rules": len(compiled.rules), "batch": best, "median": halves, "engines": engines}


def facts_of(compiled: Compiled) -> list[Fact]:
    """The facts that are asked: the night's, or all."""
    return [fact for fact in compiled.vocabulary.facts.values() if fact.asked in ("night", compiled.asked)]


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
        said = (row["forbids"], row["unknown"], row["no_hours"], row["step"])
        row["answer"] = (*said, *(_minute(compiled, row[name]) for name in ("earliest", "latest")))
    return rows


def _minute(compiled: Compiled, moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return int((moment - datetime.combine(compiled.day, datetime.min.time(), UTC)).total_seconds()) // 60


def _python(compiled: Compiled, row: dict[str, Any]) -> tuple[Findings, str]:
    agreed = None if row["agreed_from_min"] is None else Hours(row["agreed_from_min"], row["agreed_to_min"])
    found = compiled.find(row, row["zones"] if row["place_known"] else None, agreed)
    return found, choose(compiled, found)


def _minutes(compiled: Compiled, found: Findings, step: str) -> Answer:
    first, last = found.windows.get(step) or (None, None)
    return found.forbids, found.unknown, found.no_hours, step, _minute(compiled, first), _minute(compiled, last)


def _batch(compiled: Compiled, rows: list[dict[str, Any]], wanted: list[Answer]) -> Callable[[], Any]:
    """Deciding all rows once; its answers were compared."""
    kinds = {"bool": "boolean", "int": "int32", "money": "int64", "enum": "string"}
    schema = {f.id: "int64" if f.unit == "ppm" else kinds[f.type] for f in facts_of(compiled)}
    schema |= dict.fromkeys(("agreed_from_min", "agreed_to_min"), "int16")
    schema |= dict.fromkeys(("first_min", "last_min"), "int64")
    duck = ibis.duckdb.connect()
    table = [{name: row[name] for name in schema} | {"at_row": k} for k, row in enumerate(rows)]
    duck.create_table("base", ibis.memtable(table, schema=schema | {"at_row": "int64"}))
    duck.raw_sql(f"CREATE TABLE facts AS SELECT base.* FROM range({COPIES}), base")
    facts = duck.table("facts")
    decided = decide(compiled, facts)
    wishes = ["forbids", "unknown", "no_hours", "step", "earliest_min", "latest_min"]
    checked = duck.compile(decided.select("at_row", *wishes).order_by("at_row"))
    found = duck.con.execute(checked).fetchall()
    assert [row[1:] for row in found] == [answer for answer in wanted for _ in range(COPIES)]
    query = duck.compile(decided.select(*wishes))
    return lambda: duck.con.execute(f"CREATE OR REPLACE TABLE made AS {query}")


# ---- the trees for two-valued engines ---------------------------------------------------------------


def _true_false(node: Node, say: "Syntax") -> tuple[str, str]:
    """The node as two conditions: it is true, it is false. Both fail where it is unknown."""
    match node:
        case Not(part=part):
            true, false = _true_false(part, say)
            return false, true
        case Logic(op=op, parts=parts):
            each = [_true_false(part, say) for part in parts]
            every, some = say.every([t for t, _ in each]), say.some([t for t, _ in each])
            none, any_false = say.every([f for _, f in each]), say.some([f for _, f in each])
            return (every, any_false) if op == "and" else (some, none)
        case Const(value=value):
            return say.flag(bool(value)), say.flag(not value)
        case FactRef(id=name):
            return say.guarded(node, name), say.guarded(node, say.negated(name))
        case Known(fact=fact, value=value):
            known = say.guarded(fact, fact.id if value else say.negated(fact.id))
            return known, say.negated(known)
        case Compare(op=op, left=left, right=right):
            text = f"({_term(left, say)} {op} {_term(right, say)})"
            return say.guarded(node, text), say.guarded(node, say.negated(text))
    raise TypeError(node)


def _term(node: Node, say: "Syntax") -> str:
    match node:
        case Const(value=value):
            return repr(value)
        case FactRef(id=name):
            return name
        case ByLender(figures=figures, otherwise=otherwise):
            text = str(otherwise)
            for lender, figure in figures:
                text = say.pick(f"(lender_type == {lender!r})", str(figure), text)
            return text
        case Arith(op=op, left=left, right=right):
            return f"({_term(left, say)} {op} {_term(right, say)})"
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

    def pick(self, condition: str, then: str, otherwise: str) -> str:
        """One or the other."""
        return f"({condition} ? {then} : {otherwise})"

    def extreme(self, which: str, parts: list[str]) -> str:
        """The least or the greatest: `which` is min or max."""
        return f"{which}([{', '.join(parts)}])"

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

    def pick(self, condition: str, then: str, otherwise: str) -> str:
        return f"np.where({condition}, {then}, {otherwise})"

    def extreme(self, which: str, parts: list[str]) -> str:
        return reduce(lambda a, b: f"np.{which}imum({a}, {b})", parts)

    def guarded(self, node: Node, text: str) -> str:
        known = [f"{name}_known" for name in sorted(facts_read(node)) if not self.facts[name].known]
        return self.every([*known, text]) if known else text


def _said(compiled: Compiled, say: Syntax) -> dict[str, tuple[str, list[str]]]:
    """For each rule that forbids: `f` and its bit, and where a fact may be unknown `u` and its bit; the condition,
    and the facts that it reads."""
    said = {}
    for bit, rule in enumerate(compiled.rules):
        if rule.forbid is None:
            continue
        condition = compiled.condition(rule)
        true, false = _true_false(condition, say)
        reads = sorted(facts_read(condition))
        said[f"f{bit}"] = true, reads
        if compiled.may_be_unknown(rule):
            said[f"u{bit}"] = say.negated(say.some([true, false])), reads
    return said


def _hours(compiled: Compiled, say: Syntax) -> dict[str, tuple[str, str]]:
    """For each contact step: its opening and its closing minute of the local day."""
    spans = {}
    for step in compiled.steps:
        if not step.contact:
            continue
        opens, closes = ["0"], ["1440"]
        for rule, hours in compiled.hours_of(step.id):
            own = [str(hours.opens), str(hours.closes)]
            if rule.unless is not None:
                agreed = _true_false(compiled.exception(rule), say)[0]
                own = [
                    say.pick(agreed, name, m) for name, m in zip(("agreed_from_min", "agreed_to_min"), own, strict=True)
                ]
            if rule.scope is not None or rule.lenders:
                bound = say.negated(_true_false(compiled.scope(rule), say)[1])
                own = [say.pick(bound, m, whole) for m, whole in zip(own, ("0", "1440"), strict=True)]
            opens.append(own[0])
            closes.append(own[1])
        spans[step.id] = say.extreme("max", opens), say.extreme("min", closes)
    return spans


def _against(compiled: Compiled, said: Iterable[str]) -> dict[str, list[str]]:
    """For each step that a rule may govern: the names of what stands against it."""
    steps = compiled.steps[:-1]
    return {
        step.id: [name for name in said if step.id in compiled.rules[int(name[1:])].steps]
        + ([f"n{step.bit}"] if step.contact else [])
        for step in steps
    }


def _zen(compiled: Compiled) -> Callable[[dict[str, Any]], Answer]:
    """The rules as a decision of expressions, then the ladder: the first step that nothing stands against."""
    say = Syntax(compiled)
    said, steps = _said(compiled, say), {step.id: step for step in compiled.steps}
    lines = [{"id": name, "key": name, "value": text.replace("'", '"')} for name, (text, _) in said.items()]
    for key, letter in (("forbids", "f"), ("unknown", "u")):
        terms = [f"($.{name} ? {1 << int(name[1:])} : 0)" for name in said if name[0] == letter]
        lines.append({"id": key, "key": key, "value": " + ".join(terms)})
    for step, (opens, closes) in _hours(compiled, say).items():
        bit = steps[step].bit
        texts = {"o": f"place_known ? {opens} + first_min : null", "c": f"place_known ? {closes} + last_min : null"}
        texts["n"] = f"place_known and $.o{bit} >= $.c{bit}"
        lines += [{"id": f"{key}{bit}", "key": f"{key}{bit}", "value": text} for key, text in texts.items()]
    contacts = [step.bit for step in steps.values() if step.contact]
    terms = [f"($.n{bit} ? {1 << bit} : 0)" for bit in contacts]
    lines.append({"id": "no_hours", "key": "no_hours", "value": " + ".join(terms)})
    ladder = '"none"'
    for step, names in reversed(_against(compiled, said).items()):
        ladder = f'(not ({" or ".join(f"$.{name}" for name in names)}) ? "{step}" : {ladder})'
    lines.append({"id": "step", "key": "step", "value": ladder})
    for key, letter in (("earliest", "o"), ("latest", "c")):
        chosen = "null"
        for step in steps.values():
            if step.contact:
                chosen = f'($.step == "{step.id}" ? $.{letter}{step.bit} : {chosen})'
        lines.append({"id": key, "key": key, "value": chosen})
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode"},
        {"id": "x", "name": "x", "type": "expressionNode", "content": {"expressions": lines}},
        {"id": "out", "name": "out", "type": "outputNode"},
    ]
    edges = [{"id": f"{a}{b}", "sourceId": a, "targetId": b, "type": "edge"} for a, b in (("in", "x"), ("x", "out"))]
    decision = zen.ZenEngine().create_decision(json.dumps({"nodes": nodes, "edges": edges}))
    names = [*(f.id for f in facts_of(compiled)), "agreed_from_min", "agreed_to_min", "first_min", "last_min"]

    def ask(row: dict[str, Any]) -> Answer:
        found = decision.evaluate({name: row[name] for name in names})["result"]
        said = (int(found[name]) for name in ("forbids", "unknown", "no_hours"))
        return *said, found["step"], found.get("earliest"), found.get("latest")

    return ask


def _openfisca(
    compiled: Compiled, rows: list[dict[str, Any]]
) -> tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any, Any], list[Answer]]]:
    """The rules as Variables of a tax-benefit system, computed over whole columns; how to pack, and to read, them.

    It has no 64-bit whole numbers, so its answers are a column of true and false for each rule: timed so,
    and timed again with the packing into sets of bits, which is what ours give and the night keeps.
    """
    account = entities.build_entity(key="account", plural="accounts", label="", is_person=True)
    system = taxbenefitsystems.TaxBenefitSystem([account])
    month = periods.DateUnit.MONTH
    facts = {fact.id: fact for fact in facts_of(compiled)}
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

    for name in ("agreed_from_min", "agreed_to_min", "first_min", "last_min"):
        columns[name] = np.array([row[name] or 0 for row in rows], dtype=np.int32)
        add(name, int)

    said = _said(compiled, say := Numpy(compiled))
    for name, (text, reads) in said.items():
        add(name, bool, formula(text, reads + [f"{fact}_known" for fact in reads if not facts[fact].known]))
    steps = compiled.steps
    order = {step.bit: step.id for step in steps}
    bits = list(order)
    contacts = [step.bit for step in steps if step.contact]
    hours = ["place_known", "hours_agreed", "agreed_from_min", "agreed_to_min", "collector", "lender_type"]
    for step, (opens, closes) in _hours(compiled, say).items():
        bit = compiled.vocabulary.steps[step].bit
        add(f"o{bit}", int, formula(f"{opens} + first_min", [*hours, "first_min"]))
        add(f"c{bit}", int, formula(f"{closes} + last_min", [*hours, "last_min"]))
        add(f"n{bit}", bool, formula(f"place_known & (o{bit} >= c{bit})", ["place_known", f"o{bit}", f"c{bit}"]))
    open_to = [f"~({' | '.join(names)})" for names in _against(compiled, said).values()]
    chosen = f"np.select([{', '.join(open_to)}], {bits[:-1]}, {bits[-1]})"
    add("step", int, formula(chosen, [*said, *(f"n{bit}" for bit in contacts)]))
    for key, letter in (("earliest", "o"), ("latest", "c")):
        names = [f"{letter}{bit}" for bit in contacts]
        text = f"np.select([step == bit for bit in {contacts}], [{', '.join(names)}], 0)"
        add(key, int, formula(text, ["step", *names]))
    asked = ["step", "earliest", "latest", *said, *(f"n{bit}" for bit in contacts)]
    period = periods.period(compiled.day.strftime("%Y-%m"))

    columns = {name: np.tile(column, COPIES) for name, column in columns.items()}
    count = COPIES * len(rows)

    def simulate() -> dict[str, Any]:
        builder = simulation_builder.SimulationBuilder()
        simulation = builder.build_default_simulation(system, count=count)
        for name, column in columns.items():
            simulation.set_input(name, period, column)
        # The step asks for all the others, which are then at hand.
        return {name: simulation.calculate(name, period) for name in asked}

    def pack(found: dict[str, Any]) -> dict[str, Any]:
        sets = {letter: np.zeros(count, dtype=np.int64) for letter in "fun"}
        for name in asked[3:]:
            sets[name[0]] |= found[name].astype(np.int64) << int(name[1:])
        return sets

    def read(found: dict[str, Any], sets: dict[str, Any]) -> list[Answer]:
        said = zip(*(sets[letter].tolist() for letter in "fun"), [order[k] for k in found["step"]], strict=True)
        none = ~(np.isin(found["step"], contacts) & columns["place_known"])
        spans = (
            [None if x else m for m, x in zip(found[k].tolist(), none, strict=True)] for k in ("earliest", "latest")
        )
        return [(*each, *span) for each, *span in zip(said, *spans, strict=True)]

    return simulate, pack, read
