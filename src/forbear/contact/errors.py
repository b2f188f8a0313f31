"""What can stand in the way of a contact, other than the rules: each says in one line what to do."""

from typing import TYPE_CHECKING

from forbear.errors import ForbearError

if TYPE_CHECKING:
    from forbear.contact.models import Decision


class Misasked(ForbearError):
    """A field of a request can't be taken; the message names the field, why, and what to do."""

    def __init__(self, field: str, reason: str, remedy: str) -> None:
        super().__init__(f"{field}: {reason}. {remedy}")
        self.field, self.reason, self.remedy = field, reason, remedy


class NoSuchPermission(ForbearError):
    """No permission has that id."""


class NotUsable(ForbearError):
    """The permission is used, void or expired, or is for another contact; `why` is one of these words.

    Where it ceased to be lawful, `decision` is the answer by which it did.
    """

    def __init__(self, why: str, message: str, decision: "Decision | None" = None) -> None:
        super().__init__(message)
        self.why, self.decision = why, decision
