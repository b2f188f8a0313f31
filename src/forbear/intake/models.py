"""What a row must be: Forbear's own five tables, and the raw shapes that are turned into them.

Amounts come as decimal text in major units and leave as whole minor units. Every refusal says what to do.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from babel.core import get_global
from babel.numbers import get_currency_precision
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from forbear.ledger.models import MAX_MINOR, MAX_PPM
from forbear.rulebook.hours import local_day

#: What a keyed hash looks like: longer than any identity or telephone number.
_KEYED_HASH = re.compile(r"[A-Za-z0-9+/=_-]{32,128}")
TABLES = ("borrowers", "loans", "instalments", "payments", "contacts")


def _none_if_blank(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip() == "" else value


def _zones(value: Any) -> Any:
    if isinstance(value, str):
        local_day(value, date(2000, 1, 1))  # raises ValueError for no such zone
    return value


def _instant(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("the time has no offset from UTC; write it as 2026-01-31T09:30:00+08:00")
    return value.astimezone(UTC)


def _opaque(value: str | None) -> str | None:
    if value is not None and not _KEYED_HASH.fullmatch(value):
        raise ValueError("is no keyed hash: give 32 to 128 letters and digits (hex or base64), no number of a person")
    return value


Blank = BeforeValidator(_none_if_blank)
Ref = Annotated[str, Field(min_length=1, max_length=200)]
Amount = Annotated[Decimal, Field(ge=0, le=MAX_MINOR, allow_inf_nan=False)]
Rate = Annotated[Decimal, Field(ge=0, le=MAX_PPM // 10_000, allow_inf_nan=False)]
Status = Literal["open", "paid_off", "charged_off", "sold"]
Flag = Annotated[bool | None, Blank]
Day = Annotated[date | None, Blank]
Minute = Annotated[int | None, Blank, Field(ge=0, le=1440)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


class Borrower(_Row):
    """A row of `borrowers`: who owes, where, and how they may be reached; no name, no number."""

    ref: Ref
    language: Annotated[str | None, Blank] = None
    place: Annotated[str | None, Blank] = None
    zones: Annotated[str | None, Blank, BeforeValidator(_zones)] = None
    can_sms: Flag = None
    can_call: Flag = None
    can_write: Flag = None
    sms_consent: Flag = None
    agreed_from_min: Minute = None
    agreed_to_min: Minute = None
    stop_contact: Flag = None
    attorney: Flag = None
    bankrupt: Flag = None
    incapable: Flag = None
    hardship_until: Day = None
    unreachable: Flag = None
    workplace_forbidden: Flag = None
    opted_out_sms: Flag = None
    vulnerable: Flag = None
    respite_until: Day = None
    person_key: Annotated[str | None, Blank, AfterValidator(_opaque)] = None


class Loan(_Row):
    """A row of `loans`: the contract. Rates in percent a year; amounts in major units."""

    ref: Ref
    borrower_ref: Ref
    product: Literal["instalment", "card"]
    status: Status
    opened_on: date
    principal: Amount
    annual_rate: Annotated[Rate | None, Blank] = None
    penalty_rate: Rate = Decimal(0)
    late_fee: Amount = Decimal(0)
    late_fee_rate: Rate = Decimal(0)
    grace_days: Annotated[int, Field(ge=0, le=365)] = 0
    dispute_open: Flag = None
    promise_due_on: Day = None
    plan_until: Day = None
    validation_sent_on: Day = None
    currency: Annotated[str | None, Blank] = None
    derived: tuple[str, ...] = ()


class Instalment(_Row):
    """A row of `instalments`: one line of a loan's schedule."""

    loan_ref: Ref
    n: Annotated[int, Field(ge=1, le=1200)]
    due_on: date
    principal: Amount
    interest: Amount


class Payment(_Row):
    """A row of `payments`; `ref` is the lender's own number of it, unique in its loan."""

    loan_ref: Ref
    ref: Ref
    paid_on: date
    amount: Annotated[Decimal, Field(gt=0, le=MAX_MINOR, allow_inf_nan=False)]


class Contact(_Row):
    """A row of `contacts`: what was done to reach the borrower, and how it ended."""

    loan_ref: Ref
    ref: Ref
    at: Annotated[datetime, AfterValidator(_instant)]
    step: Literal["reminder", "sms", "email", "voice_message", "call", "letter", "plan_offer", "visit_notice", "visit"]
    outcome: Literal["connected", "conversation", "no_answer", "delivered", "failed"]
    agency: Annotated[str | None, Blank, Field(max_length=200)] = None


#: How a contact of each kind can have ended. connected: somebody answered, and it is not said whether it came to a
#: conversation; no_answer: nobody did; delivered: sent, and not known to have failed.
OUTCOMES = {
    "call": ("connected", "conversation", "no_answer", "failed"),
    "visit": ("connected", "conversation", "no_answer", "failed"),
}
WRITTEN = ("delivered", "failed")

MODELS: dict[str, type[_Row]] = {
    "borrowers": Borrower,
    "loans": Loan,
    "instalments": Instalment,
    "payments": Payment,
    "contacts": Contact,
}


class Refused(Exception):
    """One field of one row can't be taken: the field, why, and what to do."""

    def __init__(self, field: str, reason: str, remedy: str) -> None:
        super().__init__(f"{field}: {reason}. {remedy}")
        self.field, self.reason, self.remedy = field, reason, remedy


_REMEDIES = {
    "missing": "Fill the field.",
    "date": "Write the day as YYYY-MM-DD.",
    "datetime": "Write the time as 2026-01-31T09:30:00+08:00.",
    "decimal": "Write a plain number such as 1234.50.",
    "int": "Write a whole number.",
    "bool": "Write true or false, or leave it empty where it is not known.",
    "greater": "An amount is not negative; a payment taken back is a reversal, not a negative payment.",
    "less": "The figure is beyond the bounds; check its unit.",
    "literal": "Use one of the words that are listed.",
    "string": "Fill the field.",
    "value": "Mend the field.",
}


def refusals(error: ValidationError) -> Iterator[Refused]:
    """Every field that a model refused; no value of the row is repeated."""
    for each in error.errors(include_url=False, include_input=False):
        field = str(each["loc"][0]) if each["loc"] else "row"
        remedy = _REMEDIES.get(each["type"].split("_")[0], "Mend the field.")
        yield Refused(field, each["msg"].removeprefix("Value error, "), remedy)


def minor(amount: Decimal, currency: str, field: str) -> int:
    """An amount in whole minor units. Raises Refused where it has more digits than the currency."""
    scaled = amount.scaleb(get_currency_precision(currency))
    if scaled != scaled.to_integral_value():
        raise Refused(field, f"has more decimals than {currency} has", "Round the amount as it was booked.")
    return int(scaled)


def known_currency(code: str) -> bool:
    """Is it a currency of ISO 4217, as Babel's data has them?"""
    return code in get_global("all_currencies")
