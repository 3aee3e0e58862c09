"""A run from its plan to its outcome: plain functions over adapters, and what was built is removed in any case."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from vrbench.cloud.remove.removal import RemovalReport
from vrbench.core.facts import Context
from vrbench.core.figures.results import RunState
from vrbench.run.adapters import Adapters
from vrbench.run.environment_source import EnvironmentSource, kept_environment, new_environment
from vrbench.run.order import RunOrder, RunOutcome
from vrbench.run.removal import remove_built
from vrbench.run.trials import run_trials
from vrbench.store.files import StoreError


def execute_run(order: RunOrder, adapters: Adapters) -> RunOutcome:
    """Carry a run out, and return how it ended; every measured sample is in the run's directory then.

    1. preflight: resolve the plan's names and check that all can be built (``environment_source``)
    2. build the environment, each call journaled before it is made; or take the one that an earlier run kept
    3. wait until every VM can be reached (``trials``)
    4. trials: baseline, operation, observation, collection; once per trial (``trial``)
    5. remove what was built, whatever happened before (``removal``)
    6. note how it ended

    Nothing is raised: an error and the first interrupt end phases 1 to 4, then phase 5 follows. A second interrupt ends
    that as well, and the outcome tells what the journal still has. A removal that fails never hides the first error.
    """
    measured = _measure(order, adapters)
    journal = measured.source.journal if measured.source else None
    removal, broken_off = remove_built(order, adapters, journal, failed=measured.failure is not None)
    if journal is not None:
        journal.close()
    interrupted = measured.interrupted or broken_off
    prefix = "" if broken_off else "while removing: "
    problems = tuple(f"{prefix}{problem}" for problem in removal.problems)
    problems += _note_end(order, measured.context, measured.error, interrupted)
    return RunOutcome(removal.left, problems, measured.error, interrupted, _accepted(order, removal))


@dataclass(frozen=True, slots=True)
class _Measured:
    """What phases 1 to 4 came to; ``failure`` is what ended them early."""

    context: Context
    source: EnvironmentSource | None
    failure: BaseException | None

    @property
    def error(self) -> Exception | None:
        return self.failure if isinstance(self.failure, Exception) else None

    @property
    def interrupted(self) -> bool:
        """Whatever wants the process to end, Interrupted or not, ends the run like Ctrl-C."""
        return self.failure is not None and self.error is None


def _measure(order: RunOrder, adapters: Adapters) -> _Measured:
    """Carry out phases 1 to 4."""
    context, source, failure = order.context(adapters.operation.name), None, None
    try:
        with adapters.interrupts.measuring():
            _note(order, RunState.PREFLIGHT, context)
            source = (
                kept_environment(order, adapters, context) if order.reuse else new_environment(order, adapters, context)
            )
            context = source.context
            _note(order, RunState.BUILDING, context)
            environment = source.build()
            _note(order, RunState.MEASURING, context)
            run_trials(order, adapters, environment)
            _note(order, RunState.DONE, context)
    except BaseException as caught:  # noqa: BLE001  it is part of the outcome, after what was built is removed
        failure = caught
    return _Measured(context, source, failure)


def _accepted(order: RunOrder, removal: RemovalReport) -> bool:
    return order.plan.profile.environment.accept_slow_removal and set(removal.left) <= set(removal.awaited)


def _note(order: RunOrder, state: RunState, context: Context) -> None:
    order.store.write_run(state, context, order.plan.method, asdict(order.plan.profile), order.calibrated)


def _note_end(order: RunOrder, context: Context, error: Exception | None, interrupted: bool) -> tuple[str, ...]:
    """Note that it ended early; return what kept that from being noted.

    A full disk, which may be the very reason, must not hide the first error.
    """
    if not error and not interrupted:
        return ()
    try:
        _note(order, RunState.INTERRUPTED if interrupted else RunState.FAILED, context)
    except StoreError as problem:
        return (f"how the run ended could not be noted: {problem}",)
    return ()
