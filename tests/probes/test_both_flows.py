"""An old flow and new ones through a router that forwards before its source NAT is there: real connection tracking."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probes.box import Box, routed_box
from tests.probes.trials import Trial, reachable, trial
from vrbench.core.caveats import CaveatKind
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import kind_of

pytestmark = pytest.mark.lab
DOWN_S, BARE_S, WATCHED_S = 0.5, 0.3, 3.0
SNAT = 'add rule ip nat postrouting oifname "pub" snat to 198.51.100.1'


@pytest.fixture
def under_way(_lab_machine: None, tmp_path: Path) -> Iterator[Trial]:
    """Provide a trial that has been requested, in a box of its own."""
    box = routed_box(guests=2)
    try:
        with reachable(box, tmp_path) as ssh_guests, trial(ssh_guests, box, tmp_path / "trial") as begun:
            yield begun
    finally:
        box.close()


def forward_before_nat(begun: Trial) -> tuple[float, float]:
    """Cut the path, let it come back without source NAT, then with it; how long new flows were down: least and most.

    The connections are forgotten meanwhile, as they are by a new router.
    """
    box: Box = begun.box
    with begun.cut():
        box.run("router", "nft", "flush chain ip nat postrouting")
        box.run("router", "conntrack", "-F")
        begun.spend(DOWN_S)
    begun.spend(BARE_S)
    first, last = begun.cuts[-1].began
    before = time.monotonic_ns()
    box.run("router", "nft", SNAT)
    after = time.monotonic_ns()
    return (before - last) / 1e9, (after - first) / 1e9


def pings(result: TrialResult, flow: str) -> list[StreamResult]:
    found = list(result.of(kind_of("icmp-egress", flow)))
    assert len(found) == 2
    return found


def test_the_old_flow_stays_dead_after_the_network_is_back(under_way: Trial) -> None:
    """New pings pass as soon as NAT is there; the running one does not, for as long as it goes on, and that is said."""
    least_s, most_s = forward_before_nat(under_way)
    under_way.spend(WATCHED_S)
    result = under_way.end()
    for s in pings(result, "fresh"):
        seen = Downtime.total(s.windows)
        assert seen.at_least_s <= most_s
        assert seen.at_most_s >= least_s >= BARE_S, "forwarding alone is not enough"
    for s in pings(result, "persistent"):
        (window,) = s.outages
        assert window.censored
        assert window.at_least_s > most_s, "its last probes, within the threshold, are unknown"
    kinds = {c.kind for c in result.caveats}
    assert {CaveatKind.FLOWS_DIFFER, CaveatKind.NO_RECOVERY_SEEN} <= kinds


def test_the_old_flow_is_back_once_it_is_forgotten(under_way: Trial) -> None:
    """Connection tracking is all that held it: without its entries the same flow passes, and its window has an end."""
    forward_before_nat(under_way)
    under_way.spend(WATCHED_S)
    under_way.box.run("router", "conntrack", "-F")
    under_way.spend(1.2)
    result = under_way.end()
    recovered = {flow: [s.recovered_s or 0.0 for s in pings(result, flow)] for flow in ("fresh", "persistent")}
    assert min(recovered["persistent"]) > max(recovered["fresh"]) + WATCHED_S / 2
    assert all(not w.censored for s in pings(result, "persistent") for w in s.windows)
    assert CaveatKind.FLOWS_DIFFER in {c.kind for c in result.caveats}
