"""Where an account stands on a day: days past due, arrears, penalty interest, late fee, next due date.

The figures that the nightly run needs, out of the ledger's own paths: `position` folds one account
(state.py), `positions` restates a book (batch.py); a test holds them equal. A book says what was paid and
not for what: each account's order of allocation says what it settles (allocate.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forbear.ledger.allocate import order_of
from forbear.ledger.batch import NEVER, Book, Ints, Owed, restate
from forbear.ledger.models import DayCount, Disbursed, Instalment, Kind, Late, Paid, Product, Terms
from forbear.ledger.state import State, fold

#: Days ahead for which the next due date is looked up; beyond, it counts as `never`.
HORIZON_DAYS = 31
_MILDEST = "instalments_first"
_EPOCH = date(1970, 1, 1)
#: The columns of an account that say what being late costs, in the order of Book.
_OF_LATE = ("penalty_rate_ppm", "late_fee_minor", "late_fee_ppm", "grace_days", "ceiling_ppm")
_TURNED = ("turned_on", "before_ppm")


@dataclass(frozen=True, slots=True)
class Position:
    """Where an account stands; amounts in minor units, `days_to_due` None where nothing falls due soon."""

    dpd: int
    oldest_due_on: date | None
    arrears: int
    late_fee: int
    penalty: int
    days_to_due: int | None

    @property
    def owed(self) -> int:
        """All that is due now."""
        return self.arrears + self.late_fee + self.penalty


def position(
    schedule: Sequence[Instalment],
    paid: Sequence[tuple[date, int]],
    late: Late,
    as_of: date,
    order: str = _MILDEST,
) -> Position:
    """Where one account stands on `as_of`, having paid `paid` (day, minor units). Schedule in date order.

    order: an id of allocate.ORDERS. Penalty interest is counted actual/365.
    """
    return of_state(_folded(schedule, paid, late, as_of, order))


def _folded(
    schedule: Sequence[Instalment], paid: Sequence[tuple[date, int]], late: Late, as_of: date, order: str
) -> State:
    opened = min([as_of, schedule[0].due_on, *(day for day, _ in paid)]) - timedelta(days=1)
    principal = sum(line.principal for line in schedule)
    terms = Terms(
        Product.EQUAL_INSTALMENTS,
        "XXX",
        max(principal, 1),
        0,
        opened,
        schedule[0].due_on,
        len(schedule),
        late=late,
        order=order,
    )
    events = [Paid(f"{k:09}", day, amount) for k, (day, amount) in enumerate(paid)]
    return fold(terms, schedule, [Disbursed("lent", opened, principal), *events], as_of)


def of_state(state: State) -> Position:
    """Where an account stands by its fold."""
    past = [debt.aged_from for debt in state.debts if debt.n and debt.due and debt.unpaid and debt.due_on < state.as_of]
    return Position(
        dpd=state.dpd,
        oldest_due_on=min(past, default=None),
        arrears=state.arrears,
        late_fee=state.owed(Kind.LATE_FEE),
        penalty=state.owed(Kind.PENALTY),
        days_to_due=_to_next_due(state),
    )


def _to_next_due(state: State) -> int | None:
    """Days to the first instalment, due today or later, that what was paid ahead does not pay in full."""
    coming = sorted(
        (debt.due_on, debt.unpaid + sum(debt.to_come.values()))
        for debt in state.debts
        if debt.n and debt.due_on >= state.as_of
    )
    return _days_to_due(coming, state.credit, state.as_of)


def _settled(schedule: Sequence[Instalment], state: State) -> int:
    """What has gone to instalments, with what waits for the next: charges may have taken the rest."""
    fallen_due = sum(line.amount for line in schedule if line.due_on <= state.as_of)
    return fallen_due - sum(debt.unpaid for debt in state.debts if debt.n and debt.due) + state.credit


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stands, charges left out; as in Position."""

    dpd: int
    oldest_due_on: date | None
    arrears: int
    days_to_due: int | None


