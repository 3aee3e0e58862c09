"""Client machines as people have them, each in a network namespace behind the lab's outside world.

``{CLIENT}`` is the client's process there: ``through=INTO`` runs the command in its namespace. Its gateway is GATEWAY,
or GATEWAY6, where a front of the API can stand.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from vrbench.lab import lifecycle

if TYPE_CHECKING:
    from tests.field.place import Place

INTO = ("nsenter", "-n", "-t", "{CLIENT}")
GATEWAY, GATEWAY6 = "192.168.77.1", "fd00:77::1"
_STAND = "echo $$; exec sleep 600"
_LINK = f"""
set -e
ip link add cl0 type veth peer name eth0 netns $CLIENT
for x in all default cl0; do echo 0 > /proc/sys/net/ipv6/conf/$x/disable_ipv6; done
ip addr add {GATEWAY}/24 dev cl0
ip addr add {GATEWAY6}/64 dev cl0 nodad
ip link set cl0 up
nft add table ip client
nft 'add chain ip client out {{ type nat hook postrouting priority 100; }}'
nft add rule ip client out ip saddr 192.168.77.0/24 masquerade
nsenter -n -t $CLIENT sh -ec "$INSIDE"
"""
_IPV6 = "for x in all lo eth0; do echo 0 > /proc/sys/net/ipv6/conf/$x/disable_ipv6; done; "
_UP = _IPV6 + "ip link set lo up; ip link set eth0 up; "
V4 = _UP + "ip addr add 192.168.77.2/24 dev eth0"
V4_ROUTED = V4 + f"; ip route add default via {GATEWAY}"
V6 = _UP + f"ip addr add fd00:77::2/64 dev eth0 nodad; ip -6 route add default via {GATEWAY6}"


def client(inside: str) -> Callable[[Place], AbstractContextManager[Mapping[str, str]]]:
    """Return what sets a client up; ``inside`` gives it its addresses and routes."""

    @contextmanager
    def standing(place: Place) -> Iterator[Mapping[str, str]]:
        def upstream(*command: str) -> list[str]:
            return lifecycle.enter(place.zone.state, "upstream", list(command))

        stand = upstream("unshare", "-n", "sh", "-c", _STAND)
        with subprocess.Popen(stand, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                words = {"CLIENT": process.stdout.readline().strip()}
                subprocess.run(
                    upstream("env", f"CLIENT={words['CLIENT']}", f"INSIDE={inside}", "sh", "-c", _LINK), check=True
                )
                yield words
            finally:
                process.kill()
                subprocess.run(upstream("nft", "delete", "table", "ip", "client"), check=False)
                subprocess.run(upstream("ip", "link", "del", "cl0"), check=False, stderr=subprocess.DEVNULL)

    return standing
