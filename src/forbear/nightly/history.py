"""The rulebooks of past answers, kept whole; a run, or an answer of the gate, asked again by the rules of its day."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import sqlalchemy as sa

from forbear.contact import replay as replaying
from forbear.locale import N_
from forbear.nightly.errors import NoDecision, RulebookChanged
from forbear.nightly.facts import known_law
from forbear.nightly.report import NEWEST_FIRST
from forbear.rulebook.changes import Change, changes
from forbear.rulebook.compile import Compiled, compile_for
from forbear.rulebook.hours import local_day
from forbear.rulebook.load import Rulebook, read
from forbear.rulebook.models import Source
from forbear.store.engine import arrow_connection, engine
from forbear.store.errors import one_line
from forbear.store.tables import account, rulebook, run
from forbear.strategy.ladder import decide

#: The columns in which a decision replayed must agree with the decision written.
AGREE = ("step", "earliest_min", "latest_min", "forbids", "unknown", "no_hours")


def files_of(book: Rulebook) -> str:
    """The files of a rulebook as the JSON that is kept: [{name, text}, ...], in order."""
    return json.dumps([{"name": f.name, "text": f.content.decode("utf-8")} for f in book.sources], ensure_ascii=False)


def kept(connection: sa.Connection, sha256: str, on_file: Rulebook) -> Rulebook:
    """The rulebook of that content: the one on file if it is, else as it was kept. Raises RulebookChanged."""
    if on_file.sha256 == sha256:
        return on_file
    files = connection.execute(sa.select(rulebook.c.files).where(rulebook.c.sha256 == sha256)).scalar()
    if files is None:
        raise RulebookChanged(
            N_(
                "The run used the rulebook %(used)s, which was not kept; on file is %(held)s. Runs from before"
                " rulebooks were kept can't be asked again. Run the night again."
            ),
            used=sha256[:12],
            held=on_file.sha256[:12],
        )
    book = _read_again(tuple(Source(f["name"], f["text"].encode("utf-8")) for f in files))
    assert book.sha256 == sha256, "a kept rulebook is not what its name says"
    return book


_read_again = functools.lru_cache(maxsize=8)(read)


def as_asked(book: Rulebook, jurisdiction: str, as_of: date, bits: Mapping[str, list[str]]) -> Compiled:
    """The rules of a run in one place, out of its rulebook; the run's own list of them is only compared.

    Raises RulebookChanged where the list is another: its bits would then mean other rules.
    """
    compiled = compile_for(book, jurisdiction, as_of)
    if [rule.id for rule in compiled.rules] != bits.get(jurisdiction):
        raise RulebookChanged(
            N_(
                "The run's list of rules for %(place)s is not what its rulebook %(used)s has in force on %(day)s: its"
                " reasons can't be read by it. Was the table run changed?"
            ),
            place=jurisdiction,
            used=book.sha256[:12],
            day=as_of,
        )
    return compiled


# ---- an answer of the gate replayed -------------------------------------------------------------------


def replay_request(request_id: UUID, on_file: Rulebook) -> replaying.Again:
    """Answer a request to the gate again, from what was kept of it. Raises NoDecision, RulebookChanged."""
    with one_line(), engine().connect() as connection:
        return replayed(connection, request_id, on_file)


def replayed(connection: sa.Connection, request_id: UUID, on_file: Rulebook) -> replaying.Again:
    """As `replay_request`, over a connection that is there already."""
    row = connection.execute(sa.text(replaying.ANSWERED), {"id": request_id}).first()
    if row is None:
        raise NoDecision(N_("The gate has no request of that number. It is the key that the asker gave."))
    if row.jurisdiction is None:
        raise NoDecision(N_("That request was answered before what it takes to ask again was kept."))
    book = kept(connection, row.rulebook_sha256, on_file)
    same = book.sha256 == on_file.sha256
    then, anew = replaying.said(row), replaying.again(book, row)
    return replaying.Again(request_id, row.requested_at, row.step, book.sha256, same, then, anew)


# ---- a run replayed ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replay:
    """A run asked again: how many decisions, how many agree, and the numbers of the first that do not."""

    run_id: int
    as_of: date
    rulebook_sha256: str
    on_file: bool  # is that rulebook still the one on file?
    decisions: int
    agree: int
    differ: tuple[int, ...]


def replay(run_id: int, on_file: Rulebook) -> Replay:
    """Recompute every decision of a run from its kept facts by its kept rules. Raises NoDecision, RulebookChanged."""
    with one_line(), engine().connect() as connection:
        found = run_on_file(connection, run_id)
        book = kept(connection, found.rulebook_sha256, on_file)
    duck, places = _decisions(run_id, found.as_of)
    count = 0
    differ: list[int] = []
    for place in places:
        rows = _of(duck, place)
        again = decide(as_asked(book, place, found.as_of, found.rule_bits), rows.drop(*_WRITTEN))
        pair = again.select("account_id", *AGREE).inner_join(rows.select("account_id", **_WRITTEN_AS), "account_id")
        other = functools.reduce(lambda a, b: a | b, (~pair[name].identical_to(pair[f"was_{name}"]) for name in AGREE))
        count += int(rows.count().execute())
        differ += pair.filter(other).order_by("account_id").account_id.to_pyarrow().to_pylist()
    sha = found.rulebook_sha256
    return Replay(run_id, found.as_of, sha, sha == on_file.sha256, count, count - len(differ), tuple(differ[:20]))


_WRITTEN = AGREE
_WRITTEN_AS = {f"was_{name}": name for name in AGREE}


def run_on_file(connection: sa.Connection, run_id: int | None) -> Any:
    """The row of a run, or of tonight's. Raises NoDecision, naming the runs there are."""
    runs = connection.execute(sa.select(run.c.id, run.c.as_of).order_by(*NEWEST_FIRST)).all()
    if not runs:
        raise NoDecision(N_("There is no run yet. Decide a night first: forbear nightly --as-of YYYY-MM-DD"))
    wanted = runs[0].id if run_id is None else run_id
    found = connection.execute(sa.select(run).where(run.c.id == wanted)).first()
    if found is None:
        newest = ", ".join(f"{each.id} ({each.as_of})" for each in runs[:5])
        raise NoDecision(N_("There is no run %(run)s. The newest on file are %(known)s."), run=run_id, known=newest)
    return found


