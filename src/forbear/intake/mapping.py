"""Reads a mapping: which shape a file has, what its columns are called, what of it is derived or assumed."""

import tomllib
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from forbear.intake.errors import IntakeError
from forbear.intake.models import known_currency
from forbear.ledger.allocate import ORDERS
from forbear.rulebook.load import load
from forbear.rulebook.models import LANGUAGES

SHIPPED = Path(__file__).parent / "mappings"
OWN_FORMAT = "forbear"


class Book(BaseModel):
    """What is true of a whole book."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    jurisdiction: Annotated[str, Field(pattern="^[a-z]{2}$")]
    lender_type: Literal["bank", "consumer_finance", "micro_lender", "private", "other"]
    collector: Literal["creditor", "agency"]
    currency: str
    history_from: date | None = None
    snapshot_on: date | None = None
    synthetic: bool = False
    #: An id of ledger.allocate.ORDERS; left out: what the law of the place says.
    allocation_order: str | None = None

    @field_validator("currency")
    @classmethod
    def _known(cls, code: str) -> str:
        if not known_currency(code):
            raise ValueError("is no currency of ISO 4217; write a code such as CNY")
        return code

    @field_validator("allocation_order")
    @classmethod
    def _order(cls, id: str | None) -> str | None:
        if id is not None and id not in ORDERS:
            raise ValueError(f"is no order of allocation; write one of {', '.join(ORDERS)}")
        return id


class Derivation(BaseModel):
    """One thing that the file does not hold: what rests on it, and how it was come by, in each language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    kind: Literal["derived", "assumed"]
    facts: tuple[str, ...]
    text: dict[str, str]

    @field_validator("facts")
    @classmethod
    def _known(cls, facts: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(facts) - load().vocabulary.facts.keys():
            raise ValueError(f"names the fact {min(unknown)!r}, which the vocabulary does not have")
        return facts

    @field_validator("text")
    @classmethod
    def _whole(cls, text: dict[str, str]) -> dict[str, str]:
        if missing := [language for language in LANGUAGES if not text.get(language)]:
            raise ValueError(f"has no text in {missing[0]}")
        return text


class Mapping(BaseModel):
    """A mapping, checked. Its JSON is kept with each import, so that a row can be mended by the same mapping."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    shape: Literal["forbear", "lendingclub", "uci-card"]
    book: Book
    columns: dict[str, str] = {}
    derivation: tuple[Derivation, ...] = ()

    @property
    def sha256(self) -> str:
        """Names exactly this content."""
        return sha256(self.model_dump_json().encode()).hexdigest()


def read_mapping(name: str, folder: Path) -> Mapping:
    """The mapping of that name, shipped or a file; `folder` may hold book.toml. Raises IntakeError."""
    path = SHIPPED / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.toml")))
        raise IntakeError(f"{name}: there is no such mapping. Shipped are {shipped}; or give the path of a file.")
    data = _toml(path)
    declared = folder / "book.toml"
    if "book" not in data:
        if not declared.is_file():
            raise IntakeError(f"{path.name}: no [book] here and no {declared}. Declare the book in one of them.")
        data["book"] = _toml(declared)
    try:
        return Mapping(name=path.stem, **data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise IntakeError(f"{path.name}: {where}: {first['msg']}. Mend the mapping.") from None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise IntakeError(f"{path.name}: is not TOML in UTF-8: {error}.") from None
