"""Why a path was down: outage windows, and all else that was seen meanwhile, to phases with a cause.

An operator will act on a cause, so each is claimed on evidence only, and what has none stays *unattributed*. Evidence
are the other streams (does the gateway answer its guests, do new flows get out, does the public port accept), the
guest's own neighbour entry of its gateway over time, and the reasons that refusals gave. "At a moment" below means: by
the last success before it and the first failure after it. A router *came into view* when a guest's entry moved to
another MAC address, or its gateway answered after silence; that counts for a window that began no later.

*router gone*: nobody at work answers for the gateway's address. Egress: the guest's gateway does not answer, or the
kernel asks for its address in vain, while nobody else sees the router at work. Not claimed where the entry later moved
only because the guest had asked anew: then a router may have been there that nobody had announced. Nor for the last
second before an answer: a kernel asks no more often than that. Ingress: no gateway answers any guest, no other path
works, and a guest heard the next router announce itself, or none found it only by asking.

*NAT missing*: the router came into view and answers its guests, who send to it, yet nothing that they send outside is
answered: source NAT or an egress rule is not there yet. It cannot be told from a public side that still leads to
another router.

*firewall missing*: the router came into view and works for others, yet this public end is silent, or the router itself
refuses it: its address, firewall or forwarding rule is not there yet. Not claimed while the gateway does not answer the
guest behind it. Also where a filter said that it prohibits this, on either way.

*stale ARP*: a guest's gateway is silent and its entry holds another MAC address than it recovers with, while the router
is at work at that other address for another guest, or for a public end. The same goes for connections to that guest,
and for a public address in the harness's own neighbour table.

*old flow cut*: new flows pass, the one that began earlier does not: it was bound without NAT, or forgotten. A session
is cut when it ends, or stays silent for longer than its kernel can have waited to send again.

*old flow pinned without NAT*: the same, to the end, and then it was silent for longer than a router remembers it, and
was answered: what the router had remembered of it, and its own probes had kept alive, was all that held it.

*TCP backoff*: its path had been down, new connections pass again, and so does a session that stood, later and by
itself: its kernel had only not sent again yet what was lost, which it does at ever longer intervals.

*service slow*: the port accepts connections, on a path that is up and quick all the while, and what was asked of the
service came late or not at all. For names: the gateway answers, and its resolver does not.

*service refuses*: the service itself said no, or closed the connection; or the guest reset it. *router refuses*: a
router that had worked resets what comes for this end. Who reset a connection is told by the TTL: the guest's resets
come with that of its other answers, the router's with another. Full connections don't show it: theirs are judged by the
SYNs beside them, and are nobody's where those were accepted, or in logs from before TTLs were noted. (Older logs call
a reset before the first words CLOSED, which is taken for the service's.)

A path beside the router that is down at the same moment (control) clears the router: then nothing is attributed. Nor
is a time in which the stream had no probe of its own: where its window begins before the evidence does, or ends after
it, by no more than its interval, that is its grain.

Loss and delay must not forge a cause. So each phase is proven as well, or unattributed: ``proofs`` says how. A cause is
named from about 0.25 s on where probes are 10 ms apart, and from 0.7 s on at 100 ms; longer where probes were lost
around it, and never by silence where more than a quarter were.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping

from msgspec import Struct

from vrbench.core.causes.evidence import Refusals, Speaker
from vrbench.core.causes.evidence_timeline import CLOCKS_S, NO_TRACK, GuestView, PathState, Scene, Track
from vrbench.core.figures.results import StreamResult
from vrbench.core.kinds import DNS, ICMP_FRESH, SSH_SYN, TCP_SESSION, ProbeKind
from vrbench.core.log.rawlog import Refusal
from vrbench.core.model import Cause, CausePhase, Direction, OutageWindow

SAID_BY_SERVICES = frozenset((Refusal.CLOSED, Refusal.NOT_SSH, Refusal.LOGIN, Refusal.HOST_KEY, Refusal.BROKEN_OFF))
PORT_UNREACHABLE = 0x0303
PROHIBITED = frozenset(3 << 8 | code for code in (3, 9, 10, 13))  # ICMP unreachable, as filters say it


class Case(Struct, frozen=True):
    """One window of one stream, and the evidence; ``began_s`` is when its outage may have begun at the earliest.

    ``lead`` are the phases of the finer stream of the same path, for a stream that has one.
    """

    scene: Scene
    result: StreamResult
    window: OutageWindow
    refusals: Refusals
    began_s: float
    lead: tuple[CausePhase, ...] = ()

    @property
    def kind(self) -> ProbeKind:
        return self.result.stream.kind

    @property
    def end_s(self) -> float:
        return self.window.start_s + self.window.estimate_s

    def led(self, t_s: float) -> Cause | None:
        """Return the finer stream's cause, about a moment at which that is down or falling; None where it has none."""
        i = bisect_right(self.lead, t_s, key=lambda phase: phase.end_s)
        return self.lead[i].cause if i < len(self.lead) else None

    def bare(self, at_s: float) -> bool:
        """Return whether this path failed through a router that came into view then, without ever working."""
        return not self.worked_since(at_s) and self.failed_between(at_s, self.end_s)

    def worked_since(self, at_s: float) -> bool:
        """Return whether this path had worked, before it failed, through a router that came into view at ``at_s``."""
        return self.began_s > at_s + CLOCKS_S + self.result.stream.interval_s

    def alone(self, finer: Track, t_s: float) -> bool:
        """Return whether probes failed while ``finer`` was up, about a moment at which it is."""
        since_s = max(math.nextafter(self.window.start_s, -math.inf), finer.recovered_s(t_s))
        until_s = min(self.end_s, finer.falls_s(t_s) - self.result.rtt_s)  # what was under way then failed with it
        return self.failed_between(since_s, until_s)

    def failed_between(self, start_s: float, end_s: float) -> bool:
        """Return whether a probe of this stream that was sent between two moments failed."""
        samples, interval_s = self.result.samples, self.result.stream.interval_s
        first = max(0, int((start_s - samples[0].due_s) / interval_s) - 1)  # a probe is sent a little late, or never
        for i in range(first, len(samples)):
            sample = samples[i]
            if sample.due_s >= end_s:
                break
            if sample.outcome.is_down and sample.sent_s is not None and start_s < sample.sent_s < end_s:
                return True
        return False


