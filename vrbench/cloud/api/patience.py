"""Reads that are repeated for some seconds: one answer that is none must decide nothing.

Only for calls that change nothing. A call that changes something is sent once: what became of it is looked up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from vrbench.cloud.errors import RATE_LIMIT, CloudError, CloudRefused, CloudUnreachable, TurnedAway

T = TypeVar("T")

FOR_S, PAUSE_S = 20.0, 0.5
_NO_PERMISSION = 531


def look_again(
    read: Callable[[], T],
    for_s: float = FOR_S,
    pause_s: float = PAUSE_S,
    before_again: Callable[[CloudError], None] = lambda _: None,
) -> T:
    """Return what ``read`` returns; repeat it for ``for_s`` seconds, and once at least, while its failure may pass.

    ``before_again`` is called with each such failure; what it raises ends it. Raises the last failure.
    """
    until, tries = time.monotonic() + for_s, 0
    while True:
        tries += 1
        try:
            return read()
        except CloudError as error:
            if isinstance(error, TurnedAway):  # it has been repeated for its time
                raise
            if not may_pass(error) or (tries > 1 and time.monotonic() >= until):
                raise
            before_again(error)
        time.sleep(pause_s)


def may_pass(error: CloudError) -> bool:
    """Return whether a call failed for a reason that may pass, such as a management server that restarts."""
    if isinstance(error, CloudRefused):
        return (error.code >= 500 and error.code != _NO_PERMISSION) or error.code == RATE_LIMIT
    return isinstance(error, CloudUnreachable)
