"""What the cloud's routers say of a trial: rivals, and an operation that ended well and did nothing."""

from __future__ import annotations

from collections.abc import Iterator

from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.facts import PRIMARY, Router, TrialFacts
from vrbench.core.plan.operations import OPERATIONS, Renews
from vrbench.core.text import few


def rivals(facts: TrialFacts) -> tuple[str, ...]:
    """Return the routers that served a network at the same time although one alone may; of pairs, the primary ones."""
    serving = [r for r in facts.routers_after if r.state == "Running" and (not r.redundant or _is_primary(r))]
    return facts.competing_routers or (tuple(r.name for r in serving) if len(serving) > 1 else ())


def of_the_routers(facts: TrialFacts) -> Iterator[Caveat]:
    """Return what speaks against an operation that the cloud calls a success."""
    known = OPERATIONS.get(facts.operation)
    if known is None or facts.job_error or not facts.job_finished:
        return
    if known.renews is Renews.ROUTERS and (kept := [r.name for r, _ in _still_there(facts)]):
        yield Caveat(CaveatKind.NOTHING_DONE, few(kept))
    if known.renews is Renews.SOFTWARE and (same := [r for r, was in _still_there(facts) if _runs(r) == _runs(was)]):
        yield Caveat(CaveatKind.PATCH_UNPROVEN, few([f"{r.name}: {r.software or 'release unknown'}" for r in same]))


def _still_there(facts: TrialFacts) -> Iterator[tuple[Router, Router]]:
    """Return the routers that were there before and after, as (after, before)."""
    before = {router.id: router for router in facts.routers_before}
    return ((router, before[router.id]) for router in facts.routers_after if router.id in before)


def _runs(router: Router) -> tuple[str, str]:
    return router.software, router.scripts


def _is_primary(router: Router) -> bool:
    return router.redundant_state in PRIMARY
