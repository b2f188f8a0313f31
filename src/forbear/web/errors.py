"""What can stop the console from serving at all."""

from forbear.errors import WordedError


class CannotServe(WordedError):
    """The console was not started. The message is one line: why, and what to do."""
