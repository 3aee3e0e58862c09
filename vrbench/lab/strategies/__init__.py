"""How a network's router is replaced: one small file per strategy, each listed here by its name."""

from __future__ import annotations

from vrbench.lab.strategies import advanced_parallel, live_patch, negotiated, parallel, redundant, serial
from vrbench.lab.strategies.ports import RouterOps, StartFailed, Strategy

STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        serial.STRATEGY,
        parallel.STRATEGY,
        redundant.STRATEGY,
        advanced_parallel.STRATEGY,
        negotiated.STRATEGY,
        live_patch.STRATEGY,
    )
}
LIVE_PATCH = live_patch.STRATEGY
REDUNDANT = {"parallel": redundant.STRATEGY, "serial": redundant.SERIAL}  # for networks with two routers

__all__ = ["LIVE_PATCH", "REDUNDANT", "STRATEGIES", "RouterOps", "StartFailed", "Strategy"]
