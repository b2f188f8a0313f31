"""The immutable values of the ledger: money, terms, instalments, events, lines, transactions.

Amounts are whole minor units of the loan's currency; rates are parts per million a year; a day is the
borrower's local day. Nothing here reads a clock: the day asked about is always an argument.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from babel.numbers import get_currency_precision, list_currencies

from forbear.errors import WordedError

PPM = 1_000_000
#: Bounds within which the whole-number arithmetic of the batch can't overflow 64 bits.
MAX_MINOR = 10**12
MAX_PPM = 4_000_000
MAX_DAYS = 36_500


class LedgerError(WordedError, ValueError):
    """What the ledger refuses: one line that names the field or the event, and the remedy."""


@functools.cache
def minor_digits(currency: str) -> int:
    """Decimal places of an ISO 4217 currency (CNY 2, JPY 0, KWD 3), as CLDR keeps them, through Babel.

    For some currencies CLDR's everyday digits are fewer than ISO 4217's (RSD: 0, not 2). Raises LedgerError.
    """
    if currency not in list_currencies():
        raise LedgerError(f"currency {currency!r}: no ISO 4217 code; write three capital letters, such as CNY")
    digits: int = get_currency_precision(currency)
    return digits


def half_up(numerator: int, denominator: int) -> int:
    """The nearest whole number to a fraction that is not negative; a half goes up. The ledger's one rounding."""
    return (2 * numerator + denominator) // (2 * denominator)


def _bounds(value: object, what: str, **fields: tuple[int, int]) -> None:
    for name, (low, high) in fields.items():
        found = getattr(value, name)
        if not low <= found <= high:
            raise LedgerError(f"{what}, {name}: {found} lies outside {low} to {high}")


# ---- the contract -----------------------------------------------------------------------------------


class Product(StrEnum):
    """What was lent: decides the schedule (products.py)."""

    EQUAL_INSTALMENTS = "equal_instalments"  # 等额本息
    EQUAL_PRINCIPAL = "equal_principal"  # 等额本金
    BULLET = "bullet"  # 到期一次还本付息
    INTEREST_ONLY = "interest_only"  # 先息后本
    REVOLVING = "revolving"  # 信用卡
    FLAT_FEE = "flat_fee"  # 分期手续费
    DAILY = "daily"  # 随借随还


class DayCount(StrEnum):
    """How days become a part of a year (daycount.py)."""

    ACT_365 = "act/365"
    ACT_360 = "act/360"
    THIRTY_360 = "30/360"
    ACT_ACT = "act/act"
    #: Each period of a schedule is its months over 12, whatever its days (所有月份相同).
    MONTHLY = "months/12"


class Roll(StrEnum):
    """Where a due date goes that falls on no working day (roll.py)."""

    NONE = "none"
    FOLLOWING = "following"
    MODIFIED_FOLLOWING = "modified_following"
    PRECEDING = "preceding"


@dataclass(frozen=True, slots=True)
class Late:
    """What the contract charges for being late.

    penalty_rate_ppm: a year, on overdue principal (罚息); on overdue interest too where `compounding`, which
        the contract and the law must both allow. late_fee: once an instalment (滞纳金, 违约金), the greater of
        `late_fee_minor` and `late_fee_ppm` of what is unpaid when more than `grace_days` have passed.
    ceiling_ppm: a year, what the law lets a loan cost; None: no ceiling is known. It holds the penalty rate, the late
        fee beside it (which comes to be owed day by day, as far as the ceiling leaves room over the penalty rate), a
        fee that is charged, and the interest of a new schedule.
    later: (day, ceiling) in order: what takes its place for all that accrues from that day on.
    """

    penalty_rate_ppm: int = 0
    late_fee_minor: int = 0
    late_fee_ppm: int = 0
    grace_days: int = 0
    compounding: bool = False
    day_count: DayCount = DayCount.ACT_365
    ceiling_ppm: int | None = None
    later: tuple[tuple[date, int | None], ...] = ()

    def ceiling_on(self, day: date) -> int | None:
        """The ceiling for what accrues on a day."""
        return next((ppm for since, ppm in reversed(self.later) if since <= day), self.ceiling_ppm)

    def held(self, rate_ppm: int, day: date) -> int:
        """A yearly rate, no higher than the ceiling of a day."""
        ceiling = self.ceiling_on(day) if self.later else self.ceiling_ppm
        return rate_ppm if ceiling is None else min(rate_ppm, ceiling)

    def stretches(self, start: date, end: date) -> Sequence[tuple[date, date]]:
        """The days after `start` through `end`, in stretches of days with one ceiling, each (start, end) likewise."""
        if not self.later:
            return ((start, end),)
        turns = (since - timedelta(days=1) for since, _ in self.later)
        return tuple(pairwise([start, *(day for day in turns if start < day < end), end]))

    def ceilings(self, start: date) -> tuple[tuple[date, int | None], ...]:
        """The ceilings from a day on, each with the day from which it holds."""
        return ((start, self.ceiling_on(start)), *(each for each in self.later if each[0] > start))

    @property
    def accrues(self) -> bool:
        """Can being late cost anything?"""
        return bool(self.penalty_rate_ppm or self.late_fee_minor or self.late_fee_ppm)

    def __post_init__(self) -> None:
        """Raises LedgerError, naming the field."""
        _bounds(
            self,
            "late",
            penalty_rate_ppm=(0, MAX_PPM),
            late_fee_minor=(0, MAX_MINOR),
            late_fee_ppm=(0, MAX_PPM),
            grace_days=(0, MAX_DAYS),
        )
        if self.day_count is DayCount.MONTHLY:
            raise LedgerError(
                "late, day_count: penalty interest runs by days; write act/365, act/360, 30/360 or act/act"
            )


