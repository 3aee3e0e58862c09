"""The headline as tables: one kind of stream at a time, of one run or of two side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest

from rich.console import RenderableType
from rich.text import Text

from vrbench.core.figures.headline import Headline, KindOverTrials, Measure, OverTrials, headline
from vrbench.core.figures.results import MEASURED, Run
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import IN_2018, ProbeKind
from vrbench.core.text import some
from vrbench.report.answer import over_trials
from vrbench.report.layout import table, with_notes
from vrbench.report.wording import NEVER_BACK, digits_of, figure, percent, surely, tiny

SURELY = "surely: hard bounds, no confidence interval; the true time lies between them, whenever probes were sent"
ANY_DOWN = f"{Measure.ANY_DOWN}: how long at least one VM was down"
UNDER = "<: nothing was seen down, or too little for a figure of its own; it was surely less"
OPEN = "≥, open: still down when observation ended"
PINNED = f"{NEVER_BACK}: ongoing pings that stayed dead while new ones worked; they are in no other row"

Row = tuple[str, ...]


def headline_table(run: Run) -> RenderableType:
    """Show each kind over all trials that count, with what its columns mean below; nothing where none counts."""
    of_run = headline(run)
    if not of_run.counted:
        return Text("Downtime: no trial counts, see the caveats")
    of_vms, of_trials = any(k.streams > 1 for k in of_run.kinds), of_run.counted > 1
    columns = ["stream", *(["of the VMs"] if of_vms else []), "average" if of_trials else "down for", "surely"]
    columns += ["lowest", "median", "highest"] if of_trials else []
    shown = table(_title(of_run), *columns, left=2 if of_vms else 1)
    for kind in of_run.kinds:
        for row in _rows(kind, of_vms, of_trials):
            shown.add_row(*row)
    return with_notes(shown, _explained(of_run))


def _title(of_run: Headline) -> str:
    """Say over how many trials and VMs; public ends are named where they are not one for each VM."""
    most = dict.fromkeys(MEASURED, 0)
    for k in of_run.kinds:
        most[k.kind.direction] = max(most[k.kind.direction], k.streams)
    vms, ends = (most[direction] for direction in MEASURED)
    listed = [some(vms, "VM")] if vms else []
    if ends and ends != vms:
        listed.append(some(ends, "public end"))
    return ", ".join((f"Downtime {over_trials(of_run)}", *listed))


def _rows(kind: KindOverTrials, of_vms: bool, of_trials: bool) -> Iterator[Row]:
    """Yield the rows of a kind; where there is one VM, that is the mean, the worst and any of them."""
    shown = tuple(Measure) if of_vms else (Measure.MEAN,)
    rows = [(m.value, *_cells(kind.measures[m], of_trials)) for m in shown if kind.trials or not kind.stuck]
    rows += [(NEVER_BACK, back) for back in _never_back(kind)]
    if of_vms:
        way, _, what = kind.kind.labels.row.partition(" ")
        yield from ((name, *row) for name, row in zip_longest((way, what), rows, fillvalue=""))
        return
    (name, *cells), *others = rows
    yield kind.kind.labels.row, *([name] if name == NEVER_BACK else []), *cells
    yield from ((f"  {name}", *rest) for name, *rest in others)


def _never_back(kind: KindOverTrials) -> Iterator[str]:
    if kind.stuck:
        yield f"{kind.stuck} of {kind.watched - kind.unmeasured}"


def _cells(over: OverTrials, of_trials: bool) -> Row:
    average = over.average
    ranked = [over.lowest, over.median, over.highest] if of_trials else []
    digits = digits_of([average, *ranked])
    return figure(average, digits), surely(average, digits), *(_or_open(d, digits) for d in ranked)


def _or_open(d: Downtime, digits: int) -> str:
    """Return a figure of one trial; where its end was not seen, that says more than its lower bound."""
    return "open" if d.open and not math.isnan(d.estimate_s) else figure(d, digits)


def _explained(of_run: Headline) -> Iterator[str]:
    """Yield what the cells mean, as far as they are there."""
    measures = [over for k in of_run.kinds for over in k.measures.values()]
    shown = [d for over in measures for d in (*over.downtimes, *([over.average] if over.downtimes else []))]
    yield SURELY
    if any(k.streams > 1 for k in of_run.kinds):
        yield ANY_DOWN
    if any(tiny(d) for d in shown):
        yield UNDER
    if any(d.open for d in shown):
        yield OPEN
    if any(k.stuck for k in of_run.kinds):
        yield PINNED
    for k in of_run.kinds:
        if k.unmeasured:
            yield f"{k.kind.labels.row}: {k.unmeasured} of {k.watched} could not be measured, see the caveats"


def reduction_table(before: Run, after: Run, words: tuple[str, str]) -> RenderableType:
    """Show two runs side by side in the form operators know from 2018: averages, the lowest, and the reduction."""
    shown = table(
        "How long the network is down: router restart with cleanup", "stream", "", *words, "reduction", left=2
    )
    runs = [{k.kind: k for k in headline(run).kinds} for run in (before, after)]
    for kind in IN_2018:
        for row in _compared(kind, *(of.get(kind) for of in runs)):
            shown.add_row(*row)
    as_then = "as in 2018: one ongoing ping from each VM, and SSH to each VM until its first words; means over VMs"
    return with_notes(shown, [SURELY, as_then])


def _compared(kind: ProbeKind, before: KindOverTrials | None, after: KindOverTrials | None) -> Iterator[Row]:
    """Yield the rows of one kind in two runs; those of one in which it was not measured are dashes."""
    if before is None or after is None or not (before.trials and after.trials):
        yield kind.labels.row, *"––––"
        return
    was, average, lowest = before.mean.average, after.mean.average, after.mean.lowest
    yield kind.labels.row, "average", figure(was), figure(average), _reduction(was, average)
    yield "", "surely", surely(was), surely(average), ""
    yield (
        "",
        "lowest",
        "",
        figure(lowest),
        _reduction(was, lowest),
    )  # the average before against the best after: as in 2018
    if before.stuck or after.stuck:
        back = (" ".join(_never_back(k)) or "–" for k in (before, after))
        yield "", NEVER_BACK, *back, ""


def _reduction(before: Downtime, after: Downtime) -> str:
    """Word how much less it is; where nothing was seen any more, what it is more than."""
    if before.open or after.open or tiny(before):
        return "–"
    if tiny(after):
        least = math.floor(100 * (1 - after.at_most_s / before.at_least_s)) if before.at_least_s > 0 else 0
        return f"> {least} %" if least > 0 else "–"
    return percent(1 - after.estimate_s / before.estimate_s)
