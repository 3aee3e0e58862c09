"""What ping printed, as samples: recorded outputs of iputils 20221126 and BusyBox 1.35, and what may befall them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pytest

from vrbench.core.judge.verdict import CLOCK_STEP_NS
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.pinglog import PingLog, PingSetup, PingStream
from vrbench.core.log.pingtimes import send_times
from vrbench.core.log.rawlog import decode_header
from vrbench.core.log.samples import NodeLog, read_samples
from vrbench.core.model import Direction, Outcome, Sample, Stream

MS = 1_000_000
IPUTILS_DROP = """\
12935.69 begin
12935.69 0 new
12935.69 0 PING 10.8.0.1 (10.8.0.1) 56(84) bytes of data.
12935.69 0 [1795537991.287776] 64 bytes from 10.8.0.1: icmp_seq=1 ttl=64 time=0.061 ms
12935.90 0 [1795537991.493923] 64 bytes from 10.8.0.1: icmp_seq=2 ttl=64 time=0.072 ms
12936.10 0 [1795537991.698022] 64 bytes from 10.8.0.1: icmp_seq=3 ttl=64 time=0.061 ms
12936.51 0 [1795537992.105918] no answer yet for icmp_seq=4
12936.72 0 [1795537992.309870] no answer yet for icmp_seq=5
12936.72 0 [1795537992.309946] 64 bytes from 10.8.0.1: icmp_seq=6 ttl=64 time=0.028 ms
12936.92 0 [1795537992.513925] 64 bytes from 10.8.0.1: icmp_seq=7 ttl=64 time=0.026 ms
12937.12 0 [1795537992.718016] 64 bytes from 10.8.0.1: icmp_seq=8 ttl=64 time=0.030 ms
12937.19 0
12937.19 0 --- 10.8.0.1 ping statistics ---
12937.19 0 8 packets transmitted, 6 received, 25% packet loss, time 1430ms
12937.19 0 rtt min/avg/max/mdev = 0.026/0.046/0.072/0.018 ms
12938.69 end
"""
IPUTILS_REJECT = """\
12937.20 begin
12937.20 0 new
12937.20 0 [1795537992.793153] 64 bytes from 10.8.0.1: icmp_seq=1 ttl=64 time=0.021 ms
12937.40 0 [1795537992.997905] 64 bytes from 10.8.0.1: icmp_seq=2 ttl=64 time=0.021 ms
12937.61 0 [1795537993.201864] 64 bytes from 10.8.0.1: icmp_seq=3 ttl=64 time=0.049 ms
12937.81 0 [1795537993.405847] From 10.8.0.1 icmp_seq=4 Packet filtered
12938.02 0 [1795537993.610130] no answer yet for icmp_seq=4
12938.02 0 [1795537993.610192] From 10.8.0.1 icmp_seq=5 Packet filtered
12938.22 0 [1795537993.813897] no answer yet for icmp_seq=5
12938.22 0 [1795537993.813964] 64 bytes from 10.8.0.1: icmp_seq=6 ttl=64 time=0.025 ms
12939.22 end
"""
BUSYBOX_SILENCE = """\
12938.70 begin
12938.70 0 new
12938.70 0 PING 10.8.0.1 (10.8.0.1): 56 data bytes
12938.70 0 64 bytes from 10.8.0.1: seq=0 ttl=64 time=0.029 ms
12938.90 0 64 bytes from 10.8.0.1: seq=1 ttl=64 time=0.052 ms
12939.10 0 64 bytes from 10.8.0.1: seq=2 ttl=64 time=0.057 ms
12939.90 0 64 bytes from 10.8.0.1: seq=6 ttl=64 time=0.065 ms
12940.10 0 64 bytes from 10.8.0.1: seq=7 ttl=64 time=0.048 ms
12940.20 0
12940.20 0 --- 10.8.0.1 ping statistics ---
12940.20 0 8 packets transmitted, 5 packets received, 37% packet loss
12940.20 0 round-trip min/avg/max = 0.029/0.050/0.065 ms
12941.50 end
"""
LONE = """\
100.00 begin
100.51 0 one 100.50 0 PING 10.8.0.1 (10.8.0.1) 56(84) bytes of data. [1.000000] 64 bytes from 10.8.0.1: icmp_seq=1 ttl=64 time=0.027 ms --- 10.8.0.1 ping statistics --- 1 packets transmitted, 1 received, 0% packet loss, time 0ms
101.51 0 one 101.50 0 PING 10.8.0.1 (10.8.0.1): 56 data bytes 64 bytes from 10.8.0.1: seq=0 ttl=64 time=0.031 ms --- 10.8.0.1 ping statistics --- 1 packets transmitted, 1 packets received, 0% packet loss
102.01 0 one 101.00 1 PING 10.8.0.1 (10.8.0.1): 56 data bytes --- 10.8.0.1 ping statistics --- 1 packets transmitted, 0 packets received, 100% packet loss
102.01 0 one 102.00 2 ping: connect: Network is unreachable
102.60 0 one 102.50 0 PING 10.8.0.1 (10.8.0.1): 56 data bytes 64 bytes from 10.8.0.1: seq=0 ttl=64 time=0.031 ms --- 10.8.0.1 ping statistics --- 1 packets transmitted, 1 packets received, 0% packet loss
103.01 0 one 103.00 1 PING 10.8.0.1 (10.8.0.1) 56(84) bytes of data. [1.000000] From 10.8.0.9 icmp_seq=1 Destination Host Unreachable --- 10.8.0.1 ping statistics --- 1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms
106.00 end
"""  # noqa: E501


def setup(method: str, flow: str = "persistent", asked_ms: int = 200, period_ms: float = 204) -> PingSetup:
    stream = Stream(f"icmp-egress/vm1/{flow}", Direction.EGRESS, "icmp-egress", flow, "10.8.0.1", asked_ms / 1000)
    return PingSetup("vm1", method, (PingStream(stream, asked_ms * MS, round(period_ms * MS)),))


def converted(text: str, how: PingSetup, chunk: int = 0) -> NodeLog:
    """Return the samples of a text, fed whole or in pieces; times in seconds of its own clock."""
    log, feed = PingLog(how), text.encode()
    pieces = [feed[i : i + chunk] for i in range(0, len(feed), chunk)] if chunk else [feed]
    return read_samples(LogFile.read(b"".join(log.feed(piece) for piece in pieces), 0), 0.8)


def samples(text: str, how: PingSetup) -> Sequence[Sample]:
    return converted(text, how).streams[0].samples


def drawn(found: Sequence[Sample]) -> str:
    """One letter per slot: R replied, L lost, X refused, s skipped, u unknown."""
    letters = {
        Outcome.REPLIED: "R",
        Outcome.LOST: "L",
        Outcome.REFUSED: "X",
        Outcome.SKIPPED: "s",
        Outcome.UNKNOWN: "u",
    }
    return "".join(letters[s.outcome] for s in found)


def iputils(numbers: dict[int, float], step: tuple[float, float] = (1e9, 0.0)) -> str:
    """Answers with these numbers at these times, the wall clock stepped by so much while one was on its way."""
    lines, stepped = ["100.00 begin", "100.00 0 new"], False
    for number, at in numbers.items():
        crossed, stepped = not stepped and at >= step[0], at >= step[0]
        wall, rtt_ms = 1_000_000 + at + stepped * step[1], max(0.0, 0.1 + crossed * step[1] * 1000)
        if crossed and step[1] < 0:
            lines.append(f"{at:.2f} 0 ping: Warning: time of day goes back (-1us), taking countermeasures")
        lines.append(f"{at:.2f} 0 [{wall:.6f}] 64 bytes from 10.8.0.1: icmp_seq={number} ttl=64 time={rtt_ms:.3f} ms")
    return "\n".join([*lines, f"{max(numbers.values()) + 2:.2f} end", ""])


def test_iputils_says_when_lost_probes_were_sent() -> None:
    """``no answer yet for 4`` is printed when 5 is sent; 4 itself was sent an interval or more before that."""
    found = samples(IPUTILS_DROP, setup("iputils-200ms"))
    assert drawn(found) == "RRRLLRRR"
    assert [round(s.sent_s or 0, 2) for s in found] == [12935.69, 12935.9, 12936.1, 12936.31, 12936.51, *TAIL]
    assert found[5].rtt_s == pytest.approx(0.000028)


TAIL = [12936.72, 12936.92, 12937.12]


def test_refusals_keep_their_reason() -> None:
    """What iputils words as an ICMP error is that error, at the slot it names."""
    found = samples(IPUTILS_REJECT, setup("iputils-200ms"))
    assert drawn(found) == "RRRXXR"
    log = PingLog(setup("iputils-200ms")).feed(IPUTILS_REJECT.encode())
    assert (0x030D).to_bytes(2, "little") in log[decode_header(log)[1] :]


def test_busybox_is_silent_about_lost_probes() -> None:
    """Their numbers are missing, and they were sent between their neighbours, an interval apart."""
    found = samples(BUSYBOX_SILENCE, setup("busybox-200ms", period_ms=200.2))
    assert drawn(found) == "RRRLLLRR"
    assert [round(s.sent_s or 0, 2) for s in found[2:7]] == [12939.1, 12939.3, 12939.5, 12939.7, 12939.9]


def test_the_end_of_an_outage_that_ping_did_not_see() -> None:
    """Probes that were sent until ping was stopped are known by its last words, or by iputils' complaints."""
    cut = re.sub(r"^.*seq=[67].*\n", "", BUSYBOX_SILENCE, flags=re.MULTILINE)
    assert drawn(samples(cut, setup("busybox-200ms", period_ms=200))) == "RRRLLLLL"
    cut = re.sub(r"^.*ttl=64.*seq=[678].*\n|^.*icmp_seq=[678] ttl.*\n|^.*transmitted.*\n", "", IPUTILS_DROP, flags=re.M)
    assert drawn(samples(cut, setup("iputils-200ms"))) == "RRRLLL"


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_pieces_make_the_same_log(chunk: int) -> None:
    """However the text arrives, the log is the same."""
    assert converted(IPUTILS_DROP, setup("iputils-200ms"), chunk) == converted(IPUTILS_DROP, setup("iputils-200ms"))


