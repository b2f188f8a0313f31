"""Amounts as people write them, in major units, as the ledger takes them."""

from decimal import Decimal, InvalidOperation

from forbear.ledger.models import MAX_MINOR
from forbear.ledger.models import minor_digits as digits
from forbear.servicing.errors import ServicingError


def minor(amount: str, currency: str) -> int:
    """An amount in major units, as typed, in minor units. Raises ServicingError, naming the remedy."""
    try:
        scaled = Decimal(amount).scaleb(digits(currency))
    except InvalidOperation:
        raise ServicingError(f"amount: {amount!r} is no number. Write a plain number such as 1234.50.") from None
    if not scaled.is_finite() or not 0 < scaled <= MAX_MINOR:
        raise ServicingError(f"amount: {amount} is not between nothing and the bounds. Check its sign and unit.")
    if scaled != scaled.to_integral_value():
        raise ServicingError(f"amount: {amount} has more decimals than {currency} has. Round it as it was booked.")
    return int(scaled)
