"""What can stop a night, or the explanation of one."""

from forbear.errors import WordedError


class NothingToDecide(WordedError):
    """There is no account on file. The message says what to do first."""


class NoDecision(WordedError):
    """No run has decided that account."""


class RulebookChanged(WordedError):
    """The rules on file are not those of the run that is asked about."""
