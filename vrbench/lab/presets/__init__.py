"""Timing presets: what a hypervisor under a version of CloudStack takes for each step, as data with its reasoning.

One TOML file each, named HYPERVISOR-VERSION. They make the lab's outages come out within figures published for the real
thing; the mechanisms are the lab's own, and what the source does not say is fitted (each file says which is which).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from vrbench.lab.timing import Timing

_DIRECTORY = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Preset:
    """One hypervisor and version: the restart strategy it has, its times, and what was published, in seconds."""

    name: str
    strategy: str
    hypervisor: str
    cloudstack: str
    timing: Timing
    published_average_s: float
    published_lowest_s: float | None


def names() -> tuple[str, ...]:
    """Return the presets there are."""
    return tuple(sorted(file.stem for file in _DIRECTORY.glob("*.toml")))


def load(name: str) -> Preset:
    """Return a preset by its name; KeyError when there is none of that name."""
    if name not in names():
        raise KeyError(f"there is no preset {name!r}; there are: {', '.join(names())}")
    with (_DIRECTORY / f"{name}.toml").open("rb") as file:
        data = tomllib.load(file)
    return Preset(
        name=name,
        strategy=data["strategy"],
        hypervisor=data["hypervisor"],
        cloudstack=data["cloudstack"],
        timing=Timing(**data["timing"]),
        published_average_s=data["published"]["average_s"],
        published_lowest_s=data["published"].get("lowest_s"),
    )
