"""What the console asks of the gate's answers: SQL in, immutable values out. Nothing is written (`reads.reading`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from forbear.contact.services import LIFETIME
from forbear.rulebook.answer import Verdict
from forbear.rulebook.models import Facts

#: What became of a permission; none: the request was refused.
State = Literal["outstanding", "used", "void", "expired", "none"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
STATES: tuple[State, ...] = get_args(State)

#: No clock is further from UTC than this.
_FURTHEST = timedelta(hours=14)
#: As the gate keeps the zones of a borrower, the first; a borrower without any is at UTC.
_ZONE = "split_part(coalesce(r.zones, 'UTC'), '|', 1)"
_STATE = """
    CASE WHEN r.expires_at IS NULL THEN 'none' WHEN r.used_at IS NOT NULL THEN 'used'
         WHEN r.voided_at IS NOT NULL THEN 'void' WHEN r.expires_at <= :now THEN 'expired' ELSE 'outstanding' END"""


class Place(NamedTuple):
    """Where a page of the list ended: the next one begins after this request."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Filter:
    """Which requests a page lists; None means all. A day is the local day of each borrower, by their first zone."""

    day: date | None = None
    account: int | None = None
    step: str | None = None
    verdict: Verdict | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and its answer, as a line. `zones` are where the borrower may have been; `spoke` is by rule id."""

    id: UUID
    at: datetime
    account_id: int
    ref: str
    book: str
    synthetic: bool
    zones: tuple[str, ...]
    step: str
    verdict: Verdict
    spoke: Mapping[str, Sequence[str]]
    requested_by: str
    agency: str | None
    decided_by: str | None
    state: State
    outcome: str | None

    @property
    def place(self) -> Place:
        """Where this request stands in the list."""
        return Place(self.at, self.id)


@dataclass(frozen=True, slots=True)
class Report:
    """How a contact ended, and the number of who said so."""

    outcome: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Whole:
    """One request with all that was kept of it.

    other_days: where it was several local days at once, the facts of the others. overrides: the answer that a second
    person decided on; lifted_by: the request that decided on this answer. at_use_of: the permission that was to be
    used when this refusal came; refused_at_use: the refusal that made this one's permission void.
    """

    line: Asked
    currency: str
    jurisdiction: str
    facts: Facts
    other_days: Mapping[str, Facts]
    earliest: datetime | None
    expires_at: datetime | None
    used_at: datetime | None
    voided_at: datetime | None
    reason: str | None
    overrides: UUID | None
    lifted_by: UUID | None
    at_use_of: UUID | None
    refused_at_use: UUID | None
    rulebook_sha256: str
    reports: tuple[Report, ...]


_LINE = f"""
    r.id, r.requested_at, r.account_id, a.ref, b.name, b.synthetic, r.zones, r.step, r.verdict, r.spoke,
    r.requested_by, r.agency, r.decided_by, {_STATE}, c.outcome"""
_FROM = """
    gate_request r JOIN account a ON a.id = r.account_id JOIN book b ON b.id = a.book_id
    LEFT JOIN contact c ON c.permission_id = r.id"""


def now(connection: sa.Connection) -> datetime:
    """The gate's clock."""
    at: datetime = connection.execute(sa.text("SELECT gate_now()")).scalar_one()
    return at.astimezone(UTC)