def standing(schedule: Sequence[Instalment], paid: int, as_of: date) -> Standing:
    """What of `position` rests on the schedule and on how much was paid, in one walk: for who has to answer at once.

    paid: what of it went to instalments or waits for the next, as `settled` tells.
    """
    oldest: date | None = None
    arrears = through = 0
    days_to_due = None
    for line in schedule:
        amount = line.principal + line.interest
        through += amount
        if through <= paid or not amount:
            continue
        if line.due_on >= as_of:
            days_to_due = _near((line.due_on - as_of).days)
            break
        oldest = oldest or line.due_on
        arrears += min(amount, through - paid)
    return Standing(0 if oldest is None else (as_of - oldest).days, oldest, arrears, days_to_due)


def settled(
    schedule: Sequence[Instalment], paid: Sequence[tuple[date, int]], late: Late, order: str = _MILDEST
) -> int | None:
    """What of the payments (day, minor units) went to instalments or waits for the next; the rest settled charges.

    It stays so until the next payment: `standing` of it is where the loan stands on any day from the last one on.
    None for an order that settles one kind of many instalments before another: its oldest unpaid one is not told so.
    """
    whole = sum(amount for _, amount in paid)
    by = order_of(order)
    if by.instalments_first or not late.accrues or _none_late(schedule, paid):
        return whole
    if len(by.stages) > 1 or by.beyond is not None:
        return None
    last = max(day for day, _ in paid)
    return _settled(schedule, _folded(schedule, paid, late, last, order))


def _none_late(schedule: Sequence[Instalment], paid: Sequence[tuple[date, int]]) -> bool:
    """Did every payment find nothing past due, so that no charge had accrued for it to settle?"""
    so_far = due = k = 0
    for day, amount in sorted(paid):
        while k < len(schedule) and schedule[k].due_on < day:
            due += schedule[k].amount
            k += 1
        if so_far < due:
            return False
        so_far += amount
    return True


def _days_to_due(lines: Iterable[tuple[date, int]], paid: int, as_of: date) -> int | None:
    """Days to the first of the lines (due day, amount), due today or later, that `paid` does not reach; in order."""
    through = 0
    for due_on, amount in lines:
        through += amount
        if due_on >= as_of and through > paid and amount:
            return _near((due_on - as_of).days)
    return None


def _near(days: int) -> int | None:
    return days if days <= HORIZON_DAYS else None


def positions(instalments: pa.Table, payments: pa.Table, accounts: pa.Table, as_of: date) -> pa.Table:
    """Where each account of a book stands on `as_of`.

    Args:
        instalments: account_id, n, due_on, principal_minor, interest_minor; lines due later than
            HORIZON_DAYS after `as_of` may be left out.
        payments: account_id, paid_on, amount_minor; those after `as_of` left out.
        accounts: account_id, principal_minor, penalty_rate_ppm, late_fee_minor, late_fee_ppm, grace_days,
            allocation_order, ceiling_ppm (NULL: none), turned_on (from which day on, NULL: always), before_ppm (which
            held before that day).

    Returns: account_id, dpd, oldest_due_on, arrears, late_fee, penalty, next_due_on; a row for each account
        that has an instalment, in the order of the ids.
    """
    orders = accounts["allocation_order"].unique().to_pylist()
    if len(orders) > 1:
        parts = [_of_order(instalments, payments, accounts, order, as_of) for order in sorted(orders)]
        return pa.concat_tables(parts).sort_by("account_id")
    return _of_order(instalments, payments, accounts, orders[0] if orders else _MILDEST, as_of)


