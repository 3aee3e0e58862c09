"""The operations that can be measured, in words; how the cloud is asked for each stands in ``cloud/operations.py``."""

from __future__ import annotations

from msgspec import Struct


class OperationWords(Struct, frozen=True):
    """What an operation ``does``, for whoever writes a profile; what was being done, for whoever reads the figures."""

    does: str
    doing: str


OPERATIONS = {  # by name
    "restart-network-cleanup": OperationWords(
        "restart the network, replacing its router", "Restarting the router with cleanup"
    ),
    "restart-network": OperationWords(
        "apply the rules again, keeping the router", "Restarting the network without cleanup"
    ),
    "reboot-router": OperationWords(
        "reboot the network's (active) router; needs an administrator", "Rebooting the router"
    ),
}
