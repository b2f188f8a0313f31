"""The rules alone: one contact's answer against zen-engine on the same rules, and the batch with its explanations.

    .venv/bin/python benchmarks/rules.py            after `make bench` has installed zen-engine

Facts are drawn (seed 7); every answer of zen-engine is compared with ours first. Times are microseconds of
one answer, the median of many; every ratio is of two things measured in this one run.
"""

import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
import zen
from engines import Syntax, _hours, _said, _zen, facts_of

from forbear.nightly.run import reasons
from forbear.rulebook.answer import _said as _said_again
from forbear.rulebook.compile import Compiled, compile_for
from forbear.rulebook.hours import instant, local_day
from forbear.rulebook.load import load
from forbear.rulebook.models import Fact, FactValue, Hours
from forbear.strategy.ladder import choose, decide

DAY, CASES, ROWS, TURNS = date(2026, 6, 30), 2_000, 1_000_000, 5
PLACES = {"cn": "Asia/Shanghai", "us": "America/New_York|America/Chicago"}
STEP = "call"


def main() -> None:
    """Measure and print; the table is also written to benchmarks/results/rules-latest.md."""
    lines = [_machine(), "", *_TABLE]
    for place, zones in PLACES.items():
        lines.append(_one_contact(place, zones))
    lines += ["", *_WHOLE]
    for place, zones in PLACES.items():
        lines.append(_whole_case(place, zones))
    lines += ["", *_BATCH]
    for place, zones in PLACES.items():
        lines.append(_batch(place, zones))
    text = "\n".join(lines)
    print(text)
    (Path(__file__).parent / "results" / "rules-latest.md").write_text(text + "\n", "utf-8")


def _machine() -> str:
    return f"{platform.machine()}, Python {platform.python_version()}; facts of seed 7, rules of {DAY}."


# ---- facts ------------------------------------------------------------------------------------------


def _draw(compiled: Compiled, zones: str, count: int) -> list[dict[str, Any]]:
    """Cases of which about half the flags are unremarkable, with the hours agreed and the place's minutes."""
    chance, local = random.Random(7), local_day(zones, compiled.day)
    cases = []
    for _ in range(count):
        case: dict[str, Any] = {fact.id: _fact(fact, chance) for fact in facts_of(compiled)}
        agreed = Hours(chance.randrange(0, 720), chance.randrange(721, 1440)) if case["hours_agreed"] else None
        case |= {"place_known": True, "law_known": True, "status": "open", "first_min": local.first}
        case |= {"agreed_from_min": agreed and agreed.opens, "agreed_to_min": agreed and agreed.closes}
        cases.append(case | {"last_min": local.last, "agreed": agreed, "minute": chance.randrange(60, 1380)})
    return cases


def _fact(fact: Fact, chance: random.Random) -> FactValue:
    if not fact.known and chance.random() < 0.1:
        return None
    if fact.type == "bool":
        return chance.random() < 0.3
    return chance.choice(fact.values) if fact.type == "enum" else chance.choice((0, 1, 2, 5, 10, 30, 9999, 240_000))


# ---- one contact ------------------------------------------------------------------------------------

_TABLE = (
    f"One contact ({STEP}) at the gate; zen-engine is given only the rules that govern it. What was said of the same",
    "findings before is forgotten before each turn, so that no explanation is one that was kept.",
    "",
    "| place | rules | of them asked | answer, µs | with every rule that spoke | and all facts read | zen-engine, µs |"
    " with its trace | zen / answer | traced / spoken |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
)


