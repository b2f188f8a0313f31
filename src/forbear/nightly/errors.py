"""What can stop a night, or the explanation of one."""

from forbear.errors import ForbearError


class NothingToDecide(ForbearError):
    """There is no account on file. The message says what to do first."""


class NoDecision(ForbearError):
    """No run has decided that account."""


class RulebookChanged(ForbearError):
    """The rules on file are not those of the run that is asked about."""
