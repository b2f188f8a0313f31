"""What the gate is asked and what it answers; and the words that count a contact, the same at night and at the gate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from forbear.ledger.models import Event, Instalment, Late, Terms
from forbear.rulebook.answer import Verdict
from forbear.rulebook.models import Facts, FactValue, Hours

# ---- how a contact counts ---------------------------------------------------------------------------

#: A contact that was made and whose end is not yet told: it counts as the worst that it may become.
PENDING = "pending"
#: Steps that count as a text; steps that are a telephone call.
TEXTS = ("sms", "reminder")
CALLS = ("call", "voice_message")
CONNECTED = ("connected", "conversation", PENDING)
#: A call of which it is not said whether it was a conversation counts as one.
CONVERSED = CONNECTED
#: Contacts by which the person heard of the debt, as far as is known.
HEARD = (*CONNECTED, "delivered")
#: Contacts that are known not to have failed: only these open the way to a harsher step, and only these tries.
MADE = ("connected", "conversation", "no_answer", "delivered")
TRIES = ("sms", "call")
#: Those outside of the debt, who are asked where the debtor is; the record tells them apart by these words alone.
OTHERS = frozenset(("contact_person", "employer", "third_party"))
#: What a contact is for that does not say; and those that do not press: what the law demands, what was asked, the end.
COLLECT = "collect"
NOTICES = ("required_notice", "answer", "end_of_collection")
#: Loans of which something is owed: a write-off does not end the debt.
OWED = ("open", "charged_off")
#: Facts of a loan that are its own, whoever owes it and whatever was done about it. A loan that a rule on these alone
#: holds is not the one to speak of while the person has another.
OF_LOAN = frozenset(
    {
        "status", "lender_type", "collector", "dispute_open", "all_in_ppm", "cap_exists", "cap_ppm", "penalty_rate_ppm",
        "demand_held", "left_book", "plan_active", "dpd", "arrears", "days_since_payment", "law_known",
        "collection_ended",
    }
)  # fmt: skip
#: Steps that send a text: a permission is for one text only.
WRITTEN = frozenset(("reminder", "sms", "email", "letter", "plan_offer", "visit_notice"))

Outcome = Literal["connected", "conversation", "no_answer", "delivered", "failed"]
#: The ends that a contact by each channel can come to, mildest first: a later report may only be graver.
OUTCOMES: Mapping[str, tuple[Outcome, ...]] = {
    "sms": ("failed", "delivered"),
    "email": ("failed", "delivered"),
    "letter": ("failed", "delivered"),
    "call": ("failed", "no_answer", "delivered", "connected", "conversation"),
    "visit": ("failed", "no_answer", "conversation"),
}
#: A call itself is never "delivered": only a message left is, so that no call escapes the count of those connected.
OUTCOMES_OF_A_CALL: tuple[Outcome, ...] = ("failed", "no_answer", "connected", "conversation")

# ---- the request and its answer ---------------------------------------------------------------------

#: A number of a member of staff, a system or an agency: never a name.
Number = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]


def same_number(one: str, other: str) -> bool:
    """Are two such numbers one person's? `Alice` and `alice` are: who may lift a refusal is no matter of spelling."""
    return one.strip().casefold() == other.strip().casefold()


def _in_order(facts: dict[str, bool | int | str]) -> dict[str, bool | int | str]:
    """The same facts are the same request, whatever their order."""
    return dict(sorted(facts.items()))


