"""The pictures show what the program computes and prints today, and fetch nothing from anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.docs.markdown import ROOT
from tests.docs.pictures.demo import demo_picture
from tests.docs.pictures.timeline import timeline_picture
from tests.docs.pictures.window import DOWN_S, example, window_picture

FOLDER = ROOT / "reports/reference"
PICTURES: dict[str, Callable[[], str]] = {
    "demo.svg": demo_picture,
    "timeline.svg": timeline_picture,
    "window.svg": window_picture,
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str, rewrite: bool) -> None:
    """A picture is what would be drawn today."""
    drawn = PICTURES[name]()
    if rewrite:
        (FOLDER / name).write_text(drawn, encoding="utf-8")
    assert (FOLDER / name).read_text(encoding="utf-8") == drawn


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.svg")), ids=lambda p: p.name)
def test_a_picture_fetches_nothing(path: str) -> None:
    """No font, style or picture comes from elsewhere; the one address is the name of SVG itself."""
    text = (FOLDER / path).read_text(encoding="utf-8")
    assert re.findall(r"https?://[^\"'\s)]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@import|@font-face|url\(|<image|<script", text)


def test_the_drawn_outage_lies_within_its_bounds() -> None:
    """What the drawing claims of bounds is true of the outage that it shows."""
    _, window = example()
    true_s = DOWN_S[1] - DOWN_S[0]
    assert window.at_least_s < true_s < window.at_most_s
