"""Holds the ledger to outside oracles, and prints how many cases of each agree; fails below 200, or where one differs.

    .venv/bin/python scripts/oracles.py

A case is a test that carries the mark `oracle` with the name of whose figures it asserts (tests/ledger). LibreOffice's
answers are those kept in tests/ledger/data/spreadsheet.csv; where `soffice` is installed, a test asks it anew.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

#: What issue 4 asks for.
LEAST = 200
_ROOT = Path(__file__).parents[1]


class Agreed:
    """A plug-in that counts, by oracle, the tests that passed."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Count a call that passed."""
        report = yield
        if report.when == "call" and report.passed:
            self.cases.update(name for mark in item.iter_markers("oracle") for name in mark.args)
        return report


def main() -> int:
    """Run the marked tests and print the table in Markdown."""
    agreed = Agreed()
    failed = pytest.main([str(_ROOT / "tests" / "ledger"), "-m", "oracle", "-n", "0", "-q", "--no-header"], [agreed])
    print("\n| oracle | cases that agree |\n|---|---:|")
    for name, cases in sorted(agreed.cases.items()):
        print(f"| {name} | {cases} |")
    total = sum(agreed.cases.values())
    print(f"| in all | {total} |")
    return int(failed) or int(total < LEAST)


if __name__ == "__main__":
    sys.exit(main())
