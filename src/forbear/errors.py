"""The root of every expected error: its text is one line that names the place and the remedy."""

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence

from forbear.locale import N_


class ForbearError(Exception):
    """An expected error. The `forbear` command prints its text and ends with `exit_code`."""

    exit_code = 1


class WordedError(ForbearError):
    """An expected error that can be said in every language: a text of the catalogues, and the values apart from it.

    A value may be such an error itself: it is told in the same language.
    """

    def __init__(self, text: str, **values: object) -> None:
        super().__init__(text % values if values else text)
        self.text, self.values = text, values

    def told(self, gettext: Callable[[str], str]) -> str:
        """The line in the reader's language."""
        values = {n: v.told(gettext) if isinstance(v, WordedError) else v for n, v in self.values.items()}
        return gettext(self.text) % values if values else gettext(self.text)


class Several(WordedError):
    """Errors that are told together, a line each."""

    def __init__(self, errors: Iterable[WordedError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, self.errors)))

    def told(self, gettext: Callable[[str], str]) -> str:
        """The lines in the reader's language."""
        return "\n".join(error.told(gettext) for error in self.errors)


def raise_all(errors: Sequence[WordedError]) -> None:
    """Raise what is there: one as it is, several together."""
    if errors:
        raise errors[0] if len(errors) == 1 else Several(errors)


class CalendarUnknown(WordedError):
    """A published figure or calendar is needed for a day for which none is on file; it is never guessed."""


#: What a system says most of a file, in our own words.
_OF_SYSTEM: Mapping[int, str] = {
    errno.ENOENT: N_("there is no such file or folder"),
    errno.EACCES: N_("this user may not read or write it"),
    errno.EPERM: N_("this user may not read or write it"),
    errno.EISDIR: N_("it is a folder"),
    errno.ENOTDIR: N_("what should be a folder of its path is a file"),
    errno.ENAMETOOLONG: N_("its name is too long"),
    errno.EROFS: N_("its disk can't be written to"),
    errno.ENOSPC: N_("its disk is full"),
}


def of_system(error: OSError) -> WordedError:
    """What the system says of a file, in words of every language; what has none, by its name in POSIX."""
    known = _OF_SYSTEM.get(error.errno or 0)
    if known is None:
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        return WordedError(N_("the system says %(name)s"), name=name)
    return WordedError(known)