def _egress(case: Case, t_s: float) -> Cause:
    """Judge a guest's way out, by the kind of probe."""
    guest = case.scene.guests[case.result.node]
    if case.kind is DNS:
        if guest.gateway.at(t_s) is not PathState.UP:
            return _way_out(case, guest, t_s)
        return _service(case, t_s) if case.alone(guest.gateway, t_s) else Cause.UNATTRIBUTED
    if case.kind is not ICMP_FRESH and guest.fresh.at(t_s) is PathState.UP:
        pinned = case.result.pinned and case.window.censored
        claimed = Cause.OLD_FLOW_PINNED if pinned else Cause.OLD_FLOW_CUT
        return claimed if case.alone(guest.fresh, t_s) else Cause.UNATTRIBUTED
    led = case.led(t_s) if guest.fresh.at(t_s).not_up else None
    return led or _way_out(case, guest, t_s)


def _way_out(case: Case, guest: GuestView, t_s: float) -> Cause:
    """Return why a new flow of a guest gets no answer."""
    scene = case.scene
    if guest.control.at(t_s).not_up:
        return Cause.UNATTRIBUTED
    if case.refusals.at(t_s) in PROHIBITED:
        return Cause.FIREWALL_MISSING
    if _stale(scene, guest, t_s):
        return Cause.STALE_ARP
    asking = guest.history.asking(t_s)
    if asking is not None or guest.gateway.at(t_s).not_up:
        absent = _not_found_by_asking(guest, t_s) if asking is None else asking.in_vain(t_s)
        return Cause.ROUTER_GONE if absent and not scene.works(t_s, leaving_out=guest.node) else Cause.UNATTRIBUTED
    return Cause.NAT_MISSING if _answers_but_passes_nothing(case, guest, t_s) else Cause.UNATTRIBUTED


def _answers_but_passes_nothing(case: Case, guest: GuestView, t_s: float) -> bool:
    """Return whether the router came into this guest's view and is the one through which its path recovers."""
    answers = guest.gateway.at(t_s) is PathState.UP
    seen_s = guest.appeared_s(t_s) if answers else guest.moved_s(t_s)
    return guest.history.mac_at(t_s) == guest.history.mac_at(case.end_s) and case.bare(seen_s)


def _not_found_by_asking(guest: GuestView, t_s: float) -> bool:
    """Return whether the gateway's next move, if there is one, came as an announcement."""
    following = guest.next_move(t_s)
    return following is None or following.announced


def _silent_for_all(scene: Scene, t_s: float) -> bool:
    """Return whether no gateway answers since there is no router, rather than one that nobody announced."""
    if not scene.silent(t_s):
        return False
    for guest in scene.guests.values():
        asking, following = guest.history.asking(t_s), guest.next_move(t_s)
        if (asking is not None and asking.in_vain(t_s)) or (following is not None and following.announced):
            return True
    return all(_not_found_by_asking(guest, t_s) for guest in scene.guests.values())


