"""The tables of a profile, and what each key may be: each key is declared once, here or in ``limits``.

With it stand how it is read, which also says what it may be, its default and one line of help (``key``).
"""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from typing import Any

from vrbench.core import values
from vrbench.core.kinds import EVERY, KINDS, ProbeKind
from vrbench.core.plan.keys import key
from vrbench.core.plan.limits import LimitsTable
from vrbench.core.plan.method import OLD_FLOW_GRACE_S
from vrbench.core.plan.networks import DEFAULT_NETWORK, NETWORKS
from vrbench.core.plan.operations import DEFAULT, OPERATIONS

SSH_KEYS = ("auto", "ed25519", "rsa", "ecdsa")
ACCESS = ("port-forwarding", "static-nat")
STRATEGIES = ("serial", "parallel", "redundant", "advanced-parallel", "negotiated", "live-patch")
SERVER_VERSIONS = ("4.9.3", "4.11.2", "4.15.1", "4.18.0", "4.20.2")
PRESETS = {  # of the lab, with the strategy that each preset's own file names
    "vmware-4.9.3": "serial",
    "vmware-4.11.1": "parallel",
    "kvm-4.9.3": "serial",
    "kvm-4.11.1": "parallel",
    "xenserver-4.9.3": "serial",
    "xenserver-4.11.1": "parallel",
}


@dataclass(frozen=True, slots=True)
class LabTable:
    """[lab]: run against the embedded lab instead of a cloud."""

    strategy: str = key(
        values.choice("auto", *STRATEGIES),
        "auto",
        f"how the lab renews its router: {', '.join(STRATEGIES)}; auto: the preset's, else parallel",
    )
    preset: str = key(
        values.choice("", *PRESETS), "", f"boot and programming times of a real cloud: {', '.join(PRESETS)}"
    )
    server_version: str = key(
        values.choice(*SERVER_VERSIONS), SERVER_VERSIONS[-1], f"whose API the lab speaks: {', '.join(SERVER_VERSIONS)}"
    )
    time_scale: float = key(
        values.number(0.001, 10),
        1.0,
        "multiplies the lab's boot, programming and stop times; routers build quickly until the first restart",
    )
    rule_cost: float = key(
        values.duration_within(0, 10),
        0.0,
        "what a rule made or removed takes on the lab's router, whatever the time scale: 0s to 10s",
    )

    @property
    def restart_strategy(self) -> str:
        """The strategy in force: the one named, else the preset's, else that of servers since 4.11."""
        return PRESETS.get(self.preset, "parallel") if self.strategy == "auto" else self.strategy


@dataclass(frozen=True, slots=True)
class CloudTable:
    """[cloud]: where to build. Credentials never stand here: they come from CLOUDSTACK_* or cloudstack.ini."""

    endpoint: str = key(values.text, "", "API address; empty: from CLOUDSTACK_ENDPOINT or cloudstack.ini")
    zone: str = key(values.text, "", "zone name or id; empty: the only zone there is")
    project: str = key(values.text, "", "project to build in, by name or id; empty: the account's own")
    domain: str = key(values.text, "", "domain of the project or account: its path (ROOT/ops), name or id")
    account: str = key(values.text, "", "build for this account, as its domain's administrators may")
    network_offering: str = key(values.text, "auto", "isolated, with source NAT by the virtual router; auto: choose")
    service_offering: str = key(values.text, "", "size of the VMs; empty: the smallest there is")
    template: str = key(values.text, "", "a Linux with sshd and cloud-init; empty: the only featured one")
    ssh_user: str = key(values.text, "root", "who logs in with the run's key")
    ssh_port: int = key(values.count(1, 65_535), 22, "where the template's sshd listens, as seen from inside")
    ssh_key: str = key(
        values.choice(*SSH_KEYS),
        "auto",
        f"the run's key: {', '.join(SSH_KEYS[1:])}; auto: one of each kind",
    )


