"""The end of a run: what it built is removed, or kept on request; what could not be removed is told."""

from __future__ import annotations

from vrbench.cloud.errors import CloudError
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.remove.removal import RemovalReport
from vrbench.run.adapters import Adapters, CloudPort, Progress
from vrbench.run.errors import Interrupted
from vrbench.run.order import RunOrder

_UNKNOWN = "whatever the damaged lines of its journal are about"


def remove_built(
    order: RunOrder, adapters: Adapters, journal: Journal | None, failed: bool
) -> tuple[RemovalReport, bool]:
    """Remove what the journal has; return the report, and whether an interrupt broke the removal off.

    Whatever goes wrong is told in the report: it must not hide why the run failed.
    """
    try:
        with adapters.interrupts.removing():
            return _remove(order, adapters, journal, failed), False
    except Interrupted:
        return RemovalReport((), pending(journal), ("the removal was interrupted",)), True
    except Exception as failure:  # noqa: BLE001  a failed removal must not hide why the run failed
        return RemovalReport((), pending(journal), (f"{type(failure).__name__}: {failure}",)), False


def _remove(order: RunOrder, adapters: Adapters, journal: Journal | None, failed: bool) -> RemovalReport:
    """Remove all of it; with --keep only say how to, unless the build failed and there is nothing worth keeping."""
    nothing = RemovalReport((), (), ())
    if journal is None:
        order.store.forget_secrets()
        return nothing
    if order.keep and not (failed and not order.store.has_environment()):
        adapters.screen.note(f"kept; remove it with: vrbench cleanup {order.store.path}")
        return nothing
    adapters.screen.phase("removing what was built", "")
    report = remove_pending(adapters.cloud, journal, adapters.screen.doing)
    if not report.left:
        order.store.forget_secrets()
    return report


def remove_pending(cloud: CloudPort, journal: Journal, say: Progress) -> RemovalReport:
    """Remove what a journal has pending; when nothing at all may be done, the report says why."""
    try:
        return cloud.remove(journal, say)
    except CloudError as error:
        return RemovalReport((), pending(journal) or (_UNKNOWN,), (str(error),))


def pending(journal: Journal | None) -> tuple[str, ...]:
    """Name what a journal has not seen go."""
    return tuple(f"{e.kind} {e.key}" for e in journal.pending()) if journal else ()
