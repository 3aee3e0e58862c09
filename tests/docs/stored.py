"""The stored runs that documents show."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.test_stored import STORED, unpack
from vrbench.core.figures.results import Run
from vrbench.store.loading import load_run


@cache
def stored_run(name: str) -> Run:
    """Return a stored run, analysed."""
    with TemporaryDirectory() as here:
        return load_run(unpack(STORED / name, Path(here)))
