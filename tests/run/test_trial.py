"""The main path on ports that do nothing but play a script: phases, recovery, and what is noted."""

import errno
from collections.abc import Callable

import pytest

from tests.core.logs import stream
from tests.run.world import SECOND, World
from vrbench.core.facts import TrialFacts
from vrbench.core.log.growing_log import StreamState
from vrbench.core.log.history import Fate, Probed
from vrbench.core.model import Direction, Stream
from vrbench.run.recovery import recovered
from vrbench.run.trial import CannotSendHere, Trial, TrialLimits, UnfitBaseline, run_trial

LIMITS = TrialLimits(baseline_s=5, validation_s=3, observe_at_most_s=60, job_timeout_s=30, grace_s=10, silence_s=15)


def run(world: World, requested: Callable[[TrialFacts], None] = lambda _: None) -> TrialFacts:
    """One trial in that world."""
    return run_trial(Trial(1, LIMITS, world, world, world, world), requested)


def test_phases_come_in_order() -> None:
    """Baseline, operation, validation, collection; the facts say when and how it went."""
    world = World()
    facts = run(world)
    assert [p.partition(": ")[2] for p in world.phases] == [
        "starting probers",
        "baseline",
        "operating",
        "job ended, validating",
        "collecting samples",
    ]
    assert (facts.job_s, facts.recovered, facts.job_finished) == (8.0, True, True)
    assert facts.requested_ns == 5 * SECOND
    assert world.stopped == 1


def test_what_the_cloud_turned_away_had_not_begun() -> None:
    """Windows count from the last time that the operation was sent, after 24 s of being told to wait."""
    world = World(turned_away=2)
    noted: list[TrialFacts] = []
    facts = run(world, noted.append)
    assert facts.requested_ns == 29 * SECOND == world.requested_ns
    assert (facts.job_s, facts.recovered) == (8.0, True)
    assert world.marked_ns == [5 * SECOND, 17 * SECOND, 29 * SECOND]
    assert [n.requested_ns for n in noted] == [29 * SECOND]


def test_observation_goes_on_until_recovery_not_until_the_job_ends() -> None:
    """An outage that outlasts the job by far is seen to its end, plus the validation time."""
    world = World(down_to=25.0)
    run(world)
    assert world.requested_ns is not None
    assert (world.now_ns - world.requested_ns) / SECOND == pytest.approx(28.0, abs=0.5)


def test_late_effects_of_the_job_have_time_to_show() -> None:
    """Streams that never went down are watched for the validation time after the job's end."""
    world = World(down_from=99, down_to=99)
    run(world)
    assert world.requested_ns is not None
    assert (world.now_ns - world.requested_ns) / SECOND >= 11.0


def test_no_recovery_is_said() -> None:
    """A network that stays down is given up after the agreed time."""
    world = World(down_to=1e9)
    facts = run(world)
    assert not facts.recovered
    assert facts.job_finished


def test_a_job_that_never_ends_is_given_up() -> None:
    """The job's timeout is noted, and the trial ends by the probes."""
    facts = run(World(job_ends=1e9))
    assert (facts.job_s, facts.job_finished, facts.recovered) == (None, False, True)


def test_a_failed_job_is_noted_with_the_clouds_words() -> None:
    """The job's error goes into the facts."""
    facts = run(World(job_error="530 no capacity"))
    assert facts.job_error == "530 no capacity"


def test_a_dead_prober_ends_the_trial() -> None:
    """Without a prober there is nothing to wait for."""
    facts = run(World(down_to=50, dies_at=10))
    assert facts.probers_failed == ("syn",)


def test_a_stream_that_was_never_up_is_not_waited_for() -> None:
    """A stream that was dead before the operation can't be seen to recover."""
    world = World(dead_stream=True, crowd=10)
    facts = run(world)
    assert facts.recovered
    assert (facts.unfit, set(world.marked.unfit)) == (("dead",), {"dead"})


