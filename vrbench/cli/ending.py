"""How a run ended, in words and as an exit code. Inside a lab it is written down, outside it is read and told."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from vrbench.cli.exits import Exit
from vrbench.cli.say import called, say
from vrbench.core.text import some
from vrbench.run.order import RunOutcome
from vrbench.store.codec import decode
from vrbench.store.directory import RunDir
from vrbench.store.files import StoreError, read_json, replace_json

NAME = "ending.json"


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a run beside its figures. ``code`` is 0 unless the run itself failed or left something."""

    code: int = Exit.OK
    error: str = ""
    interrupted: bool = False
    left: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether it came to its end and left nothing that anybody has to look after."""
        return not (self.code or self.interrupted or self.left)


def ending_of(outcome: RunOutcome) -> Ending:
    """Put an outcome into words; what is left in the cloud outweighs any other exit code, unless it is accepted."""
    from vrbench.cli.error_codes import code_and_text

    code, error = code_and_text(outcome.error) if outcome.error else (Exit.OK, "")
    if outcome.left and not outcome.accepted:
        code = Exit.FAILED
    return Ending(code, error, outcome.interrupted, outcome.left, outcome.problems)


def write_ending(store: RunDir, ending: Ending) -> None:
    """Leave it for the process outside the lab. Raises StoreError."""
    replace_json(store.path / NAME, asdict(ending))


def read_ending(store: RunDir, code: int) -> Ending:
    """Read how the process inside the lab ended; ``code`` is its exit code, should it have left nothing to read."""
    path = store.path / NAME
    try:
        return decode(Ending, read_json(path), path)
    except StoreError:
        return Ending(code if code > 0 else Exit.FAILED, f"the run inside the lab ended early (exit code {code})")


def tell(ending: Ending, store: RunDir, in_lab: bool) -> None:
    """Say on stderr what went wrong and what to do about it."""
    if ending.error:
        say(f"vrbench: {ending.error}", err=True)
    if ending.interrupted:
        say("interrupted; what was measured is kept", err=True)
    for problem in ending.problems:
        say(problem, err=True)
    if ending.left and in_lab:
        say(f"{some(len(ending.left), 'object')} went with the lab", err=True)
    elif ending.left:
        for one in ending.left:
            say(f"still in the cloud: {one}", err=True)
        say(f"remove it with: {called(f'cleanup {store.path}')}", err=True)
