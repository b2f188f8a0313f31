"""Channels: what carries a message out. None takes one without a permission for exactly that message."""

from abc import ABC, abstractmethod
from typing import final
from uuid import UUID

from forbear.contact.errors import Misasked
from forbear.contact.models import WRITTEN
from forbear.contact.services import Connection, Made, connected, text_hash, use_on
from forbear.locale import N_
from forbear.rulebook.book import Rulebook


class Channel(ABC):
    """A way out. A channel of one's own says how to `deliver`; that a permission is used first is not its choice."""

    #: The steps that it carries.
    steps: frozenset[str]

    @final
    def send(self, book: Rulebook, permission_id: UUID, account_id: int, step: str, text: str) -> Made:
        """Send a text, using its permission: both happen, or neither.

        The permission must be unused, unexpired, and for this account, this step and this very text.
        Raises NoSuchPermission, NotUsable, Misasked for a step that the channel does not carry, StoreError.
        """
        if step not in self.steps:
            raise Misasked(
                "step",
                N_("is not carried by this channel"),
                N_("It carries %(known)s"),
                known=", ".join(sorted(self.steps)),
            )
        with connected() as connection:
            made = use_on(
                connection, book, permission_id, account_id=account_id, step=step, text_sha256=text_hash(text)
            )
            self.deliver(connection, made, text)
            connection.commit()
        return made

    @abstractmethod
    def deliver(self, connection: Connection, made: Made, text: str) -> None:
        """Hand the text on, in the transaction in which its permission is used. An error takes the use back."""


class Outbox(Channel):
    """The default: messages go into a table of this database, and no further."""

    steps = WRITTEN

    def deliver(self, connection: Connection, made: Made, text: str) -> None:
        """Put the message into the table."""
        connection.execute(
            "INSERT INTO outbox (permission_id, account_id, step, text, sent_at) VALUES (%s, %s, %s, %s, %s)",
            (made.permission_id, made.account_id, made.step, text, made.at),
        )
