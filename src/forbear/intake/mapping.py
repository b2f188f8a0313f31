"""Reads a mapping: which shape a file has, what its columns are called, what of it is derived or assumed."""

import re
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forbear.errors import WordedError
from forbear.intake.derive import SHAPES
from forbear.intake.errors import IntakeError
from forbear.intake.models import Day, known_currency
from forbear.ledger.allocate import ORDERS
from forbear.locale import N_
from forbear.rulebook.load import load
from forbear.rulebook.models import LANGUAGES

SHIPPED = Path(__file__).parent / "mappings"
OWN_FORMAT = "forbear"


class Book(BaseModel):
    """What is true of a whole book."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    jurisdiction: str
    lender_type: Literal["bank", "consumer_finance", "micro_lender", "private", "other"]
    collector: Literal["creditor", "agency"]
    currency: str
    history_from: Day = None
    snapshot_on: Day = None
    synthetic: bool = False
    #: An id of ledger.allocate.ORDERS; left out: what the law of the place says.
    allocation_order: str | None = None
    #: Does the file hold every loan of the book? One that it lacks has then left the book.
    whole: bool = False


class Derivation(BaseModel):
    """One thing that the file does not hold: what rests on it, and how it was come by, in each language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    kind: Literal["derived", "assumed"]
    facts: tuple[str, ...]
    text: dict[str, str]


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
        # A mapping that says nothing of these keeps the name that it had before they could be said.
        unsaid = {name for name in ("allocation_order", "whole") if not getattr(self.book, name)}
        return sha256(self.model_dump_json(exclude={"book": unsaid}).encode()).hexdigest()


def places() -> tuple[str, ...]:
    """The places of whose law something is on file in the shipped packs."""
    return tuple(sorted({rule.instrument.jurisdiction for rule in load().rules} - {"*"}))


def meant(name: str, known: Iterable[str]) -> WordedError | str:
    """The known word that looks most like the one given, as a question; nothing where none does."""
    near = get_close_matches(name.strip().lower(), list(known), 1)
    return WordedError(N_(" (%(word)s?)"), word=near[0]) if near else ""


def read_mapping(name: str, folder: Path) -> Mapping:
    """The mapping of that name, shipped or a file; `folder` may hold book.toml. Raises IntakeError."""
    path = SHIPPED / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        raise IntakeError(
            N_("%(name)s: there is no such mapping. Shipped are %(shipped)s; or give the path of a file."),
            name=name,
            shipped=", ".join(sorted(p.stem for p in SHIPPED.glob("*.toml"))),
        )
    data, of_book = _toml(path), path
    if "book" not in data:
        of_book = folder / "book.toml"
        if not of_book.is_file():
            raise IntakeError(
                N_("%(mapping)s: no [book] here and no %(book)s. Declare the book in one of them."),
                mapping=path.name,
                book=of_book,
            )
        data["book"] = _toml(of_book)
    try:
        # The book first: a fault of it is of the file that declares it.
        book = _read(of_book, Book, data["book"])
        mapping = _read(path, Mapping, {"name": path.stem, **data, "book": book})
    except TypeError:
        raise IntakeError(
            N_("%(file)s: [book] is no table. Declare the book as docs/intake.md says."), file=of_book.name
        ) from None
    _check_book(of_book, book)
    _check_columns(path, mapping)
    _check_derivations(path, mapping)
    return mapping


def _check_book(path: Path, book: Book) -> None:
    if not known_currency(book.currency):
        raise IntakeError(
            N_("%(file)s: currency: %(code)s is no currency of ISO 4217. Write a code such as CNY."),
            file=path.name,
            code=book.currency,
        )
    if book.allocation_order is not None and book.allocation_order not in ORDERS:
        raise IntakeError(
            N_("%(file)s: allocation_order: %(order)s is no order of allocation. Use one of %(known)s."),
            file=path.name,
            order=book.allocation_order,
            known=", ".join(ORDERS),
        )
    if book.jurisdiction not in (known := places()):
        raise IntakeError(
            N_("%(file)s: jurisdiction: no law of %(place)s is on file. Use one of %(known)s."),
            file=path.name,
            place=book.jurisdiction,
            known=", ".join(known),
        )


