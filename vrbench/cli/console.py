"""The console that everything is shown on."""

from __future__ import annotations

from rich.console import Console


class PatientConsole(Console):
    """Falls silent when nobody reads any more; rich's own would end the process, and the removal with it."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
