"""sshd defends itself against those who connect and leave, as banner probes do: that must not look like an outage."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.core.test_analysis import FACTS, METHOD, OUT, log
from tests.probes import openssh
from tests.probes.box import Box, routed_box
from tests.probes.rig import ROUTER, wait_for
from tests.probes.trials import PROFILE, Trial, measured, reachable, tally, trial
from vrbench.cloud.build.guest_setup import user_data
from vrbench.core.analysis import analyze_trial
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.log.failures import count_failures
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.rawlog import RecordKind, Refusal, decode_header, decode_records
from vrbench.core.model import Direction, Outcome, Verdict
from vrbench.lab.packets.userdata import parse_user_data
from vrbench.probes.observation import SshGuests

pytestmark = pytest.mark.lab
ALONE = PROFILE.replace("vms = 2", "vms = 1").replace("public_ips = 2", "public_ips = 1")
LOGGING_IN = ALONE.replace("auth = false", 'auth = true\nauth_interval = "1s"\nbanner = false')
IN_FORCE_S = 3.0
LOGINS_S = 6.0


@dataclass(frozen=True)
class Defence:
    """How one of sshd's limits is put in force, and what must be said of it."""

    setting: str
    found: str  # by preflight
    reason: Refusal
    name: str
    idle: int  # connections of somebody else that are open meanwhile


DEFENCES = {
    "MaxStartups": Defence("MaxStartups 3:100:5", "MaxStartups 3:100:5", Refusal.STARTUPS, "MaxStartups", 3),
    "PerSourcePenalties": Defence(
        "PerSourcePenalties noauth:1s min:1s max:3s",
        "PerSourcePenalties is on",
        Refusal.PENALTY,
        "PerSourcePenalties",
        0,
    ),
}


@pytest.fixture(params=DEFENCES)
def defence(request: pytest.FixtureRequest) -> Defence:
    return DEFENCES[request.param]


@pytest.fixture
def box(_lab_machine: None, defence: Defence, tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Box]:
    """Provide one guest, with an sshd that knows the limit and reads its settings where a guest's does."""
    root = Path("/")
    if defence.reason is Refusal.PENALTY:
        assert pytestconfig.cache
        root = openssh.with_penalties(pytestconfig.cache.mkdir("openssh"))
    made = routed_box(guests=1)
    openssh.put_in(made, root)
    etc = tmp_path / "ssh"
    (etc / "sshd_config.d").mkdir(parents=True)
    (etc / "sshd_config").symlink_to(tmp_path / "guest0_config")
    made.sh(None, f"mount --bind {shlex.quote(str(etc))} /etc/ssh")
    yield made
    made.close()


@contextmanager
def guarded(box: Box, home: Path, setting: str, profile: str = ALONE) -> Iterator[SshGuests]:
    """Provide the guest, whose sshd has this setting unless its drop-in files say otherwise."""
    lines = ("Include /etc/ssh/sshd_config.d/*.conf", "PidFile /run/sshd.pid", setting)
    with reachable(box, home, *lines, profile=profile, guests=1) as ssh_guests:
        yield ssh_guests


@contextmanager
def idling(count: int) -> Iterator[None]:
    """Somebody has so many connections open to the guest's sshd, each of them greeted, and does not log in.

    One that comes while a probe is being served may itself be turned away; then somebody tries again.
    """
    with ExitStack() as held:
        while count:
            caller = held.enter_context(socket.create_connection((ROUTER, 2200), timeout=60))
            count -= caller.recv(64).startswith(b"SSH-")
        yield


def leave_without_login(begun: Trial, seconds: float) -> None:
    """Somebody at our address connects twice a second and goes at once, as a scanner does."""
    for _ in range(round(seconds / 0.5)):
        socket.create_connection((ROUTER, 2200), timeout=60).close()
        begun.spend(0.5)


def probed(
    ssh_guests: SshGuests, box: Box, home: Path, defence: Defence, in_force: bool = True
) -> tuple[Trial, TrialResult]:
    """Run a trial of banner probes at 10 a second on a network that is up all the time, with or without the limit."""
    with trial(ssh_guests, box, home / "trial", baseline_s=0.3) as begun:
        with idling(defence.idle):
            begun.spend(IN_FORCE_S)
            if in_force:
                wait_for(lambda: unanswered(begun, "banner") > 20, "the limit in force")
        begun.spend(0.5)
        return begun, begun.end()


def flow_of(result: TrialResult, flow: str) -> StreamResult:
    (stream,) = (s for s in result.streams if s.stream.flow == flow)
    return stream


def log_of(begun: Trial, flow: str) -> bytes:
    (log,) = (log for log in begun.logs() if f'"flow": "{flow}"'.encode() in log.partition(b"\n")[0])
    return log


