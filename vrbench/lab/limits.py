"""Between which numbers a value must lie, and how it is said that it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_MOST_SHOWN = 40  # characters of a value that is refused


@dataclass(frozen=True, slots=True)
class Limits:
    """The lowest and the highest number that a value may be, and whether only whole ones count."""

    lowest: float
    highest: float
    whole: bool = False

    def refuse(self, value: Any) -> str:
        """Return what the value must be, and the nearest that it may be; empty when it is fine.

        It may be anything: it comes from a shell or from another program.
        """
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return f"{self}, not {_shown(value)}"
        if self.lowest <= number <= self.highest and not (self.whole and number % 1):
            return ""
        nearest = "" if math.isnan(number) else f"; the nearest is {self.nearest(number):.12g}"
        return f"{self}, not {_shown(value)}{nearest}"

    def nearest(self, number: float) -> float:
        """Return the number that comes nearest to one that is not NaN."""
        within = min(max(number, self.lowest), self.highest)
        return round(within) if self.whole else within

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.lowest:.12g} to {self.highest:.12g}"


def _shown(value: Any) -> str:
    try:
        text = str(value)
    except ValueError:  # more digits than Python turns into text
        return "one with thousands of digits"
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")
