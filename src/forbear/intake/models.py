"""What a row must be: Forbear's own six tables, and the raw shapes that are turned into them.

Amounts come as decimal text in major units and leave as whole minor units. Every refusal says what to do.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from babel.core import Locale, get_global, parse_locale
from babel.numbers import get_currency_precision
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from forbear.ledger.models import MAX_MINOR, MAX_PPM
from forbear.locale import N_
from forbear.rulebook.hours import local_day

#: What a keyed hash looks like: longer than any identity or telephone number.
_KEYED_HASH = re.compile(r"[A-Za-z0-9+/=_-]{32,128}")
_HEX = re.compile(r"[0-9A-Fa-f]+")
TABLES = ("borrowers", "loans", "instalments", "card_entries", "payments", "contacts")


#: No day of a loan's life lies before or after these.
FIRST_DAY, LAST_DAY = date(1950, 1, 1), date(2200, 1, 1)
#: A day as text; a number is none, though pydantic would take it for seconds since 1970. Parquet's instants of
#: midnight are days.
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}([ T]00:00:00(\.0+)?)?")
_LANGUAGES = frozenset(Locale("en").languages)


def _none_if_blank(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip() == "" else value


def _zones(value: Any) -> Any:
    if isinstance(value, str):
        try:
            local_day(value, date(2000, 1, 1))
        except ValueError:
            raise PydanticCustomError("zone", "") from None
    return value


def _written_day(value: Any) -> Any:
    if isinstance(value, int | float) or (isinstance(value, str) and not _DAY.fullmatch(value.strip())):
        raise PydanticCustomError("date", "")
    return value


def _bounded(value: date) -> date:
    if not FIRST_DAY <= value <= LAST_DAY:
        raise PydanticCustomError("bounds", "")
    return value


def _written_instant(value: Any) -> Any:
    if isinstance(value, str) and not _DAY.match(value.strip()[:10]):
        raise PydanticCustomError("datetime", "")
    return value


def _instant(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise PydanticCustomError("offset", "")
    _bounded(value.date())
    return value.astimezone(UTC)


def _opaque(value: str | None) -> str | None:
    """The key as it is compared: hexadecimal digits are the same in either case, letters of base64 are not."""
    if value is not None and not _KEYED_HASH.fullmatch(value):
        raise PydanticCustomError("opaque", "")
    return value.lower() if value is not None and _HEX.fullmatch(value) else value


def key_in(text: str) -> str | None:
    """The keyed hash that a text is, as it is compared; None where it is none."""
    try:
        return _opaque(text.strip())
    except PydanticCustomError:
        return None


def _language(value: str | None) -> str | None:
    try:
        if value is not None and parse_locale(value, sep="-")[0] not in _LANGUAGES:
            raise ValueError
    except ValueError:
        raise PydanticCustomError("language", "") from None
    return value


Blank = BeforeValidator(_none_if_blank)
Ref = Annotated[str, Field(min_length=1, max_length=200)]
Amount = Annotated[Decimal, Field(ge=0, le=MAX_MINOR, allow_inf_nan=False)]
Rate = Annotated[Decimal, Field(ge=0, le=MAX_PPM // 10_000, allow_inf_nan=False)]
Share = Annotated[Decimal, Field(ge=0, le=100, allow_inf_nan=False)]
Status = Literal["open", "paid_off", "charged_off", "sold"]
Flag = Annotated[bool | None, Blank]
Date = Annotated[date, BeforeValidator(_written_day), AfterValidator(_bounded)]
Day = Annotated[Date | None, Blank]
Minute = Annotated[int | None, Blank, Field(ge=0, le=1440)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


class Borrower(_Row):
    """A row of `borrowers`: who owes, where, and how they may be reached; no name, no number."""

    ref: Ref
    language: Annotated[str | None, Blank, AfterValidator(_language)] = None
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
    respite_from: Day = None
    person_key: Annotated[str | None, Blank, AfterValidator(_opaque)] = None


class Loan(_Row):
    """A row of `loans`: the contract. Rates in percent a year; amounts in major units."""

    ref: Ref
    borrower_ref: Ref
    product: Literal["instalment", "card"]
    status: Status
    opened_on: Date
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
    first_statement_on: Day = None
    due_days: Annotated[int | None, Blank, Field(ge=1, le=27)] = None
    minimum_rate: Annotated[Share | None, Blank] = None
    minimum_floor: Amount = Decimal(0)
    cash_minimum_rate: Annotated[Share | None, Blank] = None
    interest_on: Literal["all", "unpaid"] = "all"
    derived: tuple[str, ...] = ()


class Instalment(_Row):
    """A row of `instalments`: one line of a loan's schedule."""

    loan_ref: Ref
    n: Annotated[int, Field(ge=1, le=1200)]
    due_on: Date
    principal: Amount
    interest: Amount


class CardEntry(_Row):
    """A row of `card_entries`: what was drawn on a card, or a fee that was charged; `ref` is unique in its loan."""

    loan_ref: Ref
    ref: Ref
    kind: Literal["purchase", "cash", "fee"]
    posted_on: Date
    amount: Annotated[Decimal, Field(gt=0, le=MAX_MINOR, allow_inf_nan=False)]