def _one_contact(place: str, zones: str) -> str:
    compiled = compile_for(load(), place, DAY, "gate")
    cases = _draw(compiled, zones, CASES)
    midnight = instant(DAY, local_day(zones, DAY).first)
    asked = []
    for case in cases:
        facts = {fact.id: case[fact.id] for fact in facts_of(compiled)}
        at = midnight + timedelta(minutes=case["minute"])
        case["at_min"] = int((at - instant(DAY, 0)).total_seconds()) // 60
        asked.append((facts, at, case["agreed"]))
    theirs = _zen_contact(compiled)
    for case, (facts, at, agreed) in zip(cases, asked, strict=True):
        answer = compiled.answer(STEP, facts, at, zones, agreed)
        found = theirs(case)
        assert found == (answer.verdict, answer.forbids, answer.unknown), (found, answer.verdict, case)
    bare = _median(lambda c: compiled.answer(STEP, c[0], c[1], zones, c[2]), asked)
    spoken = _median(lambda c: compiled.answer(STEP, c[0], c[1], zones, c[2]).spoke, asked, _said_again.cache_clear)

    def explained(case: Any) -> tuple[Any, Any]:
        answer = compiled.answer(STEP, case[0], case[1], zones, case[2])
        return answer.spoke, answer.facts

    whole = _median(explained, asked, _said_again.cache_clear)
    zens, traced = _median(theirs, cases), _median(_zen_contact(compiled, trace=True), cases)
    governing = sum(STEP in rule.steps for rule in compiled.rules)
    return (
        f"| {place} | {len(compiled.rules)} | {governing} | {bare:.1f} | {spoken:.1f} | {whole:.1f} | {zens:.0f} |"
        f" {traced:.0f} | {zens / bare:.0f} | {traced / spoken:.0f} |"
    )


def _zen_contact(compiled: Compiled, trace: bool = False) -> Callable[[dict[str, Any]], tuple[str, int, int]]:
    """The same rules as a decision of expressions: each rule's saying, both sets of bits, the hours, the verdict."""
    say = Syntax(compiled)
    governing = {bit for bit, rule in enumerate(compiled.rules) if STEP in rule.steps}
    said = {name: text for name, (text, _) in _said(compiled, say).items() if int(name[1:]) in governing}
    opens, closes = _hours(compiled, say)[STEP]
    lines = {name: text for name, text in said.items()}
    # Its numbers are exact up to 2^53 only, so that the bits of many rules are several numbers.
    parts = range(len(compiled.rules) // 40 + 1)
    for key, letter in (("forbids", "f"), ("unknown", "u")):
        for part in parts:
            terms = [(name, int(name[1:]) - 40 * part) for name in said if name[0] == letter]
            words = [f"($.{name} ? {1 << bit} : 0)" for name, bit in terms if 0 <= bit < 40]
            lines[f"{key}{part}"] = " + ".join(words) or "0"
    lines |= {"opens": f"{opens} + first_min", "closes": f"{closes} + last_min"}
    lines["off"] = "at_min < $.opens or at_min >= $.closes"
    forbids, unknown = (" or ".join(f"$.{key}{part} > 0" for part in parts) for key in ("forbids", "unknown"))
    lines["verdict"] = f'{forbids} or $.off ? "forbidden" : {unknown} ? "needs_human" : "permitted"'
    expressions = [{"id": key, "key": key, "value": text.replace("'", '"')} for key, text in lines.items()]
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode"},
        {"id": "x", "name": "x", "type": "expressionNode", "content": {"expressions": expressions}},
        {"id": "out", "name": "out", "type": "outputNode"},
    ]
    edges = [{"id": f"{a}{b}", "sourceId": a, "targetId": b, "type": "edge"} for a, b in (("in", "x"), ("x", "out"))]
    decision = zen.ZenEngine().create_decision(json.dumps({"nodes": nodes, "edges": edges}))
    read = {name for bit in governing for name in compiled.rules[bit].facts_read()}
    names = sorted(read | {"agreed_from_min", "agreed_to_min", "first_min", "last_min", "at_min"})

    def ask(case: dict[str, Any]) -> tuple[str, int, int]:
        found = decision.evaluate({name: case[name] for name in names}, {"trace": trace})["result"]
        forbids, unknown = (
            sum(int(found[f"{key}{part}"]) << 40 * part for part in parts) for key in ("forbids", "unknown")
        )
        return found["verdict"], forbids, unknown

    return ask


