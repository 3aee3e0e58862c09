"""A strip shows what the states told, and where they told nothing."""

from __future__ import annotations

import pytest

from tests.core.logs import stream
from tests.replacing import replace
from vrbench.core.log.growing_log import StreamState
from vrbench.core.log.strip import KEPT_S, Seen, Strip, summary_words, worst
from vrbench.core.model import Direction

SIGNS = {Seen.NOTHING_YET: " ", Seen.UP: "u", Seen.NOT_SEEN: "?", Seen.DOWN: "D"}


def state(up: bool | None, since: float, judged: float, windows: int = 0, down: float = 0.0) -> StreamState:
    """Make a state from seconds."""
    since_ns, judged_ns, down_ns = (round(t * 1e9) for t in (since, judged, down))
    return StreamState("vm1", stream("s"), up, since_ns, judged_ns, 1, windows, down_ns)


def shown(strip: Strip, now: float, count: int = 10, seconds: int = 1) -> str:
    return "".join(SIGNS[cell] for cell in strip.cells(round(now * 1e9), count, seconds))


UP_TO_12 = state(True, 10.0, 12.9)


@pytest.mark.parametrize(
    ("states", "now", "strip"),
    [
        pytest.param([], 19.5, "          ", id="nothing was probed yet"),
        pytest.param([state(None, 0, 0)], 19.5, "          ", id="nothing was judged yet"),
        pytest.param([UP_TO_12], 13.5, "      uuu ", id="the newest second is not judged yet"),
        pytest.param([UP_TO_12], 19.5, "uuu???    ", id="no news is not seen, once it is old"),
        pytest.param([UP_TO_12, UP_TO_12], 19.5, "uuu???    ", id="the same news again"),
        pytest.param([UP_TO_12, state(True, 10.0, 19.2)], 19.5, "uuuuuuuuuu", id="it went on"),
        pytest.param([UP_TO_12, state(False, 15.1, 19.2, 1)], 19.5, "uuuuuDDDDD", id="it went down"),
        pytest.param(
            [UP_TO_12, state(False, 15.1, 16.2, 1), state(True, 17.1, 19.2, 1, 2.0)],
            19.5,
            "uuuuuDDDuu",
            id="it went down and came back",
        ),
        pytest.param([UP_TO_12, state(True, 17.1, 19.2, 1, 2.0)], 19.5, "uuuuuDDDuu", id="both came as one news"),
        pytest.param([UP_TO_12, state(True, 17.1, 19.2, 2, 2.0)], 19.5, "uuDDDDDDuu", id="two windows, anywhere"),
        pytest.param([UP_TO_12, state(False, 17.1, 19.2, 2, 1.0)], 19.5, "uuDDDDDDDD", id="down again"),
        pytest.param(
            [state(True, 10.0, 12.9, 5, 3.0), state(True, 10.0, 19.2)], 19.5, "uuuuuuuuuu", id="windows counted anew"
        ),
        pytest.param([state(False, 10.0, 19.2, 1)], 19.5, "DDDDDDDDDD", id="down from the start"),
    ],
)
def test_strip(states: list[StreamState], now: float, strip: str) -> None:
    """Ten seconds, oldest first."""
    fed = Strip()
    for one in states:
        fed.add(one)
    assert shown(fed, now) == strip


def test_a_coarse_cell_is_as_bad_as_its_worst_second_and_keeps_its_place() -> None:
    """Cells begin at whole multiples of their length, whenever one looks."""
    strip = Strip()
    for one in (state(True, 0.0, 12.9), state(True, 15.2, 29.9, 1, 0.1)):
        strip.add(one)
    assert shown(strip, 29.9, 6, 5) == "uuuDuu"
    assert shown(strip, 31.0, 6, 5) == "uuDuu "


def test_streams_of_one_vm_are_one_strip_worst_first() -> None:
    """Down before not seen before up; what is not known yet hides nothing."""
    one, other = Strip(), Strip()
    one.add(state(True, 10.0, 19.2))
    other.add(state(False, 12.0, 13.5, 1))
    strips = [s.cells(round(19.5e9), 10, 1) for s in (one, other)]
    assert "".join(SIGNS[cell] for cell in worst(strips)) == "uuDD??uuuu"


def test_the_past_is_forgotten() -> None:
    """An hour of watching needs no more room than a minute."""
    strip = Strip()
    for second in range(3600):
        strip.add(state(True, 0.0, second + 0.5))
    assert shown(strip, 3600.0, 5) == "uuuuu"[:4] + " "
    assert len(strip._down) <= 2 * KEPT_S + 2


def now(up: bool | None, direction: Direction, flow: str, judged: float = 19.9) -> StreamState:
    """Make a stream as it is at 20 s."""
    return replace(state(up, 10.0, judged), stream=stream("s", direction, flow))


def test_sums_count_the_streams_that_figures_are_made_of() -> None:
    """Old news is counted for itself, sessions and control not at all."""
    egress = [now(up, Direction.EGRESS, "fresh") for up in (True, True, False, None)]
    old = now(True, Direction.EGRESS, "persistent", judged=16.9)
    beside = [now(False, Direction.INGRESS, "established"), now(False, Direction.CONTROL, "fresh")]
    at = 20_000_000_000
    assert summary_words([*egress, old, *beside], at) == "egress 2 of 5 up, 1 without news"
    ingress = now(True, Direction.INGRESS, "syn")
    assert summary_words([ingress, *egress], at) == "egress 2 of 4 up; ingress 1 of 1 up"
    assert summary_words(beside, at) == "no stream yet"