class Payment(_Row):
    """A row of `payments`; `ref` is the lender's own number of it, unique in its loan."""

    loan_ref: Ref
    ref: Ref
    paid_on: Date
    amount: Annotated[Decimal, Field(gt=0, le=MAX_MINOR, allow_inf_nan=False)]


class Contact(_Row):
    """A row of `contacts`: what was done to reach the borrower, and how it ended."""

    loan_ref: Ref
    ref: Ref
    at: Annotated[datetime, BeforeValidator(_written_instant), AfterValidator(_instant)]
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

#: The tables of Forbear's own format.
MODELS: dict[str, type[_Row]] = {
    "borrowers": Borrower,
    "loans": Loan,
    "instalments": Instalment,
    "card_entries": CardEntry,
    "payments": Payment,
    "contacts": Contact,
}


def columns_of(table: str) -> tuple[str, ...]:
    """The columns that a table of Forbear's own format may have; what was derived is no column of any file."""
    return tuple(name for name in MODELS[table].model_fields if name != "derived")


class Refused(Exception):
    """One field of one row can't be taken: the field, why, and what to do.

    Reason and remedy are texts of the catalogues; what varies stands behind ": ", so that they are kept as read.
    """

    def __init__(self, field: str, reason: str, remedy: str) -> None:
        super().__init__(f"{field}: {reason}. {remedy}")
        self.field, self.reason, self.remedy = field, reason, remedy


def told(text: str, gettext: Callable[[str], str]) -> str:
    """A reason or a remedy in the reader's language; what stands behind its colon is the same in all."""
    if (said := gettext(text)) != text:
        return said
    sentence, colon, values = text.partition(": ")
    said = gettext(sentence)
    return said + ((colon if said == sentence else "：") + values if colon else "")


#: What is said of a field by the kind of its error, pydantic's own name of it or that name's first word: (why, what to
#: do).
_WORDS = {
    "missing": (N_("is empty"), N_("Fill the field.")),
    "string": (N_("is empty or too long"), N_("Fill the field, with 200 characters at the most.")),
    "date": (N_("is no day"), N_("Write the day as YYYY-MM-DD.")),
    "bounds": (N_("is not a day of any loan's life"), N_("Write the day as YYYY-MM-DD, from 1950 to 2200.")),
    "datetime": (N_("is no time"), N_("Write the time as 2026-01-31T09:30:00+08:00.")),
    "offset": (
        N_("the time has no offset from UTC"),
        N_("Write the time as 2026-01-31T09:30:00+08:00."),
    ),
    "decimal": (N_("is no number"), N_("Write a plain number such as 1234.50.")),
    "finite": (N_("is no number"), N_("Write a plain number such as 1234.50.")),
    "int": (N_("is no whole number"), N_("Write a whole number.")),
    "bool": (N_("is neither true nor false"), N_("Write true or false, or leave it empty where it is not known.")),
    "greater": (
        N_("is too small"),
        N_("An amount is not negative; a payment taken back is a reversal, not a negative payment."),
    ),
    "greater_than_equal": (N_("is too small"), N_("Write no less than")),
    "less": (N_("is beyond the bounds"), N_("Check the figure and its unit.")),
    "literal": (N_("is none of the words that are listed"), N_("Use one of these")),
    "zone": (N_("is no such time zone"), N_("Write names such as Asia/Shanghai, joined by | where there are several.")),
    "language": (N_("is no such language"), N_("Write a tag such as zh-Hans, zh-Hant or en, or leave it empty.")),
    "opaque": (
        N_("is no keyed hash"),
        N_("Give 32 to 128 letters and digits (hex or base64), never a number of a person."),
    ),
}
_OTHERWISE = (N_("can't be read"), N_("Mend the field."))


def refusals(error: ValidationError, named: Callable[[ErrorDetails], str]) -> Iterator[Refused]:
    """Every field that a model refused, by the name that `named` gives it; no value of the row is repeated."""
    for each in error.errors(include_url=False, include_input=False):
        kind, context = each["type"], each.get("ctx", {})
        reason, remedy = _WORDS.get(kind) or _WORDS.get(kind.split("_")[0], _OTHERWISE)
        if words := re.findall(r"'([^']+)'", str(context.get("expected", ""))):
            remedy += f": {', '.join(words)}"
        elif "ge" in context:
            remedy += f": {context['ge']}"
        yield Refused(named(each), reason, remedy)


def minor(amount: Decimal, currency: str, field: str) -> int:
    """An amount in whole minor units. Raises Refused where it has more digits than the currency, or than we hold."""
    scaled = amount.scaleb(get_currency_precision(currency))
    if scaled != scaled.to_integral_value():
        reason = N_("has more decimals than its currency")
        raise Refused(field, f"{reason}: {currency}", N_("Round the amount as it was booked."))
    if scaled > MAX_MINOR:
        raise Refused(field, *_WORDS["less"])
    return int(scaled)


def known_currency(code: str) -> bool:
    """Is it a currency of ISO 4217, as Babel's data has them?"""
    return code in get_global("all_currencies")
