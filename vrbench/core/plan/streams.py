"""Plan and environment to the streams of a trial: who probes what, how often, and under which name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vrbench.core.kinds import KINDS, Aim, ProbeKind
from vrbench.core.model import HARNESS, Environment, Stream
from vrbench.core.plan.costs import interval_s
from vrbench.core.plan.plan import Plan

GATEWAY = "gateway"  # the target that stands for the default gateway, which only the guest knows
RESOLVER = "resolver"  # the target that stands for the router's resolver, which only the guest knows


def guest_streams(plan: Plan, environment: Environment, guest: int) -> tuple[Stream, ...]:
    """Return what guest number ``guest`` probes, pings first."""
    label = short_name(environment, environment.guests[guest].name)
    found = [
        _stream(plan, kind, label, target)
        for kind in _switched_on(plan)
        if (target := _guest_target(plan, environment, guest, kind.aim))
    ]
    return tuple(sorted(found, key=lambda stream: stream.kind.prober != "icmp"))


def harness_streams(plan: Plan, environment: Environment) -> dict[str, tuple[Stream, ...]]:
    """Return what the harness probes by itself, per prober; what takes long to start comes first."""
    found: dict[str, tuple[Stream, ...]] = {}
    for kind in sorted(_switched_on(plan), key=lambda kind: -kind.start_s):
        targets = _harness_targets(plan, environment, kind.aim)
        streams = tuple(_stream(plan, kind, place, target) for place, target in targets.items())
        if streams:
            found[kind.prober] = (*found.get(kind.prober, ()), *streams)
    return found


def _switched_on(plan: Plan) -> Iterator[ProbeKind]:
    return filter(plan.profile.probes.probes, KINDS)


def _stream(plan: Plan, kind: ProbeKind, place: str, target: str) -> Stream:
    every_s = interval_s(plan.profile, kind)
    return Stream(kind.stream_name(place), kind.direction, kind.probe, kind.flow, target, every_s)


def _guest_target(plan: Plan, environment: Environment, guest: int, aim: Aim) -> str:
    """Return what a guest's stream with this aim probes; '' for what is not the guest's to probe."""
    guests = environment.guests
    alone = len(guests) < 2
    return {
        Aim.OUTSIDE: plan.profile.probes.egress_target,
        Aim.PEER: "" if alone else guests[(guest + 1) % len(guests)].ip,
        Aim.GATEWAY: GATEWAY,
        Aim.RESOLVER: RESOLVER,
    }.get(aim, "")


def _harness_targets(plan: Plan, environment: Environment, aim: Aim) -> Mapping[str, str]:
    """Return what the harness's streams with this aim probe, by the place that their names give."""
    if aim is Aim.PUBLIC_END:
        return {end: end for end in guests_behind(environment)}
    if aim is Aim.GUEST:
        return {short_name(environment, g.name): f"{g.public_ip}:{g.public_port}" for g in environment.guests}
    beside = plan.profile.probes.control_target
    return {HARNESS: beside} if aim is Aim.PEER and beside else {}


def expected_streams(plan: Plan, environment: Environment) -> tuple[tuple[str, Stream], ...]:
    """Return (node, stream) of everything that a trial probes: what is missing from its logs was not measured."""
    guests = [(g.name, s) for i, g in enumerate(environment.guests) for s in guest_streams(plan, environment, i)]
    own = [s for streams in harness_streams(plan, environment).values() for s in streams]
    return (*guests, *((HARNESS, s) for s in own))


def guests_behind(environment: Environment) -> dict[str, str]:
    """Return the guest behind each public end, by what probes call their target."""
    return {f"{e.public_ip}:{e.port}": e.guest for e in environment.endpoints}


def short_name(environment: Environment, guest: str) -> str:
    """Return a guest's name without the run's prefix: vm1."""
    return guest.removeprefix(f"{environment.network_name.rpartition('-')[0]}-")
