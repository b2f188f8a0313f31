"""Loads the rulebook: the vocabulary, the shipped packs, the lender's own packs and calendars."""

import functools
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from forbear.locale import N_
from forbear.rulebook.book import Rulebook
from forbear.rulebook.errors import Fault, PackError
from forbear.rulebook.models import Source
from forbear.rulebook.read import read_files

__all__ = ["PACKS", "Rulebook", "lint", "load", "read", "read_all", "sources"]

_HERE = Path(__file__).parent
VOCABULARY = _HERE / "vocabulary.toml"
PACKS = _HERE / "packs"


@functools.cache
def load(*extra: Path) -> Rulebook:
    """The shipped packs and any `extra` files or folders of the lender's own (its policy, newer series).

    The lender's own packs are checked as `forbear law lint` checks them; the tests check the shipped ones.
    Raises PackError naming the file, the rule and the remedy.
    """
    files = sources(*extra)
    book = read(files)
    if extra:
        from forbear.rulebook.lint import faults_of  # here: it brings ibis, and the shipped packs need no check

        own = frozenset(file.name for file in files[len(sources()) :])
        _raise_first(faults_of(book, own))
    return book


def lint(*extra: Path) -> list[Fault]:
    """Every fault of the shipped packs and of `extra`, one line each; a path to a shipped pack tells of it alone."""
    for path in extra:
        if path.is_dir() and not _folder(path):
            raise PackError(
                N_("%(path)s: holds no pack (*.toml) and no calendar (calendars/*.json). Name another folder."),
                path=path,
            )
        if path.is_file() and path.suffix not in (".toml", ".json"):
            raise PackError(
                N_("%(path)s: is no pack: packs are *.toml, calendars *.json. Name one of these."), path=path.name
            )
    shipped = [path for path in extra if path.resolve().is_relative_to(PACKS)]
    from forbear.rulebook.lint import faults_of

    book, faults = read_all(sources(*(path for path in extra if path not in shipped)))
    if book is not None:
        faults += faults_of(book)
    if not shipped:
        return faults
    files = {
        file.name for path in shipped for file in _folder(PACKS) if (PACKS / file.name).is_relative_to(path.resolve())
    }
    return [fault for fault in faults if fault.file in files]


def sources(*extra: Path) -> tuple[Source, ...]:
    """The files of the rulebook, the vocabulary first."""
    found = [Source(VOCABULARY.name, VOCABULARY.read_bytes()), *_folder(PACKS)]
    for path in extra:
        if not path.exists():
            raise PackError(
                N_("%(path)s: there is no such file or folder. Name a pack, or a folder of packs."), path=path
            )
        found += _own(path) if path.is_dir() else [Source(path.name, path.read_bytes())]
    return tuple(found)


def _own(root: Path) -> list[Source]:
    """The files of a lender's folder; one in a folder of it keeps a longer name than any shipped pack has."""
    return [
        Source(f"{root.name or 'own'}/{file.name}", file.content)
        if "/" in file.name and file.name.endswith(".toml")
        else file
        for file in _folder(root)
    ]


def _folder(root: Path) -> list[Source]:
    packs = sorted(root.rglob("*.toml")) + sorted((root / "calendars").rglob("*.json"))
    return [Source(path.relative_to(root).as_posix(), path.read_bytes()) for path in packs]


def read(files: Iterable[Source]) -> Rulebook:
    """The rulebook of these files, in this order. Raises PackError for the first fault."""
    book, faults = read_all(files)
    _raise_first(faults)
    assert book is not None
    return book


def _raise_first(faults: list[Fault]) -> None:
    if len(faults) > 1:
        raise PackError(N_("%(fault)s (%(n)s more: forbear law lint)"), fault=faults[0], n=len(faults) - 1)
    if faults:
        raise faults[0]


def read_all(files: Iterable[Source]) -> tuple[Rulebook | None, list[Fault]]:
    """The rulebook of what can be read, and every fault; None where the vocabulary itself can't be read."""
    files = tuple(files)
    digest = sha256(files[0].content)
    for source in files[1:]:
        digest.update(source.name.encode() + b"\0" + source.content)
    found = read_files(files)
    if found.vocabulary is None:
        return None, found.faults
    rules = tuple(sorted(found.rules.values(), key=lambda rule: rule.id))
    book = Rulebook(found.vocabulary, rules, found.series, found.calendars, files, digest.hexdigest())
    return book, found.faults
