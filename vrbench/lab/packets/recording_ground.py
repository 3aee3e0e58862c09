"""A ground that writes down what is done to its routers, for ``lab/router_history.py``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

from vrbench.lab.ground.forwarding import ForwardingGround
from vrbench.lab.ground.port import Ground, RedundancyMode
from vrbench.lab.ground.specs import RouterSpec, RuleSet
from vrbench.lab.router_history import RouterAction, RouterHistory, lets_in, lets_out


class RecordingGround(ForwardingGround):
    """Passes every call on, and records those that change what a router does on the wire."""

    def __init__(self, inner: Ground, history: RouterHistory) -> None:
        super().__init__(inner)
        self._history = history

    def place_router(self, router: RouterSpec) -> None:
        with self._recorded("place_router", router.name, router.network):
            super().place_router(router)

    def start_router(self, name: str) -> None:
        with self._recorded("start_router", name):
            super().start_router(name)

    def start_router_unplugged(self, name: str) -> None:
        with self._recorded("start_router_unplugged", name):
            super().start_router_unplugged(name)

    def hand_over(self, old: str, new: str) -> None:
        with self._recorded("hand_over", new):
            super().hand_over(old, new)

    def program_router(self, name: str, rules: RuleSet) -> None:
        with self._recorded("program_router", name, rules=rules):
            super().program_router(name, rules)

    def announce_router(self, name: str) -> None:
        with self._recorded("announce_router", name):
            super().announce_router(name)

    def stop_router(self, name: str) -> None:
        with self._recorded("stop_router", name):
            super().stop_router(name)

    def remove_router(self, name: str) -> None:
        with self._recorded("remove_router", name):
            super().remove_router(name)

    def restart_services(self, name: str) -> None:
        with self._recorded("restart_services", name):
            super().restart_services(name)

    def set_redundancy(self, name: str, mode: RedundancyMode) -> None:
        with self._recorded("set_redundancy", name):
            super().set_redundancy(name, mode)

    def synchronise(self, name: str) -> None:
        with self._recorded("synchronise", name):
            super().synchronise(name)

    def _recorded(
        self, what: str, name: str, network: str = "", rules: RuleSet | None = None
    ) -> AbstractContextManager[None]:
        passed = rules or RuleSet()
        action = partial(RouterAction, what, name, network=network, egress=lets_out(passed), ingress=lets_in(passed))
        return self._history.recording(action)
