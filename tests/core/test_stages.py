"""Banners that come late, or begin and are cut off: a slow service is down, but proves no outage of the path."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.logs import MS, START, end, header, record, stream
from vrbench.core.figures.windows import Allowance, Downtime, find_windows
from vrbench.core.kinds import SSH_AUTH, SSH_BANNER
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.outcomes import Stage
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.log.samples import Samples, read_samples
from vrbench.core.model import Direction, OutageWindow, Outcome
from vrbench.probes.auth import LATE_S
from vrbench.probes.banner import LATE_NS

BANNER = header(stream("b", Direction.INGRESS, "banner"))
PATIENCE_MS, THRESHOLD_MS, RTT_MS = round(SSH_BANNER.patience_s * 1000), 800, 1
INTERVAL_MS = 100


def slot(number: int, connected: bool, banner_ms: float | None) -> bytes:
    """One banner probe: whether its connection stood, and when its banner came."""
    sent = START + number * INTERVAL_MS * MS
    made = record(RecordKind.SENT, number, sent)
    if connected:
        made += record(RecordKind.CONNECTED, number, sent + RTT_MS * MS)
    if banner_ms is not None:
        made += record(RecordKind.REPLY, number, sent + round(banner_ms * MS))
    return made


def judged(*slots: tuple[bool, float | None]) -> Samples:
    """Return the samples of such probes, one after another."""
    log = BANNER + b"".join(slot(n, *told) for n, told in enumerate(slots)) + end(len(slots) + 20)
    (found,) = read_samples(LogFile.read(log, START), THRESHOLD_MS / 1000).streams
    return found.samples


def windows(samples: Samples) -> tuple[OutageWindow, ...]:
    return find_windows(samples, Allowance(rtt_s=RTT_MS / 1000, patience_s=SSH_BANNER.patience_s))


UP, LATE, BEGUN, DEAD = (True, 5.0), (True, 1200.0), (True, None), (False, None)


def test_patience_is_that_of_the_probers() -> None:
    """What analysis allows for is how long connections are kept."""
    assert (SSH_BANNER.patience_s, SSH_AUTH.patience_s) == (LATE_NS / 1e9, LATE_S)


def test_how_far_answers_came() -> None:
    """Only of what is lost: late, begun or nothing; a slice keeps it."""
    samples = judged(UP, LATE, BEGUN, DEAD, UP)
    assert samples.stages == bytes([0, Stage.LATE, Stage.BEGUN, 0, 0])
    assert samples[1:3].stages == samples.stages[1:3]
    assert judged(UP, DEAD, UP).stages == b""


def test_banners_that_come_late_are_down_and_prove_nothing() -> None:
    """The service was not there in time, for about two seconds; for how long at least, nobody can say."""
    (window,) = windows(judged(UP, *[LATE] * 20, UP))
    assert (window.lost, window.at_least_s) == (20, 0.0)
    assert 1.9 < window.estimate_s < window.at_most_s


def test_a_service_that_never_answers_is_down_for_more_than_is_waited_for() -> None:
    """Connections stand for five seconds, and no banner comes."""
    (window,) = windows(judged(UP, *[BEGUN] * 51, UP))
    assert window.at_least_s == 5.0 - SSH_BANNER.patience_s - RTT_MS / 1000


def test_a_dead_path_between_a_slow_service_is_proven_alone() -> None:
    """What had begun before the cut, and what came late after it, add nothing."""
    (window,) = windows(judged(UP, BEGUN, BEGUN, *[DEAD] * 11, LATE, LATE, UP))
    assert abs(window.at_least_s - (1.0 - RTT_MS / 1000)) < 1e-9
    assert window.estimate_s > 1.4


@settings(max_examples=400, deadline=None)
@given(st.integers(0), st.integers(0, 4000), st.integers(0, PATIENCE_MS - 1))
def test_at_least_claims_no_more_than_the_path_was_down(seed: int, length_ms: int, slowest_ms: int) -> None:
    """An sshd that answers within two seconds, however slowly, and one cut of the path at any moment."""
    draw = random.Random(seed)
    begin = 2000 + draw.random() * INTERVAL_MS
    until = begin + length_ms

    def down(at_ms: float) -> bool:
        return begin <= at_ms < until

    slots: list[tuple[bool, float | None]] = []
    for number in range(40 + length_ms // INTERVAL_MS + 30):
        sent = number * INTERVAL_MS
        connected = not (down(sent) or down(sent + RTT_MS))
        after = max(RTT_MS, draw.random() * slowest_ms if draw.random() < 0.7 else 2.0)
        if down(sent + after):  # sent again by the guest's kernel, after the path is back: perhaps too late
            after = until - sent + draw.random() * 1000
        slots.append((connected, after if connected and after < PATIENCE_MS else None))
    samples = judged(*slots)
    total = Downtime.total(windows(samples))
    assert total.at_least_s <= length_ms / 1000 + 1e-9
    if length_ms > 2 * INTERVAL_MS:
        assert any(s.outcome is Outcome.LOST for s in samples)
        assert total.at_most_s >= length_ms / 1000 - 1e-9
