"""Puts what happened about an account into one order of time, newest first. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forbear.servicing.happened import Happened
from forbear.web.gate_reads import Asked
from forbear.web.reads import Decided, Due, History, Reached

#: Entries shown at once; what is older, and later due dates, are a click away.
SHOWN = 24

Kind = Literal["due", "happened", "asked", "reached", "decided"]
_ORDER: dict[Kind, int] = {"due": 0, "happened": 1, "asked": 2, "reached": 3, "decided": 4}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline. `clock` is the local time of a contact or request; UTC where no zone is known."""

    on: date
    kind: Kind
    what: Due | Happened | Asked | Reached | Decided
    clock: str | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """The due dates still ahead, soonest first; and what has been, newest first, in two parts."""

    ahead: Sequence[Entry]
    newest: Sequence[Entry]
    older: Sequence[Entry]


def timeline(history: History, asked: Sequence[Asked], as_of: date | None) -> Timeline:
    """The timeline as it stands on `as_of`: later due dates are ahead; None where no run decided the account.

    Of the requests `asked` of the gate, one of which a contact came is told by that contact alone.
    """
    entries = [Entry(due.on, "due", due) for due in history.due]
    entries += [Entry(each.on, "happened", each) for each in history.happened]
    entries += [_at(each.at, "reached", each, (each.zones or "").split("|")[0]) for each in history.reached]
    entries += [_at(each.at, "asked", each, "".join(each.zones[:1])) for each in asked if each.state != "used"]
    entries += [Entry(decided.as_of, "decided", decided) for decided in history.decided]
    entries.sort(key=lambda entry: (entry.on, entry.clock or "", _ORDER[entry.kind]), reverse=True)
    ahead: list[Entry] = []
    been: list[Entry] = []
    for entry in entries:
        (ahead if as_of is not None and entry.kind == "due" and entry.on > as_of else been).append(entry)
    return Timeline(ahead[::-1], been[:SHOWN], been[SHOWN:])


def _at(at: datetime, kind: Kind, what: Asked | Reached, zone: str) -> Entry:
    """What was done at an instant, on the day and hour of the borrower's clock (the first zone, where several)."""
    try:
        local = at.astimezone(ZoneInfo(zone))
        return Entry(local.date(), kind, what, f"{local:%H:%M}")
    except (ZoneInfoNotFoundError, ValueError):
        known = at.astimezone(UTC)
        return Entry(known.date(), kind, what, f"{known:%H:%M} UTC")
