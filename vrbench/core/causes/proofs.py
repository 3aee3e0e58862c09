"""What a phase needs beside the rules of ``causes.rules``: evidence that losses and late answers can't forge.

A cause that is told by silence holds only where the silence is proven: not one probe of the phase was answered, not
even late, and by the losses around it the odds of that are below a millionth. And where the cause says that something
else worked meanwhile, that must have answered so much in the same phase that the two can't have met the same losses:
odds below a hundredth. A cause that somebody told (a refusal, another MAC address) needs no odds.
"""

from __future__ import annotations

from collections.abc import Iterable

from vrbench.core.causes.evidence import UNREACHABLE
from vrbench.core.causes.evidence_timeline import CLOCKS_S, place_of
from vrbench.core.causes.odds import CONTRAST_ODDS, LATE_ODDS, SILENT_ODDS, chance, silent
from vrbench.core.causes.rules import Case
from vrbench.core.kinds import DNS, GATEWAY, ICMP_FRESH, SSH_SYN, TCP_SESSION, ProbeKind
from vrbench.core.log.answers import NO_PROBES, Probes
from vrbench.core.model import Cause, CausePhase

SLOW_PATH_S = 0.1  # where SYNs take so much longer than usual, a service may be late by the path's delay
ANSWER_S = 1.0  # a service's answer was waited for so long, at most: meanwhile its path must have been up
ACCEPTED = 5  # so many new connections, and none that was not, show that a session's port is open
BACKOFF_S = 2.0  # what a session's kernel waits beyond twice the time for which it was cut off


def proven(case: Case, phase: CausePhase) -> bool:
    """Return whether a phase's cause holds against chance and delay."""
    proof = _PROOFS.get(phase.cause)
    return proof is None or _led(case, phase) or proof(case, phase)


def _led(case: Case, phase: CausePhase) -> bool:
    """Return whether the finer stream of its path has proven it already."""
    return any(p.cause is phase.cause and p.start_s < phase.end_s and phase.start_s < p.end_s for p in case.lead)


def _of(case: Case, kind: ProbeKind, place: str) -> Probes:
    return case.scene.probes.get((kind, place), NO_PROBES)


def _own(case: Case) -> Probes:
    return _of(case, case.kind, place_of(case.result))


def _silent(case: Case, phase: CausePhase) -> bool:
    # The first loss of a window was on its way when the outage began.
    early_s = case.result.stream.interval_s if phase.start_s == case.window.start_s else 0.0
    return silent(_own(case), phase.start_s - early_s, phase.end_s)


def _up(case: Case, phase: CausePhase, others: Iterable[Probes], margin_s: float = 0.0) -> bool:
    """Return whether one of the others answered so well in a phase that the losses of this stream are not its own."""
    start_s, end_s = phase.start_s + margin_s, phase.end_s - margin_s
    n, _ = _own(case).counts(start_s, end_s)
    return n > 0 and any(chance(n, *other.counts(start_s, end_s)) <= CONTRAST_ODDS for other in others)


def _nat_missing(case: Case, phase: CausePhase) -> bool:
    gateway = _of(case, GATEWAY, case.result.node)
    return _silent(case, phase) and (not len(gateway.sent_s) or _up(case, phase, [gateway]))


def _firewall_missing(case: Case, phase: CausePhase) -> bool:
    if case.refusals.at((phase.start_s + phase.end_s) / 2) not in (0, *UNREACHABLE):
        return True
    here, probes = place_of(case.result), case.scene.probes
    others = [p for (kind, place), p in probes.items() if kind in _WITNESSES and place != here]
    return _silent(case, phase) and _up(case, phase, others, CLOCKS_S)


