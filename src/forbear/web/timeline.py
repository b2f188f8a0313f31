"""Puts what happened about an account into one order of time, newest first. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forbear.web.reads import Decided, Due, History, Paid, Reached

#: Entries shown at once; what is older, and later due dates, are a click away.
SHOWN = 24

Kind = Literal["due", "paid", "reached", "decided"]
_ORDER: dict[Kind, int] = {"due": 0, "paid": 1, "reached": 2, "decided": 3}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline. `clock` is the local time of a contact, or its UTC time where no zone is known."""

    on: date
    kind: Kind
    what: Due | Paid | Reached | Decided
    clock: str | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """The due dates still ahead, soonest first; and what has been, newest first, in two parts."""

    ahead: Sequence[Entry]
    newest: Sequence[Entry]
    older: Sequence[Entry]


def timeline(history: History, as_of: date | None) -> Timeline:
    """The timeline as it stands on `as_of`: later due dates are ahead; None where no run decided the account."""
    entries = [Entry(due.on, "due", due) for due in history.due]
    entries += [Entry(paid.on, "paid", paid) for paid in history.paid]
    entries += [_reached(reached) for reached in history.reached]
    entries += [Entry(decided.as_of, "decided", decided) for decided in history.decided]
    entries.sort(key=lambda entry: (entry.on, entry.clock or "", _ORDER[entry.kind]), reverse=True)
    ahead: list[Entry] = []
    been: list[Entry] = []
    for entry in entries:
        (ahead if as_of is not None and entry.kind == "due" and entry.on > as_of else been).append(entry)
    return Timeline(ahead[::-1], been[:SHOWN], been[SHOWN:])


def _reached(reached: Reached) -> Entry:
    """A contact on the day and hour of the borrower's own clock (of the first zone, where several are possible)."""
    try:
        local = reached.at.astimezone(ZoneInfo((reached.zones or "").split("|")[0]))
        return Entry(local.date(), "reached", reached, f"{local:%H:%M}")
    except (ZoneInfoNotFoundError, ValueError):
        known = reached.at.astimezone(UTC)
        return Entry(known.date(), "reached", reached, f"{known:%H:%M} UTC")
