"""Turns rows of public data sets into Forbear's own tables: pure functions, named by the mappings.

What a data set does not hold is derived or assumed here, and only here; each loan carries the codes
of what was, and the mapping says each code in words.
"""

import calendar
import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from dateutil.relativedelta import relativedelta
from pydantic import Field
from pydantic_core import ErrorDetails

from forbear.intake.models import Amount, Borrower, Contact, Instalment, Loan, Payment, Rate, Refused, Status, _Row
from forbear.locale import N_

_CENT = Decimal("0.01")
#: Of what is said to have been done after the day of the picture.
AHEAD = (N_("lies after the day of the picture"), N_("Send what was done, not what is planned."))


@dataclass
class Drawn:
    """What one source row becomes."""

    borrowers: list[Borrower] = field(default_factory=list)
    loans: list[Loan] = field(default_factory=list)
    instalments: list[Instalment] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)


# ---- LendingClub ------------------------------------------------------------------------------------

#: The fewest days past due that each status band allows; None: nothing is past due.
_BANDS = {
    "Current": None,
    "Fully Paid": None,
    "Charged Off": None,
    "In Grace Period": 1,
    "Late (16-30 days)": 16,
    "Late (31-120 days)": 31,
}
_STATUS: dict[str, Status] = {"Fully Paid": "paid_off", "Charged Off": "charged_off"}
#: What is paid may differ from whole instalments by this share of one: the first period has odd days.
_ODD_DAYS = Decimal("0.05")


class LendingClub(_Row):
    """The columns used of LendingClub's public loans; amounts in US dollars, the rate in percent a year."""

    ref: str
    state: str
    loan_amount: Annotated[Amount, Field(gt=0)]
    term: Annotated[int, Field(ge=1, le=120)]
    interest_rate: Rate
    installment: Annotated[Amount, Field(gt=0)]
    issue_month: str
    loan_status: Literal[
        "Current", "Fully Paid", "Charged Off", "In Grace Period", "Late (16-30 days)", "Late (31-120 days)"
    ]
    paid_total: Amount
    paid_late_fees: Amount


def lendingclub(raw: LendingClub, snapshot_on: date) -> Drawn:
    """One public LendingClub loan as borrower, loan, schedule and what was paid."""
    zones = state_zones().get(raw.state)
    if zones is None:
        raise Refused("state", N_("is no state of the United States"), N_("Write the two letters of the state."))
    try:
        issued = datetime.strptime(raw.issue_month, "%b-%Y").date()  # noqa: DTZ007 (a month has no zone)
    except ValueError:
        raise Refused("issue_month", N_("is no month"), N_("Write it as Mar-2018.")) from None
    if issued > snapshot_on:
        raise Refused("issue_month", *AHEAD)
    codes = ["zones", "schedule", "paid", "fees", "channels", "history", "flags", "collector", "cost"]
    inst = raw.installment.quantize(_CENT, ROUND_HALF_UP)
    paid = (raw.paid_total - raw.paid_late_fees).quantize(_CENT, ROUND_HALF_UP)
    covered = min(raw.term, int(paid / inst + _ODD_DAYS))
    first_open, contradicts = _due_on(issued, covered, raw.loan_status, snapshot_on)
    if contradicts:
        codes.append("band")
    schedule = []
    balance = raw.loan_amount
    for n in range(1, raw.term + 1):
        interest = (balance * raw.interest_rate / 1200).quantize(_CENT, ROUND_HALF_UP)
        principal = balance if n == raw.term else min(balance, inst - interest)
        balance -= principal
        schedule.append((first_open + relativedelta(months=n - covered - 1), principal, max(interest, Decimal(0))))
    status: Status = _STATUS.get(raw.loan_status, "open")
    if status == "open" and covered:
        # Whole instalments were covered: the odd days of the first period take up what differs.
        short = sum(p + i for _, p, i in schedule[:covered]) - paid
        day, principal, interest = schedule[0]
        if 0 < short <= interest:
            schedule[0] = day, principal, interest - short
        elif short > interest:
            schedule[0] = day, principal - (short - interest), Decimal(0)
    loan = Loan(
        ref=raw.ref,
        borrower_ref=raw.ref,
        product="instalment",
        status=status,
        opened_on=issued,
        principal=raw.loan_amount,
        annual_rate=raw.interest_rate,
        late_fee=Decimal(15),
        late_fee_rate=Decimal(5),
        grace_days=15,
        dispute_open=False,
        derived=tuple(codes),
    )
    person = _person(raw.ref, f"US-{raw.state}", zones)
    return Drawn(
        [person],
        [loan],
        [
            Instalment(loan_ref=raw.ref, n=n, due_on=day, principal=p, interest=i)
            for n, (day, p, i) in enumerate(schedule, start=1)
        ],
        [Payment(loan_ref=raw.ref, ref="paid-total", paid_on=snapshot_on, amount=paid)] if paid > 0 else [],
    )