def _router_gone(case: Case, phase: CausePhase) -> bool:
    """Return whether nobody's probe of the router, or through it, was answered, and that is proven of one."""
    start_s, end_s = phase.start_s + CLOCKS_S, phase.end_s - CLOCKS_S
    witnesses = {key: p for key, p in case.scene.probes.items() if key[0] in _WITNESSES}
    if any(lost < of for lost, of in (p.counts(start_s, end_s) for p in witnesses.values())):
        return False
    asked = {node: p for (kind, node), p in witnesses.items() if kind is GATEWAY and len(p.sent_s)}
    own = asked.pop(case.result.node, NO_PROBES) if asked else _own(case)
    return silent(own, phase.start_s, phase.end_s) or any(silent(p, start_s, end_s) for p in asked.values())


def _stale_arp(case: Case, phase: CausePhase) -> bool:
    """Return whether all is silent, or nothing was answered in time but at the end: the entry tells the rest.

    What a guest could not send waits or is repeated, and arrives once the guest has learnt the address.
    """
    end_s = phase.end_s - ANSWER_S
    _, of = _own(case).counts(phase.start_s, end_s)
    return _silent(case, phase) or (of > 0 and _own(case).failures(phase.start_s, end_s)[0] == of)


def _old_flow_cut(case: Case, phase: CausePhase) -> bool:
    if case.kind is not TCP_SESSION:
        return _silent(case, phase) and _up(case, phase, [_of(case, ICMP_FRESH, case.result.node)])
    if case.window.refused:
        return True
    # Its kernel sends again at intervals that double: by then it would have.
    waited_s = phase.end_s - phase.start_s
    return waited_s > phase.start_s - case.window.start_s + BACKOFF_S and _up(case, phase, [_syn(case)])


def _backoff(case: Case, phase: CausePhase) -> bool:
    """Return whether its path had lost something before, and then every new connection was accepted."""
    before, _ = _syn(case).counts(case.window.start_s - case.result.stream.interval_s, phase.start_s)
    lost, of = _syn(case).counts(phase.start_s, phase.end_s)
    return before > 0 and lost == 0 and of >= ACCEPTED


def _syn(case: Case) -> Probes:
    return _of(case, SSH_SYN, case.result.stream.target)


def _service_slow(case: Case, phase: CausePhase) -> bool:
    """Return whether nothing came of its connections, twice at least, on a path that was up and quick throughout.

    One that comes late may have lost a packet, which TCP repeats. Of connections that never stood it takes as many as a
    silence does. Names are asked for without a connection.
    """
    path = _of(case, GATEWAY, case.result.node) if case.kind is DNS else _syn(case)
    end_s = phase.end_s + ANSWER_S
    # The service was slow since its first failure was sent.
    asked_s = case.window.failed_s if phase.start_s == case.window.start_s else phase.start_s
    failed, stood = _own(case).failures(asked_s, phase.end_s)
    n = failed if case.kind is DNS else stood
    path_up = path.counts(phase.start_s, end_s)
    late = n > max(1, failed - n) and chance(n, *path_up) <= LATE_ODDS
    return path.slowest_s(phase.start_s, end_s) <= SLOW_PATH_S and (late or chance(failed, *path_up) <= SILENT_ODDS)


def _service_refuses(case: Case, phase: CausePhase) -> bool:
    """Return whether the path was up when its service spoke, where that is watched; a reset tells by itself whose."""
    if case.kind in (SSH_SYN, DNS):
        return True
    return _syn(case).counts(phase.start_s, phase.end_s)[0] == 0


_WITNESSES = (GATEWAY, ICMP_FRESH, SSH_SYN)
_PROOFS = {
    Cause.ROUTER_GONE: _router_gone,
    Cause.NAT_MISSING: _nat_missing,
    Cause.FIREWALL_MISSING: _firewall_missing,
    Cause.STALE_ARP: _stale_arp,
    Cause.OLD_FLOW_CUT: _old_flow_cut,
    Cause.TCP_BACKOFF: _backoff,
    Cause.SERVICE_SLOW: _service_slow,
    Cause.SERVICE_REFUSES: _service_refuses,
}
