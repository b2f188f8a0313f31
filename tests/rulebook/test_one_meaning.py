"""The closure, DuckDB and Spark give one answer, whatever the facts: what each rule says, the hours, the step."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from forbear.rulebook.compile import MAX_RULES, Compiled, compile_for
from forbear.rulebook.examples import plain_facts
from forbear.rulebook.hours import local_day
from forbear.rulebook.load import load
from forbear.rulebook.models import FactValue, Hours
from forbear.strategy.ladder import choose, decide

BOOK = load()
PLACES = sorted({rule.instrument.jurisdiction for rule in BOOK.rules} - {"*"})
KINDS = {"bool": "boolean", "int": "int64", "money": "int64", "enum": "string"}
SCHEMA = {fact.id: KINDS[fact.type] for fact in BOOK.vocabulary.facts.values()}
MINUTES = dict.fromkeys(("agreed_from_min", "agreed_to_min", "first_min", "last_min"), "int64")
ZONES = ["Asia/Shanghai", "America/New_York", "America/New_York|America/Chicago", "Pacific/Honolulu|America/New_York"]


def a_fact(fact: Any) -> st.SearchStrategy[FactValue]:
    drawn: st.SearchStrategy[FactValue]
    if fact.type == "bool":
        drawn = st.booleans()
    elif fact.type == "enum":
        drawn = st.sampled_from(fact.values)
    else:
        drawn = st.one_of(st.integers(0, 40), st.sampled_from([240_000, 240_001, 9999]))
    return drawn if fact.known else st.one_of(st.none(), drawn)


FACTS = st.fixed_dictionaries({f.id: a_fact(f) for f in BOOK.vocabulary.facts.values()})
SPAN = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda s: s[0] < s[1])
#: Facts, the zones in which the borrower may be, the hours agreed: for this loan where `hours_agreed`, or for another.
CASE = st.tuples(FACTS, st.one_of(st.none(), st.sampled_from(ZONES)), st.one_of(st.none(), SPAN, SPAN))
Case = tuple[dict[str, FactValue], str | None, tuple[int, int] | None]
DRAWING = [HealthCheck.too_slow, HealthCheck.data_too_large]


def one_by_one(compiled: Compiled, cases: list[Case]) -> tuple[list[dict[str, Any]], list[Any]]:
    """The rows of a table of these cases, and what the closure says of each."""
    rows, said = [], []
    for facts, zones, span in cases:
        local = local_day(zones, compiled.day) if zones else None
        facts = facts | {"place_known": zones is not None}
        agreed = Hours(*span) if span else None
        found = compiled.find(facts, zones, agreed)
        step = choose(compiled, found)
        said.append((found.forbids, found.unknown, found.no_hours, step, found.windows.get(step)))
        rows.append(
            facts
            | {
                "agreed_from_min": agreed and agreed.opens,
                "agreed_to_min": agreed and agreed.closes,
                "first_min": local and local.first,
                "last_min": local and local.last,
            }
        )
    return rows, said


def in_a_batch(engine: Any, compiled: Compiled, table: Any) -> list[Any]:
    """What a batch engine says of each row of a table with a column `row`."""
    decided = decide(compiled, table).order_by("row")
    wishes = ["forbids", "unknown", "no_hours", "step", "earliest_min", "latest_min"]
    midnight = datetime.fromisoformat(f"{compiled.day}T00:00:00+00:00")
    said = []
    for row in engine.to_pyarrow(decided.select(*wishes)).to_pylist():
        window = None
        if row["earliest_min"] is not None:
            window = tuple(midnight + timedelta(minutes=row[name]) for name in ("earliest_min", "latest_min"))
        said.append((row["forbids"], row["unknown"], row["no_hours"], row["step"], window))
    return said


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"row": k} for k, row in enumerate(rows)]


@settings(max_examples=40, deadline=None, suppress_health_check=DRAWING)
@given(
    place=st.sampled_from(PLACES),
    day=st.dates(date(2018, 1, 1), date(2026, 12, 31)),
    cases=st.lists(CASE, min_size=1, max_size=10),
)
def test_the_night_and_the_single_case_agree_on_any_day(place: str, day: date, cases: list[Case]) -> None:
    compiled = compile_for(BOOK, place, day)
    rows, said = one_by_one(compiled, cases)
    table = ibis.memtable(numbered(rows), schema=SCHEMA | MINUTES | {"row": "int64"})
    assert in_a_batch(ibis.duckdb.connect(), compiled, table) == said


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """One local session of Spark for this file."""
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    yield ibis.pyspark.connect(session)
    session.stop()


@pytest.fixture(scope="module")
def drawn() -> list[Case]:
    """A few hundred cases, drawn once, so that Spark is asked in whole batches."""
    cases: list[Case] = []

    @settings(max_examples=450, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=DRAWING)
    @given(CASE)
    def draw(case: Case) -> None:
        cases.append(case)

    draw()
    return cases


@pytest.mark.parametrize("place", PLACES)
def test_closure_duckdb_and_spark_agree_on_every_rule_of_the_gate(place: str, spark: Any, drawn: list[Case]) -> None:
    # Given all rules in force, of the night and of the gate, at most as many at a time as a column has bits.
    whole = compile_for(BOOK, place, date(2026, 6, 30), "gate")
    duck, different = ibis.duckdb.connect(), []
    for first in range(0, len(whole.rules), MAX_RULES):
        compiled = replace(whole, rules=whole.rules[first : first + MAX_RULES], code={})
        rows, said = one_by_one(compiled, drawn)
        table = ibis.memtable(numbered(rows), schema=SCHEMA | MINUTES | {"row": "int64"})
        name = f"cases_{place}_{first}"
        assert in_a_batch(duck, compiled, duck.create_table(name, table)) == said
        assert in_a_batch(spark, compiled, spark.create_view(name, table, overwrite=True)) == said
        different.append(len({each[:3] for each in said}))
    # What was drawn is not all one answer; the last few rules alone have few.
    assert max(different) > 100 and min(different) > 1


def test_where_the_borrower_may_be_in_two_zones_the_hour_is_lawful_in_both() -> None:
    # Given a Kentucky borrower, Eastern or Central; 12 CFR 1006.6(b)(1)(i): 08:00 to 21:00 at the consumer's place.
    compiled = compile_for(BOOK, "us", date(2026, 1, 15))
    facts = plain_facts(BOOK.vocabulary) | {"collector": "agency"}
    window = compiled.find(facts, "America/New_York|America/Chicago", None).windows["call"]
    # Then from 08:00 Central (14:00 UTC) to 21:00 Eastern (02:00 UTC).
    assert window is not None
    assert [at.isoformat() for at in window] == ["2026-01-15T14:00:00+00:00", "2026-01-16T02:00:00+00:00"]


def test_on_the_day_clocks_go_forward_an_hour_is_lawful_by_both_readings() -> None:
    day = local_day("America/New_York", date(2026, 3, 8))
    assert (day.first, day.last) == (300, 240)
