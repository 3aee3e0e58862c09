"""Causes of what is nobody's router held against the truth, by duration: the service's, the old flow's, stale ARP."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from tests.cli.attribution import Span, Truth, by_phases, compared, fine
from tests.cli.faults.measured import SHORT, age, during, trial_of, vms
from tests.cli.zone import Done, Zone
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.kinds import ICMP_FRESH
from vrbench.core.model import Cause, Direction
from vrbench.lab import control, lifecycle
from vrbench.lab.router_history import RouterAction, TruePhase
from vrbench.lab.status import Outage

pytestmark = [pytest.mark.lab, pytest.mark.alone]

FAULT_S = 1.5
GAP_S = 0.5  # between two faults: less than the validation time, so that the trial goes on
ANSWER_S = 0.05  # the gateway is asked so often
LATE_S = 0.1  # by how much a prober or a server on a busy machine may be late
FINE = fine(SHORT.replace('validation = "2s"', 'validation = "3s"').replace('"12s"', '"25s"'))


def recovered(zone: Zone, done: Done) -> TrialResult:
    trial = trial_of(zone, done)
    assert trial.facts.recovered, done.err
    return trial


def figures(trial: TrialResult) -> list[StreamResult]:
    return [s for s in trial.streams if s.stream.kind.headline]


def hold(zone: Zone, fault: str, vm: str) -> None:
    """Hold the fault for a while."""
    lifecycle.fault(zone.state, fault, {"vm": vm})
    time.sleep(FAULT_S)
    lifecycle.fault(zone.state, fault, on=False)
    time.sleep(GAP_S)


def cut_old_flows(zone: Zone) -> Outage:
    """Source NAT away for a moment; what was bound without it meanwhile stays dead for a while longer."""
    question = {"ask": "outage", "fault": "no-nat", "direction": "egress", "target": "", "beats": (0.3,)}
    return Outage.from_json(control.ask(zone.state, {**question, "held_s": FAULT_S}, 10 + FAULT_S))


def test_a_service_at_fault_and_an_old_flow_cut(zone: Zone, record_property: Callable[[str, object], None]) -> None:
    """After a router was replaced: each is claimed where it was true, for nearly as long, and for nobody else."""
    outages: list[Outage] = []

    def go_wrong() -> None:
        victim = vms(zone)[0]
        hold(zone, "sshd-slow", victim)
        hold(zone, "sshd-gone", victim)
        outages.append(cut_old_flows(zone))

    trial = recovered(zone, during(zone, FINE, "job ended", go_wrong))
    phases = [TruePhase(**phase) for phase in lifecycle.phases(zone.state)["phases"]]
    truth = with_flows(by_phases(trial, phases), outages[0], trial.facts.requested_ns)
    found = compared(figures(trial), truth, (Cause.SERVICE_SLOW, Cause.SERVICE_REFUSES, Cause.OLD_FLOW_CUT))
    record_property("causes", str(found))
    print(found)
    for cause in (Cause.SERVICE_SLOW, Cause.SERVICE_REFUSES, Cause.OLD_FLOW_CUT):
        found.check_true(cause)
        true_s, unseen_s = unseen(figures(trial), truth, cause)
        assert true_s >= FAULT_S, f"{cause} was never true"
        assert found.claimed[cause] >= true_s - unseen_s, f"{cause} {true_s:.3f} s, {unseen_s:.3f} s unseen: {found}"


def unseen(streams: Iterable[StreamResult], truth: Truth, cause: Cause) -> tuple[float, float]:
    """Seconds for which a cause held, and of those how many each stream may miss at its ends."""
    true_s = unseen_s = 0.0
    for stream in streams:
        for start_s, end_s in truth(stream, cause):
            true_s += end_s - start_s
            unseen_s += 2 * stream.stream.interval_s + LATE_S
    return true_s, unseen_s


def with_flows(truth: Truth, outage: Outage, zero_ns: int) -> Truth:
    """Return the truth by kinds of flow: old ones were cut from when source NAT was back until they were freed.

    A slow service is slow to banners alone, and goes on being so while it works off whoever has queued.
    """
    assert outage.bound is not None
    cut = ((outage.end.monotonic_ns - zero_ns) / 1e9, (outage.bound[1].monotonic_ns - zero_ns) / 1e9)

    def spans(result: StreamResult, cause: Cause) -> Iterable[Span]:
        if cause is Cause.OLD_FLOW_CUT:
            return [cut] if result.stream.flow == "persistent" else []
        if cause is Cause.SERVICE_SLOW:
            return [(s, e + LATE_S) for s, e in truth(result, cause) if result.stream.flow == "banner"]
        return truth(result, cause)

    return spans


QUICK, SLOW = (
    "base_reachable 500 delay_probe 200 retrans 200".split(),  # gives an address up after 1.1 to 1.6 s
    "base_reachable 1500 delay_probe 300 retrans 500".split(),  # after 2.5 to 4.1 s
)


def test_a_stale_entry(zone: Zone, record_property: Callable[[str, object], None]) -> None:
    """Claimed of the guest that is the last to notice, where another one shows the router; never an absent router."""
    first, last = vms(zone)
    for vm, ages in ((first, QUICK), (last, SLOW)):
        age(zone, vm, *ages)
    lifecycle.fault(zone.state, "stale-arp")
    with watched(zone, first) as quick, watched(zone, last) as slow:
        trial = recovered(zone, during(zone, FINE, "job ended", lambda: None))
    actions = [RouterAction(**action) for action in lifecycle.phases(zone.state)["deeds"]]
    zero_ns = trial.facts.requested_ns
    (stopped,) = [d for d in actions if d.what == "stop_router" and d.before_ns > zero_ns]
    noticed = [(learnt_ns(seen, stopped.before_ns) - zero_ns) / 1e9 for seen in (quick, slow)]
    assert noticed[0] + 0.5 < noticed[1], noticed
    stale = {
        name: ((stopped.before_ns - zero_ns) / 1e9, end) for name, end in zip(("vm1", "vm2"), noticed, strict=True)
    }

    def truth(result: StreamResult, cause: Cause) -> Iterable[Span]:
        return [stale[guest_of(trial, result)]] if cause is Cause.STALE_ARP else []

    found = compared(figures(trial), truth, (Cause.STALE_ARP, Cause.ROUTER_GONE))
    record_property("causes", str(found))
    print(found, stale)
    found.check_true(Cause.STALE_ARP)
    assert found.claimed[Cause.ROUTER_GONE] == 0, found
    shown_s = noticed[1] - noticed[0]  # meanwhile the other guest shows that the router is there
    # Egress alone: what a guest could not answer it repeats, so some SYNs are answered, and in time, at the end.
    of_the_last = [s for s in trial.of(ICMP_FRESH) if guest_of(trial, s) == "vm2"]
    assert of_the_last
    for result in of_the_last:
        claimed_s = sum(p.seconds for w in result.windows for p in w.phases if p.cause is Cause.STALE_ARP)
        least_s = shown_s - 2 * result.stream.interval_s - ANSWER_S - LATE_S
        assert claimed_s >= least_s, f"{result.stream.name}: {claimed_s:.3f} s of {shown_s:.3f} s, {found}"


def guest_of(trial: TrialResult, result: StreamResult) -> str:
    """Return the short name of the guest whose path this is."""
    egress = result.stream.direction is Direction.EGRESS
    return (result.node if egress else trial.facts.guest_of_endpoint[result.stream.target]).rpartition("-")[2]


@contextmanager
def watched(zone: Zone, vm: str) -> Iterator[list[str]]:
    """Collect what iproute2 says of the VM's neighbour entries while the block lasts, to be read when it is over."""
    said: list[str] = []
    command = lifecycle.enter(zone.state, vm, ["ip", "-ts", "-4", "monitor", "neigh"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitor:
        try:
            yield said
        finally:
            monitor.terminate()
            said += (monitor.communicate()[0]).splitlines()


def learnt_ns(said: Iterable[str], since_ns: int) -> int:
    """When the gateway had another MAC address for the first time since then, by CLOCK_MONOTONIC."""
    wall_ns = time.time_ns() - time.monotonic_ns()
    held = ""
    for at, mac in re.findall(r"\[(\S+)\] (?:Deleted )?10\.1\.1\.1 .*?lladdr (\S+)", "\n".join(said)):
        at_ns = round(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1e9) - wall_ns
        if at_ns > since_ns and held not in ("", mac):
            return at_ns
        held = mac
    raise AssertionError(f"the gateway never moved: {said}")
