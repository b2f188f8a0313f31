"""A borrower's own figures in: a CSV or typed words become a loan, or every problem is named with its remedy."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from dateutil.relativedelta import relativedelta

from forbear.check.errors import CheckError, WrongRows
from forbear.intake.source import open_source
from forbear.ledger.cost import Dated, Flows
from forbear.ledger.models import MAX_MINOR, LedgerError, minor_digits

#: No loan has more lines; beyond, the file is something else.
MAX_LINES = 5_000
_COLUMNS = {
    "date": ("date", "日期"),
    "kind": ("kind", "类型", "類型"),
    "amount": ("amount", "金额", "金額"),
}
#: What a row may be: money that reached the borrower, or money that the borrower pays.
_KINDS = {
    "received": ("received", "到账", "到帳", "放款", "收到"),
    "payment": ("payment", "fee", "还款", "還款", "费用", "費用", "付款"),
}
_DATE = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?")
_MARKS = re.compile(r"[¥$€£元,\s]|CNY|RMB")
_REPEATED = re.compile(r"(.+?)\s*[x×*]\s*(\d{1,4})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan as its borrower tells it; `contracted` is the sum in the contract, where less arrived."""

    flows: Flows
    currency: str = "CNY"
    place: str = "cn"
    lender_type: str | None = None
    contracted: int | None = None

    @property
    def opened_on(self) -> date:
        """The day of the first advance, which stands for that of the contract."""
        return self.flows.advances[0][0]


def day(given: str, at: tuple[str, object]) -> date:
    """A date, the year first; `at` is its place, for the error. Raises CheckError."""
    found = _DATE.fullmatch(unicodedata.normalize("NFKC", given).strip())
    try:
        if found is None:
            raise ValueError
        return date(*map(int, found.groups()))
    except ValueError:
        raise CheckError("no_date", at, given=given) from None


def amount(given: str, currency: str, at: tuple[str, object]) -> int:
    """An amount above zero in minor units; signs of currency and commas between digits are read over.

    Raises CheckError.
    """
    digits = minor_digits(currency)
    try:
        value = Decimal(_MARKS.sub("", unicodedata.normalize("NFKC", given)))
        if not value.is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise CheckError("no_amount", at, given=given) from None
    minor = value.scaleb(digits)
    if not 0 < minor <= MAX_MINOR:
        raise CheckError("out_of_bounds", at, given=given, most=MAX_MINOR // 10**digits)
    if minor != minor.to_integral_value():
        raise CheckError("too_fine", at, given=given, digits=digits, currency=currency)
    return int(minor)


def payments(given: Sequence[str], currency: str) -> list[Dated]:
    """Typed payments, each DATE:AMOUNT, or DATE:AMOUNTxN for N monthly ones. Raises CheckError."""
    found: list[Dated] = []
    for n, text in enumerate(given, 1):
        first, sign, rest = unicodedata.normalize("NFKC", text).partition(":")
        if not sign:
            raise CheckError("no_colon", ("payment", n), given=text)
        times = 1
        if repeated := _REPEATED.fullmatch(rest.strip()):
            rest, times = repeated[1], int(repeated[2])
        begins, minor = day(first, ("payment_date", n)), amount(rest, currency, ("payment_amount", n))
        found += [(begins + relativedelta(months=k), minor) for k in range(times)]
    return found


def typed(
    principal: str,
    opened: str,
    paid: Sequence[str],
    *,
    received: str | None = None,
    currency: str = "CNY",
    place: str = "cn",
    lender_type: str | None = None,
) -> Loan:
    """A loan from typed words. Raises CheckError."""
    _known(currency)
    contracted = amount(principal, currency, ("option", "--principal"))
    arrived = contracted if received is None else amount(received, currency, ("option", "--received"))
    if arrived > contracted:
        raise CheckError("received_above", given=received)
    return _loan(
        [(day(opened, ("option", "--opened")), arrived)],
        payments(paid, currency),
        currency,
        place,
        lender_type,
        contracted,
    )


def from_csv(path: Path, currency: str = "CNY", place: str = "cn", lender_type: str | None = None) -> Loan:
    """A loan from a CSV with the columns date, kind and amount. Raises CheckError naming each bad row."""
    _known(currency)
    source = open_source(path)
    names = _columns(source.columns, path)
    if source.rows > MAX_LINES:
        raise CheckError("too_many_lines", path=path, rows=source.rows, most=MAX_LINES)
    advances: list[Dated] = []
    paid: list[Dated] = []
    wrong: list[CheckError] = []
    for row in source.read():
        if row.fields is None:
            wrong.append(CheckError("torn_row", ("row", row.number)))
            continue
        if not any(value.strip() for value in row.fields.values()):
            continue
        try:
            kind = _kind(row.fields[names["kind"]], ("row_kind", row.number))
            line = (
                day(row.fields[names["date"]], ("row_date", row.number)),
                amount(row.fields[names["amount"]], currency, ("row_amount", row.number)),
            )
        except CheckError as error:
            wrong.append(error)
            continue
        (advances if kind == "received" else paid).append(line)
    if wrong:
        raise WrongRows(wrong, path)
    return _loan(advances, paid, currency, place, lender_type, None)


def _loan(
    advances: list[Dated],
    paid: list[Dated],
    currency: str,
    place: str,
    lender_type: str | None,
    contracted: int | None,
) -> Loan:
    """A loan, what was paid on the day of the first advance being taken off it: it never was lent."""
    if advances:
        opened_on, first = min(advances)
        at_once = sum(minor for on, minor in paid if on == opened_on)
        if 0 < at_once < first:
            advances = [(opened_on, first - at_once), *sorted(advances)[1:]]
            paid = [line for line in paid if line[0] != opened_on]
            contracted = contracted or first
    if not advances or not paid:
        raise CheckError("one_side")
    if min(paid)[0] < min(advances)[0]:
        raise CheckError("paid_before", paid=min(paid)[0], opened=min(advances)[0])
    flows = Flows.of(advances, paid)
    if flows.paid < flows.advanced:
        raise CheckError("less_than_received")
    return Loan(flows, currency, place, lender_type, contracted)


def _known(currency: str) -> None:
    try:
        minor_digits(currency)
    except LedgerError:
        raise CheckError("no_currency", ("option", "--currency"), given=currency) from None


def _kind(given: str, at: tuple[str, object]) -> str:
    if found := _one_of(given, _KINDS.items()):
        return found
    raise CheckError("no_kind", at, given=given)


def _columns(columns: Iterable[str], path: Path) -> dict[str, str]:
    named = {name: column for column in columns if (name := _one_of(column, _COLUMNS.items()))}
    if missing := [name for name in _COLUMNS if name not in named]:
        raise CheckError("no_column", path=path, name=missing[0])
    return named


def _one_of(given: str, choices: Iterable[tuple[str, Sequence[str]]]) -> str | None:
    wanted = unicodedata.normalize("NFKC", given).strip().lower()
    return next((name for name, aliases in choices if wanted in aliases), None)
