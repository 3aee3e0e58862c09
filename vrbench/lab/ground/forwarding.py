"""A ground in front of another one: the base of those that do something beside passing calls on."""

from __future__ import annotations

from vrbench.lab.ground.port import Ground, RedundancyMode, RedundancyState
from vrbench.lab.ground.specs import GuestLeg, PublicLeg, RouterSpec, RuleSet, VmSpec


class ForwardingGround:
    """Passes every call on to ``inner``. Every method is spelled out, so that the type checker sees what is missing."""

    def __init__(self, inner: Ground) -> None:
        self.inner = inner

    def add_network(self, network: str) -> None:
        self.inner.add_network(network)

    def remove_network(self, network: str) -> None:
        self.inner.remove_network(network)

    def place_router(self, router: RouterSpec) -> None:
        self.inner.place_router(router)

    def start_router(self, name: str) -> None:
        self.inner.start_router(name)

    def start_router_unplugged(self, name: str) -> None:
        self.inner.start_router_unplugged(name)

    def hand_over(self, old: str, new: str) -> None:
        self.inner.hand_over(old, new)

    def program_router(self, name: str, rules: RuleSet) -> None:
        self.inner.program_router(name, rules)

    def announce_router(self, name: str) -> None:
        self.inner.announce_router(name)

    def restart_services(self, name: str) -> None:
        self.inner.restart_services(name)

    def redundancy_state(self, name: str) -> RedundancyState:
        return self.inner.redundancy_state(name)

    def set_redundancy(self, name: str, mode: RedundancyMode) -> None:
        self.inner.set_redundancy(name, mode)

    def synchronise(self, name: str) -> None:
        self.inner.synchronise(name)

    def diagnose(self, name: str, argv: tuple[str, ...]) -> tuple[int, str, str]:
        return self.inner.diagnose(name, argv)

    def plug_tier(self, name: str, leg: GuestLeg) -> None:
        self.inner.plug_tier(name, leg)

    def unplug_tier(self, name: str, network: str) -> None:
        self.inner.unplug_tier(name, network)

    def plug_public(self, name: str, leg: PublicLeg) -> None:
        self.inner.plug_public(name, leg)

    def unplug_public(self, name: str, gateway: str) -> None:
        self.inner.unplug_public(name, gateway)

    def stop_router(self, name: str) -> None:
        self.inner.stop_router(name)

    def remove_router(self, name: str) -> None:
        self.inner.remove_router(name)

    def add_vm(self, vm: VmSpec) -> None:
        self.inner.add_vm(vm)

    def stop_vm(self, name: str) -> None:
        self.inner.stop_vm(name)

    def start_vm(self, name: str) -> None:
        self.inner.start_vm(name)

    def remove_vm(self, name: str) -> None:
        self.inner.remove_vm(name)

    def reset_vm_keys(self, name: str, authorized_keys: tuple[str, ...]) -> None:
        self.inner.reset_vm_keys(name, authorized_keys)

    def drop_lease(self, name: str) -> None:
        self.inner.drop_lease(name)

    def renew_lease(self, name: str) -> None:
        self.inner.renew_lease(name)
