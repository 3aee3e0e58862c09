"""The restart strategies against a port that writes down what it is asked: order, times and what is on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from vrbench.core.plan.tables import STRATEGIES as NAMES
from vrbench.lab.ground.specs import Acl, AclLine, FirewallRule, PortForward, RuleSet
from vrbench.lab.strategies import REDUNDANT, STRATEGIES, StartFailed
from vrbench.lab.strategies.serial import one_by_one
from vrbench.lab.timing import Timing

RULES = RuleSet(
    public_ips=("198.51.100.12", "198.51.100.13"),
    source_nat="198.51.100.12",
    static_nat=(("198.51.100.13", "10.1.1.9"),),
    port_forwards=(PortForward("198.51.100.12", "tcp", (22, 22), "10.1.1.8", (22, 22)),),
    firewall=(FirewallRule("198.51.100.12", "tcp", ports=(22, 22)),),
    egress=(FirewallRule(None, "all"),),
)
TIMING = Timing()


@dataclass
class Scribe:
    """RouterOps that only writes down; ``dead`` names routers that don't run."""

    present: list[str]
    dead: tuple[str, ...] = ()
    timing: Timing = TIMING
    deeds: list[str] = field(default_factory=list)
    programmed: list[RuleSet] = field(default_factory=list)
    seconds: float = 0.0
    unwilling: tuple[str, ...] = ()  # these don't start
    gone: list[str] = field(default_factory=list)

    def routers(self) -> tuple[str, ...]:
        return tuple(self.present)

    def expendable(self) -> tuple[str, ...]:
        return tuple(router for router in self.present if router in self.dead)

    def rules(self) -> RuleSet:
        return RULES

    def create(self, seconds: float) -> str:
        name = "new" if "new" not in self.present and "new" not in self.gone else "newer"
        self._write(f"create {name}", seconds)
        self.present.append(name)
        self.dead = (*self.dead, name)
        return name

    def backup(self) -> str:
        return self.present[-1]

    def wait(self, seconds: float) -> None:
        self._write("wait", seconds)

    def hand_over(self, old: str, new: str) -> None:
        self._write(f"hand over {old} to {new}", 0)

    def synchronise(self, router: str) -> None:
        self._write(f"synchronise {router}", 0)

    def release(self, router: str) -> None:
        self._write(f"release {router}", 0)

    def await_primary(self) -> None:
        self._write("await primary", 0)

    def restart_services(self, router: str, seconds: float) -> None:
        self._write(f"restart services of {router}", seconds)

    def boot(self, router: str, seconds: float, plug: bool = True) -> None:
        self._write(f"boot {router}{'' if plug else ' unplugged'}", seconds)
        if router in self.unwilling:
            raise StartFailed
        self.dead = tuple(name for name in self.dead if name != router)

    def program(self, router: str, rules: RuleSet, seconds: float) -> None:
        self.programmed.append(rules)
        self._write(f"program {router}", seconds)

    def mark_running(self, router: str) -> None:
        self._write(f"running {router}", 0)

    def announce(self, router: str) -> None:
        self._write(f"announce {router}", 0)

    def stop(self, router: str, seconds: float, forced: bool) -> None:
        self._write(f"{'force off' if forced else 'shut down'} {router}", seconds)

    def destroy(self, router: str, seconds: float) -> None:
        self.present.remove(router)
        self.gone.append(router)
        self._write(f"destroy {router}", seconds)

    def _write(self, deed: str, seconds: float) -> None:
        self.seconds += seconds
        if not self.deeds or self.deeds[-1] != deed:
            self.deeds.append(deed)


def test_serial_removes_before_it_creates() -> None:
    """Shut down gracefully, destroy, create, boot, program, then tell the neighbours."""
    ops = Scribe(["old"])
    STRATEGIES["serial"].replace(ops)
    assert ops.deeds == [
        "shut down old", "destroy old", "create new", "boot new", "program new", "running new", "announce new",
    ]  # fmt: skip


def test_parallel_creates_before_it_removes() -> None:
    """The second router runs before the first is forced off; rules are applied again and neighbours told."""
    ops = Scribe(["old"])
    STRATEGIES["parallel"].replace(ops)
    assert ops.deeds == [
        "create new", "boot new", "program new", "running new", "force off old", "destroy old", "program new",
        "announce new",
    ]  # fmt: skip


def test_serial_takes_time_in_proportion_to_the_rules() -> None:
    """Two boots, and half a second for each rule."""
    t = TIMING
    ops = Scribe(["old"])
    STRATEGIES["serial"].replace(ops)
    fixed = t.router_stop_s + t.router_destroy_s + t.router_place_s + t.router_boot_s + t.router_reboot_s
    assert ops.seconds == pytest.approx(fixed + t.router_program_s + len(RULES) * t.router_rule_s)


def test_parallel_programs_everything_in_one_pass() -> None:
    """The new router is given all rules at once, twice."""
    ops = Scribe(["old"])
    STRATEGIES["parallel"].replace(ops)
    assert ops.programmed == [RULES, RULES]


def test_rules_grow_one_by_one_in_the_servers_order() -> None:
    """Each step has exactly one rule more; the last is everything, the first an egress rule."""
    steps = list(one_by_one(RULES))
    assert [len(step) for step in steps] == list(range(1, len(RULES) + 1))
    assert steps[-1] == RULES
    assert steps[0].egress == RULES.egress
    assert [bool(step.port_forwards) for step in steps].count(True) == 1
    assert {step.source_nat for step in steps} == {RULES.source_nat}


