"""How a network's router is replaced: one small file per strategy, found here by name."""

from __future__ import annotations

from vrbench.lab.strategies import parallel, redundant, serial
from vrbench.lab.strategies.ports import RouterOps, StartFailed, Strategy

STRATEGIES = {strategy.name: strategy for strategy in (serial.STRATEGY, parallel.STRATEGY)}
REDUNDANT = {"parallel": redundant.ROLLING, "serial": redundant.SERIAL}  # the same for networks with two routers

__all__ = ["REDUNDANT", "STRATEGIES", "RouterOps", "StartFailed", "Strategy"]
