"""The lab's process inside the box: builds the zone, serves the API, answers the control socket, ends with its parent.

Started by lifecycle.py as the first process of a new process namespace, with open files for all that lies outside: the
API's listening socket on the host's loopback, the control socket, the lifeline (a pidfd of the parent, if the lab must
not outlive it) and a pipe to say "ready" through. It forks at once: the first process does nothing but reap, and when
it ends, by whatever means, the kernel ends everything else.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from threading import Thread
from types import FrameType
from typing import Any

from vrbench.lab import control, faults
from vrbench.lab.api.server.server import ApiServer
from vrbench.lab.api.state.settings import PUBLIC, ROUTER_CHECK_S, SECOND_RANGE, ZoneSettings
from vrbench.lab.ground.port import GroundError
from vrbench.lab.packets.faulty_ground import FaultyGround
from vrbench.lab.packets.namespace_ground import CONTROL_TARGET, EGRESS_TARGET, UPSTREAM, NamespaceGround
from vrbench.lab.packets.outage_injector import DIRECTIONS, KINDS, MARKING_S, Order, OutageInjector, describe
from vrbench.lab.router_history import RouterHistory
from vrbench.lab.status import Keys, LabOptions, LabStatus
from vrbench.lab.system.namespaces import inside, prepare_box

_ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def _settings(options: LabOptions) -> ZoneSettings:
    return ZoneSettings(
        strategy=options.strategy,
        server_version=options.server_version,
        timing=options.timing.scaled(options.time_scale),
        build_timing=options.timing.scaled(options.build_scale or options.time_scale),
        router_check_s=ROUTER_CHECK_S * options.time_scale,
        rule_cost_s=options.rule_cost_s,
        **_public_ranges(options.first_subnet),
    )


def _public_ranges(first: int) -> dict[str, Any]:
    """Return settings with so many tenants' addresses in the first public subnet, and a second subnet."""
    return {"public_last": PUBLIC[11 + first], "more_public": (SECOND_RANGE,)} if first else {}


def main() -> None:
    """Read the order (one JSON argument) and run the lab until the lifeline ends or a signal comes."""
    order = json.loads(sys.argv[1])
    child = os.fork()
    if child:
        _reap_until(child)
    os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_ADMIN_PATH}"
    prepare_box()
    _Supervisor(order).run()


def _reap_until(child: int) -> None:
    """Be the namespace's init: collect the dead, pass on a request to end, leave when the lab's process does."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    while True:
        pid, status = os.wait()
        if pid == child:
            sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)


class _Supervisor:
    def __init__(self, order: dict[str, Any]) -> None:
        self._options = LabOptions.from_json(order["options"])
        self._rootless = bool(order["rootless"])
        self._lifeline: int | None = order["lifeline"]
        self._ready = os.fdopen(order["ready"], "w", encoding="utf-8")
        self._control = socket.socket(fileno=order["control"])
        self._host_api = socket.socket(fileno=order["api"])
        self._zone = NamespaceGround(self._rootless)
        self._truth = OutageInjector()
        self._history = RouterHistory()
        settings = _settings(self._options)
        self._faults = faults.Faults()
        self._api = ApiServer(FaultyGround(self._zone, self._faults, self._history), settings, self._faults)

    def run(self) -> None:
        """Build, serve, say so, wait for the end."""
        self._zone.build()
        port = self._host_api.getsockname()[1]
        self._api.start([self._host_api, inside(UPSTREAM, lambda: _listen(port))])
        Thread(target=control.serve, args=(self._control, self._answer), daemon=True).start()
        with self._ready:
            self._ready.write(json.dumps(self._status().to_json()) + "\n")
        _wait_for_end(self._lifeline)
        print("the lab ends", flush=True)
        os._exit(0)  # the kernel tidies up better than any thread could be asked to

    def _status(self) -> LabStatus:
        return LabStatus(
            endpoint=f"http://127.0.0.1:{self._host_api.getsockname()[1]}/client/api",
            callers={name: Keys(keys.apikey, keys.secretkey) for name, keys in self._api.callers().items()},
            nodes=self._zone.nodes(),
            ssh_user="guest" if self._rootless else "root",
            rootless=self._rootless,
            pid=0,  # the host's number is not known in here
            strategy=self._options.strategy,
            time_scale=self._options.time_scale,
            egress_target=EGRESS_TARGET,
            control_target=CONTROL_TARGET,
        )

    def _answer(self, question: dict[str, Any], line: socket.socket) -> dict[str, Any]:
        match question["ask"]:
            case "status":
                return self._status().to_json()
            case "phases":
                return self._history.to_json()
            case "calls":
                return {"calls": self._api.calls_since(int(question["after"]))}
            case "faults":
                return self._faults_on()
            case "fault":
                self._switch(question)
                return self._faults_on()
            case "outage":
                return self._outage(question, line)
            case other:
                raise ValueError(f"the lab has no answer to {other!r}: it may be of another version than this command")

    def _faults_on(self) -> dict[str, Any]:
        return {"on": {fault.name: dict(fault.params) for fault in self._faults.now()}}

    def _switch(self, question: dict[str, Any]) -> None:
        """Switch a fault on or off; off without a name: all of them."""
        name = str(question["name"])
        if question["on"]:
            self._faults.start(faults.make(name, question["params"]))
            return
        for off in (name,) if name else faults.KINDS:
            self._faults.stop(off)

    def _outage(self, question: dict[str, Any], line: socket.socket) -> dict[str, Any]:
        target, kind, direction = question["target"], question.get("fault", "silence"), question["direction"]
        beats = tuple(map(float, question.get("beats") or (question["seconds"],)))
        late_s, held_s = (float(question.get(name, 0)) for name in ("delay_s", "held_s"))
        marking_s = float(question.get("marking_s", MARKING_S))
        possible = all(0 < beat < 86_400 for beat in beats) and all(
            0 <= s < 86_400 for s in (late_s, held_s, marking_s)
        )
        if direction not in DIRECTIONS or kind not in KINDS or not possible:
            raise ValueError(
                f"there is no such outage: its direction is one of {', '.join(DIRECTIONS)}, "
                f"its kind one of {', '.join(KINDS)}, and each of its times is above 0 and below 86400 s"
            )
        vm = self._zone.vm(target) if target else None
        routers = self._zone.running_routers(vm.network if vm else None)
        if not routers:
            raise GroundError("no router is running, so there is nothing to interrupt: deploy a VM first")
        order = Order(routers, direction, vm.ip if vm else None, kind, beats, late_s, held_s, marking_s)
        injected = self._truth.inject(order, lambda seconds: _wait_while_connected(line, seconds))
        return describe(order, target, injected).to_json()


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def _wait_while_connected(line: socket.socket, seconds: float) -> bool:
    """Wait until the time is over or whoever asked has gone; return whether it was the time."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if selector.select(left):
                return False
    return True


def _wait_for_end(lifeline: int | None) -> None:
    """Wait until the parent behind the pidfd has ended, or a signal asks the lab to."""
    ending, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    watched: Sequence[int] = [ending] if lifeline is None else [ending, lifeline]
    with selectors.DefaultSelector() as selector:
        for fd in watched:
            selector.register(fd, selectors.EVENT_READ)
        selector.select()


if __name__ == "__main__":
    main()
