"""Asks LibreOffice Calc for XIRR, IRR, RATE, EFFECT and PMT of drawn loans, and prints them as a table.

    python scripts/spreadsheet_oracle.py > tests/ledger/data/spreadsheet.csv

The draw is seeded, so the table is the same each time, but for what LibreOffice itself changes. A test holds the
project's own figures to the table, and, where `soffice` is installed, the table to LibreOffice.
"""

import csv
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from dateutil.relativedelta import relativedelta

SEED = 2021
COLUMNS = ("function", "received", "opened_on", "payments", "due_on", "result")
_NAMESPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{where}"'
    for name, where in (("office", "office:1.0"), ("table", "table:1.0"), ("text", "text:1.0"), ("of", "of:1.2"))
)
#: Comma, double quote, UTF-8, from line 1, and the values themselves, not as they are shown.
_CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false"


@dataclass(frozen=True)
class Case:
    """One question to the spreadsheet: sums in minor units (cents), the days on which they fall due."""

    function: str
    received: int
    opened_on: date
    payments: tuple[int, ...]
    due_on: tuple[date, ...]

    def formula(self, row: int) -> str:
        """The formula over the case's two rows: sums from column C, and below them their days."""
        last = _letters(2 + len(self.payments))
        sums, days = f"[.C{row}:.{last}{row}]", f"[.C{row + 1}:.{last}{row + 1}]"
        n, payment, pv = len(self.payments), f"[.D{row}]", f"[.C{row}]"
        # A guess near the answer: Calc's Newton is not sought here, its definition is.
        rate = f"RATE({n};{payment};{pv};0;0;0.01)"
        return {
            "XIRR": f"XIRR({sums};{days};0.2)",
            "IRR": f"IRR({sums};0.01)",
            "RATE": rate,
            "EFFECT": f"EFFECT(12*{rate};12)",
            "PMT": f"ROUND(PMT([.D{row}];{n};{pv});0)",
        }[self.function]


def cases() -> Iterator[Case]:
    """The drawn loans, the same each time."""
    draw = random.Random(SEED)
    for function, times in (("XIRR", 70), ("IRR", 40), ("RATE", 30), ("EFFECT", 20), ("PMT", 40)):
        for _ in range(times):
            yield _case(draw, function)


def _case(draw: random.Random, function: str) -> Case:
    received = draw.randrange(50_000, 20_000_000)
    opened_on = date(2015, 1, 1) + timedelta(days=draw.randrange(4_000))
    n = draw.choice((1, 2, 3, 6, 12, 18, 24, 36) if function == "XIRR" else (3, 6, 10, 12, 18, 24, 36, 60))
    months = tuple(opened_on + relativedelta(months=k) for k in range(1, n + 1))
    level = int(received * draw.uniform(1.02, 1.6) / n) + 1
    if function == "PMT":
        # The payment's place holds the rate, in ppm a month.
        return Case(function, received, opened_on, (draw.randrange(1_000, 30_000),) * n, months)
    if function == "IRR":
        return Case(function, received, opened_on, tuple(level + draw.randrange(level) for _ in months), months)
    if function != "XIRR":
        return Case(function, received, opened_on, (level,) * n, months)
    due_on = sorted({day + timedelta(days=draw.randrange(20)) for day in months})
    return Case(function, received, opened_on, tuple(level + draw.randrange(level) for _ in due_on), tuple(due_on))


def ask(asked: list[Case]) -> list[str]:
    """What LibreOffice answers, each as it writes the number. Raises RuntimeError where it answers nothing."""
    with tempfile.TemporaryDirectory(prefix="forbear-calc-") as folder:
        sheet = Path(folder, "cases.fods")
        sheet.write_text(_document(asked), "utf-8")
        profile = f"-env:UserInstallation={Path(folder, 'profile').as_uri()}"
        done = subprocess.run(
            ["soffice", profile, "--headless", "--convert-to", _CSV, "--outdir", folder, str(sheet)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        written = Path(folder, "cases.csv")
        if not written.exists():
            raise RuntimeError(f"LibreOffice wrote no table: {done.stderr.strip() or done.stdout.strip()}")
        with written.open(encoding="utf-8", newline="") as lines:
            return [_plain(row[0]) for row in csv.reader(lines)][::2]


def _plain(written: str) -> str:
    """A number that Calc wrote, in percent or not, as a fraction."""
    return str(Decimal(written[:-1]) / 100) if written.endswith("%") else written


def _document(asked: list[Case]) -> str:
    rows = []
    for k, case in enumerate(asked):
        sums = [case.received, *(case.payments if case.function == "PMT" else [-p for p in case.payments])]
        if case.function == "PMT":
            sums[1:] = [p / 1_000_000 for p in case.payments]
        formula = quoteattr("of:=" + case.formula(2 * k + 1))
        cells = [f'<table:table-cell table:formula={formula} office:value-type="float"/>', _text(case.function)]
        rows.append(cells + [f'<table:table-cell office:value-type="float" office:value="{s}"/>' for s in sums])
        days = [f'<table:table-cell office:value-type="date" office:date-value="{d}"/>' for d in _days(case)]
        rows.append([_text(""), _text(""), *days])
    table = "".join(f"<table:table-row>{''.join(cells)}</table:table-row>" for cells in rows)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document {_NAMESPACES} office:version="1.2"'
        ' office:mimetype="application/vnd.oasis.opendocument.spreadsheet"><office:body><office:spreadsheet>'
        f'<table:table table:name="cases">{table}</table:table></office:spreadsheet></office:body></office:document>'
    )


def _days(case: Case) -> tuple[date, ...]:
    return (case.opened_on, *case.due_on)


def _text(value: str) -> str:
    return f'<table:table-cell office:value-type="string"><text:p>{escape(value)}</text:p></table:table-cell>'


def _letters(column: int) -> str:
    """The name of a column, counted from nought: A, B, ..., Z, AA."""
    name = ""
    column += 1
    while column:
        column, left = divmod(column - 1, 26)
        name = chr(65 + left) + name
    return name


def main() -> None:
    """Print the table."""
    asked = list(cases())
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for case, answer in zip(asked, ask(asked), strict=True):
        payments, days = " ".join(map(str, case.payments)), " ".join(map(str, case.due_on))
        table.writerow((case.function, case.received, case.opened_on, payments, days, answer))


if __name__ == "__main__":
    main()