def _decisions(run_id: int, as_of: date) -> tuple[Any, list[str]]:
    """The decisions of a run in DuckDB, with what each place adds to a minute of the local day; and the places."""
    with arrow_connection() as arrow, arrow.cursor() as cursor:
        cursor.execute(
            "SELECT *, (extract(epoch FROM earliest - day) / 60)::bigint AS earliest_min,"
            " (extract(epoch FROM latest - day) / 60)::bigint AS latest_min"
            f" FROM decision, (VALUES ('{as_of} 00:00:00+00'::timestamptz)) AS d (day) WHERE run_id = {run_id:d}"
        )
        rows = cursor.fetch_arrow_table()
    duck = ibis.duckdb.connect()
    duck.create_table("decided", ibis.memtable(rows.drop_columns(["earliest", "latest", "day"])))
    spans = []
    for zone in filter(None, rows["zones"].unique().to_pylist()):
        try:
            day = local_day(zone, as_of)
        except ValueError:
            continue
        spans.append((zone, day.first, day.last))
    names, kinds = ("zones", "first_min", "last_min"), (pa.string(), pa.int64(), pa.int64())
    columns = list(zip(*spans, strict=True)) or [()] * 3
    table = pa.table({n: pa.array(c, k) for n, c, k in zip(names, columns, kinds, strict=True)})
    duck.create_table("place", ibis.memtable(table))
    return duck, sorted(rows["jurisdiction"].unique().to_pylist())


def _of(duck: Any, place: str) -> ir.Table:
    rows = duck.table("decided")
    return rows.filter(rows.jurisdiction == place).left_join(duck.table("place"), "zones").drop("zones_right")


