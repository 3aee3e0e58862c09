"""What is wrong with a baseline, in words: what is, what it means, what to do."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator, Sequence

from vrbench.core.findings import Finding, FindingState
from vrbench.core.judge.loss import Loss, LossShape
from vrbench.core.kinds import HEADLINE, SSH_BANNER, SSH_SYN, Aim, ProbeKind
from vrbench.core.log.failures import ICMP, REASONS, SSHD_LIMITS
from vrbench.core.log.history import Fate, ProbeHistory
from vrbench.core.log.rawlog import Refusal
from vrbench.core.model import HARNESS, Direction
from vrbench.core.text import few, listed, some
from vrbench.core.values import show_duration

SPARE = 1.25  # how far below a limit is advised to stay
STEPS_S = 0.05  # intervals are advised in whole multiples of this
PROHIBITED = (9, 10, 13)  # ICMP's codes of a firewall that says no
UNREACHABLE = {0: "network unreachable", 1: "host unreachable", 3: "port unreachable"}
ADVICE = {
    Direction.EGRESS: "probes.egress_target must answer a ping from the VMs",
    Direction.INGRESS: "the public addresses must be reachable from here, see environment.source_cidr",
}
CAN_T_SEND = {
    "EPERM": "a packet filter there drops what is sent (nft list ruleset; iptables -S OUTPUT): let pings and SSH out",
    "EACCES": "a packet filter or a prohibiting route there forbids it: let pings and SSH out",
    "ENETUNREACH": "there is no route: see ip route get ADDRESS",
    "EHOSTUNREACH": "there is no route: see ip route get ADDRESS",
    "ENOBUFS": "the queue of the network interface is full: raise probes.interval",
}


def lossy(group: Sequence[ProbeHistory], bad: Sequence[ProbeHistory], whole: Loss, loss: Loss) -> Finding:
    """Say what a group of streams lost; ``whole`` is of all of them, ``loss`` of the ``bad`` ones."""
    sent = f"{whole.sent_per_s:.0f} {_probes(group)} a second are sent by {_senders(whole)}"
    back = f"{whole.share * 100:.0f}"
    found = [
        f"a good part of what is counted is lost before the operation: {sent}, and {back} % come back in time",
        *_shape(whole, loss, bad),
        *_reasons(loss, bad),
        f"{len(bad)} of {some(len(group), 'stream')} can't tell an outage, since they are down anyway",
    ]
    return _finding(found, _cure(group, bad, whole, loss))


def nothing_answers(group: Sequence[ProbeHistory], loss: Loss, seen: Sequence[ProbeHistory]) -> Finding:
    """Say that one direction can't be measured at all, and what else is known of its path."""
    direction = group[0].stream.direction
    beyond = direction is Direction.EGRESS and any(
        h.answered for h in seen if h.stream.direction is Direction.ROUTER and h.stream.kind.aim is Aim.GATEWAY
    )
    found = [
        f"no {direction} probe is answered",
        *(["the VMs' gateway answers them, so the pings are lost beyond it, or there on their way out"] * beyond),
        *_reasons(loss, group),
    ]
    return _finding(found, _sending_cure(loss, group) or ADVICE[direction])


def proxied(faked: Sequence[ProbeHistory]) -> Finding:
    """Say that something accepts every connection by itself."""
    ends = few(sorted({h.stream.target for h in faked}))
    found = [
        f"connections to {ends} say nothing of the VMs: a port where nobody listens is answered as well",
        "something on the way (a SYN proxy, a load balancer) accepts connections by itself, and would during an outage",
    ]
    cure = "measure from beside it, or set probes.syn=false: an SSH banner comes from the VM itself"
    return _finding(found, cure)


def still_fit(bad: Sequence[ProbeHistory], group: Sequence[ProbeHistory]) -> Finding:
    """Say which few streams are left out of the figures."""
    found = (
        f"left out, since they lose more than a tenth of their probes before the operation: {_names(bad)}. The figures "
        f"are of the other {len(group) - len(bad)}"
    )
    return Finding("baseline", FindingState.WARN, found, "See whether their targets answer")


