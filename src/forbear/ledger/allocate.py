"""Allocation: which debts a sum settles, and in what order. An order is a policy with its legal source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forbear.ledger.models import Kind, LedgerError

#: The kinds that an instalment is made of: days past due count while one of them is unpaid.
SCHEDULED = (Kind.INTEREST, Kind.FEE, Kind.PRINCIPAL)
#: Kinds that are settled together: of the oldest debt all of them, in this order, then of the next.
Stage = tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """An order of allocation: stage after stage, in each the oldest debt first.

    beyond: above so many days past due, these stages hold instead. ahead: the stages while instalments are still to
    come: money beyond those that are due waits for the next one, and settles no charge; empty: they are no others.
    verified: the source's own text was read.
    """

    id: str
    stages: tuple[Stage, ...]
    source: str
    verified: bool
    beyond: tuple[int, tuple[Stage, ...]] | None = None
    ahead: tuple[Stage, ...] = ()

    @property
    def instalments_first(self) -> bool:
        """Do instalments come before every charge, so that when money came makes no difference to the arrears?"""
        return bool(self.ahead) and self.beyond is None and set(self.stages[0]) == set(SCHEDULED)

    def stages_at(self, dpd: int, to_come: bool) -> tuple[Stage, ...]:
        """The stages for an account so many days past due, with instalments `to_come` or without."""
        if self.ahead and to_come:
            return self.ahead
        return self.beyond[1] if self.beyond and dpd > self.beyond[0] else self.stages


_INTEREST_AND_FEES = (Kind.INTEREST, Kind.PENALTY, Kind.COST, Kind.FEE, Kind.LATE_FEE)
_INSTALMENTS_FIRST = (SCHEDULED, (Kind.PENALTY,), (Kind.LATE_FEE,), (Kind.COST,))

ORDERS = {
    order.id: order
    for order in (
        # Art. 561: costs, interest, principal. Of several debts due, art. 560 ends with the one due first; each
        # instalment is taken as such a debt. The code has no place for a late fee, so it comes last.
        Order(
            "cn_civil_code",
            ((Kind.COST, Kind.FEE, Kind.INTEREST, Kind.PENALTY, Kind.PRINCIPAL, Kind.LATE_FEE),),
            "民法典 arts 560, 561 (2021-01-01)",
            True,
        ),
        # To 90 days past due: interest and fees, then principal; from 91 days: principal first.
        Order(
            "cn_credit_card",
            (_INTEREST_AND_FEES, (Kind.PRINCIPAL,)),
            "商业银行信用卡业务监督管理办法 art. 57 (2011-01-13); the content as an issuer's terms give it",
            False,
            (90, ((Kind.PRINCIPAL,), _INTEREST_AND_FEES)),
        ),
        # An instalment that is paid is paid: no late fee may come of an earlier late fee alone. So money paid
        # ahead of an instalment must not go to a late fee either.
        Order("us_no_pyramiding", _INSTALMENTS_FIRST, "16 CFR 444.4 (49 FR 7789)", True, ahead=(SCHEDULED,)),
        # The mildest for the borrower, where neither contract nor law names an order.
        Order("instalments_first", _INSTALMENTS_FIRST, "policy of the house", True, ahead=(SCHEDULED,)),
    )
}


#: The order that the law of a place gives where a contract names none; elsewhere the mildest for the borrower.
_OF_PLACE = {"cn": "cn_civil_code", "us": "us_no_pyramiding"}


def default_order(jurisdiction: str) -> str:
    """The id of the order that a book of that place has where its lender names none."""
    return _OF_PLACE.get(jurisdiction, "instalments_first")


def order_of(id: str) -> Order:
    """The order of that id. Raises LedgerError, naming those that exist."""
    if id not in ORDERS:
        raise LedgerError(f"allocation order {id!r}: none such; write one of {', '.join(ORDERS)}")
    return ORDERS[id]


def allocate(
    amount: int, debts: Sequence[Mapping[Kind, int]], stages: Sequence[Stage]
) -> tuple[list[tuple[int, Kind, int]], int]:
    """What `amount` settles of `debts`, the oldest first: [(index, kind, amount)], and what is left over."""
    settled: list[tuple[int, Kind, int]] = []
    for stage in stages:
        for k, debt in enumerate(debts):
            if amount <= 0:
                return settled, amount
            for kind in stage:
                part = debt.get(kind, 0)
                if part > 0 and amount > 0:
                    part = min(amount, part)
                    settled.append((k, kind, part))
                    amount -= part
    return settled, amount
