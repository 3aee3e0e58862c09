"""A served API over a real ground, for scenes in a box; and what probes from its nodes see meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

from tests.lab.box import PATIENCE_S
from tests.lab.held_clock import HeldClock
from tests.lab.replay.serving import QUICK, Client, Lab, RememberingGround
from vrbench.lab.api.server.server import ApiServer
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.packets.namespace_ground import EGRESS_TARGET, NamespaceGround
from vrbench.lab.system.namespaces import inside

ECHO_PORT = 9000
VRRP_GROUP, AUTHENTICATED = "224.0.0.18", 51
CONNECT_S = 0.2
Body = dict[str, Any]


@contextmanager
def served_on(zone: NamespaceGround, **settings: Any) -> Iterator[Lab]:
    """Serve the API over this ground until the block ends; boot and programming times at a hundredth."""
    clock = HeldClock()
    server = ApiServer(zone, replace(ZoneSettings(timing=QUICK, api_step_s=0.01), **settings), clock=clock)
    listener = socket.create_server(("127.0.0.1", 0))
    server.start([listener])
    try:
        port = listener.getsockname()[1]
        clients = {name: Client(port, caller) for name, caller in server.callers().items()}
        yield Lab(port, cast(RememberingGround, zone), clock, clients["root"], clients["domadmin"], clients["user"])
    finally:
        server.stop()


@dataclass(frozen=True)
class Site:
    """An isolated network with one VM behind a forwarded address, all egress open."""

    lab: Lab
    network: str
    node: str
    public_ip: str

    def routers(self) -> list[str]:
        return [str(router["name"]) for router in self.lab.routers(self.network)]

    def restart(self, **params: object) -> None:
        self.lab.root.result("restartNetwork", id=self.network, **params)


def build_site(lab: Lab) -> Site:
    """Build as root: network, VM, address, SSH let in and forwarded."""
    root = lab.root
    network, [vm] = lab.built(root)
    address = root.result("associateIpAddress", networkid=network)["ipaddress"]
    root.result("createFirewallRule", ipaddressid=address["id"], protocol="tcp", startport=22, endport=22)
    root.result(
        "createPortForwardingRule", ipaddressid=address["id"], protocol="tcp", publicport=22, privateport=22,
        virtualmachineid=vm["id"], openfirewall="false",
    )  # fmt: skip
    root.result("createEgressFirewallRule", networkid=network, protocol="all")
    return Site(lab, network, vm["name"], address["ipaddress"])


@dataclass
class Prober:
    """Opens a fresh TCP connection from a node again and again until the block ends; when it last had to wait."""

    node: str
    target: tuple[str, int]
    _up: list[float] = field(default_factory=list)
    _gaps: list[float] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Prober:
        self._thread = threading.Thread(target=lambda: inside(self.node, self._probe), daemon=True)
        self._thread.start()
        assert self.waits_for_up()
        return self

    def __exit__(self, *exception: object) -> None:
        self.waits_for_up()
        self._end.set()
        self._thread.join()

    def waits_for_up(self, within_s: float = PATIENCE_S) -> bool:
        """Return whether a connection is accepted that is opened from now on."""
        now = time.monotonic()
        while not (self._up and self._up[-1] > now + CONNECT_S):
            if time.monotonic() > now + within_s:
                return False
            time.sleep(0.01)
        return True

    def longest_gap_s(self) -> float:
        """Return the longest time between two connections that were accepted, with one that was not between them."""
        return max(self._gaps, default=0.0)

    def _probe(self) -> None:
        failed = False
        while not self._end.wait(0.01):
            try:
                socket.create_connection(self.target, timeout=CONNECT_S).close()
            except OSError:
                failed = True
                continue
            if failed and self._up:
                self._gaps.append(time.monotonic() - self._up[-1])
            failed = False
            self._up.append(time.monotonic())


@contextmanager
def outside_listener() -> Iterator[tuple[str, int]]:
    """Serve out on the internet: accept, and forget."""
    with inside("upstream", lambda: socket.create_server((EGRESS_TARGET, ECHO_PORT), backlog=4096)) as server:
        end = threading.Event()
        server.settimeout(0.1)
        thread = threading.Thread(target=_accept, args=(server, end), daemon=True)
        thread.start()
        try:
            yield (EGRESS_TARGET, ECHO_PORT)
        finally:
            end.set()
            thread.join()


def _accept(server: socket.socket, end: threading.Event) -> None:
    while not end.is_set():
        try:
            server.accept()[0].close()
        except TimeoutError:
            continue


@contextmanager
def advertisements(node: str) -> Iterator[Callable[[], list[tuple[str, int]]]]:
    """Listen to the routers' VRRP from a guest; gives who has advertised which priority until now."""
    heard: list[tuple[str, int]] = []
    wire = inside(node, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, AUTHENTICATED))

    def take() -> list[tuple[str, int]]:
        with suppress(BlockingIOError):
            while packet := wire.recv(2048):
                after = 20 + 4 * (packet[21] + 2)  # the IP header and the authentication's
                heard.append((socket.inet_ntoa(packet[12:16]), packet[after + 2]))
        return heard

    with wire:
        group = socket.inet_aton(VRRP_GROUP) + socket.inet_aton("0.0.0.0")
        wire.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        wire.setblocking(False)
        yield take


class Session:
    """A TCP connection from a guest to the outside world that has said something already."""

    def __init__(self, node: str, port: int = 9001) -> None:
        with inside("upstream", lambda: socket.create_server((EGRESS_TARGET, port))) as server:
            self.near = inside(node, lambda: socket.create_connection((EGRESS_TARGET, port), timeout=PATIENCE_S))
            self.far, _ = server.accept()
        assert self.alive()

    def alive(self) -> bool:
        """Return whether something said by the guest now arrives."""
        self.far.settimeout(PATIENCE_S)
        self.near.sendall(b"x")
        try:
            return bool(self.far.recv(100))
        except TimeoutError:
            return False
