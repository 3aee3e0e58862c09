"""What a profile's switches make of a plan: streams, costs, and the method that names them."""

from dataclasses import asdict
from typing import Any

import pytest

from vrbench.core.model import Endpoint, Environment, Guest
from vrbench.core.plan.method import Method
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.core.plan.streams import expected_streams, harness_streams
from vrbench.core.text import about, listed, size, some

KINDS = {
    "icmp_fresh": ("icmp.fresh", "fresh"),
    "icmp_persistent": ("icmp.persistent", "persistent"),
    "syn": ("ssh.syn", "syn"),
    "banner": ("ssh.banner", "banner"),
    "session": ("tcp.session", "established"),
    "dns": ("dns", "resolver"),
    "auth": ("ssh.auth", "auth"),
}


def plan_of(*settings: str) -> Plan:
    """Two VMs, three addresses, everything else by default."""
    text = '[environment]\nvms = 2\npublic_ips = 3\n[probes]\negress_target = "203.0.113.1"\n'
    return make_plan(load_profile(text, "x", settings), "run")


def environment() -> Environment:
    """Return what that plan builds."""
    guests = tuple(Guest(f"vrb-1-vm{n}", f"id{n}", f"10.1.1.{n}", f"198.51.100.{n}", 22) for n in (1, 2))
    ends = tuple(Endpoint(f"198.51.100.{n}", 22, "vrb-1-vm1") for n in (1, 2, 3))
    return Environment("n", "vrb-1-net", "z", "h", "v", "o", "198.51.100.9", guests, ends)


def probed(plan: Plan) -> list[tuple[str, str]]:
    """(flow, target) of every stream that measures a direction."""
    return [
        (s.flow, s.target) for _, s in expected_streams(plan, environment()) if s.direction in ("egress", "ingress")
    ]


def test_everything_is_probed_by_default() -> None:
    """Two flows and one resolver per VM, three layers per address, one session per VM."""
    flows = [flow for flow, _ in probed(plan_of())]
    assert {flow: flows.count(flow) for _, flow in KINDS.values()} == {
        "fresh": 2,
        "persistent": 2,
        "syn": 3,
        "banner": 3,
        "established": 2,
        "resolver": 2,
        "auth": 3,
    }


@pytest.mark.parametrize("switch", KINDS)
def test_a_switch_takes_its_kind_away_and_no_other(switch: str) -> None:
    """Streams, cost and method lose that kind alone."""
    kind, flow = KINDS[switch]
    everything, without = plan_of(), plan_of(f"probes.{switch}=false")
    assert probed(without) == [s for s in probed(everything) if s[0] != flow]
    assert without.costs == tuple(c for c in everything.costs if c.kind != kind)
    assert without.method.kinds.split("+") == [k for k in everything.method.kinds.split("+") if k != kind]
    assert without.method.id != everything.method.id


def test_the_grace_of_old_flows_is_in_the_method_only_where_it_is_unusual() -> None:
    """It decides whether a late ping is averaged or counted as stuck; the silence that proves it changes no figure."""
    usual = plan_of().method.id
    assert plan_of("probes.old_flow_grace=1m", "probes.old_flow_silence=50s").method.id == usual
    assert plan_of("probes.old_flow_grace=90s").method.id == usual.replace("/v10s/", "/v10s/g90s/")


def test_a_session_uses_the_end_by_which_its_guest_is_reached() -> None:
    """No further hole: the address and port of the opened SSH."""
    assert [target for flow, target in probed(plan_of()) if flow == "established"] == [
        "198.51.100.1:22",
        "198.51.100.2:22",
    ]


