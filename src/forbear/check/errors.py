"""What stops a check: each is one line a problem, with its place and remedy, in the reader's language."""

from collections.abc import Sequence

from forbear.check.words import say
from forbear.errors import ForbearError


class CheckError(ForbearError):
    """What was typed or read can't be checked; nothing is kept.

    Args:
        key: the text, below `error` in words.toml. at: its place as (key below `at`, filling), or None.
    """

    def __init__(self, key: str, at: tuple[str, object] | None = None, **values: object) -> None:
        super().__init__(key)
        self.key, self.at, self.values = key, at, values

    def told(self, language: str) -> str:
        """The line in a language."""
        text = say(language, f"error.{self.key}", **self.values)
        if self.at is None:
            return text
        place, filling = self.at
        return say(language, "error.at", place=say(language, f"at.{place}", n=filling), text=text)

    def __str__(self) -> str:
        return self.told("en")


class WrongRows(CheckError):
    """Rows of a file that can't be read, each with its own line."""

    def __init__(self, rows: Sequence[CheckError], path: object) -> None:
        super().__init__("nothing_worked_out", path=path)
        self.rows = tuple(rows)

    def told(self, language: str) -> str:
        """A line for each row, and what was done."""
        return "\n".join([*(row.told(language) for row in self.rows), super().told(language)])
