"""Whether this machine can run the lab, before anything is started."""

from __future__ import annotations

from vrbench.cli.exits import UsageProblem
from vrbench.cli.say import say


def make_ready(install_missing: bool = False, installs: str = "") -> None:
    """Raise UsageProblem when a command or a kernel feature is missing; install packages first when asked to.

    ``installs``: how to ask for that, where the command that was given has an option for it.
    """
    from vrbench.lab import requirements

    lacking = requirements.find_missing()
    if lacking and install_missing:
        say(f"installing: {' '.join(lacking.packages)}", err=True)
        try:
            requirements.install(lacking)
        except RuntimeError as error:
            raise UsageProblem(str(error)) from error
        lacking = requirements.find_missing()
    if lacking:
        raise UsageProblem(lacking.message() + (f"Or let vrbench do it: {installs}" if installs else ""))
    reasons = requirements.check_machine()
    if reasons:
        raise UsageProblem("\n".join(reasons))
