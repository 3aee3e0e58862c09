"""Profile to Plan: every number resolved, printable, with the method id."""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.core.kinds import DNS, KINDS, SSH_AUTH, SSH_BANNER, ProbeKind
from vrbench.core.plan.costs import Cost, costs, interval_s
from vrbench.core.plan.method import Method, kinds_word
from vrbench.core.plan.tables import LabTable, Profile
from vrbench.core.text import about, listed, size, some
from vrbench.core.values import AUTO, show_duration

STARTING_S = 5.0  # to start the probers of a trial and to collect their samples

BUILDING = "building"  # what a run that measures a kept environment leaves out


@dataclass(frozen=True, slots=True)
class Plan:
    """What will happen, all resolved."""

    run_id: str
    profile: Profile
    method: Method
    costs: tuple[Cost, ...]  # of each kind of probe that is switched on

    @property
    def probes_per_s(self) -> float:
        """Our own packet rate: requests leaving all probers together."""
        return sum(cost.probes_per_s for cost in self.costs)

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The plan as (what, how) for people."""
        p, t = self.profile, self.profile.trials
        observe = f"until every stream is up for {show_duration(t.validation)}"
        return (
            ("run", self.run_id),
            ("where", _lab(p.lab) if p.lab else _cloud(p)),
            ("builds", f"1 isolated network, {size(p.environment.vms, p.environment.public_ips)}"),
            ("opens", f"SSH and ping from {_source(p)} only; everything outward"),
            ("operation", p.operation.kind),
            ("trials", f"{t.count}: baseline {show_duration(t.baseline)}, operation, then {observe}"),
            ("waits", _waits(p.probes.old_flow_grace, p.probes.old_flow_silence)),
            ("takes", _takes(p)),
            ("probes", _probes(self.probes_per_s, self.costs)),
            *(("", f"{cost.kind}: {cost}") for cost in self.costs),
            ("method", self.method.id),
            ("removes", "all of it at the end, after a failure and after Ctrl-C"),
        )


def _waits(grace_s: float, silence_s: float) -> str:
    """Say how long what lags behind its path is waited for."""
    grace, silence = show_duration(grace_s), show_duration(silence_s)
    return (
        f"{grace} for old flows and slow services once all else is back; {silence} to prove that an old flow is stuck"
    )


def _takes(profile: Profile) -> str:
    """Say how long it takes at least: what probing takes is known, what the cloud takes is not."""
    t = profile.trials
    probing_s = t.count * (t.baseline + t.validation + STARTING_S) + (t.count - 1) * t.settle
    each = "" if profile.lab else "; on a cloud a restart often takes 1 to 5 min"
    return f"{about(probing_s)} of probing, plus {BUILDING} and {some(t.count, 'restart')}{each}"


def _probes(per_s: float, listed: tuple[Cost, ...]) -> str:
    connections, tracked = sum(c.connections_per_s for c in listed), sum(c.tracked for c in listed)
    return f"{per_s:.0f} a second, {connections:.0f} of them SSH connections; tracked by the router: {tracked}"


def _lab(lab: LabTable) -> str:
    times = f", times of {lab.preset}" if lab.preset else ""
    return f"embedded lab, {lab.restart_strategy}{times}, time scale {lab.time_scale:g}"


def _cloud(profile: Profile) -> str:
    zone = profile.cloud.zone or "the only zone"
    return f"{profile.cloud.endpoint or 'the configured endpoint'}, {zone}"


def _source(profile: Profile) -> str:
    return listed(["this machine" if one == AUTO else one for one in profile.environment.source_cidr.split(",")])


def make_plan(profile: Profile, run_id: str) -> Plan:
    """Resolve a profile."""
    p, t = profile.probes, profile.trials
    probed = [kind for kind in KINDS if kind.crosses and p.probes(kind)]

    def every_s(kind: ProbeKind) -> float:
        return p.asked_s(kind) if kind in probed else 0.0

    method = Method(
        interval_s=p.interval,
        banner_interval_s=p.asked_s(SSH_BANNER),
        threshold_s=p.threshold,
        merge=p.merge,
        baseline_s=t.baseline,
        validation_s=t.validation,
        kinds=kinds_word([(kind, interval_s(profile, kind)) for kind in probed]),
        dns_interval_s=every_s(DNS),
        auth_interval_s=every_s(SSH_AUTH),
        old_flow_grace_s=p.old_flow_grace,
    )
    return Plan(run_id, profile, method, costs(profile))
