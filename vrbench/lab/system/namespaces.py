"""Named network namespaces, made and entered without a process of their own, and the commands that act on them."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from vrbench.lab.ground.port import GroundError
from vrbench.lab.system import syscalls
from vrbench.lab.system.processes import kill_where

NETNS_DIR = Path("/run/netns")
_SIOCGIFFLAGS = 0x8913
_IFF_RUNNING = 0x40
_COMMAND_TIMEOUT_S = 30.0
_ATTEMPT_TIMEOUT_S = 60.0

# What the kernel has for a fresh start, whatever this machine is set to: stale gateway MACs age as in any guest.
_NEIGHBOUR_DEFAULTS = (
    ("base_reachable_time_ms", "30000"),
    ("retrans_time_ms", "1000"),
    ("delay_first_probe_time", "5"),
    ("gc_stale_time", "60"),
    ("locktime", "100"),
    ("ucast_solicit", "3"),
    ("mcast_solicit", "3"),
)
_EVERY_NODE = (
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    *((f"ipv4/neigh/default/{name}", value) for name, value in _NEIGHBOUR_DEFAULTS),
)

T = TypeVar("T")


def prepare_box() -> None:
    """Mount a /run of its own for the names of namespaces, and quieten the network."""
    syscalls.mount("tmpfs", "/run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755")
    NETNS_DIR.mkdir()
    syscalls.mount(str(NETNS_DIR), str(NETNS_DIR), flags=syscalls.MS_BIND)
    syscalls.mount("", str(NETNS_DIR), flags=syscalls.MS_SHARED)  # guests must see names vanish, or hold them for ever
    Path("/run/vrlab").mkdir(mode=0o700)
    set_sysctls(
        (
            ("ipv6/conf/all/disable_ipv6", "1"),
            ("ipv6/conf/default/disable_ipv6", "1"),
            ("bridge/bridge-nf-call-iptables", "0"),
            ("bridge/bridge-nf-call-arptables", "0"),
            ("bridge/bridge-nf-call-ip6tables", "0"),
        )
    )
    ip_batch(["link set lo up"])


def run(argv: Sequence[str], text: str = "") -> str:
    """Run a command to its end, ``text`` on its standard input; its output, or GroundError with what it said."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GroundError(f"{' '.join(argv)}: {error}") from error
    if done.returncode != 0:
        raise GroundError(f"{' '.join(argv)} failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout


def attempt(argv: Sequence[str]) -> tuple[int, str, str]:
    """Run a command that may fail or not exist, for a minute at most: exit code (-1: none), output, errors."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_ATTEMPT_TIMEOUT_S, check=False)
    except FileNotFoundError as error:
        return -1, "", str(error)
    except subprocess.TimeoutExpired:
        return -1, "", f"{argv[0]} did not end within {_ATTEMPT_TIMEOUT_S:.0f} s"
    return done.returncode, done.stdout, done.stderr


def ip_batch(lines: Iterable[str], netns: str | None = None) -> None:
    """Run several ``ip`` commands as one process, in ``netns`` if given; stops at the first that fails."""
    where = ["-n", netns] if netns else []
    run(["ip", *where, "-batch", "-"], "".join(line + "\n" for line in lines))


def inside(netns: str, act: Callable[[], T]) -> T:
    """Return what ``act`` returns in a thread that lives in ``netns``. Sockets it makes belong there for ever."""

    def enter() -> T:
        try:
            fd = os.open(NETNS_DIR / netns, os.O_RDONLY)
        except FileNotFoundError:
            raise GroundError(f"there is no node {netns}") from None
        try:
            syscalls.setns(fd, syscalls.CLONE_NEWNET)
        finally:
            os.close(fd)
        return act()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(enter).result()


def add_netns(name: str, sysctls: Iterable[tuple[str, str]] = ()) -> None:
    """Create a network namespace: IPv6 off, neighbours aging as in Linux, ``sysctls`` (path below net/, value) set."""
    place = NETNS_DIR / name
    try:
        place.touch(exist_ok=False)
    except FileExistsError:
        raise GroundError(f"a node named {name} exists already") from None

    def create() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        set_sysctls((*_EVERY_NODE, *sysctls))
        syscalls.mount("/proc/thread-self/ns/net", str(place), flags=syscalls.MS_BIND)

    try:
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(create).result()
    except OSError as error:
        place.unlink(missing_ok=True)
        raise GroundError(f"cannot make the network namespace of {name}: {error}") from error


def remove_netns(name: str) -> None:
    """Kill what runs there and take the name away; then the kernel ends the namespace."""
    place = NETNS_DIR / name
    if place.exists():
        kill_where("net", place.stat().st_ino)
        syscalls.unmount(str(place))
        place.unlink()


def set_sysctls(settings: Iterable[tuple[str, str]]) -> None:
    """Write settings below /proc/sys/net of the calling thread's namespace; what this kernel lacks is passed over."""
    for path, value in settings:
        file = Path("/proc/sys/net") / path
        if file.exists():
            file.write_text(value, encoding="ascii")


def wait_running(interface: str, timeout_s: float = 5.0) -> None:
    """Wait until an interface of the box's own namespace has its carrier: before that a bridge would not forward."""
    deadline = time.monotonic() + timeout_s
    request = struct.pack("16sh22x", interface.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        while not struct.unpack_from("16sh", fcntl.ioctl(query, _SIOCGIFFLAGS, request))[1] & _IFF_RUNNING:
            if time.monotonic() > deadline:
                raise GroundError(f"link {interface} did not come up within {timeout_s:g} s")
            time.sleep(0.001)


def add_bridge(name: str) -> None:
    """Add a bridge that forwards at once: no spanning tree, no delay, no multicast snooping."""
    ip_batch(
        [
            f"link add {name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            f"link set {name} up",
        ]
    )


def delete_links(names: Iterable[str]) -> None:
    """Delete interfaces of the box's own namespace; those already gone are no error."""
    known = {name for _, name in socket.if_nameindex()}
    commands = [f"link delete {name}" for name in names if name in known]
    if commands:
        ip_batch(commands)
