"""What happened to an account, read as it is on file: its payments and its other events, with what each moved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import psycopg

from forbear.ledger.filed import event_key, payment_key
from forbear.ledger.models import Kind
from forbear.locale import N_
from forbear.servicing.loan import LIVE


@dataclass(frozen=True, slots=True)
class Happened:
    """A payment or another event.

    on: its value date; of a respite that the law gives its first day. kind: "payment", or a kind of
    ledger.filed.KINDS. key: as its sender gave it. minor: what it moved, in minor units (a waiver: what was really
    given up; a reversal: what it took back); None where it moves nothing by itself.
    taken_back: it counts no more. detail: as the row of account_event keeps it. as_asked: `minor` is what was asked,
    since it has no transaction of its own: a card's statement bills of a fee what the ceiling leaves room for.
    """

    on: date
    key: str
    kind: str
    minor: int | None
    taken_back: bool
    detail: Mapping[str, Any]
    as_asked: bool = False


# A waiver or a write-off moves what was owed, which its transaction tells; a sale moves the price.
_READ = f"""
    SELECT paid_on, ref, 'payment', amount_minor, taken_back_on IS NOT NULL, '{{}}'::jsonb, false
    FROM payment WHERE account_id = %(id)s
    UNION ALL
    SELECT e.value_on, e.key, e.kind,
           coalesce((e.detail ->> 'price')::bigint, moved.minor,
               CASE WHEN e.kind = 'waived' THEN 0 ELSE (e.detail ->> 'amount')::bigint END), NOT {LIVE}, e.detail,
           e.kind = 'charged' AND moved.minor IS NULL
    FROM account_event e LEFT JOIN LATERAL (
        SELECT sum(n.amount_minor) FILTER (WHERE n.amount_minor > 0)::bigint AS minor
        FROM journal_transaction t JOIN journal_entry n ON n.transaction_id = t.id
        WHERE t.account_id = e.account_id AND t.reverses IS NULL
            AND regexp_replace(t.key, '^[0-9]+/', '') = 'event:' || e.key
            -- What a waiver that stands had given up once, and no more does, it has not given up.
            AND (e.kind <> 'waived' OR NOT {LIVE}
                OR NOT EXISTS (SELECT FROM journal_transaction u WHERE u.reverses = t.id))
        GROUP BY t.id ORDER BY t.id DESC LIMIT 1) moved ON true
    WHERE e.account_id = %(id)s"""
#: The order in which the ledger takes the events of one day (ledger.state); an early repayment comes after the payment
#: of which it is made, and those that take back come after what they take back.
_ORDER = (
    "purchased", "rate_changed", "rescheduled", "charged", "forborne", "waived", "payment", "prepayment",
    "charged_back", "reversed", "refunded", "written_off", "sold",
)  # fmt: skip
_PLACES = {kind: place for place, kind in enumerate(_ORDER)}


def happened(connection: psycopg.Connection[Any], account_id: int) -> tuple[Happened, ...]:
    """All that happened to an account, the newest first."""
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        found = [_dated(Happened(*row)) for row in cursor.execute(_READ, {"id": account_id})]
    found.sort(key=_place, reverse=True)
    moved = {(payment_key if each.kind == "payment" else event_key)(each.key): each.minor for each in found}
    return tuple(
        replace(each, minor=moved.get(each.detail["of"])) if each.kind in ("reversed", "charged_back") else each
        for each in found
    )


def _dated(event: Happened) -> Happened:
    """A respite on its first day: the ledger counts from the evening before."""
    return replace(event, on=event.on + timedelta(days=1)) if event.detail.get("rule") else event


def _place(event: Happened) -> tuple[date, int, str]:
    kind = "prepayment" if event.detail.get("reason") == "prepayment" else event.kind
    return event.on, _PLACES.get(kind, len(_ORDER)), event.key


_NAMES: Mapping[str, str] = {
    "payment": N_("Paid"),
    "purchased": N_("Purchase"),
    "cash": N_("Cash drawn"),
    "charged": N_("Charged: %(what)s"),
    "as_asked": N_("Charged: %(what)s, as asked (the statement tells what of it is owed)"),
    "held": N_("Charged: %(what)s, as far as it is owed"),
    "waived": N_("Waived: %(what)s"),
    "reversed": N_("Reversed: %(of)s"),
    "charged_back": N_("Charged back: %(of)s"),
    "refunded": N_("Paid back to the borrower"),
    "written_off": N_("Written off"),
    "sold": N_("Sold"),
    "plan": N_("Repayment plan: %(n)s instalments, the first due on %(first)s"),
    "reage": N_("Re-aged: %(n)s instalments, the first due on %(first)s"),
    "repaid": N_("Repaid early, whole"),
    "prepayment": N_("A part repaid early; instalments left: %(n)s, the next due on %(first)s"),
    "rescheduled": N_("New schedule: %(n)s instalments, the first due on %(first)s"),
    "forborne": N_("Forbearance until %(until)s"),
    "frozen": N_("Freeze until %(until)s"),
    "respite": N_("Respite that the law gives, until %(until)s (%(rule)s)"),
    "rate_changed": N_("Rate changed"),
}
#: What is owed, by kind, in words.
NAMES_OF_KINDS: Mapping[str, str] = {
    Kind.COST: N_("Cost of enforcement"),
    Kind.FEE: N_("Fee"),
    Kind.INTEREST: N_("Interest"),
    Kind.PENALTY: N_("Penalty interest"),
    Kind.LATE_FEE: N_("Late fee"),
    Kind.PRINCIPAL: N_("Principal"),
}


def name_of(event: Happened, gettext: Callable[[str], str], day: Callable[[date], str]) -> str:
    """What happened in words, without its amount; `day` writes a day as the reader has it."""
    kept, values, name = event.detail, dict[str, str](), event.kind
    match event.kind:
        case "purchased":
            name = "cash" if kept["cash"] else name
        case "charged" | "waived":
            if event.kind == "charged" and (event.as_asked or event.minor != kept["amount"]):
                name = "as_asked" if event.as_asked else "held"
            what = NAMES_OF_KINDS[kept["kind"]]
            values["what"] = gettext(what)
        case "reversed" | "charged_back":
            values["of"] = str(kept["of"]).partition(":")[2]
        case "rescheduled" if kept.get("by"):
            name = "repaid"
        case "rescheduled":
            name = kept["reason"] if kept["reason"] in _NAMES else name
            lines: Sequence[Mapping[str, Any]] = kept["schedule"]
            if name == "prepayment":  # the first line is what was repaid
                lines = lines[1:]
            values |= {"n": str(len(lines)), "first": day(date.fromisoformat(lines[0]["due_on"]))}
        case "forborne":
            name = "respite" if kept.get("rule") else "frozen" if kept["freezes"] else name
            values |= {"rule": kept["rule"]} if kept.get("rule") else {}
            values["until"] = day(date.fromisoformat(kept["until"]))
    return gettext(_NAMES[name]) % values if values else gettext(_NAMES[name])