def asked(
    connection: sa.Connection, at: datetime, only: Filter, after: Place | None, most: int
) -> tuple[tuple[Asked, ...], Mapping[Verdict, int]]:
    """A page of requests, newest first, and how many there are in all, by verdict.

    Args:
        at: the gate's clock.
        only: names a day, an account, or what is outstanding: never all that was ever asked.
        after: the last request of the page before.
        most: requests wanted.
    """
    values: dict[str, Any] = {
        "now": at,
        "account": only.account,
        "step": only.step,
        "verdict": only.verdict,
        "state": only.state,
    }
    bounds, joined = [], ""
    if only.state == "outstanding":
        bounds.append("r.requested_at > :granted_after")  # what was granted before has expired
        values["granted_after"] = at - LIFETIME
    if only.day is not None:
        zones = _zones(connection, only.day)
        starts, ends = ([_midnight(zone, only.day, days) for zone in zones] for days in (0, 1))
        values |= {"zones": zones, "starts": starts, "ends": ends} | _span(only.day)
        joined = (
            " JOIN unnest(CAST(:zones AS text[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]))"
            f" AS d (zone, starts, ends) ON d.zone = {_ZONE}"
        )
        bounds += ["r.requested_at >= :low AND r.requested_at < :high"]
        bounds += ["r.requested_at >= d.starts AND r.requested_at < d.ends"]
    bounds += [
        "(CAST(:account AS bigint) IS NULL OR r.account_id = :account)",
        "(CAST(:step AS text) IS NULL OR r.step = :step)",
        "(CAST(:verdict AS text) IS NULL OR r.verdict = :verdict)",
        f"(CAST(:state AS text) IS NULL OR {_STATE} = :state)",
    ]
    where = " AND ".join(bounds)
    counted = connection.execute(
        sa.text(f"SELECT r.verdict, count(*) FROM gate_request r{joined} WHERE {where} GROUP BY 1"), values
    ).all()
    page = "" if after is None else " AND (r.requested_at, r.id) < (:after_at, :after_id)"
    if after is not None:
        values |= {"after_at": after.at, "after_id": after.id}
    query = f"SELECT {_LINE} FROM {_FROM}{joined} WHERE {where}{page} ORDER BY r.requested_at DESC, r.id DESC"
    rows = connection.execute(sa.text(f"{query} LIMIT :most"), values | {"most": most}).all()
    return tuple(_asked(row) for row in rows), {row[0]: row[1] for row in counted}


def one(connection: sa.Connection, request: UUID) -> Whole | None:
    """One request with all that was kept of it; None where there is none."""
    row = connection.execute(
        sa.text(
            f"""
            SELECT {_LINE}, b.currency, coalesce(r.jurisdiction, b.jurisdiction), r.facts,
                   coalesce(r.other_days, '{{}}'), r.earliest, r.expires_at, r.used_at, r.voided_at, r.reason,
                   r.overrides, (SELECT o.id FROM gate_request o WHERE o.overrides = r.id), r.at_use_of,
                   (SELECT u.id FROM gate_request u WHERE u.at_use_of = r.id LIMIT 1), r.rulebook_sha256
            FROM {_FROM} WHERE r.id = :id"""
        ),
        {"id": request, "now": now(connection)},
    ).first()
    if row is None:
        return None
    reports = connection.execute(
        sa.text("SELECT outcome, reported_by, reported_at FROM contact_report WHERE permission_id = :id ORDER BY id"),
        {"id": request},
    ).all()
    values: list[Any] = [_asked(row[:15]), *row[15:], tuple(Report(*each) for each in reports)]
    return Whole(*values)


def _asked(row: Sequence[Any]) -> Asked:
    values = list(row)
    values[6] = tuple(values[6].split("|")) if values[6] else ()
    return Asked(*values)


def _span(day: date) -> dict[str, datetime]:
    """The instants between which a day is somewhere that day."""
    begins = datetime.combine(day, time(), UTC)
    return {"low": begins - _FURTHEST, "high": begins + timedelta(days=1) + _FURTHEST}


def _zones(connection: sa.Connection, day: date) -> list[str]:
    """The zones of those who were asked about around a day."""
    query = f"SELECT DISTINCT {_ZONE} FROM gate_request r WHERE r.requested_at >= :low AND r.requested_at < :high"
    return sorted(connection.execute(sa.text(query), _span(day)).scalars())


def _midnight(zone: str, day: date, days: int) -> datetime:
    """When a day begins in a zone; `days` later, when it ends."""
    return datetime.combine(day + timedelta(days=days), time(), ZoneInfo(zone)).astimezone(UTC)
