"""How far this machine's clock is from the API server's: signed requests carry a date, and expire.

Read off the Date that comes with any answer, also with a refusal: no call is made for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime

GRAIN_S = 1.0  # the header tells whole seconds
EXPIRY_S = 300.0  # half of what a signed request may be old


@dataclass(frozen=True, slots=True)
class ClockReading:
    """This machine's wall clock minus the server's, and how wrong that may be, in seconds."""

    offset_s: float
    error_s: float

    @property
    def expires_calls(self) -> bool:
        """Whether signed requests are near their end when they come to the server, or past it."""
        return abs(self.offset_s) > EXPIRY_S

    def __str__(self) -> str:
        return f"{abs(self.offset_s):.0f} s {'ahead of' if self.offset_s > 0 else 'behind'} the server's"


def read_clock(date: str, asked: float, came: float) -> ClockReading | None:
    """Read the Date of an answer that was asked for and came at these times of day; None where it tells none."""
    try:
        served = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):  # none, or one that no clock shows
        return None
    return ClockReading((asked + came) / 2 - served - GRAIN_S / 2, abs(came - asked) / 2 + GRAIN_S / 2)
