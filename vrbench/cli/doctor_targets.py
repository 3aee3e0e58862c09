"""Whether what a profile lets be pinged can be: looked at from this machine, which is a hint, not the VMs' view."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

from vrbench.core.findings import Finding, FindingState
from vrbench.core.judge.baseline import is_heavy
from vrbench.core.kinds import KINDS, Aim
from vrbench.core.plan.plan import Plan
from vrbench.core.plan.targets import impossible
from vrbench.core.text import listed
from vrbench.probes.config import ProbeError
from vrbench.probes.ping_check import reach
from vrbench.probes.rate_check import Answered, answers_at

REACH_S = 2.0
NO_CONTROL = "a fault of this machine's own path would look like an outage of the router, and void no trial"


def check_targets(plan: Plan) -> Iterator[Finding]:
    """Say whether what is to be pinged can be: it must answer, and each target serve its own purpose."""
    probes = plan.profile.probes
    egress = _target("egress target", probes.egress_target)
    yield _at_the_rate(egress, plan) if egress.state is FindingState.OK else egress
    if not probes.control_target:
        cure = "name an address near the cloud's public side as probes.control_target"
        yield Finding(
            "control target", FindingState.WARN, "none: faults of this machine's own path can't be told apart", cure
        )
    elif probes.control_target == probes.egress_target:
        cure = "name another address near the cloud's public side"
        yield Finding("control target", FindingState.WARN, "the same as the egress target", cure)
    else:
        control = _target("control target", probes.control_target)
        silent = control.state is FindingState.WARN
        yield replace(control, found=f"{control.found}: no control. {_sentence(NO_CONTROL)}") if silent else control


def _target(name: str, address: str) -> Finding:
    if found := impossible(name, address):
        return found
    try:
        silent = reach([address], REACH_S).down
    except (ProbeError, OSError) as error:
        return Finding(name, FindingState.WARN, f"{address} could not be pinged from here: {error}")
    if silent:
        cure = "it must answer ping, and from a VM's side too; a firewall or a rate limit may drop it"
        return Finding(name, FindingState.WARN, f"{address} does not answer ping from here", cure)
    return Finding(name, FindingState.OK, f"{address} answers ping from here")


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}"


def egress_per_s(plan: Plan) -> float:
    """Return how many pings a second all VMs together send to the egress target."""
    outside = {kind.key for kind in KINDS if kind.aim is Aim.OUTSIDE}
    return sum(cost.probes_per_s for cost in plan.costs if cost.kind in outside)


def _at_the_rate(found: Finding, plan: Plan) -> Finding:
    """Ping the egress target for a moment as often as the plan's VMs will."""
    probes, per_s = plan.profile.probes, egress_per_s(plan)
    try:
        return judge_rate(probes.egress_target, answers_at(probes.egress_target, per_s, probes.threshold), per_s)
    except (ProbeError, OSError) as error:
        return Finding(found.name, FindingState.WARN, f"{probes.egress_target} could not be pinged from here: {error}")


def judge_rate(address: str, seen: Answered, planned_per_s: float) -> Finding:
    """Say what came of pings at the plan's rate. VMs go by their router: what is seen from here is a hint."""
    name, rate = "egress target", f"{seen.per_s:.0f} a second"
    asked = f"{rate}, the plan's rate" if seen.per_s >= planned_per_s else f"{rate}, of {planned_per_s:.0f} planned"
    told = f"{address} answers {seen.answered} of {seen.sent} pings from here at {asked}"
    if not is_heavy(seen.sent - seen.answered, seen.sent):
        return Finding(name, FindingState.OK, told)
    if seen.errors:
        words = sorted({errno.errorcode.get(number, str(number)) for number in seen.errors})
        cure = "see what a packet filter, the routing table or the network interface of this machine says"
        return Finding(name, FindingState.WARN, f"{told}; {len(seen.errors)} could not be sent ({listed(words)})", cure)
    limit = f"about {seen.answered_per_s:.0f} a second: it may limit them, and from VMs as well"
    cure = (
        "a baseline that loses more than a tenth stops a run before the restart: raise probes.interval, lower "
        "environment.vms, or name another probes.egress_target"
    )
    return Finding(name, FindingState.WARN, f"{told}, {limit}", cure)
