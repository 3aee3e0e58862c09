"""Whom the firewall lets in: this machine, as the way to an address shows it."""

from __future__ import annotations

import ipaddress
import socket

from vrbench.cloud.errors import CloudError

AUTO = "auto"
_PRIVATE = [ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]


def allowed_source(configured: str, towards: str) -> str:
    """Return the CIDR to open for: the configured one, or this machine's address on its way to ``towards``, as a /32.

    Asks the routing table only; no packet leaves. Behind address translation the cloud sees another address: then it
    has to be configured.
    """
    if configured != AUTO:
        return configured
    source = own_address(towards)
    check_source(source, towards)
    return f"{source}/32"


def own_address(towards: str) -> str:
    """Return this machine's address on its way to another. Raises CloudError where there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 9))
        except OSError as error:
            raise CloudError(
                f"this machine has no route to {towards} ({error.strerror}), so its address can't be told: set "
                "environment.source_cidr to it, as a.b.c.d/32"
            ) from None
        return str(probe.getsockname()[0])


def check_source(source: str, towards: str) -> None:
    """Raise CloudError when ``source`` is private and ``towards`` is not: an address translation lies between."""
    address = ipaddress.ip_address(source)
    if any(address in network for network in _PRIVATE) and ipaddress.ip_address(towards).is_global:
        raise CloudError(
            f"this machine reaches {towards} from the private address {source}, so the cloud sees another one: "
            "set environment.source_cidr to the address that the outside sees, as a.b.c.d/32"
        )
