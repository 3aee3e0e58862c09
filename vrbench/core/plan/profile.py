"""Profile: what the operator wrote. TOML text in; a frozen Profile out, or one error that lists every problem.

Each key is declared once, in the dataclasses below: its type annotation says how it is read, its metadata the allowed
range and one line of help. ``reference()`` turns the same declarations into the documentation of the keys.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any

from vrbench.core import values
from vrbench.core.kinds import EVERY, HEADLINE, KINDS, Direction, ProbeKind
from vrbench.core.suggest import did_you_mean
from vrbench.core.text import some

OPERATIONS = {  # name, and what it does; how the cloud is asked for it stands in ``cloud/operations.py``
    "restart-network-cleanup": "restart the network, replacing its router",
    "restart-network": "apply the rules again, keeping the router",
    "reboot-router": "reboot the network's (active) router; needs an administrator",
}
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


def _key(read: Callable[[Any], Any], default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"read": read, "help": help_text})


@dataclass(frozen=True, slots=True)
class LabTable:
    """[lab]: run against the embedded lab instead of a cloud."""

    strategy: str = _key(
        values.choice("auto", *STRATEGIES),
        "auto",
        f"how the lab renews its router: {', '.join(STRATEGIES)}; auto: the preset's, else parallel",
    )
    preset: str = _key(
        values.choice("", *PRESETS), "", f"boot and programming times of a real cloud: {', '.join(PRESETS)}"
    )
    server_version: str = _key(
        values.choice(*SERVER_VERSIONS), SERVER_VERSIONS[-1], f"whose API the lab speaks: {', '.join(SERVER_VERSIONS)}"
    )
    time_scale: float = _key(values.number(0.001, 10), 1.0, "multiplies the lab's boot, programming and stop times")

    @property
    def restart_strategy(self) -> str:
        """The strategy in force: the one named, else the preset's, else that of servers since 4.11."""
        return PRESETS.get(self.preset, "parallel") if self.strategy == "auto" else self.strategy


@dataclass(frozen=True, slots=True)
class CloudTable:
    """[cloud]: where to build. Credentials never stand here: they come from CLOUDSTACK_* or cloudstack.ini."""

    endpoint: str = _key(values.text, "", "API address; empty: from CLOUDSTACK_ENDPOINT or cloudstack.ini")
    zone: str = _key(values.text, "", "zone name or id; empty: the only zone there is")
    network_offering: str = _key(values.text, "auto", "isolated, with source NAT by the virtual router; auto: choose")
    service_offering: str = _key(values.text, "", "size of the VMs; empty: the smallest there is")
    template: str = _key(values.text, "", "a Linux with sshd and cloud-init; empty: the only featured one")
    ssh_user: str = _key(values.text, "root", "who logs in with the run's key")


@dataclass(frozen=True, slots=True)
class EnvironmentTable:
    """[environment]: what is built, and removed again."""

    vms: int = _key(values.count(1, 200), 10, "VMs in the isolated network")
    public_ips: int = _key(values.count(1, 200), 10, "public addresses beside the source-NAT one")
    access: str = _key(values.choice(*ACCESS), "port-forwarding", "how SSH gets in: port-forwarding, static-nat")
    source_cidr: str = _key(values.cidr_or_auto, "auto", "whom the firewall lets in; auto: this machine's address only")
    accept_slow_removal: bool = _key(
        values.flag,
        False,
        "build although the account may not expunge: the network stays until the server has expunged",
    )
    boot_timeout: float = _key(values.duration, 600.0, "until every VM answers on SSH")


@dataclass(frozen=True, slots=True)
class OperationTable:
    """[operation]: what is measured."""

    kind: str = _key(
        values.choice(*OPERATIONS),
        next(iter(OPERATIONS)),
        ", ".join(f"{name} ({does})" for name, does in OPERATIONS.items()),
    )
    job_timeout: float = _key(values.duration, 1800.0, "until the operation's job must have ended")


@dataclass(frozen=True, slots=True)
class TrialsTable:
    """[trials]: how often, and how long to look."""

    count: int = _key(values.count(1, 1000), 6, "trials; fewer than 6 give no confidence interval")
    baseline: float = _key(values.duration, 15.0, "probing before the operation (RFC 6201: at least 15 s)")
    validation: float = _key(values.duration, 10.0, "every stream up this long: recovered (RFC 6412)")
    settle: float = _key(values.duration, 5.0, "pause between trials")
    observe_at_most: float = _key(values.duration, 2700.0, "give up waiting for recovery after this long")