class Request(BaseModel):
    """One contact that somebody wants to make now.

    key: the asker's own number of the request; the same key gets the same answer.
    facts: what the asker knows of the contact itself: facts of the vocabulary with asked = "gate"; one that is left
        out is unknown. `to_whom` can't be left out.
    text_sha256: of the message's text in UTF-8; a channel sends that text and no other.
        Needed for each of WRITTEN.
    decided_by, reason: a second person, who decides where the rules lack a fact of the record. Where a rule
        forbids, or lacks a fact of another kind (docs/gate.md), they change nothing.
    overrides: the earlier request for this very contact, which was answered "needs a human": what was decided on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: UUID
    account_id: Annotated[int, Field(ge=1, le=2**63 - 1)]
    step: Annotated[str, Field(max_length=64)]
    requested_by: Number
    agency: Number | None = None
    text_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    facts: Annotated[dict[str, bool | int | str], AfterValidator(_in_order)]
    decided_by: Number | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    overrides: UUID | None = None

    @model_validator(mode="after")
    def _both(self) -> "Request":
        if len({self.decided_by is None, self.reason is None, self.overrides is None}) > 1:
            raise PydanticCustomError("together", "decided_by, reason and overrides belong together; give all or none")
        if self.decided_by is not None and same_number(self.decided_by, self.requested_by):
            raise PydanticCustomError("own", "decided_by must be another than requested_by")
        return self


@dataclass(frozen=True, slots=True)
class Permission:
    """Leave for one contact, once, before `expires_at`."""

    id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Basis:
    """What an answer was drawn from, besides its facts, so that it can be asked again.

    other_days: where it was several local days at once, what the rules read on the others.
    """

    jurisdiction: str
    zones: str | None
    agreed: Hours | None
    other_days: Mapping[str, Facts]


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's answer, as it is kept.

    spoke: for each word that a rule can say ("forbids", "unknown", "no_hours", "hours", "permits"), the rules'
    ids. facts: what those rules read. earliest: of a refused contact, when it becomes lawful if nothing else
    happens; None where that is not foreseen, or the contact was granted.
    """

    request_id: UUID
    account_id: int
    step: str
    requested_at: datetime
    verdict: Verdict
    spoke: Mapping[str, tuple[str, ...]]
    facts: Facts
    rulebook_sha256: str
    permission: Permission | None
    earliest: datetime | None
    decided_by: str | None = None
    #: None where the answer is read back, for an asker who asks again.
    basis: Basis | None = field(default=None, compare=False)

    @property
    def granted(self) -> bool:
        """May the contact be made?"""
        return self.permission is not None


# ---- the record that the facts are drawn from ---------------------------------------------------------


class Touch(NamedTuple):
    """One contact on record, or a permission that may still become one. `second` since 1970-01-01 UTC.

    All contacts count against the limits; only those made with the debtor (`to_whom`) to collect (`purpose`) open a
    harsher step.
    """

    second: int
    step: str
    outcome: str
    to_whom: str = "debtor"
    purpose: str = COLLECT


class Apart(NamedTuple):
    """The terms of a loan, and all that happened to it."""

    terms: Terms
    events: tuple[Event, ...]


class Loan(NamedTuple):
    """One loan of the person, with its book, what that book alone knows, and what all records say of the person.

    Amounts in minor units.
    """

    account_id: int
    jurisdiction: str
    lender_type: str
    collector: str
    #: The person's country; None where no place is on record, "" where it can't be told or records differ.
    country: str | None
    #: Every contact is on record from `history_from` (None: from no day) through `recorded_until`.
    history_from: date | None
    recorded_until: date | None
    #: Do rows of the record wait, in quarantine or of an import that is not finished?
    waits: bool
    status: str
    opened_on: date
    late: Late
    order: str
    zones: str | None
    #: The hours agreed with the person in any record, all together: empty where they exclude each other.
    agreed: Hours | None
    #: Facts that are columns of the record, as they are; sms_consent is False where any record of the person says so.
    plain: Mapping[str, FactValue]
    #: Days up to and including which something holds, and the day of the validation notice.
    days: Mapping[str, date | None]
    schedule: tuple[Instalment, ...]
    #: The day, the amount, and the day on which it was taken back, of each payment.
    paid: tuple[tuple[date, int, date | None], ...]
    touches: tuple[Touch, ...]
    #: Of a loan that had more than payments (a waiver, a fee, a plan): what the ledger folds; None for all others.
    apart: Apart | None = None
    #: Did a book of the person's never say whether there is a statutory respite?
    respite_untold: bool = False
    product: str = "instalment"
    #: Were hours agreed about this loan itself? Only then do they stand in the place of a rule's.
    hours_agreed: bool = False
    #: Does a ceiling take anything off its schedule? A card of a known rate, whose statements the ledger makes, too.
    cut: bool = False


class Record(NamedTuple):
    """All that is on record of a person at one instant of the database's clock; `asked` is the loan asked about."""

    at: datetime
    person: int
    asked: Loan
    loans: tuple[Loan, ...] = ()
