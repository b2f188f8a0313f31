"""Ends a command on an expected error, told in the language that was asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from forbear.errors import WordedError
from forbear.locale import LANGUAGES


@contextmanager
def told_in(lang: str) -> Iterator[None]:
    """What is refused within is one line on stderr, in `lang`, and the error's exit code."""
    try:
        yield
    except WordedError as error:
        typer.secho(error.told(LANGUAGES[lang].catalogue.gettext), fg="red", err=True)
        raise typer.Exit(error.exit_code) from error
