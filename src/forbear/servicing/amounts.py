"""Amounts as people write them, in major units, and as the ledger takes them, in minor ones."""

import re
from decimal import Decimal

from forbear.ledger.models import MAX_MINOR
from forbear.ledger.models import minor_digits as digits
from forbear.locale import N_
from forbear.servicing.errors import ServicingError

#: A plain decimal: no exponent, no separator of thousands, no digits but these.
_PLAIN = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def major(amount: int, currency: str) -> str:
    """An amount of minor units in major units, with its currency, for a line of any language: CNY 1234.50."""
    return f"{currency} {Decimal(amount).scaleb(-digits(currency)):f}"


def minor(amount: str, currency: str) -> int:
    """An amount in major units, as typed, in minor units. Raises ServicingError, naming the remedy."""
    if not _PLAIN.fullmatch(amount):
        raise ServicingError(
            N_("amount: '%(amount)s' is no number. Write a plain number such as 1234.50."), amount=amount
        )
    scaled = Decimal(amount).scaleb(digits(currency))
    if not 0 < scaled <= MAX_MINOR:
        raise ServicingError(
            N_("amount: %(amount)s is not more than 0, or is too large to be one. Check its sign and unit."),
            amount=amount,
        )
    if scaled != scaled.to_integral_value():
        raise ServicingError(
            N_("amount: %(amount)s has more decimals than %(currency)s has. Round it as it was booked."),
            amount=amount,
            currency=currency,
        )
    return int(scaled)