def test_one_ping_per_probe() -> None:
    """Answered, lost (told a second later), not sent, sent nobody knows when, refused: each in its own slot."""
    found = samples(LONE, setup("iputils-20ms", "fresh", 500, 500))
    assert drawn(found) == "sRLRssX"
    assert found[1].sent_s == pytest.approx(100.51, abs=0.01)
    assert found[2].sent_s == pytest.approx(101.01, abs=0.01)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 0.4, -0.4])
def test_a_stepped_wall_clock_changes_nothing(step_s: float) -> None:
    """Forward or backward, much or little: the same samples, but for a gap where ping could not tell the round trip."""
    at = {n: 100 + n * 0.024 for n in range(1, 300) if not 150 <= n < 200}
    how = setup("iputils-20ms", asked_ms=20, period_ms=24)
    steady = converted(iputils(at), how)
    stepped = converted(iputils(at, step=(102.0, step_s)), how)
    before, after = steady.streams[0].samples, stepped.streams[0].samples
    (differing,) = [b for a, b in zip(before, after, strict=True) if a != b]
    assert (round(differing.due_s, 1), differing.outcome) == (102.0, Outcome.SKIPPED)
    assert drawn(steady.streams[0].samples).count("L") in range(44, 51)
    wide = max(stepped.wall_ns) - min(stepped.wall_ns)
    assert (wide > CLOCK_STEP_NS) == (abs(step_s) > 0.5)


