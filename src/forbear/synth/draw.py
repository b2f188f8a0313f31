"""Draws one chunk of a synthetic book as Arrow tables; the same seed and chunk give the same rows.

Pure: no database, no clock. Rows are named by their place in the chunk; the writer gives them ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from forbear.synth.contacts import Contacts, contacts
from forbear.synth.parameters import Parameters, Until, Yes
from forbear.synth.payments import NOT_YET, Payments, payments
from forbear.synth.schedule import Schedules, all_in_ppm, schedules

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: The day of a book when none is asked for: fixed, so that a command means the same book for ever.
DEFAULT_AS_OF = date(2026, 6, 30)
#: The references S0000001 to S9999999 sort as numbers do.
MAX_ACCOUNTS = 9_999_999
#: Loans drawn at a time; every eleventh is the second loan of a borrower.
CHUNK_ACCOUNTS = 55_000
_LOANS_OF_TEN = 11
#: Months walked past the last due date: a loan was opened at most one month before its term's length ago.
_AFTER_TERM = 2
_MONTH_DAYS = 365.25 / 12
_MICROSECONDS = 60_000_000


@dataclass(frozen=True)
class Request:
    """What was asked for: as many accounts, from that seed, as the book stands at the start of `as_of`."""

    accounts: int
    seed: int
    as_of: date
    parameters: Parameters

    @property
    def chunks(self) -> int:
        """How many chunks it takes."""
        return -(-self.accounts // CHUNK_ACCOUNTS)


@dataclass(frozen=True)
class Chunk:
    """The rows of a chunk, by table. Column `borrower` of account, and `account` of the others, are places.

    A place is the row's number in the chunk's own table, from 0.
    """

    borrowers: int
    accounts: int
    tables: Mapping[str, pa.Table]


def draw(request: Request, number: int) -> Chunk:
    """The chunk of that number, from 0."""
    p = request.parameters
    first = number * CHUNK_ACCOUNTS
    loans = min(CHUNK_ACCOUNTS, request.accounts - first)
    people = -(-loans * (_LOANS_OF_TEN - 1) // _LOANS_OF_TEN)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([request.seed, number])))
    as_of = (request.as_of - date(1970, 1, 1)).days

    owner = np.concatenate([np.arange(people), np.argsort(rng.random(people), kind="stable")[: loans - people]])
    term = np.asarray(p.terms.values, dtype=np.int64)[p.terms.draw(rng.random(loans))]
    principal = p.principal_minor.draw(rng.random(loans))
    rate = p.annual_rate_ppm.draw(rng.random(loans))
    age = 1 + np.floor(rng.random(loans) * (term + 1) * _MONTH_DAYS).astype(np.int64)
    made = schedules(principal, rate, term, as_of - age, p.longest + _AFTER_TERM)
    paid = payments(made, term, as_of, p.chain, p.on_due_date, p.early_days, rng)

    settled = (paid.paid_on != NOT_YET).sum(axis=0)
    everyone = np.arange(loans)
    oldest = made.due[np.minimum(settled + 1, term), everyone]
    dpd = np.where(settled < term, np.maximum(as_of - oldest, 0), 0)
    in_arrears = np.zeros(people, dtype=bool)
    in_arrears[owner[dpd > 0]] = True

    borrower, reach, shift = _borrowers(in_arrears, number, as_of, p, rng)
    account, quiet = _accounts(owner, term, principal, rate, made, settled, dpd, as_of, first, p, rng)
    reachable = {channel: reach[channel][owner] & quiet for channel in reach}
    said = contacts(made, paid.paid_on, term, reachable, as_of, p, rng)
    return Chunk(
        people,
        loans,
        {
            "borrower": borrower,
            "account": account,
            "instalment": _instalments(made, term),
            "payment": _payments(paid),
            "contact": _contacts(said, shift[owner], p),
        },
    )


# ---- borrowers and accounts -------------------------------------------------------------------------


def _borrowers(
    in_arrears: Bools, number: int, as_of: int, p: Parameters, rng: np.random.Generator
) -> tuple[pa.Table, dict[str, Bools], Ints]:
    """The borrowers; which may be reached by each channel; what to add to UTC for their earliest clock."""
    people = len(in_arrears)
    place = p.places.draw(rng.random(people))
    zone_known = rng.random(people) >= p.zones_unknown
    said = {name: _said(share, rng.random(people)) for name, share in p.borrower.items()}
    agreed = rng.random(people) < p.agreed_share
    span = np.asarray(p.agreed_hours, dtype=np.int16)[(rng.random(people) * len(p.agreed_hours)).astype(np.int64)]
    hardship = _until(p.hardship, in_arrears, as_of, rng)
    table = pa.table(
        {
            "ref": _refs("B", number * CHUNK_ACCOUNTS * (_LOANS_OF_TEN - 1) // _LOANS_OF_TEN, people),
            "language": _constant(p.language, people),
            "place": _pick([value[0] for value in p.places.values], place),
            "zones": pc.if_else(pa.array(zone_known), _pick([value[1] for value in p.places.values], place), None),
            **{name: _nullable(*each) for name, each in said.items()},
            "agreed_from_min": pa.array(span[:, 0], mask=~agreed),
            "agreed_to_min": pa.array(span[:, 1], mask=~agreed),
            "hardship_until": hardship,
        }
    )

    def yes(name: str) -> Bools:
        return said[name][0] & said[name][1]

    def no(name: str) -> Bools:
        return ~said[name][0] & said[name][1]

    open_door = no("bankrupt") & no("incapable") & no("stop_contact") & no("attorney")
    texts = yes("can_sms") & (yes("sms_consent") | (p.borrower["sms_consent"].yes == 0))
    reach = {
        "sms": open_door & zone_known & texts,
        "call": open_door & zone_known & yes("can_call"),
        "write": open_door & yes("can_write"),
    }
    return table, reach, np.asarray([value[2] for value in p.places.values], dtype=np.int64)[place]


def _accounts(
    owner: Ints,
    term: Ints,
    principal: Ints,
    rate: Ints,
    made: Schedules,
    settled: Ints,
    dpd: Ints,
    as_of: int,
    first: int,
    p: Parameters,
    rng: np.random.Generator,
) -> tuple[pa.Table, Bools]:
    """The accounts; and which of them are in no dispute, so that they may be spoken of."""
    loans = len(owner)
    overdue = dpd > 0
    status = np.where(settled == term, 1, np.where(dpd > p.charged_off_after_days, 2, 0))
    disputed, known = _said(p.dispute_open, rng.random(loans))
    disputed, known = disputed & overdue, known | ~overdue
    table = pa.table(
        {
            "borrower": owner,
            "ref": _refs("S", first, loans),
            "product": _constant("instalment", loans),
            "status": _pick(["open", "paid_off", "charged_off"], status),
            "opened_on": _dates(made.due[0]),
            "principal_minor": principal,
            "annual_rate_ppm": rate,
            "penalty_rate_ppm": rate * p.penalty_percent_of_rate // 100,
            "late_fee_minor": np.full(loans, p.late_fee_minor),
            "late_fee_ppm": np.full(loans, p.late_fee_ppm),
            "grace_days": np.full(loans, p.grace_days, dtype=np.int16),
            "all_in_ppm": all_in_ppm(principal, made, term),
            "dispute_open": _nullable(disputed, known),
            "promise_due_on": _until(p.promise, overdue, as_of, rng),
            "plan_until": _until(p.plan, overdue, as_of, rng),
        }
    )
    return table, known & ~disputed


# ---- what belongs to an account ---------------------------------------------------------------------


def _instalments(made: Schedules, term: Ints) -> pa.Table:
    months = np.arange(1, len(made.principal) + 1, dtype=np.int16)
    # Turned so that the rows stand in the order of the primary key.
    due = (months[:, None] <= term).T
    account, month = np.nonzero(due)
    return pa.table(
        {
            "account": account,
            "n": months[month],
            "due_on": _dates(made.due[1:].T[due]),
            "principal_minor": made.principal.T[due],
            "interest_minor": made.interest.T[due],
        }
    )


def _payments(paid: Payments) -> pa.Table:
    made = (paid.amount > 0).T
    account, place = np.nonzero(made)
    # Month 1's payment of arrears is P01a, of the instalment that falls due P01b.
    names = [f"P{k // 2 + 1:02d}{'ab'[k % 2]}" for k in range(len(paid.amount))]
    return pa.table(
        {
            "account": account,
            "ref": _pick(names, place),
            "paid_on": _dates(paid.day.T[made]),
            "amount_minor": paid.amount.T[made],
        }
    )


def _contacts(said: Contacts, shift: Ints, p: Parameters) -> pa.Table:
    kinds = len(p.ladder) + 1
    # Instalment 3's reminder is C03-00, the first step of its ladder C03-01.
    names = [f"C{n:02d}-{k:02d}" for n in range(p.longest + 1) for k in range(kinds)]
    minutes = said.day * 1440 + said.minute - shift[said.loan]
    return pa.table(
        {
            "account": said.loan,
            "ref": _pick(names, said.instalment * kinds + said.what + 1),
            "at": pa.array(minutes * _MICROSECONDS, pa.timestamp("us", "UTC")),
            "step": _pick(["reminder", *(planned.step for planned in p.ladder)], said.what + 1),
            "outcome": pa.array(said.outcome, pa.string()),
        }
    )


# ---- columns ----------------------------------------------------------------------------------------


def _said(share: Yes, uniform: npt.NDArray[np.float64]) -> tuple[Bools, Bools]:
    """(yes, known)."""
    return uniform < share.yes, uniform < 1 - share.unknown


def _until(until: Until, who: Bools, as_of: int, rng: np.random.Generator) -> pa.Array:
    """The day on which it ends, for a share of those concerned; NULL for all others."""
    has = who & (rng.random(len(who)) < until.share)
    span = until.last - until.first + 1
    day = as_of + until.first + np.floor(rng.random(len(who)) * span).astype(np.int64)
    return _dates(day, ~has)


def _dates(days: Ints, mask: Bools | None = None) -> pa.Array:
    return pa.array(days.astype(np.int32), pa.int32(), mask=mask).cast(pa.date32())


def _nullable(value: Bools, known: Bools) -> pa.Array:
    return pa.array(value, pa.bool_(), mask=~known)


def _pick(values: list[str], places: Ints) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(places))


def _constant(value: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)


def _refs(letter: str, first: int, count: int) -> pa.Array:
    numbers = pc.utf8_lpad(pa.array(np.arange(first + 1, first + count + 1)).cast(pa.string()), 7, "0")
    return pc.binary_join_element_wise(letter, numbers, "")
