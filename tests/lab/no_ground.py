"""The ground that does nothing, for tests of the API alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from vrbench.lab.ground.port import RedundancyMode, RedundancyState
from vrbench.lab.ground.specs import GuestLeg, PublicLeg, RouterSpec, RuleSet, VmSpec


@dataclass
class NoGround:
    """Does nothing but keep a list of what it was asked, as (method, first argument): for tests of the API alone."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def add_network(self, network: str) -> None:
        self.asked.append(("add_network", network))

    def remove_network(self, network: str) -> None:
        self.asked.append(("remove_network", network))

    def place_router(self, router: RouterSpec) -> None:
        self.asked.append(("place_router", router.name))

    def start_router(self, name: str) -> None:
        self.asked.append(("start_router", name))

    def start_router_unplugged(self, name: str) -> None:
        self.asked.append(("start_router_unplugged", name))

    def hand_over(self, old: str, new: str) -> None:
        self.asked.append(("hand_over", f"{old} {new}"))

    def restart_services(self, name: str) -> None:
        self.asked.append(("restart_services", name))

    def redundancy_state(self, name: str) -> RedundancyState:
        self.asked.append(("redundancy_state", name))
        return "PRIMARY"

    def set_redundancy(self, name: str, mode: RedundancyMode) -> None:
        self.asked.append(("set_redundancy", f"{name} {mode}"))

    def synchronise(self, name: str) -> None:
        self.asked.append(("synchronise", name))

    def diagnose(self, name: str, argv: tuple[str, ...]) -> tuple[int, str, str]:
        self.asked.append(("diagnose", f"{name} {' '.join(argv)}"))
        return 0, f"{argv[0].upper()} {argv[1]} executed in {name}", ""

    def plug_tier(self, name: str, leg: GuestLeg) -> None:
        self.asked.append(("plug_tier", f"{name} {leg.network}"))

    def unplug_tier(self, name: str, network: str) -> None:
        self.asked.append(("unplug_tier", f"{name} {network}"))

    def plug_public(self, name: str, leg: PublicLeg) -> None:
        self.asked.append(("plug_public", f"{name} {leg.ip}"))

    def unplug_public(self, name: str, gateway: str) -> None:
        self.asked.append(("unplug_public", f"{name} {gateway}"))

    def program_router(self, name: str, rules: RuleSet) -> None:
        self.asked.append(("program_router", f"{name} {len(rules)}"))

    def announce_router(self, name: str) -> None:
        self.asked.append(("announce_router", name))

    def stop_router(self, name: str) -> None:
        self.asked.append(("stop_router", name))

    def remove_router(self, name: str) -> None:
        self.asked.append(("remove_router", name))

    def add_vm(self, vm: VmSpec) -> None:
        self.asked.append(("add_vm", vm.name))

    def stop_vm(self, name: str) -> None:
        self.asked.append(("stop_vm", name))

    def start_vm(self, name: str) -> None:
        self.asked.append(("start_vm", name))

    def remove_vm(self, name: str) -> None:
        self.asked.append(("remove_vm", name))

    def reset_vm_keys(self, name: str, authorized_keys: tuple[str, ...]) -> None:
        self.asked.append(("reset_vm_keys", f"{name} {len(authorized_keys)}"))

    def drop_lease(self, name: str) -> None:
        self.asked.append(("drop_lease", name))

    def renew_lease(self, name: str) -> None:
        self.asked.append(("renew_lease", name))
