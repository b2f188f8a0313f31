"""What can be wrong with a pack or a question to it."""

from forbear.errors import WordedError


class PackError(WordedError):
    """A pack can't be used. One line: the file, the rule, what is wrong, what to do."""


class DayOutOfReach(WordedError):
    """A day so far off that its clocks can't be told."""


class CalendarUnknown(WordedError):
    """A published figure or calendar is needed for a day for which none is on file; it is never guessed."""