# ---- a change of law looked at ahead ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Touched:
    """One account that a change of law would touch: its step, and its lawful minutes of the local day."""

    account_ref: str
    jurisdiction: str
    step: str
    step_then: str
    hours: tuple[int, int] | None
    hours_then: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What the law of a later day would make of a run's facts: the changes of law, and the accounts touched."""

    run_id: int
    as_of: date
    then: date
    changes: tuple[Change, ...]
    decisions: int
    touched: int
    by_step: Mapping[tuple[str, str], int]  # (step, step then) -> accounts; the same twice: hours alone change
    first: tuple[Touched, ...]


def preview(then: date, book: Rulebook, most: int = 100) -> Preview:
    """Tonight's run decided by the law of its day and by that of `then`, not before it: whom a change will touch.

    Facts stay as they are but for law_known; hours are compared in the local day. Raises NoDecision.
    """
    with one_line(), engine().connect() as connection:
        found = run_on_file(connection, None)
    if then < found.as_of:
        raise NoDecision(
            N_(
                "The newest night is run %(run)s, for %(day)s; a preview looks ahead from it, and %(then)s is earlier."
                " Give a later day."
            ),
            run=found.id,
            day=found.as_of,
            then=then,
        )
    duck, places = _decisions(found.id, found.as_of)
    count, total = 0, 0
    by_step: dict[tuple[str, str], int] = {}
    first: list[tuple[str, dict[str, Any]]] = []
    listed: list[Change] = []
    for place in places:
        listed += [c for c in changes(book, place, found.as_of, then) if c not in listed]
        rows = _of(duck, place).drop(*_WRITTEN)
        total += int(rows.count().execute())
        both = []
        # Where the borrower's own country is in doubt, no change of this place's law makes the law known.
        doubt = ~rows.law_known.fill_null(True) & ibis.literal(place in book.lawful_places(found.as_of))
        for day in (found.as_of, then):
            law = known_law(rows, ~doubt, book.law_for(day))
            compiled = compile_for(book, place, day)
            both.append(_in_local_hours(decide(compiled, rows.mutate(law_known=law)), compiled))
        old, new = (each.select("account_id", "step", "opens", "closes") for each in both)
        pair = old.inner_join(new, "account_id", rname="{name}_then")
        other = functools.reduce(
            lambda a, b: a | b, (~pair[name].identical_to(pair[f"{name}_then"]) for name in ("step", "opens", "closes"))
        )
        touched = duck.create_table(f"touched_{place}", pair.filter(other))
        tally = touched.group_by(["step", "step_then"]).aggregate(n=touched.count()).to_pyarrow().to_pylist()
        for line in tally:
            key = (line["step"], line["step_then"])
            by_step[key] = by_step.get(key, 0) + line["n"]
            count += line["n"]
        rows_first = touched.order_by("account_id").limit(max(0, most - len(first))).to_pyarrow().to_pylist()
        first += [(place, row) for row in rows_first]
    refs = _refs([row["account_id"] for _, row in first])
    shown = tuple(
        Touched(refs[r["account_id"]], place, r["step"], r["step_then"], *(_span(r, s) for s in ("", "_then")))
        for place, r in first
    )
    return Preview(found.id, found.as_of, then, tuple(listed), total, count, by_step, shown)


def _in_local_hours(decided: ir.Table, compiled: Compiled) -> ir.Table:
    """The lawful minutes of the local day of the step that was chosen; NULL where it is no contact."""
    spans = {step.id: compiled.minutes(step.id, decided) for step in compiled.steps if step.contact}
    return decided.mutate(
        opens=ibis.cases(*((decided.step == step, opens) for step, (opens, _) in spans.items())),
        closes=ibis.cases(*((decided.step == step, closes) for step, (_, closes) in spans.items())),
    )


def _span(row: Mapping[str, Any], suffix: str) -> tuple[int, int] | None:
    opens, closes = row[f"opens{suffix}"], row[f"closes{suffix}"]
    return None if opens is None else (opens, closes)


def _refs(ids: list[int]) -> dict[int, str]:
    with one_line(), engine().connect() as connection:
        rows = connection.execute(sa.select(account.c.id, account.c.ref).where(account.c.id.in_(ids)))
        return {row.id: row.ref for row in rows}
