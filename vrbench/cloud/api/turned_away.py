"""Refusals that ask to be repeated: 429 and 503. They say that the call was not carried out, so it is sent again.

CloudStack counts an account's calls before it looks at what they ask for, and answers 429 to one too many; so do the
limits of web servers. With 503 a server that starts, stops or is under maintenance turns a call away, and so does
whatever stands before it and can't reach it: HAProxy, Apache, Squid, Jetty, nginx's limits. Two of those also say 503
when the server went away with the call in its hands: Envoy, unless it says that it could not connect, and Varnish. A
call that changes something is then taken for lost, as after 502 and 504, and never sent again by itself. (Apache by
AJP can't tell either; CloudStack has not been reached by that since 4.11.)
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from vrbench.cloud.api.answers import Received
from vrbench.cloud.errors import RATE_LIMIT, Pause

UNAVAILABLE = 503
FIRST_S: Final = 1.0  # the pause where none is asked for; then twice as long each time
LONGEST_S: Final = 30.0
LONGEST_ASKED_S: Final = 60.0  # servers name hours by mistake; after this long it is worth another try
JITTER: Final = 0.25  # of a pause, on top: those who were turned away together must not come back together
_LIMIT_MS = re.compile(rb"retry after \[?(\d{1,12})\]? ms")  # how CloudStack itself says it
_UNDELIVERED = re.compile(rb"reset reason: *(?:(?:remote |local )?connection (?:failure|timeout)|overflow)")
_MOST_READ: Final = 4096  # bytes of an answer


def _silent(_: str) -> None:
    """Tell nobody."""


def _nothing() -> None:
    """Do nothing more."""


@dataclass(frozen=True, slots=True)
class WhenTurnedAway:
    """What goes with a call that is turned away: who is told, how the pause is spent, and what comes before it is sent
    again. What any of these raises ends the call."""

    tell: Callable[[str], None] = _silent
    pause: Callable[[float], None] = time.sleep
    again: Callable[[], None] = _nothing


def is_turned_away(got: Received, mutates: bool) -> bool:
    """Return whether the call was not carried out, and may be sent again."""
    return got.status == RATE_LIMIT or (got.status == UNAVAILABLE and not (mutates and _may_have_run(got)))


def _may_have_run(got: Received) -> bool:
    """Return whether a 503 comes from what may have handed the call on before."""
    start = got.body[:_MOST_READ]
    if b"disconnect/reset before headers" in start:
        return not _UNDELIVERED.search(start)
    return "X-Varnish" in got.headers or b"Guru Meditation" in start


def asked_pause_s(got: Received, now: float) -> float | None:
    """Return how long the server asks to wait; None where it does not say. ``now``: the time of day.

    Retry-After holds seconds or a date, which is held against the server's own Date, if it sends one.
    """
    limit = _LIMIT_MS.search(got.body[:_MOST_READ])
    said = got.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]*)?", said):
        return float(said)
    until = _moment(said)
    if until is not None:
        since = _moment(got.headers.get("Date", ""))
        return max(0.0, until.timestamp() - (since.timestamp() if since else now))
    return int(limit[1]) / 1000 if limit else None


def _moment(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None


def pause_s(times: int, asked_s: float | None, chance: float) -> float:
    """Return how long to wait after being turned away for the n-th time; ``chance`` is from 0 to 1.

    Never shorter than was asked for, unless that is absurd; without that it grows.
    """
    grown = min(FIRST_S * math.exp2(min(times - 1, 10)), LONGEST_S)
    asked = FIRST_S if asked_s is None else min(max(asked_s, FIRST_S), LONGEST_ASKED_S)
    return (grown if asked_s is None else asked) * (1 + JITTER * chance)


class Repeats:
    """One call, sent again while it is turned away, for ``patience_s`` seconds at most."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._begun = time.monotonic()
        self._times = 0

    @property
    def _since_s(self) -> float:
        return time.monotonic() - self._begun

    def next(self, got: Received) -> Pause:
        """Return the pause before the call is sent again."""
        self._times += 1
        asked_s = asked_pause_s(got, time.time())
        return Pause(pause_s(self._times, asked_s, random.random()), asked_s)

    def too_long(self, pause: Pause) -> bool:
        """Return whether the time is up before the pause is over."""
        return self._since_s + pause.wait_s > self._patience_s

    def gave_up(self, pause: Pause) -> str:
        """Say that a call was turned away for good, and what that means."""
        often = f"{self._times} times in {self._since_s:.0f} s" if self._times > 1 else "once"
        longer = "" if pause.asked_s is None else f" It asks to wait {pause.asked_s:.0f} s, longer than is left."
        return (
            f"The call was sent {often}, and was not carried out.{longer} The server takes no calls, or allows fewer "
            "of them: look at its state and at the account's API limit, then try again."
        )


def told(command: str, code: int, pause: Pause) -> str:
    """Say that a call was turned away, and is repeated."""
    if not pause.asked_s or pause.asked_s < FIRST_S:
        return f"the server turned {command} away ({code}); it is repeated in {pause.wait_s:.0f} s"
    return f"the server asks to wait {pause.asked_s:.0f} s ({code}); {command} is repeated in {pause.wait_s:.0f} s"
