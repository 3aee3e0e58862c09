"""429 and 503 say that a call was not carried out: it is sent again, as the server asks, while there is time."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.cloud.lab import DEADLINES, QUICK, Lab, is_clean, planned, running_lab, silent
from tests.cloud.server import Behaviour, Fake, fake_cloud, job, page, raw, refuses, says
from vrbench.cloud import errors
from vrbench.cloud.api import turned_away
from vrbench.cloud.api.answers import Received
from vrbench.cloud.api.facade import Cloud, Job
from vrbench.cloud.api.patience import look_again
from vrbench.cloud.api.turned_away import WhenTurnedAway, asked_pause_s, is_turned_away, pause_s
from vrbench.cloud.build.environment import build
from vrbench.cloud.operate.operations import RunningOperation
from vrbench.cloud.remove.steps import remove_journaled
from vrbench.core.model import CALLER, Environment, Owner
from vrbench.lab.faults import make

LIMIT = "The given user has reached his/her account api limit, please retry after %s ms."
NOON = 1795521600.0  # 2026-11-24T12:00:00Z
ENVOY = b"upstream connect error or disconnect/reset before headers. reset reason: %s"


def received(status: int, body: bytes = b"<html></html>", **headers: str) -> Received:
    return Received(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("got", "asked_s"),
    [
        (received(429, Retry_After="12"), 12.0),
        (received(503, Retry_After=" 0 "), 0.0),
        (received(429, Retry_After="1.5"), 1.5),
        (received(503, Retry_After="Tue, 24 Nov 2026 12:00:30 GMT"), 30.0),
        (received(503, Retry_After="Tue, 24 Nov 2026 11:00:00 GMT"), 0.0),
        (received(503, Retry_After="Tue, 24 Nov 2026 09:00:30 GMT", Date="Tue, 24 Nov 2026 09:00:00 GMT"), 30.0),
        (received(503, Retry_After="Tuesday, 24-Nov-26 12:00:30 GMT"), 30.0),
        (received(429, (LIMIT % 734).encode()), 0.734),
        (received(429, (LIMIT % "[250]").encode()), 0.25),
        (received(429, (LIMIT % 734).encode(), Retry_After="2"), 2.0),
        (received(429), None),
        *((received(429, Retry_After=odd), None) for odd in ("-3", "soon", "", "1e9", "٣", "12 s", "Tue, 99 Nov 2026")),
    ],
    ids=str,
)
def test_how_long_a_server_asks_to_wait(got: Received, asked_s: float | None) -> None:
    """Seconds, or a date by the server's own clock, or CloudStack's own words; what is neither counts for nothing."""
    assert asked_pause_s(got, NOON) == asked_s


def test_pauses_grow_unless_the_server_says_how_long() -> None:
    """With a little chance on top, so that many don't come back at once; absurd ones are bounded."""
    assert [pause_s(times, None, 0.0) for times in range(1, 9)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert pause_s(9999, None, 1.0) == pytest.approx(37.5)
    assert [pause_s(3, asked_s, 0.0) for asked_s in (0.0, 0.25, 12.0, 86400.0, 1e11)] == [1, 1, 12, 60, 60]
    assert pause_s(1, 12.0, 1.0) == 15.0


@pytest.mark.parametrize(
    ("got", "looks", "changes"),
    [
        (received(429), True, True),
        (received(503), True, True),
        (received(503, ENVOY % b"connection termination"), True, False),
        (received(503, ENVOY % b"remote reset"), True, False),
        (received(503, ENVOY.partition(b" reset reason")[0]), True, False),
        (received(503, ENVOY % b"connection failure"), True, True),
        (received(503, ENVOY % b"remote connection failure, transport failure reason: refused"), True, True),
        (received(503, ENVOY % b"overflow"), True, True),
        (received(503, X_Varnish="32770"), True, False),
        (received(503, b"<h1>Error 503 Backend fetch failed</h1><h3>Guru Meditation:</h3>"), True, False),
        *((received(status), False, False) for status in (200, 302, 401, 403, 500, 502, 504, 530)),
    ],
    ids=str,
)
def test_what_was_not_carried_out(got: Received, looks: bool, changes: bool) -> None:
    """Some fronts say 503 when the server went away with the call in its hands: that counts as a lost answer."""
    assert is_turned_away(got, mutates=False) is looks
    assert is_turned_away(got, mutates=True) is changes


def limited(after: str = "") -> Behaviour:
    """Answer 429 as a web server's limit does."""
    header = f"Retry-After: {after}\r\n" if after else ""
    return raw(f"HTTP/1.1 429 Too Many Requests\r\n{header}Content-Length: 2\r\n\r\nno".encode())


def as_error(code: int, text: str) -> Behaviour:
    """Answer with CloudStack's error, in the wrapper for commands that it does not name."""
    body = {"errorresponse": {"errorcode": code, "cserrorcode": 4470, "errortext": text, "uuidList": []}}
    return lambda request: request.answer(json.dumps(body), code)


class Patient:
    """A cloud whose pauses take no time; what it told, and how long it would have waited."""

    def __init__(self, fake: Fake, patience_s: float | None = None) -> None:
        self.told: list[str] = []
        self.pauses: list[float] = []
        self.again = 0
        self.cloud = Cloud(fake.credentials(), patience_s=patience_s)
        self.cloud.waiting = WhenTurnedAway(self.told.append, self.pauses.append, self._again)

    def _again(self) -> None:
        self.again += 1


@pytest.mark.parametrize(
    "no",
    [
        limited("3"),
        limited(),
        page(503),
        refuses("restartNetwork", 429, LIMIT % 10),
        refuses("restartNetwork", 503, "Management server is shutting down"),
        as_error(429, "Number of requests exceeds the limit"),
    ],
)
@pytest.mark.parametrize("command", ["restartNetwork", "listNetworks"])
def test_a_call_that_is_turned_away_is_sent_again(no: Behaviour, command: str) -> None:
    """Whether it looks or changes something; each time signed anew; the wait is told."""
    answer = {"jobid": "j"}
    with fake_cloud(no, no, says(command, answer)) as fake:
        patient = Patient(fake)
        assert patient.cloud.call(command) == answer
        assert len(fake.requests) == 3
    assert patient.again == 2
    assert all(pause >= 1 for pause in patient.pauses)
    (told,) = patient.told
    assert command in told


def test_what_one_thread_waits_for_is_no_other_threads() -> None:
    """A look beside an operation is repeated, too, and must not count as the operation's own repetition."""
    begun, over = threading.Event(), threading.Event()
    with fake_cloud(limited("1"), says("listZones", {})) as fake:
        patient, here = Patient(fake), list[str]()

        def hold() -> None:
            with patient.cloud.waits_here_by(WhenTurnedAway(again=lambda: here.append("sent again"))):
                begun.set()
                over.wait(60)

        holding = threading.Thread(target=hold)
        holding.start()
        begun.wait(60)
        patient.cloud.call("listZones")
        over.set()
        holding.join(60)
    assert (patient.again, here) == (1, [])


def test_what_the_server_asks_for_is_told() -> None:
    with fake_cloud(limited("12"), page(503), says("listZones", {})) as fake:
        patient = Patient(fake)
        turned_away_at = patient.cloud._channel._told
        patient.cloud.call("listZones")
        assert patient.told[0].startswith("the server asks to wait 12 s (429); listZones is repeated in 1")
        turned_away_at.clear()
    assert 12 <= patient.pauses[0] <= 15
    assert 2 <= patient.pauses[1] <= 2.5


@pytest.mark.parametrize("behaviour", [page(502), page(504), page(500), page(403), refuses("createNetwork", 530, "no")])
def test_nothing_else_is_sent_again(behaviour: Behaviour) -> None:
    """With 502 and 504 a front says that it lost the server: the call may have been carried out."""
    with fake_cloud(behaviour) as fake:
        with pytest.raises(errors.CloudError):
            Patient(fake).cloud.call("createNetwork")
        assert len(fake.requests) == 1


def test_a_lost_answer_after_a_503_is_not_sent_again() -> None:
    """The second sending is as any other: what became of it nobody knows."""
    with fake_cloud(page(503), lambda request: request.handler.connection.close()) as fake:
        with pytest.raises(errors.CloudUnreachable) as caught:
            Patient(fake).cloud.call("createNetwork")
        assert caught.value.may_have_run
        assert len(fake.requests) == 2


@pytest.mark.parametrize(
    ("no", "words"),
    [
        (limited("3600"), "It asks to wait 3600 s, longer than is left."),
        (page(503), "'<html><title>Welcome</title></html>'"),
        (refuses("createNetwork", 429, LIMIT % 10), "account api limit"),
    ],
)
def test_a_server_that_goes_on_so_is_given_up(no: Behaviour, words: str) -> None:
    """Once its time is up, in one sentence: not carried out, and what to look at."""
    with fake_cloud(no) as fake, pytest.raises(errors.TurnedAway) as caught:
        Patient(fake, patience_s=0).cloud.call("createNetwork")
    assert words in str(caught.value)
    assert "The call was sent once, and was not carried out." in str(caught.value)
    assert "account's API limit" in str(caught.value)
    assert caught.value.nothing_came_of_it
    assert not isinstance(caught.value, errors.CloudUnreachable)


def test_a_look_that_was_given_up_is_not_begun_anew() -> None:
    """It had its time: whoever repeats looks that fail does not double it."""
    with fake_cloud(page(503)) as fake:
        patient = Patient(fake, patience_s=0)
        with pytest.raises(errors.TurnedAway):
            look_again(lambda: patient.cloud.call("listZones"))
        assert len(fake.requests) == 1


def test_a_job_is_looked_at_when_the_server_allows_it() -> None:
    """Within the job's own time; nothing of it ends the wait, but the time."""
    with fake_cloud(limited("7"), page(503), limited("2"), job(1, jobresult={"success": True})) as fake:
        patient = Patient(fake)
        assert patient.cloud.wait(Job("restartNetwork", "j"), 600) == {"success": True}
    first, second, third = patient.pauses
    assert 7 <= first <= 8.75
    assert 1 <= second <= 1.25
    assert 2 <= third <= 2.5
    assert len(patient.told) == 1


@pytest.mark.parametrize("owner", [CALLER, Owner(project_id="p")])
def test_a_restart_that_is_turned_away_is_told_before_it_is_sent_again(owner: Owner) -> None:
    """So that the trial counts from there, and none of the looks at the job moves it."""
    moments: list[int] = []
    environment = Environment("n", "n", "z", "KVM", "4.20", "o", "1.2.3.4", (), (), owner=owner)
    answers = (limited(), page(503), says("restartNetwork", {"jobid": "j"}), limited(), job(1, jobresult={}))
    with fake_cloud(*answers) as fake:
        patient = Patient(fake)
        operation = RunningOperation(patient.cloud, "restart-network", environment, 20, poll_s=0.01)
        operation.request(lambda: moments.append(len(fake.requests)))
        done = threading.Event()
        while not operation.poll().done:
            done.wait(0.01)
    assert moments == [1, 2]
    assert operation.poll().error == ""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pauses be short."""
    monkeypatch.setattr(turned_away, "FIRST_S", 0.01)
    monkeypatch.setattr(turned_away, "asked_pause_s", lambda *_: None)


def limit(lab: Lab, **how: str) -> None:
    """Have the server turn calls away."""
    lab.server._zone.faults.start(make("api-error", how))


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("status", "every"), [("429", "5"), ("503", "3"), ("429", "2")])
def test_calls_that_are_turned_away_now_and_then_change_nothing(tmp_path: Path, status: str, every: str) -> None:
    """The same objects are built, each once, and all of them go."""
    with running_lab(QUICK) as lab:
        plan = planned(vms=3, public_ips=3)
        resolved, told = lab.resolve(plan), list[str]()
        with lab.journal(tmp_path / "plain") as journal:
            build(lab.cloud(), plan, resolved, journal, silent)
            usual = kinds(lab)
            assert is_clean(remove_journaled(lab.cloud(), journal, silent, DEADLINES))
        limit(lab, status=status, every=every)
        with lab.journal(tmp_path / "limited") as journal:
            build(lab.cloud(), plan, resolved, journal, told.append)
            lab.server._zone.faults.stop("api-error")
            assert kinds(lab) == usual
            limit(lab, status=status, every=every)
            report = remove_journaled(lab.cloud(), journal, silent, DEADLINES)
        lab.server._zone.faults.stop("api-error")
        assert is_clean(report), report
        assert lab.objects() == []
    assert any("is repeated in" in line for line in told)


def kinds(lab: Lab) -> list[str]:
    """Return of what kind everything is that stands."""
    return sorted(line.partition(" ")[0] for line in lab.objects())


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("command", ["createNetwork", "deployVirtualMachine", "createFirewallRule"])
def test_a_server_that_takes_no_more_calls_ends_a_build_in_its_time(tmp_path: Path, command: str) -> None:
    """It is told once; what stands goes all the same, and nothing else is said to be wrong."""
    asks = {"command": command, "status": "503"}
    with running_lab(QUICK) as lab:
        resolved = lab.resolve(planned())
        with lab.journal(tmp_path / "j") as journal:
            limit(lab, **asks)
            cloud = Cloud(lab.cloud()._credentials, patience_s=0.5)
            with pytest.raises(errors.TurnedAway, match=rf"{command}: .* refused \(503\)"):
                build(cloud, planned(), resolved, journal, silent)
            report = remove_journaled(cloud, journal, silent, DEADLINES)
            assert (report.left, report.problems) == ((), ())
            assert journal.pending() == []
        assert lab.objects() == []


@pytest.mark.usefixtures("hasty")
def test_a_server_that_takes_no_calls_at_all_leaves_what_a_clean_up_can_remove(tmp_path: Path) -> None:
    """The removal says once that nothing may be done; later it finds all."""
    with running_lab(QUICK) as lab:
        resolved = lab.resolve(planned())
        with lab.journal(tmp_path / "j") as journal:
            build(lab.cloud(), planned(), resolved, journal, silent)
            limit(lab, status="503")
            with pytest.raises(errors.TurnedAway):
                remove_journaled(Cloud(lab.cloud()._credentials, patience_s=0.2), journal, silent, DEADLINES)
            lab.server._zone.faults.stop("api-error")
            assert is_clean(remove_journaled(lab.cloud(), journal, silent, DEADLINES))
        assert lab.objects() == []


def test_the_lab_asks_to_wait_as_it_is_told() -> None:
    """By the header, and in CloudStack's own words without it."""
    pauses: list[float] = []
    with running_lab(QUICK) as lab:
        cloud = lab.cloud()
        cloud.waiting = WhenTurnedAway(pause=pauses.append)
        for how in ({"retry-after": "7"}, {}):
            limit(lab, status="429", command="listZones", times="1", **how)
            assert cloud.list("listZones", "zone")
    first, second = pauses
    assert 7 <= first <= 8.75
    assert 1 <= second <= 1.25
