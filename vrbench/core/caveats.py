"""Every caveat that a figure can carry, as one table: what happened, what it means for the figure, what to do.

A new caveat is one row here, and one place in ``judge.verdict`` (or before the trials) that finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Effect(StrEnum):
    """What a caveat does to the verdict of its trial; the worst first."""

    INVALID = "invalid"
    UNKNOWN = "unknown"
    NONE = ""


class CaveatKind(StrEnum):
    """One row each: key (it stands in exports and never changes), effect, what happened, what it means, what to do."""

    effect: Effect
    happened: str
    meaning: str
    remedy: str

    def __new__(cls, key: str, effect: Effect, happened: str, meaning: str, remedy: str) -> Self:
        """Build a member whose value is its key."""
        kind = str.__new__(cls, key)
        kind._value_ = key
        kind.effect, kind.happened, kind.meaning, kind.remedy = effect, happened, meaning, remedy
        return kind

    JOB_FAILED = (
        "job-failed",
        Effect.INVALID,
        "the cloud reported that the operation failed",
        "the figures are not those of a finished operation",
        "read the cause in the management server's log, then measure again",
    )
    NOTHING_DONE = (
        "nothing-done",
        Effect.INVALID,
        "the cloud reported success, and the routers that were to be replaced are still there",
        "the figures are not those of the operation",
        "look at the routers and events of the network in the cloud, then measure again",
    )
    CONTROL_DOWN = (
        "control-down",
        Effect.INVALID,
        "a path that does not cross the router was down at the same time",
        "the outage may not be the router's",
        "check the switches, the hosts and the measuring machine's connection, then measure again",
    )
    GUEST_REBOOTED = (
        "guest-rebooted",
        Effect.INVALID,
        "a guest rebooted during the trial",
        "its outage may be that of the reboot and not of the router",
        "find out why it rebooted, then measure again",
    )
    INTERRUPTED = (
        "interrupted",
        Effect.INVALID,
        "the trial was interrupted",
        "its figures end where it was interrupted",
        "measure again",
    )
    NO_SAMPLES = (
        "no-samples",
        Effect.UNKNOWN,
        "a stream has no samples, or was never up before the operation",
        "nothing can be said about it",
        "make sure that its target answers before the operation, then measure again",
    )
    DOWN_AT_REQUEST = (
        "down-at-request",
        Effect.UNKNOWN,
        "a stream was already down when the operation was requested",
        "its whole window counts, with the time before the request",
        "find out why it was down, then measure again",
    )
    NO_RECOVERY_SEEN = (
        "no-recovery-seen",
        Effect.UNKNOWN,
        "a stream had not recovered when observation ended",
        "its figure is a lower bound",
        "see whether it works now; if it only takes longer, raise trials.observe_at_most",
    )
    SERVICE_GIVEN_UP = (
        "service-given-up",
        Effect.UNKNOWN,
        "a guest's service was slow or away long after its network was back, and was not waited for any longer",
        "its figure is a lower bound, and says nothing of the network",
        "for the network read the row of TCP; find out why sshd is slow, or raise probes.old_flow_grace",
    )
    AGENT_LOST = (
        "agent-lost",
        Effect.UNKNOWN,
        "a guest's prober did not deliver its whole log",
        "what is missing counts as not seen",
        "check that the guest runs and answers on SSH, then measure again",
    )
    PROBER_FAILED = (
        "prober-failed",
        Effect.UNKNOWN,
        "one of the measuring machine's own probers ended early",
        "what happened after that was not seen",
        "run vrbench doctor, then measure again",
    )
    PROBER_STALLED = (
        "prober-stalled",
        Effect.UNKNOWN,
        "a prober sent nothing for a second or more of an outage",
        "its machine may be at fault, and not the router",
        "find out whether that machine was paused, moved or overloaded, then measure again",
    )
    UNSEEN = (
        "unseen",
        Effect.UNKNOWN,
        "too many streams of one direction were not probed during an outage, or none while there may have been one",
        "this trial is left out of averages",
        "keep the measuring machine and the guests from being paused or overloaded, then measure again",
    )
    LOG_CUT = (
        "log-cut",
        Effect.UNKNOWN,
        "a raw log is damaged, or lost its end after it was recorded",
        "what is missing counts as not seen",
        "analyze a copy of the run that is whole, or measure again",
    )
    JOB_UNFINISHED = (
        "job-unfinished",
        Effect.UNKNOWN,
        "the operation's job had not ended in its time",
        "what it did after that is in no figure",
        "find out what holds it up, or raise operation.job_timeout",
    )
    TWO_ROUTERS = (
        "two-routers",
        Effect.UNKNOWN,
        "two routers answer for one address since the operation, or the cloud shows two that serve",
        "which of them is reached is chance, and so is the figure",
        "stop the router that must not serve, then measure again",
    )
    PATCH_UNPROVEN = (
        "patch-unproven",
        Effect.NONE,
        "after the live patch the router shows the same software and scripts as before",
        "it had them already, or nothing was patched: the cloud reports success in both cases",
        "compare the software that is named here with the server's version",
    )
    BASELINE_SHORT = (
        "baseline-short",
        Effect.NONE,
        "the baseline was shorter than the 15 s that RFC 6201 asks for",
        "losses that are not the operation's are more easily overlooked",
        "set trials.baseline to 15s or more",
    )
    BASELINE_LOSSY = (
        "baseline-lossy",
        Effect.NONE,
        "probes were lost before the operation",
        "some of the outage may not be the operation's",
        "look for the loss on the way to the target, then measure again",
    )
    LEFT_OUT = (
        "left-out",
        Effect.NONE,
        "a few streams lost more than a tenth of their probes before the operation",
        "they can't tell an outage, and are in no figure",
        "see whether their targets answer, then measure again",
    )
    NOT_SENT = (
        "not-sent",
        Effect.NONE,
        "probes could not be sent, since the system of their machine refused to",
        "they count as neither up nor down",
        "see what a packet filter, the routing table or the network interface of that machine says",
    )
    SLOTS_SKIPPED = (
        "slots-skipped",
        Effect.NONE,
        "some probes were never sent, or their answers can't be judged",
        "they count as neither up nor down and widen the bounds; more than 10 % make the trial unknown",
        "take load off the machine that sends them, or raise probes.interval",
    )
    CONTROL_LOSSY = (
        "control-lossy",
        Effect.NONE,
        "a path that does not cross the router lost probes at another time",
        "the network beside the router loses packets too",
        "if it happens in several trials, check the switches and the hosts",
    )
    NO_CONTROL = (
        "no-control",
        Effect.NONE,
        "the measuring machine's own path to the cloud was not probed",
        "a fault on it looks like an outage of the router",
        "set probes.control_target to an address near the public side that is not behind the router",
    )
    TLS_UNCHECKED = (
        "tls-unchecked",
        Effect.NONE,
        "the certificate of the API's server was not checked",
        "whoever answered in the cloud's place could have said all that the cloud said",
        "name the file of the authority that signed it as verify in cloudstack.ini",
    )
    CLOCK_STEPPED = (
        "clock-stepped",
        Effect.NONE,
        "a wall clock was set during the trial",
        "durations are right, times of day may be off",
        "let the clocks settle (NTP) before a run",
    )
    CLOCKS_UNKNOWN = (
        "clocks-unknown",
        Effect.NONE,
        "the trial ended before guests' clocks were compared with the measuring machine's",
        "nobody can tell which of their windows came after the request; they are in no figure",
        "measure again",
    )
    CLOCKS_UNALIGNED = (
        "clocks-unaligned",
        Effect.NONE,
        "a guest's clock could not be aligned with the measuring machine's to better than 50 ms",
        "durations are right, the moments of its windows may be off",
        "if the moments matter, measure over a connection to the guests with less delay",
    )
    RELAPSED = (
        "relapsed",
        Effect.NONE,
        "a stream went down again after it had recovered",
        "all its windows are counted",
        "see when each began with vrbench export RUN --table windows",
    )
    OLD_FLOW_STUCK = (
        "old-flow-stuck",
        Effect.NONE,
        "an old flow never came back although new flows passed",
        "it is in no average and bounds no outage; a connection like it stays dead for as long as it keeps trying",
        "count such flows as lost; one that pauses for longer than the router's tracking remembers it works again",
    )
    FLOWS_DIFFER = (
        "flows-differ",
        Effect.NONE,
        "old and new flows recovered at different times",
        "neither figure stands for the other, and the egress columns of exports are the mean of both",
        "read the rows of the ongoing ping and of new pings",
    )
    PATH_ASYMMETRIC = (
        "path-asymmetric",
        Effect.NONE,
        "one direction worked again before the other",
        "neither figure stands for the other",
        "read the rows of egress and of ingress",
    )
    WITHOUT_PYTHON = (
        "without-python",
        Effect.NONE,
        "guests without Python were probed with their own ping",
        "send times are known less exactly and bounds are wider",
        "for narrower bounds use a template with Python 3.6 or later",
    )
    PROBED_LESS_OFTEN = (
        "probed-less-often",
        Effect.NONE,
        "guests that can't send as often as asked probe less often",
        "the bounds of their figures are wider",
        "give them more processor, or Python 3.6 or later, or ask for a longer probes.interval",
    )
    SSHD_LIMITS = (
        "sshd-limits",
        Effect.NONE,
        "a guest's sshd limits the connections it accepts",
        "it may turn probes away although the network is up",
        "raise MaxStartups and switch PerSourcePenalties off in the template",
    )
    TURNED_AWAY = (
        "turned-away",
        Effect.NONE,
        "sshd turned probes away because of its own limits",
        "they count as neither up nor down; two in a row in an outage make the trial unknown",
        "raise MaxStartups and switch PerSourcePenalties off in the template",
    )
    BOOT_DOUBTFUL = (
        "boot-doubtful",
        Effect.NONE,
        "a guest may not have finished booting",
        "what it still changes may look like an outage",
        "see what cloud-init status says in the guest, mend the template, then measure again",
    )
    SERVICE_DOWN = (
        "service-down",
        Effect.NONE,
        "a guest's sshd was slow or refused connections while its network was up",
        "the figure of the SSH service holds that time too",
        "for the network alone read the row of TCP",
    )
    FLAPPING = (
        "flapping",
        Effect.NONE,
        "a stream went down and up faster than it is probed",
        "one window alone means little; the total lies within the bounds",
        "for narrower bounds lower probes.interval",
    )
    LAB = (
        "lab",
        Effect.NONE,
        "measured on the embedded lab",
        "the figures show mechanisms and not the speed of CloudStack",
        "measure your own cloud with a profile of your own",
    )

    @classmethod
    def of(cls, key: str) -> CaveatKind:
        """Return the kind with this key. Raises KeyError when there is none."""
        return {kind.value: kind for kind in cls}[key]

    @property
    def rank(self) -> int:
        """Return the place of its effect: 0 is the worst."""
        return list(Effect).index(self.effect)

    @property
    def advice(self) -> str:
        """What it means, for the verdict too, and what to do: two sentences."""
        prefix = f"it makes the trial {self.effect}: " if self.effect else ""
        return f"{_sentence(prefix + self.meaning)} {_sentence(self.remedy)}"


@dataclass(frozen=True, slots=True)
class Caveat:
    """One doubt and whom it concerns."""

    kind: CaveatKind
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind.happened}{f' ({self.detail})' if self.detail else ''}. {self.kind.advice}"


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