def test_what_was_asked_for_is_noted_at_once() -> None:
    """Should the trial end before its time, its samples can still be read: as those of an interrupted trial."""
    noted: list[TrialFacts] = []
    facts = run(World(), noted.append)
    assert [n.interrupted for n in noted] == [True]
    assert noted[0].requested_ns == facts.requested_ns
    assert not facts.interrupted
    assert facts.observed_ns > facts.requested_ns


def test_nothing_is_restarted_when_a_direction_does_not_answer() -> None:
    """A target that never answers is found before the router is touched."""
    world = World(dead_direction=True)
    with pytest.raises(UnfitBaseline, match=r"trial 1: no ingress probe is answered\. Nothing was restarted\."):
        run(world)
    assert world.requested_ns is None
    assert world.stopped == 1


def test_a_later_trial_does_not_say_that_nothing_was_ever_restarted() -> None:
    """What the first one restarted may be why the second has no baseline."""
    world = World(dead_direction=True)
    with pytest.raises(
        UnfitBaseline, match=r"trial 2: no ingress probe is answered\. Nothing was restarted this time\."
    ):
        run_trial(Trial(2, LIMITS, world, world, world, world, of=2))


def test_probers_are_stopped_when_the_operation_fails() -> None:
    """An error passes through, but not before the probers have ended."""

    def refuse() -> None:
        raise RuntimeError("refused")

    world = World(on_request=refuse)
    with pytest.raises(RuntimeError, match="refused"):
        run(world)
    assert world.stopped == 1


SESSION = Stream("tcp-ingress/vm1/established", Direction.INGRESS, "tcp-ingress", "established", "x:22", 0.1)
NAMES = Stream("dns/vm1", Direction.EGRESS, "dns", "resolver", "10.1.1.1", 0.5)
LOGIN = Stream("ssh-ingress/x:22/auth", Direction.INGRESS, "ssh-ingress", "auth", "x:22", 10.0)


def test_a_cut_session_is_not_waited_for() -> None:
    """It never comes back, and the trial is over when the network is."""
    world = World(beside=SESSION)
    assert run(world).recovered
    assert world.requested_ns is not None
    assert (world.now_ns - world.requested_ns) / SECOND < 15


@pytest.mark.parametrize("stream", [NAMES, LOGIN])
def test_names_and_logins_that_worked_are_waited_for(stream: Stream) -> None:
    """What answered before must answer again."""
    assert not run(World(beside=stream)).recovered


@pytest.mark.parametrize("stream", [SESSION, NAMES, LOGIN])
def test_what_never_answers_beside_the_figures_delays_nothing(stream: Stream) -> None:
    """A router without DNS: the baseline is as long as ever, and nobody waits for an answer afterwards."""
    world = World(beside=stream, answers=False)
    facts = run(world)
    assert facts.requested_ns == 5 * SECOND
    assert facts.recovered
    assert f"not measured, since nothing answers before the operation: {stream.name}" in world.phases


@pytest.mark.parametrize(
    ("up", "judged_s", "good"), [(True, 99, True), (True, 88, True), (True, 80, False), (False, 99, False)]
)
def test_what_probes_rarely_is_back_with_its_first_success(up: bool, judged_s: int, good: bool) -> None:
    """Every ten seconds, five probes would take a minute: one that is not older than the interval is enough."""
    state = StreamState("n", LOGIN, up, judged_s * SECOND, judged_s * SECOND, 1, 0, 0)
    assert recovered([state], 100 * SECOND, 3.0) is good


@pytest.mark.parametrize(("asked_s", "good"), [(0, True), (99, True), (96, False)])
def test_a_login_that_was_begun_while_all_was_down_is_awaited(asked_s: int, good: bool) -> None:
    """It may take longer to fail than a short validation: until it is known, what came before it proves nothing."""
    state = StreamState("n", LOGIN, True, 90 * SECOND, 95 * SECOND, 9, 0, 0, asked_s * SECOND)
    assert recovered([state], 100 * SECOND, 3.0) is good


