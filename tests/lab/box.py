"""A zone in a box for one test: the scene is played by a process inside new namespaces, which take all of it away."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

from vrbench.lab.ground.specs import FirewallRule, PortForward, RouterSpec, RuleSet, VmSpec
from vrbench.lab.packets.namespace_ground import NamespaceGround
from vrbench.lab.packets.outage_injector import Order, OutageInjector
from vrbench.lab.status import Moment
from vrbench.lab.system import syscalls
from vrbench.lab.system.namespaces import inside, prepare_box, run

T = TypeVar("T")

SOURCE_NAT = "198.51.100.10"
FORWARDED = "198.51.100.20"
STATIC = "198.51.100.30"
PATIENCE_S = 30.0  # for what must come: on a busy machine it comes late, and nobody waits for longer than it takes
BRIEFLY_S = 0.5  # for what must not come, or is asked for again and again
_SCENE_TIMEOUT_S = 200


def in_box(scene: Callable[[NamespaceGround], T]) -> T:
    """Return what ``scene`` returns when it is played on a fresh zone; its failure is this test's failure."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _enclose(scene, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        raw = answers.read()
    os.waitpid(child, 0)
    if not raw:
        pytest.fail("the box ended without a word", pytrace=False)
    good, value = pickle.loads(raw)
    if not good:
        pytest.fail(value, pytrace=False)
    result: T = value
    return result


def _enclose(scene: Callable[[NamespaceGround], T], writer: int) -> NoReturn:
    """Put new namespaces around a child, whose end this process shares."""
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(flags if uid == 0 else flags | syscalls.CLONE_NEWUSER)
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    child = os.fork()
    if child == 0:
        syscalls.die_with_parent(signal.SIGKILL)
        signal.alarm(_SCENE_TIMEOUT_S)
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("proc", "/proc", "proc")
        with os.fdopen(writer, "wb") as answers:
            pickle.dump(_play(scene, rootless=uid != 0), answers)
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    os._exit(0)


def _play(scene: Callable[[NamespaceGround], T], rootless: bool) -> tuple[bool, object]:
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    try:
        prepare_box()
        zone = NamespaceGround(rootless)
        zone.build()
        return True, scene(zone)
    except BaseException:  # noqa: BLE001 (whatever it is, the test on the other side of the pipe must hear of it)
        return False, traceback.format_exc()


def router(name: str = "r-1-VM", network: str = "net", mac: str = "02:00:00:00:01:01") -> RouterSpec:
    """Return a router of the usual addresses; the public MAC is the same for all, as a restarted router's is."""
    return RouterSpec(name, network, "10.1.1.1", 24, mac, SOURCE_NAT, 24, "198.51.100.1", "06:00:00:00:00:01")


def vm(number: int, key: str = "", network: str = "net", user_data: bytes = b"", like: str = "") -> VmSpec:
    """Return the VM ``vm-N-NET`` at 10.1.1.(10+N)."""
    keys = (key,) if key else ()
    mac = f"02:00:00:00:02:{number:02x}"
    ip = f"10.1.1.{10 + number}"
    return VmSpec(f"vm-{number}-{network}", network, ip, 24, "10.1.1.1", mac, keys, user_data, like=like)


def open_rules() -> RuleSet:
    """SSH and ping open on a forwarded address (vm 1) and on a static one (vm 2), all egress open."""
    return RuleSet(
        public_ips=(SOURCE_NAT, FORWARDED, STATIC),
        source_nat=SOURCE_NAT,
        static_nat=((STATIC, "10.1.1.12"),),
        port_forwards=(PortForward(FORWARDED, "tcp", (22, 22), "10.1.1.11", (22, 22)),),
        firewall=tuple(
            rule
            for ip in (FORWARDED, STATIC)
            for rule in (FirewallRule(ip, "tcp", ports=(22, 22)), FirewallRule(ip, "icmp"))
        ),
        egress=(FirewallRule(None, "all"),),
    )


def build(zone: NamespaceGround, *vms: VmSpec, rules: RuleSet | None = None) -> None:
    """Build a network with a running, programmed router and VMs."""
    zone.add_network("net")
    zone.place_router(router())
    zone.start_router("r-1-VM")
    zone.program_router("r-1-VM", open_rules() if rules is None else rules)
    for each in vms:
        zone.add_vm(each)


def answers(node: str, target: str, within_s: float = PATIENCE_S) -> bool:
    """Return whether one ping from ``node`` is answered in time."""
    return call(node, "ping", "-n", "-c1", f"-W{within_s}", target).returncode == 0


def call(node: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command inside a node's network."""
    return inside(node, lambda: subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False))


def connects(node: str, address: str, port: int, within_s: float = PATIENCE_S) -> bool:
    """Return whether a TCP connection is accepted in time; a refusal is an error, silence is not."""

    def connect() -> bool:
        try:
            socket.create_connection((address, port), timeout=within_s).close()
        except TimeoutError:
            return False
        return True

    return inside(node, connect)


def make_key(directory: Path) -> str:
    """Make a fresh key pair at directory/key, and return the public half."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "key")])
    return (directory / "key.pub").read_text().strip()


def ssh(directory: Path, target: str, command: str, node: str = "upstream") -> subprocess.CompletedProcess[str]:
    """Log in from ``node`` with the key of make_key and run a command."""
    options = [
        "StrictHostKeyChecking=no",
        f"UserKnownHostsFile={directory}/known",
        "LogLevel=ERROR",
        "ConnectTimeout=30",
    ]
    arguments = [part for option in (*options, "BatchMode=yes") for part in ("-o", option)]
    user = "root" if os.geteuid() == 0 and not _in_user_namespace() else "guest"
    return call(node, "ssh", "-F", "none", "-i", f"{directory}/key", *arguments, f"{user}@{target}", command)


def _in_user_namespace() -> bool:
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]


def wait_until(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    """Wait until a condition comes true; return whether it did in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def outage(
    zone: NamespaceGround, direction: str, address: str | None, act: Callable[[], object]
) -> tuple[Moment, Moment]:
    """Drop a direction in all routers until ``act`` returns or raises; return the true start and end."""

    def once(_seconds: float) -> bool:
        act()
        return False

    order = Order(zone.running_routers(), direction, address, "silence", (0.0,))
    return OutageInjector().inject(order, once).pieces[0]