def test_a_line_read_late_says_nothing_about_when() -> None:
    """A reader that was held up leaves gaps, not sends at the wrong time, and no loss either."""
    at = {n: 100 + n * 0.024 for n in range(1, 200)}
    lines = iputils(at).splitlines()
    held = [re.sub(r"^[\d.]+", "102.55", line) if 90 < i < 108 else line for i, line in enumerate(lines)]
    found = samples("\n".join([*held, ""]), setup("iputils-20ms", asked_ms=20, period_ms=24))
    assert "L" not in drawn(found)
    assert drawn(found)[88:].startswith("RRs")
    gaps = [s for s in found if s.outcome is Outcome.SKIPPED]
    assert 14 <= len(gaps) <= 17
    assert all(abs((s.sent_s or 0) - (100 + 0.024 * (i + 1))) < 0.03 for i, s in enumerate(found) if s.sent_s)


def test_an_answer_that_took_too_long_is_none() -> None:
    """A second and more is a loss under any threshold, and does not move what was sent when."""
    at = {n: 100 + n * 0.024 for n in range(1, 100)}
    text = iputils(at).replace("icmp_seq=50 ttl=64 time=0.100", "icmp_seq=50 ttl=64 time=1200")
    text = text.replace("101.20 0 [", "102.40 0 [").replace("[1000101.200000]", "[1000102.400000]")
    lines = sorted(text.splitlines()[:-1], key=lambda line: float(line.split()[0]))
    found = samples("\n".join([*lines, "106.00 end", ""]), setup("iputils-20ms", asked_ms=20, period_ms=24))
    assert drawn(found).count("L") == 1
    assert "L" in drawn(found)[48:51]


