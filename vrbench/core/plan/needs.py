"""What a plan needs of the machine that probes: estimates on the safe side."""

from __future__ import annotations

from msgspec import Struct

from vrbench.core.kinds import KINDS, SSH_BANNER, SSH_SYN, TCP_SESSION, Aim
from vrbench.core.plan.costs import interval_s, ports_of, targets
from vrbench.core.plan.tables import Profile

_KEPT_S = 2.0  # how long a connection stays open that waits for its banner (``probes.banner``)
_SPARE = 64  # what any process has open
_PER_VM = 6  # connections, logs and pipes
_THREADS_PER_VM, _OTHER_THREADS = 3, 32
_HARNESS_MB, _PROBER_MB, _SSH_MB, _VM_MB = 90, 16, 44, 2


class Needs(Struct, frozen=True):
    """``files``: of the process that opens most. ``ports``: in use at once towards one target."""

    files: int
    processes: int
    ports: int
    memory_mb: int


def needs(profile: Profile) -> Needs:
    """Return what carrying out a profile takes at most."""
    probes, vms = profile.probes, profile.environment.vms
    kinds = [kind for kind in KINDS if probes.probes(kind) and targets(profile, kind.aim)]
    from_here = {kind.prober: kind.logs_in for kind in kinds if kind.aim in (Aim.PUBLIC_END, Aim.GUEST)}
    from_here |= {"icmp": False} if probes.control_target else {}
    ends = targets(profile, Aim.PUBLIC_END)
    waiting = round(_KEPT_S / interval_s(profile, SSH_BANNER)) + 1 if SSH_BANNER in kinds else 0
    syn = ports_of(probes) if SSH_SYN in kinds else 0
    sessions = vms if TCP_SESSION in kinds else 0
    memory = _HARNESS_MB + vms * _VM_MB + 2 * sum(_SSH_MB if logs_in else _PROBER_MB for logs_in in from_here.values())
    return Needs(
        files=max(vms * _PER_VM, ends * max(waiting, syn), sessions) + _SPARE,
        processes=2 * len(from_here) + vms * _THREADS_PER_VM + _OTHER_THREADS,  # the next trial's wait already
        ports=waiting + syn + 2,
        memory_mb=memory,
    )
