"""Whether this machine can probe as the plan says: its rights, its firewall, its room. Doctor and run look alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from vrbench.core.findings import Blame, Finding, FindingState
from vrbench.core.kinds import KINDS
from vrbench.core.model import Endpoint, Environment, Guest
from vrbench.core.plan.needs import needs
from vrbench.core.plan.plan import Plan
from vrbench.core.plan.streams import harness_streams
from vrbench.core.text import listed
from vrbench.probes.config import ProbeError
from vrbench.probes.room import allow_files, look_around
from vrbench.probes.trying import Opened, try_probers

FIREWALL = "firewall"  # the name of what is found of it
NOWHERE = "127.0.0.1"  # stands for the public addresses while none is known
SSH_PORT = 22
NAMES = {"icmp": "pings", "syn": "SYN probes", "banner": "SSH banners", "session": "SSH sessions", "auth": "logins"}


def check_this_machine(plan: Plan, public: str, /) -> Iterator[Finding]:
    """Open what the plan's probers need, and look for room. ``public``: a free public address, to which one SYN and one
    connection are sent; "" for none."""
    yield from check_room(plan)
    yield from check_probers(plan, public)


def check_probers(plan: Plan, public: str) -> Iterator[Finding]:
    """Open every prober that the plan has here, as a trial does; and see whether a probe leaves this machine."""
    streams = harness_streams(plan, stand_in(plan, public or NOWHERE))
    send = frozenset(streams if public else {"icmp"} & set(streams))
    try:
        opened = try_probers(streams, plan.method.threshold_s, send)
    except ProbeError as error:
        yield Finding("sockets", FindingState.BAD, f"probes can't be sent from here: {error}", _AGAIN, Blame.OURS)
        return
    good = [f"{NAMES.get(name, name)} ({how.method})" for name, how in opened.items() if not how.reason]
    for name, how in opened.items():
        yield from _judged(name, how, plan, public)
    if good:
        yield Finding("sockets", FindingState.OK, f"opened: {', '.join(good)}")


def sent(found: Iterable[Finding]) -> Iterator[Finding]:
    """Leave what tells whether probes leave this machine: it takes a public address to send them to."""
    return (one for one in found if one.name == FIREWALL)


def unsent(found: Iterable[Finding]) -> Iterator[Finding]:
    """Leave what is known of this machine before any public address is."""
    return (one for one in found if one.name != FIREWALL)


def _judged(name: str, how: Opened, plan: Plan, public: str) -> Iterator[Finding]:
    what = NAMES.get(name, name)
    if how.reason:
        reason = how.reason.partition(": ")[0] if how.denied else how.reason  # without the prober's own cure
        found = f"{what} can't be sent from here: {reason}"
        yield Finding("sockets", FindingState.BAD, found, _cure(name, how, plan), Blame.OURS)
    elif name == "syn" and how.method != "raw":
        found = "this user may not open raw sockets: full TCP connections replace SYN probes, and cost guests more"
        yield Finding("sockets", FindingState.WARN, found, f"run {_SETCAP}")
    if how.unsent and name == "icmp":
        found = f"pings to the control target {plan.profile.probes.control_target} don't leave: {_error(how.unsent)}"
        yield Finding(FIREWALL, FindingState.WARN, found, _FIREWALL)
    elif how.unsent:
        found = f"{what} to {public} don't leave this machine: {_error(how.unsent)}"
        yield Finding(FIREWALL, FindingState.BAD, found, _FIREWALL, Blame.OURS)


_AGAIN = "every prober is a process of its own: let this user start Python, on a machine that is not overloaded"
_FIREWALL = "a firewall here refuses them (nft list ruleset): let out ICMP, TCP 22, and 2200 and up"
_SETCAP = f"sudo setcap cap_net_raw+ep {Path(sys.executable).resolve()}"
_PING = "sudo sysctl -w net.ipv4.ping_group_range='0 2147483647'"


def _cure(name: str, how: Opened, plan: Plan) -> str:
    """Say how to get along with or without a prober."""
    without = "; or go without: " + listed(_settings(name, plan))
    if not how.denied:
        return f"mend that{without}"
    right = f"run as root, or {_SETCAP}"
    if name == "icmp":
        right += f", or {_PING}"
    if name == "syn":
        without = f"; or probe less often: --set probes.interval=100ms{without}"
    return right + without


def _settings(name: str, plan: Plan) -> list[str]:
    """Return the settings by which a plan does without a prober of this machine."""
    if name == "icmp":
        return ["--set probes.control_target="]
    return [f"--set probes.{k.switch}=false" for k in KINDS if k.prober == name and plan.profile.probes.probes(k)]


def _error(number: int) -> str:
    return os.strerror(number)


def stand_in(plan: Plan, address: str) -> Environment:
    """Return what the plan will build, with one public address for all, on a port for each public end."""
    e = plan.profile.environment
    ends = [(f"vm{n % e.vms + 1}", SSH_PORT if n == 0 else 2200 + n) for n in range(max(e.vms, e.public_ips))]
    guests = tuple(Guest(f"n-vm{n + 1}", "", address, address, ends[n][1]) for n in range(e.vms))
    endpoints = tuple(Endpoint(address, port, f"n-{guest}") for guest, port in ends)
    return Environment("", "n-net", "", "", "", "", address, guests, endpoints)


def check_room(plan: Plan) -> Iterator[Finding]:
    """Hold what the plan needs against what this machine has left."""
    need, room = needs(plan.profile), look_around()
    allow_files(need.files)
    lacking: Mapping[str, tuple[int, int, str]] = {
        "open files": (need.files, room.files, "raise the hard limit (ulimit -Hn; LimitNOFILE= of a service)"),
        "processes": (need.processes, room.processes, "raise the limit (ulimit -u; pids.max, --pids-limit)"),
        "local ports": (need.ports, room.ports, "widen net.ipv4.ip_local_port_range"),
        "MB of memory": (need.memory_mb, room.memory_mb, "free some, or give the container more"),
    }
    short = [
        Finding("room", FindingState.BAD, f"the plan takes {wanted} {what}, and {there} are left", cure, Blame.OURS)
        for what, (wanted, there, cure) in lacking.items()
        if wanted > there
    ]
    yield from short
    if not short:
        found = f"enough open files ({need.files}), processes ({need.processes}) and memory ({need.memory_mb} MB)"
        yield Finding("room", FindingState.OK, found)