def no_control(unfit: Sequence[ProbeHistory]) -> Iterator[Finding]:
    """Say which paths beside the router can't serve as controls."""
    here = [h for h in unfit if h.node == HARNESS]
    for control in here:
        told = [f"{control.answered} of {len(control.probes)} pings from here are answered", *_why([control])]
        found = (
            f"no control: {control.stream.target} does not answer as it must before the operation ({', '.join(told)}). "
            "A fault of this machine's own path will look like an outage of the router, and voids no trial"
        )
        cure = "Name a probes.control_target near the public side that answers every ping"
        yield Finding("control", FindingState.WARN, found, cure)
    guests = [h for h in unfit if h.node != HARNESS]
    if guests:
        found = f"pings from VM to VM are not answered as they must be: {_names(guests)}. They are no controls"
        yield Finding("control", FindingState.WARN, found, "See whether a firewall in the VMs drops pings")


def unmeasured(unfit: Sequence[ProbeHistory]) -> Iterator[Finding]:
    """Say what beside the figures is not measured."""
    for what, answers in (("nothing answers", False), ("more than a tenth is lost", True)):
        if mine := [h for h in unfit if bool(h.answered) is answers]:
            found = f"not measured, since {what} before the operation: {_names(mine)}"
            yield Finding("baseline", FindingState.WARN, found)


def _finding(found: Sequence[str], cure: str) -> Finding:
    sentences = (f"{_capital(part)}." for part in found[1:])
    return Finding("baseline", FindingState.BAD, " ".join((f"{found[0]}.", *sentences)), _capital(cure))


def _capital(words: str) -> str:
    """Begin a sentence; a key of the profile stays as it is typed."""
    first = words.partition(" ")[0]
    return words if "." in first else f"{words[0].upper()}{words[1:]}"


def _names(histories: Sequence[ProbeHistory]) -> str:
    return few([h.stream.name for h in histories])


def _probes(group: Sequence[ProbeHistory]) -> str:
    kind, targets = group[0].stream.kind, sorted({h.stream.target for h in group})
    if kind.aim is Aim.OUTSIDE:
        return f"pings to {targets[0]}"
    what = "half-open TCP connections" if kind is SSH_SYN else "SSH connections"
    return f"{what} to {some(len(targets), 'public address', 'public addresses')}"


def _senders(loss: Loss) -> str:
    return some(loss.streams, "stream") + (f" of {loss.nodes} VMs" if loss.nodes > 1 else "")


def _shape(whole: Loss, loss: Loss, bad: Sequence[ProbeHistory]) -> Iterator[str]:
    """Say how the losses lie."""
    per_s = whole.answered_per_s
    rate = f"about {per_s:.0f} a second are answered" if per_s >= 9.5 else f"about {per_s:.2g} a second are answered"
    alike = f"of {'all streams' if loss.streams == whole.streams else _names(bad)}"
    if _is_limited(whole):
        yield (
            f"{rate}, steadily, however many are sent: that is a limit (a token bucket or a policer) on the way or at "
            "the target"
        )
    elif whole.shape is LossShape.DIVIDED:
        yield f"it is lost per stream: nearly all of {_names(bad)}, and little of the others"
        yield f"{rate} in all: either those have no way of their own, or a limit always meets the same ones"
    elif whole.shape is LossShape.STRETCHES:
        longest = max((end - begin for begin, end in whole.stretches), default=0.0)
        often = f", every {whole.every_s:.1f} s" if whole.every_s else ""
        count = some(len(whole.stretches), "stretch", "stretches")
        yield f"most is lost at once, in {count} of up to {longest:.1f} s{often}: the path fails now and then"
    elif whole.shape is LossShape.RANDOM:
        yield f"the probes {alike} are lost at random"
    elif whole.shape is LossShape.UNKNOWN:
        yield f"{rate}, and the baseline is too short to tell how the others are lost"


def _is_limited(whole: Loss) -> bool:
    """Return whether a limit is likely: one that always meets the same streams divides those of one VM."""
    return whole.shape is LossShape.LIMIT or (whole.shape is LossShape.DIVIDED and whole.split)


def _reasons(loss: Loss, group: Sequence[ProbeHistory]) -> Iterator[str]:
    told = [*_why(group)]
    if loss.late * 2 > loss.lost:
        told.append(f"{loss.late} were answered later than probes.threshold allows")
    if told:
        yield f"{listed(told)}, of {loss.lost} that were lost"


