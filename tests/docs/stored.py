"""The stored runs that documents show: some of those whose figures are held, and a whole demo."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.packed import unpack
from tests.test_stored import STORED
from vrbench.core.figures.results import Run
from vrbench.store.loading import load_run

DEMO = Path(__file__).parent / "demo"


@cache
def demo_run(way: str) -> Run:
    """Return one of the two runs of a stored demo, analysed."""
    return _load(DEMO / f"{way}.tar.xz")


@cache
def stored_run(name: str) -> Run:
    """Return a stored run, analysed."""
    return _load(STORED / name / "run.tar.xz")


def _load(archive: Path) -> Run:
    with TemporaryDirectory() as here:
        return load_run(unpack(archive, Path(here)))
