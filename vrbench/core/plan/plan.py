"""Profile to Plan: every number resolved, printable, with the method id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vrbench.core.model import HARNESS, Direction, Environment, Stream
from vrbench.core.plan.costs import Cost, costs, gateway_interval_s, kinds, session_interval_s
from vrbench.core.plan.method import Method
from vrbench.core.plan.profile import LabTable, Profile
from vrbench.core.values import show_duration
from vrbench.core.words import about, size, some

ProberKind = Literal["session", "syn", "banner", "auth", "icmp"]  # the harness's probers, a process each
GATEWAY = "gateway"  # the target that stands for the default gateway, which only the guest knows
RESOLVER = "resolver"  # the target that stands for the router's resolver, which only the guest knows

MUST_KNOW = ("where", "builds", "opens", "operation", "trials", "takes", "removes")
STARTING_S = 5.0  # to start the probers of a trial and to collect their samples


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
            ("takes", _takes(p)),
            ("probes", _probes(self.probes_per_s, self.costs)),
            *(("", f"{cost.kind}: {cost}") for cost in self.costs),
            ("method", self.method.id),
            ("removes", "all of it at the end, after a failure and after Ctrl-C"),
        )

    @property
    def summary(self) -> tuple[tuple[str, str], ...]:
        """The lines that an operator must know before a run; the rest is for those who ask."""
        return tuple(line for line in self.lines if line[0] in MUST_KNOW)


def _takes(profile: Profile) -> str:
    """Say how long it takes at least: what probing takes is known, what the cloud takes is not."""
    t = profile.trials
    probing_s = t.count * (t.baseline + t.validation + STARTING_S) + (t.count - 1) * t.settle
    each = "" if profile.lab else "; on a cloud a restart often takes 1 to 5 min"
    return f"{about(probing_s)} of probing, plus building and {some(t.count, 'restart')}{each}"


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
    return "this machine" if profile.environment.source_cidr == "auto" else profile.environment.source_cidr


def make_plan(profile: Profile, run_id: str) -> Plan:
    """Resolve a profile."""
    p, t = profile.probes, profile.trials
    method = Method(
        interval_s=p.interval,
        banner_interval_s=p.banner_interval,
        threshold_s=p.threshold,
        merge=p.merge,
        baseline_s=t.baseline,
        validation_s=t.validation,
        kinds="+".join(kinds(p)),
        dns_interval_s=p.dns_interval if p.dns else 0.0,
        auth_interval_s=p.auth_interval if p.auth else 0.0,
    )
    return Plan(run_id, profile, method, costs(profile))


def guest_streams(plan: Plan, environment: Environment, guest: int) -> tuple[Stream, ...]:
    """What guest number ``guest`` probes: egress on each flow, its neighbour, its gateway, its resolver; ICMP first."""
    p, name = plan.profile.probes, environment.guests[guest].name
    label = short_name(environment, name)
    flows = [flow for flow, on in (("fresh", p.icmp_fresh), ("persistent", p.icmp_persistent)) if on]
    streams = [
        Stream(f"icmp-egress/{label}/{f}", Direction.EGRESS, "icmp-egress", f, p.egress_target, p.interval)
        for f in flows
    ]
    if len(environment.guests) > 1:
        peer = environment.guests[(guest + 1) % len(environment.guests)]
        streams.append(Stream(f"control/{label}", Direction.CONTROL, "control", "fresh", peer.ip, p.interval))
    if p.gateway:
        every_s = gateway_interval_s(p)
        streams.append(Stream(f"gateway/{label}", Direction.ROUTER, "gateway", "persistent", GATEWAY, every_s))
    if p.dns:
        streams.append(Stream(f"dns/{label}", Direction.EGRESS, "dns", "resolver", RESOLVER, p.dns_interval))
    return tuple(streams)


def harness_streams(plan: Plan, environment: Environment) -> dict[ProberKind, tuple[Stream, ...]]:
    """What the harness probes by itself, per prober, for all that is switched on."""
    p = plan.profile.probes
    listed: dict[ProberKind, tuple[Stream, ...]] = {
        "session": session_streams(plan, environment) if p.session else (),
        "syn": ingress_streams(plan, environment, "syn") if p.syn else (),
        "banner": ingress_streams(plan, environment, "banner") if p.banner else (),
        "auth": ingress_streams(plan, environment, "auth") if p.auth else (),
        "icmp": control_streams(plan),
    }
    return {kind: streams for kind, streams in listed.items() if streams}


def ingress_streams(plan: Plan, environment: Environment, layer: str) -> tuple[Stream, ...]:
    """One stream per public end of the network, on the layer "syn", "banner" or "auth"."""
    p = plan.profile.probes
    interval = {"syn": p.interval, "banner": p.banner_interval, "auth": p.auth_interval}[layer]
    return tuple(
        Stream(
            f"ssh-ingress/{e.public_ip}:{e.port}/{layer}",
            Direction.INGRESS,
            "ssh-ingress",
            layer,
            f"{e.public_ip}:{e.port}",
            interval,
        )
        for e in environment.endpoints
    )


def session_streams(plan: Plan, environment: Environment) -> tuple[Stream, ...]:
    """One established session per guest, through the public end by which the harness reaches it."""
    return tuple(
        Stream(
            f"tcp-ingress/{short_name(environment, g.name)}/established",
            Direction.INGRESS,
            "tcp-ingress",
            "established",
            f"{g.public_ip}:{g.public_port}",
            session_interval_s(plan.profile),
        )
        for g in environment.guests
    )


def control_streams(plan: Plan) -> tuple[Stream, ...]:
    """The harness's own path beside the router, where the profile names a target for it."""
    probes = plan.profile.probes
    if not probes.control_target:
        return ()
    return (Stream("control/harness", Direction.CONTROL, "control", "fresh", probes.control_target, probes.interval),)


def expected_streams(plan: Plan, environment: Environment) -> tuple[tuple[str, Stream], ...]:
    """(node, stream) of everything that a trial probes: what is missing from its logs was not measured."""
    guests = [(g.name, s) for i, g in enumerate(environment.guests) for s in guest_streams(plan, environment, i)]
    own = [s for streams in harness_streams(plan, environment).values() for s in streams]
    return (*guests, *((HARNESS, s) for s in own))


def guests_behind(environment: Environment) -> dict[str, str]:
    """The guest behind each public end, by what probes call their target."""
    return {f"{e.public_ip}:{e.port}": e.guest for e in environment.endpoints}


def short_name(environment: Environment, guest: str) -> str:
    """A guest's name without the run's prefix: vm1."""
    return guest.removeprefix(f"{environment.network_name.rpartition('-')[0]}-")
