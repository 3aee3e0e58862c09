"""How a network's router is replaced: one small file per strategy, found here by name."""

from __future__ import annotations

from vrbench.lab.strategies import parallel, serial
from vrbench.lab.strategies.ports import RouterOps, Strategy

STRATEGIES = {strategy.name: strategy for strategy in (serial.STRATEGY, parallel.STRATEGY)}

__all__ = ["STRATEGIES", "RouterOps", "Strategy"]
