"""Outcomes as codes, one byte per slot: whatever asks where outcomes stand searches bytes instead of objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import groupby

from vrbench.core.model import Outcome, Sample

CODES = {outcome: code for code, outcome in enumerate(Outcome)}


class Stage(IntEnum):
    """How far the answer to a LOST probe came: it shows that the path was up, though the service may have been away."""

    NOTHING = 0
    BEGUN = 1  # the connection stood, and what should have followed never came
    LATE = 2  # the connection stood, and all came, later than the threshold


class Coded(Sequence[Sample]):
    """Samples that hold their outcomes as codes of CODES as well, and their stages (empty: all of them NOTHING)."""

    __slots__ = ()
    outcomes: bytes
    stages: bytes


def codes_of(samples: Sequence[Sample]) -> bytes:
    """Return the outcomes of samples as codes of CODES, one byte per slot."""
    return samples.outcomes if isinstance(samples, Coded) else bytes(CODES[s.outcome] for s in samples)


def parts(samples: Sequence[Sample], begin: int, end: int) -> Iterator[tuple[Stage, int, int]]:
    """Return the places from ``begin`` to ``end`` as runs of one stage: (stage, begin, end)."""
    stages = samples.stages[begin:end] if isinstance(samples, Coded) else b""
    if not stages:
        yield Stage.NOTHING, begin, end
    for stage, run in groupby(stages):
        length = len(list(run))
        yield Stage(stage), begin, begin + length
        begin += length


def stretches(samples: Sequence[Sample], outcome: Outcome) -> Iterator[tuple[int, int]]:
    """Return where samples of that outcome are next to each other, as places (begin, end)."""
    return (run.span() for run in re.finditer(b"%c+" % CODES[outcome], codes_of(samples), re.DOTALL))