def test_no_rules_need_no_steps() -> None:
    """A router without anything to know is programmed once, with nothing."""
    assert (
        list(one_by_one(replace(RULES, public_ips=(), static_nat=(), port_forwards=(), firewall=(), egress=()))) == []
    )


def test_parallel_clears_what_a_failure_left() -> None:
    """A router that does not run goes first; the running one is replaced as ever."""
    ops = Scribe(["running", "stopped"], dead=("stopped",))
    STRATEGIES["parallel"].replace(ops)
    assert ops.deeds[:3] == ["force off stopped", "destroy stopped", "create new"]
    assert ops.present == ["new"]


def test_parallel_drops_the_last_of_two_running_routers() -> None:
    """Two that run, after a failed stop: the last listed makes room for the new one."""
    ops = Scribe(["first", "second"])
    STRATEGIES["parallel"].replace(ops)
    assert ops.deeds[:3] == ["force off second", "destroy second", "create new"]


def test_redundant_takes_the_backup_and_after_a_pause_the_primary() -> None:
    """A new backup stands before the primary goes; ten seconds lie between; then a second new one joins."""
    ops = Scribe(["primary", "backup"])
    STRATEGIES["redundant"].replace(ops)
    assert ops.deeds == [
        "force off backup", "destroy backup", "create new", "boot new", "program new", "running new", "await primary",
        "wait", "force off primary", "destroy primary", "create newer", "boot newer", "program newer",
        "running newer", "await primary",
    ]  # fmt: skip
    assert ops.present == ["new", "newer"]


def test_a_redundant_network_keeps_its_primary_when_no_backup_starts() -> None:
    """One router that runs makes up for one that won't: the restart goes on to the end, as the server's does."""
    ops = Scribe(["primary", "backup"], unwilling=("new",))
    REDUNDANT["parallel"].bring_up(ops)
    assert ops.present == ["primary", "backup"]
    ops.dead = ("backup",)
    ops.unwilling = ("backup",)
    assert STRATEGIES["redundant"].bring_up(ops) == "primary"
    ops.dead = ("primary", "backup")
    ops.unwilling = ("primary", "backup")
    with pytest.raises(StartFailed):
        STRATEGIES["redundant"].bring_up(ops)


def test_redundant_without_rolling_restarts_takes_both_at_once() -> None:
    """Neither router is left before the first new one boots."""
    ops = Scribe(["primary", "backup"])
    REDUNDANT["serial"].replace(ops)
    assert ops.deeds[:4] == ["shut down primary", "destroy primary", "shut down backup", "destroy backup"]
    assert ops.present == ["new", "newer"]


def test_advanced_parallel_programs_before_anybody_hears_of_it() -> None:
    """Unplugged until all rules are in; the ports change hands; only then the old one is forced off."""
    ops = Scribe(["old"])
    STRATEGIES["advanced-parallel"].replace(ops)
    assert ops.deeds == [
        "create new", "boot new unplugged", "program new", "running new", "hand over old to new", "force off old",
        "destroy old", "program new",
    ]  # fmt: skip


def test_negotiated_moves_connections_before_the_address() -> None:
    """The new router knows all connections before the old one releases, and is primary before the old one goes."""
    ops = Scribe(["old"])
    STRATEGIES["negotiated"].replace(ops)
    assert ops.deeds == [
        "create new", "boot new", "program new", "running new", "synchronise new", "release old", "await primary",
        "force off old", "destroy old", "program new",
    ]  # fmt: skip


def test_live_patch_replaces_nothing() -> None:
    """Services restarted, rules applied again; the routers are the same."""
    ops = Scribe(["first", "second", "stopped"], dead=("stopped",))
    STRATEGIES["live-patch"].replace(ops)
    assert ops.deeds == [
        "restart services of first", "program first", "restart services of second", "program second",
    ]  # fmt: skip


def test_access_lists_grow_rule_by_rule() -> None:
    """Serial: a tier's list is programmed one line at a time, tier after tier; hosts are there from the start."""
    line = AclLine("ingress", True, "all")
    rules = replace(RULES, acls=(Acl("a", (line, line)), Acl("b", (line,))))
    steps = list(one_by_one(rules))
    assert [len(step) for step in steps] == list(range(1, len(rules) + 1))
    assert steps[-1] == rules
    assert {step.hosts for step in steps} == {rules.hosts}


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"redundant"}))
def test_first_router_comes_up(name: str) -> None:
    """Bringing up a first router never touches another and ends with all rules on it."""
    ops = Scribe([])
    assert STRATEGIES[name].bring_up(ops) == "new"
    assert ops.deeds[:4] == ["create new", "boot new", "program new", "running new"]
    assert ops.deeds[4:] == (["await primary"] if STRATEGIES[name].vrrp else [])
    assert ops.programmed[-1] == RULES


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_network_that_lost_its_router_gets_one(name: str) -> None:
    """A restart with no router left is no error: it ends with one that is programmed, or two."""
    ops = Scribe([])
    STRATEGIES[name].replace(ops)
    assert ops.present == (["new", "newer"] if name == "redundant" else ["new"])
    assert ops.programmed[-1] == RULES


def test_profiles_know_the_strategies_of_the_lab() -> None:
    """What a profile may ask for is what the lab has."""
    assert set(NAMES) == set(STRATEGIES)
