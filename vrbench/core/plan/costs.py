"""What each kind of probe costs: packets of our own, connections, and processes of the guests' sshd.

A half-open TCP probe never reaches sshd. Every connection that does costs sshd a process; a login costs three (the
monitor, the unprivileged one before the login, the user's own after it) and a signature. A session costs two processes
that stay, and the ``cat`` that echoes.

Whatever crosses the router it also tracks, and what it tracks stays for a while after the last packet (Linux's
defaults, ``nf_conntrack_*_timeout``): that many entries of its table are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.core.plan.profile import ProbesTable, Profile

LOGIN_PROCESSES = 3
SESSION_PROCESSES = 2
TRACKED_ICMP_S, TRACKED_UDP_S = 30.0, 30.0
TRACKED_TCP_S = 120.0  # a connection that was closed in good order: TIME_WAIT
SPARE_PORTS, MOST_PORTS = 2, 200  # half-open probes use the ports of one threshold in turn (``probes.syn``)
FINEST_GATEWAY_S = 0.05
FINEST_SESSION_S = 0.1
MOST_ECHOES_PER_S = 400.0


@dataclass(frozen=True, slots=True)
class Cost:
    """One kind of probe, all targets together. ``kept``: connections that stay open, once per trial. ``tracked``:
    entries in the router's connection tracking."""

    kind: str
    probes_per_s: float
    connections_per_s: float = 0.0
    sshd_per_s: float = 0.0
    kept: int = 0
    tracked: int = 0

    def __str__(self) -> str:
        words = [f"{_rate(self.probes_per_s)} probes/s"]
        if self.connections_per_s:
            words.append(f"{_rate(self.connections_per_s)} connections/s")
        if self.sshd_per_s:
            words.append(f"{_rate(self.sshd_per_s)} sshd processes/s")
        if self.kept:
            words.append(f"{self.kept} connections kept open, {SESSION_PROCESSES} sshd processes each")
        if self.tracked:
            words.append(f"{self.tracked} tracked")
        return ", ".join(words)


def costs(profile: Profile) -> tuple[Cost, ...]:
    """What is switched on, in the order in which the method names it; what makes no figure last."""
    p, vms = profile.probes, profile.environment.vms
    ends = max(vms, profile.environment.public_ips)
    every, banners, logins = ends / p.interval, ends / p.banner_interval, ends / p.auth_interval
    ports = min(round(p.threshold / p.interval) + SPARE_PORTS, MOST_PORTS)
    pings, names = vms / p.interval, vms / p.dns_interval
    found = {
        "icmp.fresh": Cost("icmp.fresh", pings, tracked=round(pings * TRACKED_ICMP_S)),
        "icmp.persistent": Cost("icmp.persistent", pings, tracked=vms),
        "ssh.syn": Cost("ssh.syn", every, tracked=ends * ports),
        "ssh.banner": Cost("ssh.banner", banners, banners, banners, tracked=round(banners * TRACKED_TCP_S)),
        "tcp.session": Cost("tcp.session", vms / session_interval_s(profile), kept=vms, tracked=vms),
        "dns": Cost("dns", names, tracked=round(names * TRACKED_UDP_S)),
        "ssh.auth": Cost("ssh.auth", logins, logins, LOGIN_PROCESSES * logins, tracked=round(logins * TRACKED_TCP_S)),
    }
    gateway = vms / gateway_interval_s(p) if p.gateway else 0.0
    control = ((vms if vms > 1 else 0) + bool(p.control_target)) / p.interval
    beside = (Cost("control", control), Cost("gateway", gateway, tracked=vms if p.gateway else 0))
    return (*(found[kind] for kind in kinds(p)), *(cost for cost in beside if cost.probes_per_s))


def session_interval_s(profile: Profile) -> float:
    """How often a session echoes: as often as the other probes, but no more than this machine can bear.

    An echo costs it about half a millisecond, fifty times what a ping does, and it need not be finer: what it tells is
    whether and when, and TCP itself waits for 200 ms at least before it sends again.
    """
    return max(profile.probes.interval, FINEST_SESSION_S, profile.environment.vms / MOST_ECHOES_PER_S)


def gateway_interval_s(probes: ProbesTable) -> float:
    """How often a guest pings its gateway: it is evidence of causes, and no figure needs it finer."""
    return max(probes.interval, FINEST_GATEWAY_S)


def kinds(probes: ProbesTable) -> tuple[str, ...]:
    """The kinds of probe that are switched on, as the method names them."""
    switches = {
        "icmp.fresh": probes.icmp_fresh,
        "icmp.persistent": probes.icmp_persistent,
        "ssh.syn": probes.syn,
        "ssh.banner": probes.banner,
        "tcp.session": probes.session,
        "dns": probes.dns,
        "ssh.auth": probes.auth,
    }
    return tuple(kind for kind, on in switches.items() if on)


def _rate(per_s: float) -> str:
    """ "100" or "0.5": a figure a second with no more digits than it needs."""
    return f"{per_s:.0f}" if per_s >= 10 else f"{per_s:.2g}"
