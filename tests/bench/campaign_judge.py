"""What must be true after a run of a campaign, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.campaign_faults import Fault, Kind
from tests.bench.campaign_scene import LIMIT_S, Ended
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.rawlog import RawLogError
from vrbench.core.log.samples import read_samples

BUG = ("Traceback", "a bug in vrbench", "Exception ignored")
HEADER_BYTES = 4000  # what a log may be long and hold no sample

Standing = Mapping[str, str]  # what there is in a zone: by kind and id, in its own words


@dataclass
class Verdict:
    """How one run of the campaign came out; ``wrong`` is what must not be."""

    number: int
    faults: list[tuple[Kind, Fault]]
    cleanup: Fault | None
    codes: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    took_s: float = 0.0
    samples: int = 0
    sprung: str = ""
    kept: Path | None = None

    def line(self) -> str:
        """Return it as the campaign prints it."""
        faults = "; ".join(fault.words for _, fault in self.faults)
        cleaning = f"; cleaning: {self.cleanup.words}" if self.cleanup else ""
        codes = " ".join(f"{name} {code}" for name, code in self.codes.items())
        told = "; ".join(self.wrong).replace("\n", " | ") if self.wrong else "held"
        where = f" (see {self.kept})" if self.kept else ""
        what = f"run {self.number:3} {self.took_s:5.1f} s  {faults}{cleaning}"
        return f"{what}: {codes}{self.sprung}, {self.samples} samples: {told}{where}"

    def note(self, name: str, ended: Ended, allowed: Collection[int]) -> None:
        """Note how a command ended, and what of it must not be."""
        self.codes[name] = ended.code
        if ended.hung:
            self.wrong.append(f"{name} was not over after {LIMIT_S:g} s")
        elif ended.code not in allowed:
            self.wrong.append(f"{name} ended with {ended.code}: {ended.said.strip()[-300:]}")
        self.wrong += [f"{name} says {sign!r}" for sign in BUG if sign in ended.said]


def new(before: Standing, now: Standing, alike: Collection[str]) -> list[str]:
    """Name what is there that was not before, and is no look-alike either."""
    found = {key: row for key, row in now.items() if key not in before}
    return [f"{key}: {row[:200]}" for key, row in found.items() if not any(f'"{name}"' in row for name in alike)]


def touched(before: Standing, now: Standing) -> list[str]:
    """Name what of others is no longer what it was: gone, or with other values."""
    return [
        f"touched: {key}: {_difference(row, now.get(key, '{}'))}" for key, row in before.items() if now.get(key) != row
    ]


def _difference(was: str, is_now: str) -> str:
    old, new_row = json.loads(was), json.loads(is_now)
    if not new_row:
        return f"{was} is gone"
    return ", ".join(
        f"{name} was {old.get(name)}, is {new_row.get(name)}"
        for name in sorted({*old, *new_row})
        if old.get(name) != new_row.get(name)
    )


def unread(run: Path, analysed: str) -> Iterator[str]:
    """Say which trials of a run were measured and are not in what ``analyze --json`` said of it."""
    measured = len(list(run.glob("trial-*/facts.json")))
    read = len(json.loads(analysed)["trials"]) if analysed.startswith("{") else 0
    if read < measured:
        yield f"{measured} trials lie there, {read} can be read"


def count_samples(run: Path) -> int:
    """Count all samples in a run's raw logs, also of a trial that never came to its request. Raises RawLogError."""
    logs = [path.read_bytes() for path in sorted(run.glob("trial-*/*.raw"))]
    counts = [_count(log) for log in logs if b"\n" in log]
    if any(len(log) > HEADER_BYTES for log in logs) and not sum(counts):
        raise RawLogError("there is a log with records, and no sample can be read from it")
    return sum(counts)


def _count(log: bytes) -> int:
    return sum(len(stream.samples) for stream in read_samples(LogFile.read(log), 0.8).streams)
