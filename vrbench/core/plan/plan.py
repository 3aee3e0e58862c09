"""Profile to Plan: every number resolved, printable, with the method id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vrbench.core.model import Direction, Environment, Stream
from vrbench.core.plan.costs import Cost, costs, gateway_interval_s, kinds, session_interval_s
from vrbench.core.plan.method import Method
from vrbench.core.plan.profile import LabTable, Profile
from vrbench.core.values import show_duration
from vrbench.core.words import size

HARNESS = "harness"  # the node name of the harness's own probers
ProberKind = Literal["session", "syn", "banner", "auth", "icmp"]  # the harness's probers, a process each
GATEWAY = "gateway"  # the target that stands for the default gateway, which only the guest knows
RESOLVER = "resolver"  # the target that stands for the router's resolver, which only the guest knows
# A banner probe leaves sshd before it logs in: with the defaults (MaxStartups 10:30:100, and PerSourcePenalties from
# OpenSSH 9.8 on) sshd would refuse such probes and so fake the outage that they measure (measurement method, trap 3).
GUEST_SSHD = "MaxStartups 1000:30:2000\nLoginGraceTime 20\nUseDNS no\n"
READY_SSHD = """\
PATH=$PATH:/usr/sbin
cd /etc/ssh || exit 0
echo 'PerSourcePenalties no' > vrbench.new
sshd -G -f $PWD/vrbench.new >/dev/null 2>&1 && cp vrbench.new sshd_config.d/01-vrbench.conf
found=$(sshd -T 2>/dev/null | grep -i -e '^maxstartups 1000:30:2000$' -e '^persourcepenalties [^n]')
if [ "$found" != 'maxstartups 1000:30:2000' ]; then
  cat sshd_config.d/0?-vrbench.conf > vrbench.new
  sed -E '/^[[:space:]]*(maxstartups|persourcepenalties)[[:space:]]/Id' sshd_config >> vrbench.new
  sshd -t -f $PWD/vrbench.new && cat vrbench.new > sshd_config
fi
rm -f vrbench.new
for u in ssh sshd; do systemctl reload $u 2>/dev/null || service $u reload 2>/dev/null && exit 0; done
pkill -HUP -o -x sshd || true
"""


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """What will be built in the cloud. Names of zone, offerings and template may be names or ids."""

    run_id: str  # stands in a tag on everything that takes tags
    prefix: str  # every name we give begins with it, unique to the run: vrb-1a2b3c4d
    zone: str
    network_offering: str
    service_offering: str
    template: str
    vms: int
    public_ips: int
    access: str  # port-forwarding | static-nat
    source_cidr: str  # the only source the firewall lets in, "a.b.c.d/n"
    ssh_user: str
    public_key: str  # one line, of the run's own key pair
    user_data: str  # cloud-config that readies the guest's sshd for probing; empty: none
    boot_timeout_s: float  # until a VM answers on SSH
    job_timeout_s: float  # one API job, the operation's included
    poll_s: float = 0.5  # between looks at a job


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
            ("opens", f"SSH and ICMP from {_source(p)} only; egress"),
            ("operation", p.operation.kind),
            ("trials", f"{t.count}: baseline {show_duration(t.baseline)}, operation, then {observe}"),
            ("probes", _probes(self.probes_per_s, self.costs)),
            *(("", f"{cost.kind}: {cost}") for cost in self.costs),
            ("method", self.method.id),
            ("removes", "all of it at the end, after a failure and after Ctrl-C"),
        )


def _probes(per_s: float, listed: tuple[Cost, ...]) -> str:
    connections, tracked = sum(c.connections_per_s for c in listed), sum(c.tracked for c in listed)
    return f"{per_s:.0f} a second, {connections:.0f} of them SSH connections; tracked by the router: {tracked}"


def _lab(lab: LabTable) -> str:
    times = f", times of {lab.preset}" if lab.preset else ""
    return f"embedded lab, {lab.design}{times}, time scale {lab.time_scale:g}"


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


def user_data() -> str:
    """Cloud-config that keeps the guest's sshd from defending itself against the probes; it opens nothing.

    PerSourcePenalties is known to OpenSSH 9.8 and later, and an older sshd does not start on a keyword that it doesn't
    know: the line goes into place only where ``sshd -G`` (9.3 and later) accepts it. A template whose own configuration
    reads no drop-in files, or sets one of the two itself (of these the last one wins), gets our lines at its head.
    """
    return (
        "#cloud-config\n"
        "write_files:\n"
        "- path: /etc/ssh/sshd_config.d/00-vrbench.conf\n"
        "  permissions: '0644'\n"
        f"  content: |\n{_indented(GUEST_SSHD)}"
        "runcmd:\n"
        "- - sh\n"
        "  - -c\n"
        f"  - |\n{_indented(READY_SSHD)}"
    )


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


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
