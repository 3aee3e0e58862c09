"""API calls made side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from vrbench.side_by_side import Stop, side_by_side

T = TypeVar("T")

WIDTH = 10  # calls at once
PATIENCE_S = 15.0  # for calls under way when the user interrupts: so that their answers still reach the journal


def all_answers(calls: Sequence[Callable[[], T]], stop: Stop) -> list[T]:
    """The calls' results, in order; the first failure sets ``stop``, is waited out, and is raised."""
    return side_by_side(calls, lambda call, _: call(), stop=stop, width=WIDTH, patience_s=PATIENCE_S)
