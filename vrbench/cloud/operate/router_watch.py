"""What the cloud shows of a network's routers while an operation goes on: looked at once a second, changes kept.

It is the cloud's word, some of it half a minute late (``redundant_state``), and no figure is made of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from vrbench.cloud.errors import CloudError
from vrbench.core.facts import Router, RouterChange

EVERY_S = 1.0
_GONE = "gone"
Look = Callable[[], Sequence[Router]]


@contextmanager
def watching(look: Look, every_s: float = EVERY_S) -> Iterator[RouterWatch]:
    """Watch in a thread of its own, until the block is left."""
    watch, over = RouterWatch(look), threading.Event()

    def go_on() -> None:
        while watch.look() and not over.wait(every_s):
            pass

    threading.Thread(target=go_on, name="router-watch", daemon=True).start()
    try:
        yield watch
    finally:
        over.set()  # a look that is under way may take its time: nobody waits for it


class RouterWatch:
    """Notes how routers differ from look to look."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._known: dict[str, Router] = {}
        self._seen_ns = 0
        self._changes: tuple[RouterChange, ...] = ()

    @property
    def changes(self) -> tuple[RouterChange, ...]:
        """Every change that looks have shown, in their order."""
        return self._changes

    @property
    def watches(self) -> bool:
        """Whether it has seen the routers as they were at first."""
        return bool(self._known)

    def look(self) -> bool:
        """Look once; return whether it is worth looking again: who is shown no router at first never will be.

        A look that fails shows nothing: what changed meanwhile is found by the next one, between the two that worked.
        """
        began = time.monotonic_ns()
        try:
            shown = {router.id: router for router in self._look()}
        except CloudError:
            return True
        if not self._seen_ns:
            self._known, self._seen_ns = shown, began
            return bool(shown)
        now = time.monotonic_ns()
        self._changes += tuple(
            RouterChange(name, state, redundant_state, self._seen_ns, now)
            for name, state, redundant_state in _differences(self._known, shown)
        )
        self._known, self._seen_ns = shown, began
        return True


def _differences(before: dict[str, Router], after: dict[str, Router]) -> Iterator[tuple[str, str, str]]:
    for key, router in after.items():
        was = before.get(key)
        if was is None or (was.state, was.redundant_state) != (router.state, router.redundant_state):
            yield router.name, router.state, router.redundant_state if router.redundant else ""
    yield from ((router.name, _GONE, "") for key, router in before.items() if key not in after)
