"""API calls made side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from vrbench.parallel import CancelToken, parallel

T = TypeVar("T")

WIDTH = 10  # calls at once
GRACE_S = 15.0  # for calls under way when the user interrupts: so that their answers still reach the journal


def all_answers(calls: Sequence[Callable[[], T]], stop: CancelToken) -> list[T]:
    """The calls' results, in order; the first failure sets ``stop``, is waited out, and is raised."""
    return parallel(calls, lambda call, _: call(), stop=stop, width=WIDTH, grace_s=GRACE_S)