@dataclass(frozen=True, slots=True)
class ProbesTable:
    """[probes]: how the network is looked at."""

    interval: float = _key(values.duration, EVERY.default_s, EVERY.help)
    threshold: float = _key(values.duration, 0.8, "an answer later than this is a loss (Tmax, RFC 7680); under 1 s")
    merge: int = _key(values.count(1, 1000), 1, "successes that end an outage window (RFC 3357); 1: no merging")
    egress_target: str = _key(values.address, "", "address outside the network that the VMs ping (required)")
    control_target: str = _key(values.address_or_empty, "", "address near the public side, not behind the router")

    def probes(self, kind: ProbeKind) -> bool:
        """Return whether a kind is switched on; one without a switch always is."""
        return not kind.switch or bool(getattr(self, kind.switch))

    def asked_s(self, kind: ProbeKind) -> float:
        """Return the interval that the profile asks of a kind."""
        return float(getattr(self, kind.interval.key))


def _with_kinds(table: type[ProbesTable]) -> type[ProbesTable]:
    """Return the table with the keys of all kinds: their own intervals first, then their switches."""
    own = {kind.interval.key: kind.interval for kind in KINDS if kind.interval is not EVERY}
    keys = [(i.key, float, _key(values.duration, i.default_s, i.help)) for i in own.values()]
    switches = [(kind.switch, bool, _key(values.flag, True, kind.help)) for kind in KINDS if kind.switch]
    words = {"__doc__": table.__doc__}
    return make_dataclass("ProbesTable", [*keys, *switches], bases=(table,), namespace=words, frozen=True, slots=True)


@dataclass(frozen=True, slots=True)
class LimitsTable:
    """[limits]: exit 1 when the run's average is above; empty: no limit."""

    egress: float | None = _key(values.duration, None, "average egress downtime")
    ingress: float | None = _key(values.duration, None, "average ingress downtime")


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
REQUIRED = (("probes", "egress_target"),)
FINEST_S = 0.005  # between probes of a stream


class ProfileError(ValueError):
    """The profile can't be used; ``problems`` holds one sentence for each thing wrong with it."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source, self.problems = source, problems
        count = some(len(problems), "problem")
        super().__init__(f"{source}: {count}\n" + "\n".join(f"  {p}" for p in problems))


@dataclass(frozen=True, slots=True)
class Places:
    """Where keys were written: in a profile's text, or by --set."""

    text: str
    set_by_hand: tuple[str, ...]  # "table.key"

    def at(self, table: str | None, key: str) -> str:
        """Return 'line 12: ' where the key (or table) stands, or '' (tomllib tells no positions, so look for it)."""
        if f"{table}.{key}" in self.set_by_hand:
            return "--set: "
        current: str | None = None
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
                current = header[1]
                if table is None and current == key:
                    return f"line {number}: "
            elif re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line) and current == table:
                return f"line {number}: "
        return ""


def load_profile(text: str, name: str, settings: tuple[str, ...] = (), source: str = "") -> Profile:
    """Read TOML ``text`` with ``settings`` ("table.key=value") laid over it.

    Raises ProfileError with every problem, each with its place in ``source`` (a file's path; left out: ``name``).
    """
    source = source or f"profile {name}"
    try:
        written = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(source, [f"not TOML: {error}"]) from None
    problems = [p for s in settings if (p := _lay_over(written, s))]
    profile_name = written.pop("name", name)
    places = Places(text, tuple(setting.partition("=")[0].strip() for setting in settings))
    problems += _unknown_tables(written, places)
    tables: dict[str, Any] = {t: _read_table(t, written.get(t), places, problems) for t in TABLES}
    problems += _missing(written) + _contradictions(tables)
    if not isinstance(profile_name, str):
        problems.append("name: must be text")
    if problems:
        raise ProfileError(source, problems)
    if "lab" not in written:
        tables["lab"] = None
    return Profile(name=profile_name, **tables)


def reference() -> Iterator[tuple[str, str, str, str]]:
    """Return every key there is: (table, key, default as TOML, help)."""
    for table, kind in TABLES.items():
        for f in fields(kind):
            is_duration = f.metadata["read"] is values.duration
            yield table, f.name, _as_toml(f.default, is_duration), str(f.metadata["help"])


def _as_toml(value: object, is_duration: bool) -> str:
    if is_duration and isinstance(value, float):
        return f'"{values.show_duration(value)}"'
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else f'"{value}"' if isinstance(value, str) else str(value)


