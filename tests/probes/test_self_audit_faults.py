"""Whose fault it was: the harness's own path, a guest, or a refusal to send; never by mistake the router's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.probes.box import Box, routed_box
from tests.probes.rig import HARNESS, ROUTER
from tests.probes.trials import PROFILE, Trial, check_truth, reachable, stopped, tally, trial
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.figures.results import TrialResult
from vrbench.core.kinds import SSH_SYN
from vrbench.core.model import Direction, Outcome, Verdict

pytestmark = pytest.mark.lab
FAULT_S = 1.2
_OWN_RULES = """
table ip own {
  chain arriving { type filter hook input priority 0; }
  chain leaving { type filter hook output priority 0; }
}
"""


def faulty_box(guests: int) -> Box:
    """Return a box whose nodes may drop what arrives, or refuse to send; guests reach each other past the router."""
    made = routed_box(guests)
    for node in ("harness", "router", "guest0"):
        made.run(node, "nft", "-f", "-", stdin=_OWN_RULES)
    made.sh("router", "f=/proc/sys/net/bridge/bridge-nf-call-iptables; [ ! -e $f ] || echo 0 > $f")
    return made


@pytest.fixture(scope="module")
def box(_lab_machine: None) -> Iterator[Box]:
    made = faulty_box(2)
    yield made
    made.close()


@contextmanager
def ruled(box: Box, node: str, rule: str) -> Iterator[None]:
    """Keep a rule in the node's own table, for the block."""
    box.run(node, "nft", f"add rule ip own {rule}")
    try:
        yield
    finally:
        box.run(node, "nft", "flush table ip own")


def caveat(result: TrialResult, kind: CaveatKind) -> Caveat:
    (found,) = (c for c in result.caveats if c.kind is kind)
    return found


def test_a_harness_that_is_cut_off_voids_the_trial(under_way: Trial) -> None:
    """What the harness can't hear is no outage of the router: the control target is silent at the same time."""
    with ruled(under_way.box, "harness", "arriving meta l4proto { tcp, icmp } drop"):
        under_way.spend(FAULT_S)
    under_way.spend(0.8)
    result = under_way.end()
    assert result.verdict is Verdict.INVALID
    assert "control/harness" in caveat(result, CaveatKind.CONTROL_DOWN).detail


def test_a_control_that_is_lossy_at_another_time_only_says_so(under_way: Trial) -> None:
    """The router's outage stays what it was measured to be."""
    with ruled(under_way.box, "router", f"arriving ip daddr {ROUTER} icmp type echo-request drop"):
        under_way.spend(0.5)
    under_way.spend(1.0)
    with under_way.cut():
        under_way.spend(0.5)
    under_way.spend(1.0)
    result = under_way.end()
    assert result.verdict is Verdict.VALID, result.caveats
    assert caveat(result, CaveatKind.CONTROL_LOSSY).detail == "control/harness"
    check_truth(result, under_way.cuts)


def test_a_guest_without_a_link_voids_the_trial(under_way: Trial) -> None:
    """Its neighbour misses it too, and what it could not send is a gap, not an outage of egress."""
    box = under_way.box
    box.sh("guest0", "ip link set eth0 down")
    under_way.spend(FAULT_S)
    box.sh("guest0", "ip link set eth0 up; ip route add default via 10.1.1.1")
    under_way.spend(2.0)
    result = under_way.end()
    assert result.verdict is Verdict.INVALID
    assert "control/vm2" in caveat(result, CaveatKind.CONTROL_DOWN).detail
    unsent = [s for s in result.headline(Direction.EGRESS) if s.node == "vrb-1-vm1"]
    for s in unsent:
        assert tally(s, Outcome.SKIPPED) >= 0.8 * FAULT_S / s.stream.interval_s
        assert tally(s, Outcome.REFUSED) == 0


def test_a_frozen_guest_voids_the_trial(under_way: Trial) -> None:
    """It neither sends nor answers: its egress is a gap, its ingress a loss that its neighbour saw as well."""
    with stopped(under_way.agent_pids("vrb-1-vm1")), ruled(under_way.box, "guest0", "arriving drop"):
        under_way.spend(FAULT_S)
    under_way.spend(1.0)
    result = under_way.end()
    assert result.verdict is Verdict.INVALID
    assert "control/vm2" in caveat(result, CaveatKind.CONTROL_DOWN).detail
    assert [w for s in result.headline(Direction.EGRESS) if s.node == "vrb-1-vm1" for w in s.outages] == []


@pytest.mark.usefixtures("_lab_machine")
def test_a_frozen_guest_without_a_neighbour_leaves_the_trial_unknown(tmp_path: Path) -> None:
    """Nobody can tell a router that is down from a guest that stood still at that moment; the trial says which."""
    box = faulty_box(1)
    alone = PROFILE.replace("vms = 2", "vms = 1").replace("public_ips = 2", "public_ips = 1")
    with (
        reachable(box, tmp_path, guests=1, profile=alone) as ssh_guests,
        trial(ssh_guests, box, tmp_path / "trial") as under_way,
    ):
        with stopped(under_way.agent_pids()), ruled(box, "guest0", "arriving drop"):
            under_way.spend(FAULT_S)
        under_way.spend(0.8)
        result = under_way.end()
    box.close()
    assert result.verdict is Verdict.UNKNOWN, result.caveats
    assert "vrb-1-vm1" in caveat(result, CaveatKind.PROBER_STALLED).detail


@pytest.mark.parametrize("how", ["drop", "reject"])
def test_what_a_machine_refuses_to_send_is_a_gap(under_way: Trial, how: str) -> None:
    """A rule of its own in the way of a guest's and the harness's probes: nothing left, so nothing was lost.

    Only the kernel's TCP keeps to itself that it could not send; then the trial says who was at fault.
    """
    box = under_way.box
    with (
        ruled(box, "guest0", f"leaving icmp type echo-request ip daddr {HARNESS} {how}"),
        ruled(box, "harness", f"leaving ip daddr {ROUTER} meta l4proto tcp {how}"),
        ruled(box, "harness", f"leaving icmp type echo-request {how}"),
    ):
        under_way.spend(FAULT_S)
    under_way.spend(1.0)
    result = under_way.end()
    own = [s for s in result.headline(Direction.EGRESS) if s.node == "vrb-1-vm1"]
    harness = [s for s in result.streams if s.stream.name == "control/harness"]
    for s in [*own, *harness, *result.of(SSH_SYN)]:
        assert s.outages == (), s.stream.name
        assert tally(s, Outcome.SKIPPED) >= 0.8 * FAULT_S / s.stream.interval_s, s.stream.name
    assert result.verdict is Verdict.UNKNOWN
    assert "harness" in caveat(result, CaveatKind.PROBER_STALLED).detail
