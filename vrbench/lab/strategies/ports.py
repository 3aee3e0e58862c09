"""What a restart strategy asks of the zone: the port between "in which order" and "how"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vrbench.lab.ground.specs import RuleSet, Vrrp
from vrbench.lab.timing import Timing


class StartFailed(Exception):
    """A router could not be started on any host."""


class RouterOps(Protocol):
    """Operations on the routers of one network or VPC.

    Each carries a router through its states in the API, does the same on the ground, and takes the ``seconds`` it is
    given. Routers go by name. Failures raise and leave the states that a real server leaves.
    """

    @property
    def timing(self) -> Timing: ...

    def routers(self) -> tuple[str, ...]:
        """Return the network's routers, oldest first."""

    def expendable(self) -> tuple[str, ...]:
        """Return those among them that don't run: left over from an earlier failure."""

    def rules(self) -> RuleSet:
        """Return all that the network's router must know now."""

    def create(self, seconds: float) -> str:
        """Create a new router, Stopped, plugged in with its links down."""

    def backup(self) -> str:
        """Return, of several routers, the one that the server last saw as backup; else the youngest."""

    def wait(self, seconds: float) -> None:
        """Let so much time pass."""

    def boot(self, router: str, seconds: float, plug: bool = True) -> None:
        """Start it. At the end of the time its links and addresses come up, unprogrammed. Raises StartFailed.

        Without ``plug`` the switch keeps its ports closed on both sides.
        """

    def program(self, router: str, rules: RuleSet, seconds: float) -> None:
        """Make the router follow exactly these rules, after the time."""

    def mark_running(self, router: str) -> None:
        """Let the server count the router as Running."""

    def announce(self, router: str) -> None:
        """Tell neighbours on both sides the router's addresses and MACs."""

    def hand_over(self, old: str, new: str) -> None:
        """Close the old router's ports and open the new one's at the switch in one step, and announce the new."""

    def synchronise(self, router: str) -> None:
        """Let the router learn all connections that its peer tracks."""

    def release(self, router: str) -> None:
        """Make a primary give up being one, in good order."""

    def await_primary(self) -> None:
        """Wait until one of the routers is primary; give up in silence after the longest time that VRRP may take."""

    def restart_services(self, router: str, seconds: float) -> None:
        """End and start again, after the time, what the router serves beside forwarding."""

    def stop(self, router: str, seconds: float, forced: bool) -> None:
        """Make it Stopping, then Stopped and off the wire: at once when forced, else when the time is over."""

    def destroy(self, router: str, seconds: float) -> None:
        """Remove the router."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """How routers come up and are replaced. With ``vrrp`` they can change places."""

    name: str
    start: Callable[[RouterOps, str], None]  # boot and program a router that exists
    bring_up: Callable[[RouterOps], str]  # a first router, or pair; returns the name of one
    replace: Callable[[RouterOps], None]  # restart with cleanup
    vrrp: Vrrp | None = None
