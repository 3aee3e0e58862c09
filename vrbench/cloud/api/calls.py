"""API calls made in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from vrbench.parallel import CancelToken, parallel

T = TypeVar("T")

WIDTH = 10  # calls at once
GRACE_S = 15.0  # for calls under way when the user interrupts: so that their answers still reach the journal


SETTLE_S = 75.0  # how long a call without an answer may still take effect
# Rules of one network: its router takes one at a time. One is on it, one at hand when that is done, and one on its way.
# More would only wait, with 25 s a rule, as a slow router has shown, longer than the minute that proxies allow.
ON_ROUTER = 3


def all_answers(
    calls: Sequence[Callable[[], T]], stop: CancelToken, *, width: int = WIDTH, grace_s: float = GRACE_S
) -> list[T]:
    """Make the calls, return their results in order. The first failure sets ``stop``; it is raised once all ended."""
    return parallel(calls, lambda call, _: call(), stop=stop, width=width, grace_s=grace_s)