@dataclass(frozen=True, slots=True)
class Terms:
    """A contract. `months` is the length of a period; `opened_on` the day from which interest runs.

    fee_ppm: for FLAT_FEE, the fee of each period in ppm of the principal first lent. order: an id of
    allocate.ORDERS. calendar: a place of calendars.py, for `roll`.
    """

    product: Product
    currency: str
    principal: int
    annual_rate_ppm: int
    opened_on: date
    first_due_on: date
    count: int
    months: int = 1
    day_count: DayCount = DayCount.ACT_365
    roll: Roll = Roll.NONE
    calendar: str = ""
    fee_ppm: int = 0
    late: Late = Late()
    order: str = "instalments_first"

    def __post_init__(self) -> None:
        """Raises LedgerError, naming the field."""
        minor_digits(self.currency)
        _bounds(
            self,
            "terms",
            principal=(0 if self.product is Product.REVOLVING else 1, MAX_MINOR),
            annual_rate_ppm=(0, MAX_PPM),
            count=(1, 1200),
            months=(1, 120),
            fee_ppm=(0, PPM),
        )
        if self.first_due_on <= self.opened_on:
            raise LedgerError(f"terms, first_due_on: {self.first_due_on} must lie after opened_on {self.opened_on}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTerms(Terms):
    """A card's contract: its statements come on the day of `first_statement_on` of each month.

    due_days: from a statement to its due date. minimum_ppm: the part of the unpaid purchases, cash_minimum_ppm of the
    unpaid cash (None: the same), that a minimum asks for, at least `minimum_floor` minor units. unpaid_only: where a
    statement was not paid whole, what was paid of it by its due date bears no interest (未清偿部分计息; else 全额计息).
    late: the late fee is on what is unpaid of a minimum, its ceiling on interest and late fees together; penalty
    interest is not charged on cards. rate_limits: (last day, ppm a year): no more than that is charged for the days
    through it. principal: all that was drawn, as far as it is told.
    """

    first_statement_on: date
    due_days: int
    minimum_ppm: int
    minimum_floor: int = 0
    cash_minimum_ppm: int | None = None
    unpaid_only: bool = False
    rate_limits: tuple[tuple[date, int], ...] = ()

    def __post_init__(self) -> None:
        """Raises LedgerError, naming the field."""
        Terms.__post_init__(self)
        _bounds(
            self,
            "terms",
            # A minimum falls due before the next statement is made.
            due_days=(1, 27),
            minimum_ppm=(0, PPM),
            minimum_floor=(0, MAX_MINOR),
        )
        if self.cash_minimum_ppm is not None:
            _bounds(self, "terms", cash_minimum_ppm=(0, PPM))
        if self.first_statement_on <= self.opened_on:
            raise LedgerError(
                f"terms, first_statement_on: {self.first_statement_on} must lie after opened_on {self.opened_on}"
            )


@dataclass(frozen=True, slots=True)
class Instalment:
    """One line of a schedule; amounts in minor units."""

    due_on: date
    principal: int
    interest: int
    fee: int = 0

    @property
    def amount(self) -> int:
        """All that falls due."""
        return self.principal + self.interest + self.fee


# ---- what happened ----------------------------------------------------------------------------------


class Kind(StrEnum):
    """The kinds of debt, each an account of what is owed."""

    COST = "cost"  # of enforcement (实现债权的有关费用)
    FEE = "fee"  # of the contract: of an instalment, or charged by an event
    INTEREST = "interest"
    PENALTY = "penalty"  # penalty interest
    LATE_FEE = "late_fee"
    PRINCIPAL = "principal"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `key` makes it one; `on` is its value date, whenever it became known."""

    key: str
    on: date


@dataclass(frozen=True, slots=True)
class Disbursed(Event):
    """Money was lent."""

    amount: int


@dataclass(frozen=True, slots=True)
class Purchased(Event):
    """A card paid for something, or gave cash (预借现金), which bears interest from its day."""

    amount: int
    cash: bool = False


@dataclass(frozen=True, slots=True)
class Paid(Event):
    """Money came from the borrower."""

    amount: int


@dataclass(frozen=True, slots=True)
class Reversed(Event):
    """A payment, `of` its key, counts as never made: it was booked by mistake."""

    of: str


@dataclass(frozen=True, slots=True)
class ChargedBack(Event):
    """A payment, `of` its key, was real until this day and was taken back then (退单, returned debit)."""

    of: str


@dataclass(frozen=True, slots=True)
class Charged(Event):
    """A fee or a cost of enforcement is owed from this day."""

    kind: Kind
    amount: int


@dataclass(frozen=True, slots=True)
class Waived(Event):
    """The lender gives up at most `amount` of what is owed of one kind, the oldest first."""

    kind: Kind
    amount: int


class Reason(StrEnum):
    """Why a schedule was made anew."""

    PREPAYMENT = "prepayment"
    RATE = "rate"
    PLAN = "plan"
    REAGE = "reage"


@dataclass(frozen=True, slots=True)
class Rescheduled(Event):
    """From this day the unpaid principal is due by `schedule` instead; unpaid interest that was due stays owed.

    Where the principal that is really unpaid differs from the schedule's (a payment of an earlier day may
    come to light), the last instalments give or take the difference. REAGE alone makes days past due
    count anew; with any other reason they go on from the oldest instalment that was overdue. by: the key of the
    payment that ended the loan by it (early.py); empty where it was agreed.
    """

    schedule: tuple[Instalment, ...]
    reason: Reason
    by: str = ""


@dataclass(frozen=True, slots=True)
class Forborne(Event):
    """Forbearance is in force from this day until `until` (the last day).

    freezes: for the days after this one through `until` no interest runs, of the contract, of a plan or of being late,
    and no fee is charged; what they would have been is never demanded. rule: the id of the rule by which the law gives
    it (a statutory respite); empty where the lender grants it.
    """

    until: date
    freezes: bool = False
    rule: str = ""


@dataclass(frozen=True, slots=True)
class RateChanged(Event):
    """From this day penalty interest runs at another rate; a DAILY loan's own interest, where it is given, too."""

    penalty_rate_ppm: int | None = None
    annual_rate_ppm: int | None = None


