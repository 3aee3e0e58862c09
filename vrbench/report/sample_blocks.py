"""The export table "samples": there may be millions, so they stay in columns, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from vrbench.core.figures.results import Run, StreamResult
from vrbench.core.log.samples import Samples, Seconds
from vrbench.core.model import Outcome
from vrbench.report.export_rows import Row, stream_cells

AT_ONCE = 50_000  # rows of a block
WORDS = tuple(outcome.value for outcome in Outcome)


class SampleBlock(Struct, frozen=True, eq=False):
    """Samples of one stream, next to each other.

    ``head`` are the cells that stand in all of their rows, before those that differ; ``method`` stands behind them.
    Times are in the units of their columns, NaN where a cell is empty; ``outcomes`` are places in WORDS.
    """

    head: Row
    slot: range
    due_s: Seconds
    sent_s: Seconds
    outcomes: bytes
    rtt_ms: Seconds
    method: str


def sample_blocks(runs: Iterable[Run]) -> Iterator[SampleBlock]:
    """Return all samples of the runs, in order; a stream that was not measured has none."""
    for run in runs:
        for trial in run.trials:
            for stream in trial.streams:
                head = stream_cells(run, trial, stream)
                yield from (_block(head, part, run.method.id) for part in _parts(stream))


def _parts(stream: StreamResult) -> Iterator[Samples]:
    """Cut a stream's samples into parts of AT_ONCE."""
    samples = stream.samples
    for begin in range(0, len(samples), AT_ONCE):
        part = samples[begin : begin + AT_ONCE]
        if not isinstance(part, Samples):
            raise TypeError(f"the samples of {stream.stream.name} are in no columns")
        yield part


def _block(head: Row, samples: Samples, method: str) -> SampleBlock:
    slots = range(samples.first, samples.first + len(samples))
    return SampleBlock(head, slots, samples.due_s, samples.sent_s, samples.outcomes, samples.rtt_s * 1000, method)
