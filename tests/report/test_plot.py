"""The picture of a calibration: what stands in it, and that failures stand out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.test_calibration import LENGTHS, calibrated, flapping, last_down_for_first_up, outages, stream
from tests.replacing import replace
from vrbench.core.calibrate.calibration import Calibration
from vrbench.report.plot import CANNOT_DRAW, COLOURS, WRONG, can_draw, write_plot


def drawn(calibration: Calibration, here: Path) -> str:
    """Return the picture as SVG text."""
    path = here / "calibration.svg"
    write_plot(calibration, path)
    return path.read_text(encoding="utf-8")


def test_a_good_calibration_has_no_red(tmp_path: Path) -> None:
    """Its kinds, scales and verdict in words, marks in the colour of the kind, and the same file every time."""
    made = calibrated(stream(), outages(LENGTHS))
    text = drawn(made, tmp_path)
    for words in (
        "egress fresh",
        "probed every 10 ms",
        "± 1 interval",
        "100 ms",
        "bounds held the truth in 400 of 400",
    ):
        assert words in text
    assert COLOURS["egress fresh"] in text
    assert WRONG not in text
    assert drawn(made, tmp_path) == text


def test_what_is_wrong_is_red(tmp_path: Path) -> None:
    """Bounds that don't hold the truth."""
    text = drawn(calibrated(stream(), outages(LENGTHS), last_down_for_first_up), tmp_path)
    assert WRONG in text
    assert "or missed" in text


def test_layers_have_panels_of_their_own(tmp_path: Path) -> None:
    """Banners are ten times as coarse."""
    fine = calibrated(stream("ingress", flow="syn"), outages(LENGTHS))
    coarse = calibrated(stream("ingress", interval_s=0.1, flow="banner"), outages(LENGTHS))
    both = replace(fine, comparisons=(*fine.comparisons, *coarse.comparisons))
    text = drawn(both, tmp_path)
    assert "probed every 10 ms" in text
    assert "probed every 100 ms" in text


def test_nothing_to_draw_is_no_error(tmp_path: Path) -> None:
    """Only flapping was injected: a picture without marks."""
    assert "true length" in drawn(calibrated(stream(), [flapping(6, 1)]), tmp_path)


def test_without_matplotlib_nothing_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra: who has not got it is told how to get it."""
    assert can_draw()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert not can_draw()
    assert "pip install 'vrbench[plot]'" in CANNOT_DRAW
