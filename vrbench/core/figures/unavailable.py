"""Unavailable time by the ten-interval rule, which a short blink does not move."""

from __future__ import annotations

from collections.abc import Sequence

from vrbench.core.log.outcomes import CODES, codes_of
from vrbench.core.model import Outcome, Sample

_GAPS = bytes(code for outcome, code in CODES.items() if outcome.is_gap)
_IS_DOWN = bytes(code in {CODES[outcome] for outcome in Outcome if outcome.is_down} for code in range(256))


def unavailable_s(samples: Sequence[Sample], interval_s: float, run: int = 10) -> float:
    """Return unavailable time by the ten-interval rule (ITU-T Y.1563 and MEF 10 style).

    Unavailability begins with the first of ``run`` consecutive down intervals and ends before the first of ``run``
    consecutive up ones. Gaps count as neither: they don't break a run and don't lengthen it.
    """
    known = codes_of(samples).translate(_IS_DOWN, _GAPS)
    ups, downs = b"\0" * run, b"\1" * run
    unavailable, begin = 0, known.find(downs)
    while begin >= 0:
        end = known.find(ups, begin)
        # Where the log ends within fewer successes than it takes, it is available again from the first of them.
        unavailable += (known.rfind(b"\1") + 1 if end < 0 else end) - begin
        begin = known.find(downs, end) if end >= 0 else -1
    return unavailable * interval_s
