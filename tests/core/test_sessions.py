"""What becomes of a session: survived, stalled or reset, with when; and what it does to a trial."""

import pytest

from tests.core.logs import MS, START, end, header, line, stream
from vrbench.core.analysis import analyze_trial
from vrbench.core.caveats import CaveatKind
from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import TrialResult
from vrbench.core.figures.sessions import SessionState, answered, sessions
from vrbench.core.kinds import DNS
from vrbench.core.model import Direction, Stream, Verdict
from vrbench.core.plan.method import Method

METHOD = Method(0.1, 0.25, 0.8, 1, 15.0, 10.0)
FACTS = TrialFacts(number=1, requested_utc="2026-11-24T12:00:00.000Z", requested_ns=START + 1000 * MS, baseline_s=15.0)
OUT = "R" * 15 + "L" * 10 + "R" * 15  # down from 0.5 s to 1.5 s after the request


def trial(session: str = "R" * 40, dns: str = "R" * 40, auth: str = "R" * 40) -> TrialResult:
    """Return a trial whose figures are fine, with something beside them."""
    target = "198.51.100.11:22"
    guest = header(stream("e"), Stream("dns/vm1", Direction.EGRESS, "dns", "resolver", "10.1.1.1", 0.1), node="vm1")
    listed = [
        stream("i", Direction.INGRESS, "syn"),
        Stream("tcp-ingress/vm1/established", Direction.INGRESS, "tcp-ingress", "established", target, 0.1),
        Stream("ssh-ingress/x/auth", Direction.INGRESS, "ssh-ingress", "auth", target, 0.1),
        Stream("c", Direction.CONTROL, "control", "fresh", "198.51.100.2", 0.1),
    ]
    own = header(*listed, node="harness") + b"".join(line(o, i) for i, o in enumerate((OUT, session, auth, "R" * 40)))
    return analyze_trial(FACTS, [guest + line(OUT) + line(dns, 1) + end(40), own + end(40)], METHOD)


@pytest.mark.parametrize(
    ("echoes", "state", "silent_s", "resumed_s", "ended_s"),
    [
        ("R" * 40, SessionState.SURVIVED, None, None, None),
        ("R" * 15 + "L" * 10 + "R" * 15, SessionState.STALLED, 0.5, 1.501, None),
        ("R" * 15 + "L" * 25, SessionState.STALLED, 0.5, None, None),
        ("R" * 15 + "L" * 5 + "F" * 20, SessionState.RESET, 0.5, None, 1.001),
        ("R" * 15 + "F" * 25, SessionState.RESET, 0.5, None, 0.501),
        ("R" * 5 + "F" * 35, SessionState.RESET, -0.5, None, -0.499),
        ("", SessionState.UNKNOWN, None, None, None),
        ("R" * 15 + "s" * 25, SessionState.UNKNOWN, None, None, None),
    ],
)
def test_state(
    echoes: str, state: SessionState, silent_s: float | None, resumed_s: float | None, ended_s: float | None
) -> None:
    """Each session with the moments that belong to what became of it."""
    (session,) = sessions(trial(echoes.replace("s" * 25, "s" * 24 + "f")))
    assert (session.guest, session.target, session.state) == ("vm1", "198.51.100.11:22", state)
    assert [session.silent_s, session.resumed_s, session.ended_s] == pytest.approx([silent_s, resumed_s, ended_s])


@pytest.mark.parametrize("echoes", ["R" * 15 + "L" * 25, "R" * 15 + "F" * 25, ""])
def test_a_cut_session_is_a_result_not_a_doubt(echoes: str) -> None:
    """The trial is valid, has recovered, and its figures are those of the streams that count."""
    result = trial(echoes)
    assert result.verdict is Verdict.VALID
    assert CaveatKind.NO_RECOVERY_SEEN not in {c.kind for c in result.caveats}
    assert result.figures(Direction.INGRESS).downtime.estimate_s == pytest.approx(1.0)
    assert result.figures(None).streams == 2


def test_names_and_logins_stay_out_of_the_figures() -> None:
    """Twice as long an outage of the resolver and of logins moves no headline figure."""
    longer = "R" * 15 + "L" * 20 + "R" * 5
    assert trial(dns=longer, auth=longer).figures(None) == trial().figures(None)


@pytest.mark.parametrize("kind", ["dns", "auth"])
def test_names_and_logins_must_come_back(kind: str) -> None:
    """A resolver that answered before and never again is a recovery that nobody saw."""
    result = trial(**{kind: "R" * 15 + "L" * 25})
    assert result.verdict is Verdict.UNKNOWN
    assert CaveatKind.NO_RECOVERY_SEEN in {c.kind for c in result.caveats}


def test_a_resolver_that_never_answered_is_not_measured() -> None:
    """A router without DNS casts no doubt on the trial, and gives no figure."""
    result = trial(dns="L" * 40)
    assert result.verdict is Verdict.VALID
    assert answered(result, DNS) == ()


def test_a_stream_whose_name_gives_no_place_has_none() -> None:
    """A damaged name of a stored log is no reason to lose the table of sessions."""
    assert Stream("tcp-ingress", Direction.INGRESS, "tcp-ingress", "established", "x", 0.1).place == ""
    assert (
        Stream("tcp-ingress/vm1/established", Direction.INGRESS, "tcp-ingress", "established", "x", 0.1).place == "vm1"
    )
