"""What rules cost on a slow router, and how the server has every later call wait for them.

A real server answers a call that changes a network's rules only once the rules before it are on the router. Then the
call's own job takes as long as its own rules do. So of many calls at once each is answered after the one before it,
and the last of them late. A call that waits has changed nothing yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

from vrbench.lab.api.state.entities import Served
from vrbench.lab.api.state.zone import Zone

LOOK_S = 0.1  # between looks whether the lab is being taken down


@dataclass(frozen=True, slots=True)
class Turn:
    """A call's place in the queue for a router; the next call has its own once ``over`` is set."""

    zone: Zone
    seconds: float
    over: Event = field(default_factory=Event)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Give the turn to the next call where this block fails; else the call's work does."""
        try:
            yield
        except BaseException:
            self.over.set()
            raise

    @contextmanager
    def used(self) -> Iterator[None]:
        """Do the call's work in this block, or in the function that it decorates; then it is the next call's turn."""
        try:
            yield
        finally:
            self.over.set()

    def spend(self) -> None:
        """Wait as long as the router needs for the call's rules."""
        self.zone.pause(self.seconds)


def await_turn(zone: Zone, served: Served, rules: int = 1) -> Turn:
    """Wait until all that was asked before is on the router; it must be used then, or fail while kept.

    Call without the lock. Nobody waits where rules cost nothing, or where there is no router yet.
    """
    home = served.home
    if not zone.settings.rule_cost_s or not home.implement_tried:
        return Turn(zone, 0.0)
    turn = Turn(zone, rules * zone.settings.rule_cost_s)
    with zone.lock:
        before, home.last_turn = home.last_turn, turn.over
    with turn.kept():
        while before is not None and not before.wait(LOOK_S):
            zone.pause(0)
    return turn