def _stale(scene: Scene, guest: GuestView, t_s: float) -> bool:
    """Return whether a guest sends to an address at which its gateway is not, while the router works elsewhere."""
    held, cut_off = guest.history.mac_at(t_s), guest.gateway if guest.gateway.seen_up else guest.fresh
    moves_on = guest.next_move(t_s) is not None or cut_off.recovers_s(t_s) == math.inf
    if not held or not moves_on or not cut_off.at(t_s).not_up:
        return False
    elsewhere = [g for g in scene.guests.values() if g.history.mac_at(t_s) not in (0, held)]
    if any(PathState.UP in (g.gateway.at(t_s), g.fresh.at(t_s)) for g in elsewhere):
        return True
    return guest.next_move(t_s) is not None and any(end.at(t_s) is PathState.UP for end in scene.ends.values())


def _ingress(case: Case, t_s: float) -> Cause:
    """Judge the way to a public end: its SYN first, then what the service makes of it."""
    syn = case.scene.ends.get(case.result.stream.target, NO_TRACK)
    if case.kind is not SSH_SYN and syn.at(t_s) is PathState.UP:
        if not case.alone(syn, t_s):
            return Cause.UNATTRIBUTED
        return _session(case) if case.kind is TCP_SESSION else _service(case, t_s)
    led = case.led(t_s) if syn.at(t_s).not_up else None
    if led is not None or case.kind is SSH_SYN:
        return led or _way_in(case, t_s)
    # Without its SYN nobody can tell a port that is closed from a service that is slow.
    found = _way_in(case, t_s)
    return Cause.UNATTRIBUTED if found is Cause.FIREWALL_MISSING else found


def _session(case: Case) -> Cause:
    """Return why a session is silent while its port accepts new ones."""
    went_on = not (case.window.refused or case.window.censored)
    return Cause.TCP_BACKOFF if went_on else Cause.OLD_FLOW_CUT


def _service(case: Case, t_s: float) -> Cause:
    """Return what is the matter with a service whose path is up; who reset a connection to it nobody saw."""
    refusal = case.refusals.at(t_s)
    if not refusal:
        return Cause.SERVICE_SLOW
    said = refusal in SAID_BY_SERVICES or refusal & ~0xFF == Refusal.DNS
    return Cause.SERVICE_REFUSES if said or (case.kind is DNS and refusal == PORT_UNREACHABLE) else Cause.UNATTRIBUTED


def _way_in(case: Case, t_s: float) -> Cause:
    """Return why a new connection to a public end gets no answer, or a refusal."""
    scene, refusal = case.scene, case.refusals.at(t_s)
    if scene.harness.at(t_s).not_up:
        return Cause.UNATTRIBUTED
    if refusal == Refusal.RST or refusal in PROHIBITED:
        return _refused(case, t_s)
    if not scene.works(t_s):
        return Cause.ROUTER_GONE if _silent_for_all(scene, t_s) else Cause.UNATTRIBUTED
    stale = _stale_behind(case, t_s)
    if stale is not None:
        return stale
    return Cause.FIREWALL_MISSING if case.bare(scene.appeared_s(t_s)) else Cause.UNATTRIBUTED


def _refused(case: Case, t_s: float) -> Cause:
    """Return what a refusal of a new connection means, by who said it."""
    speaker = case.refusals.by(t_s)
    if speaker is Speaker.GUEST:
        return Cause.SERVICE_REFUSES
    if case.refusals.at(t_s) in PROHIBITED:
        return Cause.FIREWALL_MISSING
    if speaker is Speaker.UNKNOWN:
        return Cause.UNATTRIBUTED
    return Cause.FIREWALL_MISSING if case.bare(case.scene.appeared_s(t_s)) else Cause.ROUTER_REFUSES


def _stale_behind(case: Case, t_s: float) -> Cause | None:
    """Return STALE_ARP where a stale entry explains it, UNATTRIBUTED where it could, None where it does not."""
    scene, target = case.scene, case.result.stream.target
    table = scene.public.get(target.rpartition(":")[0])
    if table and table.mac_at(t_s) and table.mac_at(t_s) != table.mac_at(case.end_s + CLOCKS_S):
        return Cause.STALE_ARP
    stale = {name for name, guest in scene.guests.items() if _stale(scene, guest, t_s)}
    behind = scene.behind.get(target)
    if stale and (behind is None or behind in stale):
        return Cause.STALE_ARP if behind else Cause.UNATTRIBUTED
    # Whatever cuts the guest off from the router cuts off its answers too.
    guest = scene.guests.get(behind or "")
    return Cause.UNATTRIBUTED if guest is not None and guest.gateway.at(t_s).not_up else None


RULES: Mapping[Direction, Callable[[Case, float], Cause]] = {Direction.EGRESS: _egress, Direction.INGRESS: _ingress}
