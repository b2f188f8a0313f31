"""Where the few accounts stand that had more than payments (fees, waivers, chargebacks, plans), or whose ceiling
changes more than once while they run, each by its fold.

The batch knows schedules and payments alone; for these it would differ from the journal (ledger/batch.py).
"""

from datetime import date
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from forbear.ledger.filed import stood
from forbear.ledger.models import LedgerError
from forbear.servicing.loan import read

_EVENTFUL = """
    SELECT account_id FROM account_event WHERE kind <> 'reversed' AND account_id >= %(lo)s AND account_id < %(hi)s
    UNION
    SELECT a.id FROM ceiling c JOIN account a USING (book_id, opened_on, product)
    WHERE c.later <> '[]' AND (jsonb_array_length(c.later) > 1 OR c.ppm IS NULL OR c.later -> 0 ->> 1 IS NULL)
      AND a.id >= %(lo)s AND a.id < %(hi)s AND product = 'instalment'
      AND (a.penalty_rate_ppm > 0 OR a.late_fee_minor > 0 OR a.late_fee_ppm > 0)"""


#: What holds collection for an account: days through which forbearance and a plan that is kept bind, NULL where none;
#: in_doubt: what happened to it contradicts itself, so that where it stands is not known, and a person is to see to it.
HOLDS = pa.schema(
    [
        ("account_id", pa.int64()),
        ("forborne_until", pa.date32()),
        ("planned_until", pa.date32()),
        ("in_doubt", pa.bool_()),
    ]
)


def set_apart(
    connection: psycopg.Connection[Any], where: pa.Table, lo: int, hi: int, as_of: date
) -> tuple[pa.Table, pa.Table]:
    """The positions of the accounts from `lo` to before `hi`, those of eventful ones by their fold; and their HOLDS."""
    ids = [id_ for (id_,) in connection.execute(_EVENTFUL, {"lo": lo, "hi": hi})]
    rows: list[dict[str, Any]] = []
    holds: list[dict[str, Any]] = []
    for loan in read(connection, ids).values() if ids else ():
        if loan.terms is None or as_of < loan.terms.opened_on:
            continue
        try:
            found = stood(loan.terms, loan.schedule, loan.events, as_of)
        except LedgerError:
            holds.append({"account_id": loan.id, "in_doubt": True})
            continue
        at = found.position
        holds.append({"account_id": loan.id, "forborne_until": found.forborne_until, "planned_until": found.plan_until})
        rows.append(
            {
                "account_id": loan.id,
                "dpd": at.dpd,
                "oldest_due_on": at.oldest_due_on,
                "arrears": at.arrears,
                "late_fee": at.late_fee,
                "penalty": at.penalty,
                "next_due_on": found.next_due_on,
            }
        )
    held = pa.Table.from_pylist(holds, schema=HOLDS)
    if not rows:
        return where, held
    mine = pa.Table.from_pylist(rows, schema=where.schema)
    others = where.filter(pc.invert(pc.is_in(where["account_id"], mine["account_id"].combine_chunks())))
    return pa.concat_tables([others, mine]).sort_by("account_id"), held
