"""Outages by a packet filter, each with the four readings of a clock between which it surely was, and may have been."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.probes.box import Box

DROP, MEND = "add rule ip gate cut drop", "flush chain ip gate cut"

Moments = tuple[int, int]


@dataclass
class Cut:
    """An outage: it began, and ended, between two moments (monotonic ns, before and after the filter's commit)."""

    began: Moments
    ended: Moments = (0, 0)

    @property
    def at_least_s(self) -> float:
        return (self.ended[0] - self.began[1]) / 1e9

    @property
    def at_most_s(self) -> float:
        return (self.ended[1] - self.began[0]) / 1e9


@contextmanager
def cut_off(box: Box, rule: str = DROP, node: str = "router", mend: str = MEND) -> Iterator[Cut]:
    """Take the path down for the length of the block; when that is over, the cut knows when it ended."""
    made = Cut(_applied(box, node, rule))
    try:
        yield made
    finally:
        made.ended = _applied(box, node, mend)


def _applied(box: Box, node: str, rule: str) -> Moments:
    before = time.monotonic_ns()
    box.run(node, "nft", rule)
    return before, time.monotonic_ns()