def _of_order(instalments: pa.Table, payments: pa.Table, accounts: pa.Table, id: str, as_of: date) -> pa.Table:
    """The positions of the accounts with that order of allocation."""
    accounts = accounts.filter(pc.equal(accounts["allocation_order"], id))
    turned = accounts["turned_on"].null_count < len(accounts)
    for name, none, kind in (("ceiling_ppm", NEVER, pa.int64()), ("before_ppm", NEVER, pa.int64()),
                             ("turned_on", -NEVER, pa.int32())):  # fmt: skip
        column = pc.fill_null(accounts[name].cast(kind).cast(pa.int64()), none)
        accounts = accounts.set_column(accounts.schema.get_field_index(name), name, column)
    known = _ints(accounts, "account_id")
    by_id = np.argsort(known, kind="stable")
    owner = _ints(instalments, "account_id")
    order = _order(owner, _ints(instalments, "n"))
    order = order[np.isin(owner[order], known)]
    owner = owner[order]
    ids = np.unique(owner)
    due_on, principal, interest = (
        _ints(instalments, name)[order] for name in ("due_on", "principal_minor", "interest_minor")
    )
    payer = _ints(payments, "account_id")
    sorted_ = _order(payer, _ints(payments, "paid_on"))
    kept = sorted_[np.isin(payer[sorted_], ids)]
    rows = by_id[np.searchsorted(known[by_id], ids)]
    book = Book(
        np.append(np.searchsorted(owner, ids), len(owner)),
        due_on,
        principal,
        interest,
        np.zeros(len(owner), dtype=np.int64),
        np.append(np.searchsorted(payer[kept], ids), len(kept)),
        _ints(payments, "paid_on")[kept],
        _ints(payments, "amount_minor")[kept],
        *(_ints(accounts, name)[rows] for name in (*_OF_LATE, *(_TURNED if turned else ()))),
    )
    # A schedule of which not all principal is here goes on beyond the horizon.
    more = np.add.reduceat(principal, book.first[:-1]) < _ints(accounts, "principal_minor")[rows] if len(ids) else None
    today = (as_of - _EPOCH).days
    owed = restate(book, today, order_of(id), DayCount.ACT_365, more=more)
    return pa.table(
        {
            "account_id": ids,
            "dpd": pa.array(owed.dpd.astype(np.int32)),
            "oldest_due_on": _dates(owed.oldest_due_on),
            "arrears": owed.arrears,
            "late_fee": owed.late_fee,
            "penalty": owed.penalty,
            "next_due_on": _dates(_next_due(book, owed, today)),
        }
    )


def _next_due(book: Book, owed: Owed, today: int) -> Ints:
    """The due date of the first instalment, due today or later, that is not yet paid in full."""
    amount = book.principal + book.interest
    through = np.concatenate([[0], np.cumsum(amount)])
    fallen_due = np.add.reduceat(amount * (book.due_on <= today), book.first[:-1]) if len(amount) else amount
    # As in _settled: what has gone to instalments, with what waits for the next.
    settled = fallen_due - (owed.principal + owed.interest + owed.fee) + owed.credit + through[book.first[:-1]]
    open_ = (book.due_on >= today) & (through[1:] > np.repeat(settled, np.diff(book.first))) & (amount > 0)
    if not len(open_):
        return np.zeros(0, dtype=np.int64)
    found: Ints = np.minimum.reduceat(np.where(open_, book.due_on, NEVER), book.first[:-1])
    return found


def _order(owner: Ints, then: Ints) -> Ints:
    """The order by owner and then by `then`; rows that stand in it already are not sorted again."""
    place = owner * (1 << 32) + then
    if (place[1:] >= place[:-1]).all():
        return np.arange(len(place))
    return np.argsort(place, kind="stable")


def _ints(table: pa.Table, name: str) -> Ints:
    column = table[name]
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    numbers: Ints = column.to_numpy().astype(np.int64)
    return numbers


def _dates(days: Ints) -> pa.Array:
    none = days == NEVER
    return pa.array(np.where(none, 0, days).astype(np.int32), pa.int32(), mask=none).cast(pa.date32())
