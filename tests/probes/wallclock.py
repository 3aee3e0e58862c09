"""A wall clock of its own for a process, which a test can step while it runs; the machine's stays as it is."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("wallclock.c")


@dataclass(frozen=True)
class WallClock:
    """The wall clock of all processes that are started with ``environ``. ``home``: a directory of its own."""

    home: Path

    @classmethod
    def make(cls, home: Path) -> WallClock:
        """Make a clock that is right, to begin with."""
        home.mkdir()
        subprocess.run(["gcc", "-shared", "-fPIC", "-nostdlib", "-o", home / "clock.so", SOURCE], check=True)
        made = cls(home)
        made.step(0)
        return made

    @property
    def environ(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.home / "clock.so"), "WALL_CLOCK": str(self.home / "ahead")}

    @property
    def setting(self) -> str:
        """The line of an sshd's configuration that gives its sessions this clock."""
        return "SetEnv " + " ".join(f"{name}={value}" for name, value in self.environ.items())

    def step(self, seconds: int) -> None:
        """Set it so many seconds ahead of the machine's (behind, where negative)."""
        fresh = self.home / "ahead.new"
        fresh.write_text(f"{seconds}\n")
        fresh.replace(self.home / "ahead")
