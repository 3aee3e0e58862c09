"""Network namespaces for these tests, inside an outer box that takes everything down with it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
# Who logs in to a guest runs this machine's login files, which may take their time or wait for a lock: there are none.
_LOGIN_FILES = "for f in ~/.bashrc ~/.profile ~/.bash_profile; do [ ! -f $f ] || mount --bind /dev/null $f; done"
# The shell stays, as init, to reap orphans.
_SETUP = (
    f"mount -t tmpfs tmpfs /run && mkdir -p /run/netns /run/sshd && {_LOGIN_FILES} && "
    "echo ready && { sleep infinity & wait; }"
)


class Box:
    """An outer network, mount and process namespace; its nodes are network namespaces within."""

    def __init__(self) -> None:
        # It goes with the thread that made it, also when that is killed.
        outer = ["setpriv", "--pdeathsig", "KILL", "unshare", "-nmpf", "--mount-proc", "--kill-child"]
        argv = [*outer, "sh", "-c", _SETUP]
        self._outer = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
        assert self._outer.stdout is not None
        assert self._outer.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text()
        self._init = int(children.split()[0])

    def close(self) -> None:
        """Kill everything inside; network, mounts and processes go with it."""
        self._outer.kill()
        self._outer.wait()
        assert self._outer.stdout is not None
        self._outer.stdout.close()

    def argv(self, node: str | None, *command: str) -> list[str]:
        """Return the command line that runs ``command`` in ``node`` (None: in the outer namespace)."""
        enter = ["nsenter", "-t", str(self._init), "-n", "-m", "-p"]
        return [*enter, *(["ip", "netns", "exec", node] if node else []), *command]

    def run(self, node: str | None, *command: str, stdin: str = "", timeout: float = 60.0) -> str:
        """Run ``command`` in ``node`` to its end; returns its standard output, fails on a bad exit."""
        argv = self.argv(node, *command)
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
        return done.stdout

    def sh(self, node: str | None, script: str) -> str:
        return self.run(node, "sh", "-ec", script)

    def spawn(self, node: str | None, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.argv(node, *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @staticmethod
    def kill(spawned: subprocess.Popen[bytes]) -> None:
        """End a spawned command: the child of the nsenter that we hold."""
        for child in Path(f"/proc/{spawned.pid}/task/{spawned.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        spawned.wait()

    @contextmanager
    def inside(self, node: str) -> Iterator[None]:
        """Put this thread, its sockets and the processes it starts into ``node``'s network meanwhile."""
        with open("/proc/thread-self/ns/net") as home, open(f"/proc/{self._init}/root/run/netns/{node}") as away:
            _setns(away.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())


def _setns(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def routed_box(guests: int = 1) -> Box:
    """Make ``harness`` 198.51.100.2 — ``router`` (198.51.100.1, 10.1.1.1) — ``guest0`` 10.1.1.10, … on a bridge.

    The router is a CloudStack VR in small: source NAT outwards, port 2200+i on its public side to guest i's port 22.
    """
    box = Box()
    lines = ["ip netns add harness; ip netns add router"]
    lines.append("ip link add h0 netns harness type veth peer name pub netns router")
    lines.append("ip -n harness addr add 198.51.100.2/24 dev h0; ip -n router addr add 198.51.100.1/24 dev pub")
    lines.append("ip -n router link add br0 type bridge; ip -n router addr add 10.1.1.1/24 dev br0")
    for i in range(guests):
        lines.append(f"ip netns add guest{i}; ip link add eth0 netns guest{i} type veth peer name g{i} netns router")
        lines.append(f"ip -n router link set g{i} master br0 up; ip -n guest{i} addr add 10.1.1.{10 + i}/24 dev eth0")
        lines.append(f"ip -n guest{i} link set eth0 up; ip -n guest{i} link set lo up")
        lines.append(f"ip -n guest{i} route add default via 10.1.1.1")
    lines.append("for n in harness router; do ip -n $n link set lo up; done")
    lines.append("ip -n harness link set h0 up; ip -n router link set pub up; ip -n router link set br0 up")
    # Else Linux answers one refusal per second and is silent in between.
    lines.append("ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0")
    box.sh(None, "\n".join(lines))
    box.run("router", "nft", "-f", "-", stdin=_nat_rules(guests))
    return box


def _nat_rules(guests: int) -> str:
    forwards = "\n".join(f"tcp dport {2200 + i} dnat to 10.1.1.{10 + i}:22" for i in range(guests))
    return f"""
table ip nat {{
  chain prerouting {{ type nat hook prerouting priority dstnat; iifname "pub" jump forwards; }}
  chain forwards {{
{forwards}
  }}
  chain postrouting {{ type nat hook postrouting priority srcnat; oifname "pub" snat to 198.51.100.1; }}
}}
table ip gate {{
  chain cut {{ }}
  chain forward {{ type filter hook forward priority -5; jump cut; }}
}}
"""