def _why(group: Sequence[ProbeHistory]) -> Iterator[str]:
    """Name the reasons that were told, the most frequent first."""
    counts: dict[str, int] = {}
    for history in group:
        for probe in history.probes:
            if words := _reason(probe.fate, probe.reason):
                counts[words] = counts.get(words, 0) + 1
    for words, count in sorted(counts.items(), key=lambda item: -item[1]):
        yield f"{count} {words}"


def _reason(fate: Fate, reason: int) -> str:
    if fate is Fate.NOT_SENT:
        return f"could not be sent ({errno.errorcode.get(reason, f'errno {reason}')})"
    if fate is Fate.TURNED_AWAY:
        return f"were turned away by sshd ({SSHD_LIMITS[Refusal(reason)]})"
    if fate is not Fate.REFUSED:
        return ""
    if reason >= ICMP:
        code = reason & 0xFF
        said = "administratively prohibited" if code in PROHIBITED else UNREACHABLE.get(code, f"ICMP 3/{code}")
        return f"were refused ({said if reason >> 8 == ICMP >> 8 else f'ICMP {reason >> 8}/{code}'})"
    known = reason in set(Refusal)
    return f"were refused ({REASONS[Refusal(reason)] if known and Refusal(reason) in REASONS else f'reason {reason}'})"


def _sending_cure(loss: Loss, bad: Sequence[ProbeHistory]) -> str:
    """Return what to do where most of what was lost was never sent; '' where it was."""
    unsent = {reason: n for fate, reason, n in loss.reasons if fate is Fate.NOT_SENT}
    if sum(unsent.values()) * 2 <= loss.lost:
        return ""
    word = errno.errorcode.get(max(unsent, key=lambda reason: unsent[reason]), "")
    where = "on this machine" if all(h.node == HARNESS for h in bad) else "in the VMs"
    return f"{word} {where}: {CAN_T_SEND.get(word, 'see what the system log there says')}"


def _cure(group: Sequence[ProbeHistory], bad: Sequence[ProbeHistory], whole: Loss, loss: Loss) -> str:
    kind = group[0].stream.kind
    if cure := _sending_cure(loss, bad):
        return cure
    if loss.late * 2 > loss.lost:
        return "raise probes.threshold (it must stay below 1s), or find out what delays the answers"
    if any(fate is Fate.TURNED_AWAY for fate, _, _ in loss.reasons):
        return "raise MaxStartups and switch PerSourcePenalties off in the template, or raise probes.banner_interval"
    if _is_limited(whole):
        return _less(group, whole)
    if kind.aim is Aim.OUTSIDE:
        target = group[0].stream.target
        if whole.shape is LossShape.UNKNOWN:
            return f"raise trials.baseline to 15s to see how it is lost; if by a limit, {_less(group, whole)}"
        if whole.shape is LossShape.DIVIDED:
            return f"ping {target} from those VMs; if it answers a single ping there, {_less(group, whole)}"
        return f"look for the loss on the way to {target} (ping it from a VM), or name another probes.egress_target"
    return f"look for the loss on the way to {few(sorted({h.stream.target for h in bad}))}; {_without(kind)}"


def _less(group: Sequence[ProbeHistory], whole: Loss) -> str:
    """Name the keys that lower the rate, with an interval that stays below the limit."""
    kinds = [k for k in HEADLINE if any(h.stream.kind is k for h in group)]
    now_s = min(h.stream.interval_s for h in group)
    need_s = now_s * whole.sent_per_s / max(whole.answered_per_s, 1e-9) * SPARE
    every_s = math.ceil(round(need_s / STEPS_S, 6)) * STEPS_S
    key = f"probes.{kinds[0].interval.key}={show_duration(round(every_s, 3))}"
    if kinds[0].aim is not Aim.OUTSIDE:
        return f"send less: {key} (now {show_duration(now_s)}), or fewer environment.public_ips; {_without(kinds[0])}"
    halve = f", probes.{kinds[-1].switch}=false" if len(kinds) > 1 else ""
    return (
        f"send less: {key} (now {show_duration(now_s)}){halve}, fewer environment.vms; or name a probes.egress_target "
        "that does not limit pings"
    )


def _without(kind: ProbeKind) -> str:
    other = SSH_BANNER if kind is SSH_SYN else SSH_SYN
    return f"probes.{kind.switch}=false leaves {other.labels.row.removeprefix('ingress, ')} alone"
