"""The caveats of runs, each kind once: which trials carry it, whom it concerns, what it means and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vrbench.core.caveats import CaveatKind, Effect
from vrbench.core.figures.results import Run
from vrbench.core.text import listed, some

MOST_DETAILS = 3  # more different ones than these are a wall; --json has them all
MOST_NUMBERS = 3
STYLES = {Effect.INVALID: "bold red", Effect.UNKNOWN: "yellow", Effect.NONE: "yellow"}

Place = tuple[str, int]  # run and number of the trial
Found = dict[str, list[Place]]  # detail -> the trials that have it


class FoldedCaveat(Struct, frozen=True):
    """One kind of caveat over all trials: ``where`` is empty when there is only one trial to speak of."""

    kind: CaveatKind
    where: str
    details: tuple[str, ...]

    @property
    def line(self) -> str:
        """Where, what happened, and the details in brackets."""
        happened = f"{self.where}: {self.kind.happened}" if self.where else self.kind.happened
        return f"{happened} ({'; '.join(self.details)})" if self.details else happened


def fold_caveats(runs: Sequence[Run]) -> tuple[FoldedCaveat, ...]:
    """Return every kind of caveat that a trial of the runs carries, worst first."""
    trials: dict[str, list[int]] = {run.run_id: [t.facts.number for t in run.trials] for run in runs}
    names = {run.run_id: run.context.environment if len(runs) > 1 else "" for run in runs}
    found: dict[CaveatKind, Found] = {}
    for run in runs:
        for trial in run.trials:
            for caveat in trial.caveats:
                found.setdefault(caveat.kind, {}).setdefault(caveat.detail, []).append((run.run_id, trial.facts.number))
    kinds = sorted(found, key=lambda kind: kind.rank)
    return tuple(_folded(kind, found[kind], trials, names) for kind in kinds)


def _folded(kind: CaveatKind, found: Found, trials: dict[str, list[int]], names: dict[str, str]) -> FoldedCaveat:
    carrying = {place for places in found.values() for place in places}
    told = [(detail, {*places}) for detail, places in found.items() if detail]
    details = [
        detail if places == carrying else f"{_where(places, trials, names, among=False)}: {detail}"
        for detail, places in told[:MOST_DETAILS]
    ]
    if len(told) > MOST_DETAILS:
        details.append(f"and {len(told) - MOST_DETAILS} more, see --json")
    return FoldedCaveat(kind, _where(carrying, trials, names), tuple(details))


def _where(places: set[Place], trials: dict[str, list[int]], names: dict[str, str], *, among: bool = True) -> str:
    """Name the trials; ``among``: and say of how many they are, or that they are all."""
    total = sum(map(len, trials.values()))
    if among and len(places) == total:
        return "" if total == 1 else _all(total)
    parts = []
    for run_id, numbers in trials.items():
        here = [n for n in numbers if (run_id, n) in places]
        if here:
            parts.append(f"{names[run_id]} {_trials(here, len(numbers) if among else 0)}".strip())
    return ", ".join(parts)


def _trials(numbers: Sequence[int], of: int) -> str:
    """Word trials: "trial 2", "trials 1 and 3 of 6", "5 of 6 trials"."""
    if len(numbers) == of > 1:
        return _all(of)
    if len(numbers) > MOST_NUMBERS:
        return f"{len(numbers)} of {of} trials" if of else some(len(numbers), "trial")
    words = f"trial{'s' if len(numbers) > 1 else ''} {listed(numbers)}"
    return f"{words} of {of}" if of > 1 else words


def _all(trials: int) -> str:
    return "both trials" if trials == 2 else f"all {trials} trials"


def caveat_lines(runs: Sequence[Run]) -> RenderableType | None:
    """Show the caveats as a list with a hanging indent; None when there are none."""
    folded = fold_caveats(runs)
    if not folded:
        return None
    rows = Table.grid(padding=(0, 1))
    for caveat in folded:
        words = Text.assemble((caveat.line, STYLES[caveat.kind.effect]), "\n", (caveat.kind.advice, "dim"))
        rows.add_row(Text("!", style=STYLES[caveat.kind.effect]), words)
    return Group(Text("Caveats", style="bold"), rows)


def caveat_rows(runs: Sequence[Run]) -> Iterator[dict[str, object]]:
    """Yield every caveat of every trial as plain values, none folded."""
    for run in runs:
        for trial in run.trials:
            for caveat in trial.caveats:
                kind = caveat.kind
                yield {
                    "run_id": run.run_id,
                    "trial": trial.facts.number,
                    "caveat": kind.value,
                    "verdict": kind.effect.value,
                    "happened": kind.happened,
                    "detail": caveat.detail,
                    "meaning": kind.meaning,
                    "remedy": kind.remedy,
                }