@dataclass(frozen=True, slots=True)
class WrittenOff(Event):
    """The lender takes its loss. The debt does not end: what is owed stays owed, and is carried at nothing."""


@dataclass(frozen=True, slots=True)
class Sold(Event):
    """The debt went to an assignee for `price`; nothing accrues here afterwards."""

    price: int
    assignee: str


# ---- what it makes ----------------------------------------------------------------------------------


class Line(NamedTuple):
    """One charge with its formula as data: amount = half_up(base * rate_ppm / 10^6 * days / year).

    A line without a rate (a fee, an instalment's interest) has `year` 0, and its amount is its base, or on a card what
    a ceiling leaves of it. n: the instalment, from 1; 0 where it belongs to none. start, end: accrues for the days
    after `start` through `end`. `days` is counted in the day count's own units, of which `year` make a year. at_most:
    what is left of a late fee that comes to be owed day by day; the amount is no more than it.
    """

    kind: Kind
    n: int
    start: date
    end: date
    base: int
    rate_ppm: int
    days: int
    year: int
    amount: int
    at_most: int | None = None


class Account(StrEnum):
    """The accounts of one loan's journal, as the lender sees them: what it owns is positive.

    What the borrower owes has an account for each Kind, `owed:` and the kind.
    """

    CASH = "cash"  # the borrower's money in, the loan out
    CREDIT = "credit"  # paid ahead, not yet allocated: owed to the borrower
    OWED_COST = "owed:cost"
    OWED_FEE = "owed:fee"
    OWED_INTEREST = "owed:interest"
    OWED_PENALTY = "owed:penalty"
    OWED_LATE_FEE = "owed:late_fee"
    OWED_PRINCIPAL = "owed:principal"
    INCOME = "income"
    WAIVED = "waived"
    LOSS = "loss"
    ALLOWANCE = "allowance"  # against what is owed after a write-off, so that it is carried at nothing
    RECOVERY = "recovery"  # paid after a write-off
    PROCEEDS = "proceeds"  # the price of a sale

    @classmethod
    def owed(cls, kind: Kind) -> "Account":
        """The account of what is owed of one kind."""
        return _OWED[kind]


_OWED = {kind: Account(f"owed:{kind}") for kind in Kind}


class Entry(NamedTuple):
    """One side of a transaction, in signed minor units."""

    account: Account
    amount: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """Entries that sum to zero, held here and by the database.

    key: unique within the loan. on: the value date. booked_on: the day on which it became known.
    corrects: the key of the transaction whose entries this one completes, where it is a correction.
    """

    key: str
    on: date
    booked_on: date
    entries: tuple[Entry, ...]
    corrects: str | None = None

    def __post_init__(self) -> None:
        """Raises LedgerError where the entries do not sum to zero."""
        total = 0
        for _, amount in self.entries:
            total += amount
        if total != 0:
            raise LedgerError(f"transaction {self.key}: the entries do not sum to zero; nothing of it is kept")


def balances(transactions: Iterable[Transaction]) -> dict[Account, int]:
    """The sum of the entries of each account; an account that comes to zero is left out."""
    sums: dict[Account, int] = {}
    for transaction in transactions:
        for entry in transaction.entries:
            sums[entry.account] = sums.get(entry.account, 0) + entry.amount
    return {account: amount for account, amount in sums.items() if amount}
