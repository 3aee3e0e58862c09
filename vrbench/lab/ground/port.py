"""The interface between the zone's state and the packets.

The API (``lab/api``) decides what exists and in which state it is; the ground makes it so. The real ground is
``lab/packets/namespace_ground.py`` (network namespaces, nftables, sshd). Every method blocks until it is done, may be
called from several threads at once and raises GroundError. None waits for boot or programming times: those belong to
``lab/timing.py``, and the caller waits for them.
"""

from __future__ import annotations

from typing import Literal, Protocol

from vrbench.lab.ground.specs import GuestLeg, PublicLeg, RouterSpec, RuleSet, VmSpec

RedundancyState = Literal["PRIMARY", "BACKUP", "FAULT", "UNKNOWN"]
RedundancyMode = Literal["normal", "deaf", "released"]


class GroundError(RuntimeError):
    """A namespace, an address, a rule or a process could not be made as asked; says which command failed and how."""


class Ground(Protocol):
    """Packets, namespaces and daemons of one zone. Removing what isn't there is not an error."""

    def add_network(self, network: str) -> None:
        """Add a guest bridge. Two networks may use the same addresses and never meet."""

    def remove_network(self, network: str) -> None: ...

    def place_router(self, router: RouterSpec) -> None:
        """Make the router and plug it in, its links down: nothing of it is on the wire yet."""

    def start_router(self, name: str) -> None:
        """Bring links and addresses up, with one gratuitous ARP per address as CloudStack's VR sends.

        Nothing is programmed: it forwards nothing, and answers for its own addresses only.
        """

    def start_router_unplugged(self, name: str) -> None:
        """Start it, but unplugged at the switch on both sides: it can be programmed, and nobody hears of it."""

    def hand_over(self, old: str, new: str) -> None:
        """Take the old router's ports down at the switch and the new one's up in one step, and announce the new."""

    def program_router(self, name: str, rules: RuleSet) -> None:
        """Replace all rules by these, atomically; addresses new to the router are added and announced."""

    def announce_router(self, name: str) -> None:
        """Send one gratuitous ARP for every address that the router has, guest side and public side."""

    def restart_services(self, name: str) -> None:
        """End what serves DHCP and DNS and start it again; forwarding goes on."""

    def redundancy_state(self, name: str) -> RedundancyState:
        """Return what keepalived has made of a redundant router, its transition done; UNKNOWN of any other."""

    def set_redundancy(self, name: str, mode: RedundancyMode) -> None:
        """Make it deaf, released, or normal as it is programmed.

        Deaf, it hears no peer, so that two become primary. Released, it gives up being primary, in good order, and
        stays BACKUP.
        """

    def synchronise(self, name: str) -> None:
        """Ask the router's peer for all connections; it has them when this returns."""

    def diagnose(self, name: str, argv: tuple[str, ...]) -> tuple[int, str, str]:
        """Run a command on the router; its exit code and what it printed, as output and as errors.

        A command that there isn't, or that doesn't end within a minute, is an error in that sense: no GroundError.
        """

    def plug_tier(self, name: str, leg: GuestLeg) -> None:
        """Give a running VPC router an interface in one more tier; its rules come with program_router."""

    def unplug_tier(self, name: str, network: str) -> None: ...

    def plug_public(self, name: str, leg: PublicLeg) -> None:
        """Give a router an interface in one more public subnet; further addresses of it come with program_router."""

    def unplug_public(self, name: str, gateway: str) -> None:
        """Remove the interface in that subnet with all addresses on it."""

    def stop_router(self, name: str) -> None:
        """Power off by force: off the wire at once, connection tracking lost with it. It can be started again."""

    def remove_router(self, name: str) -> None: ...

    def add_vm(self, vm: VmSpec) -> None:
        """Create and boot: addresses, host key of its own, sshd (keys only) with the user data honoured."""

    def stop_vm(self, name: str) -> None: ...

    def start_vm(self, name: str) -> None: ...

    def remove_vm(self, name: str) -> None: ...

    def reset_vm_keys(self, name: str, authorized_keys: tuple[str, ...]) -> None: ...

    def drop_lease(self, name: str) -> None:
        """Take the guest's address away, as if nobody had renewed its lease in time."""

    def renew_lease(self, name: str) -> None:
        """Let the guest ask for its address anew by DHCP; raises GroundError when nobody answers."""