def unanswered(begun: Trial, flow: str) -> int:
    """Return how often the service was away as a naive reader of the log has it: probes without an answer."""
    log = log_of(begun, flow)
    _, offset = decode_header(log)
    records = list(decode_records(log, offset))
    sent, replied = ({r.slot for r in records if r.kind is kind} for kind in (RecordKind.SENT, RecordKind.REPLY))
    assert replied, "no probe was answered at any time: the log says nothing about the limit"
    return len(sent - replied)


def test_a_limit_in_force_is_no_outage_and_is_named(box: Box, tmp_path: Path, defence: Defence) -> None:
    """Most of three seconds without a banner, and yet no window: the trial says whose doing it was."""
    with guarded(box, tmp_path, defence.setting) as ssh_guests:
        (doubt,) = ssh_guests.await_guests(60)
        begun, result = probed(ssh_guests, box, tmp_path, defence)
    assert (doubt.kind, defence.found in doubt.detail) == (CaveatKind.SSHD_LIMITS, True), doubt
    assert unanswered(begun, "banner") > 10, "the limit was not in force: this test shows nothing"
    assert [w for s in measured(result) for w in s.outages if w.at_least_s] == []  # one banner may come late
    (said,) = (c for c in result.caveats if c.kind is CaveatKind.TURNED_AWAY)
    assert said.detail.startswith(f"ssh-ingress/{ROUTER}:2200/banner ")
    assert said.detail.endswith(f" times, {defence.name}")
    assert result.verdict is Verdict.UNKNOWN, "what was down meanwhile, nobody saw on this layer"
    syn = flow_of(result, "syn")
    assert tally(syn, Outcome.REPLIED) >= 0.9 * (len(syn.samples) - tally(syn, Outcome.SKIPPED))


def test_a_login_that_is_turned_away_is_no_outage_and_is_named(box: Box, tmp_path: Path, defence: Defence) -> None:
    """Real logins against the same sshd: those it turns away are no failures, and the others get in."""
    with (
        guarded(box, tmp_path, defence.setting, LOGGING_IN) as ssh_guests,
        trial(ssh_guests, box, tmp_path / "trial") as begun,
    ):
        with idling(defence.idle):
            if defence.idle:
                begun.spend(LOGINS_S)
            else:
                leave_without_login(begun, LOGINS_S)
        begun.spend(3.5)  # the longest penalty, and a login after it
        result = begun.end()
    logins = flow_of(result, "auth")
    assert unanswered(begun, "auth") >= 2, "the limit was not in force: this test shows nothing"
    assert tally(logins, Outcome.REPLIED) >= 1, "nobody could log in at any time"
    assert logins.outages == ()
    assert tally(logins, Outcome.LOST) == tally(logins, Outcome.REFUSED) == 0
    (failures,) = (f for s, f in count_failures(LogFile.read(log_of(begun, "auth")), 0.8).items() if s.flow == "auth")
    assert not failures, "what sshd turned away for its own limits failed for no other reason"
    (said,) = (c for c in result.caveats if c.kind is CaveatKind.TURNED_AWAY)
    (named,) = (part for part in said.detail.split(", ssh") if "/auth " in part)
    assert named.endswith(f" times, {defence.name}"), said.detail
    assert result.verdict is Verdict.UNKNOWN, "what was down meanwhile, nobody saw on this layer"


def test_with_our_user_data_nothing_is_turned_away(box: Box, tmp_path: Path, defence: Defence) -> None:
    """The same rate, the same sshd, set up as vrbench's own guests are: every banner comes, and there is no doubt."""
    ours = parse_user_data(user_data().encode())
    for file in ours.files:
        (tmp_path / "ssh" / file.path.removeprefix("/etc/ssh/")).write_bytes(file.content)
    with guarded(box, tmp_path, defence.setting) as ssh_guests:
        box.run("guest0", "sh", "-c", ours.script.decode())
        wait_for(lambda: defence.found not in said_by_sshd(box), "the settings")
        assert ssh_guests.await_guests(60) == ()
        begun, result = probed(ssh_guests, box, tmp_path, defence, in_force=False)
    assert unanswered(begun, "banner") == 0
    assert [w for w in flow_of(result, "banner").windows if w.at_least_s] == []  # on a busy machine some come late
    assert {c.kind for c in result.caveats}.isdisjoint({CaveatKind.TURNED_AWAY, CaveatKind.SSHD_LIMITS})


def said_by_sshd(box: Box) -> str:
    return box.run("guest0", "sshd", "-T")


def test_doubts_of_before_the_trial_stand_on_it() -> None:
    """Preflight's findings are caveats of every trial."""
    doubt = Caveat(CaveatKind.SSHD_LIMITS, "vm1: MaxStartups 10:30:100")
    guest = log("vm1", ("e", Direction.EGRESS, "fresh", OUT))
    assert doubt in analyze_trial(replace(FACTS, pre_trial_caveats=(doubt,)), [guest], METHOD).caveats
