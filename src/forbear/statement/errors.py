"""What stands in the way of a statement, each in one line."""

from forbear.errors import WordedError


class StatementError(WordedError):
    """No statement can be made of what is on file."""


class NoFont(StatementError):
    """There is no font with the characters of the language."""
