"""What the operator asked for beside the profile, and how the plan reads with it."""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.core.plan.plan import BUILDING, Plan
from vrbench.run.disk import bytes_needed

MUST_KNOW = ("run", "where", "builds", "opens", "operation", "trials", "takes", "removes")


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of a run that are not part of its profile."""

    plain: bool = False
    verbose: bool = False
    keep: bool = False
    reuse: str | None = None

    def lines(self, plan: Plan) -> tuple[tuple[str, str], ...]:
        """Return all that the plan says, as (what, how); with --keep and --reuse some of it is otherwise."""
        disk = ("disk", f"the samples may take {bytes_needed(plan) / 1e6:.0f} MB")
        return (*((what, self._otherwise(what, how)) for what, how in plan.lines), disk)

    def told(self, plan: Plan) -> tuple[tuple[str, str], ...]:
        """Return what is said of it before a run: what the operator must know, or all for those who ask."""
        return tuple(line for line in self.lines(plan) if self.verbose or line[0] in MUST_KNOW)

    def _otherwise(self, what: str, how: str) -> str:
        """Say how a line of the plan reads with --keep or --reuse."""
        if self.reuse and what in ("builds", "opens"):
            return f"nothing: measures what {self.reuse} kept"
        if what == "removes" and (self.keep or self.reuse):
            return "nothing" if self.reuse else "nothing, unless the build fails"
        if self.reuse and what == "takes":
            return how.replace(f"{BUILDING} and ", "")
        return how