def _median(ask: Callable[[Any], Any], cases: list[Any], forget: Callable[[], None] | None = None) -> float:
    """Microseconds of one answer: the median over the cases, each the best of some turns; `forget` begins a turn."""
    best = [float("inf")] * len(cases)
    for _ in range(TURNS):
        if forget is not None:
            forget()
        for k, case in enumerate(cases):
            begun = time.perf_counter_ns()
            ask(case)
            best[k] = min(best[k], time.perf_counter_ns() - begun)
    return statistics.median(best) / 1000


# ---- all steps of one case --------------------------------------------------------------------------

_WHOLE = (
    "All rules of the night's pack for one case: what each says, the hours of each step, the step taken.",
    "",
    "| place | rules | ours, µs | zen-engine, µs | zen / ours |",
    "|---|---:|---:|---:|---:|",
)


def _whole_case(place: str, zones: str) -> str:
    compiled = compile_for(load(), place, DAY)
    cases = _draw(compiled, zones, CASES)
    theirs = _zen(compiled)

    def ours(case: dict[str, Any]) -> tuple[Any, str]:
        found = compiled.find(case, zones, case["agreed"])
        return found, choose(compiled, found)

    for case in cases:
        found, step = ours(case)
        assert theirs(case)[:4] == (found.forbids, found.unknown, found.no_hours, step)
    a, b = _median(ours, cases), _median(theirs, cases)
    return f"| {place} | {len(compiled.rules)} | {a:.1f} | {b:.0f} | {b / a:.0f} |"


# ---- the batch --------------------------------------------------------------------------------------

_BATCH = (
    f"The batch, {ROWS:,} rows on DuckDB, seconds, the best of {TURNS} turns taken in turn. With explanations: the",
    "bits of the rules for each row, and every set of bits that occurs in words, as the night writes them.",
    "",
    "| place | step and hours alone | with explanations | ratio |",
    "|---|---:|---:|---:|",
)


def _batch(place: str, zones: str) -> str:
    compiled = compile_for(load(), place, DAY)
    kinds = {"bool": "boolean", "int": "int64", "money": "int64", "enum": "string"}
    schema = {fact.id: kinds[fact.type] for fact in facts_of(compiled)}
    schema |= dict.fromkeys(("agreed_from_min", "agreed_to_min", "first_min", "last_min"), "int64")
    rows = [{name: case[name] for name in schema} for case in _draw(compiled, zones, CASES)]
    duck = ibis.duckdb.connect()
    few = duck.create_table("few", ibis.memtable(rows, schema=schema))
    facts = duck.create_table("facts", few.cross_join(ibis.range(ROWS // CASES).unnest().name("copy").as_table()))
    decided = decide(compiled, facts)
    bare = duck.compile(decided.select("step", "earliest_min", "latest_min"))
    full = duck.compile(decided.select("step", "earliest_min", "latest_min", "forbids", "unknown", "no_hours"))

    def plain() -> None:
        duck.con.execute(f"CREATE OR REPLACE TABLE bare AS {bare}")

    def explained() -> None:
        duck.con.execute(f"CREATE OR REPLACE TABLE made AS {full}")
        for key in duck.con.execute("SELECT DISTINCT forbids, unknown, no_hours FROM made").fetchall():
            json.dumps(reasons(compiled, *key))

    times: dict[str, list[float]] = {"plain": [], "explained": []}
    for _ in range(TURNS):
        for name, work in (("plain", plain), ("explained", explained)):
            begun = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - begun)
    a, b = min(times["plain"]), min(times["explained"])
    return f"| {place} | {a:.2f} | {b:.2f} | {b / a:.2f} |"


if __name__ == "__main__":
    main()
