"""How a command speaks: the language it was asked in, a line as it is, and a refusal in that language."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, time
from typing import Annotated, NamedTuple

import typer
from babel.numbers import format_decimal
from rich.console import Console

from forbear.errors import ForbearError, WordedError
from forbear.locale import LANGUAGES, N_, spoken_as

out = Console()

#: The language that the running command was asked in.
_asked_in: ContextVar[str] = ContextVar("asked_in", default="en")


class UserError(WordedError):
    """A mistake in what the user gave; the message is one line that names the place and the remedy."""


def typed_day(given: str | datetime) -> datetime:
    """A day as it is typed, YYYY-MM-DD; one that stands in for none typed is as it is. Raises UserError."""
    if isinstance(given, datetime):
        return given
    try:
        return datetime.combine(date.fromisoformat(given), time())
    except ValueError:
        raise UserError(N_("%(given)s is no day. Write one as 2026-01-31."), given=repr(given)) from None


def language(given: str) -> str:
    """The tag of the language that every text has and that is asked for (zh-TW: zh-Hant). Raises typer.BadParameter."""
    found = spoken_as(given)
    if found is None:
        raise typer.BadParameter(f"there is no text in {given!r}; the languages are {', '.join(LANGUAGES)}")
    _asked_in.set(found.tag)
    return found.tag


Lang = Annotated[
    str,
    typer.Option(
        "--lang",
        envvar="FORBEAR_LANG",
        callback=language,
        is_eager=True,
        help="zh-Hans, zh-Hant or en; zh-CN, zh-TW, zh-HK, too",
    ),
]


def say(text: str = "") -> None:
    """Print a line as it is."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


class Spoken(NamedTuple):
    """How a language says a text, one of several, and a whole number."""

    gettext: Callable[[str], str]
    ngettext: Callable[[str, str, int], str]
    number: Callable[[int], str]


def spoken(lang: str) -> Spoken:
    """The catalogue of a language, and how it writes a whole number."""
    language = LANGUAGES[lang]
    catalogue = language.catalogue
    return Spoken(catalogue.gettext, catalogue.ngettext, lambda number: format_decimal(number, locale=language.locale))


@contextmanager
def counting(text: str, transient: bool = True) -> Iterator[Callable[[int, int], None]]:
    """What is to be told how many of how many are done; a bar on stderr shows it, from the first time on.

    Not earlier: a refusal is one line, and no process is forked beside the bar's thread.
    """
    from rich.progress import MofNCompleteColumn, Progress  # when it is used

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=transient)
    task = bar.add_task(text, total=None)

    def progress(done: int, of: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=of)

    try:
        yield progress
    finally:
        bar.stop()


def told(error: ForbearError) -> str:
    """An error in the language that was asked for."""
    return error.told(LANGUAGES[_asked_in.get()].catalogue.gettext) if isinstance(error, WordedError) else str(error)