def _check_columns(path: Path, mapping: Mapping) -> None:
    """All columns that the shape reads, and no other."""
    fields = SHAPES[mapping.shape].fields if mapping.shape != OWN_FORMAT else ()
    for name in mapping.columns:
        if name not in fields:
            raise IntakeError(
                N_(
                    "%(file)s: columns.%(name)s is no field of the shape %(shape)s.%(meant)s Rename it, or take it out."
                ),
                file=path.name,
                name=name,
                shape=mapping.shape,
                meant=meant(name, fields),
            )
    if missing := [name for name in fields if name not in mapping.columns]:
        raise IntakeError(
            N_("%(file)s: columns.%(name)s is missing. Write which column of the file it is."),
            file=path.name,
            name=missing[0],
        )


def _check_derivations(path: Path, mapping: Mapping) -> None:
    """What is derived or assumed is said in words, in every language: it is never passed off as observed."""
    known = load().vocabulary.facts
    said = [each.code for each in mapping.derivation]
    if mapping.shape != OWN_FORMAT:
        for code in SHAPES[mapping.shape].codes:
            if code not in said:
                raise IntakeError(
                    N_("%(file)s: the derivation %(code)s is missing. Say how it was worked out or assumed."),
                    file=path.name,
                    code=code,
                )
    for each in mapping.derivation:
        for fact in each.facts:
            if fact not in known:
                raise IntakeError(
                    N_("%(file)s: derivation %(code)s: %(fact)s is no fact of the vocabulary.%(meant)s Rename it."),
                    file=path.name,
                    code=each.code,
                    fact=fact,
                    meant=meant(fact, known),
                )
        for language in LANGUAGES:
            if not each.text.get(language):
                raise IntakeError(
                    N_("%(file)s: derivation %(code)s: no text in %(language)s. Say it in every language."),
                    file=path.name,
                    code=each.code,
                    language=language,
                )


_Model = TypeVar("_Model", bound=BaseModel)


def _read(path: Path, model: type[_Model], data: dict[str, Any]) -> _Model:
    """The model of a file's content. Raises IntakeError, which names the file, the field and the remedy."""
    try:
        return model(**data)
    except ValidationError as error:
        # A field that there is none of goes first: it may be the one that is missing, misspelt.
        wrong = error.errors(include_url=False, include_input=False)
        first = min(wrong, key=lambda each: each["type"] != "extra_forbidden")
        field = ".".join(map(str, first["loc"]))
        known = ", ".join(re.findall(r"'([^']+)'", str(first.get("ctx", {}).get("expected", ""))))
        if first["type"] == "missing":
            raise IntakeError(N_("%(file)s: %(field)s is missing. Add it."), file=path.name, field=field) from None
        if first["type"] == "extra_forbidden":
            raise IntakeError(
                N_("%(file)s: %(field)s is no field of it.%(meant)s Rename it, or take it out."),
                file=path.name,
                field=field,
                meant=meant(field, model.model_fields),
            ) from None
        if known:
            raise IntakeError(
                N_("%(file)s: %(field)s is none of %(known)s. Use one of these."),
                file=path.name,
                field=field,
                known=known,
            ) from None
        raise IntakeError(
            N_("%(file)s: %(field)s can't be used as it is written. See docs/intake.md for how to write it."),
            file=path.name,
            field=field,
        ) from None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+), column (\d+)", str(error))
        if place is None:  # the file ends too early
            raise IntakeError(N_("%(file)s: is not TOML: its end is missing. Mend it."), file=path.name) from None
        raise IntakeError(
            N_("%(file)s: is not TOML (at line %(line)s, column %(column)s). Mend that place."),
            file=path.name,
            line=place[1],
            column=place[2],
        ) from None
    except UnicodeDecodeError:
        raise IntakeError(N_("%(file)s: is not UTF-8. Save it as UTF-8."), file=path.name) from None
