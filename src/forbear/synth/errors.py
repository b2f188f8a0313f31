"""What can be wrong with a request for a synthetic book."""

from forbear.errors import WordedError


class SynthError(WordedError):
    """The request can't be met as given. The message is one line: what is wrong and what to do."""