def test_costs_add_up_to_what_leaves_us() -> None:
    """Probes of every kind a second, and connections and sshd processes where they are made."""
    plan = plan_of("probes.auth_interval=5s")
    costs = {c.kind: c for c in plan.costs}
    assert (costs["icmp.fresh"].probes_per_s, costs["ssh.syn"].probes_per_s) == pytest.approx((20, 30))
    assert (costs["ssh.syn"].connections_per_s, costs["ssh.banner"].connections_per_s) == pytest.approx((0, 12))
    assert (costs["ssh.auth"].connections_per_s, costs["ssh.auth"].sshd_per_s) == pytest.approx((0.6, 1.8))
    assert costs["tcp.session"].kept == 2
    assert plan.probes_per_s == pytest.approx(sum(c.probes_per_s for c in plan.costs))
    shown = [how for what, how in plan.lines if not what]
    assert len(shown) == len(plan.costs)
    assert "ssh.auth: 0.6 probes/s, 0.6 connections/s, 1.8 sshd processes/s, 72 tracked" in shown


def test_the_plan_says_how_much_the_router_will_track() -> None:
    """Every new flow stands in its table for a while: pings for 30 s, closed connections for 120."""
    plan = plan_of("probes.interval=10ms", "probes.banner_interval=200ms", "environment.vms=2")
    tracked = {c.kind: c.tracked for c in plan.costs}
    assert (tracked["icmp.fresh"], tracked["icmp.persistent"]) == (2 * 100 * 30, 2)
    assert tracked["ssh.syn"] == 3 * (80 + 2)  # 3 ends, a port for each 10 ms of the threshold and two more
    assert tracked["ssh.banner"] == 3 * 5 * 120
    assert tracked["control"] == 0
    total = sum(tracked.values())
    assert f"tracked by the router: {total}" in dict(plan.lines)["probes"]


@pytest.mark.parametrize(("interval", "vms", "every_s"), [("200ms", 2, 0.2), ("10ms", 2, 0.1), ("10ms", 200, 0.5)])
def test_sessions_echo_no_more_often_than_this_machine_bears(interval: str, vms: int, every_s: float) -> None:
    """The probes' interval, but neither under 100 ms nor more than 400 echoes a second over all."""
    plan = plan_of(f"probes.interval={interval}", f"environment.vms={vms}")
    assert next(s.interval_s for s in harness_streams(plan, environment())["session"]) == pytest.approx(every_s)
    assert next(c for c in plan.costs if c.kind == "tcp.session").probes_per_s == pytest.approx(vms / every_s)


def test_a_method_stored_before_there_were_switches_is_read() -> None:
    """An old run's method has the four kinds that there were, and the id that it was stored with."""
    stored: dict[str, Any] = {
        "interval_s": 0.1,
        "banner_interval_s": 0.25,
        "threshold_s": 0.8,
        "merge": 1,
        "baseline_s": 15.0,
        "validation_s": 10.0,
        "estimator": "w2",
    }
    method = Method(**stored)
    assert method.id == "w2/i100ms/b250ms/t800ms/m1/v10s/icmp.fresh+icmp.persistent+ssh.syn+ssh.banner"
    assert Method(**asdict(plan_of().method)) == plan_of().method


def test_one_of_a_thing_is_worded_as_one() -> None:
    """Counts read as a person would write them."""
    assert [some(1, "VM"), some(2, "VM"), some(0, "address", "addresses")] == ["1 VM", "2 VMs", "0 addresses"]
    assert size(1, 1) == "1 VM, 1 public address"
    assert [listed([1]), listed([1, 2]), listed("abc")] == ["1", "1 and 2", "a, b and c"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(44.6, "45 s"), (60, "1 min"), (209, "3 min"), (3599, "1 h 0 min"), (4200, "1 h 10 min")]
)
def test_a_time_to_plan_by(seconds: float, words: str) -> None:
    """No finer than anybody plans."""
    assert about(seconds) == words


def test_what_it_takes_is_what_probing_takes_at_least() -> None:
    """What the cloud takes is not known."""
    plan = plan_of("trials.count=3", "trials.baseline=20s", "trials.validation=10s", "trials.settle=5s")
    known = dict(plan.lines)
    assert known["takes"].startswith("2 min of probing, plus building and 3 restarts")  # 3 x 35 s and 2 x 5 s
