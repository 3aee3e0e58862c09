"""A prober on a clock of the test's own, whose sends take time."""

from __future__ import annotations

from vrbench.core.log.rawlog import Record, decode_records
from vrbench.probes import engine

MS = 1_000_000
START = 7_000 * MS
INTERVAL = 10 * MS


class Slow(engine.Prober):
    """Its sends take time: ``costs`` by slot, else ``cost``. Time passes in nothing else but waiting."""

    def __init__(self, cost_ns: int, costs: dict[int, int]) -> None:
        self.log = engine.Log("nowhere")
        self.now, self.cost, self.costs = START, cost_ns, costs
        self.sent: list[tuple[int, int]] = []  # slot, when

    def send(self, stream: int, slot: int) -> None:
        self.sent.append((slot, self.now - START))
        self.now += self.costs.get(slot, self.cost)

    def drain(self) -> None:
        pass

    def settled(self) -> bool:
        return True

    def wait(self, until_ns: int) -> None:
        self.now = max(self.now, until_ns)

    @property
    def records(self) -> list[Record]:
        return list(decode_records(bytes(self.log.buffer), 0))
