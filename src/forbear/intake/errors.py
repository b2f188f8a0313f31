"""What stops an import before it writes anything: each is one line, with the remedy."""

from forbear.errors import ForbearError


class IntakeError(ForbearError):
    """The file or the mapping can't be used; nothing of it was kept."""
