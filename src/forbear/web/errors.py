"""What can stop the console from serving at all."""

from forbear.errors import ForbearError


class CannotServe(ForbearError):
    """The console was not started. The message is one line: why, and what to do."""
