"""What stops an import before it writes anything: each is one line, with the remedy."""

from forbear.errors import WordedError


class IntakeError(WordedError):
    """The file or the mapping can't be used; nothing of it was kept."""
