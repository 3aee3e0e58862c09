"""Faults of packets and machines: a ground that does what it is asked, but for the faults that are on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from vrbench.lab.faults import FaultError, Faults, LabFault
from vrbench.lab.ground.forwarding import ForwardingGround
from vrbench.lab.ground.port import Ground, RedundancyMode
from vrbench.lab.ground.specs import RouterSpec, RuleSet, VmSpec
from vrbench.lab.packets.guest_presets import PRESETS
from vrbench.lab.packets.nftables import GUEST_IF
from vrbench.lab.packets.recording_ground import RecordingGround
from vrbench.lab.router_history import RouterAction, RouterHistory
from vrbench.lab.status import Node
from vrbench.lab.system.namespaces import ip_batch, run

_TABLE = "faults"
LEFT_OUT: Mapping[str, Callable[[RuleSet], RuleSet]] = {
    "all": lambda rules: replace(
        rules, source_nat=None, static_nat=(), port_forwards=(), balanced=(), firewall=(), egress=()
    ),
    "source-nat": lambda rules: replace(rules, source_nat=None),
    "egress": lambda rules: replace(rules, egress=(), egress_allowed_by_default=False),
    "firewall": lambda rules: replace(rules, firewall=()),
    "port-forwards": lambda rules: replace(rules, port_forwards=()),
}
BOUND_WRONGLY: Mapping[str, Callable[[RuleSet], RuleSet]] = {  # what is forwarded meanwhile is not translated
    "both": lambda rules: replace(rules, source_nat=None, static_nat=(), port_forwards=(), balanced=()),
    "egress": lambda rules: replace(rules, source_nat=None),
    "ingress": lambda rules: replace(rules, static_nat=(), port_forwards=(), balanced=()),
}


class LiveGround(Ground, Protocol):
    """A ground that also tells what lives on it."""

    def nodes(self) -> tuple[Node, ...]:
        """Return everything that has an address now."""

    def running_routers(self, network: str | None = None) -> tuple[str, ...]:
        """Return the names of the routers on the wire, of one network or of all."""

    def vm(self, name: str) -> VmSpec:
        """Return what a guest was made from; raises GroundError when there is none of that name."""


class FaultyGround(ForwardingGround):
    """Does to ``zone`` what it is asked, less what the faults that are on take from it.

    The history gets what was really done: a rule that a fault left out is not in it. ``faults`` tells this ground from
    now on which of them go on and off.
    """

    def __init__(self, zone: LiveGround, faults: Faults, history: RouterHistory) -> None:
        super().__init__(RecordingGround(zone, history))
        self._zone, self._faults, self._history = zone, faults, history
        self._specs: dict[str, RouterSpec] = {}
        self._bare: set[str] = set()  # routers on the wire that have had no rules yet
        self._ghosts: list[str] = []  # gone for the server, and still on the wire
        self._lock = threading.Lock()
        faults.act = self.act

    # -- what routers are asked for

    def place_router(self, router: RouterSpec) -> None:
        super().place_router(router)
        self._specs[router.name] = router
        if self._faults.get("stale-arp"):
            for leg in router.legs:
                _nft(None, _mute(leg.mac))

    def start_router(self, name: str) -> None:
        self._bare.add(name)
        super().start_router(name)
        self._spoil_packets([name])

    def start_router_unplugged(self, name: str) -> None:
        super().start_router_unplugged(name)
        self._spoil_packets([name])

    def program_router(self, name: str, rules: RuleSet) -> None:
        missing, late = self._faults.get("rules-missing"), self._faults.get("rules-late")
        if missing:
            rules = LEFT_OUT[missing.params["what"]](rules)
        if late and name in self._bare:
            self._program(name, BOUND_WRONGLY[late.params["what"]](rules))
            time.sleep(late.number("seconds"))
        self._bare.discard(name)
        self._program(name, rules)

    def _program(self, name: str, rules: RuleSet) -> None:
        """Program it, unless it mistakes its interfaces."""
        if self._faults.get("wrong-interface") is None:
            super().program_router(name, rules)
            return
        own = self._specs[name].public_ip
        super().program_router(name, replace(rules, public_ips=(own,)))
        ip_batch([f"address replace {ip}/32 dev {GUEST_IF}" for ip in rules.public_ips if ip != own], netns=name)

    def stop_router(self, name: str) -> None:
        if self._faults.get("two-routers") is None:
            super().stop_router(name)

    def remove_router(self, name: str) -> None:
        if self._faults.get("two-routers") is None:
            super().remove_router(name)
        else:
            with self._lock:
                self._ghosts.append(name)

    def add_vm(self, vm: VmSpec) -> None:
        odd = self._faults.get("guests-are")
        super().add_vm(replace(vm, like=odd.params["like"]) if odd else vm)

    # -- faults that go on and off

    def act(self, fault: LabFault, on: bool) -> None:
        """Do at once what can be done at once. Raises FaultError or GroundError."""
        if fault.name == "guests-are" and fault.params["like"] not in PRESETS:
            raise FaultError(f"{fault.name}: like must be one of: {', '.join(filter(None, PRESETS))}")
        if "vm" in fault.params:
            if on or self._stands(fault.params["vm"]):
                self._switch_guest(fault.name, self._vm(fault), on)
        elif fault.name in ("split-brain", "both-backup"):
            self._unsettle("normal" if not on else "deaf" if fault.name == "split-brain" else "released")
        elif fault.name == "two-routers" and not on:
            self._lay_ghosts()
        elif fault.name == "stale-arp" and not on:
            _nft(None, _gone("bridge"))
        elif fault.name in _SPOILERS:
            for router in self._zone.running_routers():
                _nft(router, _SPOILERS[fault.name](fault) if on else _gone("ip", fault.name))

    def _vms(self) -> list[str]:
        return [node.name for node in self._zone.nodes() if node.kind == "vm"]

    def _stands(self, named: str) -> bool:
        """Return whether there still is a VM to take a fault from; of one that is gone it went with it."""
        vms = self._vms()
        return named in vms or (not named and bool(vms))

    def _vm(self, fault: LabFault) -> str:
        """Return the VM that the fault names; the only one there is when it names none."""
        vms = self._vms()
        named = fault.params["vm"] or (vms[0] if len(vms) == 1 else "")
        if named not in vms:
            running = f"set vm=NAME to one of: {', '.join(vms)}" if vms else "none is running; deploy one first"
            raise FaultError(f"{fault.name} needs a VM: {running}")
        return named

    def _switch_guest(self, fault: str, name: str, on: bool) -> None:
        vm = self._zone.vm(name)
        action = partial(RouterAction, "on" if on else "off", "", network=vm.network, fault=fault, guest=vm.ip)
        with self._history.recording(action):
            _MACHINES[fault](self._zone, name, on)

    def _unsettle(self, mode: RedundancyMode) -> None:
        pairs = [name for name in self._zone.running_routers() if (spec := self._specs.get(name)) and spec.vrrp]
        if not pairs and mode != "normal":
            raise FaultError("no redundant routers are running: make a network redundant first")
        for name in pairs:
            self.inner.set_redundancy(name, mode)

    def _lay_ghosts(self) -> None:
        with self._lock:
            ghosts, self._ghosts = self._ghosts, []
        for name in ghosts:
            self.inner.remove_router(name)

    def _spoil_packets(self, routers: Sequence[str]) -> None:
        for fault in self._faults.now():
            for router in routers if fault.name in _SPOILERS else ():
                _nft(router, _SPOILERS[fault.name](fault))


def _loss(fault: LabFault) -> str:
    permille = round(fault.number("percent") * 10)
    return _filter("packet-loss", "forward", f"numgen random mod 1000 < {permille} drop")


def _limit(fault: LabFault) -> str:
    return _filter(
        "icmp-limit", "forward", f"ip protocol icmp limit rate over {round(fault.number('rate'))}/second drop"
    )


_SPOILERS: Mapping[str, Callable[[LabFault], str]] = {"packet-loss": _loss, "icmp-limit": _limit}


def _mute(mac: str) -> str:
    """Return rules by which switches pass on none of its announcements, nor questions that everybody hears."""
    rule = f"ether saddr {mac} arp operation request ether daddr ff:ff:ff:ff:ff:ff drop"
    chain = "{ type filter hook forward priority -300; }"
    return f"add table bridge {_TABLE}; add chain bridge {_TABLE} mute {chain}; add rule bridge {_TABLE} mute {rule}"


def _filter(name: str, hook: str, rule: str) -> str:
    return (
        f"add table ip {name}; add chain ip {name} spoil {{ type filter hook {hook} priority -310; }}; "
        f"add rule ip {name} spoil {rule}"
    )


def _gone(family: str, table: str = _TABLE) -> str:
    return f"add table {family} {table}; delete table {family} {table}"


def _nft(node: str | None, script: str) -> None:
    where = ["nsenter", f"--net=/run/netns/{node}"] if node else []
    run([*where, "nft", "-f", "-"], script)


# -- machines


def _lease(zone: LiveGround, vm: str, on: bool) -> None:
    (zone.drop_lease if on else zone.renew_lease)(vm)


def _reboot(zone: LiveGround, vm: str, on: bool) -> None:
    if on:
        zone.stop_vm(vm)
        zone.start_vm(vm)


def _close_ssh(_zone: LiveGround, vm: str, on: bool) -> None:
    closed = _filter("sshd-gone", "input", "tcp dport 22 ct state new reject with tcp reset")
    _nft(vm, closed if on else _gone("ip", "sshd-gone"))


def _hold_ssh(_zone: LiveGround, vm: str, on: bool) -> None:
    """Stop the listening server. What is connected already goes on, and the kernel goes on accepting."""
    script = f"kill -{'STOP' if on else 'CONT'} $(cat /run/sshd.pid)"
    with open(f"/run/vrlab/vm/{vm}/pid", encoding="ascii") as file:
        run(["nsenter", f"--target={file.read()}", "--mount", "--pid", "--", "sh", "-c", script])


_MACHINES: Mapping[str, Callable[[LiveGround, str, bool], None]] = {
    "lease-lost": _lease,
    "guest-reboot": _reboot,
    "sshd-gone": _close_ssh,
    "sshd-slow": _hold_ssh,
}