def _due_on(issued: date, covered: int, status: str, snapshot_on: date) -> tuple[date, bool]:
    """The due date of the first instalment not covered, and whether the month and the band contradict.

    The day of the month is not in the data: the latest day is taken which the month, the instalments
    covered and the status band allow together, hence the fewest days past due.
    """
    month = issued + relativedelta(months=covered + 1)
    last = month.replace(day=calendar.monthrange(month.year, month.month)[1])
    least = _BANDS[status]
    if least is None:
        if last >= snapshot_on:
            return last, False
        # Nothing is past due, so what is next due lies ahead, whatever the count of instalments says.
        return snapshot_on + relativedelta(day=31), True
    limit = snapshot_on - timedelta(days=least)
    return (min(last, limit), False) if limit >= month else (limit, True)


@cache
def state_zones() -> Mapping[str, str]:
    """The time zones of each state of the United States, joined by | where it has two."""
    text = files("forbear.intake").joinpath("data/us_state_zones.csv").read_text("utf-8")
    return {row["state"]: row["zones"] for row in csv.DictReader(text.splitlines())}


# ---- UCI credit cards -------------------------------------------------------------------------------

_MONTHS = 6


class Card(_Row):
    """The columns used of the UCI card accounts; amounts in New Taiwan dollars, pay_0 in months of delay."""

    ref: str
    pay_0: Annotated[int, Field(ge=-2, le=9)]
    bills: tuple[Annotated[Decimal, Field(allow_inf_nan=False)], ...]
    paid: tuple[Amount, ...]


def uci_card(raw: Card, snapshot_on: date) -> Drawn:
    """One card account; what is past due is derived from the bill of the month in which the delay began."""
    codes = ["zones", "opened", "overdue", "channels", "history", "flags"]
    lines = []
    if raw.pay_0 >= 1:
        begun = min(raw.pay_0, _MONTHS - 1)
        overdue = raw.bills[begun] - sum(raw.paid[:begun])
        if overdue <= 0:
            overdue = raw.bills[0]
            codes.append("overdue-bill")
        if overdue <= 0:
            raise Refused(
                "pay_0",
                N_("says that a payment is late, but no bill of the months says that anything is owed"),
                N_("Correct the state or the bills."),
            )
        due = snapshot_on - relativedelta(months=raw.pay_0)
        lines = [Instalment(loan_ref=raw.ref, n=1, due_on=due, principal=overdue, interest=Decimal(0))]
    loan = Loan(
        ref=raw.ref,
        borrower_ref=raw.ref,
        product="card",
        status="open",
        opened_on=snapshot_on - relativedelta(months=_MONTHS),
        principal=max(raw.bills[0], Decimal(0)),
        dispute_open=False,
        derived=tuple(codes),
    )
    person = _person(raw.ref, "TW", "Asia/Taipei")
    return Drawn([person], [loan], lines)


def _person(ref: str, place: str, zones: str) -> Borrower:
    """A borrower of a public data set, which tells nothing of the person: none on record, as the mappings say."""
    return Borrower(
        ref=ref,
        place=place,
        zones=zones,
        can_sms=True,
        can_call=True,
        can_write=True,
        stop_contact=False,
        attorney=False,
        bankrupt=False,
        incapable=False,
        unreachable=False,
        workplace_forbidden=False,
        opted_out_sms=False,
        vulnerable=False,
    )


def _plain(raw: Mapping[str, str]) -> dict[str, Any]:
    return dict(raw)


def _card(raw: Mapping[str, str]) -> dict[str, Any]:
    """The six months of bills and payments as tuples, newest first."""
    return {
        "ref": raw["ref"],
        "pay_0": raw["pay_0"],
        "bills": [raw[f"bill_{k}"] for k in range(1, _MONTHS + 1)],
        "paid": [raw[f"paid_{k}"] for k in range(1, _MONTHS + 1)],
    }


def named(error: ErrorDetails) -> str:
    """The field of an error: the months of bills and payments are fields of their own."""
    name, *month = error["loc"]
    return f"{str(name).removesuffix('s')}_{int(month[0]) + 1}" if month else str(name)


@dataclass(frozen=True, slots=True)
class Shape:
    """A raw shape: its fields, how they are laid out, its model, what turns it into our tables, and the codes of what
    is derived or assumed in doing so: a mapping must say each in words."""

    fields: tuple[str, ...]
    lay_out: Callable[[Mapping[str, str]], dict[str, Any]]
    model: type[_Row]
    draw: Callable[[Any, date], Drawn]
    codes: tuple[str, ...]


SHAPES: Mapping[str, Shape] = {
    "lendingclub": Shape(
        tuple(LendingClub.model_fields),
        _plain,
        LendingClub,
        lendingclub,
        ("zones", "schedule", "band", "paid", "fees", "channels", "history", "flags", "collector", "cost"),
    ),
    "uci-card": Shape(
        ("ref", "pay_0", *(f"{what}_{k}" for what in ("bill", "paid") for k in range(1, _MONTHS + 1))),
        _card,
        Card,
        uci_card,
        ("zones", "opened", "overdue", "overdue-bill", "channels", "history", "flags"),
    ),
}
