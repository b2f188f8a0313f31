"""The batch and the single case give one answer, whatever the facts: masks, hours and step."""

from datetime import date, datetime, timedelta
from typing import Any

import ibis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forbear.rulebook.compile import compile_for
from forbear.rulebook.hours import local_day
from forbear.rulebook.load import load
from forbear.rulebook.models import FactValue, Hours
from forbear.strategy.ladder import choose, decide

BOOK = load()
KINDS = {"bool": "boolean", "int": "int64", "money": "int64", "enum": "string"}
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


CASE = st.fixed_dictionaries({f.id: a_fact(f) for f in BOOK.vocabulary.facts.values()})
SPAN = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda s: s[0] < s[1])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    place=st.sampled_from(["us", "cn"]),
    day=st.dates(date(2018, 1, 1), date(2026, 12, 31)),
    cases=st.lists(st.tuples(CASE, st.one_of(st.none(), st.sampled_from(ZONES)), SPAN), min_size=1, max_size=20),
)
def test_the_batch_and_the_single_case_agree(
    place: str, day: date, cases: list[tuple[dict[str, FactValue], str | None, tuple[int, int]]]
) -> None:
    compiled = compile_for(BOOK, place, day)
    rows, wanted = [], []
    for facts, zones, span in cases:
        local = local_day(zones, day) if zones else None
        facts = facts | {"place_known": zones is not None}
        agreed = Hours(*span) if facts["hours_agreed"] else None
        found = compiled.find(facts, zones, agreed)
        step = choose(compiled, found)
        wanted.append((found.forbids, found.unknown, found.no_hours, step, found.windows.get(step)))
        rows.append(
            facts
            | {
                "agreed_from_min": agreed and agreed.opens,
                "agreed_to_min": agreed and agreed.closes,
                "first_min": local and local.first,
                "last_min": local and local.last,
            }
        )
    more = dict.fromkeys(("agreed_from_min", "agreed_to_min", "first_min", "last_min"), "int64")
    schema = {fact.id: KINDS[fact.type] for fact in BOOK.vocabulary.facts.values()} | more
    table = decide(compiled, ibis.memtable(rows, schema=schema).mutate(row=ibis.row_number()))
    got = ibis.duckdb.connect().to_pyarrow(table.order_by("row")).to_pylist()
    midnight = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    for row, want in zip(got, wanted, strict=True):
        window = None
        if row["earliest_min"] is not None:
            window = tuple(midnight + timedelta(minutes=row[name]) for name in ("earliest_min", "latest_min"))
        assert (row["forbids"], row["unknown"], row["no_hours"], row["step"], window) == want


def test_where_the_borrower_may_be_in_two_zones_the_hour_is_lawful_in_both() -> None:
    # Given a Kentucky borrower, Eastern or Central; 12 CFR 1006.6(b)(1)(i): 08:00 to 21:00 at the consumer's place.
    compiled = compile_for(BOOK, "us", date(2026, 1, 15))
    facts: dict[str, FactValue] = {f.id: None for f in BOOK.vocabulary.facts.values()} | {
        f.id: {"bool": True, "int": 0, "money": 0, "enum": f.values[0] if f.values else ""}[f.type]
        for f in BOOK.vocabulary.facts.values()
        if f.known
    }
    facts |= {"collector": "agency", "hours_agreed": False}
    window = compiled.find(facts, "America/New_York|America/Chicago", None).windows["call"]
    # Then from 08:00 Central (14:00 UTC) to 21:00 Eastern (02:00 UTC).
    assert window is not None
    assert [at.isoformat() for at in window] == ["2026-01-15T14:00:00+00:00", "2026-01-16T02:00:00+00:00"]


def test_on_the_day_clocks_go_forward_an_hour_is_lawful_by_both_readings() -> None:
    day = local_day("America/New_York", date(2026, 3, 8))
    assert (day.first, day.last) == (300, 240)
