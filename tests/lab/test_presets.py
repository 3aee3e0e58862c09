"""The timing presets: complete, loadable, and leading to the outages that were published."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from vrbench.core.plan.tables import PRESETS, LabTable
from vrbench.lab.ground.specs import FirewallRule, PortForward, RuleSet
from vrbench.lab.presets import load, names
from vrbench.lab.router_history import lets_in, lets_out
from vrbench.lab.strategies import STRATEGIES
from vrbench.lab.timing import Timing

ADDRESSES = tuple(f"198.51.100.{n}" for n in range(10, 21))
RULES = RuleSet(
    public_ips=ADDRESSES,
    source_nat=ADDRESSES[0],
    firewall=tuple(
        rule for ip in ADDRESSES[1:] for rule in (FirewallRule(ip, "icmp"), FirewallRule(ip, "tcp", ports=(22, 22)))
    ),
    port_forwards=tuple(
        PortForward(ip, "tcp", (22, 22), f"10.1.1.{n}", (22, 22)) for n, ip in enumerate(ADDRESSES[1:], 11)
    ),
    egress=(FirewallRule(None, "all"),),
)


@dataclass
class Clock:
    """RouterOps that only passes the time, and sees when which stream could not work: the last plugged in counts."""

    timing: Timing
    now: float = 0.0
    present: list[str] = field(default_factory=lambda: ["old"])
    plugged: list[str] = field(default_factory=lambda: ["old"])
    known: dict[str, RuleSet] = field(default_factory=lambda: {"old": RULES})
    down: dict[str, float] = field(default_factory=dict)

    def routers(self) -> tuple[str, ...]:
        return tuple(self.present)

    def expendable(self) -> tuple[str, ...]:
        return ()

    def rules(self) -> RuleSet:
        return RULES

    def create(self, seconds: float) -> str:
        self._pass(seconds)
        self.present.append("new")
        return "new"

    def boot(self, router: str, seconds: float, plug: bool = True) -> None:
        self._pass(seconds)
        self.plugged.append(router)

    def program(self, router: str, rules: RuleSet, seconds: float) -> None:
        self._pass(seconds)
        self.known[router] = rules

    def mark_running(self, router: str) -> None: ...

    def announce(self, router: str) -> None: ...

    def stop(self, router: str, seconds: float, forced: bool) -> None:
        if not forced:
            self._pass(seconds)
        self.plugged.remove(router)
        if forced:
            self._pass(seconds)

    def destroy(self, router: str, seconds: float) -> None:
        self._pass(seconds)
        self.present.remove(router)

    def _pass(self, seconds: float) -> None:
        rules = self.known.get(self.plugged[-1], RuleSet()) if self.plugged else RuleSet()
        self.now += seconds
        up = {*lets_in(rules), *(["egress"] if lets_out(rules) else [])}
        for stream in ("egress", *lets_in(RULES)):
            if stream not in up:
                self.down[stream] = self.down.get(stream, 0.0) + seconds

    # What neither serial nor parallel asks for.

    def backup(self) -> str:
        raise NotImplementedError

    def wait(self, seconds: float) -> None:
        raise NotImplementedError

    def hand_over(self, old: str, new: str) -> None:
        raise NotImplementedError

    def synchronise(self, router: str) -> None:
        raise NotImplementedError

    def release(self, router: str) -> None:
        raise NotImplementedError

    def await_primary(self) -> None:
        raise NotImplementedError

    def restart_services(self, router: str, seconds: float) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("name", names())
def test_the_steps_add_up_to_the_published_downtime(name: str) -> None:
    """Mean of egress and ingress, ten VMs and ten addresses: within a tenth of the average, not below the lowest."""
    preset = load(name)
    clock = Clock(preset.timing)
    STRATEGIES[preset.strategy].replace(clock)
    ingress = [seconds for stream, seconds in clock.down.items() if stream != "egress"]
    assert len(ingress) == 10
    mean = (clock.down["egress"] + sum(ingress) / 10) / 2
    assert mean == pytest.approx(preset.published_average_s, rel=0.1)
    assert mean >= (preset.published_lowest_s or 0)


def test_each_hypervisor_has_both_versions() -> None:
    """Serial up to 4.9, parallel from 4.11; the newer one is better everywhere."""
    assert set(names()) == {f"{h}-{v}" for h in ("vmware", "kvm", "xenserver") for v in ("4.9.3", "4.11.1")}
    for name in names():
        preset = load(name)
        assert name == f"{preset.hypervisor.lower()}-{preset.cloudstack}"
        assert preset.strategy == ("serial" if preset.cloudstack == "4.9.3" else "parallel")
        assert preset.timing != Timing()
    for hypervisor in ("vmware", "kvm", "xenserver"):
        older, newer = (load(f"{hypervisor}-{version}").published_average_s for version in ("4.9.3", "4.11.1"))
        assert newer < older


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    """A path is no name either."""
    for name in ("hyperv-4.11.1", "../presets/kvm-4.9.3", ""):
        with pytest.raises(KeyError, match=r"kvm-4\.9\.3"):
            load(name)


def test_profiles_know_the_presets_and_their_strategies() -> None:
    """What a profile may ask for is what the lab has; a strategy that is named wins over the preset's."""
    assert {name: load(name).strategy for name in names()} == PRESETS
    table = LabTable()
    assert table.restart_strategy == "parallel"
    for name in names():
        assert replace(table, preset=name).restart_strategy == load(name).strategy
    assert replace(table, preset="kvm-4.9.3", strategy="negotiated").restart_strategy == "negotiated"
