"""Faults of packets and machines: a ground that does what it is asked, but for the faults that are on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from vrbench.lab.faults import Fault, FaultError, Faults
from vrbench.lab.ground.port import Ground
from vrbench.lab.ground.specs import RouterSpec, RuleSet
from vrbench.lab.packets.namespace_ground import NamespaceGround
from vrbench.lab.packets.nftables import GUEST_IF
from vrbench.lab.router_history import Notes
from vrbench.lab.system.namespaces import ip_batch, run

_TABLE = "faults"
_LEFT_OUT: Mapping[str, Callable[[RuleSet], RuleSet]] = {
    "all": lambda rules: replace(
        rules, source_nat=None, static_nat=(), port_forwards=(), balanced=(), firewall=(), egress=()
    ),
    "source-nat": lambda rules: replace(rules, source_nat=None),
    "egress": lambda rules: replace(rules, egress=(), egress_allowed_by_default=False),
    "firewall": lambda rules: replace(rules, firewall=()),
    "port-forwards": lambda rules: replace(rules, port_forwards=()),
}


def faulty(zone: NamespaceGround, faults: Faults, notes: Notes) -> Ground:
    """The zone as a ground with faults; from now on it is told which go on and off, and notes when guests' do."""
    ground = _Faulty(zone, faults, notes)
    faults.act = ground.act
    return cast(Ground, ground)


@dataclass
class _Faulty:
    """Passes on what it does not spoil."""

    zone: NamespaceGround
    faults: Faults
    notes: Notes
    _specs: dict[str, RouterSpec] = field(default_factory=dict)
    _ghosts: list[str] = field(default_factory=list)  # gone for the server, and still on the wire
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.zone, name)

    # -- what routers are asked for

    def place_router(self, router: RouterSpec) -> None:
        self.zone.place_router(router)
        self._specs[router.name] = router
        if self.faults.get("stale-arp"):
            for leg in router.legs:
                _nft(None, _mute(leg.mac))

    def start_router(self, name: str) -> None:
        self.zone.start_router(name)
        self._spoil_packets([name])

    def start_router_unplugged(self, name: str) -> None:
        self.zone.start_router_unplugged(name)
        self._spoil_packets([name])

    def program_router(self, name: str, rules: RuleSet) -> None:
        missing = self.faults.get("rules-missing")
        if missing:
            rules = _LEFT_OUT[missing.params["what"]](rules)
        if self.faults.get("wrong-interface") is None:
            self.zone.program_router(name, rules)
            return
        own = self._specs[name].public_ip
        self.zone.program_router(name, replace(rules, public_ips=(own,)))
        ip_batch([f"address replace {ip}/32 dev {GUEST_IF}" for ip in rules.public_ips if ip != own], netns=name)

    def stop_router(self, name: str) -> None:
        if self.faults.get("two-routers") is None:
            self.zone.stop_router(name)

    def remove_router(self, name: str) -> None:
        if self.faults.get("two-routers") is None:
            self.zone.remove_router(name)
        else:
            with self._lock:
                self._ghosts.append(name)

    # -- faults that go on and off

    def act(self, fault: Fault, on: bool) -> None:
        """Do at once what can be done at once. Raises FaultError or GroundError."""
        if fault.name == "rules-missing" and fault.params["what"] not in _LEFT_OUT:
            raise FaultError(f"what must be one of: {', '.join(_LEFT_OUT)}")
        if "vm" in fault.params:
            vm, switch = self._vm(fault), _MACHINES[fault.name]
            self.notes.switched(fault.name, on, self.zone.vm(vm), lambda: switch(self.zone, vm, on))
        elif fault.name in ("split-brain", "both-backup"):
            self._unsettle("normal" if not on else "deaf" if fault.name == "split-brain" else "released")
        elif fault.name == "two-routers" and not on:
            self._lay_ghosts()
        elif fault.name == "stale-arp" and not on:
            _nft(None, _gone("bridge"))
        elif fault.name in _SPOILERS:
            for router in self.zone.running_routers():
                _nft(router, _SPOILERS[fault.name](fault) if on else _gone("ip", fault.name))

    def _vm(self, fault: Fault) -> str:
        """The VM that the fault names; the only one there is when it names none."""
        vms = [node.name for node in self.zone.nodes() if node.kind == "vm"]
        named = fault.params["vm"] or (vms[0] if len(vms) == 1 else "")
        if named not in vms:
            raise FaultError(f"{fault.name} needs vm=NAME of: {', '.join(vms) or 'none runs'}")
        return named

    def _unsettle(self, mode: Any) -> None:
        pairs = [name for name in self.zone.running_routers() if (spec := self._specs.get(name)) and spec.vrrp]
        if not pairs and mode != "normal":
            raise FaultError("no redundant routers are running")
        for name in pairs:
            self.zone.set_redundancy(name, mode)

    def _lay_ghosts(self) -> None:
        with self._lock:
            ghosts, self._ghosts = self._ghosts, []
        for name in ghosts:
            self.zone.remove_router(name)

    def _spoil_packets(self, routers: Sequence[str]) -> None:
        for fault in self.faults.now():
            for router in routers if fault.name in _SPOILERS else ():
                _nft(router, _SPOILERS[fault.name](fault))


def _loss(fault: Fault) -> str:
    permille = round(fault.number("percent") * 10)
    return _filter("packet-loss", "forward", f"numgen random mod 1000 < {permille} drop")


def _limit(fault: Fault) -> str:
    return _filter(
        "icmp-limit", "forward", f"ip protocol icmp limit rate over {round(fault.number('rate'))}/second drop"
    )


_SPOILERS: Mapping[str, Callable[[Fault], str]] = {"packet-loss": _loss, "icmp-limit": _limit}


def _mute(mac: str) -> str:
    """Switches pass on no question of this interface that everybody hears, nor its announcements."""
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


def _lease(zone: NamespaceGround, vm: str, on: bool) -> None:
    (zone.drop_lease if on else zone.renew_lease)(vm)


def _reboot(zone: NamespaceGround, vm: str, on: bool) -> None:
    if on:
        zone.stop_vm(vm)
        zone.start_vm(vm)


def _close_ssh(_zone: NamespaceGround, vm: str, on: bool) -> None:
    closed = _filter("sshd-gone", "input", "tcp dport 22 ct state new reject with tcp reset")
    _nft(vm, closed if on else _gone("ip", "sshd-gone"))


def _hold_ssh(_zone: NamespaceGround, vm: str, on: bool) -> None:
    """The listening server stops; what is connected already goes on, and the kernel goes on accepting."""
    script = f"kill -{'STOP' if on else 'CONT'} $(cat /run/sshd.pid)"
    with open(f"/run/vrlab/vm/{vm}/pid", encoding="ascii") as file:
        run(["nsenter", f"--target={file.read()}", "--mount", "--pid", "--", "sh", "-c", script])


_MACHINES: Mapping[str, Callable[[NamespaceGround, str, bool], None]] = {
    "lease-lost": _lease,
    "guest-reboot": _reboot,
    "sshd-gone": _close_ssh,
    "sshd-slow": _hold_ssh,
}
