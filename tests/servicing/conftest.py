"""Fixtures of servicing: a small book of three loans, taken in as any book is; no ceiling cuts them."""

from pathlib import Path

import pytest
from tests.conftest import write_book

from forbear.intake.services import import_book

BOOK = """name = "own"
jurisdiction = "cn"
lender_type = "other"
collector = "creditor"
currency = "CNY"
allocation_order = "instalments_first"
history_from = 2026-01-01
"""
#: L1 and L2: 1,000.00 in two instalments; L3 has no schedule on file.
TABLES = {
    "borrowers": "ref,zones,can_sms\nB1,Asia/Shanghai,true\n",
    "loans": "ref,borrower_ref,product,status,opened_on,principal,annual_rate,penalty_rate\n"
    "L1,B1,instalment,open,2026-01-10,1000.00,18,27\nL2,B1,instalment,open,2026-01-10,1000.00,18,27\n"
    "L3,B1,instalment,open,2026-01-10,1000.00,18,27\n",
    "instalments": "loan_ref,n,due_on,principal,interest\nL1,1,2026-02-10,500.00,15.00\nL1,2,2026-03-10,500.00,7.50\n"
    "L2,1,2026-02-10,500.00,15.00\nL2,2,2026-03-10,500.00,7.50\n",
    "payments": "loan_ref,ref,paid_on,amount\nL2,P0,2026-02-12,15.00\n",
}


@pytest.fixture
def book(fresh_db: str, tmp_path: Path) -> Path:
    """The book's folder; its loans are accounts 1, 2 and 3."""
    folder = write_book(tmp_path / "own", BOOK, TABLES)
    assert import_book(folder, "forbear").bad == 0
    return folder
