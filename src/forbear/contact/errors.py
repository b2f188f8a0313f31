"""What can stand in the way of a contact, other than the rules: each says in one line what to do."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from forbear.errors import WordedError
from forbear.locale import N_

if TYPE_CHECKING:
    from forbear.contact.models import Decision


class Misasked(WordedError):
    """A field of a request can't be taken; the message names the field, why, and what to do.

    Args:
        reason, remedy: texts of the catalogues. values: what both are filled with.
    """

    def __init__(self, field: str, reason: str, remedy: str, **values: object) -> None:
        self._parts = WordedError(reason, **values), WordedError(remedy, **values)
        self.field, self.reason, self.remedy = field, *map(str, self._parts)
        super().__init__(f"{field}: {self.reason}. {self.remedy}")
        #: It, and what else of the request can't be taken.
        self.all: tuple[Misasked, ...] = (self,)

    def of(self, field: str) -> "Misasked":
        """The same, of a field that the asker knows by another name."""
        reason, remedy = self._parts
        return Misasked(field, reason.text, remedy.text, **reason.values)

    def told(self, gettext: Callable[[str], str]) -> str:
        """The line in the reader's language."""
        reason, remedy = (part.told(gettext) for part in self._parts)
        return str(self) if reason == self.reason else f"{self.field}：{reason}。{remedy}"


class NoSuchPermission(WordedError):
    """No permission has that id."""

    def __init__(self) -> None:
        super().__init__(N_("No permission has that id. Ask the gate first."))


#: Why a permission can't be used: by the word that a program is told, what a person is.
WHY: Mapping[str, str] = {
    "used": N_("The permission was used: it serves one contact. Ask for another."),
    "void": N_("The permission was given back, or its contact ceased to be lawful. Ask for another."),
    "expired": N_("The permission has expired. Ask for another."),
    "another": N_("The permission is for another account, step or text. Ask for this one."),
    "joined": N_("The borrower was found to be another person just now. Use the permission again."),
    "unlawful": N_("The contact is not permitted any more; the permission is void."),
    "unused": N_("The permission was not used, so nothing can have come of it. Use it first."),
}


class NotUsable(WordedError):
    """The permission is used, void or expired, or is for another contact; `why` is one of the words of WHY.

    Where it ceased to be lawful, `decision` is the answer by which it did.
    """

    def __init__(self, why: str, decision: "Decision | None" = None) -> None:
        super().__init__(WHY[why])
        self.why, self.decision = why, decision
