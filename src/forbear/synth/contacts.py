"""Draws the contacts that went before: reminders, and the ladder of steps for instalments past due."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forbear.synth.parameters import Parameters
from forbear.synth.payments import NOT_YET
from forbear.synth.schedule import Schedules

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_CHANNELS = {"sms": "sms", "reminder": "sms", "call": "call", "visit": "write"}  # any other step: write


@dataclass(frozen=True)
class Contacts:
    """Contacts, sorted by loan: the loan's column, what it was (reminder or place in the ladder), about which
    instalment, on which local day and minute (days since 1970-01-01), and its outcome."""

    loan: Ints
    what: Ints  # -1: reminder; else the place in the ladder
    instalment: Ints
    day: Ints
    minute: Ints
    outcome: npt.NDArray[np.object_]


def contacts(
    made: Schedules,
    paid_on: Ints,
    term: Ints,
    reachable: dict[str, Bools],
    as_of: int,
    p: Parameters,
    rng: np.random.Generator,
) -> Contacts:
    """The contacts made before the local day `as_of`.

    Args:
        reachable: for each channel (sms, call, write), which loans may be reached by it.
    """
    parts = [_reminders(made, paid_on, term, reachable["sms"], as_of, p, rng)]
    parts += _ladder(made, paid_on, term, reachable, as_of, p, rng)
    loan, what, instalment, day = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.lexsort((what, instalment, loan))
    loan, what, instalment, day = loan[order], what[order], instalment[order], day[order]
    span = p.contact_to_min - p.contact_from_min
    minute = p.contact_from_min + np.floor(rng.random(len(loan)) * span).astype(np.int64)
    return Contacts(loan, what, instalment, day, minute, _outcomes(what, p, rng.random(len(loan))))


def _reminders(
    made: Schedules, paid_on: Ints, term: Ints, reachable: Bools, as_of: int, p: Parameters, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints, Ints]:
    months = paid_on.shape[0]
    day = made.due[1:] - p.reminder_days_before
    asked = (day >= as_of - p.history_days) & (day < as_of) & (np.arange(1, months + 1)[:, None] <= term) & reachable
    # Unpaid on that day, and nothing before it unpaid.
    asked &= paid_on > day
    asked[1:] &= paid_on[:-1] <= day[1:]
    instalment, loan = np.nonzero(asked)
    kept = rng.random(len(loan)) < p.reminder_share
    instalment, loan = instalment[kept], loan[kept]
    return loan, np.full(len(loan), -1), instalment + 1, day[instalment, loan]


def _ladder(
    made: Schedules,
    paid_on: Ints,
    term: Ints,
    reachable: dict[str, Bools],
    as_of: int,
    p: Parameters,
    rng: np.random.Generator,
) -> list[tuple[Ints, Ints, Ints, Ints]]:
    months = paid_on.shape[0]
    due = made.due[1:]
    late = (paid_on > due) & (due < as_of) & (np.arange(1, months + 1)[:, None] <= term)
    # Of what was paid since, only the recent is on record.
    late &= paid_on > as_of - p.history_days
    instalment, loan = np.nonzero(late)
    due_on = due[instalment, loan]
    # While it was the oldest unpaid one: from the day the one before it was paid.
    start = np.where(instalment > 0, paid_on[instalment - 1, loan], due_on)
    start = np.maximum(start, due_on)
    unpaid = paid_on[instalment, loan] == NOT_YET
    end = np.minimum(paid_on[instalment, loan], as_of)
    recorded = np.where(unpaid, 0, as_of - p.history_days)
    done: list[Bools] = []
    found = []
    for k, planned in enumerate(p.ladder):
        spread = np.floor(rng.random(len(loan)) * (planned.spread + 1)).astype(np.int64)
        day = due_on + planned.dpd + spread
        taken = (rng.random(len(loan)) < planned.share) & (start < day) & (day < end) & (day >= recorded)
        taken &= reachable[_CHANNELS.get(planned.step, "write")][loan]
        for needed in planned.after:
            taken &= done[needed]
        done.append(taken)
        found.append((loan[taken], np.full(int(taken.sum()), k), instalment[taken] + 1, day[taken]))
    return found


def _outcomes(what: Ints, p: Parameters, uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    outcome = np.empty(len(what), dtype=object)
    for k, step in enumerate(("reminder", *(planned.step for planned in p.ladder)), start=-1):
        mine = what == k
        choice = p.outcomes[step]
        outcome[mine] = np.array(choice.values, dtype=object)[choice.draw(uniform[mine])]
    return outcome
