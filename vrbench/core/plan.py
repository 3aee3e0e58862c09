"""Profile to Plan: every number resolved, printable, with the method id."""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.core.method import Method
from vrbench.core.model import Direction, Environment, Stream
from vrbench.core.profile import Profile
from vrbench.core.values import show_duration

HARNESS = "harness"  # the node name of the harness's own probers
# A banner probe leaves sshd before it logs in: with the defaults (MaxStartups 10:30:100, and PerSourcePenalties from
# OpenSSH 9.8 on) sshd would refuse such probes and so fake the outage that they measure (measurement method, trap 3).
GUEST_SSHD = "MaxStartups 1000:30:2000\nLoginGraceTime 20\nUseDNS no\n"
PENALTIES_OFF = """\
cd /etc/ssh/sshd_config.d || exit 0
echo 'PerSourcePenalties no' > 01-vrbench.new
PATH=$PATH:/usr/sbin sshd -G -f $PWD/01-vrbench.new >/dev/null 2>&1 && mv 01-vrbench.new 01-vrbench.conf
rm -f 01-vrbench.new
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
    probes_per_s: float  # our own packet rate: requests leaving all probers together
    banner_per_s: float  # SSH connections a second over all guests

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The plan as (what, how) for people."""
        p, t = self.profile, self.profile.trials
        observe = f"until every stream is up for {show_duration(t.validation)}"
        return (
            ("run", self.run_id),
            ("where", f"embedded lab, {p.lab.strategy}, time scale {p.lab.time_scale:g}" if p.lab else _cloud(p)),
            ("builds", f"1 isolated network, {p.environment.vms} VMs, {p.environment.public_ips} public addresses"),
            ("opens", f"SSH and ICMP from {_source(p)} only; egress"),
            ("operation", p.operation.kind),
            ("trials", f"{t.count}: baseline {show_duration(t.baseline)}, operation, then {observe}"),
            ("probes", f"{self.probes_per_s:.0f} a second, of them {self.banner_per_s:.0f} SSH connections"),
            ("method", self.method.id),
            ("removes", "all of it at the end, after a failure and after Ctrl-C"),
        )


def _cloud(profile: Profile) -> str:
    zone = profile.cloud.zone or "the only zone"
    return f"{profile.cloud.endpoint or 'the configured endpoint'}, {zone}"


def _source(profile: Profile) -> str:
    return "this machine" if profile.environment.source_cidr == "auto" else profile.environment.source_cidr


def make_plan(profile: Profile, run_id: str) -> Plan:
    """Resolve a profile."""
    p, e, t = profile.probes, profile.environment, profile.trials
    method = Method(
        interval_s=p.interval,
        banner_interval_s=p.banner_interval,
        threshold_s=p.threshold,
        merge=p.merge,
        baseline_s=t.baseline,
        validation_s=t.validation,
    )
    ends = max(e.vms, e.public_ips)
    banners = ends / p.banner_interval
    icmp = (e.vms * (3 if e.vms > 1 else 2) + bool(p.control_target)) / p.interval
    return Plan(run_id, profile, method, ends / p.interval + banners + icmp, banners)


def user_data() -> str:
    """Cloud-config that keeps the guest's sshd from defending itself against the probes; it opens nothing.

    PerSourcePenalties is known to OpenSSH 9.8 and later, and an older sshd does not start on a keyword that it doesn't
    know: the line goes into place only where ``sshd -G`` (9.3 and later) accepts it.
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
        f"  - |\n{_indented(PENALTIES_OFF)}"
    )


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def guest_streams(plan: Plan, environment: Environment, guest: int) -> tuple[Stream, ...]:
    """What guest number ``guest`` probes: egress with both flows, and its neighbour as control."""
    profile, name = plan.profile.probes, environment.guests[guest].name
    label = short_name(environment, name)
    flows = tuple(
        Stream(
            f"icmp-egress/{label}/{flow}",
            Direction.EGRESS,
            "icmp-egress",
            flow,
            profile.egress_target,
            profile.interval,
        )
        for flow in ("fresh", "persistent")
    )
    if len(environment.guests) < 2:
        return flows
    peer = environment.guests[(guest + 1) % len(environment.guests)]
    control = Stream(f"control/{label}", Direction.CONTROL, "control", "fresh", peer.ip, profile.interval)
    return (*flows, control)


def ingress_streams(plan: Plan, environment: Environment, layer: str) -> tuple[Stream, ...]:
    """One stream per public end of the network, on the layer "syn" or "banner"."""
    interval = plan.profile.probes.interval if layer == "syn" else plan.profile.probes.banner_interval
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


def control_streams(plan: Plan) -> tuple[Stream, ...]:
    """The harness's own path beside the router, where the profile names a target for it."""
    probes = plan.profile.probes
    if not probes.control_target:
        return ()
    return (Stream("control/harness", Direction.CONTROL, "control", "fresh", probes.control_target, probes.interval),)


def expected_streams(plan: Plan, environment: Environment) -> tuple[tuple[str, Stream], ...]:
    """(node, stream) of everything that a trial probes: what is missing from its logs was not measured."""
    guests = [(g.name, s) for i, g in enumerate(environment.guests) for s in guest_streams(plan, environment, i)]
    layers = [s for layer in ("syn", "banner") for s in ingress_streams(plan, environment, layer)]
    return (*guests, *((HARNESS, s) for s in (*layers, *control_streams(plan))))


def guests_behind(environment: Environment) -> dict[str, str]:
    """The guest behind each public end, by what probes call their target."""
    return {f"{e.public_ip}:{e.port}": e.guest for e in environment.endpoints}


def short_name(environment: Environment, guest: str) -> str:
    """A guest's name without the run's prefix: vm1."""
    return guest.removeprefix(f"{environment.network_name.rpartition('-')[0]}-")
