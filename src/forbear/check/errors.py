"""What stops a check: each is one line a problem, with its place and remedy; nothing is kept."""

from forbear.errors import ForbearError


class CheckError(ForbearError):
    """What was typed or read can't be checked."""
