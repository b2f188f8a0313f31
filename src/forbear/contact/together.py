"""Askers who come while all places are taken are served in groups; who comes to a free place is served at once.

Flat combining: whoever gets a place serves itself and those who wait with it, as one group, and hands the place on to
the first of those who came meanwhile. A further group begins beside those that are being served as soon as it is no
smaller: a crowd that was just served and comes again is not cut into many small groups. So nobody waits while nobody is
served, and no thread works for others for longer than one group takes. What is asked, and of whom, it does not know.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

log = logging.getLogger("forbear.contact")


class _Asker(Generic[Asked, Answer]):
    """One who asks. `told` gets one message: the group to serve, itself the first; or an empty one: it was served."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answer: Answer | None = None
        self.told: SimpleQueue[list[_Asker[Asked, Answer]]] = SimpleQueue()


class Together(Generic[Asked, Answer]):
    """Serves askers of many threads.

    Args:
        many: serves a group and waits for nobody outside of it. None for one that has to be served alone; where it
            raises, all have to.
        alone: serves one, on the thread of who asked. It may wait, since it holds no place meanwhile.
        places: groups that are served at a time.
        most: askers in a group.
    """

    def __init__(
        self,
        many: Callable[[Sequence[Asked]], Sequence[Answer | None]],
        alone: Callable[[Asked], Answer],
        places: int,
        most: int,
    ) -> None:
        self._many, self._alone, self._most = many, alone, most
        self._free, self._served = places, 0
        self._waiting: deque[_Asker[Asked, Answer]] = deque()
        self._lock = threading.Lock()

    def ask(self, asked: Asked) -> Answer:
        """The answer that `alone` gives. Raises what it raises."""
        mine: _Asker[Asked, Answer] = _Asker(asked)
        with self._lock:
            self._waiting.append(mine)
            self._begin()
        if group := self._wait(mine):
            self._serve(group)
        return self._alone(asked) if mine.answer is None else mine.answer

    def _wait(self, mine: _Asker[Asked, Answer]) -> list[_Asker[Asked, Answer]]:
        try:
            return mine.told.get()
        except BaseException:  # interrupted: a place that it was handed must not be lost
            with self._lock:
                waits = mine in self._waiting
                if waits:
                    self._waiting.remove(mine)
            if not waits and (group := mine.told.get()):
                self._serve(group)
            raise

    def _serve(self, group: list[_Asker[Asked, Answer]]) -> None:
        try:
            for each, answer in zip(group, self._many([each.asked for each in group]), strict=True):
                each.answer = answer
        except Exception as error:  # one's fault is not the others': each finds its answer, or its own fault, alone
            log.warning("A group of %d is asked one by one: %s", len(group), type(error).__name__)
        finally:
            with self._lock:
                self._free += 1
                self._served -= len(group)
                self._begin()
            for each in group[1:]:
                each.told.put([])

    def _begin(self) -> None:
        """Give a free place to the first of those who wait, with a group. The lock is held."""
        if self._free and self._waiting and len(self._waiting) >= min(self._served, self._most):
            group = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self._free -= 1
            self._served += len(group)
            group[0].told.put(group)
