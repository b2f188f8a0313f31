"""The root of every expected error: its text is one line that names the place and the remedy."""


class ForbearError(Exception):
    """An expected error. The `forbear` command prints its text and ends with `exit_code`."""

    exit_code = 1