def test_ping_started_anew_is_a_gap() -> None:
    """BusyBox ends at a local error: until the next one began nothing was sent, and nothing was lost."""
    first = BUSYBOX_SILENCE.split("12939.90")[0] + "12939.30 0 ping: sendto: Operation not permitted\n"
    again = "".join(f"{12940 + i / 5:.2f} 0 64 bytes from 10.8.0.1: seq={i} ttl=64 time=0.030 ms\n" for i in range(4))
    found = samples(f"{first}12940.00 0 new\n{again}12942.00 end\n", setup("busybox-200ms", period_ms=200))
    assert drawn(found) == "RRRsssRRRR"


def test_a_steady_pace_leaves_nothing_open() -> None:
    """Within the grain every unknown probe was sent where it should have been."""
    ms = {n: round(t / MS) for n, t, _ in send_times((0, 0), (4, 804 * MS), {}, 200 * MS)}
    assert ms == {1: 201, 2: 402, 3: 603}
    told = [(n, t // MS, c) for n, t, c in send_times((0, 0), (4, 804 * MS), {2: 408 * MS}, 200 * MS)]
    assert told == [(1, 204, True), (2, 408, True), (3, 606, True)]


def test_few_probes_are_put_where_they_prove_least() -> None:
    """Three within 1.4 s, each at least 0.2 s after the other: they may all have been sent around the middle."""
    assert [t // MS for _, t, _ in send_times((0, 0), (4, 1400 * MS), {}, 200 * MS)] == [700, 700, 700]


@pytest.mark.parametrize("lost", [1, 2, 3, 10])
def test_a_ping_that_was_stopped_says_nothing_of_that_time(lost: int) -> None:
    """Its probes were sent before or after it stood still, nobody knows which: gaps, and no outage in between."""
    end = (lost + 1, (lost + 1) * 100 * MS)
    assert all(certain for _, _, certain in send_times((0, 0), end, {}, 100 * MS))
    stopped = (end[0], end[1] + end[1] + 100 * MS)
    assert not any(certain for _, _, certain in send_times((0, 0), stopped, {}, 100 * MS))


@pytest.mark.parametrize("slack_ms", [12, 100, 500, 1900])
def test_what_is_proven_does_not_rely_on_an_even_pace(slack_ms: int) -> None:
    """A hundred probes, and some time lost nobody knows where: the runs of certain ones prove only what is sure."""
    told = list(send_times((0, 0), (100, (2000 + slack_ms) * MS), {}, 20 * MS))
    assert told[0][2], "the first is told of: the estimate begins with it"
    proven = sum(b[1] - a[1] for a, b in itertools.pairwise(told) if a[2] and b[2])
    assert proven <= 98 * 20 * MS + 10 * MS
    assert proven >= (98 * 20 - slack_ms - 100) * MS


def test_the_header_says_how_and_how_exactly() -> None:
    """Analysis widens bounds by the grain and keeps the method apart."""
    log = converted(IPUTILS_DROP, setup("iputils-200ms"))
    assert (log.method, log.grain_s, log.ended) == ("iputils-200ms", 0.02, True)
