"""How far a long row of like things has come, in words: "rule 7 of 31 is in place, about 4 min left"."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vrbench.core.text import about

ENOUGH = 3  # done, before a guess is worth something: the first ones find nothing in their way
WORTH_TELLING_S = 5.0


@dataclass
class Tally:
    """Counts what is done of ``total``; ``one_by_one``: each takes about as long as those before it."""

    total: int
    one: str
    does: str
    one_by_one: bool = False
    clock: Callable[[], float] = time.monotonic
    _done: int = field(default=0, init=False)
    _begun: float = field(init=False)

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def count(self, name: str) -> str:
        """Count one more, and say so."""
        self._done += 1
        return f"{self.one} {self._done} of {self.total} {self.does}{self._left()} ({name})"

    def _left(self) -> str:
        left_s = (self.clock() - self._begun) / self._done * (self.total - self._done)
        told = self.one_by_one and self._done >= ENOUGH and left_s >= WORTH_TELLING_S
        return f", about {about(left_s)} left" if told else ""
