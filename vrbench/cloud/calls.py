"""API calls made in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from vrbench.parallel import CancelToken, parallel

T = TypeVar("T")

WIDTH = 10  # calls at once
GRACE_S = 15.0  # for calls under way when the user interrupts: so that their answers still reach the journal


def all_answers(calls: Sequence[Callable[[], T]], stop: CancelToken) -> list[T]:
    """Make the calls, return their results in order. The first failure sets ``stop``; it is raised once all ended."""
    return parallel(calls, lambda call, _: call(), stop=stop, width=WIDTH, grace_s=GRACE_S)
