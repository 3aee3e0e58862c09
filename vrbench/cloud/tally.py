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
        rest = rest_of(self._done, self.total, self.clock() - self._begun) if self.one_by_one else ""
        return f", about {rest} left" if rest else ""


def rest_of(done: int, total: int, taken_s: float) -> str:
    """Return about how long the rest takes where each takes as long as those before it: "4 min"; "" for no guess."""
    left_s = taken_s / done * (total - done)
    return about(left_s) if done >= ENOUGH and left_s >= WORTH_TELLING_S else ""