@pytest.mark.parametrize(
    ("up", "probes", "judged_s", "since_s", "good"),
    [
        (True, 99, 100, 90, True),
        (True, 4, 100, 90, False),
        (True, 99, 100, 98, False),
        (True, 99, 96, 80, False),
        (False, 99, 100, 90, False),
        (None, 0, 0, 0, False),
    ],
)
def test_recovered(up: bool | None, probes: int, judged_s: int, since_s: int, good: bool) -> None:
    """Up, five probes, seen lately, and for the validation time."""
    state = StreamState("n", stream(), up, since_s * SECOND, judged_s * SECOND, probes, 0, 0)
    assert recovered([state], 100 * SECOND, 3.0) is good


def test_nothing_seen_is_not_recovered() -> None:
    """Without any stream there is no recovery."""
    assert not recovered([], 0, 1.0)


def losing_every(nth: int) -> Callable[[tuple[Probed, ...]], tuple[Probed, ...]]:
    """Lose every ``nth`` probe of a history."""

    def lose(probes: tuple[Probed, ...]) -> tuple[Probed, ...]:
        return tuple(Probed(p.at_ns, Fate.SILENT) if i % nth == 0 else p for i, p in enumerate(probes))

    return lose


def test_a_baseline_that_loses_much_stops_before_the_restart_and_at_once() -> None:
    """Half of all pings are lost all the time: nothing is requested, and nobody waits for it to get better."""
    world = World(crowd=4, losing={name: losing_every(2) for name in ("a", "a1", "a2", "a3")})
    with pytest.raises(UnfitBaseline, match=r"49 % come back.*Nothing was restarted"):
        run(world)
    assert (world.requested_ns, world.stopped) == (None, 1)
    assert world.now_ns <= 6 * SECOND


def test_what_is_lossy_in_the_baseline_holds_no_trial_open() -> None:
    """One stream of eleven is lossy, and down for ever after the request: it is left out, and nobody waits for it."""
    world = World(dead_stream=True, crowd=10)
    facts = run(world)
    assert facts.recovered
    assert world.requested_ns is not None
    assert (world.now_ns - world.requested_ns) / SECOND < 12
    assert any("left out" in words for words in world.phases)


def test_what_is_lost_in_the_baseline_is_noted_as_tolerated() -> None:
    """One probe at a time, of every twentieth: the live view is told, and so is analysis."""
    world = World(losing={"a": losing_every(20)})
    facts = run(world)
    assert facts.tolerated == world.marked.tolerated == {"a": 1}
    assert facts.unfit == ()


def test_a_silent_control_target_holds_nothing_up() -> None:
    """It is waited for as long as a baseline takes; then the run goes on without a control, and says so."""
    control = Stream("control/harness", Direction.CONTROL, "control", "fresh", "198.51.100.2", 0.1)
    world = World(unseen=(StreamState("harness", control, False, 0, 0, 99, 0, 0),))
    facts = run(world)
    assert facts.unfit == ("control/harness",)
    assert facts.requested_ns <= 10 * SECOND
    assert any(words.startswith("no control: 198.51.100.2") for words in world.phases)


def test_a_machine_that_cant_send_is_at_fault_itself() -> None:
    """EPERM at every probe of ingress: the words and the exit code are of this machine, not of the cloud."""

    def refused(probes: tuple[Probed, ...]) -> tuple[Probed, ...]:
        return tuple(Probed(p.at_ns, Fate.NOT_SENT, errno.EPERM) for p in probes)

    world = World(losing={"i": refused}, faults_at="harness")
    with pytest.raises(CannotSendHere, match=r"EPERM on this machine"):
        run(world)
    assert world.requested_ns is None


def test_connections_that_anybody_accepts_stop_the_trial() -> None:
    """A SYN proxy: the port that is probed is always up."""
    world = World(faked=frozenset({"203.0.113.1"}))
    with pytest.raises(UnfitBaseline, match="a port where nobody listens is answered as well"):
        run(world)
    assert world.requested_ns is None
