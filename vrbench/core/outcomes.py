"""Outcomes as codes, one byte per slot: whatever asks where outcomes stand searches bytes instead of objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vrbench.core.model import Outcome, Sample

CODES = {outcome: code for code, outcome in enumerate(Outcome)}


class Coded(Sequence[Sample]):
    """Samples that hold their outcomes as codes of CODES as well."""

    __slots__ = ()
    outcomes: bytes


def codes_of(samples: Sequence[Sample]) -> bytes:
    """The outcomes of samples as codes of CODES, one byte per slot."""
    return samples.outcomes if isinstance(samples, Coded) else bytes(CODES[s.outcome] for s in samples)


def stretches(samples: Sequence[Sample], outcome: Outcome) -> Iterator[tuple[int, int]]:
    """Where samples of that outcome are next to each other, as places (begin, end)."""
    return (run.span() for run in re.finditer(b"%c+" % CODES[outcome], codes_of(samples), re.DOTALL))
