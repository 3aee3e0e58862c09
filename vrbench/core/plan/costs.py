"""What each kind of probe costs: packets of our own, connections, and processes of the guests' sshd.

A half-open TCP probe never reaches sshd. Every connection that does costs sshd a process; a login costs three (the
monitor, the unprivileged one before the login, the user's own after it) and a signature. A session costs two processes
that stay, and the ``cat`` that echoes.

Whatever crosses the router it also tracks, and what it tracks stays for a while after the last packet (Linux's
defaults, ``nf_conntrack_*_timeout``): that many entries of its table are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.core.kinds import KINDS, Aim, ProbeKind
from vrbench.core.plan.tables import ProbesTable, Profile

SESSION_PROCESSES = 2
SPARE_PORTS, MOST_PORTS = 2, 200  # half-open probes use the ports of one threshold in turn (``probes.syn``)


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
    """Return what each kind that is switched on costs, in the order of the table of kinds."""
    return tuple(_cost(profile, kind) for kind in KINDS if profile.probes.probes(kind) and targets(profile, kind.aim))


def _cost(profile: Profile, kind: ProbeKind) -> Cost:
    count, footprint = targets(profile, kind.aim), kind.footprint
    per_s = count / interval_s(profile, kind)
    standing = count * footprint.flows * (ports_of(profile.probes) if footprint.ports else 1)
    return Cost(
        kind.key,
        per_s,
        connections_per_s=footprint.connections * per_s,
        sshd_per_s=footprint.sshd * per_s,
        kept=footprint.kept * count,
        tracked=standing + round(per_s * footprint.remembered_s),
    )


def targets(profile: Profile, aim: Aim) -> int:
    """Return how many streams a kind with this aim has."""
    vms = profile.environment.vms
    if aim is Aim.PUBLIC_END:
        return max(vms, profile.environment.public_ips)
    if aim is Aim.PEER:
        return (vms if vms > 1 else 0) + bool(profile.probes.control_target)
    return vms


def interval_s(profile: Profile, kind: ProbeKind) -> float:
    """Return how often a kind probes: as often as asked, but no more than it needs and this machine can bear."""
    return max(profile.probes.asked_s(kind), kind.finest_s, targets(profile, kind.aim) / kind.most_per_s)


def ports_of(probes: ProbesTable) -> int:
    """Return how many local ports half-open probes use in turn towards one target."""
    return min(round(probes.threshold / probes.interval) + SPARE_PORTS, MOST_PORTS)


def _rate(per_s: float) -> str:
    """Return a figure a second with no more digits than it needs: "100" or "0.5"."""
    return f"{per_s:.0f}" if per_s >= 10 else f"{per_s:.2g}"
