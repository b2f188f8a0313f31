"""What can be wrong with a pack or a question to it."""

from forbear.errors import WordedError
from forbear.locale import N_


class PackError(WordedError):
    """A pack can't be used. One line: the file, the rule, what is wrong, what to do."""


class Fault(PackError):
    """What is wrong at one place of a pack, and what to do. `where`: the file, then the rule or table and the key."""

    def __init__(self, where: str, what: WordedError) -> None:
        self.file, *inner = where.split(": ")
        place: str | WordedError = self.file
        for part in inner:  # each colon in the reader's own form
            place = WordedError(N_("%(where)s: %(what)s"), where=place, what=part)
        super().__init__(N_("%(where)s: %(what)s"), where=place, what=what)
        self.what = what


class DayOutOfReach(WordedError):
    """A day so far off that its clocks can't be told."""
