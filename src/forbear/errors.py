"""The root of every expected error: its text is one line that names the place and the remedy."""

from collections.abc import Callable


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


class CalendarUnknown(WordedError):
    """A published figure or calendar is needed for a day for which none is on file; it is never guessed."""