@dataclass(frozen=True, slots=True)
class EnvironmentTable:
    """[environment]: what is built, and removed again."""

    network: str = key(
        values.choice(*NETWORKS),
        DEFAULT_NETWORK,
        ", ".join(f"{name} ({words})" for name, words in NETWORKS.items()),
    )
    vms: int = key(values.count(1, 200), 10, "VMs in the isolated network")
    public_ips: int = key(values.count(1, 200), 10, "public addresses beside the source-NAT one")
    access: str = key(values.choice(*ACCESS), "port-forwarding", "how SSH gets in: port-forwarding, static-nat")
    source_cidr: str = key(
        values.sources,
        values.AUTO,
        "whom the firewall lets in, one network or a list; auto: this machine's address only",
    )
    accept_slow_removal: bool = key(
        values.flag,
        False,
        "build although the account may not expunge: the network stays until the server has expunged",
    )
    boot_timeout: float = key(values.duration, 600.0, "until every VM answers on SSH")


@dataclass(frozen=True, slots=True)
class OperationTable:
    """[operation]: what is measured."""

    kind: str = key(
        values.choice(*OPERATIONS),
        DEFAULT,
        ", ".join(f"{name} ({words.does})" for name, words in OPERATIONS.items()),
    )
    job_timeout: float = key(values.duration, 1800.0, "until the operation's job, or one of building, must have ended")


@dataclass(frozen=True, slots=True)
class TrialsTable:
    """[trials]: how often, and how long to look."""

    count: int = key(values.count(1, 1000), 6, "trials; fewer than 6 give no confidence interval")
    baseline: float = key(values.duration, 15.0, "probing before the operation (RFC 6201: at least 15 s)")
    validation: float = key(values.duration, 10.0, "every stream up this long: recovered (RFC 6412)")
    settle: float = key(values.duration, 5.0, "pause between trials")
    observe_at_most: float = key(values.duration, 2700.0, "give up waiting for recovery after this long")


@dataclass(frozen=True, slots=True)
class ProbesTable:
    """[probes]: how the network is looked at."""

    interval: float = key(values.duration, EVERY.default_s, EVERY.help)
    threshold: float = key(values.duration, 0.8, "an answer later than this is a loss (Tmax, RFC 7680); under 1 s")
    merge: int = key(values.count(1, 1000), 1, "successes that end an outage window (RFC 3357); 1: no merging")
    old_flow_grace: float = key(
        values.duration,
        OLD_FLOW_GRACE_S,
        "once all else has recovered: how long an old flow, or a guest's slow service, is still waited for",
    )
    old_flow_silence: float = key(
        values.duration,
        35.0,
        "how long an old flow that stays away is then silent, to be tried again; longer than the router's ICMP timeout "
        "(30 s on Linux)",
    )
    egress_target: str = key(values.address, "", "address outside the network that the VMs ping (required)")
    control_target: str = key(values.address_or_empty, "", "address near the public side, not behind the router")

    def probes(self, kind: ProbeKind) -> bool:
        """Return whether a kind is switched on; one without a switch always is."""
        return not kind.switch or bool(getattr(self, kind.switch))

    def asked_s(self, kind: ProbeKind) -> float:
        """Return the interval that the profile asks of a kind."""
        return float(getattr(self, kind.interval.key))


def _with_kinds(table: type[ProbesTable]) -> type[ProbesTable]:
    """Return the table with the keys of all kinds: their own intervals first, then their switches."""
    own = {kind.interval.key: kind.interval for kind in KINDS if kind.interval is not EVERY}
    keys = [(i.key, float, key(values.duration, i.default_s, i.help)) for i in own.values()]
    switches = [(kind.switch, bool, key(values.flag, True, kind.help)) for kind in KINDS if kind.switch]
    words = {"__doc__": table.__doc__}
    return make_dataclass("ProbesTable", [*keys, *switches], bases=(table,), namespace=words, frozen=True, slots=True)


@dataclass(frozen=True, slots=True)
class Profile:
    """All tables; ``lab`` is None unless the profile has a [lab] table."""

    name: str
    lab: LabTable | None
    cloud: CloudTable
    environment: EnvironmentTable
    operation: OperationTable
    trials: TrialsTable
    probes: ProbesTable
    limits: LimitsTable


TABLES: dict[str, type[Any]] = {
    "lab": LabTable,
    "cloud": CloudTable,
    "environment": EnvironmentTable,
    "operation": OperationTable,
    "trials": TrialsTable,
    "probes": _with_kinds(ProbesTable),
    "limits": LimitsTable,
}