def _lay_over(written: dict[str, Any], setting: str) -> str | None:
    """Put one --set into the tables; returns the problem with it, if any."""
    path, equals, value = setting.partition("=")
    table, dot, key = path.strip().partition(".")
    if not equals or not dot:
        return f"--set {setting}: write table.key=value, such as trials.count=3"
    try:
        parsed = tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    if not isinstance(written.setdefault(table, {}), dict):
        return f"--set {setting}: {table} is not a table"
    written[table][key] = parsed
    return None


def _unknown_tables(written: Mapping[str, Any], places: Places) -> list[str]:
    unknown = [t for t in written if t not in TABLES]
    words = {t: f"table [{t}]" if isinstance(written[t], dict) else f"key {t}" for t in unknown}
    return [f"{places.at(None, t)}unknown {words[t]}; {did_you_mean(t, [*TABLES, 'name'])}" for t in unknown]


def _read_table(table: str, given: object, places: Places, problems: list[str]) -> Any:
    """Return the table's dataclass; whatever can't be read is named in ``problems`` and left at its default."""
    kind = TABLES[table]
    if given is None:
        return kind()
    if not isinstance(given, dict):
        problems.append(f"{places.at(None, table)}{table} must be a table: write [{table}]")
        return kind()
    known = {f.name: f for f in fields(kind)}
    read: dict[str, Any] = {}
    for key, value in given.items():
        place = places.at(table, key)
        if key not in known:
            problems.append(f"{place}unknown key {table}.{key}; {did_you_mean(key, known)}")
            continue
        try:
            read[key] = known[key].metadata["read"](value)
        except ValueError as error:
            problems.append(f"{place}{table}.{key}: {error}")
    return kind(**read)


def _missing(written: Mapping[str, Any]) -> list[str]:
    def present(table: str, key: str) -> bool:
        return isinstance(written.get(table), dict) and key in written[table]

    helps = {(t, k): h for t, k, _, h in reference()}
    return [f"{t}.{k} is missing: {helps[t, k]}" for t, k in REQUIRED if not present(t, k)]


def _contradictions(tables: Mapping[str, Any]) -> list[str]:
    """Find what is wrong between keys that are each right."""
    environment: EnvironmentTable = tables["environment"]
    trials: TrialsTable = tables["trials"]
    found = []
    if trials.validation >= trials.observe_at_most:
        found.append(
            f"trials.validation ({values.show_duration(trials.validation)}) must be shorter than "
            f"trials.observe_at_most ({values.show_duration(trials.observe_at_most)}): recovery could never be seen"
        )
    found += _bad_times(tables["probes"]) + _unmeasured(tables["probes"])
    if environment.access == "static-nat" and environment.vms != environment.public_ips:
        found.append("environment.access static-nat gives each VM an address of its own: make vms and public_ips equal")
    return found


def _bad_times(probes: ProbesTable) -> list[str]:
    """Find intervals and a threshold that don't go together, or that the guests would have to pay for."""
    found = []
    for key, asked_s in {kind.interval.key: probes.asked_s(kind) for kind in HEADLINE}.items():
        if asked_s >= probes.threshold:
            found.append(
                f"probes.{key} ({values.show_duration(asked_s)}) must be shorter than probes.threshold "
                f"({values.show_duration(probes.threshold)}): make the interval smaller"
            )
    if probes.threshold >= 1:
        found.append(
            f"probes.threshold ({values.show_duration(probes.threshold)}) must be under 1s: the kernel retransmits a "
            "SYN after 1s, and a later answer would count an outage as up"
        )
    if probes.interval < FINEST_S:
        found.append(
            f"probes.interval ({values.show_duration(probes.interval)}) is below the finest grain, "
            f"{values.show_duration(FINEST_S)}"
        )
    for kind in KINDS:
        least_s, reason = kind.interval.least_s, kind.interval.reason
        if probes.asked_s(kind) < least_s:
            found.append(f"probes.{kind.interval.key} must be at least {values.show_duration(least_s)}: {reason}")
    return found


def _unmeasured(probes: ProbesTable) -> list[str]:
    """Find directions for which every kind of probe is switched off: they would have no figure."""
    found = []
    for direction in (Direction.EGRESS, Direction.INGRESS):
        kinds = [kind for kind in HEADLINE if kind.direction is direction]
        if not any(map(probes.probes, kinds)):
            switches = " or ".join(f"probes.{kind.switch}" for kind in kinds)
            found.append(f"{switches} must be true: without any of them, {direction} has no figure")
    return found
