"""What servicing refuses: each is one line that names the event, and the remedy."""

from forbear.errors import WordedError


class ServicingError(WordedError):
    """An event that can't be posted; nothing of it was kept."""


class KeyUsed(ServicingError):
    """The key was used for something else before."""
